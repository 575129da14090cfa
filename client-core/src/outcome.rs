//! What becomes of a publish, in the words in which Rust programs hear it.

use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::{Epoch, Offset};

use crate::fault::{ClientCode, Fault};
use crate::output;

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
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unpublished {
    /// Too much waits for its outcome already.
    OutboxFull,
    /// It has more bytes than the outbox may hold in all.
    LargerThanOutbox,
    /// The program withdrew it in time.
    Cancelled,
    /// The client was closed before the hub had the message, or ended for a reason that its status tells.
    Closed,
    /// The message cannot be published like this.
    Refused(Code),
}

impl From<output::Published> for Published {
    fn from(published: output::Published) -> Self {
        let output::Published { epoch, offset, duplicate, maybe_duplicate, durability, .. } = published;
        Self { epoch, offset, duplicate, maybe_duplicate, durability }
    }
}

impl From<Fault> for Unpublished {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Protocol(code) => Self::Refused(code),
            Fault::Client(ClientCode::OutboxFull | ClientCode::Dropped) => Self::OutboxFull,
            Fault::Client(ClientCode::LargerThanOutbox) => Self::LargerThanOutbox,
            Fault::Client(ClientCode::Cancelled) => Self::Cancelled,
            Fault::Client(
                ClientCode::Closed
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
