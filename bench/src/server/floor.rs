//! `floor`: the least that any server must do. One thread waits with epoll, makes each message one frame, and writes
//! that frame to every subscriber of its topic with one write each: the kernel's price and nothing else.
//!
//! It checks nothing and keeps nothing but what a subscriber's socket did not take.

use std::collections::HashMap;
use std::io::{ErrorKind, Read as _, Write as _};
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use slab::Slab;

use crate::websocket::{self, Opcode};

/// Serves until the process ends.
///
/// # Errors
/// If it cannot listen.
#[allow(clippy::print_stdout)]
pub fn serve() -> Result<()> {
    let mut poll = Poll::new()?;
    let mut listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0).into())?;
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    println!("listening on http://{}", listener.local_addr()?);
    let mut floor = Floor::default();
    let mut events = Events::with_capacity(1_024);
    let mut buffer = vec![0; 256 << 10];
    loop {
        poll.poll(&mut events, None)?;
        for event in &events {
            if event.token() == LISTENER {
                floor.accept(&listener, &poll)?;
                continue;
            }
            let id = event.token().0;
            let served = floor.serve(id, event.is_readable(), &mut buffer);
            if served.is_err() {
                floor.forget(id);
            }
        }
    }
}

/// All connections, and who has subscribed to what.
#[derive(Default)]
struct Floor {
    connections: Slab<Connection>,
    audience: HashMap<[u8; 8], Vec<usize>>,
}

struct Connection {
    stream: TcpStream,
    /// What was read and is not whole yet.
    rest: Vec<u8>,
    /// What the socket did not take.
    unsent: Vec<u8>,
    open: bool,
    topic: Option<[u8; 8]>,
}

impl Floor {
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
            entry.insert(Connection {
                stream,
                rest: Vec::new(),
                unsent: Vec::new(),
                open: false,
                topic: None,
            });
        }
    }

    fn serve(&mut self, id: usize, readable: bool, buffer: &mut [u8]) -> Result<()> {
        let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
        connection.send(&[])?;
        if !readable {
            return Ok(());
        }
        loop {
            let Some(connection) = self.connections.get_mut(id) else { return Ok(()) };
            let kept = connection.rest.len();
            ensure!(kept < buffer.len(), "too long");
            let read = match connection.stream.read(&mut buffer[kept..]) {
                Ok(0) => anyhow::bail!("closed"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error.into()),
            };
            buffer[..kept].copy_from_slice(&connection.rest);
            let used = self.hear(id, &mut buffer[..kept + read])?;
            let rest = &buffer[used..kept + read];
            let connection = self.connections.get_mut(id).context("gone")?;
            connection.rest.clear();
            connection.rest.extend_from_slice(rest);
        }
    }

    /// Answers a handshake or publishes whole frames; returns how many bytes it has used.
    fn hear(&mut self, id: usize, bytes: &mut [u8]) -> Result<usize> {
        let connection = self.connections.get_mut(id).context("gone")?;
        if !connection.open {
            let Some(end) = websocket::head_end(bytes) else { return Ok(0) };
            connection.open(&bytes[..end])?;
            if let Some(topic) = connection.topic {
                self.audience.entry(topic).or_default().push(id);
            }
            return Ok(end);
        }
        let mut used = 0;
        let mut prepared = Vec::new();
        while let Some(frame) = websocket::cut_masked(bytes, &mut used)? {
            let Some(topic) = frame.payload.first_chunk::<8>().copied() else { continue };
            prepared.clear();
            websocket::put_server_header(Opcode::Binary, frame.payload.len(), &mut prepared);
            prepared.extend_from_slice(frame.payload);
            for subscriber in self.audience.get(&topic).into_iter().flatten() {
                if let Some(connection) = self.connections.get_mut(*subscriber) {
                    // One that fails is forgotten when its own event says so.
                    connection.send(&prepared).ok();
                }
            }
        }
        Ok(used)
    }

    fn forget(&mut self, id: usize) {
        let Some(connection) = self.connections.try_remove(id) else { return };
        if let Some(audience) = connection.topic.and_then(|topic| self.audience.get_mut(&topic)) {
            audience.retain(|member| *member != id);
        }
    }
}

impl Connection {
    fn open(&mut self, head: &[u8]) -> Result<()> {
        let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
        if let Some(at) = line.windows(7).position(|part| part == b"?topic=") {
            self.topic = line[at + 7..].first_chunk().copied();
        }
        let mut answer = Vec::new();
        websocket::put_answer(&mut answer);
        self.open = true;
        self.send(&answer)
    }

    /// Sends what waits, then `frame`.
    fn send(&mut self, frame: &[u8]) -> Result<()> {
        if !self.unsent.is_empty() {
            self.unsent.extend_from_slice(frame);
            let unsent = std::mem::take(&mut self.unsent);
            return self.write(&unsent);
        }
        self.write(frame)
    }

    fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            match self.stream.write(bytes) {
                Ok(taken) => bytes = &bytes[taken..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.unsent.extend_from_slice(bytes);
                    return Ok(());
                }
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }
}

const LISTENER: Token = Token(usize::MAX);
