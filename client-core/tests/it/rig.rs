//! A client under test, and the far end of its link as a script of frames.

use std::borrow::Cow;

use tidewire_client_core::client::Client;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::{Options, PartyId, SubscribeOptions};
use tidewire_client_core::outgoing::Outgoing;
use tidewire_client_core::output::{Event, ListenerId, Output, PublishId};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block::{Block, Head, put_message, put_on_page};
use tidewire_protocol::client_frame::{ClientFrame, Terms};
use tidewire_protocol::code::{Code, Content, Durability, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{
    Acked, Failed, HubFrame, Opened, Page, Progress, Refused, Subscribed, Welcome,
};
use tidewire_protocol::number::{Epoch, Handle, Offset, Request, Seq, Tag, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

pub(crate) const EPOCH: Epoch = Epoch(7);
pub(crate) const OWN_TAG: Tag = Tag(5);
/// The client itself.
pub(crate) const OWN: PartyId = PartyId(0);

pub(crate) struct Rig {
    pub client: Client,
    pub now: Millis,
    /// Events as short texts, in order.
    pub events: Vec<String>,
    /// Frames as short texts, in order.
    pub sent: Vec<String>,
    /// Everything else the client asked for, as short texts.
    pub asked: Vec<String>,
    /// How many WebSocket messages were sent, and the largest.
    pub packets: usize,
    pub packet_bytes_max: usize,
    /// The first frame of each WebSocket message.
    pub first_frames: Vec<String>,
    /// Seqs that messages were said to go out under.
    pub seqs: Vec<u64>,
    /// How many messages each page of history was to have at most.
    pub wanted: Vec<u64>,
    /// Where what comes before the last page of history is.
    pub previous: Vec<Position>,
    /// In how many milliseconds a token that was asked for last comes too late.
    pub within_ms: u64,
    lens: Vec<usize>,
}

impl Rig {
    pub(crate) fn new(options: Options) -> Self {
        Self {
            client: Client::new(options),
            now: 1_000_000,
            events: Vec::new(),
            sent: Vec::new(),
            asked: Vec::new(),
            packets: 0,
            packet_bytes_max: 0,
            first_frames: Vec::new(),
            seqs: Vec::new(),
            wanted: Vec::new(),
            previous: Vec::new(),
            within_ms: 0,
            lens: Vec::new(),
        }
    }

    pub(crate) fn online() -> Self {
        Self::online_with(WELCOME)
    }

    /// Online at a hub that welcomes like this, with nothing sent yet.
    pub(crate) fn online_with(welcome: Welcome<'_>) -> Self {
        let mut rig = Self::new(Options::default());
        rig.client.connect(rig.now);
        rig.drain();
        rig.sign_in_with(welcome);
        rig.forget();
        rig
    }

    pub(crate) fn sign_in(&mut self) {
        self.sign_in_with(WELCOME);
    }

    pub(crate) fn sign_in_with(&mut self, welcome: Welcome<'_>) {
        self.input(Input::LinkOpened);
        self.say(HubFrame::Welcome(welcome));
    }

    /// The link breaks, and comes back as soon as the client wants it.
    pub(crate) fn reconnect(&mut self) {
        self.reconnect_with(WELCOME);
    }

    /// The same, and this is how it is welcomed.
    pub(crate) fn reconnect_with(&mut self, welcome: Welcome<'_>) {
        self.input(Input::LinkClosed { code: 1006 });
        self.input(Input::Online);
        self.sign_in_with(welcome);
    }

    pub(crate) fn input(&mut self, input: Input<'_>) {
        self.client.handle(self.now, input);
        self.drain_of(match input {
            Input::Received(bytes) => bytes,
            _ => &[],
        });
    }

    pub(crate) fn say(&mut self, frame: HubFrame<'_>) {
        self.say_all(&[frame]);
    }

    pub(crate) fn say_all(&mut self, frames: &[HubFrame<'_>]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.put(&mut bytes));
        self.input(Input::Received(&bytes));
    }

    /// Lets the client's next deadline come.
    pub(crate) fn wait(&mut self) -> Millis {
        let before = self.now;
        self.now = self.client.deadline().unwrap();
        self.input(Input::Timeout);
        self.now - before
    }

    pub(crate) fn publish(&mut self, topic: &str) -> PublishId {
        self.publish_bytes(topic, 3)
    }

    /// Publishes all or none, a few bytes to each of these topics.
    pub(crate) fn publish_batch(&mut self, topics: &[&str]) -> PublishId {
        let messages: Vec<_> = topics.iter().map(|topic| text(topic, 3)).collect();
        let first = self.client.publish_batch(self.now, &messages).unwrap();
        self.lens.resize(first.0 as usize + topics.len(), 3);
        first
    }

    pub(crate) fn publish_bytes(&mut self, topic: &str, len: usize) -> PublishId {
        self.publish_with(&text(topic, len as u32))
    }

    pub(crate) fn publish_with(&mut self, message: &Outgoing<'_>) -> PublishId {
        let len = message.payload_len as usize;
        let id = self.client.publish(self.now, message).unwrap();
        self.lens.resize(id.0 as usize + 1, 0);
        self.lens[id.0 as usize] = len;
        id
    }

    /// Publishes under a number of the shell's own.
    pub(crate) fn take(&mut self, id: u64, topic: &str) {
        self.take_for(OWN, id, topic);
    }

    pub(crate) fn take_for(&mut self, party: PartyId, id: u64, topic: &str) {
        self.take_as(party, id, &text(topic, 3));
    }

    pub(crate) fn take_with(&mut self, id: u64, message: &Outgoing<'_>) {
        self.take_as(OWN, id, message);
    }

    fn take_as(&mut self, party: PartyId, id: u64, message: &Outgoing<'_>) {
        self.client.take(self.now, party, PublishId(id), message).unwrap();
        self.lens.resize(self.lens.len().max(id as usize + 1), 3);
    }

    pub(crate) fn subscribe(&mut self, name: &str, from: Start) -> ListenerId {
        self.subscribe_with(name, SubscribeOptions { from, ..SubscribeOptions::default() })
    }

    pub(crate) fn subscribe_with(&mut self, name: &str, options: SubscribeOptions) -> ListenerId {
        let id = self.client.subscribe(self.now, name, options).unwrap();
        self.drain();
        id
    }

    pub(crate) fn history(&mut self, name: &str, from: Start, messages_max: u32) -> ListenerId {
        let id = self.client.history(self.now, name, from, messages_max).unwrap();
        self.drain();
        id
    }

    pub(crate) fn forget(&mut self) {
        self.events.clear();
        self.sent.clear();
        self.asked.clear();
    }

    pub(crate) fn drain(&mut self) {
        self.drain_of(&[]);
    }

    fn drain_of(&mut self, received: &[u8]) {
        while let Some(output) = self.client.poll_output() {
            match output {
                Output::Event(event) => {
                    if let Event::Page { previous, .. } = &event {
                        self.previous.clone_from(previous);
                    }
                    self.events.push(told(&event, received));
                }
                Output::Send(packet) => {
                    let mut bytes = Vec::new();
                    let mut from = 0;
                    for splice in &packet.payloads {
                        bytes.extend_from_slice(&packet.bytes[from..splice.at as usize]);
                        from = splice.at as usize;
                        self.seqs.push(splice.seq.0);
                        bytes.extend(std::iter::repeat_n(b'x', self.lens[splice.id.0 as usize]));
                    }
                    bytes.extend_from_slice(&packet.bytes[from..]);
                    self.packets += 1;
                    self.packet_bytes_max = self.packet_bytes_max.max(bytes.len());
                    let mut rest = &bytes[..];
                    let first = self.sent.len();
                    while !rest.is_empty() {
                        let frame = ClientFrame::take(&mut rest).unwrap_or_else(|_| panic!("{bytes:?}"));
                        let frame = frame.unwrap();
                        if let ClientFrame::History(question) = &frame {
                            self.wanted.push(question.messages_max);
                        }
                        self.sent.push(said(&frame));
                    }
                    self.first_frames.push(self.sent[first].clone());
                }
                Output::OpenLink => self.asked.push("open".into()),
                Output::CloseLink { code } => self.asked.push(format!("close {code}")),
                Output::NeedToken { reason, within_ms } => {
                    assert!(within_ms <= 30_000);
                    self.within_ms = within_ms;
                    self.asked.push(format!("token {reason:?}"));
                }
            }
        }
    }

    #[track_caller]
    pub(crate) fn expect_sent(&mut self, expected: &[&str]) {
        assert_eq!(self.sent, expected);
        self.sent.clear();
    }

    #[track_caller]
    pub(crate) fn expect_events(&mut self, expected: &[&str]) {
        assert_eq!(self.events, expected);
        self.events.clear();
    }

    #[track_caller]
    pub(crate) fn expect_asked(&mut self, expected: &[&str]) {
        assert_eq!(self.asked, expected);
        self.asked.clear();
    }
}

/// A client's frame in a few words.
fn said(frame: &ClientFrame<'_>) -> String {
    match frame {
        ClientFrame::Hello(f) => format!("hello {}", f.token),
        ClientFrame::Open(f) if f.unacknowledged => format!("open {} {}", f.handle, f.topic),
        ClientFrame::Open(f) if f.participant.0 > 0 => {
            format!("open {} {} lowest {} for {}", f.handle, f.topic, f.lowest, f.participant)
        }
        ClientFrame::Open(f) => format!("open {} {} lowest {}", f.handle, f.topic, f.lowest),
        ClientFrame::Publish(f) => {
            let mut text = format!("publish {} #{}", f.handle, f.seq);
            if f.lowest.0 > 0 {
                text += &format!(" lowest {}", f.lowest);
            }
            if f.maybe_duplicate {
                text += " maybe";
            }
            if f.void {
                text += " void";
            }
            if f.count > 0 {
                text += &format!(" of {}", f.count);
            }
            text + &attributes_text(&f.attributes) + &terms_text(&f.terms)
        }
        ClientFrame::Batch(f) => format!("batch {}", f.count),
        ClientFrame::Shut(f) => format!("shut {}", f.handle),
        ClientFrame::Subscribe(f) => {
            let latest = if f.when_slow == WhenSlow::Latest { " the latest" } else { "" };
            format!("subscribe {} {} {}{latest}", f.request, f.name, start(&f.from))
        }
        ClientFrame::Unsubscribe(f) => format!("unsubscribe {} tail {}", f.request, f.tail),
        ClientFrame::History(f) => {
            let knows = if f.removals.0 > 1 { format!(" knows {}", f.removals) } else { String::new() };
            format!("history {} {} {}{knows}", f.request, f.name, start(&f.from))
        }
        ClientFrame::Heartbeat(f) if f.request.0 > 0 => format!("heartbeat {}", f.request),
        ClientFrame::Heartbeat(_) => "heartbeat".into(),
        ClientFrame::Send(f) => {
            let expires = if f.expires_ms > 0 { format!(" for {}", f.expires_ms) } else { String::new() };
            let payload = String::from_utf8_lossy(&f.payload);
            format!("send {} {payload}{expires}", f.handle) + &attributes_text(&f.attributes)
        }
        ClientFrame::SignIn(f) => format!("sign_in {} {}", f.request, f.token),
        ClientFrame::Attach(f) => format!("attach {} {}", f.participant, f.incarnation),
        ClientFrame::Detach(f) => format!("detach {}", f.participant),
    }
}

fn start(start: &Start) -> String {
    match start {
        Start::After(places) => format!("after {}", positions_text(places)),
        Start::Before { last, positions } => format!("last {last} before {}", positions_text(positions)),
        other => format!("{other:?}").to_lowercase(),
    }
}

/// Which other party.
fn of(party: PartyId) -> String {
    if party == OWN { String::new() } else { format!("{}/", party.0) }
}

/// An event in a few words.
fn told(event: &Event, received: &[u8]) -> String {
    let gap_text = |gap: &Gap| format!("{}..{} {}", gap.from, gap.to, gap.reason);
    match event {
        Event::Status(status) => format!("{status:?}"),
        Event::Ready { listener, outcome, positions, gap } => {
            let gap = gap.as_ref().map_or(String::new(), |gap| format!(" gap {}", gap_text(gap)));
            format!("ready {} {outcome} {}{gap}", listener.0, positions_text(positions))
        }
        Event::Refused { listener, fault } => format!("refused {} {}", listener.0, fault.name()),
        Event::Message(m) => {
            let text = |bytes| String::from_utf8(bytes).unwrap();
            let mut told = format!("message {} {}", m.listener.0, text(m.payload.of(received).to_vec()));
            if m.topic.len > 0 {
                told += &format!(" in {}", text(m.topic.of(received).to_vec()));
            }
            assert_eq!(format!("m{}", m.offset), text(m.payload.of(received).to_vec()));
            told + &attributes_text(&Attributes::take(m.ext.of(received)).unwrap())
        }
        Event::Gap { listener, gap } => format!("gap {} {}", listener.0, gap_text(gap)),
        Event::CaughtUp { listener } => format!("caught up {}", listener.0),
        Event::Page { listener, positions, previous, gap, more } => {
            assert_eq!(previous.len(), positions.len());
            let gap = gap.as_ref().map_or(String::new(), |gap| format!(" gap {}", gap_text(gap)));
            let more = if *more { " more" } else { "" };
            format!("page {} upto {}{gap}{more}", listener.0, positions_text(positions))
        }
        Event::Published(p) => {
            let mut text = format!("published {}{} at {}", of(p.party), p.id.0, p.offset);
            if p.duplicate {
                text += " duplicate";
            }
            if p.maybe_duplicate {
                text += " maybe";
            }
            if p.durability != Durability::Memory {
                text += &format!(" {}", p.durability);
            }
            text
        }
        Event::Failed { party, id, fault, current, .. } => {
            let at = current.map(|place| format!(" at {}", positions_text(&[place])));
            format!("failed {}{} {}{}", of(*party), id.0, fault.name(), at.unwrap_or_default())
        }
        Event::Detached { party, fault } => format!("detached {} {}", party.0, fault.name()),
        Event::Said { code, text } => {
            format!("said {code} {}", String::from_utf8_lossy(text.of(received)))
        }
        Event::Echoed { request } => format!("echoed {request}"),
        Event::Settled { sender, dropped } => {
            format!("{} {}", if *dropped { "dropped" } else { "gone" }, sender.0)
        }
        Event::Unsendable { sender, fault } => format!("unsendable {} {}", sender.0, fault.name()),
        Event::Goodbye { code, reconnect_after_ms } => format!("goodbye {code} {reconnect_after_ms}"),
    }
}

fn attributes_text(attributes: &Attributes<'_>) -> String {
    let mut text = String::new();
    if !attributes.key.is_empty() {
        text += &format!(" key {}", attributes.key);
    }
    for (name, value) in attributes.headers.iter() {
        text += &format!(" {name}={value}");
    }
    if attributes.ttl_ms > 0 {
        text += &format!(" ttl {}", attributes.ttl_ms);
    }
    if attributes.remove {
        text += " remove";
    }
    text
}

fn terms_text(terms: &Terms) -> String {
    let mut text = String::new();
    if let Some(version) = terms.if_version {
        text += &format!(" if {}", positions_text(&[version]));
    }
    if terms.if_absent {
        text += " if absent";
    }
    if let Some(durability) = terms.durability {
        text += &format!(" {durability}");
    }
    text
}

fn positions_text(places: &[Position]) -> String {
    places.iter().map(|p| format!("{}:{}", p.epoch.0, p.offset)).collect::<Vec<_>>().join(",")
}

/// A text of so many bytes to a topic.
pub(crate) fn text(topic: &str, payload_len: u32) -> Outgoing<'_> {
    Outgoing { topic, content: Content::Text, payload_len, ..Outgoing::default() }
}

pub(crate) fn welcome() -> HubFrame<'static> {
    HubFrame::Welcome(WELCOME)
}

/// How most hubs here welcome.
pub(crate) const WELCOME: Welcome<'static> = Welcome {
    tag: OWN_TAG,
    heartbeat_ms: 10_000,
    message_bytes_max: 1_000,
    in_flight_max: 4,
    subject: Cow::Borrowed(""),
    agent: Cow::Borrowed(""),
    features: 0,
    frame_bytes_max: 0,
    expires_ms: 0,
};

pub(crate) fn at(offset: u64) -> Vec<Position> {
    vec![Position { epoch: EPOCH, offset: Offset(offset) }]
}

pub(crate) fn opened(handle: u64, window_new: bool, next: u64) -> HubFrame<'static> {
    HubFrame::Opened(Opened { handle: Handle(handle), window_new, next: Seq(next) })
}

pub(crate) fn acked(handle: u64, seq: u64, count: u64, offset: u64) -> HubFrame<'static> {
    HubFrame::Acked(Acked {
        handle: Handle(handle),
        seq: Seq(seq),
        count,
        epoch: EPOCH,
        offset: Offset(offset),
        ..Acked::default()
    })
}

pub(crate) fn duplicate(handle: u64, seq: u64, offset: u64) -> HubFrame<'static> {
    let HubFrame::Acked(acked) = acked(handle, seq, 1, offset) else { unreachable!() };
    HubFrame::Acked(Acked { duplicate: true, ..acked })
}

pub(crate) fn refused(handle: u64, seq: u64, count: u64, code: Code, consumed: bool) -> HubFrame<'static> {
    HubFrame::Refused(Refused {
        handle: Handle(handle),
        seq: Seq(seq),
        count,
        code,
        consumed,
        ..Refused::default()
    })
}

pub(crate) fn subscribed(request: u64, tail: u64, outcome: Outcome, offset: u64) -> HubFrame<'static> {
    HubFrame::Subscribed(Subscribed {
        request: Request(request),
        tail: TailNumber(tail),
        outcome,
        positions: at(offset),
        gap: None,
        ..Subscribed::default()
    })
}

pub(crate) fn failed(request: u64, code: Code, retryable: bool) -> HubFrame<'static> {
    HubFrame::Failed(Failed { request: Request(request), code, retryable, ..Failed::default() })
}

pub(crate) fn progress(tail: u64, upto: u64) -> HubFrame<'static> {
    HubFrame::Progress(Progress { tail: TailNumber(tail), epoch: EPOCH, upto: Offset(upto) })
}

/// Messages `m<offset>` with these offsets, encoded as a block's records.
pub(crate) fn records(prev: u64, offsets: &[u64], tag: Tag, topic: Option<&str>) -> Vec<u8> {
    let mut out = Vec::new();
    let mut before = prev;
    for (index, &offset) in offsets.iter().enumerate() {
        let topic = topic.map(|topic| (0, (index == 0).then_some(topic)));
        let head = Head {
            prev: Offset(before),
            offset: Offset(offset),
            content: Content::Text,
            tag,
            topic,
            ..Head::default()
        };
        put_message(&head, format!("m{offset}").as_bytes(), &mut out);
        before = offset;
    }
    out
}

pub(crate) fn block(tail: u64, prev: u64, records: &[u8]) -> HubFrame<'_> {
    HubFrame::Block(Block { tail: TailNumber(tail), prev: Offset(prev), records, ..Block::default() })
}

impl Rig {
    /// The hub sends a block of the messages with these offsets.
    pub(crate) fn block(&mut self, tail: u64, prev: u64, offsets: &[u64]) {
        self.say(block(tail, prev, &records(prev, offsets, Tag(0), None)));
    }

    /// The hub sends a page with these messages, complete from `after` to `upto`.
    pub(crate) fn page(
        &mut self,
        request: u64,
        after: u64,
        offsets: &[u64],
        upto: u64,
        more: bool,
        gap: Option<Gap>,
    ) {
        let page = page(request, after, offsets);
        self.say(HubFrame::Page(Page { more, upto: at(upto), gap, ..page }));
    }

    /// The hub sends a page after `after` whose only block says that it follows `prev`.
    pub(crate) fn page_of(&mut self, request: u64, after: u64, prev: u64, offsets: &[u64], upto: u64) {
        let records = records(prev, offsets, Tag(0), None);
        let mut blocks = Vec::new();
        let block = Block { prev: Offset(prev), records: &records, ..Block::default() };
        put_on_page(&block, &mut Vec::new(), &mut blocks);
        self.say(HubFrame::Page(Page {
            request: Request(request),
            after: at(after),
            upto: at(upto),
            blocks: Cow::Owned(blocks),
            ..Page::default()
        }));
    }
}

/// A page of history after `after`, up to its last message.
pub(crate) fn page(request: u64, after: u64, offsets: &[u64]) -> Page<'static> {
    let records = records(after, offsets, Tag(0), None);
    let mut blocks = Vec::new();
    if !offsets.is_empty() {
        let block = Block { prev: Offset(after), records: &records, ..Block::default() };
        put_on_page(&block, &mut Vec::new(), &mut blocks);
    }
    let upto = at(*offsets.last().unwrap_or(&after));
    Page { request: Request(request), after: at(after), upto, blocks: blocks.into(), ..Page::default() }
}
