//! How much is read at once.

use tidewire_protocol::position::Start;

/// So much at most, but one message at least.
#[derive(Debug, Clone, Copy)]
pub struct Most {
    /// Bytes of messages, about.
    pub bytes: usize,
    /// Messages.
    pub messages: usize,
}

impl Most {
    /// Whatever there is.
    pub const ALL: Self = Self::bytes(usize::MAX);

    /// As many messages as fit into so many bytes.
    #[must_use]
    pub const fn bytes(bytes: usize) -> Self {
        Self { bytes, messages: usize::MAX }
    }

    /// Of these so many messages; 0 stands for as many as fit.
    #[must_use]
    pub fn messages(self, messages: u64) -> Self {
        let messages = usize::try_from(messages).ok().filter(|messages| *messages > 0);
        Self { messages: messages.unwrap_or(usize::MAX), ..self }
    }

    /// What is left of it behind so much.
    #[must_use]
    pub const fn without(self, bytes: usize, messages: usize) -> Self {
        let (bytes, messages) = (self.bytes.saturating_sub(bytes), self.messages.saturating_sub(messages));
        Self { bytes, messages }
    }

    /// A start from which no more messages are read: what ends below a place lacks the oldest.
    #[must_use]
    pub fn start(self, start: &Start) -> Start {
        let mut start = start.clone();
        if let Start::Before { last, .. } = &mut start {
            *last = self.messages.try_into().unwrap_or(u64::MAX).min(*last);
        }
        start
    }
}
