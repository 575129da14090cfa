//! The servers that are measured: how each is started, and which protocol it speaks.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use crate::dialect::Dialect;
use crate::load::Target;
use crate::tls::Certificate;
use crate::tokens::Signer;

pub mod floor;
pub mod floor_blocks;
pub mod usual;

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
    /// A bare loop over epoll that writes prepared frames.
    Floor,
    /// The same, but it writes what the hub writes at saturation: shared blocks, several in one write.
    FloorBlocks,
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
    /// Socket.IO on Node.
    SocketIo,
}

/// Where programs are.
#[derive(Debug, Clone)]
pub struct Places {
    /// The hub's program.
    pub hub: PathBuf,
    /// The folder into which `npm run bench` installs peers.
    pub peers: PathBuf,
}

/// A server that runs until this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    /// Where it listens.
    pub address: SocketAddr,
    /// Where it speaks TLS.
    certificate: Option<Certificate>,
    /// Whose tokens it takes.
    signer: Option<Arc<Signer>>,
    /// Kept open: a server that cannot print any more may end.
    _stdout: Option<BufReader<ChildStdout>>,
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
            Self::Floor => "floor",
            Self::FloorBlocks => "floor-blocks",
            Self::Usual => "usual",
            Self::Bun => "bun",
            Self::BunTls => "bun-tls",
            Self::BunAnswers => "bun-answers",
            Self::Centrifuge => "centrifuge",
            Self::CentrifugeTuned => "centrifuge-tuned",
            Self::Nats => "nats",
            Self::SocketIo => "socket.io",
        }
    }

    /// Whether rows are about it: it takes part whomever it is measured against.
    #[must_use]
    pub const fn is_subject(self) -> bool {
        matches!(self, Self::Tidewire | Self::TidewireRoomy | Self::TidewireTls | Self::TidewireKeyed)
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
            | Self::FloorBlocks => Dialect::Tidewire,
            Self::Floor | Self::Usual | Self::Bun | Self::BunTls | Self::BunAnswers => Dialect::Plain,
            Self::Centrifuge | Self::CentrifugeTuned => Dialect::Centrifuge,
            Self::Nats => Dialect::Nats,
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
            | Self::BunTls
            | Self::Floor
            | Self::FloorBlocks
            | Self::Usual
            | Self::Centrifuge
            | Self::CentrifugeTuned
            | Self::Nats
            | Self::SocketIo => None,
        }
    }

    /// Whether its program is here.
    #[must_use]
    pub fn is_installed(self, places: &Places) -> bool {
        let needed: &[PathBuf] = match self {
            Self::Tidewire
            | Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed => std::slice::from_ref(&places.hub),
            Self::Floor | Self::FloorBlocks | Self::Usual => &[],
            Self::Bun | Self::BunTls | Self::BunAnswers => {
                &[places.bun(), places.peers.join("bun/server.js")]
            }
            Self::Centrifuge | Self::CentrifugeTuned => &[places.centrifuge()],
            Self::Nats => &[places.nats()],
            Self::SocketIo => &[places.peers.join("node_modules/socket.io/package.json")],
        };
        needed.iter().all(|path| path.exists())
    }

    /// What it says of its version; empty for our own.
    #[must_use]
    pub fn version(self, places: &Places) -> String {
        match self {
            Self::Tidewire => first_line(Command::new(&places.hub).arg("--version")),
            Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed
            | Self::BunTls
            | Self::BunAnswers
            | Self::Floor
            | Self::FloorBlocks
            | Self::Usual => String::new(),
            Self::Bun => first_line(Command::new(places.bun()).arg("--version")),
            Self::Centrifuge | Self::CentrifugeTuned => {
                first_line(Command::new(places.centrifuge()).arg("-version"))
            }
            Self::Nats => first_line(Command::new(places.nats()).arg("--version")),
            Self::SocketIo => {
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
            Self::Nats => start_nats(places),
            other => other.start_on_port_0(places),
        };
        started.with_context(|| format!("{} does not start", self.name()))
    }

    /// Its program, and what it is told whatever keys it has.
    fn command(self, places: &Places) -> Result<Command> {
        let mut command = match self {
            Self::Tidewire
            | Self::TidewireAllCores
            | Self::TidewireRoomy
            | Self::TidewireTls
            | Self::TidewireKeyed => Command::new(&places.hub),
            Self::Floor | Self::FloorBlocks | Self::Usual => Command::new(std::env::current_exe()?),
            Self::Bun | Self::BunTls | Self::BunAnswers => Command::new(places.bun()),
            Self::Centrifuge | Self::CentrifugeTuned | Self::Nats => Command::new(places.centrifuge()),
            Self::SocketIo => Command::new("node"),
        };
        match self {
            Self::Tidewire | Self::TidewireAllCores | Self::TidewireRoomy => {
                command.args(["serve", "--dev", "--listen", "127.0.0.1:0"])
            }
            Self::Floor => command.arg("serve-floor"),
            Self::FloorBlocks => command.arg("serve-floor-blocks"),
            Self::Usual => command.arg("serve-usual"),
            Self::TidewireTls | Self::TidewireKeyed | Self::BunTls => &mut command,
            Self::Bun => command.arg(places.peers.join("bun/server.js")),
            Self::BunAnswers => command.arg(places.peers.join("bun/server.js")).arg("--answers"),
            Self::Centrifuge | Self::Nats => &mut command,
            Self::CentrifugeTuned => command.arg("-tuned"),
            Self::SocketIo => command.arg(places.peers.join("socket-io/server.js")),
        };
        if self == Self::TidewireAllCores {
            command.env("TIDEWIRE_SHARDS", std::thread::available_parallelism()?.to_string());
        }
        if self == Self::TidewireRoomy {
            command.env("TIDEWIRE_LIMITS_NODE_BYTES_MAX", (8_u64 << 30).to_string());
        }
        // The bench's own: a hub warns of what it does not know.
        command.env_remove("TIDEWIRE_BIN").env_remove("TIDEWIRE_BENCH_PEERS");
        Ok(command)
    }

    fn start_on_port_0(self, places: &Places) -> Result<Running> {
        let mut command = self.command(places)?;
        let certificate =
            matches!(self, Self::TidewireTls | Self::BunTls).then(Certificate::make).transpose()?;
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
        let signer = (self == Self::TidewireKeyed).then(Signer::make).transpose()?.map(Arc::new);
        if let Some(signer) = &signer {
            command.args(["serve", "--config"]).arg(signer.hub_config());
        }
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
        let stdout = child.stdout.take().context("no standard output")?;
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // From here on the process is ended whatever happens.
        let running = Running { child, address, certificate, signer, _stdout: None };
        running.hear_address(BufReader::new(stdout))
    }
}

impl Running {
    /// Waits until it says where it listens.
    fn hear_address(mut self, mut stdout: BufReader<ChildStdout>) -> Result<Self> {
        let mut line = String::new();
        while stdout.read_line(&mut line)? > 0 {
            let told = line.trim_end().rsplit_once("listening on http");
            if let Some((_, address)) = told.and_then(|(_, told)| told.rsplit_once("://")) {
                self.address = address.parse().with_context(|| format!("cannot read {address}"))?;
                self._stdout = Some(stdout);
                return Ok(self);
            }
            line.clear();
        }
        bail!("it ended without saying where it listens")
    }

    /// Where it is, whom to trust there, and who signs tokens for it.
    #[must_use]
    pub fn target(&self) -> Target {
        let tls = self.certificate.as_ref().map(|certificate| Arc::clone(&certificate.trusting));
        Target { address: self.address, tls, signer: self.signer.clone() }
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Both fail only if it has ended by itself, which the load will have told.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Places {
    fn bun(&self) -> PathBuf {
        self.peers.join("node_modules/.bin/bun")
    }

    fn nats(&self) -> PathBuf {
        self.peers.join("venv/bin/nats-server")
    }

    fn centrifuge(&self) -> PathBuf {
        self.peers.join("centrifuge/server")
    }
}

/// NATS is told its ports by a file.
fn start_nats(places: &Places) -> Result<Running> {
    let (plain, websocket) = (free_port()?, free_port()?);
    let path = places.peers.join("nats.conf");
    let text = format!(
        "listen: 127.0.0.1:{plain}\nmax_connections: 100000\nwrite_deadline: \"60s\"\n\
         websocket {{ listen: \"127.0.0.1:{websocket}\", no_tls: true }}\n"
    );
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let child = Command::new(places.nats())
        .arg("-c")
        .arg(Path::new(&path))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, websocket));
    let running = Running { child, address, certificate: None, signer: None, _stdout: None };
    let clock = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(clock.elapsed() < START_TIMEOUT, "nothing listens on {address} after {START_TIMEOUT:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(running)
}

fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

fn first_line(command: &mut Command) -> String {
    let text = command.output().map(|output| output.stdout).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().next().unwrap_or_default().trim().to_owned()
}

const START_TIMEOUT: Duration = Duration::from_secs(10);
