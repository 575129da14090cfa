//! What programs hear: messages, gaps, outcomes.

use bytes::Bytes;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_protocol::code::{self, Code, Content, Durability};
use tidewire_protocol::number::{Epoch, Offset, Tag};
use tidewire_protocol::position::{Gap, Position};

/// Something that a subscription hears.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SubEvent {
    /// It has its place; comes once, before the first message.
    Ready {
        /// What it got.
        outcome: code::Outcome,
        /// Its messages come after these places, one per log.
        positions: Vec<Position>,
        /// What is missing, if something is.
        gap: Option<Gap>,
    },
    /// A message.
    Message(Message),
    /// Messages are gone; the next one comes after them.
    Gap(Gap),
    /// It is over, for this reason.
    Ended(Fault),
}

/// A message. Its parts share the memory of what it was received in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Position in the log.
    pub offset: Offset,
    /// Identity of the log.
    pub epoch: Epoch,
    /// The log's clock when it was appended, milliseconds since 1970.
    pub published_at_ms: u64,
    /// What the payload is.
    pub content: Content,
    /// The publisher may have stored it before, in a log that no longer knows.
    pub maybe_duplicate: bool,
    /// Mark of the participant that published it; 0 for none.
    pub tag: Tag,
    /// The bytes.
    pub payload: Bytes,
    /// Who published it, where the topic's rule has the hub say so.
    pub(crate) sender: Bytes,
    /// Its topic, for a pattern.
    pub(crate) topic: Bytes,
}

impl Message {
    /// Its topic, in a subscription to a pattern.
    #[must_use]
    pub fn topic(&self) -> Option<&str> {
        text(&self.topic)
    }

    /// Who published it, by the hub's word, where the topic's rule has the hub say so.
    #[must_use]
    pub fn sender(&self) -> Option<&str> {
        text(&self.sender)
    }
}

/// The protocol's decoder lets only UTF-8 through; none is none.
fn text(bytes: &Bytes) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

/// A publish that is done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Published {
    /// Identity of the log that has it.
    pub epoch: Epoch,
    /// Where in the log.
    pub offset: Offset,
    /// An earlier try had stored it.
    pub duplicate: bool,
    /// It may be stored twice: once in what the hub no longer knows.
    pub maybe_duplicate: bool,
    /// What holds.
    pub durability: Durability,
}

/// Why a message was not published.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// Too much waits for its outcome already.
    #[error("the outbox is full")]
    OutboxFull,
    /// The client was closed before the hub had the message, or ended for a reason that its status tells.
    #[error("the client is closed")]
    Closed,
    /// The message cannot be published like this.
    #[error("{}", .0.sentence())]
    Refused(Code),
}

impl From<Fault> for PublishError {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Protocol(code) => Self::Refused(code),
            Fault::Client(ClientCode::OutboxFull | ClientCode::Dropped) => Self::OutboxFull,
            Fault::Client(
                ClientCode::Closed
                | ClientCode::Cancelled
                | ClientCode::LinkLost
                | ClientCode::HubSilent
                | ClientCode::HubMisbehaved
                | ClientCode::NoToken
                | ClientCode::TokenRefused
                | ClientCode::Suspended,
            ) => Self::Closed,
        }
    }
}

/// What becomes of a publish.
pub(crate) type Outcome = Result<Published, PublishError>;
