//! HTTP/2, which clients choose where the hub speaks TLS: many requests on one connection, event streams among them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

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
struct Client {
    requests: SendRequest<Bytes>,
    host: String,
    /// Ends when it does.
    over: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

impl Client {
    async fn connect(secured: &Secured) -> Self {
        Self::with(secured, Self::builder().initial_window_size(1 << 20)).await
    }

    /// It may leave events unread for a while.
    fn builder() -> client::Builder {
        let mut builder = client::Builder::new();
        builder.data_frame_budget(1 << 30);
        builder
    }

    async fn with(secured: &Secured, builder: &client::Builder) -> Self {
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
    async fn begin(&mut self, method: &str, path: &str, body: Option<&str>) -> ResponseFuture {
        let request = Request::builder().method(method).uri(format!("https://{}{path}", self.host));
        let request = request.header("content-type", "application/json").body(()).unwrap();
        self.requests = self.requests.clone().ready().await.unwrap();
        let (answer, mut stream) = self.requests.send_request(request, body.is_none()).unwrap();
        if let Some(body) = body {
            stream.send_data(Bytes::copy_from_slice(body.as_bytes()), true).unwrap();
        }
        answer
    }

    async fn ask(&mut self, method: &str, path: &str, body: Option<&str>) -> (StatusCode, Value) {
        let answer = self.begin(method, path, body).await.await.unwrap();
        let (status, text) = (answer.status(), whole(answer).await);
        (status, serde_json::from_slice(&text).unwrap_or_default())
    }

    async fn publish(&mut self, topic: &str, number: usize) -> Value {
        let (status, told) =
            self.ask("POST", &format!("/v1/topics/{topic}/messages"), Some(&number.to_string())).await;
        assert_eq!(status, 200, "{told}");
        told["offset"].clone()
    }

    async fn listen(&mut self, query: &str) -> Listener {
        let answer = self.begin("GET", &format!("/v1/events?{query}"), None).await.await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Listener { stream: answer.into_body(), text: String::new() }
    }
}

async fn whole(mut answer: Response<RecvStream>) -> Vec<u8> {
    let mut bytes = Vec::new();
    while let Some(some) = answer.body_mut().data().await {
        let some = some.unwrap();
        answer.body_mut().flow_control().release_capacity(some.len()).unwrap();
        bytes.extend_from_slice(&some);
    }
    bytes
}

/// An event stream.
struct Listener {
    stream: RecvStream,
    text: String,
}

impl Listener {
    /// The next event, as its lines; none if the stream has ended.
    async fn event(&mut self) -> Result<Option<String>, h2::Error> {
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
    async fn message(&mut self) -> u64 {
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

    async fn subscribed(&mut self) {
        while !self.event().await.unwrap().unwrap().contains("event: subscribed") {}
    }
}

fn run(work: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { timeout(4 * PATIENCE, work).await.unwrap() });
}

#[test]
fn many_requests_share_a_connection_with_streams_of_events() {
    let secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        let (mut one, mut pattern) =
            (client.listen("topic=t.1").await, client.listen("topic=t.*&topic=u").await);
        one.subscribed().await;
        pattern.subscribed().await;
        pattern.subscribed().await;
        // Side by side, each with an answer of its own.
        let mut begun = Vec::new();
        for number in 1..=200_usize {
            let path = format!("/v1/topics/t.{}/messages", number % 2);
            begun.push(client.begin("POST", &path, Some(&number.to_string())).await);
        }
        let mut offsets = Vec::new();
        for answer in begun {
            let answer = answer.await.unwrap();
            assert_eq!(answer.status(), 200);
            let told: Value = serde_json::from_slice(&whole(answer).await).unwrap();
            offsets.push(told["offset"].as_u64().unwrap());
        }
        offsets.sort_unstable();
        assert_eq!(offsets, (1..=200).collect::<Vec<_>>());
        let mut odd = Vec::new();
        for _ in 0..100 {
            odd.push(one.message().await);
        }
        odd.sort_unstable();
        assert_eq!(odd, (0..100).map(|at| 2 * at + 1).collect::<Vec<_>>());
        let mut all = Vec::new();
        for _ in 0..200 {
            all.push(pattern.message().await);
        }
        all.sort_unstable();
        assert_eq!(all, (1..=200).collect::<Vec<_>>());
        let (status, page) = client.ask("GET", "/v1/topics/t.1/messages?limit=1000", None).await;
        assert_eq!((status.as_u16(), page["messages"].as_array().unwrap().len()), (200, 100));
        let (status, _) = client.ask("GET", "/v1/ws", None).await;
        assert_ne!(status, 200, "no WebSocket begins here");
    });
}

#[test]
fn a_stream_that_ends_ends_alone_and_gives_back_what_it_had() {
    let secured = Secured::start();
    let clients = || secured.hub.metric("tidewire_clients");
    run(async {
        let mut client = Client::connect(&secured).await;
        client.publish("t", 0).await;
        assert_eq!(clients(), 1);
        let mut streams = Vec::new();
        for _ in 0..10 {
            let mut stream = client.listen("topic=t").await;
            stream.subscribed().await;
            streams.push(stream);
        }
        // A pair of sockets each.
        assert_eq!((clients(), secured.hub.metric("tidewire_connections")), (21, 10));
        streams.truncate(1);
        // What the client says has to leave it meanwhile.
        let all_gone = async {
            while clients() != 3 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, all_gone).await.unwrap();
        assert_eq!((clients(), secured.hub.metric("tidewire_connections")), (3, 1));
        client.publish("t", 7).await;
        assert_eq!(streams[0].message().await, 7);
    });
}

#[test]
fn a_stream_that_is_not_read_holds_up_no_other_and_is_told_its_gap() {
    let secured = Secured::start();
    run(async {
        // What one stream may be sent unread is little, what all of the connection may is much.
        let mut builder = Client::builder();
        builder.initial_window_size(16 << 10).initial_connection_window_size(64 << 20);
        let mut client = Client::with(&secured, &builder).await;
        let (mut stopped, mut reader) = (client.listen("topic=t").await, client.listen("topic=t").await);
        stopped.subscribed().await;
        reader.subscribed().await;
        let memory = secured.hub.memory();
        let mut publisher = Client::connect(&secured).await;
        let text = "x".repeat(60_000);
        // More than a topic keeps.
        for number in 0..320 {
            let body = format!("[{number},\"{text}\"]");
            let (status, _) = publisher.ask("POST", "/v1/topics/t/messages", Some(&body)).await;
            assert_eq!(status, 200);
            let event = reader.event().await.unwrap().unwrap();
            assert!(event.contains(&format!("[{number},")), "{number}: {event:.100}");
        }
        let grown = secured.hub.memory().saturating_sub(memory);
        assert!(grown < 96 << 20, "{grown} bytes more");
        let mut gaps = 0;
        while gaps == 0 {
            gaps += usize::from(stopped.event().await.unwrap().unwrap().contains("event: gap"));
        }
    });
}

#[test]
fn a_hub_that_stops_ends_streams_as_streams_end_and_then_the_connection() {
    let mut secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        let mut stream = client.listen("topic=t").await;
        stream.subscribed().await;
        secured.hub.signal("TERM");
        while stream.event().await.unwrap().is_some() {}
        // Whose last word comes last is open.
        let _ = timeout(PATIENCE, client.over).await.unwrap().unwrap();
    });
    assert!(secured.hub.wait().success());
}

#[test]
fn requests_that_are_taken_back_at_once_end_the_connection_and_disturb_nobody() {
    let secured = Secured::start();
    run(async {
        let mut neighbour = Client::connect(&secured).await;
        let mut stream = neighbour.listen("topic=t").await;
        stream.subscribed().await;
        let mut client = Client::connect(&secured).await;
        let mut is_over = false;
        for _ in 0..20_000 {
            let Ok(mut ready) = client.requests.clone().ready().await else {
                is_over = true;
                break;
            };
            let request = Request::builder().uri(format!("https://{}/v1/topics", client.host));
            let Ok((_, mut begun)) = ready.send_request(request.body(()).unwrap(), true) else {
                is_over = true;
                break;
            };
            begun.send_reset(h2::Reason::CANCEL);
            client.requests = ready;
        }
        let number = neighbour.publish("t", 1).await;
        assert_eq!((number, stream.message().await), (Value::from(1), 1));
        // Either it was let go, or each was answered for what it is: a request that was looked at.
        if is_over {
            let over = timeout(PATIENCE, client.over).await.unwrap().unwrap();
            let error = over.unwrap_err();
            assert_eq!(error.reason(), Some(h2::Reason::ENHANCE_YOUR_CALM), "{error}");
        }
    });
}

#[test]
fn connections_without_a_request_end_and_those_with_a_stream_do_not() {
    let secured = Secured::start_with("[limits]\nhttp_ms = 1000\nhandshake_ms = 1000\nheartbeat_ms = 1000\n");
    run(async {
        let (mut idle, mut busy) = (Client::connect(&secured).await, Client::connect(&secured).await);
        idle.publish("t", 0).await;
        let mut stream = busy.listen("topic=t").await;
        stream.subscribed().await;
        let over = timeout(PATIENCE, idle.over).await.unwrap().unwrap();
        assert!(
            over.is_ok()
                || over
                    .unwrap_err()
                    .get_io()
                    .is_some_and(|error| error.kind() == io::ErrorKind::UnexpectedEof)
        );
        let mut other = Client::connect(&secured).await;
        other.publish("t", 5).await;
        assert_eq!(stream.message().await, 5);
        drop(stream);
        timeout(PATIENCE, busy.over).await.unwrap().unwrap().ok();
    });
}

#[test]
fn a_request_that_trickles_is_over_in_its_own_time_whatever_else_the_connection_does() {
    let secured = Secured::start_with("[limits]\nhttp_ms = 1000\nhandshake_ms = 1000\n");
    run(async {
        let mut client = Client::connect(&secured).await;
        let mut stream = client.listen("topic=t").await;
        stream.subscribed().await;
        let request = Request::builder().method("POST");
        let request = request.uri(format!("https://{}/v1/topics/t/messages", client.host)).body(()).unwrap();
        let (answer, mut body) = client.requests.send_request(request, false).unwrap();
        let mut answer = Box::pin(answer);
        let told = loop {
            let _ = body.send_data(Bytes::from_static(b"x"), false);
            match timeout(Duration::from_millis(100), &mut answer).await {
                Ok(answered) => break answered.unwrap().status(),
                // Others keep the connection alive.
                Err(_) => client.publish("u", 0).await,
            };
        };
        assert_eq!(told, 408);
        // What waits for what it asked for may do so.
        let waits = client.begin("GET", "/v1/topics/v/messages?from=latest&wait=3s", None).await;
        let answer = waits.await.unwrap();
        assert_eq!(answer.status(), 200);
        client.publish("t", 3).await;
        assert_eq!(stream.message().await, 3);
    });
}

#[test]
fn whoever_is_refused_before_all_was_said_hears_why_and_is_not_cut_off() {
    let secured = Secured::start();
    run(async {
        let mut client = Client::connect(&secured).await;
        for bytes in [2, 60_000, 300_000] {
            let request = Request::builder()
                .method("POST")
                .uri(format!("https://{}/v1/topics/t/messages", client.host));
            let request =
                request.header("content-type", "application/x-www-form-urlencoded").body(()).unwrap();
            client.requests = client.requests.clone().ready().await.unwrap();
            let (answer, mut body) = client.requests.send_request(request, false).unwrap();
            let answer = answer.await.unwrap();
            assert!([413, 415].contains(&answer.status().as_u16()));
            assert!(String::from_utf8(whole(answer).await).unwrap().contains("\"detail\":"));
            // What is said behind the answer is taken, as far as it is not too much.
            body.reserve_capacity(bytes);
            let mut left = bytes;
            while left > 0 {
                let capacity =
                    std::future::poll_fn(|cx| body.poll_capacity(cx)).await.unwrap().unwrap().min(left);
                left -= capacity;
                body.send_data(Bytes::from(vec![b'x'; capacity]), left == 0).unwrap();
            }
            let ended =
                timeout(Duration::from_millis(200), std::future::poll_fn(|cx| body.poll_reset(cx))).await;
            assert!(ended.is_err(), "{bytes}: {ended:?}");
        }
    });
}
