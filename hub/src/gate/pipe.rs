//! The body of an answer that a shard goes on with, on a connection that has other answers too: the shard writes into one end
//! of a pair of sockets, and what comes out of the other is the body. It waits as long as nobody reads, and keeps next to nothing.

use std::io;
use std::net::TcpStream;
use std::pin::Pin;
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tidewire_hub_core::chunk::{NoChunks, Part, Reader};
use tokio::io::{AsyncRead as _, ReadBuf};

use crate::gate::line::Busy;
use crate::seats::Seat;

/// What comes out.
#[derive(Debug)]
pub(super) struct Pipe {
    socket: tokio::net::TcpStream,
    chunks: Reader,
    is_over: bool,
    /// The pair is two open files, and the shard's seat stands for one.
    _seat: Seat,
    _busy: Busy,
}

impl Pipe {
    /// A pair: the shard's end, and the other.
    ///
    /// # Errors
    /// The system has none.
    #[cfg(unix)]
    pub(super) fn pair(seat: Seat, busy: Busy) -> io::Result<(TcpStream, Self)> {
        use std::os::fd::OwnedFd;
        use std::os::unix::net::UnixStream;

        let (of_shard, other) = UnixStream::pair()?;
        for end in [&of_shard, &other] {
            end.set_nonblocking(true)?;
        }
        // The system would keep much more for each.
        socket2::SockRef::from(&of_shard).set_send_buffer_size(HELD_BYTES)?;
        // All that is done to it (read, write, shut down) the system does to any socket.
        let (of_shard, other) =
            (TcpStream::from(OwnedFd::from(of_shard)), TcpStream::from(OwnedFd::from(other)));
        let socket = tokio::net::TcpStream::from_std(other)?;
        let pipe = Self { socket, chunks: Reader::default(), is_over: false, _seat: seat, _busy: busy };
        Ok((of_shard, pipe))
    }

    /// Where there are no such pairs nobody is told that HTTP/2 is spoken.
    #[cfg(not(unix))]
    pub(super) fn pair(_: Seat, _: Busy) -> io::Result<(TcpStream, Self)> {
        Err(io::ErrorKind::Unsupported.into())
    }

    /// What of some bytes is the body's, together: a frame for each chunk would cost its reader more.
    fn take_apart(&mut self, mut bytes: &[u8]) -> Result<Vec<u8>, NoChunks> {
        let mut body = Vec::new();
        loop {
            match self.chunks.next(&mut bytes)? {
                Part::Payload(payload) => body.extend_from_slice(payload),
                Part::Nothing => return Ok(body),
                Part::End => {
                    self.is_over = true;
                    return Ok(body);
                }
            }
        }
    }
}

impl Body for Pipe {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let pipe = self.get_mut();
        loop {
            if pipe.is_over {
                return Poll::Ready(None);
            }
            let mut bytes = [0; READ_BYTES];
            let mut buffer = ReadBuf::new(&mut bytes);
            std::task::ready!(Pin::new(&mut pipe.socket).poll_read(cx, &mut buffer))?;
            if buffer.filled().is_empty() {
                // What was cut off is not to look like what has ended.
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            let body = pipe.take_apart(buffer.filled()).map_err(io::Error::other)?;
            if !body.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(body.into()))));
            }
        }
    }
}

/// What the system holds between the two ends.
#[cfg(unix)]
const HELD_BYTES: usize = 64 << 10;
/// What is taken of that at once.
const READ_BYTES: usize = 16 << 10;
