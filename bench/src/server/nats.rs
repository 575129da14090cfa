//! NATS is told its ports by a file, and says nothing of when it listens.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::folder::Folder;
use crate::server::Places;
use crate::server::running::Running;

/// Starts it; with `jetstream`, which says what is special about it, it keeps streams in files.
pub(super) fn start(places: &Places, jetstream: Option<&str>) -> Result<Running> {
    let (plain, websocket) = (free_port()?, free_port()?);
    let folder = jetstream.map(|_| Folder::make_in(&places.data)).transpose()?;
    let path = match &folder {
        Some(folder) => folder.path("nats.conf"),
        None => places.peers.join("nats.conf"),
    };
    let mut text = format!(
        "listen: 127.0.0.1:{plain}\nmax_connections: 100000\nwrite_deadline: \"60s\"\n\
         websocket {{ listen: \"127.0.0.1:{websocket}\", no_tls: true }}\n"
    );
    if let (Some(special), Some(folder)) = (jetstream, &folder) {
        let store = folder.path("jetstream");
        text += &format!("jetstream {{\n  store_dir: \"{}\"\n  {special}\n}}\n", store.display());
    }
    fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
    let mut command = Command::new(places.nats());
    command.arg("-c").arg(path).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, websocket));
    let mut running = Running::of(command.spawn()?);
    (running.address, running.folder) = (address, folder);
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

const START_TIMEOUT: Duration = Duration::from_secs(10);
