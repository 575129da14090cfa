//! Where the latest message of a key is.

use tidewire_protocol::number::Offset;

use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::Tail;
use crate::tail::latest::Latest;

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
        let known = latest.keys.get(key)?;
        let stands = !known.removed && known.ends_ms > given_ms && known.offset > state.cached_from;
        stands.then_some(known.offset)
    }

    /// Whether a key had a message that is not forgotten yet.
    #[must_use]
    pub fn knows(&self, key: &str) -> bool {
        let state = lock(&self.state);
        let knows = |latest: &Latest| latest.keys.contains_key(key) || latest.staged_of(key).is_some();
        state.latest.as_deref().is_some_and(knows)
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
