//! What the application may ask about updates that may be lost.

use tidewire_protocol::code::Content;

use crate::client::Client;
use crate::fault::Fault;
use crate::input::Millis;
use crate::output::{Fate, SenderId};
use crate::sends::Update;

impl Client {
    /// Sends an update that may be lost, such as where a pointer is: no outbox keeps it, and no outcome is told.
    ///
    /// One that cannot go at once waits for at most `expires_ms`; after that it is dropped. Updates of one topic keep
    /// their order. `false` if it was dropped at once.
    ///
    /// # Errors
    /// `closed`, `bad_name`, `too_large`, `not_supported` by the hub, or the hub's refusal of the topic. It is dropped.
    pub fn send(
        &mut self,
        now: Millis,
        topic: &str,
        content: Content,
        payload: &[u8],
        expires_ms: Millis,
    ) -> Result<bool, Fault> {
        let fate = self.send_for(now, SenderId(0), topic, content, payload, expires_ms)?;
        Ok(fate != Fate::Dropped)
    }

    /// As [`Self::send`], for one of several who share the client. What becomes of one that waits is told by `Settled`,
    /// unless the client ends before.
    ///
    /// # Errors
    /// Those of [`Self::send`].
    pub fn send_for(
        &mut self,
        now: Millis,
        sender: SenderId,
        topic: &str,
        content: Content,
        payload: &[u8],
        expires_ms: Millis,
    ) -> Result<Fate, Fault> {
        self.check(topic, false)?;
        self.start(now);
        let update = Update { topic, content, payload, expires_ms, sender };
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
        self.sends.refusal(now, topic)
    }

    /// Updates that were dropped since the client began.
    #[must_use]
    pub const fn sends_dropped(&self) -> u64 {
        self.sends.dropped()
    }
}
