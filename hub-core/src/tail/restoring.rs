//! A topic's tail is filled again with what outlived the hub, message by message in the order in which they came.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::{Entry, Open};
use crate::clock::Millis;
use crate::ledger::Account;
use crate::sync::lock;
use crate::tail::{State, Tail};

/// How a topic's tail stands, as that is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bounds {
    /// Everything up to here is gone.
    pub gone: Offset,
    /// The last that became visible.
    pub last: Offset,
    /// The newest removal of a key that was dropped.
    pub removals_gone: Offset,
}

impl Tail {
    /// What is gone, and the last that became visible, as they stand.
    #[must_use]
    pub fn stored_bounds(&self) -> Bounds {
        let state = lock(&self.state);
        Bounds { gone: state.cached_from, last: state.last, removals_gone: state.removals_gone() }
    }

    /// A message that outlived the hub, behind `prev`. Where something between is not here, what came before is given up:
    /// a tail has no holes. `true` if that has made it heavy.
    #[must_use]
    pub fn restore(&self, now: Millis, prev: Offset, entry: &Entry<'_>, account: &Arc<Account>) -> bool {
        let mut state = lock(&self.state);
        if entry.offset <= state.last {
            return false;
        }
        // Of the latest of each key others were left out in between, or replaced.
        if prev > state.last && !self.keeps_latest() {
            state.end_at(prev);
        }
        let is_old = entry.head.published_at_ms < self.oldest(now).0;
        if is_old && state.open.is_none() && state.sealed.is_empty() {
            state.end_at(entry.offset);
            return false;
        }
        if state.open_bytes() + entry.len() > self.terms.keep.block_bytes {
            self.seal(&mut state);
        }
        self.drop_old(&mut state, now);
        self.drop_due(&mut state, now);
        self.take_latest(&mut state, entry, account);
        let prev = state.link;
        state
            .open
            .get_or_insert_with(|| Box::new(Open::new(account, self.kind())))
            .append(prev, entry, account);
        (state.last, state.link) = (entry.offset, entry.offset);
        self.becomes_heavy(&mut state)
    }

    /// How it stood when that was stored: everything up to `gone` is gone, and nothing came after `last`.
    pub fn restore_bounds(&self, bounds: Bounds) {
        let Bounds { gone, last, removals_gone } = bounds;
        let mut state = lock(&self.state);
        if last > state.last && self.keeps_latest() {
            state.last = last;
        } else if last > state.last {
            state.end_at(last);
        }
        state.restore_removals(removals_gone);
        if gone <= state.cached_from {
            return;
        }
        while state.sealed.front().is_some_and(|front| front.last <= gone) {
            state.drop_front();
        }
        if state.sealed.is_empty() && gone >= state.last {
            state.discard_open();
        }
        state.cached_from = gone.min(state.last);
    }
}

impl State {
    /// Nothing is kept, and everything up to there is gone.
    fn end_at(&mut self, last: Offset) {
        self.discard_open();
        while self.sealed.drop_front().is_some() {}
        (self.last, self.link, self.cached_from) = (last, last, last);
    }
}
