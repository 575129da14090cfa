//! `tidewire serve`: runs a hub until it is told to stop.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::thread;

use anyhow::Context as _;
use clap::Args;
use tidewire_hub::config::{Config, ConfigError, Flags, Kept, Reread};
use tidewire_hub::gate::listener::Address;
use tidewire_hub::logs;
use tidewire_hub::server::Server;
use tokio::runtime;
use tokio::sync::mpsc;
use tracing::{info, warn};

use crate::command::config_file::ConfigFile;
use crate::command::data_dir::DataDir;
use crate::command::signals::Signals;
use crate::demo::publish_host;

/// The options of `serve`.
#[derive(Debug, Args)]
#[command(after_help = SERVE_EXIT_CODES)]
pub(crate) struct Serve {
    #[command(flatten)]
    config: ConfigFile,
    /// Where to listen [default: 127.0.0.1:7700]; port 0 takes a free one, and unix:/PATH is a socket in the file system
    #[arg(long, value_name = "HOST:PORT")]
    listen: Option<String>,
    #[command(flatten)]
    data: DataDir,
    /// Let everybody do everything, for pages and programs of this machine only
    #[arg(long)]
    dev: bool,
    /// Serve the demo page at /
    #[arg(long)]
    demo: bool,
}

impl Serve {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let config = self.config.path()?;
        let data_dir = self.data.path();
        let flags = Flags { config, listen: self.listen, data_dir, dev: self.dev, demo: self.demo };
        let config = load(&flags)?;
        logs::begin(config.log_format, &config.log_levels)?;
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
    // Whoever waits for this line finds those of the start.
    logs::flush();
    {
        let mut out = io::stdout().lock();
        writeln!(out, "tidewire listening on {}", shown(server.address(), server.speaks_tls()))?;
        out.flush()?;
    }
    if let Some(address) = server.admin_address() {
        info!(target: "server", "operators ask at {}", shown(address, false));
    }
    // What publishes its charts connects as anybody does, and the certificate is for another name than this machine's.
    let demo = match server.address() {
        Address::Tcp(address) if with_demo && !server.speaks_tls() => {
            Some(tokio::spawn(publish_host(*address)))
        }
        Address::Unix { .. } if with_demo => {
            warn!(
                target: "demo",
                "the demo's charts stay empty: what fills them does not connect by a socket in the file system",
            );
            None
        }
        Address::Tcp(_) | Address::Unix { .. } | Address::Systemd(_) => None,
    };
    tell_systemd("READY=1");
    until_end(&mut signals, &server, flags, depth_max).await;
    tell_systemd("STOPPING=1");
    // It would try to come back to a hub that waits for everybody to leave.
    if let Some(demo) = demo {
        demo.abort();
    }
    tokio::select! {
        () = server.stop() => Ok(ExitCode::SUCCESS),
        // Whoever asks twice does not want to wait.
        () = until_asked_to_end(&mut signals, flags) => Ok(ExitCode::FAILURE),
    }
}

/// Until somebody asks the hub to end, its rules are read again whenever that is asked for: beside, since a file may be slow.
async fn until_end(signals: &mut Signals, server: &Server, flags: &Flags, depth_max: usize) {
    let (done, mut read) = mpsc::channel(1);
    let (mut is_reading, mut again) = (false, false);
    loop {
        tokio::select! {
            asked = signals.next() => {
                if !asked.is_for_the_file(flags) {
                    return;
                }
                again = true;
            }
            Some(rules) = read.recv() => {
                is_reading = false;
                take_rules(server, rules);
            }
        }
        if again && !is_reading {
            (is_reading, again) = (true, false);
            read_rules(flags.clone(), depth_max, done.clone());
            server.read_certificate();
        }
    }
}

/// Tells whoever has started the hub how it is, if that wants to know.
#[cfg(target_os = "linux")]
fn tell_systemd(state: &str) {
    if let Err(error) = sd_notify::notify(&[sd_notify::NotifyState::Custom(state)]) {
        warn!(target: "server", "systemd cannot be told how the hub is ({state}): {error}");
    }
}

#[cfg(not(target_os = "linux"))]
fn tell_systemd(_: &str) {}

/// An address as clients are given it.
fn shown(address: &Address, speaks_tls: bool) -> String {
    match address {
        Address::Tcp(address) => format!("http{}://{address}", if speaks_tls { "s" } else { "" }),
        Address::Unix { .. } | Address::Systemd(_) => address.to_string(),
    }
}

async fn until_asked_to_end(signals: &mut Signals, flags: &Flags) {
    while signals.next().await.is_for_the_file(flags) {}
}

/// Reads the rules on a thread of its own, which ends with the process if the file never does.
fn read_rules(flags: Flags, depth_max: usize, done: mpsc::Sender<Result<Reread, Kept>>) {
    thread::spawn(move || {
        // Nobody waits for it any more where the hub stops.
        let _ = done.blocking_send(Reread::load(&flags, std::env::vars_os(), depth_max));
    });
}

/// From now on these hold, unless there is something wrong with one of them.
fn take_rules(server: &Server, reread: Result<Reread, Kept>) {
    let reread = match reread {
        Ok(reread) => reread,
        Err(why) => return warn!(target: "server", "{why}"),
    };
    for warning in &reread.warnings {
        warn!(target: "server", "{warning}");
    }
    match server.change(reread) {
        Ok(changed) => info!(target: "server", "{changed}"),
        Err(why) => {
            warn!(target: "server", "access rules, keys, origins and limits stay as they are: {why}");
        }
    }
}

const SERVE_EXIT_CODES: &str = "\
Exit codes:
  0  stopped as it was asked to
  1  not started, for the log says why; or ended before all clients had gone, since it was asked twice
  2  wrong arguments";
