//! Reading a topic's tail back: the places of so many messages or so long ago, and the newest messages below a place, as many
//! as were asked for and fit.

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
    /// The last offset before the newest `count` messages that are kept; `None` if none is.
    #[must_use]
    pub fn before_last(&self, now: Millis, count: u64) -> Option<Offset> {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let kept = state.sealed.after(state.cached_from).count;
        if count == 0 || kept == 0 {
            return None;
        }
        Some(state.sealed.before_last(count.min(kept)).max(state.cached_from))
    }

    /// The newest offset that was published before `time` and is kept, or everything that is gone.
    #[must_use]
    pub fn before_time(&self, now: Millis, time: Millis) -> Offset {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        state.sealed.before_time(self.terms.calendar.at(time)).max(state.cached_from)
    }

    /// The newest offset that is kept and was published before `time`; 0 if there is none.
    #[must_use]
    pub fn older_than(&self, now: Millis, time: Millis) -> Offset {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let older = state.sealed.before_time(self.terms.calendar.at(time));
        if older > state.cached_from { older } else { Offset(0) }
    }

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
