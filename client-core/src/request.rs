//! Questions to the hub: their numbers, one series whoever asks, and who waits for which answer.

use alloc::vec::Vec;

use tidewire_protocol::number::Request;

use crate::output::ListenerId;

/// The questions of a link.
#[derive(Debug)]
pub(crate) struct Requests {
    last: u64,
    open: Vec<(Request, Asker)>,
}

/// Who waits for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Asker {
    /// A tail, for its live flow.
    Tail(ListenerId),
    /// A listener or a question of the application, for a page.
    Reader(ListenerId),
    /// The application, for a heartbeat.
    Ping,
}

impl Requests {
    /// No question yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { last: 0, open: Vec::new() }
    }

    /// A number that no question had. Nobody waits for the answer.
    pub(crate) const fn following(&mut self) -> Request {
        self.last += 1;
        Request(self.last)
    }

    /// The number of a question that somebody asks.
    pub(crate) fn ask(&mut self, asker: Asker) -> Request {
        let request = self.following();
        self.open.push((request, asker));
        request
    }

    /// There is the answer: who waits for it.
    pub(crate) fn answered(&mut self, request: Request) -> Option<Asker> {
        let index = self.open.iter().position(|open| open.0 == request)?;
        Some(self.open.swap_remove(index).1)
    }

    /// How many wait for pages.
    pub(crate) fn pages(&self) -> usize {
        self.open.iter().filter(|open| matches!(open.1, Asker::Reader(_))).count()
    }

    /// Whether somebody waits for an answer.
    pub(crate) const fn waits(&self) -> bool {
        !self.open.is_empty()
    }

    /// The link is gone, and no answer comes any more.
    pub(crate) fn cut(&mut self) {
        self.open.clear();
    }
}
