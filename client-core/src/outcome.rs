//! What becomes of a publish, in the words in which Rust programs hear it.

use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::Position;

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
    /// Its time to live was over before the hub had it.
    Expired,
    /// The latest message of its key is not the one that its condition names.
    ConditionFailed {
        /// Where that is; none if the key has no value.
        current: Option<Position>,
    },
    /// The message cannot be published like this.
    Refused(Code),
}

impl Published {
    /// Its place: the version of its key.
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }
}

impl From<output::Published> for Published {
    fn from(published: output::Published) -> Self {
        let output::Published { epoch, offset, duplicate, maybe_duplicate, durability, .. } = published;
        Self { epoch, offset, duplicate, maybe_duplicate, durability }
    }
}

impl Unpublished {
    /// What `Failed` tells.
    #[must_use]
    pub const fn of(fault: Fault, current: Option<Position>) -> Self {
        match fault {
            Fault::Protocol(Code::ConditionFailed) => Self::ConditionFailed { current },
            Fault::Protocol(code) => Self::Refused(code),
            Fault::Client(ClientCode::OutboxFull | ClientCode::Dropped) => Self::OutboxFull,
            Fault::Client(ClientCode::LargerThanOutbox) => Self::LargerThanOutbox,
            Fault::Client(ClientCode::Cancelled) => Self::Cancelled,
            Fault::Client(ClientCode::Expired) => Self::Expired,
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
