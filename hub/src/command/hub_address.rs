//! What `pub` and `sub` share: which hub they talk to, and how long they wait for one that does not answer.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use tidewire_client::{AddressError, Client, Fault, Options, Status};

/// The options that both have.
#[derive(Debug, Args)]
pub(crate) struct HubAddress {
    /// The hub's address
    #[arg(long, env = "TIDEWIRE_URL", default_value = "http://127.0.0.1:7700")]
    url: String,
    /// Give up after so many seconds without a connection to the hub; 0 never
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    wait: u64,
}

impl HubAddress {
    /// A client of the hub; it connects in the background.
    pub(crate) fn client(&self) -> Result<Client, AddressError> {
        Client::connect(&self.url, Options { agent: AGENT.into(), ..Options::default() })
    }

    /// Returns when the client has been without a connection for too long, or for good: with the reason.
    pub(crate) async fn lost(&self, client: &Client) -> anyhow::Error {
        let mut status = client.status();
        let mut last = None;
        let patience = Duration::from_secs(if self.wait == 0 { FOREVER } else { self.wait });
        loop {
            let now = *status.borrow_and_update();
            let changed = match now {
                Status::Closed { fault } => return anyhow!("{}: {}", self.url, words(fault)),
                Status::Online => status.changed().await,
                Status::Connecting | Status::Offline { .. } => {
                    let settled = status.wait_for(|status| match status {
                        Status::Online | Status::Closed { .. } => true,
                        Status::Connecting => false,
                        Status::Offline { fault, .. } => {
                            last = fault.or(last);
                            false
                        }
                    });
                    let Ok(settled) = tokio::time::timeout(patience, settled).await else {
                        return anyhow!("no hub answers at {}: {}", self.url, words(last));
                    };
                    settled.map(|_| ())
                }
            };
            if changed.is_err() {
                return anyhow!("{}: the client has ended", self.url);
            }
        }
    }
}

/// A fault as a sentence.
pub(crate) fn words(fault: Option<Fault>) -> String {
    match fault {
        Some(Fault::Protocol(code)) => code.sentence().into(),
        Some(Fault::Client(code)) => code.name().replace('_', " "),
        None => "no connection".into(),
    }
}

const AGENT: &str = concat!("tidewire/", env!("CARGO_PKG_VERSION"));
/// A year: longer than any shell waits.
const FOREVER: u64 = 365 * 86_400;
