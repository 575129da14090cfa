//! What the application may choose, and what holds if it does not.

use alloc::string::String;

use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{Incarnation, ProducerId};
use tidewire_protocol::position::Start;

/// Choices for a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Secret publisher identity: 128 random bits, never shared by two clients that live at once.
    pub producer: ProducerId,
    /// From 1; higher than any that this producer had before.
    pub incarnation: Incarnation,
    /// Name and version of the client, for the hub's operator.
    pub agent: String,
    /// Whom the hub is expected to see in the token; one that differs is fatal.
    pub identity: Option<String>,
    /// Whether the application can be asked for tokens.
    pub asks_tokens: bool,
    /// What may wait to be sent.
    pub outbox: OutboxOptions,
    /// How long a topic without listeners is kept, milliseconds: a page that changes views asks for it again at once.
    pub linger_ms: u64,
    /// For the jitter of reconnecting; two clients should have two.
    pub seed: u64,
}

/// One of those who publish through a client: 0 for the client itself, those that are attached from 1, none twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct PartyId(pub u32);

/// Bounds of the outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutboxOptions {
    /// Messages that may wait for their outcome.
    pub count_max: u32,
    /// Bytes of payload that may wait.
    pub bytes_max: u64,
    /// What to do with one more.
    pub when_full: WhenFull,
}

/// What a full outbox does with one more message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum WhenFull {
    /// Refuses it.
    #[default]
    Reject,
    /// Drops the oldest that was never sent; refuses it if there is none.
    DropOldest,
}

/// Choices for a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubscribeOptions {
    /// Where to start.
    pub from: Start,
    /// What the hub does when the connection cannot keep up. Listeners of one name share one subscription on the wire, and the
    /// first of them decides; but where one wants more than the `latest`, all get all, and who wants the `latest` is
    /// refused with `not_supported` where the topic does not keep it, also if others listen already.
    pub when_slow: WhenSlow,
    /// Whose listener it is.
    pub party: PartyId,
    /// Whether it hears what its party itself publishes from now on; what that had published before is history as any.
    pub echo: bool,
    /// Messages it may have been given and not settled.
    pub messages_max: u32,
    /// Bytes of payload it may have been given and not settled. A single larger message is given alone.
    pub bytes_max: u32,
}

impl Options {
    /// What holds if nothing else is chosen.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            producer: ProducerId([0; 16]),
            incarnation: Incarnation(1),
            agent: String::new(),
            identity: None,
            asks_tokens: false,
            outbox: OutboxOptions::new(),
            linger_ms: 1_000,
            seed: 0,
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

impl OutboxOptions {
    /// Enough for hours offline of a busy page, little enough for a phone.
    #[must_use]
    pub const fn new() -> Self {
        Self { count_max: 10_000, bytes_max: 16 << 20, when_full: WhenFull::Reject }
    }
}

impl Default for OutboxOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for SubscribeOptions {
    /// A bound that a page's handlers reach only when they stand still.
    fn default() -> Self {
        Self {
            from: Start::Latest,
            when_slow: WhenSlow::CatchUp,
            party: PartyId::default(),
            echo: true,
            messages_max: 10_000,
            bytes_max: 8 << 20,
        }
    }
}
