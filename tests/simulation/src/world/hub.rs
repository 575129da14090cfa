//! The hub of a world: its logs, its shards, and the oracle's ear on everything that becomes visible.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::access::Access;
use tidewire_hub_core::access::caller::{Caller, Right};
use tidewire_hub_core::calls::Calls;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{Account, AccountKey, Kind};
use tidewire_hub_core::letter::{Inbox, Mail};
use tidewire_hub_core::log::engine::{Disk as Commits, Engine, Simulated};
use tidewire_hub_core::names::follow::Followed;
use tidewire_hub_core::reading::fetch::Fetch;
use tidewire_hub_core::reading::question::{Answer, Ask, More, Whose};
use tidewire_hub_core::shard::Shard;
use tidewire_hub_core::shard::listening::Listening;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_hub_core::tail::Tail;
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::block::Message;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::Start;

use crate::names::everything;
use crate::oracle::Oracle;
use crate::setup::Setup;
use crate::world::callers::CallIndex;
use crate::world::disk::Disk;
use crate::world::hub::lasting::Durable;
use crate::world::link::{Link, LinkId, Sockets};

pub mod lasting;

/// One life of the hub.
#[derive(Debug)]
pub struct Hub {
    /// What its shards share.
    pub topics: Arc<Topics>,
    /// Its shards.
    pub seats: Vec<Seat>,
    /// What is asked without a connection.
    pub calls: Calls<CallIndex>,
    ear: Ear,
    /// What the checker's thread would be woken for; none if no tokens are taken.
    checks_wait: Arc<AtomicBool>,
    /// What the reader's thread would be woken for.
    read_waits: Arc<AtomicBool>,
    /// What the thread that reads the disk would be woken for.
    fetch_waits: Arc<AtomicBool>,
    late_log: u8,
    is_late: bool,
    durable: Option<u8>,
    /// Links that the hub wrote to or closed in the last step.
    pub touched: Vec<LinkId>,
    /// Whether a shard used a connection that it does not have.
    pub misused: bool,
}

/// A shard and what its thread would own.
#[derive(Debug)]
pub struct Seat {
    /// The shard.
    pub shard: Shard,
    /// Its mail.
    pub inbox: Arc<Inbox>,
    /// Its sockets.
    pub places: Vec<Option<LinkId>>,
    /// Number of its next turn; turns with another number are void.
    pub stamp: u32,
    /// When its next turn is.
    pub due: u64,
}

/// A subscription of the oracle's own, to everything, that is looked at after every step.
#[derive(Debug)]
struct Ear {
    index: usize,
    inbox: Arc<Inbox>,
    account: Arc<Account>,
    followed: Arc<Followed>,
    /// The pattern's tail in each log, and how far it was heard.
    tails: Vec<(Arc<Tail>, Offset)>,
}

impl Seat {
    fn put(&mut self, id: ConnectionId, link: LinkId) {
        let place = id.0 as usize;
        self.places.resize(self.places.len().max(place + 1), None);
        self.places[place] = Some(link);
    }
}

impl Hub {
    /// Starts a hub, at a time of the steady clock and of the system's.
    ///
    /// # Panics
    /// If the limits leave no room for one pattern.
    #[must_use]
    pub fn start(
        (now, system): (u64, u64),
        setup: &Setup,
        epochs: &[Epoch],
        lasting: Option<Durable>,
    ) -> Self {
        let inbox = || Arc::new(Inbox::new(Box::new(|| {})));
        let inboxes: Vec<_> = (0..setup.shards + 2).map(|_| inbox()).collect();
        let log = |(index, epoch): (u8, &Epoch)| {
            let is_late = setup.late_engine && index == setup.late_log;
            let engine = match setup.durable {
                Some(durable) if durable == index => Engine::Disk(Commits::default()),
                Some(_) | None if is_late => Engine::Simulated(Simulated::default()),
                Some(_) | None => Engine::Memory,
            };
            (*epoch, engine)
        };
        let logs = (0..).zip(epochs).map(log).collect();
        let topics = Arc::new(Topics::with_logs(setup.hub.clone(), logs, inboxes.clone()));
        if let Some(lasting) = lasting {
            lasting.restore(now, &topics);
        }
        // A hub of the world begins where the steady clock of all its hubs is, and not with the system's.
        topics.calendar().follow(Millis(now), Millis(system));
        let (read_waits, fetch_waits) = (Arc::default(), Arc::default());
        topics.reads().on_work(setting(&read_waits));
        topics.reads().on_fetch(setting(&fetch_waits));
        let checks_wait = Arc::default();
        if setup.tokens_ms > 0 {
            topics.credentials().on_work(setting(&checks_wait));
        }
        let seat = |(index, inbox): (usize, &Arc<Inbox>)| Seat {
            shard: Shard::new(Millis(now), index, Arc::clone(&topics), Arc::clone(inbox)),
            inbox: Arc::clone(inbox),
            places: Vec::new(),
            stamp: 0,
            due: u64::MAX,
        };
        let seats = inboxes[..setup.shards].iter().enumerate().map(|(index, inbox)| seat((index, inbox)));
        let seats = seats.collect();
        let index = setup.shards;
        let account = topics.ledger().account(AccountKey(0));
        // The oracle hears what clients may not.
        let all = Access::open()
            .read(&Caller::default(), Right::Subscribe, everything())
            .expect("open to everybody");
        let joined = topics.join(Millis(now), index, &all, &Start::Latest, &account);
        let joined = joined.expect("a new hub has room for one pattern");
        let followed = joined.followed.expect("a pattern is followed");
        let stored = |tail: &Arc<Tail>| topics.log(tail.log).visible();
        let tails = joined.tails.into_iter().map(|tail| (Arc::clone(&tail), stored(&tail))).collect();
        let calls = Calls::new(index + 1, Arc::clone(&topics), Arc::clone(&inboxes[index + 1]));
        let inbox = Arc::clone(&inboxes[index]);
        let ear = Ear { index, inbox, account, followed, tails };
        let (late_log, is_late, durable) = (setup.late_log, setup.late_engine, setup.durable);
        Self {
            topics,
            seats,
            calls,
            ear,
            checks_wait,
            read_waits,
            fetch_waits,
            late_log,
            is_late,
            durable,
            touched: Vec::new(),
            misused: false,
        }
    }

    /// It goes with all that it has. Tells what is still counted then, which nothing holds.
    #[must_use]
    pub fn end(self) -> Vec<(Kind, usize)> {
        let ledger = Arc::clone(self.topics.ledger());
        drop(self);
        // What connections and shelves hold is counted in their place, which goes without being emptied.
        let in_place =
            [Kind::Windows, Kind::Unread, Kind::HalfReceived, Kind::Staged, Kind::Pinned, Kind::Parting];
        let counted = Kind::ALL.into_iter().filter(|kind| !in_place.contains(kind));
        let held = counted.map(|kind| (kind, ledger.held(kind)));
        held.filter(|(_, bytes)| *bytes > 0).collect()
    }

    /// A client's socket comes to a shard.
    pub fn accept(&mut self, now: u64, shard: usize, link: LinkId, account: AccountKey) -> ConnectionId {
        let seat = &mut self.seats[shard];
        let id = seat.shard.accept(Millis(now), Dialect::Binary, account);
        seat.put(id, link);
        id
    }

    /// One who only listens comes to a shard.
    pub fn accept_listener(
        &mut self,
        now: u64,
        shard: usize,
        link: LinkId,
        account: AccountKey,
        listening: Listening,
    ) -> ConnectionId {
        let arrival = self.topics.arrive();
        let seat = &mut self.seats[shard];
        let id = seat.shard.accept_listener(Millis(now), account, arrival, listening);
        seat.put(id, link);
        id
    }

    /// A shard takes its turn; tells whether it has more to do.
    pub fn turn(&mut self, now: u64, shard: usize, links: &mut Vec<Link>) -> bool {
        let Self { seats, touched, misused, .. } = self;
        let seat = &mut seats[shard];
        let mut sockets = Sockets { places: &mut seat.places, links, touched, misused };
        seat.shard.turn(Millis(now), &mut sockets)
    }

    /// A shard receives bytes.
    pub fn receive(
        &mut self,
        now: u64,
        shard: usize,
        id: ConnectionId,
        bytes: &mut [u8],
        links: &mut Vec<Link>,
    ) {
        let Self { seats, touched, misused, .. } = self;
        let seat = &mut seats[shard];
        let mut sockets = Sockets { places: &mut seat.places, links, touched, misused };
        seat.shard.received(Millis(now), id, bytes, &mut sockets);
    }

    /// Whether something has come for those who call.
    #[must_use]
    pub fn has_answers(&self) -> bool {
        self.calls.has_mail()
    }

    /// A socket failed.
    pub fn gone(&mut self, now: u64, shard: usize, id: ConnectionId) {
        let seat = &mut self.seats[shard];
        if let Some(place) = seat.places.get_mut(id.0 as usize) {
            *place = None;
        }
        seat.shard.gone(Millis(now), id);
    }

    /// Ages some topics, between whatever shards do.
    pub fn sweep(&self, now: u64) {
        self.topics.sweep(Millis(now));
    }

    /// One step of a late engine: something that waits is stored, or fails. `false` if nothing waits.
    pub fn store_one(&mut self, chance: u64, fails: bool) -> bool {
        self.topics.with_log(self.late_log, |log| {
            let Engine::Simulated(engine) = &mut log.engine else { return false };
            let Some(offset) = engine.pick(chance as usize) else { return false };
            if fails {
                log.fail(offset);
            } else {
                log.complete(offset);
            }
            true
        })
    }

    /// Tells the oracle what has become visible since the last look.
    pub fn listen(&mut self, now: u64, disk: Option<&Disk>, oracle: &mut Oracle) {
        if !self.ear.inbox.has_mail() {
            return;
        }
        self.ear.inbox.take(&mut Mail::default());
        for log in 0..self.ear.tails.len() {
            self.listen_to(now, log, disk, oracle);
        }
    }

    fn listen_to(&mut self, now: u64, log: usize, disk: Option<&Disk>, oracle: &mut Oracle) {
        let (tail, cursor) = &self.ear.tails[log];
        let cursor = *cursor;
        tail.marks.of(self.ear.index).take();
        let mut blocks = Vec::new();
        let end = tail.take_after(cursor, &mut blocks);
        let taken_ms = self.taken_ms(now, log);
        let beginning = blocks.first().map_or(end, |block| block.prev);
        if beginning > cursor {
            oracle.reads_back(log, cursor, beginning);
            self.read_back(now, log, disk, beginning, oracle);
        }
        for block in &blocks {
            for message in block.wire().messages().flatten().filter(|message| message.offset > cursor) {
                oracle.shown(now, log, taken_ms, &message);
            }
        }
        if beginning > cursor {
            oracle.missed_some(log, end);
        }
        self.ear.tails[log].1 = end;
        if beginning > cursor {
            oracle.reached(log, end.0);
        }
    }

    /// When what becomes visible now was taken: now, unless its engine is late.
    fn taken_ms(&self, now: u64, log: usize) -> Option<u64> {
        let is_late = self.is_late && usize::from(self.late_log) == log;
        let is_durable = self.durable.map(usize::from) == Some(log);
        (!is_late && !is_durable).then_some(now)
    }

    /// The pattern's tail has dropped some before the look: what the topics still have is read from there.
    fn read_back(&self, now: u64, log: usize, disk: Option<&Disk>, upto: Offset, oracle: &mut Oracle) {
        let taken_ms = self.taken_ms(now, log);
        let cursor = self.ear.tails[log].1;
        self.read_through(now, log, disk, (cursor, upto), |message| {
            oracle.shown(now, log, taken_ms, message)
        });
    }

    /// What the topics of a log have between two places.
    fn read_through(
        &self,
        now: u64,
        log: usize,
        disk: Option<&Disk>,
        (mut cursor, upto): (Offset, Offset),
        mut visit: impl FnMut(&Message<'_>),
    ) {
        let mut merge = None;
        loop {
            let followed = Arc::clone(&self.ear.followed);
            let told = Offset(u64::MAX);
            let whose = Whose::Pattern(followed);
            let more = More { whose, log: log as u8, cursor, told, bare_from: Offset(0), merge };
            let fetch = |wanted: &mut Fetch| {
                let Some(disk) = disk else { return };
                disk.list().into_iter().for_each(|segment| disk.read(segment, wanted));
            };
            let answer = self.topics.read_at_once(Millis(now), &self.ear.account, Ask::More(more), fetch);
            let Answer::More { part, merge: rest, .. } = answer else { return };
            for block in &part.blocks {
                for message in block.wire().messages().flatten().filter(|message| message.offset <= upto) {
                    visit(&message);
                }
            }
            if part.done || part.upto >= upto {
                return;
            }
            (cursor, merge) = (part.upto, rest);
        }
    }

    /// One step of a read of many topics. `false` if none is under way.
    pub fn read_on(&self, now: u64) -> bool {
        let more = self.topics.read_on(Millis(now));
        self.read_waits.store(more, Ordering::Relaxed);
        more
    }

    /// Whether tokens wait to be checked.
    #[must_use]
    pub fn checks_wait(&self) -> bool {
        self.checks_wait.load(Ordering::Relaxed)
    }

    /// One was checked, and there may be more.
    pub fn checked(&self, more: bool) {
        self.checks_wait.store(more, Ordering::Relaxed);
    }

    /// Whether somebody asked for such a read since there was none.
    #[must_use]
    pub fn read_waits(&self) -> bool {
        self.read_waits.load(Ordering::Relaxed)
    }
}

/// Sets a flag whenever it is called.
fn setting(flag: &Arc<AtomicBool>) -> Box<dyn Fn() + Send + Sync> {
    let flag = Arc::clone(flag);
    Box::new(move || flag.store(true, Ordering::Relaxed))
}
