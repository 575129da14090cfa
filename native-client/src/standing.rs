//! The status that programs see, put together from what the core tells and what the link has met.

use std::time::Duration;

use tokio::sync::watch;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::output;
use tidewire_protocol::code::Code;

use crate::overheard::words;
use crate::status::{NoConnection, Status};

/// How the client stands to its hub, told to whoever watches.
#[derive(Debug)]
pub(crate) struct Standing {
    status: watch::Sender<Status>,
    /// Why the link is going or gone; the core's next word is about it.
    why: Option<NoConnection>,
    /// The hub's last words about a code.
    said: Option<(Code, String)>,
}

impl Standing {
    pub(crate) const fn new(status: watch::Sender<Status>) -> Self {
        Self { status, why: None, said: None }
    }

    pub(crate) fn is_closed(&self) -> bool {
        matches!(*self.status.borrow(), Status::Closed { .. })
    }

    /// The link is gone. What the hub said before counts more than how it went.
    pub(crate) fn lost(&mut self, why: Option<NoConnection>) {
        self.why = self.why.take().or(why);
    }

    /// The hub is about to say something.
    pub(crate) fn listens(&mut self) {
        self.said = None;
    }

    /// The hub has words for people about a code; what it says by them follows.
    pub(crate) fn said(&mut self, code: Code, text: &[u8]) {
        self.said = words(&String::from_utf8_lossy(text)).map(|text| (code, text));
    }

    /// The hub says goodbye.
    pub(crate) fn goodbye(&mut self, code: Code, reconnect_after_ms: u64) {
        let said = self.said.take().filter(|said| said.0 == code);
        let text = said.map_or_else(|| code.sentence().into(), |(_, text)| text);
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
