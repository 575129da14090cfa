//! What the application may ask about updates that may be lost.

use tidewire_protocol::code::Content;

use crate::client::Client;
use crate::fault::Fault;
use crate::input::Millis;
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
        self.check(topic, false)?;
        self.start(now);
        let update = Update { topic, content, payload, expires_ms };
        let online = self.connection.is_online();
        self.sends.send(now, update, self.parties.allowance(), online, &mut self.requests)
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
