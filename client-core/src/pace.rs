//! How many messages go at once after the hub has refused one for now: as many as it took since it refused one before,
//! and ever more while it takes them. All topics together, since a rate is the connection's.

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::Refused;

use crate::input::{Millis, NEVER};
use crate::limits::RETRY_MS_MIN;

/// What may go now.
#[derive(Debug)]
pub(crate) struct Pace {
    /// So many more, before an answer comes. If nothing is on its way, one may always go.
    pub room: u64,
    /// Messages taken since one was refused for now.
    taken: u64,
    /// Nothing goes before then.
    pub resume_at: Millis,
}

impl Pace {
    /// Nothing was refused: no bound but those of the windows.
    pub(crate) const fn new() -> Self {
        Self { room: u64::MAX / 2, taken: 0, resume_at: NEVER }
    }

    /// The hub took so many, or used them up: as many again may go, and half as many more.
    pub(crate) const fn taken(&mut self, count: u64) {
        // Whatever numbers a hub says: one may always go.
        let taken = self.taken.wrapping_add(count);
        self.room = self.room.wrapping_add(count).wrapping_add(taken / 2).wrapping_sub(self.taken / 2);
        self.taken = taken;
    }

    /// The hub refused a message.
    pub(crate) fn refused(&mut self, now: Millis, refused: &Refused<'_>) {
        if refused.consumed || !refused.code.retryable() {
            self.taken(refused.count.max(1));
        } else if refused.code != Code::OutOfOrder {
            self.room = self.taken;
            self.taken = 0;
            if refused.code == Code::RateLimited {
                self.resume_at = now + refused.retry_after_ms.max(RETRY_MS_MIN);
            }
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
