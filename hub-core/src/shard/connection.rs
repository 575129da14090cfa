//! One connection of a shard: what it reads into, and what it still has to write.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::access::Grant;
use crate::block::Block;
use crate::clock::Millis;
use crate::ledger::Account;
use crate::session::Session;
use crate::session::replies::Encoding;
use crate::websocket::reader::Reader;

/// A connection.
#[derive(Debug)]
pub struct Connection {
    /// Tells it from later ones in the same place.
    pub generation: u32,
    /// How it is spoken to.
    pub encoding: Encoding,
    /// Who answers for the memory that it takes.
    pub account: Arc<Account>,
    /// Whether the socket takes bytes, as far as is known.
    pub writable: bool,
    /// Whether it is on the shard's list of those that were answered.
    pub answered: bool,
    /// Whether it is on the shard's ready list.
    pub ready: bool,
    /// It gets its last frames until then, and is closed.
    pub closing: Option<Millis>,
    /// When it was accepted, or last heard of.
    pub heard: Millis,
    /// When it gets its next heartbeat.
    pub heartbeat_at: Millis,
    /// What came in and is not whole yet.
    pub reader: Reader,
    /// The conversation.
    pub session: Session,
    /// A frame, or frames, of which a part is written: finished before anything else.
    pub half: Option<Half>,
    /// Whole WebSocket messages that wait to be written.
    pub outbox: Vec<u8>,
    /// Its subscriptions, by tail number.
    pub subscriptions: Vec<Subscription>,
    /// How many of them are patterns.
    pub patterns: usize,
    /// Those that lag and take turns.
    pub lagging: VecDeque<TailNumber>,
}

/// A subscription of a connection. Its cursor stands in the audience.
#[derive(Debug, Clone, Copy)]
pub struct Subscription {
    /// The tail.
    pub tail: TailNumber,
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
    /// Which rule let it begin.
    pub grant: Grant,
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
    Block(Arc<Block>, TailNumber),
    /// The connection's own.
    Own(Vec<u8>),
}

impl Connection {
    /// A connection as it comes from the handshake.
    #[must_use]
    pub fn new(
        now: Millis,
        generation: u32,
        encoding: Encoding,
        account: Arc<Account>,
        heartbeat_at: Millis,
    ) -> Self {
        Self {
            generation,
            encoding,
            account,
            writable: true,
            answered: false,
            ready: false,
            closing: None,
            heard: now,
            heartbeat_at,
            reader: Reader::new(),
            session: Session::default(),
            half: None,
            outbox: Vec::new(),
            subscriptions: Vec::new(),
            patterns: 0,
            lagging: VecDeque::new(),
        }
    }

    /// The bytes of a half-written frame that are still to be written.
    #[must_use]
    pub fn half_rest(&self) -> Option<&[u8]> {
        let half = self.half.as_ref()?;
        let bytes = match &half.source {
            HalfSource::Block(block, _) => frame_for(block, self.encoding),
            HalfSource::Own(bytes) => bytes,
        };
        bytes.get(half.at..)
    }

    /// Bytes of a block that a half-written frame keeps alive.
    #[must_use]
    pub fn pinned_bytes(&self) -> usize {
        match &self.half {
            Some(Half { source: HalfSource::Block(block, _), .. }) => block.size(),
            Some(Half { source: HalfSource::Own(_), .. }) | None => 0,
        }
    }

    /// The subscription to a tail.
    #[must_use]
    pub fn subscription(&self, tail: TailNumber) -> Option<&Subscription> {
        let index = self.subscriptions.binary_search_by_key(&tail, |subscription| subscription.tail).ok()?;
        self.subscriptions.get(index)
    }

    /// The same, to change it.
    pub fn subscription_mut(&mut self, tail: TailNumber) -> Option<&mut Subscription> {
        let index = self.subscriptions.binary_search_by_key(&tail, |subscription| subscription.tail).ok()?;
        self.subscriptions.get_mut(index)
    }

    /// Adds a subscription that lags until it is served.
    pub fn subscribe(&mut self, subscription: Subscription) {
        let search = self.subscriptions.binary_search_by_key(&subscription.tail, |known| known.tail);
        let (Ok(index) | Err(index)) = search;
        self.patterns += usize::from(subscription.pattern);
        self.subscriptions.reserve_exact(usize::from(self.subscriptions.is_empty()));
        self.subscriptions.insert(index, subscription);
        self.lagging.push_back(subscription.tail);
    }

    /// Takes a subscription away.
    pub fn unsubscribe(&mut self, tail: TailNumber) -> Option<Subscription> {
        let index = self.subscriptions.binary_search_by_key(&tail, |subscription| subscription.tail).ok()?;
        self.lagging.retain(|lagging| *lagging != tail);
        if let Some(Half { source: HalfSource::Block(_, of), .. }) = &mut self.half
            && *of == tail
        {
            // The rest must still be written, and must not move the cursor of a subscription that comes next.
            *of = NOBODYS;
        }
        let subscription = self.subscriptions.remove(index);
        self.patterns -= usize::from(subscription.pattern);
        Some(subscription)
    }
}

/// A block's frame in an encoding.
#[must_use]
pub fn frame_for(block: &Block, encoding: Encoding) -> &[u8] {
    match encoding {
        Encoding::Binary => block.frame(),
        Encoding::Json => block.json_frame(),
    }
}

/// The number of no tail: they count from 1.
const NOBODYS: TailNumber = TailNumber(0);
