//! What a tail lets go: what is too old or too much by its own bounds, or because the node has no room.

use tidewire_protocol::number::Offset;

use crate::block::Open;
use crate::clock::{Millis, NEVER};
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::{Keep, Source, State, Tail};

impl Tail {
    /// Drops all that it holds. Tells how many bytes that freed.
    pub fn clear(&self) -> usize {
        let mut state = lock(&self.state);
        let mut freed = state.discard_open();
        while let Some((_, bytes)) = state.sealed.drop_front() {
            freed += bytes;
        }
        state.cached_from = state.last;
        freed
    }

    /// Bytes of a heavy tail. `None` if it is not heavy any more, and may become so again.
    #[must_use]
    pub fn heavy_bytes(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        let bytes = usize::try_from(state.sealed.bytes()).unwrap_or(usize::MAX);
        state.heavy = bytes >= self.terms.heavy_bytes;
        state.heavy.then_some(bytes)
    }

    /// Drops what is too old and tells (gone, last). A small open block stays open until it is old: nobody looks,
    /// and sealed it would only take more room.
    pub fn age(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        let oldest = self.oldest(now);
        let is_old = |open: &Open| open.first_time_ms() < oldest.0;
        if state.open.as_ref().is_some_and(|open| open.len() > SMALL_BYTES || is_old(open)) {
            self.seal(&mut state);
        }
        self.drop_old(&mut state, now);
        self.drop_expired(&mut state, now);
        self.drop_replaced(&mut state, now, LOOKED_AT_BYTES);
        self.forget_emptied(&mut state, now);
        state.trim_front(oldest, &self.terms.keep);
        (state.cached_from, state.last)
    }

    /// Drops the older half of the blocks, because the node has no room: one at least, or what has gathered for one. What
    /// came after `settled` stays, but in a pattern's tail: its topics have it; so does the latest of each key. Tells how many bytes that freed.
    pub fn shrink(&self, settled: Millis) -> usize {
        if self.keeps_latest() {
            return 0;
        }
        let mut state = lock(&self.state);
        let settled_ms = match self.source {
            Source::Topic(_) if settled < NEVER => self.terms.calendar.at(settled).0,
            Source::Topic(_) | Source::Pattern(_) => u64::MAX,
        };
        if state.sealed.is_empty() && state.open.as_ref().is_some_and(|open| open.last_time_ms() < settled_ms)
        {
            state.cached_from = state.last;
            return state.discard_open();
        }
        let mut freed = 0;
        for _ in 0..state.sealed.len().div_ceil(2) {
            if state.sealed.front().is_some_and(|front| front.last_time_ms < settled_ms) {
                freed += self.drop_front(&mut state);
            }
        }
        freed
    }

    /// Drops other encodings of what nobody is writing at the moment. Tells how many bytes that freed.
    pub fn drop_derived(&self) -> usize {
        lock(&self.state).sealed.drop_derived()
    }

    /// Drops whole blocks that no bound keeps; the newest stays unless it is too old.
    pub(super) fn drop_old(&self, state: &mut State, now: Millis) {
        if state.sealed.is_empty() {
            return;
        }
        let (keep, oldest) = (&self.terms.keep, self.oldest(now));
        while let Some(front) = state.sealed.front() {
            let rest = state.sealed.count() - u64::from(front.count);
            let crowded = rest >= keep.count || state.sealed.bytes() > keep.bytes as u64;
            let old = front.last_time_ms < oldest.0;
            if !(old || crowded && state.sealed.len() > 1) {
                break;
            }
            self.drop_front(state);
        }
    }

    /// Drops what some topic of a pattern keeps no longer, and all before it: what is kept of that is still with the
    /// topics, each of which keeps its messages for its own time.
    pub(super) fn drop_stale(&self, state: &mut State, now: Millis) {
        // A topic's tail lets go of what has expired, and of nothing before it.
        let given_ms = match self.source {
            Source::Topic(_) => 0,
            Source::Pattern(_) => self.terms.calendar.at(now).0,
        };
        for _ in 0..state.sealed.stale(now, given_ms) {
            self.drop_front(state);
        }
    }

    /// The time that messages were given which are just not too old.
    pub(super) fn oldest(&self, now: Millis) -> Millis {
        let age_ms = self.terms.keep.age_ms;
        if mutant::active(Mutant::AgedByGivenTime) {
            return Millis(self.terms.calendar.at(now).0.saturating_sub(age_ms));
        }
        self.terms.calendar.at(Millis(now.0.saturating_sub(age_ms)))
    }

    fn drop_front(&self, state: &mut State) -> usize {
        let Some((last, bytes)) = state.drop_front() else { return 0 };
        state.cached_from = state.cached_from.max(last);
        bytes
    }
}

impl State {
    /// Lets go of the oldest block, and of what is known of its messages. Tells where it ended, and its bytes.
    pub(super) fn drop_front(&mut self) -> Option<(Offset, usize)> {
        if let Some(latest) = &mut self.latest
            && let Some(front) = self.sealed.front()
        {
            front.wire().records().flatten().for_each(|record| latest.forget(&record));
        }
        self.sealed.drop_front()
    }

    /// Moves `cached_from` into the oldest block, up to the first message that the bounds keep.
    pub(super) fn trim_front(&mut self, oldest: Millis, keep: &Keep) {
        let surplus = self.sealed.count().saturating_sub(keep.count);
        let Millis(oldest_ms) = oldest;
        let Some(front) = self.sealed.front() else { return };
        if self.trimmed == (surplus, oldest_ms) || surplus == 0 && front.first_time_ms() >= oldest_ms {
            return;
        }
        self.trimmed = (surplus, oldest_ms);
        let messages = front.wire().messages().flatten().zip(0u64..);
        let gone = messages.take_while(|(m, i)| *i < surplus || m.published_at_ms < oldest_ms).last();
        if let Some((message, _)) = gone {
            self.cached_from = self.cached_from.max(message.offset);
        }
    }
}

/// Bytes of a tail that are looked at in a round of ageing for what was replaced.
const LOOKED_AT_BYTES: usize = 64 << 10;

/// An open block of so few bytes counts as part of its topic and not as history.
pub(super) const SMALL_BYTES: usize = 512;
