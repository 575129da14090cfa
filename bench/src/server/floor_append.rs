//! `floor-append`: the least that whoever stores before it answers must do. One thread takes what publishers have
//! sent, appends it to a file whose blocks are there, syncs that, and tells each publisher how many more of its
//! messages are stored. What comes meanwhile gathers in the sockets.
//!
//! It frames nothing, so nobody could read the file; at its end it begins again at the front.

use std::fs::File;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use anyhow::{Context as _, Result, ensure};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::websocket::{self, Opcode};

/// Serves until the process ends, and appends to a file that is made here.
///
/// # Errors
/// If it cannot listen, or the file cannot be written.
#[allow(clippy::print_stdout)]
pub fn serve(path: &Path) -> Result<()> {
    let mut floor = Floor::over(path)?;
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener, &poll)?;
            } else {
                floor.serve(event.token().0, &mut buffer);
            }
        }
        floor.commit()?;
    }
}

struct Floor {
    connections: Slab<Connection>,
    file: File,
    /// Where the next commit goes.
    at: u64,
    /// What has come since the last one.
    gathered: Vec<u8>,
}

struct Connection {
    stream: TcpStream,
    /// What was read and is not whole yet.
    rest: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
    open: bool,
    /// Messages that are gathered and not answered.
    unanswered: u32,
}

impl Floor {
    /// A file that is full of zeros, so that no commit has to find blocks for it.
    fn over(path: &Path) -> Result<Self> {
        let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
        let zeros = vec![0; 1 << 20];
        for _ in 0..FILE_BYTES / zeros.len() as u64 {
            file.write_all(&zeros)?;
        }
        file.sync_all()?;
        Ok(Self { connections: Slab::new(), file, at: 0, gathered: Vec::new() })
    }

    fn accept(&mut self, listener: &TcpListener, poll: &Poll) -> Result<()> {
        loop {
            let (mut stream, _) = match listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            stream.set_nodelay(true)?;
            let entry = self.connections.vacant_entry();
            let interest = Interest::READABLE | Interest::WRITABLE;
            poll.registry().register(&mut stream, Token(entry.key()), interest)?;
            let (rest, unsent) = (Vec::new(), Vec::new());
            entry.insert(Connection { stream, rest, unsent, open: false, unanswered: 0 });
        }
    }

    fn serve(&mut self, id: usize, buffer: &mut [u8]) {
        let Some(connection) = self.connections.get_mut(id) else { return };
        let served = connection.send(&[]).and_then(|()| connection.read(buffer, &mut self.gathered));
        if served.is_err() {
            self.connections.remove(id);
        }
    }

    /// Stores what has gathered, and says so.
    fn commit(&mut self) -> Result<()> {
        if self.gathered.is_empty() {
            return Ok(());
        }
        if self.at + self.gathered.len() as u64 > FILE_BYTES {
            self.at = 0;
        }
        self.file.write_all_at(&self.gathered, self.at)?;
        self.file.sync_data()?;
        self.at += self.gathered.len() as u64;
        self.gathered.clear();
        for (_, connection) in &mut self.connections {
            if connection.unanswered > 0 {
                let mut answer = Vec::new();
                websocket::put_server_header(Opcode::Binary, 4, &mut answer);
                answer.extend_from_slice(&connection.unanswered.to_be_bytes());
                connection.unanswered = 0;
                // One that fails is forgotten when its own event says so.
                connection.send(&answer).ok();
            }
        }
        Ok(())
    }
}

impl Connection {
    /// Reads all that there is.
    fn read(&mut self, buffer: &mut [u8], gathered: &mut Vec<u8>) -> Result<()> {
        loop {
            let kept = self.rest.len();
            ensure!(kept < buffer.len(), "too long");
            let read = match self.stream.read(&mut buffer[kept..]) {
                Ok(0) => anyhow::bail!("closed"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            buffer[..kept].copy_from_slice(&self.rest);
            let used = self.hear(&mut buffer[..kept + read], gathered)?;
            self.rest.clear();
            self.rest.extend_from_slice(&buffer[used..kept + read]);
        }
    }

    /// Answers a handshake or gathers whole frames; returns how many bytes it has used.
    fn hear(&mut self, bytes: &mut [u8], gathered: &mut Vec<u8>) -> Result<usize> {
        if !self.open {
            let Some(end) = websocket::head_end(bytes) else { return Ok(0) };
            let mut answer = Vec::new();
            websocket::put_answer(&mut answer);
            self.open = true;
            self.send(&answer)?;
            return Ok(end);
        }
        let mut used = 0;
        while let Some(frame) = websocket::cut_masked(bytes, &mut used)? {
            gathered.extend_from_slice(frame.payload);
            self.unanswered += 1;
        }
        Ok(used)
    }

    /// Sends what waits, then `bytes`.
    fn send(&mut self, bytes: &[u8]) -> Result<()> {
        self.unsent.extend_from_slice(bytes);
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.stream.write(&self.unsent[sent..]) {
                Ok(taken) => sent += taken,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error.into()),
            }
        }
        self.unsent.drain(..sent);
        Ok(())
    }
}

const LISTENER: Token = Token(usize::MAX);
/// As much as one of the hub's segments.
const FILE_BYTES: u64 = 64 << 20;
const BUFFER_BYTES: usize = 256 << 10;
