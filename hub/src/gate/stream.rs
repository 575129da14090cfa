//! What HTTP is spoken on: a TCP connection, or TLS over one.

use std::io;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use rustls::{ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::gate::proxy_header::{Unasked, begins};
use crate::gate::refusals::{Reason, Refusals};
use crate::tls::{HTTP2, proofs};

/// One of the two.
#[derive(Debug)]
pub enum Stream {
    /// Without TLS.
    Plain(Plain),
    /// With it.
    Tls(Box<Tls>),
}

/// A connection with TLS.
#[derive(Debug)]
pub struct Tls {
    stream: TlsStream<TcpStream>,
    /// Bytes that were read since somebody else had a turn.
    taken: usize,
}

/// A connection without TLS.
#[derive(Debug)]
pub struct Plain {
    stream: TcpStream,
    /// Where to count a PROXY header from its peer, until something was read.
    unread: Option<(Arc<Refusals>, IpAddr)>,
}

/// Why there is no TLS on a connection.
#[derive(Debug)]
pub(super) enum NoTls {
    /// Its client speaks HTTP without TLS.
    Plain(TcpStream),
    /// It begins with a PROXY header.
    Unasked,
    /// Its client has gone without a word.
    Gone,
    /// Its client wanted to see a proof that the hub is called as it says, and has.
    Proved,
    /// The handshake has failed.
    Failed(io::Error),
}

impl Plain {
    /// Fails if the first that is read of it is a PROXY header: whatever is said behind one is not its sender's own.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let known = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        if read.is_ready()
            && let Some((refusals, peer)) = self.unread.take()
            && begins(&buffer.filled()[known..])
        {
            buffer.set_filled(known);
            refusals.refuse(Reason::ProxyHeader, Some(peer), Unasked);
            return Poll::Ready(Err(io::ErrorKind::InvalidData.into()));
        }
        read
    }
}

impl Tls {
    /// Lets others have a turn now and then: frames of HTTP/2 are small, and are all taken that there are.
    fn poll_read(&mut self, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        if self.taken >= TURN_BYTES {
            self.taken = 0;
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let known = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(cx, buffer);
        self.taken = if read.is_ready() { self.taken + buffer.filled().len() - known } else { 0 };
        read
    }
}

impl Stream {
    /// A connection of a peer on which HTTP is spoken as it is.
    pub(super) fn plain(stream: TcpStream, peer: IpAddr, refusals: &Arc<Refusals>) -> Self {
        Self::Plain(Plain { stream, unread: Some((Arc::clone(refusals), peer)) })
    }

    /// Shakes hands on a connection on which nothing was said.
    pub(super) async fn secure(stream: TcpStream, config: Arc<ServerConfig>) -> Result<Self, NoTls> {
        let mut first = [0; 16];
        match stream.peek(&mut first).await {
            Ok(0) | Err(_) => return Err(NoTls::Gone),
            Ok(count) if begins(&first[..count]) => return Err(NoTls::Unasked),
            // Methods of HTTP begin with a letter, no record of TLS does.
            Ok(_) if first[0].is_ascii_alphabetic() => return Err(NoTls::Plain(stream)),
            Ok(_) => {}
        }
        match TlsAcceptor::from(config).accept(stream).await {
            Ok(stream) if stream.get_ref().1.alpn_protocol() == Some(proofs::PROTOCOL) => Err(NoTls::Proved),
            Ok(stream) => Ok(Self::Tls(Box::new(Tls { stream, taken: 0 }))),
            Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(NoTls::Failed(error)),
            Err(_) => Err(NoTls::Gone),
        }
    }

    /// Whether its client has chosen HTTP/2.
    pub(super) fn is_http2(&self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(tls) => tls.stream.get_ref().1.alpn_protocol() == Some(HTTP2),
        }
    }

    /// The socket, out of tokio's hands, and what belongs to it of TLS.
    pub(super) fn into_parts(self) -> io::Result<(std::net::TcpStream, Option<Box<ServerConnection>>)> {
        match self {
            Self::Plain(plain) => Ok((plain.stream.into_std()?, None)),
            Self::Tls(tls) => {
                let (stream, session) = tls.stream.into_inner();
                Ok((stream.into_std()?, Some(Box::new(session))))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => plain.poll_read(cx, buffer),
            Self::Tls(tls) => tls.poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_write(cx, bytes),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_flush(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_shutdown(cx),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_shutdown(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(plain) => Pin::new(&mut plain.stream).poll_write_vectored(cx, parts),
            Self::Tls(tls) => Pin::new(&mut tls.stream).poll_write_vectored(cx, parts),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(plain) => plain.stream.is_write_vectored(),
            Self::Tls(tls) => tls.stream.is_write_vectored(),
        }
    }
}

/// Some thousand of the smallest frames.
const TURN_BYTES: usize = 32 << 10;
