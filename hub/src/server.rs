//! Starts a hub and stops it.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::config::Config;
use crate::gate::{self, Gate, accept};
use crate::reactor::Reactor;
use crate::report::report;
use crate::{admin, page};

/// A hub that runs.
#[derive(Debug)]
pub struct Server {
    address: SocketAddr,
    gate: Arc<Gate>,
    reactor: Arc<Reactor>,
    accepting: JoinHandle<()>,
    drain: Duration,
}

/// Why a hub did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// Its address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Which.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// Its threads do not start.
    #[error("cannot start the shards: {0}")]
    Shards(io::Error),
}

impl Server {
    /// Starts a hub within the tokio runtime that this is called on, which serves HTTP; shards bring their threads.
    ///
    /// # Errors
    /// [`StartError`] says what the system refused.
    pub fn start(mut config: Config) -> Result<Self, StartError> {
        raise_open_files(&mut config);
        if !config.lets_anybody_in() {
            report(
                "no access rule lets anybody do anything; add [[access]] rules, or use --dev on your own machine",
            );
        }
        if config.demo && !page::has_demo() {
            report("the demo's page is not in this binary; `npm run build` makes both");
        }
        let listener = accept::listen(config.listen)
            .map_err(|source| StartError::Listen { address: config.listen, source })?;
        let address =
            listener.local_addr().map_err(|source| StartError::Listen { address: config.listen, source })?;
        let reactor = Reactor::start(config.core, config.shards).map_err(StartError::Shards)?;
        let gate = Gate::new(config.gate, config.origins, Arc::clone(&reactor));
        let router = gate::router(Arc::clone(&gate))
            .merge(admin::router(Arc::clone(&gate), Arc::clone(&reactor)))
            .merge(page::router(config.demo));
        let accepting = tokio::spawn(accept::serve(listener, router, Arc::clone(&gate)));
        Ok(Self { address, gate, reactor, accepting, drain: config.drain })
    }

    /// Where it listens; tells which port was free if 0 was asked for.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets nobody in any more, sends all clients away with a time to come back, and waits until they have gone or
    /// their time is over. Health is answered until the end.
    pub async fn stop(self) {
        self.gate.shut();
        let count = self.gate.connections();
        report(format_args!("stopping: {count} connections have {} s to go", self.drain.as_secs()));
        self.reactor.drain(self.drain);
        let until = Instant::now() + self.drain;
        while self.gate.connections() > 0 && Instant::now() < until {
            tokio::time::sleep(DRAIN_LOOK).await;
        }
        self.accepting.abort();
        match self.gate.connections() {
            0 => report("stopped"),
            left => report(format_args!("stopped; {left} connections were cut off")),
        }
    }
}

/// Takes as many open files as the system gives, and no more connections than they allow.
fn raise_open_files(config: &mut Config) {
    let Ok(files) = rlimit::increase_nofile_limit(u64::MAX) else {
        report("the limit on open files cannot be raised; connections may be refused early");
        return;
    };
    let room = usize::try_from(files).unwrap_or(usize::MAX).saturating_sub(FILES_KEPT).max(1);
    let limits = &mut config.gate;
    if limits.connections_max > room {
        // The default means as many as there is room for.
        if limits.connections_max != gate::limits::Limits::default().connections_max {
            report(format_args!("open files allow {room} connections, not {}", limits.connections_max));
        }
        limits.connections_max = room;
    }
}

/// Open files for everything but WebSockets.
const FILES_KEPT: usize = 256;
/// How often a stopping hub looks whether all have gone.
const DRAIN_LOOK: Duration = Duration::from_millis(20);
