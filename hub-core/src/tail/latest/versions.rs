//! Where the latest message of a key is.

use tidewire_protocol::number::Offset;

use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::latest::Latest;
use crate::tail::{State, Tail};

impl Tail {
    /// The latest message of a key, of those that are numbered; `None` if it has no value.
    #[must_use]
    pub fn version(&self, now: Millis, key: &str) -> Option<Offset> {
        let given_ms = self.terms.calendar.at(now).0;
        let state = lock(&self.state);
        let latest = state.latest.as_ref()?;
        if let Some((offset, ends_ms)) = latest.staged_of(key)
            && !mutant::active(Mutant::ConditionBlindToWaiting)
        {
            return Some(offset).filter(|_| ends_ms > given_ms);
        }
        state.seen_version(given_ms, key)
    }

    /// The same of those that are seen.
    #[must_use]
    pub fn seen_version(&self, now: Millis, key: &str) -> Option<Offset> {
        let given_ms = self.terms.calendar.at(now).0;
        lock(&self.state).seen_version(given_ms, key)
    }

    /// Whether a key had a message that is not forgotten yet.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        let state = lock(&self.state);
        let knows = |latest: &Latest| latest.keys.contains_key(key) || latest.staged_of(key).is_some();
        state.latest.as_deref().is_some_and(knows)
    }
}

impl State {
    fn seen_version(&self, given_ms: u64, key: &str) -> Option<Offset> {
        let known = self.latest.as_ref()?.keys.get(key)?;
        let stands = !known.removed && known.ends_ms > given_ms && known.offset > self.cached_from;
        stands.then_some(known.offset)
    }
}

impl Latest {
    pub(super) fn staged_of(&self, key: &str) -> Option<(Offset, u64)> {
        if self.staged.is_empty() {
            return None;
        }
        let (from, to) = ((Box::from(key), Offset(0)), (Box::from(key), Offset(u64::MAX)));
        self.staged.range(from..=to).next_back().map(|((_, offset), ends_ms)| (*offset, *ends_ms))
    }
}
