//! The status that programs see, put together from what the core tells and what the link has met.

use std::time::Duration;

use tokio::sync::watch;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::output;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;

use crate::overheard::words;
use crate::status::{NoConnection, Status};

/// How the client stands to its hub, told to whoever watches.
#[derive(Debug)]
pub(crate) struct Standing {
    status: watch::Sender<Status>,
    /// Why the link is going or gone; the core's next word is about it.
    why: Option<NoConnection>,
}

impl Standing {
    pub(crate) const fn new(status: watch::Sender<Status>) -> Self {
        Self { status, why: None }
    }

    pub(crate) fn is_online(&self) -> bool {
        matches!(*self.status.borrow(), Status::Online)
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.status.borrow(), Status::Closed { .. })
    }

    /// The link is gone. What the hub said before counts more than how it went.
    pub(crate) fn lost(&mut self, why: Option<NoConnection>) {
        self.why = self.why.take().or(why);
    }

    /// The hub says goodbye, somewhere in these bytes.
    pub(crate) fn goodbye(&mut self, code: Code, reconnect_after_ms: u64, received: &[u8]) {
        let text = goodbye_text(received).unwrap_or_else(|| code.sentence().into());
        let back_in = (reconnect_after_ms > 0).then(|| Duration::from_millis(reconnect_after_ms));
        self.why = Some(NoConnection::Goodbye { code, text, back_in });
    }

    /// The core has a word.
    pub(crate) fn tell(&mut self, status: output::Status) {
        let met = self.why.take();
        let why = |fault: Fault| met.unwrap_or(NoConnection::Lost(fault));
        self.status.send_replace(match status {
            output::Status::Connecting => Status::Connecting,
            output::Status::Online => Status::Online,
            output::Status::Offline { fault, retry_in_ms } => Status::Offline {
                why: why(fault.unwrap_or(Fault::Client(ClientCode::LinkLost))),
                retry_in: Duration::from_millis(retry_in_ms.unwrap_or_default()),
            },
            output::Status::Closed { fault } => Status::Closed { why: fault.map(why) },
        });
    }
}

/// The hub's words, which the core passes over.
fn goodbye_text(mut received: &[u8]) -> Option<String> {
    while !received.is_empty() {
        if let Some(HubFrame::Goodbye(goodbye)) = HubFrame::take(&mut received).ok()? {
            return words(&goodbye.message);
        }
    }
    None
}
