//! What becomes of a publish.

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::outcome::{Published, Unpublished};
use tidewire_protocol::attributes::BadAttribute;
use tidewire_protocol::code::Code;
use tidewire_protocol::position::Position;

use crate::payload::NotJson;

/// Why a message was not published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The data cannot be written as JSON.
    #[error("the data is {0}")]
    NotJson(#[from] NotJson),
    /// Too much waits for its outcome already.
    #[error("the outbox is full; wait for outcomes, or for room")]
    OutboxFull,
    /// It has more bytes than the outbox may hold in all.
    #[error("the message is larger than the outbox; make it smaller, or raise `outbox_bytes_max`")]
    LargerThanOutbox,
    /// The program withdrew it in time.
    #[error("the message was withdrawn")]
    Cancelled,
    /// The client was closed before the hub had the message, or ended for a reason that its status tells.
    #[error("the client is closed")]
    Closed,
    /// Its time to live was over before the hub had it.
    #[error("the message's time to live was over before the hub had it")]
    Expired,
    /// It has a key or headers that no message may have.
    #[error("{0}")]
    BadMessage(BadAttribute),
    /// The latest message of its key is not the one that its condition names.
    #[error("{}", condition_failed(*.current))]
    ConditionFailed {
        /// Where that is; none if the key has no value.
        current: Option<Position>,
    },
    /// The message cannot be published like this.
    #[error("{}", .0.sentence())]
    Refused(Code),
}

impl PublishError {
    /// A stable name for the reason, for programs to decide by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotJson(_) => "not_json",
            Self::OutboxFull => ClientCode::OutboxFull.name(),
            Self::LargerThanOutbox => ClientCode::LargerThanOutbox.name(),
            Self::Cancelled => ClientCode::Cancelled.name(),
            Self::Closed => ClientCode::Closed.name(),
            Self::Expired => ClientCode::Expired.name(),
            Self::BadMessage(_) => Code::BadMessage.name(),
            Self::ConditionFailed { .. } => Code::ConditionFailed.name(),
            Self::Refused(code) => code.name(),
        }
    }

    /// Whether publishing the same again can help without anyone changing anything.
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::OutboxFull => true,
            Self::NotJson(_) | Self::LargerThanOutbox | Self::Cancelled | Self::Closed => false,
            Self::Expired | Self::BadMessage(_) | Self::ConditionFailed { .. } => false,
            Self::Refused(code) => code.retryable(),
        }
    }
}

impl From<Fault> for PublishError {
    fn from(fault: Fault) -> Self {
        Unpublished::of(fault, None).into()
    }
}

impl From<Unpublished> for PublishError {
    fn from(unpublished: Unpublished) -> Self {
        match unpublished {
            Unpublished::OutboxFull => Self::OutboxFull,
            Unpublished::LargerThanOutbox => Self::LargerThanOutbox,
            Unpublished::Cancelled => Self::Cancelled,
            Unpublished::Closed => Self::Closed,
            Unpublished::Expired => Self::Expired,
            Unpublished::ConditionFailed { current } => Self::ConditionFailed { current },
            Unpublished::Refused(code) => Self::Refused(code),
        }
    }
}

fn condition_failed(current: Option<Position>) -> String {
    match current {
        Some(Position { epoch, offset }) => {
            format!("the condition does not hold: the latest message of this key is at {epoch}:{offset}")
        }
        None => "the condition does not hold: this key has no value".into(),
    }
}

/// What becomes of a publish.
pub(crate) type Outcome = Result<Published, PublishError>;
