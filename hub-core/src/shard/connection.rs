//! One connection of a shard: what it reads into, and what it still has to write.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::access::Edition;
use crate::block::Block;
use crate::block::pins::Pin;
use crate::clock::{Millis, NEVER};
use crate::dialect::Dialect;
use crate::ledger::{Account, Charge, Kind};
use crate::letter::{Address, Serials};
use crate::names::producers::Arrival;
use crate::session::Session;
use crate::session::desk::Desk;
use crate::session::gathered::Gathered;
use crate::session::replies::Replies;
use crate::shard::following::Following;
use crate::shard::places::Places;
use crate::tail::{Tail, TailKey};
use crate::topics::Topics;
use crate::websocket::reader::Reader;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Tells it from later ones in the same place.
    pub generation: u32,
    /// When it came, among all of the hub.
    pub arrival: Arrival,
    /// What it speaks.
    pub dialect: Dialect,
    /// Who answers for the memory that it takes.
    pub account: Arc<Account>,
    /// What it is charged with.
    pub held: Held,
    /// Whether the socket takes bytes, as far as is known.
    pub writable: bool,
    /// It took some since its last timer, after it had been full.
    pub reads_on: bool,
    /// Whether it is on the shard's list of those that were answered.
    pub answered: bool,
    /// Whether it is on the shard's ready list.
    pub ready: bool,
    /// It gets its last frames until then, and is closed.
    pub closing: Option<Millis>,
    /// When it was accepted.
    pub since: Millis,
    /// When it was accepted, or last heard of.
    pub heard: Millis,
    /// When it gets its next heartbeat.
    pub heartbeat_at: Millis,
    /// The number of its timer: those armed before mean nothing any more.
    pub timer: u32,
    /// When that comes.
    pub timer_at: Millis,
    /// What came in and is not whole yet.
    pub reader: Reader,
    /// What tells apart all that it makes.
    pub serials: Serials,
    /// The conversation.
    pub session: Session,
    /// A frame, or frames, of which a part is written: finished before anything else.
    pub half: Option<Half>,
    /// Whole WebSocket messages that wait to be written.
    pub outbox: Vec<u8>,
    /// Bytes of the longest page among what is unread: so much may be unread on top of the usual.
    pub page_bytes: usize,
    /// Its subscriptions, by tail; one to a pattern has a tail in each log.
    pub subscriptions: Vec<Subscription>,
    /// What these take, with their cursors.
    pub subscribed: Charge,
    /// Names that it is subscribed to.
    pub names: usize,
    /// How many of them are patterns.
    pub patterns: usize,
    /// What else there is to know of those to patterns.
    pub following: Following,
    /// Those that lag and take turns.
    pub lagging: VecDeque<TailKey>,
    /// Its places in several logs, if it is told them in one.
    pub places: Option<Box<Places>>,
}

/// What a connection is charged with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Held {
    /// Bytes of answers.
    pub unread: usize,
    /// Bytes of a message that is not whole.
    pub half_received: usize,
    /// Whether it keeps a block alive, too.
    pub pins: bool,
}

/// A subscription of a connection. Its cursor stands in the audience.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// The tail.
    pub tail: TailKey,
    /// The tail's audience in this shard.
    pub audience: u32,
    /// The cursor's place in it.
    pub entry: u32,
    /// What to do when it falls behind.
    pub when_slow: WhenSlow,
    /// Whether the tail is a pattern's.
    pub pattern: bool,
    /// Losses up to here have been told.
    pub told_gone: Offset,
    /// Which rules were asked last whether it may be; in the first of its logs.
    pub asked: Edition,
    /// Whether it once had all there was. Until then it is not slow, only late.
    pub caught_up: bool,
}

/// Bytes of which `at` are written.
#[derive(Debug)]
pub struct Half {
    /// The bytes.
    pub source: HalfSource,
    /// How many are written.
    pub at: usize,
}

/// Whose bytes a half-written frame has.
#[derive(Debug)]
pub enum HalfSource {
    /// A block's, for a subscription whose cursor it moves when it is whole.
    Block(Pin, TailKey),
    /// The connection's own.
    Own(Vec<u8>),
}

impl Connection {
    /// A connection as it comes from the handshake.
    #[must_use]
    pub fn new(
        now: Millis,
        (generation, arrival): (u32, Arrival),
        dialect: Dialect,
        account: Arc<Account>,
    ) -> Self {
        Self {
            generation,
            arrival,
            dialect,
            subscribed: Charge::new(&account, Kind::Subscriptions),
            account,
            held: Held::default(),
            writable: true,
            reads_on: false,
            answered: false,
            ready: false,
            closing: None,
            since: now,
            heard: now,
            heartbeat_at: now,
            timer: 0,
            timer_at: NEVER,
            reader: Reader::new(),
            serials: Serials::default(),
            session: Session::default(),
            half: None,
            outbox: Vec::new(),
            page_bytes: 0,
            subscriptions: Vec::new(),
            names: 0,
            patterns: 0,
            following: Following::default(),
            lagging: VecDeque::new(),
            places: None,
        }
    }

    /// Whoever is told its places in one is told those in these tails, too.
    pub fn place(&mut self, tails: &[Arc<Tail>]) {
        if let Some(places) = &mut self.places {
            tails.iter().for_each(|tail| places.add(tail.key(), tail.position(Offset(0))));
        }
    }

    /// Of one who only listens nothing is heard: it lives as long as its socket takes bytes. So does whoever reads on from a
    /// link that was full: what it is to answer may stand far behind in that.
    pub fn note_life(&mut self, now: Millis) {
        let reads_on = std::mem::take(&mut self.reads_on);
        if reads_on || self.writable && self.dialect.only_listens() {
            self.heard = now;
        }
    }

    /// Its session, and what that works with.
    pub fn at_desk<'a>(
        &'a mut self,
        address: Address,
        topics: &'a Topics,
        gathered: &'a mut Gathered,
        replies: &'a mut Replies,
    ) -> (&'a mut Session, Desk<'a>) {
        let unread_bytes = self.unread_bytes();
        let desk = Desk {
            topics,
            replies,
            gathered,
            address,
            arrival: self.arrival,
            serials: &mut self.serials,
            account: &self.account,
            unread_bytes,
            subscriptions: self.names,
            patterns: self.patterns,
        };
        (&mut self.session, desk)
    }

    /// The bytes of a half-written frame that are still to be written.
    #[must_use]
    pub fn half_rest(&self) -> Option<&[u8]> {
        let half = self.half.as_ref()?;
        let bytes = match &half.source {
            HalfSource::Block(pin, _) => self.dialect.begun_frame_of(pin.block()),
            HalfSource::Own(bytes) => bytes,
        };
        bytes.get(half.at..)
    }

    /// What a half-written frame keeps alive.
    #[must_use]
    pub fn pin(&self) -> Option<&Pin> {
        match &self.half {
            Some(Half { source: HalfSource::Block(pin, _), .. }) => Some(pin),
            Some(Half { source: HalfSource::Own(_), .. }) | None => None,
        }
    }

    /// The socket took so many bytes of a block of this tail, and no more: it is kept until the rest is written.
    pub fn stop_amid(&mut self, block: Arc<Block>, at: usize, tail: TailKey) {
        let mut pin = Pin::new(block, &self.account);
        if self.closing.is_some() {
            pin.part();
        }
        self.half = Some(Half { source: HalfSource::Block(pin, tail), at });
    }

    /// It was told to go: what it keeps alive until it has gone counts apart.
    pub fn part(&mut self) {
        if let Some(Half { source: HalfSource::Block(pin, _), .. }) = &mut self.half {
            pin.part();
        }
    }

    /// What it makes the hub hold now.
    #[must_use]
    pub fn holds(&self) -> Held {
        let (half, pins) = match &self.half {
            Some(Half { source: HalfSource::Own(bytes), .. }) => (bytes.capacity(), false),
            Some(Half { source: HalfSource::Block(..), .. }) => (0, true),
            None => (0, false),
        };
        let unread = half + self.outbox.capacity() + self.following.bytes();
        Held { unread, half_received: self.reader.held_bytes() + self.session.held_back(), pins }
    }

    /// Gives up what waits to be written, but for the rest of a frame that has begun.
    pub fn drop_unread(&mut self) {
        self.outbox = Vec::new();
        if let Some(Half { source: HalfSource::Own(bytes), at }) = &mut self.half {
            bytes.truncate(self.dialect.frame_end(bytes, *at));
            bytes.shrink_to_fit();
            if bytes.len() == *at {
                self.half = None;
            }
        }
    }

    /// Bytes of answers that are not written yet.
    #[must_use]
    pub fn unread_bytes(&self) -> usize {
        let half = match &self.half {
            Some(Half { source: HalfSource::Own(bytes), at }) => bytes.len() - at,
            Some(Half { source: HalfSource::Block(..), .. }) | None => 0,
        };
        half + self.outbox.len()
    }

    /// The subscription to a tail.
    #[must_use]
    pub fn subscription(&self, tail: TailKey) -> Option<&Subscription> {
        let index = self.subscriptions.binary_search_by_key(&tail, |subscription| subscription.tail).ok()?;
        self.subscriptions.get(index)
    }

    /// The same, to change it.
    pub fn subscription_mut(&mut self, tail: TailKey) -> Option<&mut Subscription> {
        let index = self.subscriptions.binary_search_by_key(&tail, |subscription| subscription.tail).ok()?;
        self.subscriptions.get_mut(index)
    }

    /// Adds a subscription whose cursor is parked.
    pub fn subscribe(&mut self, subscription: Subscription) {
        let search = self.subscriptions.binary_search_by_key(&subscription.tail, |known| known.tail);
        let (Ok(index) | Err(index)) = search;
        self.subscriptions.reserve_exact(usize::from(self.subscriptions.is_empty()));
        self.names += usize::from(subscription.tail.log == 0);
        self.subscriptions.insert(index, subscription);
    }

    /// Whether it has a subscription of this number.
    #[must_use]
    pub fn is_subscribed(&self, number: TailNumber) -> bool {
        self.subscription(TailKey { number, log: 0 }).is_some()
    }

    /// Takes a subscription away, in all its logs.
    pub fn unsubscribe(&mut self, number: TailNumber) -> Vec<Subscription> {
        self.lagging.retain(|lagging| lagging.number != number);
        if let Some(Half { source: HalfSource::Block(_, of), .. }) = &mut self.half
            && of.number == number
        {
            // The rest must still be written, and must not move the cursor of a subscription that comes next.
            *of = TailKey::default();
        }
        self.following.remove(number);
        let taken: Vec<_> = self.subscriptions.extract_if(.., |known| known.tail.number == number).collect();
        self.names -= usize::from(!taken.is_empty());
        self.patterns -= usize::from(taken.first().is_some_and(|subscription| subscription.pattern));
        taken
    }
}
