//! What only a pattern's tail does: it begins where its log stands, and may leave to its topics what it need not hold.

use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::ledger::{Account, Kind, Ledger};
use crate::sync::lock;
use crate::tail::Tail;

/// What tails of patterns hold together. It is nobody's, since topics hold it too, and is bounded apart from what they keep.
#[derive(Debug)]
pub struct Doubles {
    account: Arc<Account>,
    bytes_max: usize,
}

impl Doubles {
    /// None yet.
    #[must_use]
    pub fn new(ledger: &Arc<Ledger>, bytes_max: usize) -> Self {
        Self { account: ledger.nobody(), bytes_max }
    }

    /// Who answers for them.
    #[must_use]
    pub fn account(&self) -> &Arc<Account> {
        &self.account
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.account.held(Kind::Messages)
    }

    /// Whether they take more than they should.
    #[must_use]
    pub fn are_too_many(&self) -> bool {
        self.bytes() > self.bytes_max
    }

    /// Whether a tail, one of so many, is to leave the next message to its topic: where there is too little room, that
    /// holds for those that have more than their share, and where there is none, for all.
    #[must_use]
    pub fn crowd_out(&self, tail: &Tail, tails: usize) -> bool {
        let is_crowded = self.are_too_many() || self.account.ledger().is_full();
        is_crowded && (self.bytes() > 2 * self.bytes_max || tail.bytes() > self.bytes_max / tails.max(1))
    }
}

impl Tail {
    /// Bytes that it takes.
    fn bytes(&self) -> usize {
        let state = lock(&self.state);
        let sealed = usize::try_from(state.sealed.bytes()).unwrap_or(usize::MAX);
        sealed.saturating_add(state.open.as_ref().map_or(0, |open| open.held_bytes()))
    }

    /// A message came that this tail does not take: whoever wants it reads it from its topic.
    pub fn pass_by(&self, offset: Offset, wake: impl FnMut(usize)) {
        let mut state = lock(&self.state);
        state.discard_open();
        while state.sealed.drop_front().is_some() {}
        (state.last, state.link) = (offset, offset);
        state.cached_from = offset;
        state.passed_by = offset;
        self.marks.raise(wake);
    }

    /// An empty tail begins here.
    pub fn begin_at(&self, end: Offset) {
        let mut state = lock(&self.state);
        (state.last, state.link, state.cached_from, state.begun_at) = (end, end, end, end);
    }

    /// Nothing that is owed lies between `from` and where this tail began: it holds all from there on, if it has
    /// dropped nothing since.
    pub fn reach_back(&self, from: Offset) {
        let mut state = lock(&self.state);
        if state.cached_from == state.begun_at && from < state.begun_at {
            state.cached_from = from;
        }
    }
}
