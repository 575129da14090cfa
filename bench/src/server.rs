//! The servers that are measured: how each is started, and which protocol it speaks.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::dialect::Dialect;
use crate::folder::Folder;
use crate::tls::Certificate;
use crate::tokens::Signer;

pub mod floor;
pub mod floor_append;
pub mod floor_blocks;
pub mod usual;

mod keeping;
mod nats;
mod places;
mod running;

use keeping::Keeps;
pub use keeping::NEWEST;
pub use places::Places;
pub use running::Running;

/// A server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Server {
    /// The hub.
    Tidewire,
    /// The hub with a shard on every core, also on the one that it leaves to others by default.
    TidewireAllCores,
    /// The hub with a node's limit that its publishers don't fill within seconds.
    TidewireRoomy,
    /// The hub by TLS.
    TidewireTls,
    /// The hub with a key for tokens.
    TidewireKeyed,
    /// The hub with a data directory.
    TidewireDurable,
    /// The same with room for all that a run publishes, of which its topics keep everything.
    TidewireDurableRoomy,
    /// The same, whose topics keep the newest messages by their number.
    TidewireDurableWindow,
    /// The same, whose topics keep the latest message of each key.
    TidewireDurableLatest,
    /// A bare loop over epoll that writes prepared frames.
    Floor,
    /// The same, but it writes what the hub writes at saturation: shared blocks, several in one write.
    FloorBlocks,
    /// A bare loop that appends what has come to a file, syncs it, and answers.
    FloorAppend,
    /// axum's WebSocket, and a task and a `broadcast` receiver for each subscriber.
    Usual,
    /// Bun's `server.publish`, which is uWebSockets.
    Bun,
    /// Bun by TLS.
    BunTls,
    /// The same without, and every publish is answered with a frame of 16 bytes.
    BunAnswers,
    /// Centrifuge as it comes.
    Centrifuge,
    /// Centrifuge with a write delay, pooled buffers and small stacks.
    CentrifugeTuned,
    /// NATS, through its WebSocket listener.
    Nats,
    /// NATS with a JetStream in files, which it syncs every two minutes unless told otherwise.
    JetStream,
    /// The same, but it syncs each message before it answers.
    JetStreamSynced,
    /// Socket.IO on Node.
    SocketIo,
}

/// What runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Program {
    Hub,
    /// This one.
    Bench,
    Bun,
    Centrifuge,
    Nats,
    Node,
}

impl Server {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Tidewire,
        Self::TidewireAllCores,
        Self::Floor,
        Self::FloorBlocks,
        Self::Usual,
        Self::Bun,
        Self::Centrifuge,
        Self::CentrifugeTuned,
        Self::Nats,
        Self::SocketIo,
    ];

    /// What tables call it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tidewire => "tidewire",
            Self::TidewireAllCores => "tidewire-all-cores",
            Self::TidewireRoomy => "tidewire, 8 GiB",
            Self::TidewireTls => "tidewire-tls",
            Self::TidewireKeyed => "tidewire-keyed",
            Self::TidewireDurable => "tidewire-durable",
            Self::TidewireDurableRoomy => "tidewire-durable, 8 GiB",
            Self::TidewireDurableWindow => "tidewire-durable, newest",
            Self::TidewireDurableLatest => "tidewire-durable, latest",
            Self::Floor => "floor",
            Self::FloorBlocks => "floor-blocks",
            Self::FloorAppend => "floor-append",
            Self::Usual => "usual",
            Self::Bun => "bun",
            Self::BunTls => "bun-tls",
            Self::BunAnswers => "bun-answers",
            Self::Centrifuge => "centrifuge",
            Self::CentrifugeTuned => "centrifuge-tuned",
            Self::Nats => "nats",
            Self::JetStream => "jetstream",
            Self::JetStreamSynced => "jetstream-synced",
            Self::SocketIo => "socket.io",
        }
    }

    /// Whether rows are about it: it takes part whomever it is measured against.
    #[must_use]
    pub const fn is_subject(self) -> bool {
        matches!(self.program(), Program::Hub) && !matches!(self, Self::TidewireAllCores)
    }

    const fn program(self) -> Program {
        match self {
            Self::Tidewire
            | Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed
            | Self::TidewireDurable
            | Self::TidewireDurableRoomy
            | Self::TidewireDurableWindow
            | Self::TidewireDurableLatest => Program::Hub,
            Self::Floor | Self::FloorBlocks | Self::FloorAppend | Self::Usual => Program::Bench,
            Self::Bun | Self::BunTls | Self::BunAnswers => Program::Bun,
            Self::Centrifuge | Self::CentrifugeTuned => Program::Centrifuge,
            Self::Nats | Self::JetStream | Self::JetStreamSynced => Program::Nats,
            Self::SocketIo => Program::Node,
        }
    }

    /// What a hub's topics keep, if it has a data directory.
    const fn keeps(self) -> Option<Keeps> {
        match self {
            Self::TidewireDurable => Some(Keeps::Usual),
            Self::TidewireDurableRoomy => Some(Keeps::All),
            Self::TidewireDurableWindow => Some(Keeps::Newest),
            Self::TidewireDurableLatest => Some(Keeps::Latest),
            Self::Tidewire
            | Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed
            | Self::Floor
            | Self::FloorBlocks
            | Self::FloorAppend
            | Self::Usual
            | Self::Bun
            | Self::BunTls
            | Self::BunAnswers
            | Self::Centrifuge
            | Self::CentrifugeTuned
            | Self::Nats
            | Self::JetStream
            | Self::JetStreamSynced
            | Self::SocketIo => None,
        }
    }

    /// What it speaks.
    #[must_use]
    pub const fn dialect(self) -> Dialect {
        match self {
            Self::Tidewire
            | Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed
            | Self::TidewireDurable
            | Self::TidewireDurableRoomy
            | Self::TidewireDurableWindow
            | Self::TidewireDurableLatest
            | Self::FloorBlocks => Dialect::Tidewire,
            Self::FloorAppend => Dialect::PlainAnswered,
            Self::Floor | Self::Usual | Self::Bun | Self::BunTls | Self::BunAnswers => Dialect::Plain,
            Self::Centrifuge | Self::CentrifugeTuned => Dialect::Centrifuge,
            Self::Nats => Dialect::Nats,
            Self::JetStream | Self::JetStreamSynced => Dialect::JetStream,
            Self::SocketIo => Dialect::SocketIo,
        }
    }

    /// Where one publishes by HTTP, if it takes that.
    #[must_use]
    pub const fn publish_path(self) -> Option<&'static str> {
        match self {
            Self::Tidewire | Self::TidewireAllCores | Self::TidewireRoomy => {
                Some("/v1/topics/bench/messages")
            }
            Self::Bun | Self::BunAnswers => Some("/publish?topic=bench"),
            Self::TidewireTls
            | Self::TidewireKeyed
            | Self::TidewireDurable
            | Self::TidewireDurableRoomy
            | Self::TidewireDurableWindow
            | Self::TidewireDurableLatest
            | Self::BunTls
            | Self::Floor
            | Self::FloorBlocks
            | Self::FloorAppend
            | Self::Usual
            | Self::Centrifuge
            | Self::CentrifugeTuned
            | Self::Nats
            | Self::JetStream
            | Self::JetStreamSynced
            | Self::SocketIo => None,
        }
    }

    /// Whether its program is here.
    #[must_use]
    pub fn is_installed(self, places: &Places) -> bool {
        let needed: &[PathBuf] = match self.program() {
            Program::Hub => std::slice::from_ref(&places.hub),
            Program::Bench => &[],
            Program::Bun => &[places.bun(), places.peers.join("bun/server.js")],
            Program::Centrifuge => &[places.centrifuge()],
            Program::Nats => &[places.nats()],
            Program::Node => &[places.peers.join("node_modules/socket.io/package.json")],
        };
        needed.iter().all(|path| path.exists())
    }

    /// What it says of its version; empty for our own.
    #[must_use]
    pub fn version(self, places: &Places) -> String {
        match self.program() {
            Program::Hub => first_line(Command::new(&places.hub).arg("--version")),
            Program::Bench => String::new(),
            Program::Bun => first_line(Command::new(places.bun()).arg("--version")),
            Program::Centrifuge => first_line(Command::new(places.centrifuge()).arg("-version")),
            Program::Nats => first_line(Command::new(places.nats()).arg("--version")),
            Program::Node => {
                let script = "process.stdout.write(require('socket.io/package.json').version \
                              + ' on Node ' + process.version)";
                first_line(Command::new("node").args(["-e", script]).current_dir(&places.peers))
            }
        }
    }

    /// Starts it on a free port of the loopback address and waits until it listens.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start(self, places: &Places) -> Result<Running> {
        let started = match self {
            Self::Nats => nats::start(places, None),
            Self::JetStream => nats::start(places, Some("")),
            Self::JetStreamSynced => nats::start(places, Some("sync_interval: always")),
            other => {
                let folder = other.stores().then(|| Folder::make_in(&places.data)).transpose();
                folder.and_then(|folder| other.start_on_port_0(places, folder))
            }
        };
        started.with_context(|| format!("{} does not start", self.name()))
    }

    /// Kills it, and starts it over what it has stored; returns it, and how long that took until it listened.
    ///
    /// # Errors
    /// If it does not start.
    pub fn start_again(self, places: &Places, mut running: Running) -> Result<(Running, Duration)> {
        let folder = running.folder.take();
        drop(running);
        let from = Instant::now();
        let again = self.start_on_port_0(places, folder);
        Ok((again.with_context(|| format!("{} does not start again", self.name()))?, from.elapsed()))
    }

    /// Whether it has a folder of its own to store in.
    const fn stores(self) -> bool {
        self.keeps().is_some() || matches!(self, Self::FloorAppend)
    }

    /// Its program, and what it is told whatever keys and folders it has.
    fn command(self, places: &Places) -> Result<Command> {
        let mut command = match self.program() {
            Program::Hub => Command::new(&places.hub),
            Program::Bench => Command::new(std::env::current_exe()?),
            Program::Bun => Command::new(places.bun()),
            Program::Centrifuge => Command::new(places.centrifuge()),
            Program::Nats => Command::new(places.nats()),
            Program::Node => Command::new("node"),
        };
        match self {
            Self::Tidewire | Self::TidewireAllCores | Self::TidewireRoomy => {
                command.args(["serve", "--dev", "--listen", "127.0.0.1:0"])
            }
            Self::Floor => command.arg("serve-floor"),
            Self::FloorBlocks => command.arg("serve-floor-blocks"),
            Self::FloorAppend => command.arg("serve-floor-append"),
            Self::Usual => command.arg("serve-usual"),
            Self::Bun => command.arg(places.peers.join("bun/server.js")),
            Self::BunAnswers => command.arg(places.peers.join("bun/server.js")).arg("--answers"),
            Self::CentrifugeTuned => command.arg("-tuned"),
            Self::SocketIo => command.arg(places.peers.join("socket-io/server.js")),
            // These are told in a file, or nothing.
            Self::TidewireTls
            | Self::TidewireKeyed
            | Self::TidewireDurable
            | Self::TidewireDurableRoomy
            | Self::TidewireDurableWindow
            | Self::TidewireDurableLatest
            | Self::BunTls
            | Self::Centrifuge
            | Self::Nats
            | Self::JetStream
            | Self::JetStreamSynced => &mut command,
        };
        if self == Self::TidewireAllCores {
            command.env("TIDEWIRE_SHARDS", std::thread::available_parallelism()?.to_string());
        }
        let is_roomy =
            matches!(self, Self::TidewireRoomy | Self::TidewireDurableRoomy | Self::TidewireDurableWindow);
        if is_roomy {
            command.env("TIDEWIRE_LIMITS_NODE_BYTES_MAX", (8_u64 << 30).to_string());
        }
        // The bench's own: a hub warns of what it does not know.
        command.env_remove("TIDEWIRE_BIN").env_remove("TIDEWIRE_BENCH_PEERS");
        Ok(command)
    }

    fn start_on_port_0(self, places: &Places, folder: Option<Folder>) -> Result<Running> {
        let mut command = self.command(places)?;
        let certificate =
            matches!(self, Self::TidewireTls | Self::BunTls).then(Certificate::make).transpose()?;
        let signer = (self == Self::TidewireKeyed).then(Signer::make).transpose()?.map(Arc::new);
        match (self, &certificate) {
            (Self::TidewireTls, Some(certificate)) => {
                command.args(["serve", "--config"]).arg(certificate.hub_config());
            }
            (Self::BunTls, Some(certificate)) => {
                let script = places.peers.join("bun/server.js");
                command.arg(script).arg("--tls").arg(certificate.chain()).arg(certificate.key());
            }
            _ => {}
        }
        if let Some(signer) = &signer {
            command.args(["serve", "--config"]).arg(signer.hub_config());
        }
        match (&folder, self.keeps()) {
            (Some(folder), Some(keeps)) => {
                command.args(["serve", "--config"]).arg(keeping::hub_config(folder, keeps)?);
            }
            (Some(folder), None) => {
                command.arg(folder.path("log"));
            }
            (None, _) => {}
        }
        let child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let mut running = Running::of(child);
        (running.certificate, running.signer, running.folder) = (certificate, signer, folder);
        running.hear_address()
    }
}

fn first_line(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}
