//! How the client stands to its hub, in words that tell a refusal from silence.

use std::time::Duration;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_protocol::code::Code;

/// How the client stands to its hub.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Status {
    /// It connects, or signs in.
    Connecting,
    /// Signed in.
    Online,
    /// No connection now; it tries again by itself.
    Offline {
        /// Why.
        why: NoConnection,
        /// The time until the next try.
        retry_in: Duration,
    },
    /// For good.
    Closed {
        /// Why; none if the program closed it. With a reason, what waited in the outbox has failed with it, and so
        /// have all subscriptions.
        why: Option<NoConnection>,
    },
}

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// The host's name means no address.
    #[error("the name `{host}` does not resolve: {error}")]
    NameNotResolved {
        /// The name.
        host: String,
        /// What the system says.
        error: String,
    },
    /// The host is there, and nothing listens at the port.
    #[error("nothing listens at {address}: connection refused")]
    ConnectionRefused {
        /// Host and port.
        address: String,
    },
    /// No connection comes about, or it breaks before anything was answered.
    #[error("{address} cannot be reached: {error}")]
    Unreachable {
        /// Host and port.
        address: String,
        /// What the system says.
        error: String,
    },
    /// Whoever listens there shows a certificate that is not trusted: it may be the hub, or somebody else.
    #[error("{address} is not trusted: {error}")]
    Untrusted {
        /// Host and port.
        address: String,
        /// What is wrong with the certificate, or who would have to be trusted.
        error: String,
    },
    /// Whoever listens there answers in HTTP, and not with a WebSocket.
    #[error("{}", refusal(*status, text))]
    Refused {
        /// The HTTP status: 403 for an origin that is not named, 404 for a path where no hub is, 503 for a hub
        /// that is full or stops.
        status: u16,
        /// The hub's own words; empty if it gave none.
        text: String,
        /// How long it asks to stay away.
        retry_after: Option<Duration>,
    },
    /// Whoever listens there does not speak the protocol.
    #[error("what answers at {address} is no hub: {error}")]
    NoHub {
        /// Host and port.
        address: String,
        /// What is wrong with the answer.
        error: String,
    },
    /// The hub has said goodbye.
    #[error("{text}")]
    Goodbye {
        /// Its code.
        code: Code,
        /// Its words.
        text: String,
        /// How long it asked to stay away; none if it left that to the client.
        back_in: Option<Duration>,
    },
    /// Anything else: the link broke, the hub fell silent.
    #[error("{}", sentence(*.0))]
    Lost(Fault),
}

impl NoConnection {
    /// A stable name for the reason, for programs to decide by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NameNotResolved { .. } => "name_not_resolved",
            Self::ConnectionRefused { .. } => "connection_refused",
            Self::Unreachable { .. } => "unreachable",
            Self::Untrusted { .. } => "untrusted",
            Self::Refused { status, text, .. } if is_of_no_hub(*status, text.as_str()) => "no_hub",
            Self::Refused { status: 401 | 403, .. } => "handshake_forbidden",
            Self::Refused { status: 404 | 410, .. } => "wrong_path",
            Self::Refused { status: 429 | 502..=504, .. } => "hub_unavailable",
            Self::Refused { .. } => "handshake_refused",
            Self::NoHub { .. } => "no_hub",
            Self::Goodbye { code, .. } => code.name(),
            Self::Lost(fault) => fault.name(),
        }
    }

    /// Whether it may pass without anybody changing anything. The client tries again in either case, except where
    /// its status is [`Status::Closed`].
    #[must_use]
    pub const fn retryable(&self) -> bool {
        match self {
            Self::NameNotResolved { .. } | Self::ConnectionRefused { .. } | Self::Unreachable { .. } => true,
            Self::Refused { status, .. } => matches!(*status, 408 | 425 | 429 | 500 | 502..),
            Self::Untrusted { .. } | Self::NoHub { .. } => false,
            Self::Goodbye { code, .. } => code.retryable(),
            Self::Lost(fault) => fault.retryable(),
        }
    }
}

/// Whether neither a hub nor a proxy before one answers so: a hub that calls a request bad says why, and ports that want
/// TLS do not.
const fn is_of_no_hub(status: u16, text: &str) -> bool {
    matches!(status, 0..=399 | 405 | 501) || status == 400 && text.is_empty()
}

/// A refused handshake in words.
fn refusal(status: u16, text: &str) -> String {
    match (status, text) {
        (400, "") => "what answers there is no hub, or wants TLS (HTTP 400)".into(),
        _ if is_of_no_hub(status, text) => format!("what answers there is no hub (HTTP {status})"),
        (404 | 410, "") => format!("there is no hub at this path (HTTP {status})"),
        (404 | 410, _) => format!("there is no hub at this path: {text} (HTTP {status})"),
        (_, "") => format!("the hub, or a proxy before it, refuses the connection (HTTP {status})"),
        _ => format!("{text} (HTTP {status})"),
    }
}

/// A fault as a sentence.
#[must_use]
pub const fn sentence(fault: Fault) -> &'static str {
    match fault {
        Fault::Protocol(code) => code.sentence(),
        Fault::Client(code) => match code {
            ClientCode::OutboxFull => "the outbox is full",
            ClientCode::Closed => "the client is closed",
            ClientCode::Cancelled => "the message was withdrawn",
            ClientCode::Dropped => "the outbox was full, and the message the oldest in it",
            ClientCode::LinkLost => "the connection broke",
            ClientCode::HubSilent => "the hub does not answer",
            ClientCode::HubMisbehaved => "the hub broke the protocol",
            ClientCode::NoToken => "there is no token now",
            ClientCode::TokenRefused => "there is no token",
            ClientCode::Suspended => "the client was asked to be quiet",
            ClientCode::LargerThanOutbox => "the message is larger than the outbox",
            ClientCode::Expired => "the message's time to live was over",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::NoConnection;

    #[track_caller]
    fn check(status: u16, text: &str, code: &str, retryable: bool, words: &str) {
        let why = NoConnection::Refused { status, text: text.into(), retry_after: None };
        assert_eq!((why.code(), why.retryable(), why.to_string().as_str()), (code, retryable, words));
    }

    #[test]
    fn refused_handshakes_are_told_apart() {
        check(403, "not you", "handshake_forbidden", false, "not you (HTTP 403)");
        check(404, "", "wrong_path", false, "there is no hub at this path (HTTP 404)");
        check(400, "", "no_hub", false, "what answers there is no hub, or wants TLS (HTTP 400)");
        check(400, "no key", "handshake_refused", false, "no key (HTTP 400)");
        check(501, "what?", "no_hub", false, "what answers there is no hub (HTTP 501)");
        check(503, "full", "hub_unavailable", true, "full (HTTP 503)");
        let words = "the hub, or a proxy before it, refuses the connection (HTTP 418)";
        check(418, "", "handshake_refused", false, words);
    }
}
