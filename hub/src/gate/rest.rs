//! The body of a request by HTTP/2 whose answer did not wait for it. What is left is taken in and forgotten, up to a bound: a stream that
//! is ended before its client has said all makes some clients (curl up to 7.88 among them) forget the answer.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use hyper::body::{Body, Frame, Incoming, SizeHint};

/// The body, until it is read or dropped.
#[derive(Debug)]
pub(super) struct Rest(Option<Incoming>);

impl Rest {
    pub(super) fn new(body: Incoming) -> Self {
        Self(Some(body))
    }
}

impl Body for Rest {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = std::task::ready!(Pin::new(&mut *body).poll_frame(cx));
        Poll::Ready(match frame {
            // A client that takes its request back for no reason, or has gone, has not said all of it.
            None if !body.is_end_stream() => Some(Err(io::ErrorKind::UnexpectedEof.into())),
            frame => frame.map(|frame| frame.map_err(io::Error::other)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        if let Some(body) = self.0.take().filter(|body| !body.is_end_stream()) {
            tokio::spawn(tokio::time::timeout(TIME, forget(body)));
        }
    }
}

async fn forget(mut body: Incoming) {
    let mut bytes = 0;
    while let Some(Ok(frame)) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        bytes += frame.data_ref().map_or(0, Bytes::len);
        if bytes > BYTES_MAX {
            return;
        }
    }
}

/// More than the largest message that a hub takes as it comes; who sends more than that has been told so.
const BYTES_MAX: usize = 1 << 20;
const TIME: Duration = Duration::from_secs(2);
