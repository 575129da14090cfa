//! A socket that sends what it is told, byte for byte, and a client on it that knows just enough of WebSocket.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection};
use serde_json::{Value, json};
use socket2::{Domain, Socket, Type};

use crate::support::PATIENCE;

/// A connection to a hub.
pub(crate) struct RawSocket {
    stream: TcpStream,
    /// Where TLS is spoken.
    tls: Option<Box<ClientConnection>>,
    /// Read and not yet looked at.
    unread: Vec<u8>,
}

/// One WebSocket frame from the hub.
#[derive(Debug, PartialEq)]
pub(crate) enum Received {
    Text(Value),
    Binary(Vec<u8>),
    Pong(Vec<u8>),
    /// The code of a close frame; 0 for an empty one.
    Close(u16),
    /// The socket was closed, orderly or not.
    End,
}

impl RawSocket {
    pub(crate) fn connect(to: SocketAddr) -> Self {
        Self::connect_from([127, 0, 0, 1].into(), to)
    }

    /// Connects as if from another machine: all of 127.0.0.0/8 is this one.
    pub(crate) fn connect_from(from: IpAddr, to: SocketAddr) -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::from((from, 0)).into()).unwrap();
        socket.connect(&to.into()).unwrap();
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, tls: None, unread: Vec::new() }
    }

    /// Connects to a socket in the file system.
    pub(crate) fn at_file(path: &Path) -> Self {
        let stream = TcpStream::from(OwnedFd::from(UnixStream::connect(path).unwrap()));
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { stream, tls: None, unread: Vec::new() }
    }

    /// Connects and shakes hands for TLS.
    pub(crate) fn secure(to: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        Self::connect(to).secured(config)
    }

    /// The same connection, once hands are shaken for TLS.
    pub(crate) fn secured(self, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let name = self.stream.peer_addr()?.ip();
        self.secured_as(name, config)
    }

    /// The same where the hub's certificate is for another address, or for a name.
    pub(crate) fn secured_as(
        mut self,
        name: impl Into<ServerName<'static>>,
        config: &Arc<ClientConfig>,
    ) -> io::Result<Self> {
        let mut tls = ClientConnection::new(Arc::clone(config), name.into()).unwrap();
        while tls.is_handshaking() {
            tls.complete_io(&mut self.stream)?;
        }
        self.tls = Some(Box::new(tls));
        Ok(self)
    }

    /// What was agreed on in the handshake for TLS.
    pub(crate) fn tls(&self) -> &ClientConnection {
        self.tls.as_ref().unwrap()
    }

    /// A WebSocket that speaks JSON.
    pub(crate) fn json(to: SocketAddr) -> Self {
        Self::connect(to).upgraded()
    }

    /// The same connection, once it is a WebSocket that speaks JSON.
    pub(crate) fn upgraded(mut self) -> Self {
        assert!(self.ask(&handshake("")).starts_with("HTTP/1.1 101 "));
        self
    }

    /// The same, signed in as a producer of its own.
    pub(crate) fn signed_in(to: SocketAddr) -> Self {
        Self::json(to).sign_in()
    }

    /// The same WebSocket, signed in as a producer of its own.
    pub(crate) fn sign_in(mut self) -> Self {
        static PRODUCERS: AtomicU64 = AtomicU64::new(1);
        let producer = format!("{:032x}", PRODUCERS.fetch_add(1, Ordering::Relaxed));
        self.say(json!({"type": "hello", "producer": producer, "incarnation": 1, "agent": "test"}));
        assert_eq!(self.hear()["type"], "welcome");
        self
    }

    /// Another end of the same connection, to speak with while this one listens.
    pub(crate) fn twin(&self) -> Self {
        assert!(self.tls.is_none(), "what TLS keeps cannot be shared");
        Self { stream: self.stream.try_clone().unwrap(), tls: None, unread: Vec::new() }
    }

    /// Ends the connection, for its twin too.
    pub(crate) fn hang_up(&self) {
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Sends bytes; a hub that has closed may be noticed here or at the next read.
    pub(crate) fn send(&mut self, bytes: &[u8]) {
        let _ = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).write_all(bytes),
            None => self.stream.write_all(bytes),
        };
    }

    /// Sends bytes that TLS has not sealed.
    pub(crate) fn send_past_tls(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends bytes, and fails if the hub takes no more of them or has closed.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.set_write_timeout(Some(std::time::Duration::from_millis(500)))?;
        self.stream.write_all(bytes)
    }

    /// Sends a request and returns the head of the answer; what follows it stays unread.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        self.send(request.as_bytes());
        loop {
            if let Some(end) = self.unread.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                let rest = self.unread.split_off(end + 4);
                return String::from_utf8(std::mem::replace(&mut self.unread, rest)).unwrap();
            }
            if !self.read_some() {
                return String::from_utf8_lossy(&self.unread).into_owned();
            }
        }
    }

    /// A line, without its end.
    pub(crate) fn line(&mut self) -> String {
        loop {
            if let Some(end) = self.unread.windows(2).position(|bytes| bytes == b"\r\n") {
                let rest = self.unread.split_off(end + 2);
                let line = std::mem::replace(&mut self.unread, rest);
                return String::from_utf8_lossy(&line[..end]).into_owned();
            }
            assert!(self.read_some(), "the hub closed within a line");
        }
    }

    /// The body of an answer.
    pub(crate) fn body(&mut self, length: usize) -> String {
        String::from_utf8(self.take(length).unwrap_or_default()).unwrap()
    }

    /// Everything until the hub closes.
    pub(crate) fn rest(&mut self) -> Vec<u8> {
        while self.read_some() {}
        std::mem::take(&mut self.unread)
    }

    /// Sends a JSON frame.
    pub(crate) fn say(&mut self, frame: Value) {
        self.send(&client_frame(0x81, frame.to_string().as_bytes()));
    }

    /// The next JSON frame; anything else fails.
    #[track_caller]
    pub(crate) fn hear(&mut self) -> Value {
        match self.receive() {
            Received::Text(value) => value,
            other => panic!("{other:?} where a JSON frame was expected"),
        }
    }

    /// The next JSON frame of a type; others are passed over, but no refusal is.
    #[track_caller]
    pub(crate) fn hear_of(&mut self, kind: &str) -> Value {
        loop {
            let frames = match self.hear() {
                Value::Array(frames) => frames,
                frame => vec![frame],
            };
            for frame in frames {
                if frame["type"] == kind {
                    return frame;
                }
                assert!(frame["type"] != "refused" && frame["type"] != "failed", "{frame}");
            }
        }
    }

    /// The code that the hub closes with; frames before it are passed over.
    pub(crate) fn close_code(&mut self) -> Option<u16> {
        loop {
            match self.receive() {
                Received::Close(code) => return Some(code),
                Received::End => return None,
                Received::Text(_) | Received::Binary(_) | Received::Pong(_) => {}
            }
        }
    }

    /// The next frame.
    pub(crate) fn receive(&mut self) -> Received {
        let Some(head) = self.take(2) else { return Received::End };
        let length = match head[1] {
            126 => self.take(2).map(|bytes| u64::from(u16::from_be_bytes(bytes.try_into().unwrap()))),
            127 => self.take(8).map(|bytes| u64::from_be_bytes(bytes.try_into().unwrap())),
            length => Some(u64::from(length)),
        };
        let Some(payload) = length.and_then(|length| self.take(length as usize)) else {
            return Received::End;
        };
        match head[0] {
            0x81 => Received::Text(serde_json::from_slice(&payload).unwrap()),
            0x82 => Received::Binary(payload),
            0x88 => Received::Close(
                payload.get(..2).map_or(0, |code| u16::from_be_bytes(code.try_into().unwrap())),
            ),
            0x8a => Received::Pong(payload),
            other => panic!("the hub sent a frame that begins with {other:#x}"),
        }
    }

    fn take(&mut self, count: usize) -> Option<Vec<u8>> {
        while self.unread.len() < count {
            if !self.read_some() {
                return None;
            }
        }
        let rest = self.unread.split_off(count);
        Some(std::mem::replace(&mut self.unread, rest))
    }

    /// Reads once; `false` at the end. Fails if the hub leaves us waiting.
    fn read_some(&mut self) -> bool {
        let mut bytes = [0; 65_536];
        let read = match &mut self.tls {
            Some(tls) => rustls::Stream::new(&mut **tls, &mut self.stream).read(&mut bytes),
            None => self.stream.read(&mut bytes),
        };
        match read {
            Ok(count) => {
                self.unread.extend_from_slice(&bytes[..count]);
                count > 0
            }
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => false,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => self.read_some(),
            Err(error) => panic!("the hub neither answers nor closes: {error}"),
        }
    }
}

/// A handshake for JSON, with further lines (each ended by CR LF).
pub(crate) fn handshake(lines: &str) -> String {
    handshake_for("tidewire.v1.json", lines)
}

/// The same for any subprotocol.
pub(crate) fn handshake_for(subprotocol: &str, lines: &str) -> String {
    format!(
        "GET /v1/ws HTTP/1.1\r\nhost: hub\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
         sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         sec-websocket-protocol: {subprotocol}\r\n{lines}\r\n"
    )
}

/// What stands before the payload of a masked frame.
pub(crate) fn frame_head(first: u8, payload_bytes: usize, mask: [u8; 4]) -> Vec<u8> {
    let mut head = Vec::with_capacity(payload_bytes + 14);
    head.push(first);
    match payload_bytes {
        length @ 0..126 => head.push(0x80 | length as u8),
        length @ 126..65_536 => {
            head.push(0x80 | 126);
            head.extend((length as u16).to_be_bytes());
        }
        length => {
            head.push(0x80 | 127);
            head.extend((length as u64).to_be_bytes());
        }
    }
    head.extend(mask);
    head
}

/// A masked frame whose first byte is `first`.
pub(crate) fn client_frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut frame = frame_head(first, payload.len(), mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}
