//! Why something did not work, as numbers: the protocol's codes below 100, the client's own from 100.
//!
//! No sentences: this goes into the wasm client, and whoever shows an error has the table of texts.

use tidewire_protocol::binary::BadFrame;
use tidewire_protocol::code::Code;

/// What went wrong, by its code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// A code of the protocol; mostly the hub's own word.
    Protocol(Code),
    /// Something that only a client can know.
    Client(ClientCode),
}

/// The hub broke the protocol: the link is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Broken;

impl From<BadFrame> for Broken {
    fn from(BadFrame: BadFrame) -> Self {
        Self
    }
}

/// Codes that never travel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum ClientCode {
    /// The outbox is full, and its policy is to refuse.
    OutboxFull = 100,
    /// The client was closed.
    Closed = 101,
    /// The application withdrew the message.
    Cancelled = 102,
    /// The outbox was full, and its policy is to drop the oldest.
    Dropped = 103,
    /// The link broke without a word.
    LinkLost = 104,
    /// Nothing was heard for too long.
    HubSilent = 105,
    /// The hub broke the protocol.
    HubMisbehaved = 106,
    /// The application could not give a token now.
    NoToken = 107,
    /// The application said that there will be no token.
    TokenRefused = 108,
    /// The application asked for quiet.
    Suspended = 109,
    /// The message has more bytes than the outbox may hold in all.
    LargerThanOutbox = 110,
    /// The message's time to live was over before the hub had it.
    Expired = 111,
}

impl Fault {
    /// The code's number; 0 for one that this version does not know.
    #[must_use]
    pub const fn number(self) -> u16 {
        match self {
            Self::Protocol(code) => code.number() as u16,
            Self::Client(code) => code as u16,
        }
    }

    /// The code's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Protocol(code) => code.name(),
            Self::Client(code) => code.name(),
        }
    }

    /// Whether doing the same again can help without anyone changing anything.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::Protocol(code) => code.retryable(),
            Self::Client(code) => code.retryable(),
        }
    }
}

impl ClientCode {
    /// Every code, for tables of texts.
    pub const ALL: &[Self] = &[
        Self::OutboxFull,
        Self::Closed,
        Self::Cancelled,
        Self::Dropped,
        Self::LinkLost,
        Self::HubSilent,
        Self::HubMisbehaved,
        Self::NoToken,
        Self::TokenRefused,
        Self::Suspended,
        Self::LargerThanOutbox,
        Self::Expired,
    ];

    /// Whether doing the same again can help without anyone changing anything.
    #[must_use]
    pub const fn retryable(self) -> bool {
        match self {
            Self::OutboxFull | Self::Dropped | Self::LinkLost | Self::HubSilent | Self::HubMisbehaved => true,
            Self::NoToken | Self::Suspended => true,
            Self::Closed | Self::Cancelled | Self::TokenRefused => false,
            Self::LargerThanOutbox | Self::Expired => false,
        }
    }

    /// The name used in the clients' errors, in the manner of [`Code::name`].
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::OutboxFull => "outbox_full",
            Self::Closed => "closed",
            Self::Cancelled => "cancelled",
            Self::Dropped => "dropped",
            Self::LinkLost => "link_lost",
            Self::HubSilent => "hub_silent",
            Self::HubMisbehaved => "hub_misbehaved",
            Self::NoToken => "no_token",
            Self::TokenRefused => "token_refused",
            Self::Suspended => "suspended",
            Self::LargerThanOutbox => "larger_than_outbox",
            Self::Expired => "expired",
        }
    }
}

/// What a WebSocket close code says. Whatever stands between us and the hub knows RFC 6455's codes only.
pub(crate) const fn code_of(close: u16) -> Code {
    match close {
        1009 => Code::TooLarge,
        _ => Code::from_close_code(close),
    }
}

/// Whether a link that ends with this ends for what was sent on it.
pub(crate) const fn is_blame(code: Code) -> bool {
    matches!(code, Code::BadFrame | Code::TooLarge)
}

/// Whether a link that ends with this, again and again, ends for what this client says on each.
pub(crate) const fn is_ours(code: Code) -> bool {
    is_blame(code)
        || matches!(code, Code::NotSignedIn | Code::BadName | Code::UnknownNumber | Code::OutcomeForgotten)
}

impl From<Code> for Fault {
    fn from(code: Code) -> Self {
        Self::Protocol(code)
    }
}

impl From<ClientCode> for Fault {
    fn from(code: ClientCode) -> Self {
        Self::Client(code)
    }
}
