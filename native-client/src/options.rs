//! What a program may choose, and what holds if it does not.

/// Choices for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The token to sign in with; none for anonymous.
    pub token: Option<String>,
    /// Name and version of the program, for the hub's operator.
    pub agent: String,
    /// Messages that may wait for their outcome.
    pub outbox_messages_max: u32,
    /// Bytes of payload that may wait for their outcome.
    pub outbox_bytes_max: u64,
    /// How long a topic without subscriptions is kept, milliseconds.
    pub linger_ms: u64,
}

impl Default for Options {
    /// A server's outbox: a hub that restarts may take seconds, and thousands of messages come each second.
    fn default() -> Self {
        Self {
            token: None,
            agent: concat!("tidewire-rust/", env!("CARGO_PKG_VERSION")).into(),
            outbox_messages_max: 200_000,
            outbox_bytes_max: 64 << 20,
            linger_ms: 1_000,
        }
    }
}
