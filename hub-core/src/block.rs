//! Blocks: messages sealed into one WebSocket message that serves every subscriber.
//!
//! An [`Open`] block is a plain buffer that its tail's lock guards; sealing copies headers and messages into one
//! that has exactly their size, and is never changed again. Other encodings are derived from a sealed block when
//! first asked for.

use std::mem::size_of;
use std::sync::{Arc, OnceLock};

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block as wire;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::block::derived::Derived;
use crate::block::pins::Pins;
use crate::block::shares::Shares;
use crate::clock::{Millis, NEVER};
use crate::ledger::{Account, Kind};
use crate::mutant::{self, Mutant};
use crate::sync::Mutex;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::Header;

mod derived;

pub mod pins;

pub mod shares;

/// A sealed block.
#[derive(Debug)]
pub struct Block {
    /// The WebSocket message, header included.
    bytes: Box<[u8]>,
    /// Where the block frame's body starts.
    body_at: u16,
    /// Number of messages.
    pub count: u32,
    /// Offset of the tail's last message before it.
    pub prev: Offset,
    /// Offset of its own first message.
    pub first: Offset,
    /// Offset of its own last message.
    pub last: Offset,
    /// Time of its last message.
    pub last_time_ms: u64,
    /// Some message in it is kept no longer than until then.
    pub stale_at: Millis,
    /// Some message in it has expired then, by the time that messages are given; none if that is the largest number.
    pub expires_ms: u64,
    /// Boxed: most blocks are never asked for any.
    derived: OnceLock<Box<Derived>>,
    shares: Shares,
    /// Most blocks have none.
    pins: Mutex<Option<Box<Pins>>>,
}

/// A block that still grows. Nobody but its tail sees it.
#[derive(Debug)]
pub struct Open {
    /// Messages, encoded.
    records: Vec<u8>,
    count: u32,
    prev: Offset,
    first: Offset,
    last: Offset,
    base_time_ms: u64,
    last_time_ms: u64,
    /// Some message is kept no longer than until then.
    stale_at: Millis,
    expires_ms: u64,
    /// Names in the order in which the block named them; only in a pattern's tail.
    topics: Vec<Arc<str>>,
    shares: Shares,
}

/// What a tail knows of a message besides its payload.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its offset.
    pub offset: Offset,
    /// What stands before the payload; offsets, times and topic are filled in here.
    pub head: wire::Head<'a>,
    /// It is kept no longer than until then, whatever comes.
    pub stale_at: Millis,
    /// Its topic, for a pattern's tail.
    pub topic: Option<&'a Arc<str>>,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl<'a> Entry<'a> {
    /// Bytes that its publisher gave.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.head.ext.len() + self.payload.len()
    }

    /// Whether its publisher gave none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A message that a block of its topic holds.
    #[must_use]
    pub fn of(message: &wire::Record<'a>) -> Self {
        let wire::Record {
            offset,
            published_at_ms,
            content,
            maybe_duplicate,
            tag,
            sender,
            topic: _,
            ext,
            payload,
        } = *message;
        // The hub wrote it as a text itself.
        let sender = sender.and_then(|sender| std::str::from_utf8(sender).ok()).unwrap_or_default();
        let head = wire::Head {
            prev: Offset(0),
            offset,
            base_time_ms: 0,
            published_at_ms,
            content,
            maybe_duplicate,
            tag,
            sender,
            topic: None,
            ext,
        };
        Self { offset, head, stale_at: NEVER, topic: None, payload }
    }
}

impl Open {
    /// An empty one that `first` answers for, but for what others bring; for messages of this kind.
    #[must_use]
    pub fn new(first: &Arc<Account>, kind: Kind) -> Self {
        Self {
            records: Vec::new(),
            count: 0,
            prev: Offset(0),
            first: Offset(0),
            last: Offset(0),
            base_time_ms: 0,
            last_time_ms: 0,
            stale_at: NEVER,
            expires_ms: u64::MAX,
            topics: Vec::new(),
            shares: Shares::new(first, kind, size_of::<Self>()),
        }
    }

    /// Offset of its first message.
    #[must_use]
    pub const fn first(&self) -> Offset {
        self.first
    }

    /// Each account and how many bytes of messages it brought.
    pub fn brought(&self) -> impl Iterator<Item = (&Arc<Account>, usize)> {
        self.shares.each(self.records.len())
    }

    /// Appends a message that `account` brought, after `prev`, the tail's last offset.
    pub fn append(&mut self, prev: Offset, entry: &Entry<'_>, account: &Arc<Account>) {
        let before = self.records.len();
        self.put(prev, entry);
        self.shares.add(account, self.records.len() - before);
        self.shares.set(self.held_bytes());
    }

    /// Appends all messages of a block that comes next, and takes over who brought them.
    pub fn append_all(&mut self, block: &Block) {
        let mut prev = block.prev;
        for message in block.wire().records().flatten() {
            self.put(prev, &Entry::of(&message));
            prev = message.offset;
        }
        block.brought().for_each(|(account, bytes)| self.shares.add(account, bytes));
        self.shares.set(self.held_bytes());
    }

    /// Appends those messages of a block that are kept, behind `prev`, and takes over who brought them, in the same
    /// proportions. Tells the last of them.
    pub fn append_kept(&mut self, prev: Offset, block: &Block, kept: &[bool]) -> Offset {
        let (before, mut link) = (self.records.len(), prev);
        for (message, _) in block.wire().records().flatten().zip(kept).filter(|(_, kept)| **kept) {
            self.put(link, &Entry::of(&message));
            link = message.offset;
        }
        let (left, all) = (self.records.len() - before, block.wire().records.len().max(1));
        block.brought().for_each(|(account, bytes)| self.shares.add(account, bytes * left / all));
        self.shares.set(self.held_bytes());
        link
    }

    fn put(&mut self, prev: Offset, entry: &Entry<'_>) {
        let time = entry.head.published_at_ms;
        if self.count == 0 {
            self.records.reserve_exact(entry.len() + HEAD_BYTES);
            self.prev = prev;
            self.first = entry.offset;
            self.last = prev;
            self.base_time_ms = time;
        }
        let name =
            entry.topic.map(|topic| match self.topics.iter().position(|known| Arc::ptr_eq(known, topic)) {
                Some(index) => (index as u64, None),
                None => {
                    self.topics.push(Arc::clone(topic));
                    (self.topics.len() as u64 - 1, Some(&**topic))
                }
            });
        let head = wire::Head {
            prev: self.last,
            offset: entry.offset,
            base_time_ms: self.base_time_ms,
            topic: name,
            ..entry.head
        };
        wire::put_message(&head, entry.payload, &mut self.records);
        self.last = entry.offset;
        self.last_time_ms = time;
        self.count += 1;
        self.stale_at = self.stale_at.min(entry.stale_at);
        self.expires_ms = self.expires_ms.min(expires_ms(entry.head.ext, time));
    }

    /// Time of its first message.
    #[must_use]
    pub fn first_time_ms(&self) -> u64 {
        self.base_time_ms
    }

    /// Time of its last message.
    #[must_use]
    pub fn last_time_ms(&self) -> u64 {
        self.last_time_ms
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn held_bytes(&self) -> usize {
        let topics = self.topics.capacity() * size_of::<Arc<str>>();
        self.records.capacity() + topics + size_of::<Self>() + self.shares.list_bytes()
    }

    /// Bytes of its messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.records.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes it immutable, as a block of the tail with this number, in the `log`th of its logs. Must not be empty.
    #[must_use]
    pub fn seal(&self, tail: TailNumber, log: u8) -> Block {
        let named = !self.topics.is_empty();
        let mut header = Vec::with_capacity(wire::HEADER_BYTES_MAX);
        wire::put_header(
            tail,
            u64::from(log),
            named,
            self.prev,
            self.base_time_ms,
            self.records.len(),
            &mut header,
        );
        let outer = Header::new(Opcode::Binary, header.len() + self.records.len());
        let bytes = [outer.as_bytes(), &header, &self.records].concat();
        let mut shares = Shares::new(self.shares.first(), self.shares.kind(), 0);
        shares.reserve_for(&self.shares);
        self.brought().for_each(|(account, bytes)| shares.add(account, bytes));
        shares.set(bytes.len() + OVERHEAD_BYTES + shares.list_bytes());
        if mutant::active(Mutant::BytesCountedTwice) {
            shares.first().charge(Kind::Messages, self.held_bytes());
        }
        Block {
            bytes: bytes.into_boxed_slice(),
            body_at: (outer.as_bytes().len() + frame_prefix(&header)) as u16,
            count: self.count,
            prev: self.prev,
            first: self.first,
            last: self.last,
            last_time_ms: self.last_time_ms,
            stale_at: self.stale_at,
            expires_ms: self.expires_ms,
            derived: OnceLock::new(),
            shares,
            pins: Mutex::default(),
        }
    }
}

impl Block {
    /// Who answers for what nobody else does.
    #[must_use]
    pub fn first_account(&self) -> &Arc<Account> {
        self.shares.first()
    }

    /// An empty one that goes on as this began.
    #[must_use]
    pub fn anew(&self) -> Open {
        Open::new(self.first_account(), self.shares.kind())
    }

    /// Each account and how many bytes of messages it brought.
    pub fn brought(&self) -> impl Iterator<Item = (&Arc<Account>, usize)> {
        self.shares.each(self.wire().records.len())
    }

    /// The WebSocket message, header included.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes
    }

    /// The block frame's body, as pages hold it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[usize::from(self.body_at)..]
    }

    /// The block as the protocol sees it.
    #[must_use]
    pub fn wire(&self) -> wire::Block<'_> {
        wire::Block::take(self.body()).unwrap_or_default()
    }

    /// Time of its first message.
    #[must_use]
    pub fn first_time_ms(&self) -> u64 {
        self.wire().base_time_ms
    }

    /// Bytes that its canonical form takes, with all that is kept beside it.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len() + OVERHEAD_BYTES + self.shares.list_bytes()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        self.drop_pins();
        self.drop_derived();
    }
}

/// Whether the time to live of a message is over at a time that messages are given.
#[must_use]
pub fn has_expired(record: &wire::Record<'_>, given_ms: u64) -> bool {
    expires_ms(record.ext, record.published_at_ms) <= given_ms
}

/// When a message with these attributes expires that was published then; the largest number if never.
pub(crate) fn expires_ms(ext: &[u8], published_at_ms: u64) -> u64 {
    if ext.is_empty() {
        return u64::MAX;
    }
    // The hub wrote them itself.
    let ttl_ms = Attributes::take(ext).map_or(0, |attributes| attributes.ttl_ms);
    if ttl_ms == 0 { u64::MAX } else { published_at_ms.saturating_add(ttl_ms) }
}

/// Bytes of a frame's kind and length, which stand before its body.
fn frame_prefix(frame: &[u8]) -> usize {
    1 + frame[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1
}

/// What a block takes besides its bytes: itself, its place in a tail, and what the allocator adds.
pub(crate) const OVERHEAD_BYTES: usize = size_of::<Block>() + 72;
/// What stands before the payload of a block's first message, as a rule; a longer head costs one more allocation.
const HEAD_BYTES: usize = 24;
