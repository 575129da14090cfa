//! Clients that keep no rule: they say whatever the protocol can spell, stop reading, send halves, come back as
//! somebody older, and vanish. The others must not notice.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::names::follow::FOLLOWED_BYTES;
use tidewire_hub_core::topic::NAME_BYTES;
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::client_frame::{
    self, Attach, Batch, ClientFrame, Detach, Heartbeat, Hello, History, Open, Publish, Shut, Subscribe,
    Terms, Unsubscribe,
};
use tidewire_protocol::code::{Content, Durability, WhenSlow};
use tidewire_protocol::number::{
    Handle, Incarnation, NUMBER_MAX, Offset, Participant, ProducerId, Request, Seq, Tag, TailNumber,
};
use tidewire_protocol::position::{Position, Start};

use crate::names::{NAMES, SELECTORS, TOPICS};
use crate::oracle::payload::put_payload;
use crate::websocket::{BINARY, CLOSE, put_masked};
use crate::world::World;
use crate::world::callers::account_of_caller;
use crate::world::event::Event;
use crate::world::link::{Link, LinkId, Owner};
use crate::world::sources::account_of_source;

/// One hostile client, with all the connections that it has.
#[derive(Debug, Default)]
pub struct Hostile {
    /// Its links, whether the hub still has them or not.
    pub links: Vec<LinkId>,
    /// The other halves of what was sent last on links.
    rests: BTreeMap<LinkId, Vec<u8>>,
    /// What it has said on links: it breaks rules that it knows.
    said: BTreeMap<LinkId, Said>,
}

/// What was said on a link.
#[derive(Debug, Default)]
struct Said {
    /// Handles that were opened, and the seq that comes next.
    handles: BTreeMap<u64, u64>,
    participants: BTreeSet<u64>,
}

impl World {
    /// One more, who begins at once.
    pub fn new_hostile(&mut self) -> usize {
        self.hostiles.push(Hostile::default());
        self.hostiles.len() - 1
    }

    /// They may begin, or go on.
    pub(crate) fn hostiles_rage(&mut self) {
        for hostile in 0..self.hostiles.len() {
            let wait = self.random.below(2_000);
            self.after(wait, Event::Rage(hostile));
        }
    }

    /// Does something, and plans the next.
    pub(crate) fn rage(&mut self, hostile: usize) {
        if self.calm {
            return;
        }
        let wait = self.random.magnitude(1, RAGE_MS);
        self.after(wait, Event::Rage(hostile));
        let links = self.hostiles[hostile].links.len() as u64;
        if links == 0 || links < LINKS_MAX as u64 && self.random.one_in(20) {
            return self.hostile_connects(hostile);
        }
        let place = self.random.below(links) as usize;
        let id = self.hostiles[hostile].links[place];
        match self.random.below(40) {
            0 => self.hostile_lets_go(hostile, id),
            1 => self.fall_silent(id),
            2 => self.cut(id),
            3..=5 => {
                let ms = self.random.magnitude(100, 200_000);
                self.stall(id, ms);
            }
            6 => self.links[id as usize].capacity = self.random.between(1, 60) as usize,
            7 if self.random.one_in(4) => self.hostile_sends(hostile, id, |world, out| {
                let noise = world.random.magnitude(1, 200);
                out.extend((0..noise).map(|_| world.random.number() as u8));
            }),
            8..=10 => self.hostile_sends(hostile, id, |world, out| {
                let opcode = if world.random.one_in(10) { *world.random.pick(&[CLOSE, 1, 0]) } else { 9 };
                put_masked(opcode, b"not asked for", &mut world.random, out);
            }),
            _ => self.hostile_sends(hostile, id, |world, out| {
                let mut message = Vec::new();
                for _ in 0..world.random.magnitude(1, 60) {
                    world.some_frame(hostile, id).put(&mut message);
                    if world.batches.one_in(60) {
                        world.some_batch(hostile, id, &mut message);
                    }
                }
                put_masked(BINARY, &message, &mut world.random, out);
            }),
        }
    }

    fn hostile_connects(&mut self, hostile: usize) {
        let shard = self.random.below(self.setup.shards as u64) as usize;
        let capacity = self.random.magnitude(24, 10_000) as usize;
        let id = self.links.len() as LinkId;
        let Some(hub) = &mut self.hub else { return };
        let place = hub.accept(self.now, shard, id, account_of(hostile));
        self.links.push(Link::new(Owner::Hostile(hostile), shard, place, capacity));
        self.hostiles[hostile].links.push(id);
        self.note(|| format!("hostile {hostile} connects: link {id}, shard {shard}"));
        self.turn_at(shard, 0);
        if !self.random.one_in(10) {
            self.hostile_sends(hostile, id, |world, out| {
                let (producer, incarnation) = (world.some_producer(hostile), world.some_incarnation());
                let mut hello = Vec::new();
                Hello { producer, incarnation, ..Hello::default() }.put(&mut hello);
                put_masked(BINARY, &hello, &mut world.random, out);
            });
        }
    }

    /// Sends what `compose` appends, or only a half of it; the other half may follow later.
    fn hostile_sends(&mut self, hostile: usize, id: LinkId, compose: impl FnOnce(&mut Self, &mut Vec<u8>)) {
        let mut bytes = self.hostiles[hostile].rests.remove(&id).unwrap_or_default();
        if !bytes.is_empty() && self.random.one_in(10) {
            // The other half never comes. Something else in its place would be a payload that nobody knows.
            return self.hostile_lets_go(hostile, id);
        }
        compose(self, &mut bytes);
        if self.random.one_in(8) {
            let half = self.random.below(bytes.len() as u64 + 1) as usize;
            let rest = bytes.split_off(half);
            self.hostiles[hostile].rests.insert(id, rest);
        }
        self.links[id as usize].up.extend(bytes);
        self.plan_up(id);
    }

    /// It lets go of a link. What it has sent may still arrive.
    pub(crate) fn hostile_lets_go(&mut self, hostile: usize, id: LinkId) {
        self.hostiles[hostile].links.retain(|link| *link != id);
        self.links[id as usize].client = false;
        let wait = self.random.magnitude(1, 20_000);
        self.after(wait, Event::Gone(id));
    }

    /// All of them leave. What they have sent and has not arrived is lost.
    pub(crate) fn hostiles_leave(&mut self) {
        for hostile in 0..self.hostiles.len() {
            for id in std::mem::take(&mut self.hostiles[hostile].links) {
                self.links[id as usize].client = false;
                self.links[id as usize].dead_up = true;
            }
        }
    }

    /// Once hostile clients have gone, the hub holds what it holds for the others, and nothing more.
    pub(crate) fn check_hostiles_are_forgotten(&mut self) {
        let Some(hub) = &self.hub else { return };
        let ledger = hub.topics.ledger();
        let mut wrong = Vec::new();
        for kind in [Kind::Unread, Kind::HalfReceived, Kind::Staged, Kind::Reading] {
            let clients = (0..self.actors.len()).map(account_of_client);
            let others = clients.chain((0..self.sources.len()).map(account_of_source));
            let others = others.chain((0..self.callers.len()).map(account_of_caller));
            let others = others.map(|account| ledger.account(account).held(kind));
            let (all, others) = (ledger.held(kind), others.sum::<usize>());
            if all != others {
                wrong.push(format!("{all} bytes of {kind:?}, and {others} are of those who are here"));
            }
        }
        // What they named stays only where there is a message, or somebody else listens.
        let topics = hub.topics.metrics().topics.value() as usize;
        let patterns = (SELECTORS - TOPICS) * FOLLOWED_BYTES;
        let (names, most) = (ledger.held(Kind::Names), topics * 3 * NAME_BYTES + patterns);
        if names < topics * NAME_BYTES || names > most {
            wrong.push(format!("{names} bytes of names for {topics} topics"));
        }
        if !wrong.is_empty() {
            self.oracle.object(format_args!("the hub still holds {}", wrong.join(", ")));
        }
    }

    /// A frame, mostly with numbers that fit what was said before: who breaks a rule at once does not get far.
    fn some_frame(&mut self, hostile: usize, id: LinkId) -> ClientFrame<'static> {
        let number = self.random.below(6);
        let breaks = self.random.one_in(100);
        let request = Request(self.random.below(4));
        let said = self.hostiles[hostile].said.entry(id).or_default();
        match self.random.below(24) {
            0 if breaks || number > 0 && said.participants.insert(number) => ClientFrame::Attach(Attach {
                participant: Participant(number),
                producer: self.some_producer(hostile),
                incarnation: self.some_incarnation(),
            }),
            1 if breaks || said.participants.remove(&number) => {
                ClientFrame::Detach(Detach { participant: Participant(number) })
            }
            2..=4 if breaks || !said.handles.contains_key(&number) => {
                let lowest = if self.random.one_in(4) { self.random.magnitude(0, NUMBER_MAX) } else { 1 };
                said.handles.insert(number, lowest);
                let participant = if said.participants.contains(&number) { number } else { 0 };
                ClientFrame::Open(Open {
                    handle: Handle(number),
                    participant: Participant(participant),
                    topic: self.some_name().into(),
                    lowest: Seq(lowest),
                    unacknowledged: self.random.one_in(8),
                    again: number.is_multiple_of(3),
                })
            }
            5..=11 if breaks || said.handles.contains_key(&number) => self.some_publish(hostile, id, number),
            12 if breaks || said.handles.remove(&number).is_some() => {
                ClientFrame::Shut(Shut { handle: Handle(number) })
            }
            13..=15 => ClientFrame::Subscribe(Subscribe {
                request,
                name: self.some_name().into(),
                from: self.any_start(),
                when_slow: self.some_policy(),
            }),
            16..=17 => {
                let tail = TailNumber(self.random.magnitude(0, 60));
                ClientFrame::Unsubscribe(Unsubscribe { request, tail })
            }
            18..=21 => ClientFrame::History(History {
                request,
                name: self.some_name().into(),
                from: self.any_start(),
                bytes_max: self.random.magnitude(0, NUMBER_MAX),
                removals: Offset(request.0),
                messages_max: request.0 % 3,
            }),
            _ if breaks => ClientFrame::Hello(Hello::default()),
            _ => ClientFrame::Heartbeat(Heartbeat { request }),
        }
    }

    /// A batch by handles that may be open; some break off, or hold what no batch may.
    fn some_batch(&mut self, hostile: usize, id: LinkId, message: &mut Vec<u8>) {
        let count = self.batches.below(6) + 1;
        let announced = if self.batches.one_in(30) { self.batches.magnitude(0, NUMBER_MAX) } else { count };
        ClientFrame::Batch(Batch { count: announced }).put(message);
        for _ in 0..count {
            let handle = self.batches.below(6);
            let breaks = self.batches.one_in(60);
            let frame = match self.some_publish(hostile, id, handle) {
                ClientFrame::Publish(publish) if !breaks => {
                    ClientFrame::Publish(Publish { void: false, ..publish })
                }
                ClientFrame::Send(send) if !breaks => {
                    let (seq, payload) = (Seq(self.batches.below(4)), send.payload);
                    ClientFrame::Publish(Publish { handle: send.handle, seq, payload, ..Publish::default() })
                }
                frame => frame,
            };
            frame.put(message);
        }
    }

    /// A publish of a payload that is the oracle's, once; its seq is right, or was used before, or is far off.
    fn some_publish(&mut self, hostile: usize, id: LinkId, handle: u64) -> ClientFrame<'static> {
        let most = self.setup.hub.limits.message_bytes_max as u64;
        let len = if self.random.one_in(50) { most + 1 } else { self.random.magnitude(8, most) };
        let uid = self.oracle.published_by_hostile(len as u32);
        let mut payload = Vec::new();
        put_payload(uid, len as usize, &mut payload);
        let said = self.hostiles[hostile].said.entry(id).or_default();
        let next = said.handles.entry(handle).or_insert(1);
        let seq = match self.random.below(12) {
            0 => self.random.magnitude(0, NUMBER_MAX),
            1 | 2 => next.saturating_sub(self.random.below(4)),
            _ => {
                *next += 1;
                *next - 1
            }
        };
        if self.random.one_in(4) {
            let expires_ms = self.random.magnitude(0, NUMBER_MAX);
            let (handle, content, payload) = (Handle(handle), Content::Binary, payload.into());
            let attributes = self.some_attributes();
            let send = client_frame::Send { handle, content, expires_ms, payload, attributes };
            return ClientFrame::Send(send);
        }
        let void = self.random.one_in(8);
        let run = void && self.random.one_in(2);
        // Beyond all numbers now and then.
        let left = NUMBER_MAX.saturating_sub(seq) + 1 + u64::from(self.random.one_in(200));
        let count = if run { self.random.magnitude(1, left) } else { self.random.below(2) };
        if run && seq.saturating_add(1) == self.next_seq_of(hostile, id, handle) {
            self.hostiles[hostile].said.entry(id).or_default().handles.insert(handle, seq + count.min(100));
        }
        let tag = if self.random.one_in(4) { self.random.magnitude(1, 200) } else { 0 };
        let (attributes, terms) = (self.some_attributes(), self.some_terms());
        ClientFrame::Publish(Publish {
            handle: Handle(handle),
            seq: Seq(seq),
            lowest: Seq(if self.random.one_in(3) { self.random.magnitude(0, seq + 2) } else { 0 }),
            content: *self.random.pick(&[Content::Binary, Content::Binary, Content::Text, Content::Cbor]),
            maybe_duplicate: self.random.one_in(5),
            void,
            payload: payload.into(),
            tag: Tag(tag),
            count,
            attributes,
            terms,
        })
    }

    /// Mostly none; some are none that a message may have.
    fn some_attributes(&mut self) -> Attributes<'static> {
        if !self.random.one_in(4) {
            return Attributes::default();
        }
        let key_bytes = if self.random.one_in(2) { self.random.magnitude(0, 260) } else { 0 };
        let count = if self.random.one_in(2) { self.random.below(36) } else { 0 };
        let names: Vec<_> = (0..count).map(|_| format!("n{}", self.random.below(200))).collect();
        let value = "v".repeat(self.random.magnitude(0, 300) as usize);
        Attributes {
            key: "k".repeat(key_bytes as usize).into(),
            headers: Headers::of(names.iter().map(|name| (name, &value))),
            ..Attributes::default()
        }
    }

    fn some_terms(&mut self) -> Terms {
        let durability = self.random.one_in(4).then(|| Durability::from_number(self.random.below(6)));
        Terms { durability, ..Terms::default() }
    }

    /// The seq that it would give its next publish by a handle.
    fn next_seq_of(&self, hostile: usize, id: LinkId, handle: u64) -> u64 {
        let said = self.hostiles[hostile].said.get(&id);
        said.and_then(|said| said.handles.get(&handle)).copied().unwrap_or(1)
    }

    /// A topic or pattern of everybody's, one that nobody else names, or none at all.
    fn some_name(&mut self) -> String {
        match self.random.below(8) {
            0 => format!("flood.{}", self.random.below(10_000)),
            1 => format!("flood.{}.*", self.random.below(100)),
            2 => String::from(*self.random.pick(&["", ".", "$hub.x", "a..b", "*.>", ">", "no\0name"])),
            _ => NAMES[self.random.below(SELECTORS as u64) as usize].to_owned(),
        }
    }

    /// One of its own few, or one that nobody has seen. Those of others are secret.
    fn some_producer(&mut self, hostile: usize) -> ProducerId {
        let own = (hostile as u64) << 8 | self.random.below(3);
        let number = if self.random.one_in(2) { self.random.number() } else { own };
        let mut id = [0xff; 16];
        id[8..].copy_from_slice(&number.to_be_bytes());
        ProducerId(id)
    }

    fn some_incarnation(&mut self) -> Incarnation {
        Incarnation(if self.random.one_in(10) { NUMBER_MAX } else { self.random.below(8) })
    }

    fn some_policy(&mut self) -> WhenSlow {
        *self.random.pick(&[WhenSlow::CatchUp, WhenSlow::Gap, WhenSlow::Disconnect, WhenSlow::Latest])
    }

    /// Any start that can be written, of places too that never were.
    fn any_start(&mut self) -> Start {
        match self.random.below(6) {
            0 => Start::Latest,
            1 => Start::Earliest,
            2 => Start::Last(self.random.magnitude(0, NUMBER_MAX)),
            3 => Start::SinceMs(self.random.magnitude(0, NUMBER_MAX)),
            _ => {
                let epoch = self.random.pick(&self.oracle.logs).epoch;
                let most = if self.random.one_in(3) { NUMBER_MAX } else { 2_000 };
                let places = self.random.magnitude(1, 3);
                let place = |_| Position { epoch, offset: Offset(self.random.magnitude(0, most)) };
                Start::After((0..places).map(place).collect())
            }
        }
    }
}

/// A client that keeps the rules comes from an address of its own too.
pub(crate) fn account_of_client(actor: usize) -> AccountKey {
    AccountKey(actor as u128 + 1)
}

/// Each comes from an address of its own.
#[must_use]
pub fn account_of(hostile: usize) -> AccountKey {
    AccountKey(1 << 64 | hostile as u128)
}

/// Connections of one hostile client at once.
pub(crate) const LINKS_MAX: usize = 4;
/// Longest wait between two things that it does, milliseconds.
const RAGE_MS: u64 = 10_000;
