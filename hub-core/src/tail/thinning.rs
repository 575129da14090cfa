//! Messages that nobody is owed any more go out of the middle of a topic's tail.

use tidewire_protocol::number::Offset;

use crate::block::{Block, has_expired};
use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::tail::sealed::thinning::Form;
use crate::tail::{Emptied, Source, State, Tail};

impl Tail {
    /// Drops messages whose time to live is over. A pattern's tail lets go of all up to there instead: its topics have what
    /// is left.
    pub(super) fn drop_expired(&self, state: &mut State, now: Millis) {
        let before = state.before_first();
        self.thin_expired(state, now);
        if before != state.before_first() {
            state.is_emptied(state.before_first().unwrap_or(state.last), now);
        }
    }

    fn thin_expired(&self, state: &mut State, now: Millis) {
        if let Some(away) = &mut state.away {
            away.drop_expired(self.terms.calendar.at(now).0);
            if away.is_empty() {
                state.away = None;
            }
        }
        // What has gathered begins behind the newest block as that is now. A key whose value has expired is removed, for all to
        // hear: until then what it replaced would stand again.
        let goes_by_removal = self.keeps_latest() && !mutant::active(Mutant::ReplacedStandsAgain);
        if state.open.is_some() || goes_by_removal || matches!(self.source, Source::Pattern(_)) {
            return;
        }
        let given_ms = self.terms.calendar.at(now).0;
        let form = Form { tail: self.number, log: self.log, bytes_max: 0 };
        if let Some(places) = state.sealed.expired(given_ms) {
            let is_meant = |block: &Block| block.expires_ms <= given_ms;
            let link = state.sealed.thin(places, form, is_meant, |record| !has_expired(record, given_ms));
            state.link = link.unwrap_or(state.link);
        }
    }

    /// Lets go of the beginning of a topic, or of all, where nothing is left for so long though no bound took it: cursors of long
    /// ago are then told of a gap, and what is stored of it is needed no more.
    pub(super) fn forget_emptied(&self, state: &mut State, now: Millis) {
        if state.before_first().is_none() {
            state.is_emptied(state.last, now);
        }
        let Some(emptied) = &mut state.emptied else { return };
        let keep = &self.terms.keep;
        if now.since(emptied.since) >= keep.age_ms.min(keep.removals_ms.unwrap_or(EMPTIED_MS)) {
            state.cached_from = state.cached_from.max(emptied.upto);
            (emptied.upto, emptied.since) = (emptied.newest, now);
        }
        if emptied.newest <= state.cached_from {
            state.emptied = None;
        }
    }
}

impl State {
    /// Up to there nothing is left, though no bound took it.
    pub(super) fn is_emptied(&mut self, upto: Offset, now: Millis) {
        let since = || Box::new(Emptied { upto, since: now, newest: upto });
        if upto > self.cached_from {
            self.emptied.get_or_insert_with(since).newest = upto;
        }
    }

    /// The offset before the first message that is here or away.
    pub(super) fn before_first(&self) -> Option<Offset> {
        let away =
            self.away.as_ref().and_then(|away| away.front()?.places().next()).map(|place| place.offset);
        // A block may begin further back, behind what has gone before it.
        let sealed = || self.sealed.front().map(|front| front.first);
        let first = away.or_else(sealed).or_else(|| self.open.as_ref().map(|open| open.first()))?;
        Some(Offset(first.0.saturating_sub(1)))
    }
}

/// So long after its last message has expired a topic that keeps messages for ever counts as one that holds none.
const EMPTIED_MS: u64 = 3_600_000;
