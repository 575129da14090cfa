//! What only a pattern's tail does: it begins where its log stands, and may leave to its topics what it need not hold.

use tidewire_protocol::number::Offset;

use crate::sync::lock;
use crate::tail::Tail;

impl Tail {
    /// A message came that this tail does not take: whoever wants it reads it from its topic.
    pub fn pass_by(&self, offset: Offset, wake: impl FnMut(usize)) {
        let mut state = lock(&self.state);
        state.discard_open();
        while state.sealed.drop_front().is_some() {}
        state.last = offset;
        state.cached_from = offset;
        state.passed_by = offset;
        self.marks.raise(wake);
    }

    /// An empty tail begins here.
    pub fn begin_at(&self, end: Offset) {
        let mut state = lock(&self.state);
        (state.last, state.cached_from, state.begun_at) = (end, end, end);
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
