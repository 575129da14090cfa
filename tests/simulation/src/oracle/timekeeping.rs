//! The system's clock, which somebody corrects, and the times that messages may be given.

use crate::oracle::listening::Objection;
use crate::oracle::log::Record;

/// What is known of the clock of the hub that lives.
#[derive(Debug, Default)]
pub struct Timekeeping {
    /// How far the system's clock is ahead of the steady one.
    pub ahead_ms: i64,
    /// Since when, or since when this hub lives.
    since_ms: u64,
    /// Whether the hub was told of any correction.
    is_corrected: bool,
}

impl Timekeeping {
    /// A hub begins to live: its steady clock is the simulation's, as if the system's had just been corrected.
    pub fn begin_life(&mut self, now: u64, is_kept: bool) {
        // Times that a durable log keeps may be of a clock that was corrected since.
        let was_corrected = is_kept && self.is_corrected;
        (self.since_ms, self.is_corrected) = (now, was_corrected || self.ahead_ms != 0);
    }

    /// The clock is corrected.
    pub fn corrected(&mut self, now: u64, by_ms: i64) {
        self.ahead_ms += by_ms;
        (self.since_ms, self.is_corrected) = (now, true);
    }

    /// When a message was taken, by the steady clock, if that can be known of one whose storing may have taken long.
    #[must_use]
    pub fn taken_ms(&self, shown_ms: Option<u64>, given_ms: u64) -> Option<u64> {
        shown_ms.or_else(|| (!self.is_corrected).then_some(given_ms))
    }

    /// Whether a message may have its time.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, record: &Record, before: Option<&Record>) -> Result<(), Objection> {
        let given_ms = record.published_at_ms;
        if let Some(before) = before.filter(|before| before.published_at_ms > given_ms) {
            return Err(format!("time goes back: {record:?} after {before:?}"));
        }
        let Some(taken_ms) = record.taken_ms else { return Ok(()) };
        if !self.is_corrected && given_ms != taken_ms {
            return Err(format!("another time than that of a clock that nobody corrected: {record:?}"));
        }
        let system_ms = taken_ms.saturating_add_signed(self.ahead_ms);
        if taken_ms > self.since_ms + FOLLOWED_MS && given_ms + TOLERATED_MS < system_ms {
            return Err(format!("the clock says {system_ms}, and is not followed: {record:?}"));
        }
        Ok(())
    }
}

/// So long after a correction the hub knows of it.
const FOLLOWED_MS: u64 = 7_000;
/// So wrong the time may be.
const TOLERATED_MS: u64 = 500;
