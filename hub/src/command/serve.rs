//! `tidewire serve`: runs a hub until it is told to stop.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tidewire_hub::config::{Config, Flags};
use tidewire_hub::report::report;
use tidewire_hub::server::Server;
use tokio::runtime;

use crate::demo::publish_host;

/// The options of `serve`.
#[derive(Debug, Args)]
pub(crate) struct Serve {
    /// Configuration in TOML; `tidewire check` says whether it is right
    #[arg(long, value_name = "FILE", env = "TIDEWIRE_CONFIG")]
    config: Option<PathBuf>,
    /// Where to listen [default: 127.0.0.1:7700]; port 0 takes a free one
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    /// Let everybody do everything, for pages and programs of this machine only
    #[arg(long)]
    dev: bool,
    /// Serve the demo page at /
    #[arg(long)]
    demo: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let flags = Flags { config: self.config, listen: self.listen, dev: self.dev, demo: self.demo };
        let config = Config::load(&flags, std::env::vars_os())?;
        // Handshakes and plain HTTP only: messages are the shards' work, on threads of their own.
        let workers = config.shards.clamp(1, 2);
        let runtime = runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
        runtime.block_on(serve(config))
    }
}

async fn serve(config: Config) -> anyhow::Result<ExitCode> {
    // Listened to from here on, so that a signal during the start is not lost.
    let mut signals = Signals::new().context("cannot listen to signals")?;
    let with_demo = config.demo;
    let server = Server::start(config)?;
    {
        let mut out = io::stdout().lock();
        writeln!(out, "tidewire listening on http://{}", server.address())?;
        out.flush()?;
    }
    if let Some(address) = server.metrics_address() {
        report(format_args!("metrics for operators at http://{address}/metrics"));
    }
    let demo = with_demo.then(|| tokio::spawn(publish_host(server.address())));
    signals.next().await;
    // It would try to come back to a hub that waits for everybody to leave.
    if let Some(demo) = demo {
        demo.abort();
    }
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait.
        () = signals.next() => Ok(ExitCode::FAILURE),
    }
}

/// The signals that ask a process to end.
#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
    /// None under `nohup`, which asks that it be ignored.
    hangup: Option<tokio::signal::unix::Signal>,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        let hangup = if hangup_is_ignored() { None } else { Some(signal(SignalKind::hangup())?) };
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup,
        })
    }

    async fn next(&mut self) {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => {}
            _ = self.interrupt.recv() => {}
            _ = hangup => {}
        }
    }
}

/// Whether whoever started this process has it ignore SIGHUP: the first bit of `SigIgn` (proc(5)).
#[cfg(unix)]
fn hangup_is_ignored() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

/// The signals that ask a process to end.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) {
        // An error means that no signal can ever come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending().await
        }
    }
}
