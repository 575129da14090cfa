//! A topic, and the updates that may be lost.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use tidewire_protocol::code::{Code, Content};

use crate::command::Command;
use crate::outcome::PublishError;
use crate::outgoing::Outgoing;
use crate::payload::Payload;
use crate::sending::{Sending, Target};

/// A topic that updates are sent to. Clones share it.
#[derive(Debug, Clone)]
pub struct Topic {
    target: Arc<Target>,
    sending: Arc<Sending>,
    commands: mpsc::UnboundedSender<Command>,
}

impl Topic {
    pub(crate) fn new(name: &str, sending: Arc<Sending>, commands: mpsc::UnboundedSender<Command>) -> Self {
        Self { target: Arc::new(Target::new(name)), sending, commands }
    }

    /// Sends an update that may be lost, such as where a pointer is: no outbox keeps it and nobody answers. One that
    /// cannot go at once is dropped and counted; see [`crate::Client::sends_dropped`].
    ///
    /// # Errors
    /// What became of an earlier one: the hub refuses updates to this topic, or takes none at all. This one was tried
    /// all the same. [`PublishError::Closed`] if the client has ended.
    pub fn send(&self, content: Content, payload: impl Into<Bytes>) -> Result<(), PublishError> {
        self.give(Payload::new(content, payload.into()).into(), Duration::ZERO)
    }

    /// As [`Self::send`], but one that cannot go at once waits for so long, counted in whole milliseconds.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_within(
        &self,
        worth: Duration,
        content: Content,
        payload: impl Into<Bytes>,
    ) -> Result<(), PublishError> {
        self.give(Payload::new(content, payload.into()).into(), worth)
    }

    /// As [`Self::send_within`], with a message that has more than a payload. One whose time to live is over while it waits is
    /// dropped.
    ///
    /// # Errors
    /// As [`Self::send`]; [`PublishError::BadMessage`] if no message may be like this, and `not_supported` of conditions and a
    /// durability: nobody answers. It was not tried then.
    pub fn send_message(&self, worth: Duration, message: Outgoing) -> Result<(), PublishError> {
        message.check()?;
        if message.has_terms() {
            return Err(PublishError::Refused(Code::NotSupported));
        }
        self.give(message, worth)
    }

    /// Waits until the hub has read the updates that went out before this. What was on its way when a connection broke is
    /// lost, and not waited for.
    ///
    /// # Errors
    /// Why the hub refuses updates to this topic, or what became of the last one. [`PublishError::Closed`] if the client
    /// has ended.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let (done, flushed) = oneshot::channel();
        // Without a task the sender is dropped here.
        let _ = self.commands.send(Command::FlushSends { target: Arc::clone(&self.target), done });
        flushed.await.unwrap_or(Err(PublishError::Closed))
    }

    fn give(&self, message: Outgoing, worth: Duration) -> Result<(), PublishError> {
        if self.commands.is_closed() {
            return Err(PublishError::Closed);
        }
        let (message, earlier) = (message.begun(), self.target.refusal());
        let expires_ms = u64::try_from(worth.as_millis()).unwrap_or(u64::MAX);
        let bytes = message.outbox_bytes();
        if self.sending.take(bytes) {
            let command = Command::Send { target: Arc::clone(&self.target), message, expires_ms };
            if self.commands.send(command).is_err() {
                self.sending.taken(bytes);
                return Err(PublishError::Closed);
            }
        }
        earlier.map_or(Ok(()), Err)
    }
}
