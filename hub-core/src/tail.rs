//! A tail: the newest part of what a topic, or all topics of a pattern, hold, as blocks.
//!
//! In the memory engine a topic's tail is its whole history. Only sealed blocks are visible; whoever looks
//! first seals what has gathered. A tail knows no subscribers, only which shards have cursors on it.

use std::collections::VecDeque;
use std::sync::Arc;

use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::block::{Block, Entry, Open};
use crate::clock::Millis;
use crate::mark::Marks;
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::sync::{Mutex, lock};

/// The newest messages of a topic or pattern.
#[derive(Debug)]
pub struct Tail {
    /// Its number on the wire.
    pub number: TailNumber,
    /// What it holds.
    pub source: Source,
    /// Which shards have cursors here.
    pub marks: Marks,
    keep: Keep,
    state: Mutex<State>,
    metrics: Arc<Metrics>,
}

/// Whose messages a tail holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One topic's.
    Topic(Arc<str>),
    /// Those of all topics that match.
    Pattern(Pattern),
}

/// What a tail keeps. Whichever bound is reached first counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Keep {
    /// Newest messages.
    pub count: u64,
    /// Bytes, as the blocks take them.
    pub bytes: usize,
    /// Milliseconds since publishing.
    pub age_ms: u64,
    /// Whether what is kept can be asked for, or only bridges short breaks.
    pub readable: bool,
    /// Bytes that the open block gathers.
    pub block_bytes: usize,
}

#[derive(Debug, Default)]
struct State {
    open: Open,
    blocks: VecDeque<Arc<Block>>,
    /// Offset of the newest message ever.
    last: Offset,
    /// Everything up to here is gone. Never goes back.
    gone: Offset,
    bytes: usize,
    count: u64,
}

/// What a cursor finds.
#[derive(Debug, Default)]
pub struct Found {
    /// Blocks after the cursor, oldest first; the first may begin before it.
    pub blocks: Vec<Arc<Block>>,
    /// Everything up to here is gone.
    pub gone: Offset,
    /// The tail's newest offset.
    pub last: Offset,
    /// Bytes of all blocks after the cursor, also those not taken.
    pub behind_bytes: usize,
}

impl Tail {
    /// An empty tail, as if everything up to `gone` had been there and was dropped.
    #[must_use]
    pub fn new(
        number: TailNumber,
        source: Source,
        keep: Keep,
        shards: usize,
        gone: Offset,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let state = State { last: gone, gone, ..State::default() };
        let marks = Marks::new(shards);
        Self { number, source, marks, keep, state: Mutex::new(state), metrics: Arc::clone(metrics) }
    }

    /// Appends a message and calls `wake` for each shard that has to look.
    pub fn append(&self, entry: &Entry<'_>, wake: impl FnMut(usize)) {
        let mut state = lock(&self.state);
        if entry.offset <= state.last {
            debug_assert!(mutant::active(Mutant::VisibleOutOfOrder), "the sequencer reveals in offset order");
            return;
        }
        let full = state.open.len() + entry.payload.len() > self.keep.block_bytes;
        if full && !state.open.is_empty() {
            state.seal(self.number, &self.metrics);
        }
        // Where each message is sent at once, blocks are sealed by those who read and are never full here.
        state.drop_old(Millis(entry.head.published_at_ms), &self.keep);
        let prev = state.last;
        state.open.append(prev, entry);
        state.last = entry.offset;
        self.marks.raise(wake);
    }

    /// Takes the blocks after `cursor`, all of them, and tells the tail's end.
    pub fn take_after(&self, cursor: Offset, blocks: &mut Vec<Arc<Block>>) -> Offset {
        let mut state = lock(&self.state);
        state.seal(self.number, &self.metrics);
        let from = state.place_after(cursor);
        blocks.extend(state.blocks.range(from..).cloned());
        state.last
    }

    /// Reads blocks after `cursor`, up to `bytes_max` but one at least.
    #[must_use]
    pub fn read_after(&self, now: Millis, cursor: Offset, bytes_max: usize) -> Found {
        let mut state = lock(&self.state);
        state.seal(self.number, &self.metrics);
        state.drop_old(now, &self.keep);
        let from = state.place_after(cursor);
        let mut found = Found { gone: state.gone, last: state.last, ..Found::default() };
        for block in state.blocks.range(from..) {
            if found.blocks.is_empty() || found.behind_bytes + block.size() <= bytes_max {
                found.blocks.push(Arc::clone(block));
            }
            found.behind_bytes += block.size();
        }
        found
    }

    /// Counts one more cursor of `shard` and tells the tail's end: nothing slips in between.
    pub fn join(&self, shard: usize) -> Offset {
        let mut state = lock(&self.state);
        state.seal(self.number, &self.metrics);
        self.marks.of(shard).join();
        state.last
    }

    /// Drops what is kept no longer and tells (gone, last).
    pub fn bounds(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        state.seal(self.number, &self.metrics);
        state.drop_old(now, &self.keep);
        state.trim_front(now, &self.keep);
        (state.gone, state.last)
    }

    /// Whether what is kept may be asked for.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.keep.readable
    }

    /// Offsets of the newest `count` messages, newest first.
    #[must_use]
    pub fn newest(&self, now: Millis, count: usize) -> Vec<Offset> {
        let (gone, _) = self.bounds(now);
        let state = lock(&self.state);
        let mut offsets = Vec::new();
        for block in state.blocks.iter().rev() {
            let in_block = block.wire().messages().flatten().map(|message| message.offset);
            let mut in_block: Vec<_> = in_block.filter(|offset| *offset > gone).collect();
            in_block.reverse();
            offsets.extend(in_block);
            if offsets.len() >= count {
                break;
            }
        }
        offsets.truncate(count);
        offsets
    }

    /// The last offset before the first message published at `time` or later.
    #[must_use]
    pub fn before_time(&self, now: Millis, time: Millis) -> Offset {
        let (gone, last) = self.bounds(now);
        let state = lock(&self.state);
        let Some(block) = state.blocks.iter().find(|block| block.last_time_ms >= time.0) else {
            return last;
        };
        let older = |offset, published_at_ms| (published_at_ms < time.0).then_some(offset);
        let before =
            block.wire().messages().flatten().map_while(|m| older(m.offset, m.published_at_ms)).last();
        before.unwrap_or(block.prev).max(gone)
    }

    /// Drops the older half of the blocks, because the node has no room. Tells how many bytes that freed.
    pub fn halve(&self) -> usize {
        let mut state = lock(&self.state);
        let before = state.bytes;
        for _ in 0..state.blocks.len().div_ceil(2) {
            state.drop_front();
        }
        before - state.bytes
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let state = lock(&self.state);
        state.bytes + state.open.len()
    }
}

impl State {
    fn seal(&mut self, number: TailNumber, metrics: &Arc<Metrics>) {
        if self.open.is_empty() {
            return;
        }
        let block = self.open.seal(number, metrics);
        self.bytes += block.size();
        self.count += u64::from(block.count);
        self.blocks.push_back(Arc::new(block));
    }

    /// Index of the first block that ends after `cursor`. Most cursors are near the end.
    fn place_after(&self, cursor: Offset) -> usize {
        match self.blocks.back() {
            Some(block) if block.last <= cursor => self.blocks.len(),
            _ => self.blocks.partition_point(|block| block.last <= cursor),
        }
    }

    /// Drops whole blocks that no bound keeps; the newest stays unless it is too old.
    fn drop_old(&mut self, now: Millis, keep: &Keep) {
        while let Some(front) = self.blocks.front() {
            let rest = self.count - u64::from(front.count);
            let crowded = rest >= keep.count || self.bytes > keep.bytes;
            let old = now.0.saturating_sub(front.last_time_ms) > keep.age_ms;
            if !(old || crowded && self.blocks.len() > 1) {
                break;
            }
            self.drop_front();
        }
    }

    /// Moves `gone` into the oldest block, up to the first message that the bounds keep.
    fn trim_front(&mut self, now: Millis, keep: &Keep) {
        let surplus = self.count.saturating_sub(keep.count);
        let oldest_ms = now.0.saturating_sub(keep.age_ms);
        let Some(front) = self.blocks.front() else { return };
        if surplus == 0 && front.first_time_ms >= oldest_ms {
            return;
        }
        let messages = front.wire().messages().flatten().zip(0u64..);
        let gone = messages.take_while(|(m, i)| *i < surplus || m.published_at_ms < oldest_ms).last();
        if let Some((message, _)) = gone {
            self.gone = self.gone.max(message.offset);
        }
    }

    fn drop_front(&mut self) {
        if let Some(block) = self.blocks.pop_front() {
            self.bytes -= block.size();
            self.count -= u64::from(block.count);
            self.gone = self.gone.max(block.last);
        }
        if self.blocks.is_empty() {
            self.blocks.shrink_to_fit();
        }
    }
}
