//! Reading a topic's tail back from a place: the newest messages below it, as many as were asked for and fit.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::Block;
use crate::clock::Millis;
use crate::sync::lock;
use crate::tail::Tail;

/// What lies below a place.
#[derive(Debug, Default)]
pub struct Back {
    /// Blocks, oldest first. The first may begin before `after`, and the last end behind `upto`.
    pub blocks: Vec<Arc<Block>>,
    /// They hold everything after this that is kept, up to `upto`; 0 if nothing that is kept lies before it and none is
    /// there.
    pub after: Offset,
    /// Where they end.
    pub upto: Offset,
    /// Everything up to here is gone.
    pub gone: Offset,
    /// Whether older ones are kept.
    pub more: bool,
}

impl Tail {
    /// Reads the newest messages up to `upto`, so many at most and up to `bytes_max` in whole blocks, but one block at least.
    #[must_use]
    pub fn read_back(&self, now: Millis, upto: Offset, count: u64, bytes_max: usize) -> Back {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let (gone, upto) = (state.cached_from, upto.min(state.last));
        let kept = state.held_between(gone, upto).count;
        let wanted = count.min(kept);
        let mut back = Back { after: upto, upto, gone, more: kept > wanted, ..Back::default() };
        if kept == 0 {
            back.after = Offset(0);
        }
        if wanted == 0 {
            return back;
        }
        let behind = state.sealed.after(upto.max(gone)).count;
        let before = state.sealed.before_last(behind + wanted).max(gone);
        let mut bytes = 0;
        back.after = before;
        for block in state.sealed.between(before, upto).rev() {
            bytes += block.size();
            if !back.blocks.is_empty() && bytes > bytes_max {
                (back.after, back.more) = (block.last, true);
                break;
            }
            back.blocks.push(Arc::clone(block));
        }
        back.blocks.reverse();
        back
    }
}
