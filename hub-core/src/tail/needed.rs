//! What of a topic is needed on the disk, and what of it was told there.

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::number::Offset;

use crate::block::expires_ms;
use crate::clock::Millis;
use crate::record::Record;
use crate::sync::lock;
use crate::tail::restoring::Bounds;
use crate::tail::{State, Tail};

/// What of a stored message is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// All of it.
    Whole,
    /// That it was there and has expired: something before it may be kept, and a topic has no holes.
    Expired,
    /// Nothing.
    Not,
}

impl Tail {
    /// What is needed of a message that is stored, or with `None` of what has expired up to there: where nothing older than it is
    /// stored, or something may be, and all that stands was told anew since a commit.
    #[must_use]
    pub fn needs(
        &self,
        now: Millis,
        (offset, record): (Offset, Option<&Record<'_>>),
        is_oldest: bool,
        told_since: u64,
    ) -> Need {
        let state = lock(&self.state);
        let Some(record) = record else {
            return if offset > self.gone_for_sure(&state, told_since) { Need::Expired } else { Need::Not };
        };
        if self.keeps_latest() {
            // A key whose value has expired is removed by a message.
            let is_needed = state.needs_latest(offset, record.ext, is_oldest, told_since);
            return if is_needed { Need::Whole } else { Need::Not };
        }
        if offset <= state.cached_from {
            return Need::Not;
        }
        let given_ms = self.terms.calendar.at(now).0;
        if expires_ms(record.ext, record.published_at.0) <= given_ms { Need::Expired } else { Need::Whole }
    }

    /// How it stands, to be told in a round that began with a commit.
    #[must_use]
    pub fn tell_bounds(&self, since: u64) -> Bounds {
        let bounds = self.stored_bounds();
        if let Some(latest) = &mut lock(&self.state).latest {
            latest.tell(since, bounds);
        }
        bounds
    }

    /// Up to where stored messages are gone, where all was told anew since a commit. What a topic that keeps the latest of each
    /// key knows of that is lost with the hub until then: holes tell nothing there.
    #[must_use]
    pub fn stored_gone(&self, told_since: u64) -> Offset {
        self.gone_for_sure(&lock(&self.state), told_since)
    }

    fn gone_for_sure(&self, state: &State, told_since: u64) -> Offset {
        match &state.latest {
            Some(latest) if self.keeps_latest() => latest.told_by(told_since).gone,
            _ => state.cached_from,
        }
    }

    /// Bytes of what is kept between two messages, both counted, about.
    #[must_use]
    pub fn kept_bytes(&self, now: Millis, first: Offset, last: Offset) -> u64 {
        let mut state = lock(&self.state);
        self.drop_expired(&mut state, now);
        // What has gathered since the newest block was sealed is kept, too.
        let open =
            state.open.as_ref().filter(|open| open.first() <= last).map_or(0, |open| open.len() as u64);
        open + state.held_between(Offset(first.0.saturating_sub(1)), last).bytes
    }
}

impl State {
    fn needs_latest(&self, offset: Offset, ext: &[u8], is_oldest: bool, told_since: u64) -> bool {
        let told = self.latest.as_ref().map(|latest| latest.told_by(told_since)).unwrap_or_default();
        if offset <= told.gone {
            return false;
        }
        let attributes = Attributes::take(ext).unwrap_or_default();
        let known = self.latest.as_ref().and_then(|latest| latest.offset_of(&attributes.key));
        match known {
            _ if attributes.key.is_empty() => false,
            Some(known) => known <= offset,
            // A value that it removed may be left somewhere, also for what is gone to be told, and must not come back; and that it
            // went must be told first.
            None if attributes.remove => {
                !is_oldest || offset > told.removals_gone || told.gone < self.cached_from
            }
            None => offset <= self.cached_from,
        }
    }
}
