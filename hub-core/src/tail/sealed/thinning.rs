//! Blocks are written anew without messages that nobody is owed any more. A block begins behind the last message before it
//! that is left, so no reader takes what went for a hole.

use std::ops::Range;
use std::sync::Arc;

use tidewire_protocol::block::Record;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::block::{Block, Open};
use crate::mutant::{self, Mutant};
use crate::tail::sealed::{Held, Sealed};

/// How blocks are written.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The tail's number.
    pub tail: TailNumber,
    /// Its log.
    pub log: u8,
    /// Neighbours become one as long as it has no more bytes; 0: each stays by itself.
    pub bytes_max: usize,
}

/// Blocks while they are written.
struct Writing {
    form: Form,
    open: Option<Open>,
    done: Vec<Arc<Block>>,
    /// The last message that is left.
    link: Offset,
}

impl Sealed {
    /// Writes some blocks, those that are meant, anew without the messages that do not stay, and the one behind them if it has to begin further
    /// back. Tells the offset of the last message that is left, if they were the newest.
    pub fn thin(
        &mut self,
        places: Range<usize>,
        form: Form,
        is_meant: impl Fn(&Block) -> bool,
        mut stays: impl FnMut(&Record<'_>) -> bool,
    ) -> Option<Offset> {
        let link = self.held.get(places.start)?.block.prev;
        let mut writing = Writing { form, open: None, done: Vec::new(), link };
        let mut end = places.start;
        let mut kept = Vec::new();
        while let Some(held) = self.held.get(end) {
            kept.clear();
            if end < places.end && is_meant(&held.block) {
                kept.extend(held.block.wire().records().flatten().map(|record| stays(&record)));
            } else if end >= places.end && held.block.prev == writing.link {
                break;
            } else {
                kept.resize(held.block.count as usize, true);
            }
            writing.take(&held.block, &kept);
            end += 1;
        }
        let (link, is_newest) = (writing.link, end == self.held.len());
        self.replace(places.start..end, writing.end());
        is_newest.then_some(link)
    }

    fn replace(&mut self, places: Range<usize>, blocks: Vec<Arc<Block>>) {
        let (from, count) = (places.start, blocks.len());
        if self.settled >= places.end {
            self.settled -= places.len() - count;
        } else {
            self.settled = self.settled.min(from);
        }
        let old = self.held.range(places.clone());
        // Only where the first that expires is among them another may be the first.
        let had_first = old.clone().any(|held| held.block.expires_ms <= self.expires_ms);
        let before = self.before(from);
        let (was, mut upto) = (self.before(places.end), before);
        let mut new = Vec::with_capacity(count);
        for block in blocks {
            upto.count += u64::from(block.count);
            upto.bytes += block.size() as u64;
            self.expires_ms = self.expires_ms.min(block.expires_ms);
            new.push(Held { block, upto });
        }
        let behind = self.held.split_off(places.end);
        self.held.truncate(from);
        self.held.extend(new);
        self.held.extend(behind);
        // Whatever lies behind lies so much nearer to the front, or further off: a block that begins further back is longer.
        for held in self.held.range_mut(from + count..) {
            held.upto.count = upto.count + (held.upto.count - was.count);
            held.upto.bytes = upto.bytes + (held.upto.bytes - was.bytes);
        }
        if had_first {
            self.expires_ms = self.held.iter().map(|held| held.block.expires_ms).min().unwrap_or(u64::MAX);
        }
        if self.held.is_empty() {
            self.held.shrink_to_fit();
        }
    }
}

impl Writing {
    /// Takes what is kept of a block.
    fn take(&mut self, block: &Arc<Block>, kept: &[bool]) {
        if mutant::active(Mutant::ThinnedLeavesHole) {
            self.link = block.prev;
        }
        let is_whole = kept.iter().all(|kept| *kept);
        let fits = |open: &Open| open.len() + block.body().len() <= self.form.bytes_max;
        if !self.open.as_ref().is_some_and(fits) {
            self.seal();
        }
        if self.open.is_none() && is_whole && block.prev == self.link && self.form.bytes_max == 0 {
            self.link = block.last;
            self.done.push(Arc::clone(block));
            return;
        }
        if !kept.contains(&true) {
            return;
        }
        let open = self.open.get_or_insert_with(|| block.anew());
        self.link = open.append_kept(self.link, block, kept);
    }

    fn seal(&mut self) {
        if let Some(open) = self.open.take() {
            self.done.push(Arc::new(open.seal(self.form.tail, self.form.log)));
        }
    }

    fn end(mut self) -> Vec<Arc<Block>> {
        self.seal();
        self.done
    }
}
