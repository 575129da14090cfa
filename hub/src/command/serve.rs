//! `tidewire serve`: runs a hub until it is told to stop.

use std::io::{self, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use tidewire_hub::config::{Config, ConfigError, Flags, Reread};
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
        let config = load(&flags)?;
        // Handshakes and plain HTTP only: messages are the shards' work, on threads of their own.
        let workers = config.shards.clamp(1, 2);
        let runtime = runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
        runtime.block_on(serve(config, &flags))
    }
}

fn load(flags: &Flags) -> Result<Config, ConfigError> {
    Config::load(flags, std::env::vars_os())
}

async fn serve(config: Config, flags: &Flags) -> anyhow::Result<ExitCode> {
    // Listened to from here on, so that a signal during the start is not lost.
    let mut signals = Signals::new().context("cannot listen to signals")?;
    let with_demo = config.demo;
    let depth_max = config.core.limits.topic_depth_max;
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
    while signals.next().await == Asked::Hangup && flags.config.is_some() {
        read_rules_again(&server, flags, depth_max);
    }
    // It would try to come back to a hub that waits for everybody to leave.
    if let Some(demo) = demo {
        demo.abort();
    }
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait.
        _ = signals.next() => Ok(ExitCode::FAILURE),
    }
}

/// Takes the access rules anew from the file. A wrong file changes nothing.
fn read_rules_again(server: &Server, flags: &Flags, depth_max: usize) {
    if flags.dev {
        return report("--dev lets everybody do everything, whatever the file says; it was not read again");
    }
    let Reread { access, written, warnings } = match Reread::load(flags, depth_max) {
        Ok(rules) => rules,
        Err(error @ ConfigError::Unreadable { .. }) => {
            let error = anyhow::Error::new(error);
            return report(format_args!("the access rules stay as they are: {error:#}"));
        }
        Err(error @ ConfigError::Wrong { .. }) => {
            return report(format_args!(
                "the access rules stay as they are, for the configuration is wrong: {error}"
            ));
        }
    };
    for warning in warnings {
        report(format_args!("warning: {warning}"));
    }
    server.change_access(access);
    report(format_args!(
        "{written} access rules were read and hold from now on; all other keys wait for the next start"
    ));
}

/// What a signal asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    /// To end.
    End,
    /// To end as well, for want of a terminal, or of a hub with a file to read it again.
    Hangup,
}

/// The signals that a hub listens to.
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

    async fn next(&mut self) -> Asked {
        let hangup = async {
            match &mut self.hangup {
                Some(hangup) => hangup.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.terminate.recv() => Asked::End,
            _ = self.interrupt.recv() => Asked::End,
            _ = hangup => Asked::Hangup,
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

/// The signals that a hub listens to.
#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self)
    }

    async fn next(&mut self) -> Asked {
        // An error means that no signal can ever come.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        Asked::End
    }
}
