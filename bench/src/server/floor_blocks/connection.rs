//! One client of the floor that writes blocks: bytes in, answers out.

use std::io::{ErrorKind, Read as _, Write as _};

use anyhow::{Result, bail, ensure};
use mio::net::TcpStream;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Offset, Seq};

use crate::websocket::{self, Opcode};

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) stream: TcpStream,
    /// What was read and is not whole yet.
    rest: Vec<u8>,
    /// Answers that wait, or that the socket did not take.
    unsent: Vec<u8>,
    /// Whether the WebSocket is open.
    pub(super) open: bool,
    /// Its handles, from 1 on.
    pub(super) handles: Vec<Handle>,
    /// Places of handles with publishes that are not answered yet.
    pub(super) published_to: Vec<usize>,
    /// The tail that it subscribes to, and its cursor's place there.
    pub(super) subscription: Option<(usize, usize)>,
}

/// A topic to publish to.
#[derive(Debug)]
pub(super) struct Handle {
    /// Whose messages these become.
    pub(super) tail: usize,
    /// The next seq.
    pub(super) next: Seq,
    /// What was published and is not answered yet: how many, and the first one's offset.
    pub(super) unanswered: (u64, Offset),
}

impl Connection {
    pub(super) const fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            rest: Vec::new(),
            unsent: Vec::new(),
            open: false,
            handles: Vec::new(),
            published_to: Vec::new(),
            subscription: None,
        }
    }

    /// Reads once, behind what was kept of the last read; returns the length of all of it, 0 if nothing came, and
    /// whether more may be there.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<(usize, bool)> {
        let kept = self.rest.len();
        ensure!(kept < buffer.len(), "too long");
        let read = match self.stream.read(&mut buffer[kept..]) {
            Ok(0) => bail!("closed"),
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok((0, false)),
            Err(error) => return Err(error.into()),
        };
        buffer[..kept].copy_from_slice(&self.rest);
        Ok((kept + read, kept + read == buffer.len()))
    }

    /// Keeps what is no whole frame yet.
    pub(super) fn keep(&mut self, rest: &[u8]) {
        self.rest.clear();
        self.rest.extend_from_slice(rest);
    }

    /// Answers the handshake.
    pub(super) fn open(&mut self) {
        self.open = true;
        websocket::put_answer(&mut self.unsent);
    }

    /// Answers frames, in one WebSocket message.
    pub(super) fn answer(&mut self, frames: &[HubFrame<'_>]) {
        let mut bytes = Vec::new();
        frames.iter().for_each(|frame| frame.put(&mut bytes));
        websocket::put_server_header(Opcode::Binary, bytes.len(), &mut self.unsent);
        self.unsent.extend_from_slice(&bytes);
    }

    /// Sends what waits, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<()> {
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
