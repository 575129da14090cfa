//! What is kept of a topic, by the page.

use tidewire_client_core::fault::Fault;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::event::{BadMessage, Decode, Message};
use crate::status::sentence;

/// A page of history, oldest message first.
#[derive(Debug)]
pub struct Page<T> {
    /// The messages. One that is no `T` stands in its place, undecoded.
    pub messages: Vec<Result<Message<T>, BadMessage>>,
    /// What is missing before the first message, if something is.
    pub gap: Option<Gap>,
    /// The page reaches up to these places, one per log.
    pub positions: Vec<Position>,
    /// Below these places, one per log, lies what comes before it.
    pub previous_positions: Vec<Position>,
    /// Whether there was more to read: before it if it was asked for below a place, else behind it.
    pub more: bool,
}

/// Why there is no page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{}", sentence(*.0))]
pub struct HistoryError(pub Fault);

impl HistoryError {
    /// A stable name for the reason, for programs to decide by.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        self.0.name()
    }
}

impl<T> Page<T> {
    /// Where the next page starts, and a subscription that goes on behind this one.
    #[must_use]
    pub fn next(&self) -> Start {
        Start::After(self.positions.clone())
    }

    /// What comes before this page: the newest first, as many as are asked for.
    #[must_use]
    pub fn previous(&self) -> Start {
        Start::before(self.previous_positions.clone())
    }
}

impl Page<()> {
    /// The page with the messages' data.
    pub(crate) fn decoded<T>(self, decode: Decode<T>) -> Page<T> {
        let Self { messages, gap, positions, previous_positions, more } = self;
        let decoded = messages.into_iter().map(|message| message.and_then(|it| it.decoded(decode)));
        Page { messages: decoded.collect(), gap, positions, previous_positions, more }
    }
}
