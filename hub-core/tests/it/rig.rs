//! A hub in memory: shards, sockets whose capacity the test sets, and clients that say frames and hear them.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_hub_core::access::Access;
use tidewire_hub_core::access::caller::Caller;
use tidewire_hub_core::calls::Calls;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::letter::Inbox;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Disk, Engine};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::shard::Shard;
use tidewire_hub_core::shard::listening::Listening;
use tidewire_hub_core::shard::wire::{ConnectionId, Sent, Wire};
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::client_frame::{
    Attach, ClientFrame, Detach, Hello, History, Open, Publish, Subscribe,
};
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Subscribed};
use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::{Epoch, Handle, Incarnation, Offset, Participant, ProducerId, Request, Seq};
use tidewire_protocol::position::{Position, Start};

/// Sockets in memory: what was written, and how much more each takes.
#[derive(Default)]
pub struct Sockets {
    pub written: BTreeMap<ConnectionId, Vec<u8>>,
    pub room: BTreeMap<ConnectionId, usize>,
    pub closed: Vec<ConnectionId>,
}

impl Wire for Sockets {
    fn send(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Sent {
        let room = self.room.entry(id).or_insert(usize::MAX);
        let mut taken = 0;
        for part in parts {
            let n = part.len().min(*room);
            self.written.entry(id).or_default().extend_from_slice(&part[..n]);
            *room -= n;
            taken += n;
        }
        Sent::Bytes(taken)
    }

    fn close(&mut self, id: ConnectionId) {
        self.closed.push(id);
    }
}

pub struct Hub {
    pub topics: Arc<Topics>,
    pub shard: Shard,
    pub sockets: Sockets,
    pub now: Millis,
    /// What is asked without a connection.
    pub calls: Calls<usize>,
    /// Commits that are stored, each with its number.
    pub commits: Vec<(u64, Vec<u8>)>,
    /// Whether they cannot be read.
    pub disk_fails: bool,
    /// So many messages are read from the disk in a turn, and none in every third one.
    pub disk_turn: Option<usize>,
    /// Turns that the disk had.
    pub disk_turns: usize,
    /// How many messages were wanted from there.
    pub fetched: usize,
}

/// Another shard of a hub, and its sockets.
pub struct Beside {
    shard: Shard,
    sockets: Sockets,
}

pub const EPOCH: Epoch = Epoch(7);
pub const ALL: Retention = Retention::ALL;
pub const NONE: Retention = Retention { none: true, ..ALL };

impl Hub {
    pub fn new(limits: Limits, rules: Vec<TopicRule>) -> Self {
        Self::with_shards(limits, rules, 1).0
    }

    /// A hub of several shards; all but the first are given apart.
    pub fn with_shards(limits: Limits, rules: Vec<TopicRule>, shards: usize) -> (Self, Vec<Shard>) {
        Self::assemble(limits, rules, &[EPOCH], shards)
    }

    /// A hub of two shards, of which one is given apart.
    pub fn with_two_shards(limits: Limits, rules: Vec<TopicRule>) -> (Self, Beside) {
        let (hub, mut others) = Self::with_shards(limits, rules, 2);
        (hub, Beside { shard: others.remove(0), sockets: Sockets::default() })
    }

    /// Does something in another shard, while this one does nothing.
    pub fn beside<T>(&mut self, other: &mut Beside, act: impl FnOnce(&mut Self) -> T) -> T {
        let mut change_places = |hub: &mut Self| {
            std::mem::swap(&mut hub.shard, &mut other.shard);
            std::mem::swap(&mut hub.sockets, &mut other.sockets);
        };
        change_places(self);
        let done = act(self);
        change_places(self);
        done
    }

    /// A hub with logs of these epochs.
    pub fn with_logs(limits: Limits, rules: Vec<TopicRule>, epochs: &[Epoch]) -> Self {
        Self::assemble(limits, rules, epochs, 1).0
    }

    fn assemble(
        limits: Limits,
        rules: Vec<TopicRule>,
        epochs: &[Epoch],
        shards: usize,
    ) -> (Self, Vec<Shard>) {
        let inboxes: Vec<_> = (0..=shards).map(|_| Arc::new(Inbox::new(Box::new(|| ())))).collect();
        let settings = Settings { limits, access: Access::open(), rules, boot: 0 };
        let logs = epochs.iter().map(|epoch| (*epoch, Engine::Memory)).collect();
        Self::around(settings, logs, inboxes, shards)
    }

    /// A hub of one shard with a durable log, in which nothing is put back yet.
    pub fn with_disk(limits: Limits, rules: Vec<TopicRule>, epoch: Epoch) -> Self {
        let inboxes: Vec<_> = (0..2).map(|_| Arc::new(Inbox::new(Box::new(|| ())))).collect();
        let settings = Settings { limits, access: Access::open(), rules, boot: 0 };
        Self::around(settings, vec![(epoch, Engine::Disk(Disk::default()))], inboxes, 1).0
    }

    fn around(
        settings: Settings,
        logs: Vec<(Epoch, Engine)>,
        inboxes: Vec<Arc<Inbox>>,
        shards: usize,
    ) -> (Self, Vec<Shard>) {
        let topics = Arc::new(Topics::with_logs(settings, logs, inboxes.clone()));
        let now = Millis(1_000_000);
        let calls = Calls::new(shards, Arc::clone(&topics), Arc::clone(&inboxes[shards]));
        let mut shards: Vec<_> = (0..shards)
            .zip(inboxes)
            .map(|(index, inbox)| Shard::new(now, index, Arc::clone(&topics), inbox))
            .collect();
        let shard = shards.remove(0);
        (
            Self {
                topics,
                shard,
                sockets: Sockets::default(),
                now,
                calls,
                commits: Vec::new(),
                disk_fails: false,
                disk_turn: None,
                disk_turns: 0,
                fetched: 0,
            },
            shards,
        )
    }

    pub fn connect(&mut self, dialect: Dialect) -> ConnectionId {
        self.shard.accept(self.now, dialect, AccountKey(1))
    }

    /// Connects and signs in.
    pub fn client(&mut self, producer: u8) -> ConnectionId {
        let id = self.connect(Dialect::Binary);
        self.say(id, &[hello(producer, 1)]);
        assert_eq!(self.heard(id), [Heard::Welcome]);
        id
    }

    /// The same in JSON.
    pub fn json_client(&mut self) -> ConnectionId {
        let id = self.connect(Dialect::Json);
        self.send(id, 1, br#"{"type":"hello"}"#);
        self.sockets.written.clear();
        id
    }

    /// Connects somebody who only listens.
    pub fn listener(&mut self, account: AccountKey, wishes: &[(&str, Start)]) -> ConnectionId {
        self.listener_with(account, Caller::default(), wishes)
    }

    /// The same, with a token that was checked.
    pub fn listener_with(
        &mut self,
        account: AccountKey,
        caller: Caller,
        wishes: &[(&str, Start)],
    ) -> ConnectionId {
        let wishes = wishes.iter().map(|(name, start)| (Selector::parse(name).unwrap(), start.clone()));
        let listening = Listening { caller: caller.into(), wishes: wishes.collect() };
        let id = self.shard.accept_listener(self.now, account, self.topics.arrive(), listening);
        // Of who had its place before.
        self.sockets.written.remove(&id);
        self.work();
        id
    }

    pub fn say(&mut self, id: ConnectionId, frames: &[ClientFrame<'_>]) {
        self.send(id, 2, &bytes_of(frames));
    }

    /// Says something while the disk takes its time.
    pub fn say_without_disk(&mut self, id: ConnectionId, frames: &[ClientFrame<'_>]) {
        self.deliver(id, 2, &bytes_of(frames));
        self.work_without_disk();
    }

    /// Sends one WebSocket message and lets the shard work.
    pub fn send(&mut self, id: ConnectionId, opcode: u8, payload: &[u8]) {
        self.deliver(id, opcode, payload);
        self.work();
    }

    pub fn deliver(&mut self, id: ConnectionId, opcode: u8, payload: &[u8]) {
        let mut bytes = masked(opcode, payload);
        self.shard.received(self.now, id, &mut bytes, &mut self.sockets);
    }

    pub fn work(&mut self) {
        while self.work_without_disk() || self.fetch_one() {}
    }

    /// The same as long as nothing is to be read from the disk; whether there was anything to do.
    pub fn work_without_disk(&mut self) -> bool {
        let mut any = false;
        while self.shard.turn(self.now, &mut self.sockets) || self.topics.read_on(self.now) {
            any = true;
        }
        any
    }

    /// Reads something from the disk that somebody waits for.
    pub fn fetch_one(&mut self) -> bool {
        let Some(mut fetching) = self.topics.reads().next_fetch() else { return false };
        self.disk_turns += 1;
        if let Some(most) = self.disk_turn {
            let most = if self.disk_turns.is_multiple_of(3) { 0 } else { most };
            let rest = fetching.fetch.offsets().get(most).copied();
            rest.into_iter().for_each(|next| fetching.fetch.cut(next));
        }
        self.fetched += fetching.fetch.offsets().len();
        if self.disk_fails {
            fetching.fetch.doubt();
        } else {
            self.commits.iter().for_each(|(_, body)| fetching.fetch.see(body));
        }
        self.topics.reads().fetched(self.now, fetching);
        true
    }

    /// Lets the socket take so many more bytes.
    pub fn room(&mut self, id: ConnectionId, bytes: usize) {
        self.sockets.room.insert(id, bytes);
        self.shard.writable(id);
        self.work();
    }

    /// Time passes in quarters of a second, as it does for the shell.
    pub fn wait(&mut self, ms: u64) {
        let until = self.now.plus(ms);
        while self.now < until {
            self.now = self.now.plus(250.min(until.since(self.now)));
            self.work();
        }
    }

    /// Bytes of a kind that are counted.
    pub fn held(&self, kind: Kind) -> usize {
        self.topics.ledger().held(kind)
    }

    /// Takes the frames that a connection was sent.
    pub fn heard(&mut self, id: ConnectionId) -> Vec<Heard> {
        self.heard_as(id, Heard::Close, Heard::new)
    }

    /// The same, for a test that looks at something else in them.
    pub fn heard_as<T>(
        &mut self,
        id: ConnectionId,
        close: impl Fn(u16) -> T,
        told: impl Fn(&HubFrame<'_>) -> T,
    ) -> Vec<T> {
        let bytes = std::mem::take(self.sockets.written.entry(id).or_default());
        let mut rest = &bytes[..];
        let mut heard = Vec::new();
        while let Some((opcode, payload)) = websocket_message(&mut rest) {
            if opcode == 8 {
                heard.push(close(u16::from_be_bytes([payload[0], payload[1]])));
                continue;
            }
            assert_eq!(opcode, 2);
            let mut frames = payload;
            while !frames.is_empty() {
                heard.push(told(&HubFrame::take(&mut frames).unwrap().unwrap()));
            }
        }
        assert!(rest.is_empty(), "a frame is cut short");
        heard
    }

    pub fn open(&mut self, id: ConnectionId, topic: &str) {
        self.say(id, &[open_as(1, 0, topic)]);
        assert_eq!(self.heard(id), [Heard::Opened]);
    }

    pub fn publish(&mut self, id: ConnectionId, seq: u64, payload: &[u8]) {
        self.say(id, &[publish_on(1, seq, payload)]);
    }

    pub fn subscribe(&mut self, id: ConnectionId, name: &str, from: Start, when_slow: WhenSlow) {
        let frame = Subscribe { request: Request(9), name: name.into(), from, when_slow };
        self.say(id, &[ClientFrame::Subscribe(frame)]);
    }

    /// Asks for a page of history, and gives the texts on it.
    pub fn history(&mut self, id: ConnectionId, name: &str, from: Start) -> Vec<String> {
        self.heard(id);
        let frame = History { request: Request(4), name: name.into(), from, ..History::default() };
        self.say(id, &[ClientFrame::History(frame)]);
        let heard = self.heard(id);
        let Some(Heard::Page(messages)) = heard.last() else { panic!("no page, but {heard:?}") };
        messages.iter().map(|message| message.text.clone()).collect()
    }

    /// How many messages one who reads from `earliest` gets.
    pub fn kept(&mut self, topic: &str) -> usize {
        let reader = self.client(250);
        self.subscribe(reader, topic, Start::Earliest, WhenSlow::CatchUp);
        let count = messages(&self.heard(reader)).len();
        self.shard.gone(self.now, reader);
        count
    }
}

/// What a test looks at in a frame.
#[derive(Debug, Clone, PartialEq)]
pub enum Heard {
    Welcome,
    Messages(Vec<Told>),
    /// Outcome, cursor, and what is missing.
    Subscribed(Outcome, u64, Option<(u64, u64, GapReason)>),
    /// From, to, cursor and why.
    Missing(u64, u64, u64, GapReason),
    /// From which seq on, and how many.
    Acked(u64, u64),
    Refused(u64, Code),
    Opened,
    Page(Vec<Told>),
    Attached(u64),
    Detached(u64, Code),
    Failed(Code),
    Goodbye(Code),
    Close(u16),
    Other(u8),
}

/// A message as a client hears it.
#[derive(Debug, Clone, PartialEq)]
pub struct Told {
    pub offset: u64,
    pub text: String,
}

impl Heard {
    pub fn new(frame: &HubFrame<'_>) -> Self {
        let told = |block: &tidewire_protocol::block::Block<'_>| -> Vec<_> {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            block.messages().flatten().map(|m| Told { offset: m.offset.0, text: text(m.payload) }).collect()
        };
        match frame {
            HubFrame::Welcome(_) => Self::Welcome,
            HubFrame::Block(block) => Self::Messages(told(block)),
            HubFrame::Subscribed(Subscribed { outcome, positions, gap, .. }) => {
                let gap = gap.map(|gap| (gap.from.0, gap.to.0, gap.reason));
                Self::Subscribed(*outcome, positions[0].offset.0, gap)
            }
            HubFrame::Missing(missing) => {
                let gap = missing.gap.unwrap();
                Self::Missing(gap.from.0, gap.to.0, missing.after.0, gap.reason)
            }
            HubFrame::Acked(acked) => Self::Acked(acked.seq.0, acked.count),
            HubFrame::Refused(refused) => Self::Refused(refused.seq.0, refused.code),
            HubFrame::Opened(_) => Self::Opened,
            HubFrame::Page(page) => {
                let blocks = tidewire_protocol::block::blocks_of_page(&page.blocks);
                Self::Page(blocks.flat_map(|block| told(&block.unwrap())).collect())
            }
            HubFrame::Attached(attached) => Self::Attached(attached.participant.0),
            HubFrame::Detached(detached) => Self::Detached(detached.participant.0, detached.code),
            HubFrame::Failed(failed) => Self::Failed(failed.code),
            HubFrame::Goodbye(goodbye) => Self::Goodbye(goodbye.code),
            HubFrame::Unsubscribed(_) => Self::Other(71),
            HubFrame::Progress(_) => Self::Other(73),
            HubFrame::Heartbeat(_) => Self::Other(75),
            HubFrame::SignedIn(_) => Self::Other(81),
        }
    }
}

/// All messages of blocks.
pub fn messages(heard: &[Heard]) -> Vec<&Told> {
    let mut all = Vec::new();
    for heard in heard {
        if let Heard::Messages(messages) = heard {
            all.extend(messages);
        }
    }
    all
}

/// Everything else, for people.
pub fn but_messages(heard: &[Heard]) -> Vec<&Heard> {
    heard.iter().filter(|heard| !matches!(heard, Heard::Messages(_) | Heard::Other(_))).collect()
}

pub fn bytes_of(frames: &[ClientFrame<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for frame in frames {
        frame.put(&mut bytes);
    }
    bytes
}

/// A client's WebSocket frame, with a mask of zeros.
pub fn masked(opcode: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80 | opcode];
    match payload.len() {
        len @ 0..=125 => bytes.push(0x80 | len as u8),
        len @ 126..=0xffff => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

pub fn websocket_message<'a>(rest: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&[first, second], body) = rest.split_first_chunk::<2>()?;
    let (len, body) = match second {
        126 => body.split_first_chunk::<2>().map(|(n, body)| (usize::from(u16::from_be_bytes(*n)), body))?,
        127 => body.split_first_chunk::<8>().map(|(n, body)| (u64::from_be_bytes(*n) as usize, body))?,
        len => (usize::from(len), body),
    };
    let (payload, after) = body.split_at_checked(len)?;
    *rest = after;
    Some((first & 15, payload))
}

pub fn hello(producer: u8, incarnation: u64) -> ClientFrame<'static> {
    let producer = ProducerId([producer; 16]);
    ClientFrame::Hello(Hello { producer, incarnation: Incarnation(incarnation), ..Hello::default() })
}

pub fn attach(participant: u64, producer: u8, incarnation: u64) -> ClientFrame<'static> {
    ClientFrame::Attach(Attach {
        participant: Participant(participant),
        producer: ProducerId([producer; 16]),
        incarnation: Incarnation(incarnation),
    })
}

pub fn detach(participant: u64) -> ClientFrame<'static> {
    ClientFrame::Detach(Detach { participant: Participant(participant) })
}

pub fn open_as(handle: u64, participant: u64, topic: &str) -> ClientFrame<'_> {
    ClientFrame::Open(Open {
        handle: Handle(handle),
        participant: Participant(participant),
        topic: topic.into(),
        lowest: Seq(1),
        ..Open::default()
    })
}

pub fn publish_on(handle: u64, seq: u64, payload: &[u8]) -> ClientFrame<'_> {
    let (handle, seq, payload) = (Handle(handle), Seq(seq), payload.into());
    ClientFrame::Publish(Publish { handle, seq, lowest: seq, payload, ..Publish::default() })
}

pub fn rule(pattern: &str, retention: Retention) -> TopicRule {
    TopicRule { pattern: Pattern::parse(pattern).unwrap(), retention, log: 0 }
}

pub fn keep_all() -> Vec<TopicRule> {
    vec![rule(">", ALL)]
}

pub fn after(offset: u64) -> Start {
    Start::After(vec![Position { epoch: EPOCH, offset: Offset(offset) }])
}

pub fn limits(change: impl FnOnce(&mut Limits)) -> Limits {
    let mut limits = Limits::default();
    change(&mut limits);
    limits
}
