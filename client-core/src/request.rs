//! The numbers of questions to the hub: one series, whoever asks.

use tidewire_protocol::number::Request;

/// Counts questions.
#[derive(Debug)]
pub(crate) struct Requests(u64);

impl Requests {
    /// No question yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self(0)
    }

    /// A number that no question had.
    pub(crate) fn following(&mut self) -> Request {
        self.0 += 1;
        Request(self.0)
    }
}
