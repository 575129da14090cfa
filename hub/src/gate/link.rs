//! A connection that may leave HTTP in the middle of an answer: when the answer's head is written, with all answers before it,
//! the stream is handed to somebody who goes on with the body, and HTTP is over on it.

use std::convert::Infallible;
use std::fmt;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use axum::body::Bytes;
use hyper::body::{Body, Frame};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::{Notify, oneshot};

/// The stream that HTTP is spoken on, until it is handed over.
#[derive(Debug)]
pub struct Link<S> {
    stream: Option<S>,
    handover: Arc<Handover<S>>,
}

/// What requests on a link, and whoever waits for its end, know of it.
pub struct Handover<S> {
    stage: Mutex<Stage<S>>,
    is_done: Notify,
}

enum Stage<S> {
    /// Nobody wants the stream.
    None,
    /// Somebody does: a body was given that goes on elsewhere.
    Asked(oneshot::Sender<S>),
    /// The head was put before what is written: once that is out, the stream is theirs.
    Begun(oneshot::Sender<S>),
}

/// A body whose bytes come from whoever the stream is handed to.
#[derive(Debug)]
pub struct Elsewhere<S>(Arc<Handover<S>>);

impl<S> Link<S> {
    /// A stream, and what is to be known of it.
    pub fn new(stream: S) -> (Self, Arc<Handover<S>>) {
        let handover = Arc::new(Handover { stage: Mutex::new(Stage::None), is_done: Notify::new() });
        (Self { stream: Some(stream), handover: Arc::clone(&handover) }, handover)
    }

    /// The stream, unless it is somebody else's.
    ///
    /// # Errors
    /// It is.
    pub fn into_stream(self) -> io::Result<S> {
        self.stream.ok_or_else(gone)
    }

    /// Hands the stream over if that is due. Whoever drives HTTP is told, and has nothing to drive any more.
    fn hand_over(&mut self) {
        let mut stage = self.handover.lock();
        match std::mem::replace(&mut *stage, Stage::None) {
            Stage::Begun(taker) => {
                // Who does not want it any more lets it be closed.
                let _ = self.stream.take().map(|stream| taker.send(stream));
                self.handover.is_done.notify_one();
            }
            other => *stage = other,
        }
    }
}

impl<S> Handover<S> {
    /// Asks for the stream: it comes when the head of an answer with this body is written, or never.
    pub fn ask(self: &Arc<Self>) -> (Elsewhere<S>, oneshot::Receiver<S>) {
        let (taker, taken) = oneshot::channel();
        *self.lock() = Stage::Asked(taker);
        (Elsewhere(Arc::clone(self)), taken)
    }

    /// Waits until the stream is somebody else's.
    pub async fn done(&self) {
        self.is_done.notified().await;
    }

    fn begin(&self) {
        let mut stage = self.lock();
        *stage = match std::mem::replace(&mut *stage, Stage::None) {
            Stage::Asked(taker) => Stage::Begun(taker),
            other => other,
        };
    }

    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn lock(&self) -> std::sync::MutexGuard<'_, Stage<S>> {
        self.stage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<S> fmt::Debug for Handover<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Handover(..)")
    }
}

impl<S> Body for Elsewhere<S> {
    type Data = Bytes;
    type Error = Infallible;

    /// hyper asks when the head is among what it writes, and not before.
    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        self.0.begin();
        Poll::Pending
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Link<S> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Some(stream) => Pin::new(stream).poll_read(cx, buffer),
            None => Poll::Ready(Err(gone())),
        }
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Link<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Some(stream) => Pin::new(stream).poll_write(cx, bytes),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.get_mut().stream {
            Some(stream) => Pin::new(stream).poll_write_vectored(cx, parts),
            None => Poll::Ready(Err(gone())),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.as_ref().is_some_and(AsyncWrite::is_write_vectored)
    }

    /// hyper flushes when it has written all that it had.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let link = self.get_mut();
        let Some(stream) = &mut link.stream else { return Poll::Ready(Err(gone())) };
        let flushed = Pin::new(stream).poll_flush(cx);
        if matches!(flushed, Poll::Ready(Ok(()))) {
            link.hand_over();
        }
        flushed
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().stream {
            Some(stream) => Pin::new(stream).poll_shutdown(cx),
            None => Poll::Ready(Ok(())),
        }
    }
}

fn gone() -> io::Error {
    io::Error::new(io::ErrorKind::NotConnected, "the stream was handed over")
}
