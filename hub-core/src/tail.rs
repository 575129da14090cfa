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
    terms: Arc<Terms>,
    state: Mutex<State>,
}

/// Whose messages a tail holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// One topic's.
    Topic,
    /// Those of all topics that match.
    Pattern(Pattern),
}

/// What many tails have in common, so that each holds it by reference only.
#[derive(Debug)]
pub struct Terms {
    /// What they keep.
    pub keep: Keep,
    /// Shards that may have cursors on them.
    pub shards: usize,
    /// Where their bytes are counted.
    pub metrics: Arc<Metrics>,
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
    /// What has come since the newest block was sealed. Boxed, because a topic at rest has none.
    open: Option<Box<Open>>,
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
    pub fn new(number: TailNumber, source: Source, terms: &Arc<Terms>, gone: Offset) -> Self {
        let state = Mutex::new(State { last: gone, gone, ..State::default() });
        Self { number, source, marks: Marks::default(), terms: Arc::clone(terms), state }
    }

    /// Appends a message and calls `wake` for each shard that has to look.
    pub fn append(&self, entry: &Entry<'_>, wake: impl FnMut(usize)) {
        let mut state = lock(&self.state);
        if entry.offset <= state.last {
            debug_assert!(mutant::active(Mutant::VisibleOutOfOrder), "the sequencer reveals in offset order");
            return;
        }
        let keep = &self.terms.keep;
        if state.open_bytes() + entry.payload.len() > keep.block_bytes {
            self.seal(&mut state);
        }
        // Where each message is sent at once, blocks are sealed by those who read and are never full here.
        state.drop_old(Millis(entry.head.published_at_ms), keep);
        let prev = state.last;
        state.open.get_or_insert_default().append(prev, entry);
        state.last = entry.offset;
        self.marks.raise(wake);
    }

    /// Takes the blocks after `cursor`, all of them, and tells the tail's end.
    pub fn take_after(&self, cursor: Offset, blocks: &mut Vec<Arc<Block>>) -> Offset {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        let from = state.place_after(cursor);
        blocks.extend(state.blocks.range(from..).cloned());
        state.last
    }

    /// Reads blocks after `cursor`, up to `bytes_max` but one at least.
    #[must_use]
    pub fn read_after(&self, now: Millis, cursor: Offset, bytes_max: usize) -> Found {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        state.drop_old(now, &self.terms.keep);
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
        self.seal(&mut state);
        self.marks.join(shard, self.terms.shards);
        state.last
    }

    /// Drops what is kept no longer and tells (gone, last).
    pub fn bounds(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        self.seal(&mut state);
        state.drop_old(now, &self.terms.keep);
        state.trim_front(now, &self.terms.keep);
        (state.gone, state.last)
    }

    /// Drops what is too old and tells (gone, last). A small open block stays open until it is old: nobody looks,
    /// and sealed it would only take more room.
    pub fn age(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        let keep = &self.terms.keep;
        let is_old = |open: &Open| now.0.saturating_sub(open.first_time_ms()) > keep.age_ms;
        // Bytes count in the node's limit only once they are sealed, so that many cannot wait for it.
        if state.open.as_ref().is_some_and(|open| open.len() > SMALL_BYTES || is_old(open)) {
            self.seal(&mut state);
        }
        state.drop_old(now, keep);
        state.trim_front(now, keep);
        (state.gone, state.last)
    }

    /// Whether what is kept may be asked for.
    #[must_use]
    pub fn readable(&self) -> bool {
        self.terms.keep.readable
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
        state.bytes + state.open_bytes()
    }

    /// Makes what has gathered visible.
    fn seal(&self, state: &mut State) {
        if let Some(open) = state.open.take() {
            state.push(open.seal(self.number, &self.terms.metrics));
        }
    }
}

impl State {
    fn push(&mut self, block: Block) {
        self.bytes += block.size();
        self.count += u64::from(block.count);
        // Most topics at rest hold one block or none.
        self.blocks.reserve_exact(usize::from(self.blocks.is_empty()));
        self.blocks.push_back(Arc::new(block));
    }

    fn open_bytes(&self) -> usize {
        self.open.as_ref().map_or(0, |open| open.len())
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
        if surplus == 0 && front.first_time_ms() >= oldest_ms {
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

/// An open block of so few bytes counts as part of its topic and not as history.
const SMALL_BYTES: usize = 512;

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_protocol::block::Head;

    const AGE_MS: u64 = 1_000;

    fn tail_with(offset: u64, payload: &[u8]) -> Tail {
        let keep = Keep { count: 9, bytes: 9_999, age_ms: AGE_MS, readable: true, block_bytes: 9_999 };
        let terms = Arc::new(Terms { keep, shards: 1, metrics: Arc::default() });
        let tail = Tail::new(TailNumber(1), Source::Topic, &terms, Offset(0));
        let head = Head { published_at_ms: 1, ..Head::default() };
        tail.append(&Entry { offset: Offset(offset), head, topic: None, payload }, |_| ());
        tail
    }

    /// Bytes of sealed blocks, which the node's limit counts, once a message has been there for `age_ms`.
    #[track_caller]
    fn check(payload_len: usize, age_ms: u64, gone: u64, is_sealed: bool) {
        let tail = tail_with(7, &vec![b'.'; payload_len]);
        assert_eq!(tail.age(Millis(1 + age_ms)), (Offset(gone), Offset(7)));
        assert_eq!(tail.terms.metrics.block_bytes.value() > 0, is_sealed);
    }

    #[test]
    fn a_message_ages_whether_or_not_its_block_is_sealed() {
        check(10, AGE_MS, 0, false);
        check(SMALL_BYTES, AGE_MS, 0, true);
        check(10, AGE_MS + 1, 7, false);
        check(SMALL_BYTES, AGE_MS + 1, 7, false);
    }
}
