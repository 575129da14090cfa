//! What a program may choose, and what holds if it does not.

use std::fmt;
use std::path::PathBuf;

/// Choices for a client.
#[derive(Clone, PartialEq, Eq)]
pub struct Options {
    /// The token to sign in with; none for anonymous.
    pub token: Option<String>,
    /// A file with the certificates, in PEM, of the authorities that are trusted where TLS is spoken; none for those that the
    /// system trusts.
    pub ca: Option<PathBuf>,
    /// Name and version of the program, for the hub's operator.
    pub agent: String,
    /// Messages that may wait for their outcome.
    pub outbox_messages_max: u32,
    /// Bytes of payload that may wait for their outcome.
    pub outbox_bytes_max: u64,
    /// How long a topic without subscriptions is kept, milliseconds.
    pub linger_ms: u64,
}

impl fmt::Debug for Options {
    /// All but the token itself, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { token, ca, agent, outbox_messages_max, outbox_bytes_max, linger_ms } = self;
        f.debug_struct("Options")
            .field("token", &token.as_ref().map(|_| format_args!("...")))
            .field("ca", ca)
            .field("agent", agent)
            .field("outbox_messages_max", outbox_messages_max)
            .field("outbox_bytes_max", outbox_bytes_max)
            .field("linger_ms", linger_ms)
            .finish()
    }
}

impl Default for Options {
    /// A server's outbox: a hub that restarts may take seconds, and thousands of messages come each second.
    fn default() -> Self {
        Self {
            token: None,
            ca: None,
            agent: concat!("tidewire-rust/", env!("CARGO_PKG_VERSION")).into(),
            outbox_messages_max: 200_000,
            outbox_bytes_max: 64 << 20,
            linger_ms: 1_000,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Options;

    #[test]
    fn a_token_is_not_printed() {
        let options = Options { token: Some("SECRET".into()), ..Options::default() };
        let told = format!("{options:?} {options:#?}");
        assert!(!told.contains("SECRET") && told.contains("agent"), "{told}");
    }
}
