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
        freed += state.away.take().map_or(0, |away| away.own_bytes());
        state.forget_keys();
        state.cached_from = state.last;
        freed
    }

    /// Bytes of a heavy tail. `None` if it is not heavy any more, and may become so again.
    #[must_use]
    pub fn heavy_bytes(&self) -> Option<usize> {
        let mut state = lock(&self.state);
        let bytes = state.memory_bytes();
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
    /// came after `settled` stays, but in a pattern's tail: its topics have it; so does the latest of each key. Of a durable
    /// topic all is still there, as long as there is room to know where. Tells how many bytes that freed.
    pub fn shrink(&self, settled: Millis) -> usize {
        if self.keeps_latest() {
            return 0;
        }
        let mut state = lock(&self.state);
        let settled_ms = match self.source {
            Source::Topic(_) if settled < NEVER => self.terms.calendar.at(settled).0,
            Source::Topic(_) | Source::Pattern(_) => u64::MAX,
        };
        if self.may_be_away() {
            let freed = self.evict(&mut state, settled_ms);
            return if freed > 0 { freed } else { self.drop_runs(&mut state, settled == NEVER) };
        }
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
        if state.away.is_some() {
            self.drop_old_runs(state, now);
        }
        if state.sealed.is_empty() || state.away.is_some() {
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
        let mut has_expired = false;
        for _ in 0..state.sealed.stale(now, given_ms) {
            has_expired |= state.sealed.front().is_some_and(|front| front.expires_ms <= given_ms);
            self.drop_front(state);
        }
        // Whoever is behind that has done nothing wrong.
        if has_expired {
            state.passed_by = state.passed_by.max(state.cached_from);
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

    /// Drops whole runs that no bound keeps.
    fn drop_old_runs(&self, state: &mut State, now: Millis) {
        let (keep, oldest) = (&self.terms.keep, self.oldest(now));
        while let Some(front) = state.away.as_ref().and_then(|away| away.front()) {
            let all = state.all();
            let crowded = all.count - u64::from(front.count) >= keep.count || all.bytes > keep.bytes as u64;
            let is_alone = all.count == u64::from(front.count);
            if front.last_time_ms >= oldest.0 && (!crowded || is_alone) {
                return;
            }
            self.drop_run(state);
        }
    }

    /// Drops the older half of the runs, where there is no room even to know where messages are: of a topic of which that takes
    /// much and nothing else is here, or of any if nothing else helps.
    fn drop_runs(&self, state: &mut State, nothing_else_helps: bool) -> usize {
        let is_much = state.sealed.is_empty() && state.memory_bytes() >= self.terms.heavy_bytes;
        if !is_much && !nothing_else_helps {
            return 0;
        }
        let half = state.away.as_ref().map_or(0, |away| away.len().div_ceil(2));
        (0..half).map(|_| self.drop_run(state)).sum()
    }

    fn drop_run(&self, state: &mut State) -> usize {
        let Some((last, bytes)) = state.drop_oldest_run() else { return 0 };
        state.cached_from = state.cached_from.max(last);
        bytes
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
        let surplus = self.all().count.saturating_sub(keep.count);
        let Millis(oldest_ms) = oldest;
        // One may come as another expires, so that there are as many.
        let trimmed = (surplus, oldest_ms, self.last);
        if self.trimmed == trimmed {
            return;
        }
        let run = self.away.as_ref().and_then(|away| away.front()).cloned();
        let gone = match (&run, self.sealed.front()) {
            (Some(run), _) => {
                last_surplus(run.places().map(|it| (it.offset, it.time_ms)), surplus, oldest_ms)
            }
            (None, Some(front)) if surplus > 0 || front.first_time_ms() < oldest_ms => {
                let messages = front.wire();
                let messages = messages.messages().flatten().map(|it| (it.offset, it.published_at_ms));
                last_surplus(messages, surplus, oldest_ms)
            }
            (None, _) => return,
        };
        self.trimmed = trimmed;
        if let Some(gone) = gone {
            self.cached_from = self.cached_from.max(gone);
        }
    }
}

/// The last of these that is too much, or too old.
fn last_surplus(
    messages: impl Iterator<Item = (Offset, u64)>,
    surplus: u64,
    oldest_ms: u64,
) -> Option<Offset> {
    let gone = messages.zip(0u64..).take_while(|((_, time_ms), at)| *at < surplus || *time_ms < oldest_ms);
    gone.last().map(|((offset, _), _)| offset)
}

/// Bytes of a tail that are looked at in a round of ageing for what was replaced.
const LOOKED_AT_BYTES: usize = 64 << 10;
/// An open block of so few bytes counts as part of its topic and not as history.
pub(super) const SMALL_BYTES: usize = 512;
