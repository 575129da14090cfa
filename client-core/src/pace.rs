//! How many messages go at once after the hub has refused one for its rate: as many as it took since it refused one
//! before, and ever more while it takes them. All topics together, since a rate is the connection's.

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::Refused;

use crate::input::{Millis, NEVER};
use crate::limits::RETRY_MS_MIN;

/// What may go now.
#[derive(Debug)]
pub(crate) struct Pace {
    /// So many may be on their way. If nothing is, one may always go.
    pub limit: u64,
    /// Messages taken since one was refused for its rate.
    taken: u64,
    /// Nothing goes before then.
    pub resume_at: Millis,
}

impl Pace {
    /// Nothing was refused: no bound but those of the windows.
    pub(crate) const fn new() -> Self {
        Self { limit: u64::MAX / 2, taken: 0, resume_at: NEVER }
    }

    /// The hub took so many, or used them up: half as many more may go.
    pub(crate) const fn taken(&mut self, count: u64) {
        // Whatever numbers a hub says: one may always go.
        let taken = self.taken.wrapping_add(count);
        self.limit = self.limit.wrapping_add(taken / 2).wrapping_sub(self.taken / 2);
        self.taken = taken;
    }

    /// The hub refused a message. What it has no room for now is its topic's matter alone.
    pub(crate) fn refused(&mut self, now: Millis, refused: &Refused<'_>) {
        if refused.consumed || !refused.code.retryable() {
            self.taken(refused.count.max(1));
        } else if refused.code == Code::RateLimited {
            self.limit = self.taken.max(1);
            self.taken = 0;
            self.resume_at = now + refused.retry_after_ms.max(RETRY_MS_MIN);
        }
    }

    /// Whether a time has come to go on.
    pub(crate) const fn tick(&mut self, now: Millis) -> bool {
        let goes_on = self.resume_at <= now;
        if goes_on {
            self.resume_at = NEVER;
        }
        goes_on
    }
}
