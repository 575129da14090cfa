//! How fast a client may publish.

use crate::clock::Millis;

/// An allowance that fills up with time, to ten seconds' worth.
#[derive(Debug, Default)]
pub struct Rate {
    /// Thousandths of publishes that may be made, and when that was worked out.
    allowance: u64,
    at: Millis,
}

/// The allowance is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the rate limit holds for {retry_after_ms} ms more")]
pub struct Exhausted {
    /// When there is some again.
    pub retry_after_ms: u64,
}

impl Rate {
    /// Takes one publish from the allowance; 0 a second stands for no limit.
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn take_one(&mut self, now: Millis, per_second: u64) -> Result<(), Exhausted> {
        if per_second == 0 {
            return Ok(());
        }
        let full = per_second * 10_000;
        let earned = now.since(self.at).saturating_mul(per_second);
        self.allowance = self.allowance.saturating_add(earned).min(full);
        self.at = now;
        let left = self.allowance.checked_sub(1_000);
        self.allowance = left.ok_or(Exhausted { retry_after_ms: 1_000 / per_second + 1 })?;
        Ok(())
    }
}
