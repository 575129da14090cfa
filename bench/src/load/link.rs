//! One WebSocket to a server, or one stream of events: nothing is kept per connection but the part of a frame that has not come whole.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail, ensure};
use mio::net::TcpStream;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

use crate::dialect::Request;
use crate::event_stream;
use crate::load::wire::{Target, Wire};
use crate::websocket::{self, Frame, Opcode};

/// A connection.
#[derive(Debug)]
pub(super) struct Link {
    wire: Wire,
    /// What was read and is no whole frame yet.
    rest: Vec<u8>,
    /// What is to be sent and the socket does not take.
    pub(super) unsent: Vec<u8>,
    connected: bool,
    open: bool,
    /// Whether it is a stream of events, and no WebSocket.
    events: bool,
}

/// How far away a connection seems to be, as far as the kernel's buffers go.
#[derive(Debug, Clone, Copy)]
pub(super) enum Distance {
    /// This machine. Loopback's segments are of 64 KiB, and so the kernel takes megabytes in place of a reader that
    /// rests.
    Here,
    /// As if there were a network in between: segments and window are small, and a server soon sees who rests.
    Afar,
}

/// What a link has read.
pub(super) enum Heard<'a> {
    /// The WebSocket is open.
    Opened,
    /// A frame with data.
    Frame(Frame<'a>),
}

impl Link {
    /// Begins to connect; the request goes out when the socket is ready.
    pub(super) fn connect(
        target: &Target,
        distance: Distance,
        request: &Request,
        registry: &Registry,
        token: Token,
    ) -> Result<Self> {
        let mut stream = distance.connect(target.address).context("cannot connect")?;
        stream.set_nodelay(true)?;
        registry.register(&mut stream, token, Interest::READABLE | Interest::WRITABLE)?;
        let mut unsent = Vec::new();
        match request.events {
            true => event_stream::put_request(&request.path, &mut unsent),
            false => websocket::put_request(&request.path, request.subprotocol, &mut unsent),
        }
        let wire = Wire::new(stream, target)?;
        Ok(Self { wire, rest: Vec::new(), unsent, connected: false, open: false, events: request.events })
    }

    /// The socket takes bytes.
    pub(super) fn writable(&mut self) -> Result<()> {
        if !self.connected {
            if let Some(error) = self.wire.stream.take_error()? {
                return Err(error).context("cannot connect");
            }
            self.connected = true;
        }
        self.flush()
    }

    /// Sends what there is to send, as far as the socket takes it.
    pub(super) fn flush(&mut self) -> Result<()> {
        if !self.connected {
            return Ok(());
        }
        let mut sent = 0;
        while sent < self.unsent.len() {
            match self.wire.write(&self.unsent[sent..]) {
                Ok(bytes) => sent += bytes,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error).context("cannot write"),
            }
        }
        match self.wire.flush() {
            Err(error) if error.kind() != ErrorKind::WouldBlock => return Err(error).context("cannot write"),
            Ok(()) | Err(_) => {}
        }
        if sent == self.unsent.len() && self.unsent.capacity() <= UNSENT_KEPT {
            self.unsent.clear();
        } else if sent == self.unsent.len() {
            self.unsent = Vec::new();
        } else {
            self.unsent.drain(..sent);
        }
        Ok(())
    }

    /// Reads what has come, but no more than `most` bytes, and hands out each whole frame; returns how many bytes
    /// came.
    ///
    /// What `hear` appends is sent afterwards.
    #[inline]
    pub(super) fn read(
        &mut self,
        buffer: &mut [u8],
        most: usize,
        mut hear: impl FnMut(Heard<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<usize> {
        let mut total = 0;
        loop {
            let kept = self.rest.len();
            ensure!(kept < buffer.len(), "a frame that is longer than {} bytes", buffer.len());
            let room = (buffer.len() - kept).min(most - total);
            let read = match self.wire.read(&mut buffer[kept..kept + room]) {
                Ok(0) => bail!("the server closed the connection"),
                Ok(read) => read,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) => return Err(error).context("cannot read"),
            };
            total += read;
            buffer[..kept].copy_from_slice(&self.rest);
            let mut bytes = &buffer[..kept + read];
            self.hear_all(&mut bytes, &mut hear)?;
            if bytes.is_empty() {
                // Most of the time there was none, and then nothing is written to memory.
                if kept > 0 {
                    self.rest = Vec::new();
                }
            } else {
                self.rest.clear();
                self.rest.extend_from_slice(bytes);
            }
            // A read that does not fill the buffer has emptied the socket.
            if read < room && !self.wire.is_sealed() || total == most {
                break;
            }
        }
        if !self.unsent.is_empty() {
            self.flush()?;
        }
        Ok(total)
    }

    #[inline]
    fn hear_all(
        &mut self,
        bytes: &mut &[u8],
        hear: &mut impl FnMut(Heard<'_>, &mut Vec<u8>) -> Result<()>,
    ) -> Result<()> {
        if !self.open {
            let is_answered = match self.events {
                true => event_stream::take_answer(bytes)?,
                false => websocket::take_answer(bytes)?,
            };
            if !is_answered {
                return Ok(());
            }
            self.open = true;
            hear(Heard::Opened, &mut self.unsent)?;
        }
        while self.events {
            let Some(payload) = event_stream::cut(bytes)? else { return Ok(()) };
            let frame = Frame { opcode: Opcode::Text, last: true, payload };
            hear(Heard::Frame(frame), &mut self.unsent)?;
        }
        while let Some(frame) = websocket::cut(bytes)? {
            match frame.opcode {
                Opcode::Text | Opcode::Binary => {
                    ensure!(frame.last, "the server cuts messages into frames");
                    hear(Heard::Frame(frame), &mut self.unsent)?;
                }
                Opcode::Ping => {
                    let pong = |out: &mut Vec<u8>| out.extend_from_slice(frame.payload);
                    websocket::put_masked(Opcode::Pong, &mut self.unsent, pong);
                }
                Opcode::Pong => {}
                Opcode::Close => bail!("the server closes with {}", close_code(frame.payload)),
                Opcode::Continuation => bail!("the server cuts messages into frames"),
            }
        }
        Ok(())
    }

    /// Leaves the poll: nobody is told any more that there is something to read.
    pub(super) fn leave(&mut self, registry: &Registry) -> Result<()> {
        Ok(registry.deregister(&mut self.wire.stream)?)
    }

    /// Comes back to the poll, which tells of what has gathered.
    pub(super) fn come_back(&mut self, registry: &Registry, token: Token) -> Result<()> {
        Ok(registry.register(&mut self.wire.stream, token, Interest::READABLE | Interest::WRITABLE)?)
    }
}

impl Distance {
    fn connect(self, address: SocketAddr) -> Result<TcpStream> {
        match self {
            Self::Here => Ok(TcpStream::connect(address)?),
            Self::Afar => {
                let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
                socket.set_tcp_mss(ETHERNET_SEGMENT_BYTES)?;
                socket.set_recv_buffer_size(SMALL_WINDOW_BYTES)?;
                socket.connect(&address.into())?;
                socket.set_nonblocking(true)?;
                Ok(TcpStream::from_std(socket.into()))
            }
        }
    }
}

fn close_code(payload: &[u8]) -> String {
    match payload {
        [high, low, reason @ ..] => {
            format!("{} {}", u16::from_be_bytes([*high, *low]), String::from_utf8_lossy(reason))
        }
        _ => "no code".to_owned(),
    }
}

const ETHERNET_SEGMENT_BYTES: u32 = 1_448;
const SMALL_WINDOW_BYTES: usize = 16 << 10;
/// Memory of this size is kept for the next publishes.
const UNSENT_KEPT: usize = 256 << 10;
