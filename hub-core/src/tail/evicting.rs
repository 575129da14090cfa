//! Where the node has no room, a durable topic's tail lets go of its oldest blocks, and nothing is lost: they are away then.

use tidewire_protocol::number::Offset;

use crate::block::shares;
use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::sealed::Totals;
use crate::tail::{Source, State, Tail};

impl Tail {
    /// Whether those who hold more than `level` brought half of what it holds or more.
    #[must_use]
    pub fn is_of_many(&self, level: usize) -> bool {
        let state = lock(&self.state);
        if !state.sealed.is_empty() {
            return state.sealed.is_of_many(level);
        }
        match (&state.open, &state.away) {
            (Some(open), _) => shares::is_of_many(open.brought(), level),
            (None, Some(away)) => away.is_of_many(level),
            (None, None) => false,
        }
    }

    /// Whether what it lets go of for want of room is on a disk, and may be read from there. A topic that has to be held whole
    /// says no here.
    pub(super) fn may_be_away(&self) -> bool {
        self.terms.keep.is_stored && !self.keeps_latest() && matches!(self.source, Source::Topic(_))
    }

    /// What of a message the disk does not have it does not have of those before either.
    pub fn lose(&self, offset: Offset) {
        let mut state = lock(&self.state);
        while state.away.as_ref().and_then(|away| away.front()).is_some_and(|run| run.last <= offset) {
            state.drop_oldest_run();
        }
        state.cached_from = state.cached_from.max(offset);
    }

    /// Everything that is gone, and where what is away ends: from there on all is here.
    #[must_use]
    pub fn away_bounds(&self, now: Millis) -> (Offset, Offset) {
        let mut state = lock(&self.state);
        self.look(&mut state, now);
        let upto = state.sealed.front().map_or(state.last, |front| front.prev);
        (state.cached_from, upto.max(state.cached_from))
    }

    /// Lets go of the older half of the blocks, some at a time, one at least. What came after `settled_ms` stays. Tells how many
    /// bytes that freed.
    pub(super) fn evict(&self, state: &mut State, settled_ms: u64) -> usize {
        if state.sealed.is_empty() && state.open.as_ref().is_some_and(|open| open.last_time_ms() < settled_ms)
        {
            self.seal(state);
        }
        let before = state.memory_bytes();
        let mut let_go = 0;
        for _ in 0..state.sealed.len().div_ceil(2) {
            let State { sealed, away, .. } = state;
            let Some(front) = sealed.front().filter(|front| front.last_time_ms < settled_ms) else { break };
            away.get_or_insert_default().push_block(front);
            let Some((_, bytes)) = sealed.drop_front() else { break };
            let_go += bytes;
            if let_go >= EVICTED_STEP {
                break;
            }
        }
        before.saturating_sub(state.memory_bytes())
    }
}

impl State {
    /// Bytes that all but the open block takes in memory.
    pub(super) fn memory_bytes(&self) -> usize {
        let away = self.away.as_ref().map_or(0, |away| away.own_bytes());
        usize::try_from(self.sealed.bytes()).unwrap_or(usize::MAX).saturating_add(away)
    }

    /// Everything that is owed after this is kept.
    pub(super) fn told_from(&self) -> Offset {
        if mutant::active(Mutant::AwayToldAsGone) && self.away.is_some() {
            return self.sealed.front().map_or(self.last, |front| front.prev);
        }
        self.cached_from
    }

    /// Whether what comes after `cursor` is away.
    pub(super) fn is_away_after(&self, cursor: Offset) -> bool {
        if mutant::active(Mutant::AwayPassedOver) {
            return false;
        }
        self.away.as_ref().is_some_and(|away| away.next_after(cursor).is_some())
    }

    /// Sealed messages and those that are away.
    pub(super) fn all(&self) -> Totals {
        let away = self.away.as_ref().map(|away| away.all()).unwrap_or_default();
        Totals { count: self.sealed.count() + away.count, bytes: self.sealed.bytes() + away.bytes }
    }

    /// What lies after `cursor`.
    pub(super) fn after(&self, cursor: Offset) -> Totals {
        let sealed = self.sealed.after(cursor);
        let away = self.away.as_ref().map(|away| away.after(cursor)).unwrap_or_default();
        Totals { count: sealed.count + away.count, bytes: sealed.bytes + away.bytes }
    }

    /// The last offset before the newest `count` messages, of which there must be so many.
    pub(super) fn place_before_last(&self, count: u64) -> Offset {
        match (count.checked_sub(self.sealed.count() + 1), &self.away) {
            (Some(more), Some(away)) => away.before_last(more + 1),
            (_, _) => self.sealed.before_last(count),
        }
    }

    /// The newest offset that was published before `time`; 0 if all are younger.
    pub(super) fn before_time(&self, time: Millis) -> Offset {
        let sealed = self.sealed.before_time(time);
        match &self.away {
            Some(away) if sealed == Offset(0) => away.before_time(time.0),
            Some(_) | None => sealed,
        }
    }

    /// Lets go of the oldest run for good. Tells where it ended, and how many bytes of memory that freed.
    pub(super) fn drop_oldest_run(&mut self) -> Option<(Offset, usize)> {
        let away = self.away.as_mut()?;
        let dropped = away.drop_front();
        if away.is_empty() {
            self.away = None;
        }
        dropped
    }
}

/// Bytes that are let go of at a time: bounds how long whoever publishes or reads waits for that.
const EVICTED_STEP: usize = 1 << 20;
