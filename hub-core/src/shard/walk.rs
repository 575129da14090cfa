//! The cursors of one shard on one tail, dense, and the walk along them: each gets the blocks it has not had, straight
//! from the tail.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::Block;
use crate::dialect::Dialect;
use crate::ledger::Charge;
use crate::shard::wire::{ConnectionId, Sent, Wire};
use crate::tail::{Tail, TailKey};

/// The cursors on a tail.
#[derive(Debug)]
pub struct Audience {
    /// The tail.
    pub tail: Arc<Tail>,
    /// What it takes itself, on the account whose cursor was the first.
    pub charge: Charge,
    /// The cursors, in no order.
    pub entries: Vec<Entry>,
    /// No live cursor stands before this.
    pub low: Offset,
    /// Whether it waits for a slice of a walk.
    pub queued: bool,
    /// Whether it needs another walk after the one under way.
    pub again: bool,
    /// The walk under way.
    pub walk: Option<Box<Walk>>,
}

/// A cursor. This is all that a walk touches of a subscriber.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// Everything up to here is written.
    pub cursor: Offset,
    /// Whose it is.
    pub connection: ConnectionId,
    /// How its connection is spoken to.
    pub dialect: Dialect,
    /// Its connection serves it from its own list: it lags, or something else must be written first.
    pub parked: bool,
}

/// A round along the cursors of one tail, done in slices.
#[derive(Debug, Default)]
pub struct Walk {
    /// The next cursor.
    at: usize,
    blocks: Vec<Arc<Block>>,
    end: Offset,
    /// Where the slowest live cursor will stand when the walk is done.
    next_low: Offset,
}

/// A cursor that the walk could not bring up to date.
#[derive(Debug)]
pub struct Stopped {
    /// Whose.
    pub connection: ConnectionId,
    /// On which tail.
    pub tail: TailKey,
    /// Why.
    pub reason: StopReason,
}

/// Why a walk left a cursor behind.
#[derive(Debug)]
pub enum StopReason {
    /// The blocks after the cursor are no longer at hand, or others must not write them; the connection reads on by itself.
    Behind,
    /// The socket is full, in the middle of this block if there is one.
    Full(Option<(Arc<Block>, usize)>),
    /// The socket failed.
    Gone,
}

/// What a write of several blocks came to.
#[derive(Debug)]
pub struct Written {
    /// Everything up to here is written, if anything is.
    pub cursor: Option<Offset>,
    /// Blocks written whole.
    pub blocks: usize,
    /// Bytes.
    pub bytes: usize,
    /// Set if the socket took less than it was offered.
    pub stopped: Option<StopReason>,
}

impl Audience {
    /// Nobody yet.
    #[must_use]
    pub fn new(tail: &Arc<Tail>, charge: Charge) -> Self {
        Self {
            tail: Arc::clone(tail),
            charge,
            entries: Vec::new(),
            low: Offset(0),
            queued: false,
            again: false,
            walk: None,
        }
    }
}

impl Walk {
    /// Begins a walk: takes the blocks that the slowest live cursor has not had. `None` if it has had all.
    pub fn begin(audience: &Audience, spare: &mut Option<Box<Self>>) -> Option<Box<Self>> {
        let mut walk = spare.take().unwrap_or_default();
        walk.take(audience);
        // There may be no block although there was a message: it has aged away, and cursors must be told.
        if walk.end > audience.low && !audience.entries.is_empty() {
            walk.at = 0;
            walk.next_low = walk.end;
            return Some(walk);
        }
        walk.let_go();
        *spare = Some(walk);
        None
    }

    /// Takes the blocks as they are now.
    fn take(&mut self, audience: &Audience) {
        self.blocks.clear();
        self.end = audience.tail.take_after(audience.low, &mut self.blocks);
    }

    /// Keeps no blocks until the next slice.
    pub fn let_go(&mut self) {
        self.blocks.clear();
        self.blocks.shrink_to(SPARE_BLOCKS);
    }

    /// Serves cursors until so many `sends` are made, or `write_bytes` written, or one stops.
    pub fn slice(
        &mut self,
        audience: &mut Audience,
        sends: usize,
        write_bytes: usize,
        wire: &mut impl Wire,
    ) -> Slice {
        let mut slice = Slice::default();
        if self.blocks.is_empty() {
            self.take(audience);
        }
        while slice.sends < sends && slice.bytes < write_bytes {
            let Some(entry) = audience.entries.get_mut(self.at) else {
                slice.done = true;
                return slice;
            };
            // Late cursors get what has gathered since the walk began: more per write.
            if self.at % RETAKE_EVERY == RETAKE_EVERY - 1 {
                self.blocks.clear();
                self.end = audience.tail.take_after(audience.low, &mut self.blocks);
            }
            if entry.parked || entry.cursor >= self.end {
                self.at += 1;
                continue;
            }
            let from = self.blocks.partition_point(|block| block.last <= entry.cursor);
            let comes_next = |next: &Arc<Block>| {
                next.prev <= entry.cursor && entry.dialect.can_be_told(next, entry.cursor)
            };
            if !entry.dialect.is_walked() || !self.blocks.get(from).is_some_and(comes_next) {
                let (connection, tail) = (entry.connection, audience.tail.key());
                slice.stopped = Some(Stopped { connection, tail, reason: StopReason::Behind });
                self.at += 1;
                return slice;
            }
            let to = (entry.connection, entry.dialect);
            let written = write_blocks(to, &audience.tail, &self.blocks[from..], write_bytes, wire);
            slice.sends += 1;
            slice.blocks += written.blocks;
            slice.bytes += written.bytes;
            entry.cursor = written.cursor.unwrap_or(entry.cursor);
            if let Some(reason) = written.stopped {
                let (connection, tail) = (entry.connection, audience.tail.key());
                slice.stopped = Some(Stopped { connection, tail, reason });
                self.at += 1;
                return slice;
            }
        }
        slice
    }

    /// Ends the walk: every live cursor it passed has what was there when it began.
    pub fn end(&mut self, audience: &mut Audience) {
        audience.low = self.next_low;
        self.let_go();
    }

    /// A cursor became live while the walk is under way.
    pub fn lower(&mut self, cursor: Offset) {
        self.next_low = self.next_low.min(cursor);
    }

    /// Whether the walk has passed this place.
    #[must_use]
    pub fn has_passed(&self, entry: usize) -> bool {
        entry < self.at
    }
}

/// What a slice of a walk did.
#[derive(Debug, Default)]
pub struct Slice {
    /// Writes made.
    pub sends: usize,
    /// Blocks written whole.
    pub blocks: usize,
    /// Bytes written.
    pub bytes: usize,
    /// All cursors are passed.
    pub done: bool,
    /// A cursor that needs its connection.
    pub stopped: Option<Stopped>,
}

/// Writes blocks of a tail, or of what was read for it, to one socket, up to `write_bytes` or a handful of blocks, in one call.
pub fn write_blocks(
    (connection, dialect): (ConnectionId, Dialect),
    tail: &Tail,
    blocks: &[Arc<Block>],
    write_bytes: usize,
    wire: &mut impl Wire,
) -> Written {
    let mut parts: [&[u8]; PARTS_MAX] = [&[]; PARTS_MAX];
    let mut offered = 0;
    let mut count = 0;
    for (part, block) in parts.iter_mut().zip(blocks) {
        // No other encoding is made of what does not fit anyway.
        let is_too_much = |frame: &[u8]| count > 0 && offered + frame.len() > write_bytes;
        if is_too_much(block.frame()) {
            break;
        }
        let frame = dialect.frame_of(block, tail);
        if is_too_much(frame) {
            break;
        }
        *part = frame;
        offered += frame.len();
        count += 1;
    }
    let taken = match wire.send(connection, &parts[..count]) {
        Sent::Bytes(taken) => taken,
        Sent::Gone => {
            return Written { cursor: None, blocks: 0, bytes: 0, stopped: Some(StopReason::Gone) };
        }
    };
    let mut rest = taken;
    let mut whole = 0;
    while whole < count && rest >= parts[whole].len() {
        rest -= parts[whole].len();
        whole += 1;
    }
    let half = (rest > 0).then(|| (Arc::clone(&blocks[whole]), rest));
    Written {
        cursor: whole.checked_sub(1).map(|last| blocks[last].last),
        blocks: whole,
        bytes: taken,
        stopped: (taken < offered).then_some(StopReason::Full(half)),
    }
}

const RETAKE_EVERY: usize = 64;
/// Places for blocks that are kept for the next walk.
const SPARE_BLOCKS: usize = 64;
const PARTS_MAX: usize = 64;
