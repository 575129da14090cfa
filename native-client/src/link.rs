//! One WebSocket: a task that connects, reads, writes and closes, and knows no frame.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use tidewire_protocol::code::Code;

use crate::address::Address;
use crate::handshake::{self, Failed, Stream};
use crate::status::NoConnection;

/// What comes from a link.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// It is up.
    Opened,
    /// A binary message.
    Received(Bytes),
    /// It is gone, or never was.
    Closed(Closed),
}

/// How a link ended.
#[derive(Debug)]
pub(crate) struct Closed {
    /// The close code.
    pub code: u16,
    /// Why it never was a WebSocket.
    pub why: Option<NoConnection>,
}

/// What goes into a link.
#[derive(Debug)]
enum Outgoing {
    Message(Bytes),
    Close(u16),
}

/// A link's near end. Dropping it closes the link.
#[derive(Debug)]
pub(crate) struct Link {
    events: mpsc::Receiver<LinkEvent>,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    task: JoinHandle<()>,
}

impl Link {
    /// Starts connecting; `unanswered` is kept as long as a connection is accepted and the handshake is not answered.
    pub(crate) fn open(address: Address, unanswered: Arc<AtomicBool>) -> Self {
        let (sender, events) = mpsc::channel(EVENTS_MAX);
        // Bounded by what the client lets be unanswered, so the channel needs no bound of its own.
        let (outgoing, receiver) = mpsc::unbounded_channel();
        let task = tokio::spawn(run(address, unanswered, sender, receiver));
        Self { events, outgoing, task }
    }

    /// The next event. Safe to drop and ask again.
    pub(crate) async fn next(&mut self) -> LinkEvent {
        self.events.recv().await.unwrap_or(LinkEvent::Closed(closed(ABNORMAL)))
    }

    /// Sends one binary message.
    pub(crate) fn send(&self, message: Bytes) {
        // A link that is gone says so by its last event.
        let _ = self.outgoing.send(Outgoing::Message(message));
    }

    /// Closes the link behind what was sent. The task gives what it ends with, should anyone wait for it.
    pub(crate) fn close(self, code: u16) -> JoinHandle<()> {
        let _ = self.outgoing.send(Outgoing::Close(code));
        self.task
    }
}

type Socket<'a> = WebSocketStream<&'a mut Stream>;

async fn run(
    address: Address,
    unanswered: Arc<AtomicBool>,
    events: mpsc::Sender<LinkEvent>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
) {
    let connected = tokio::select! {
        connected = handshake::connect(&address) => connected,
        // The client has given up waiting.
        () = events.closed() => return,
    };
    let end = match connected {
        Ok(stream) => talk(&address, &unanswered, stream, &events, outgoing).await,
        Err(why) => {
            unanswered.store(false, Ordering::Relaxed);
            Closed { code: ABNORMAL, why: Some(why) }
        }
    };
    let _ = events.send(LinkEvent::Closed(end)).await;
}

/// Talks over a connection until it ends.
async fn talk(
    address: &Address,
    unanswered: &AtomicBool,
    stream: TcpStream,
    events: &mpsc::Sender<LinkEvent>,
    outgoing: mpsc::UnboundedReceiver<Outgoing>,
) -> Closed {
    unanswered.store(true, Ordering::Relaxed);
    let secured = tokio::select! {
        secured = handshake::secure(address, stream) => secured,
        () = events.closed() => return closed(ABNORMAL),
    };
    let mut stream = match secured {
        Ok(stream) => stream,
        Err(why) => {
            unanswered.store(false, Ordering::Relaxed);
            return Closed { code: ABNORMAL, why: Some(why) };
        }
    };
    let upgraded = tokio::select! {
        upgraded = handshake::upgrade(address, &mut stream) => upgraded,
        () = events.closed() => return closed(ABNORMAL),
    };
    unanswered.store(false, Ordering::Relaxed);
    let answer = match upgraded {
        Ok(socket) => {
            if events.send(LinkEvent::Opened).await.is_err() {
                return closed(ABNORMAL);
            }
            let (sink, stream) = socket.split();
            let code = tokio::select! {
                code = read(stream, events) => code,
                () = write(sink, outgoing) => ABNORMAL,
                () = abandoned(events) => ABNORMAL,
            };
            return closed(code);
        }
        Err(Failed::Stranger(why)) => {
            return Closed { code: Code::NotSupported.close_code(), why: Some(why) };
        }
        Err(Failed::Broken(why)) => return Closed { code: ABNORMAL, why: Some(why) },
        Err(Failed::Answered(answer)) => answer,
    };
    Closed { code: ABNORMAL, why: Some(handshake::explain(*answer, &mut stream).await) }
}

const fn closed(code: u16) -> Closed {
    Closed { code, why: None }
}

/// Reads until the link ends; gives its close code.
async fn read(
    mut stream: futures_util::stream::SplitStream<Socket<'_>>,
    events: &mpsc::Sender<LinkEvent>,
) -> u16 {
    while let Some(message) = stream.next().await {
        match message {
            Ok(Message::Binary(bytes)) => {
                // Once nobody listens any more, what is still to be sent, a close at least, goes out yet.
                let _ = events.send(LinkEvent::Received(bytes)).await;
            }
            Ok(Message::Close(frame)) => return frame.map_or(ABNORMAL, |frame| frame.code.into()),
            Ok(Message::Text(_)) => return CloseCode::Unsupported.into(),
            Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_)) => {}
            Err(_) => return ABNORMAL,
        }
    }
    ABNORMAL
}

/// Writes what comes until the link is to be closed. What has gathered is written at once.
async fn write(
    mut sink: futures_util::stream::SplitSink<Socket<'_>, Message>,
    mut outgoing: mpsc::UnboundedReceiver<Outgoing>,
) {
    let mut batch = Vec::new();
    while outgoing.recv_many(&mut batch, BATCH_MAX).await > 0 {
        for message in batch.drain(..) {
            let written = match message {
                Outgoing::Message(bytes) => sink.feed(Message::Binary(bytes)).await,
                Outgoing::Close(code) => {
                    let frame = CloseFrame { code: code.into(), reason: "".into() };
                    let _ = sink.send(Message::Close(Some(frame))).await;
                    // A socket that is let go with something unread in it takes back what was just written.
                    return std::future::pending().await;
                }
            };
            if written.is_err() {
                // The reading side knows why.
                return std::future::pending().await;
            }
        }
        if sink.flush().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// Nobody listens any more, and what was still to be sent had its time: a hub that does not read must not keep the task
/// for ever.
async fn abandoned(events: &mpsc::Sender<LinkEvent>) {
    events.closed().await;
    tokio::time::sleep(CLOSE_TIME_MAX).await;
}

/// The close code of a link that ended without one (RFC 6455, 7.1.5).
const ABNORMAL: u16 = 1006;
/// Messages that wait between socket and client: enough to keep both busy.
const EVENTS_MAX: usize = 64;
/// Messages written between two flushes.
const BATCH_MAX: usize = 256;
/// What a close may take, with all that is sent before it.
const CLOSE_TIME_MAX: Duration = Duration::from_secs(2);
