//! Why a connection ends, and how that is said.

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Goodbye, HubFrame};

use crate::credentials::BadToken;

/// Why a connection ends.
#[derive(Debug, Clone, Copy)]
pub enum Ending {
    /// A reason of the protocol's own.
    Code(Code),
    /// Its token is not sound, or not any more.
    Token(BadToken),
    /// An operator wants it gone.
    Operator {
        /// Whether the client is to come back.
        again: bool,
    },
    /// The hub stops.
    Drain {
        /// When this client should come back.
        reconnect_after_ms: u64,
    },
    /// A fault below the protocol, with its WebSocket close code.
    Socket(u16, &'static str),
    /// The client closed; it gets its code back.
    Answer(Option<u16>),
}

impl Ending {
    /// The frame that says it, if the protocol has one for it.
    #[must_use]
    pub fn goodbye(self) -> Option<HubFrame<'static>> {
        let code = self.code()?;
        let (reconnect_after_ms, message) = match self {
            Self::Token(bad) => (0, bad.sentence()),
            Self::Drain { reconnect_after_ms } => (reconnect_after_ms, code.sentence().into()),
            Self::Operator { again: true } => {
                (RETURN_MS, "the hub's operator has closed this connection; come back".into())
            }
            Self::Operator { again: false } => (0, "the hub's operator has closed this connection".into()),
            Self::Code(_) | Self::Socket(..) | Self::Answer(_) => (0, code.sentence().into()),
        };
        Some(HubFrame::Goodbye(Goodbye { code, reconnect_after_ms, message }))
    }

    /// What the client, or its link, is blamed for; `None` if nothing went wrong.
    #[must_use]
    pub fn fault(self) -> Option<Code> {
        match self {
            Self::Socket(MESSAGE_TOO_BIG, _) => Some(Code::TooLarge),
            Self::Socket(..) => Some(Code::BadFrame),
            Self::Code(_) | Self::Token(_) => self.code(),
            Self::Operator { .. } | Self::Drain { .. } | Self::Answer(_) => None,
        }
    }

    /// The WebSocket close code and reason.
    #[must_use]
    pub fn last_words(self) -> (Option<u16>, &'static str) {
        match self {
            Self::Socket(code, reason) => (Some(code), reason),
            Self::Answer(code) => (code, ""),
            Self::Code(_) | Self::Token(_) | Self::Operator { .. } | Self::Drain { .. } => {
                self.code().map_or((None, ""), |code| (Some(code.close_code()), code.name()))
            }
        }
    }

    /// The protocol's name for it, if it has one.
    const fn code(self) -> Option<Code> {
        match self {
            Self::Code(code) => Some(code),
            Self::Token(_) => Some(Code::BadToken),
            Self::Operator { again: true } => Some(Code::Resume),
            Self::Operator { again: false } => Some(Code::Forbidden),
            Self::Drain { .. } => Some(Code::Draining),
            Self::Socket(..) | Self::Answer(_) => None,
        }
    }
}

/// Whoever is sent away is to be back soon, and not at once.
const RETURN_MS: u64 = 100;
/// RFC 6455, section 7.4.1.
const MESSAGE_TOO_BIG: u16 = 1009;
