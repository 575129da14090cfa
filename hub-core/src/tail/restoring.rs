//! A topic's tail is filled again with what outlived the hub, message by message in the order in which they came.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::{Entry, Open};
use crate::clock::Millis;
use crate::ledger::Account;
use crate::sync::lock;
use crate::tail::{State, Tail};

impl Tail {
    /// Everything that is gone, and the last that became visible, as they stand.
    #[must_use]
    pub fn stored_bounds(&self) -> (Offset, Offset) {
        let state = lock(&self.state);
        (state.cached_from, state.last)
    }

    /// A message that outlived the hub, behind `prev`. Where something between is not here, what came before is given up:
    /// a tail has no holes. `true` if that has made it heavy.
    #[must_use]
    pub fn restore(&self, now: Millis, prev: Offset, entry: &Entry<'_>, account: &Arc<Account>) -> bool {
        let mut state = lock(&self.state);
        if entry.offset <= state.last {
            return false;
        }
        if prev > state.last {
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
        let prev = state.link;
        state.open.get_or_insert_with(|| Box::new(Open::new(account))).append(prev, entry, account);
        (state.last, state.link) = (entry.offset, entry.offset);
        let becomes_heavy = !state.heavy && state.sealed.bytes() >= self.terms.heavy_bytes as u64;
        state.heavy |= becomes_heavy;
        becomes_heavy
    }

    /// How it stood when that was stored: everything up to `gone` is gone, and nothing came after `last`.
    pub fn restore_bounds(&self, gone: Offset, last: Offset) {
        let mut state = lock(&self.state);
        if last > state.last {
            state.end_at(last);
        }
        if gone <= state.cached_from {
            return;
        }
        while state.sealed.front().is_some_and(|front| front.last <= gone) {
            state.sealed.drop_front();
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
