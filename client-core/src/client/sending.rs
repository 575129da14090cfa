//! What the application may ask about updates that may be lost.

use crate::client::Client;
use crate::fault::Fault;
use crate::input::Millis;
use crate::outgoing::Update;
use crate::output::{Fate, SenderId};

impl Client {
    /// Sends an update that may be lost, such as where a pointer is: no outbox keeps it, and no outcome is told.
    ///
    /// One that cannot go at once waits for at most `expires_ms`; after that it is dropped. Updates of one topic keep
    /// their order.
    ///
    /// # Errors
    /// `closed`, `bad_name`, `too_large`, `not_supported` by the hub, or the hub's refusal of the topic. It is dropped.
    pub fn send(&mut self, now: Millis, update: &Update<'_>) -> Result<Fate, Fault> {
        self.check(update.topic, false)?;
        self.start(now);
        let Self { connection, sends, parties, requests, outputs, .. } = self;
        sends.send(now, update, parties.allowance(), connection.is_online(), requests, outputs)
    }

    /// Drops what waits of a sender, who has gone; `Settled` tells of each.
    pub fn withdraw(&mut self, now: Millis, sender: SenderId) {
        self.sends.withdraw(sender);
        self.drive(now);
    }

    /// Why updates to a topic would be dropped now, as far as the hub has said.
    #[must_use]
    pub fn send_refusal(&self, now: Millis, topic: &str) -> Option<Fault> {
        self.sends.refusal(now, topic, 0)
    }

    /// Updates that were dropped since the client began.
    #[must_use]
    pub const fn sends_dropped(&self) -> u64 {
        self.sends.dropped()
    }
}
