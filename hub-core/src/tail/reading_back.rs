//! Reading a topic's tail back: the places of so many messages or so long ago, and the newest messages below a place, as many
//! as were asked for and fit.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::Block;
use crate::clock::Millis;
use crate::sync::lock;
use crate::tail::sealed::Totals;
use crate::tail::{Next, State, Tail};

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
    /// Some of them are away: there are no blocks, and what lies between `after` and `upto` is to be read from the disk.
    pub is_away: bool,
}

impl Tail {
    /// The time that is given to messages now.
    #[must_use]
    pub fn given_ms(&self, now: Millis) -> u64 {
        self.terms.calendar.at(now).0
    }

    /// The first block that ends after `cursor`.
    #[must_use]
    pub fn next_after(&self, now: Millis, cursor: Offset) -> Next {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let gone = state.cached_from;
        if let Some(run) = state.away.as_ref().and_then(|away| away.next_after(cursor)) {
            return Next { block: None, run: Some(Arc::clone(run)), gone };
        }
        let place = state.sealed.place_after(cursor);
        Next { block: state.sealed.from(place).next().cloned(), run: None, gone }
    }

    /// What is kept after `cursor` and up to `upto`: messages, and the bytes of these or a few more.
    #[must_use]
    pub fn held_between(&self, now: Millis, cursor: Offset, upto: Offset) -> Totals {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        state.held_between(cursor, upto)
    }

    /// The last offset before the newest `count` messages that are kept; `None` if none is.
    #[must_use]
    pub fn before_last(&self, now: Millis, count: u64) -> Option<Offset> {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let kept = state.after(state.cached_from).count;
        if count == 0 || kept == 0 {
            return None;
        }
        Some(state.place_before_last(count.min(kept)).max(state.cached_from))
    }

    /// The newest offset that was published before `time` and is kept, or everything that is gone.
    #[must_use]
    pub fn before_time(&self, now: Millis, time: Millis) -> Offset {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        state.before_time(self.terms.calendar.at(time)).max(state.cached_from)
    }

    /// The newest offset that is kept and was published before `time`; 0 if there is none.
    #[must_use]
    pub fn older_than(&self, now: Millis, time: Millis) -> Offset {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let older = state.before_time(self.terms.calendar.at(time));
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
        let behind = state.after(upto.max(gone)).count;
        let before = state.place_before_last(behind + wanted).max(gone);
        let mut bytes = 0;
        back.after = before;
        for block in state.sealed.between(before, upto).rev() {
            bytes += block.size();
            if !back.blocks.is_empty() && bytes > bytes_max {
                (back.after, back.more) = (block.last, true);
                back.blocks.reverse();
                return back;
            }
            back.blocks.push(Arc::clone(block));
        }
        back.blocks.reverse();
        for run in state.away.iter().flat_map(|away| away.back_from(upto)) {
            if run.last <= before {
                break;
            }
            bytes += run.bytes as usize;
            if (back.is_away || !back.blocks.is_empty()) && bytes > bytes_max {
                (back.after, back.more) = (run.last, true);
                break;
            }
            back.is_away = true;
        }
        if back.is_away {
            back.blocks.clear();
        }
        // What lay before the first of them has expired while it was away.
        let begins = back.blocks.first().map_or(Offset(0), |first| first.prev);
        back.after = back.after.max(begins);
        back
    }
}

impl State {
    pub(super) fn held_between(&self, cursor: Offset, upto: Offset) -> Totals {
        let cursor = cursor.max(self.cached_from);
        let (all, behind) = (self.after(cursor), self.after(upto.max(cursor)));
        Totals { count: all.count - behind.count, bytes: all.bytes - behind.bytes }
    }
}
