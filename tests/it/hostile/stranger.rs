//! A client that means harm: it comes from an address of its own, is not tidy, and is cut off sooner or later.

use std::io::{self, Read as _, Write as _};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::Resumption;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use socket2::{Domain, Socket, Type};

use crate::hostile::frames::{self, Heard};
use crate::support::secured::trusting;
use crate::support::socket::{frame_head, handshake_for};

/// A hub, and where a stranger comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Target {
    pub(crate) hub: SocketAddr,
    pub(crate) from: IpAddr,
    /// Bytes that the system takes for it before it must read; as many as usual if not given.
    pub(crate) receive_buffer: Option<usize>,
    /// What it trusts, where the hub speaks TLS.
    pub(crate) trust: Option<&'static Arc<ClientConfig>>,
}

/// A connection by TLS.
pub(crate) type Sealed = StreamOwned<ClientConnection, TcpStream>;

/// Connections that this program has made, and bytes that it has counted as sent.
pub(crate) fn done_so_far() -> (u64, u64) {
    (CONNECTED.load(Ordering::Relaxed), SENT.load(Ordering::Relaxed))
}

/// How a connection speaks.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Speech {
    Binary,
    Json,
}

/// A connection.
pub(crate) struct Stranger {
    stream: TcpStream,
    speech: Speech,
    unread: Vec<u8>,
}

impl Target {
    pub(crate) fn new(hub: SocketAddr, from: [u8; 4]) -> Self {
        Self { hub, from: IpAddr::V4(Ipv4Addr::from(from)), receive_buffer: None, trust: None }
    }

    /// The same where TLS is spoken, by a certificate of an authority whose own is in this file.
    pub(crate) fn trusting(self, authority: Option<&str>) -> Self {
        let trust = |path: &str| -> &'static Arc<ClientConfig> {
            let config = trusting(&std::fs::read(path).unwrap(), rustls::DEFAULT_VERSIONS);
            let mut config = (*config).clone();
            // Who comes back sooner does less harm.
            config.resumption = Resumption::disabled();
            Box::leak(Box::new(Arc::new(config)))
        };
        Self { trust: authority.map(trust), ..self }
    }

    /// The same for connections that little can be written to while they do not read.
    pub(crate) fn narrow(self) -> Self {
        Self { receive_buffer: Some(4_096), ..self }
    }

    /// A connection that has said nothing.
    pub(crate) fn tcp(&self) -> io::Result<TcpStream> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        if let Some(bytes) = self.receive_buffer {
            socket.set_recv_buffer_size(bytes)?;
        }
        socket.bind(&SocketAddr::from((self.from, 0)).into())?;
        socket.connect_timeout(&self.hub.into(), PATIENCE)?;
        let stream = TcpStream::from(socket);
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_write_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        CONNECTED.fetch_add(1, Ordering::Relaxed);
        Ok(stream)
    }

    /// A connection by TLS that has said nothing, for HTTP of this version.
    pub(crate) fn sealed(&self, protocol: &[u8]) -> io::Result<Sealed> {
        let mut stream = self.tcp()?;
        let mut tls = self.tls(protocol)?;
        while tls.is_handshaking() {
            tls.complete_io(&mut stream)?;
        }
        Ok(StreamOwned::new(tls, stream))
    }

    /// TLS before any of it was spoken.
    pub(crate) fn tls(&self, protocol: &[u8]) -> io::Result<ClientConnection> {
        let mut config = (**self.trust.unwrap()).clone();
        config.alpn_protocols = vec![protocol.to_vec()];
        ClientConnection::new(Arc::new(config), self.hub.ip().into()).map_err(io::Error::other)
    }

    /// A WebSocket on which nothing was said.
    pub(crate) fn websocket(&self, speech: Speech) -> io::Result<Stranger> {
        let mut stream = self.tcp()?;
        let subprotocol = match speech {
            Speech::Binary => "tidewire.v1",
            Speech::Json => "tidewire.v1.json",
        };
        stream.write_all(handshake_for(subprotocol, "").as_bytes())?;
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            if stream.read(&mut byte)? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            head.push(byte[0]);
        }
        if !head.starts_with(b"HTTP/1.1 101 ") {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        Ok(Stranger { stream, speech, unread: Vec::new() })
    }

    /// A connection that has signed in as nobody known.
    pub(crate) fn signed_in(&self, speech: Speech) -> io::Result<Stranger> {
        self.signed_in_as(speech, &fresh(), 1)
    }

    pub(crate) fn signed_in_as(
        &self,
        speech: Speech,
        producer: &[u8; 16],
        incarnation: u64,
    ) -> io::Result<Stranger> {
        let mut stranger = self.websocket(speech)?;
        match speech {
            Speech::Binary => stranger.say(&frames::hello(producer, incarnation))?,
            Speech::Json => {
                let digits: String = producer.iter().map(|byte| format!("{byte:02x}")).collect();
                let hello =
                    format!(r#"{{"type":"hello","producer":"{digits}","incarnation":{incarnation}}}"#);
                stranger.say(hello.as_bytes())?;
            }
        }
        stranger.message()?;
        Ok(stranger)
    }

    pub(crate) fn binary(&self) -> io::Result<Stranger> {
        self.signed_in(Speech::Binary)
    }

    pub(crate) fn json(&self) -> io::Result<Stranger> {
        self.signed_in(Speech::Json)
    }
}

impl Stranger {
    /// Sends bytes as they are.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)?;
        sent(bytes);
        Ok(())
    }

    /// Sends a message.
    pub(crate) fn say(&mut self, message: &[u8]) -> io::Result<()> {
        let first = match self.speech {
            Speech::Binary => 0x82,
            Speech::Json => 0x81,
        };
        self.push(&masked(first, message))
    }

    /// The next message; control frames are passed over.
    pub(crate) fn message(&mut self) -> io::Result<Vec<u8>> {
        loop {
            let head = self.take(2)?;
            let length = match head[1] {
                126 => self.take(2)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
                127 => self.take(8)?.iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
                length => u64::from(length),
            };
            let payload = self.take(length as usize)?;
            match head[0] {
                0x81 | 0x82 => return Ok(payload),
                0x88 => return Err(io::ErrorKind::ConnectionAborted.into()),
                _ => {}
            }
        }
    }

    /// The next frames in binary.
    pub(crate) fn hear(&mut self) -> io::Result<Vec<Heard>> {
        Ok(frames::heard(&self.message()?))
    }

    /// The next frame of a kind; a goodbye ends the wait.
    pub(crate) fn hear_of(&mut self, kind: u8) -> io::Result<Heard> {
        loop {
            for frame in self.hear()? {
                if frame.kind == kind {
                    return Ok(frame);
                }
                if matches!(frame.kind, frames::GOODBYE | frames::FAILED | frames::REFUSED) {
                    return Err(io::ErrorKind::PermissionDenied.into());
                }
            }
        }
    }

    /// Publishes what was composed, and waits until so many publishes are answered.
    pub(crate) fn publish(&mut self, message: &[u8], mut count: u64) -> io::Result<()> {
        self.say(message)?;
        while count > 0 {
            for frame in self.hear()? {
                match frame.kind {
                    frames::ACKED => count = count.saturating_sub(frame.number(3)),
                    frames::REFUSED | frames::GOODBYE => return Err(io::ErrorKind::PermissionDenied.into()),
                    _ => {}
                }
            }
        }
        Ok(())
    }

    /// Reads and throws away whatever comes, on a thread of its own.
    pub(crate) fn drain(&self) -> io::Result<()> {
        let mut stream = self.stream.try_clone()?;
        stream.set_read_timeout(None)?;
        thread::spawn(move || {
            let mut bytes = vec![0; 1 << 16];
            while matches!(stream.read(&mut bytes), Ok(count) if count > 0) {}
            // Whoever still writes learns of the end.
            let _ = stream.shutdown(std::net::Shutdown::Both);
        });
        Ok(())
    }

    /// Reads so much, or until nothing has come for a while.
    pub(crate) fn swallow(&mut self, mut count: usize) -> io::Result<()> {
        let mut bytes = vec![0; 1 << 16];
        while count > 0 {
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            count = count.saturating_sub(read);
        }
        Ok(())
    }

    /// Closes without a word, with a reset.
    pub(crate) fn reset(self) -> io::Result<()> {
        Socket::from(self.stream).set_linger(Some(Duration::ZERO))
    }

    fn take(&mut self, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = vec![0; 1 << 16];
        while self.unread.len() < count {
            let read = self.stream.read(&mut bytes)?;
            if read == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            self.unread.extend_from_slice(&bytes[..read]);
        }
        let rest = self.unread.split_off(count);
        Ok(std::mem::replace(&mut self.unread, rest))
    }
}

/// Counts these bytes as sent.
pub(crate) fn sent(bytes: &[u8]) {
    SENT.fetch_add(bytes.len() as u64, Ordering::Relaxed);
}

/// A frame whose mask is all zeros.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = frame_head(first, payload.len(), [0; 4]);
    frame.extend(payload);
    frame
}

/// A producer that nobody has used.
pub(crate) fn fresh() -> [u8; 16] {
    (u128::from(unique()) << 64 | u128::from(unique())).to_be_bytes()
}

/// A number that this program has not given before, and that other runs hardly give.
pub(crate) fn unique() -> u64 {
    static COUNT: AtomicU64 = AtomicU64::new(1);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64);
    now.wrapping_mul(0x9e37_79b9_7f4a_7c15).wrapping_add(COUNT.fetch_add(1, Ordering::Relaxed))
}

static CONNECTED: AtomicU64 = AtomicU64::new(0);
static SENT: AtomicU64 = AtomicU64::new(0);
/// A stranger waits so long for anything, and then begins anew.
const PATIENCE: Duration = Duration::from_secs(5);
