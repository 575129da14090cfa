//! The far end of a client's link: a WebSocket server whose every frame the test writes.

use std::collections::VecDeque;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use tidewire_protocol::SUBPROTOCOL_BINARY;
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{ClientFrame, Terms};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Acked, HubFrame, Opened, Welcome};
use tidewire_protocol::number::{Epoch, Handle, Offset, Seq};

pub(crate) const EPOCH: Epoch = Epoch(7);

/// A listening hub of no wits.
pub(crate) struct FarEnd {
    listener: TcpListener,
    pub(crate) url: String,
}

/// One link to a client.
pub(crate) struct FarLink {
    socket: WebSocketStream<TcpStream>,
    frames: VecDeque<Frame>,
}

/// What a client said, as far as the tests care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Frame {
    Hello {
        token: String,
    },
    Open {
        handle: u64,
        topic: String,
        lowest: u64,
    },
    Publish {
        handle: u64,
        seq: u64,
        payload: Vec<u8>,
    },
    /// One that has more than a payload, or terms.
    Message {
        seq: u64,
        attributes: Attributes<'static>,
        terms: Terms,
    },
    Send {
        handle: u64,
        expires_ms: u64,
        payload: Vec<u8>,
    },
    Ask {
        request: u64,
    },
    Subscribe {
        request: u64,
        name: String,
    },
    History {
        request: u64,
    },
    Unsubscribe {
        tail: u64,
    },
    Other,
}

impl FarEnd {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        Self { listener, url }
    }

    /// The next link, not signed in yet.
    pub(crate) async fn accept(&self, subprotocol: Option<&'static str>) -> FarLink {
        let (stream, _) = in_time(self.listener.accept()).await.unwrap();
        #[allow(clippy::result_large_err)] // The callback's type is tungstenite's.
        let answer = |request: &Request, mut response: Response| -> Result<Response, ErrorResponse> {
            assert_eq!(request.uri().path(), "/v1/ws");
            assert_eq!(request.headers()["sec-websocket-protocol"], SUBPROTOCOL_BINARY);
            if let Some(subprotocol) = subprotocol {
                let value = HeaderValue::from_static(subprotocol);
                response.headers_mut().insert("sec-websocket-protocol", value);
            }
            Ok(response)
        };
        let socket = in_time(tokio_tungstenite::accept_hdr_async(stream, answer)).await.unwrap();
        FarLink { socket, frames: VecDeque::new() }
    }

    /// The next link, welcomed.
    pub(crate) async fn welcome(&self) -> FarLink {
        self.welcome_with(feature::BEFORE).await
    }

    /// The next link, welcomed by a hub with these features.
    pub(crate) async fn welcome_with(&self, features: u64) -> FarLink {
        let mut link = self.accept(Some(SUBPROTOCOL_BINARY)).await;
        assert!(matches!(link.next().await, Frame::Hello { .. }));
        let welcome = Welcome { features, heartbeat_ms: 10_000, in_flight_max: 1_000, ..Welcome::default() };
        link.say(HubFrame::Welcome(welcome)).await;
        link
    }
}

impl FarLink {
    /// The next frame of the client.
    pub(crate) async fn next(&mut self) -> Frame {
        while self.frames.is_empty() {
            let message = in_time(self.socket.next()).await.unwrap().unwrap();
            let Message::Binary(bytes) = message else { panic!("{message:?}") };
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                self.frames.push_back(frame(&ClientFrame::take(&mut rest).unwrap().unwrap()));
            }
        }
        self.frames.pop_front().unwrap()
    }

    pub(crate) async fn say(&mut self, frame: HubFrame<'_>) {
        let mut bytes = Vec::new();
        frame.put(&mut bytes);
        in_time(self.socket.send(Message::Binary(bytes.into()))).await.unwrap();
    }

    /// Waits for `open` and answers it; gives the handle.
    pub(crate) async fn opened(&mut self, topic: &str, window_new: bool) -> u64 {
        let open = self.next().await;
        let Frame::Open { handle, topic: asked, lowest } = open else { panic!("{open:?}") };
        assert_eq!(asked, topic);
        self.say(HubFrame::Opened(Opened { handle: Handle(handle), window_new, next: Seq(lowest) })).await;
        handle
    }

    pub(crate) async fn ack(&mut self, handle: u64, seq: u64, count: u64) {
        self.say(HubFrame::Acked(Acked {
            handle: Handle(handle),
            seq: Seq(seq),
            count,
            epoch: EPOCH,
            offset: Offset(seq),
            ..Acked::default()
        }))
        .await;
    }

    pub(crate) async fn close(mut self, code: u16) {
        let frame = CloseFrame { code: code.into(), reason: "".into() };
        in_time(self.socket.close(Some(frame))).await.unwrap();
    }

    /// Waits for the client to close; gives its close code.
    pub(crate) async fn closed(mut self) -> u16 {
        loop {
            if let Message::Close(frame) = in_time(self.socket.next()).await.unwrap().unwrap() {
                return frame.unwrap().code.into();
            }
        }
    }
}

fn frame(frame: &ClientFrame<'_>) -> Frame {
    match frame {
        ClientFrame::Hello(f) => Frame::Hello { token: f.token.clone().into_owned() },
        ClientFrame::Open(f) => {
            Frame::Open { handle: f.handle.0, topic: f.topic.clone().into_owned(), lowest: f.lowest.0 }
        }
        ClientFrame::Publish(f) if !f.attributes.is_empty() || f.terms != Terms::default() => {
            let attributes = f.attributes.clone().into_owned();
            Frame::Message { seq: f.seq.0, attributes, terms: f.terms }
        }
        ClientFrame::Publish(f) => {
            Frame::Publish { handle: f.handle.0, seq: f.seq.0, payload: f.payload.to_vec() }
        }
        ClientFrame::Subscribe(f) => {
            Frame::Subscribe { request: f.request.0, name: f.name.clone().into_owned() }
        }
        ClientFrame::History(f) => Frame::History { request: f.request.0 },
        ClientFrame::Unsubscribe(f) => Frame::Unsubscribe { tail: f.tail.0 },
        ClientFrame::Send(f) => {
            Frame::Send { handle: f.handle.0, expires_ms: f.expires_ms, payload: f.payload.to_vec() }
        }
        ClientFrame::Heartbeat(f) if f.request.0 > 0 => Frame::Ask { request: f.request.0 },
        ClientFrame::Attach(_)
        | ClientFrame::Detach(_)
        | ClientFrame::Shut(_)
        | ClientFrame::SignIn(_)
        | ClientFrame::Batch(_)
        | ClientFrame::Heartbeat(_) => Frame::Other,
    }
}

/// What takes longer than this has failed.
pub(crate) async fn in_time<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), what).await.expect("in time")
}
