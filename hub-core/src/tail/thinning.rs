//! Messages that nobody is owed any more go out of the middle of a topic's tail.

use crate::block::has_expired;
use crate::clock::Millis;
use crate::tail::sealed::thinning::Form;
use crate::tail::{Source, State, Tail};

impl Tail {
    /// Drops messages whose time to live is over. A pattern's tail lets go of all up to there instead: its topics have what
    /// is left.
    pub(super) fn drop_expired(&self, state: &mut State, now: Millis) {
        // What has gathered begins behind the newest block as that is now.
        if state.open.is_some() || matches!(self.source, Source::Pattern(_)) {
            return;
        }
        let given_ms = self.terms.calendar.at(now).0;
        let form = Form { tail: self.number, log: self.log, bytes_max: 0 };
        // From behind, since places before one stay where they are.
        for place in state.sealed.expired(given_ms).into_iter().rev() {
            let link = state.sealed.thin(place..place + 1, form, |record| !has_expired(record, given_ms));
            state.link = link.unwrap_or(state.link);
        }
    }
}
