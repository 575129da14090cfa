//! A client that speaks HTTP/2 by TLS, and what it hears of events.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{ResponseFuture, SendRequest};
use h2::{RecvStream, client};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::tungstenite::http::{Request, Response, StatusCode};

use crate::support::PATIENCE;
use crate::support::secured::Secured;

/// A connection.
pub(crate) struct Client {
    pub(crate) requests: SendRequest<Bytes>,
    pub(crate) host: String,
    /// Ends when it does.
    pub(crate) over: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    pub(crate) async fn connect(secured: &Secured) -> Self {
        Self::with(secured, Self::builder().initial_window_size(1 << 20)).await
    }

    /// It may leave events unread for a while.
    pub(crate) fn builder() -> client::Builder {
        let mut builder = client::Builder::new();
        builder.data_frame_budget(1 << 30);
        builder
    }

    pub(crate) async fn with(secured: &Secured, builder: &client::Builder) -> Self {
        let mut config = (*secured.authority.trusting()).clone();
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        let address: SocketAddr = secured.address();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::from(address.ip());
        let stream = TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
        let (requests, connection) = builder.handshake(stream).await.unwrap();
        Self { requests, host: address.to_string(), over: tokio::spawn(connection) }
    }

    /// Sends a request, once there is room for another.
    pub(crate) async fn begin(&mut self, method: &str, path: &str, body: Option<&str>) -> ResponseFuture {
        let request = Request::builder().method(method).uri(format!("https://{}{path}", self.host));
        let request = request.header("content-type", "application/json").body(()).unwrap();
        self.requests = self.requests.clone().ready().await.unwrap();
        let (answer, mut stream) = self.requests.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        answer
    }

    pub(crate) async fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> (StatusCode, Value) {
        let answer = self.begin(method, path, body).await.await.unwrap();
        let (status, text) = (answer.status(), whole(answer).await);
        (status, serde_json::from_slice(&text).unwrap_or_default())
    }

    pub(crate) async fn publish(&mut self, topic: &str, number: usize) -> Value {
        let (status, told) =
            self.ask("POST", &format!("/v1/topics/{topic}/messages"), Some(&number.to_string())).await;
        assert_eq!(status, 200, "{told}");
        told["offset"].clone()
    }

    pub(crate) async fn listen(&mut self, query: &str) -> Listener {
        let answer = self.begin("GET", &format!("/v1/events?{query}"), None).await.await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Listener { stream: answer.into_body(), text: String::new() }
    }
}

pub(crate) async fn whole(mut answer: Response<RecvStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(some) = answer.body_mut().data().await {
        let some = some.unwrap();
        answer.body_mut().flow_control().release_capacity(some.len()).unwrap();
        bytes.extend_from_slice(&some);
    }
    bytes
}

/// An event stream.
pub(crate) struct Listener {
    stream: RecvStream,
    text: String,
}

impl Listener {
    /// The next event, as its lines; none if the stream has ended.
    pub(crate) async fn event(&mut self) -> Result<Option<String>, h2::Error> {
        loop {
            if let Some((event, rest)) = self.text.split_once("\n\n") {
                let (event, rest) = (event.to_owned(), rest.to_owned());
                self.text = rest;
                // A sign of life.
                if event == ":" {
                    continue;
                }
                return Ok(Some(event));
            }
            match timeout(PATIENCE, self.stream.data()).await.unwrap() {
                Some(some) => {
                    let some = some?;
                    self.stream.flow_control().release_capacity(some.len()).unwrap();
                    self.text.push_str(std::str::from_utf8(&some).unwrap());
                }
                None => return Ok(None),
            }
        }
    }

    /// The number of the next message.
    pub(crate) async fn message(&mut self) -> u64 {
        loop {
            let event = self.event().await.unwrap().unwrap();
            if event.contains("event: ") {
                continue;
            }
            if let Some(data) = event.lines().find_map(|line| line.strip_prefix("data: ")) {
                return serde_json::from_str::<Value>(data).unwrap()["data"].as_u64().unwrap();
            }
        }
    }

    pub(crate) async fn subscribed(&mut self) {
        while !self.event().await.unwrap().unwrap().contains("event: subscribed") {}
    }
}

pub(crate) fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(4 * PATIENCE, work).await.unwrap() });
}
