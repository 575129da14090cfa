//! The sealed blocks of a tail, oldest first, with running totals: how many messages and bytes lie after a place is
//! known without looking at each block.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;

use tidewire_protocol::number::{Offset, TailNumber};

use crate::block::Block;
use crate::block::shares;
use crate::clock::{Millis, NEVER};

pub mod thinning;

/// Sealed blocks in order.
#[derive(Debug)]
pub struct Sealed {
    held: VecDeque<Held>,
    /// Totals of all that was ever dropped from the front.
    dropped: Totals,
    /// Blocks at the front that were merged already, or are too large for it.
    settled: usize,
    /// No block is stale before that.
    stale_at: Millis,
    /// No message expires before that, by the time that messages are given.
    expires_ms: u64,
}

#[derive(Debug)]
struct Held {
    block: Arc<Block>,
    /// Totals of all blocks up to and with this one, the dropped ones among them.
    upto: Totals,
}

impl Drop for Held {
    fn drop(&mut self) {
        // Nobody can take it up anew, so if there are no others now there never will be.
        if Arc::strong_count(&self.block) > 1 {
            self.block.let_go();
        }
    }
}

impl Default for Sealed {
    fn default() -> Self {
        Self {
            held: VecDeque::new(),
            dropped: Totals::default(),
            settled: 0,
            stale_at: NEVER,
            expires_ms: u64::MAX,
        }
    }
}

/// How much some blocks hold.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Messages.
    pub count: u64,
    /// Bytes that they take.
    pub bytes: u64,
}

impl Sealed {
    /// Adds a block behind the others.
    pub fn push(&mut self, block: Arc<Block>) {
        let before = self.total();
        let count = before.count + u64::from(block.count);
        let bytes = before.bytes + block.size() as u64;
        self.stale_at = self.stale_at.min(block.stale_at);
        self.expires_ms = self.expires_ms.min(block.expires_ms);
        // Most topics at rest hold one block or none.
        self.held.reserve_exact(usize::from(self.held.is_empty()));
        self.held.push_back(Held { block, upto: Totals { count, bytes } });
    }

    /// Lets go of the oldest block. Tells where it ended, and its bytes.
    pub fn drop_front(&mut self) -> Option<(Offset, usize)> {
        let held = self.held.pop_front()?;
        self.dropped = held.upto;
        self.settled = self.settled.saturating_sub(1);
        if self.held.is_empty() {
            self.held.shrink_to_fit();
        }
        Some((held.block.last, held.block.size()))
    }

    /// The oldest block.
    #[must_use]
    pub fn front(&self) -> Option<&Arc<Block>> {
        self.held.front().map(|held| &held.block)
    }

    /// Number of blocks.
    #[must_use]
    pub fn len(&self) -> usize {
        self.held.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.held.is_empty()
    }

    /// Messages in them.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.total().count - self.dropped.count
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.total().bytes - self.dropped.bytes
    }

    /// Index of the first block that ends after `cursor`. Most cursors are near the end.
    #[must_use]
    pub fn place_after(&self, cursor: Offset) -> usize {
        match self.held.back() {
            Some(last) if last.block.last <= cursor => self.held.len(),
            _ => self.held.partition_point(|held| held.block.last <= cursor),
        }
    }

    /// The blocks from an index on.
    pub fn from(&self, place: usize) -> impl Iterator<Item = &Arc<Block>> {
        self.held.range(place..).map(|held| &held.block)
    }

    /// Bytes of the blocks from an index on.
    #[must_use]
    pub fn bytes_from(&self, place: usize) -> u64 {
        self.total().bytes - self.before(place).bytes
    }

    /// What lies after `cursor`. Of a block that it lies in, the bytes of messages behind it, and what the block takes
    /// besides.
    #[must_use]
    pub fn after(&self, cursor: Offset) -> Totals {
        let place = self.place_after(cursor);
        let mut upto = self.before(place);
        if let Some(held) = self.held.get(place) {
            let before = upto.bytes;
            let mut records = held.block.wire().records();
            let all = records.rest_bytes();
            while let Some(Ok(record)) = records.next()
                && record.offset <= cursor
            {
                upto.count += 1;
                upto.bytes = before + (all - records.rest_bytes()) as u64;
            }
        }
        let total = self.total();
        Totals { count: total.count - upto.count, bytes: total.bytes - upto.bytes }
    }

    /// The blocks that hold something between two places, oldest first.
    pub fn between(&self, cursor: Offset, upto: Offset) -> impl DoubleEndedIterator<Item = &Arc<Block>> {
        let from = self.place_after(cursor);
        let end = self.held.partition_point(|held| held.block.first <= upto);
        self.held.range(from..end.max(from)).map(|held| &held.block)
    }

    /// The last offset before the newest `count` messages, of which there must be so many.
    #[must_use]
    pub fn before_last(&self, count: u64) -> Offset {
        let wanted = self.total().count.saturating_sub(count);
        let place = self.held.partition_point(|held| held.upto.count <= wanted);
        let Some(held) = self.held.get(place) else { return Offset(0) };
        let passed = usize::try_from(wanted.saturating_sub(self.before(place).count)).unwrap_or(usize::MAX);
        let before = passed.checked_sub(1).and_then(|at| held.block.wire().records().flatten().nth(at));
        before.map_or(held.block.prev, |record| record.offset)
    }

    /// The newest offset that was published before `time`; 0 if all are younger.
    #[must_use]
    pub fn before_time(&self, time: Millis) -> Offset {
        let place = self.held.partition_point(|held| held.block.last_time_ms < time.0);
        let older = self.held.get(place).and_then(|held| {
            let records = held.block.wire();
            records.records().flatten().take_while(|record| record.published_at_ms < time.0).last()
        });
        match older {
            Some(record) => record.offset,
            None => place.checked_sub(1).map_or(Offset(0), |before| self.held[before].block.last),
        }
    }

    /// The places of blocks after a cursor whose messages have about so many bytes, one at least if there is one; and whether live cursors
    /// have left them behind.
    #[must_use]
    pub fn run_after(&self, cursor: Offset, bytes: usize) -> (Range<usize>, bool) {
        let from = self.place_after(cursor);
        let cold = self.held.len().saturating_sub(HOT_BLOCKS);
        let end = if from < cold { cold } else { self.held.len() };
        let mut left = bytes;
        let fits = |held: &&Held| {
            let fits = left > 0;
            left = left.saturating_sub(held.block.body().len());
            fits
        };
        let count = self.held.range(from..end).take_while(fits).count();
        (from..from + count, from < cold)
    }

    /// The places from the first to the last block with messages that have expired by a time that messages are given, of some
    /// such blocks: where very many end at once the others wait for the next look.
    pub fn expired(&self, given_ms: u64) -> Option<Range<usize>> {
        if given_ms < self.expires_ms {
            return None;
        }
        let all = self.held.iter().enumerate();
        let mut places = all.filter(|(_, held)| held.block.expires_ms <= given_ms).map(|(place, _)| place);
        let first = places.next()?;
        Some(first..places.take(EXPIRED_AT_ONCE - 1).last().unwrap_or(first) + 1)
    }

    /// How many blocks from the front are stale, or have messages that have expired by the time that is given now, or lie before
    /// one such.
    pub fn stale(&mut self, now: Millis, given_ms: u64) -> usize {
        if now <= self.stale_at && given_ms < self.expires_ms {
            return 0;
        }
        let is_stale = |held: &Held| held.block.stale_at < now || held.block.expires_ms <= given_ms;
        let at = self.held.iter().rposition(is_stale);
        let count = at.map_or(0, |at| at + 1);
        let rest = || self.held.range(count..).map(|held| &held.block);
        self.stale_at = rest().map(|block| block.stale_at).min().unwrap_or(NEVER);
        self.expires_ms = rest().map(|block| block.expires_ms).min().unwrap_or(u64::MAX);
        count
    }

    /// Whether those who hold more than `level` brought half of it or more, by some blocks of it that lie evenly.
    #[must_use]
    pub fn is_of_many(&self, level: usize) -> bool {
        let step = self.held.len().div_ceil(BLOCKS_ASKED).max(1);
        let blocks = self.held.iter().step_by(step).map(|held| &held.block);
        shares::is_of_many(blocks.flat_map(|block| block.brought().take(SHARES_ASKED)), level)
    }

    /// Drops other encodings of blocks that nobody else holds. Tells how many bytes that freed.
    pub fn drop_derived(&mut self) -> usize {
        let blocks = self.held.iter_mut().filter_map(|held| Arc::get_mut(&mut held.block));
        blocks.map(Block::drop_derived).sum()
    }

    /// Merges the oldest of many small blocks that live cursors have left behind: a topic that is heard live has a
    /// block for each message, which cost a reader who comes later a write each, and memory all the time.
    pub fn merge_cold(&mut self, tail: TailNumber, log: u8, bytes_max: usize) {
        if self.held.len() < self.settled + COLD_BLOCKS + HOT_BLOCKS {
            return;
        }
        let mut bytes = 0;
        let fits = |held: &&Held| {
            bytes += held.block.body().len();
            bytes <= bytes_max
        };
        let taken = self.held.range(self.settled..).take(COLD_BLOCKS).take_while(fits).count();
        if taken < 2 {
            self.settled += 1;
            return;
        }
        let mut open = self.held[self.settled].block.anew();
        self.held.range(self.settled..self.settled + taken).for_each(|held| open.append_all(&held.block));
        let merged = open.seal(tail, log);
        // Times count from the first of a block, so that messages of one that is merged may take more than before.
        let saved = self.bytes_of(self.settled, taken).checked_sub(merged.size() as u64);
        let Some(saved) = saved else {
            self.settled += taken;
            return;
        };
        let upto = self.held[self.settled + taken - 1].upto;
        self.held.drain(self.settled..self.settled + taken);
        self.held.insert(self.settled, Held { block: Arc::new(merged), upto });
        // Everything from here on lies nearer to the front by what was saved.
        for held in self.held.range_mut(self.settled..) {
            held.upto.bytes -= saved;
        }
        self.settled += 1;
    }

    fn bytes_of(&self, place: usize, blocks: usize) -> u64 {
        self.held[place + blocks - 1].upto.bytes - self.before(place).bytes
    }

    /// Totals of all that lies before an index.
    fn before(&self, place: usize) -> Totals {
        place.checked_sub(1).map_or(self.dropped, |before| self.held[before].upto)
    }

    fn total(&self) -> Totals {
        self.held.back().map_or(self.dropped, |held| held.upto)
    }
}

/// Blocks of which expired messages are taken out at once: bounds how long whoever publishes waits for that.
const EXPIRED_AT_ONCE: usize = 2_048;
/// So many blocks tell whose a tail is,
const BLOCKS_ASKED: usize = 64;
/// and so many shares of each.
const SHARES_ASKED: usize = 64;
/// So many blocks are merged at once, so that each byte is copied once.
const COLD_BLOCKS: usize = 64;
/// The newest stay as they are: live cursors stand among them, and would get a merged block's beginning again.
const HOT_BLOCKS: usize = 16;
