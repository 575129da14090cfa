//! One message of the outbox, and how much there is of them.

use tidewire_protocol::code::Content;

use crate::fault::Fault;
use crate::output::{Event, PublishId};

/// One message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    /// Its number.
    pub id: PublishId,
    /// Bytes of its payload.
    pub len: u32,
    /// What the payload is.
    pub content: Content,
    /// The hub may have stored it and forgotten.
    pub maybe_duplicate: bool,
    /// Something took it out of its place, where a void is sent now; this is why.
    pub void: Option<Fault>,
    /// It has its outcome, and waits for those before it.
    pub done: bool,
    /// It has its outcome, but from a hub that forgot; the seq must be used up once more.
    pub refill: bool,
}

/// The message that a window sends next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next {
    /// Bytes of payload.
    pub len: u32,
    /// The hub takes none of that size.
    pub too_large: bool,
}

/// How much waits for its outcome, in all windows.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Load {
    /// Messages.
    pub count: u32,
    /// Bytes of payload.
    pub bytes: u64,
    /// So many more outcomes until messages need not go one by one any more: some message ends links.
    pub suspects: u32,
}

impl Entry {
    /// A message that has not been sent.
    #[must_use]
    pub(crate) const fn new(id: PublishId, content: Content, len: u32) -> Self {
        Self { id, len, content, maybe_duplicate: false, void: None, done: false, refill: false }
    }

    /// What the application hears if it fails; one that was taken out failed for that, whatever else befell it.
    pub(crate) fn failed(self, fault: Fault) -> Event {
        let fault = self.void.unwrap_or(fault);
        Event::Failed { id: self.id, fault, retryable: fault.retryable() }
    }
}

impl Load {
    /// One has its outcome.
    pub(crate) fn take(&mut self, entry: Entry) {
        self.count -= 1;
        self.bytes -= u64::from(entry.len);
        self.suspects = self.suspects.saturating_sub(1);
    }
}
