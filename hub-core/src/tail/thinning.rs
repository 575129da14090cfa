//! Messages that nobody is owed any more go out of the middle of a topic's tail.

use crate::block::{Block, has_expired};
use crate::clock::{Millis, NEVER};
use crate::mutant::{self, Mutant};
use crate::tail::sealed::thinning::Form;
use crate::tail::{Source, State, Tail};

impl Tail {
    /// Drops messages whose time to live is over. A pattern's tail lets go of all up to there instead: its topics have what
    /// is left.
    pub(super) fn drop_expired(&self, state: &mut State, now: Millis) {
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

    /// Lets a topic go of which nothing is left though no bound took it: cursors of long ago are then told of a gap.
    pub(super) fn forget_emptied(&self, state: &mut State, now: Millis) {
        let holds_some = state.open.is_some() || !state.sealed.is_empty() || state.away.is_some();
        if holds_some || state.cached_from == state.last {
            state.emptied_at = NEVER;
            return;
        }
        state.emptied_at = state.emptied_at.min(now);
        let keep = &self.terms.keep;
        let bound = keep.age_ms.min(keep.removals_ms.unwrap_or(EMPTIED_MS));
        if now.since(state.emptied_at) >= bound {
            state.cached_from = state.last;
        }
    }
}

/// So long after its last message has expired a topic that keeps messages for ever counts as one that holds none.
const EMPTIED_MS: u64 = 3_600_000;
