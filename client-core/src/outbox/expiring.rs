//! Messages that are worth nothing any more, whether or not they were sent.

use alloc::vec::Vec;

use crate::entry::EXPIRED;
use crate::input::{Millis, NEVER};
use crate::limits::EXPIRY_MS;
use crate::outbox::Outbox;
use crate::outputs::Outputs;

impl Outbox {
    /// Takes them out, each with its batch.
    pub(super) fn expire(&mut self, now: Millis, out: &mut Outputs) {
        let mut gone = Vec::new();
        let mut next = NEVER;
        for (place, window) in self.windows.iter().enumerate() {
            let Some(window) = window else { continue };
            next = next.min(window.expired(now, place, &mut gone));
        }
        // Where many come at different times, they are not gone through for each.
        self.expires_at = next.max(now + EXPIRY_MS);
        // The last ones first: where runs of voids come to be, fewer entries move.
        for (place, batch) in gone.into_iter().rev() {
            self.withdraw_from(place, batch, EXPIRED, out);
        }
        self.at_rest = false;
    }
}
