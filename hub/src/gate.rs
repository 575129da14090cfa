//! Where clients come in: TCP connections are accepted, HTTP is answered, and WebSockets are shaken hands with and
//! handed to the reactor. Knows nothing of what is said after the handshake.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hyper::body::Body as _;
use hyper::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tidewire_hub_core::dialect::Dialect;
use tokio::net::TcpStream;

use crate::gate::handshake::{BadHandshake, Handshake};
use crate::gate::limits::Limits;
use crate::gate::origin::Origins;
use crate::reactor::{Newcomer, Reactor};
use crate::report::report;
use crate::seats::{Seat, Seats};

pub mod accept;
pub mod handshake;
pub mod limits;
pub mod origin;

/// The way in.
#[derive(Debug)]
pub struct Gate {
    limits: Limits,
    origins: Origins,
    /// Connections that have a dialect and a shard.
    connections: Arc<Seats>,
    /// Connections that still speak HTTP.
    handshakes: Arc<Seats>,
    draining: AtomicBool,
    reactor: Arc<Reactor>,
}

impl Gate {
    /// An open gate before a reactor.
    pub fn new(limits: Limits, origins: Origins, reactor: Arc<Reactor>) -> Arc<Self> {
        let connections = Seats::new(limits.connections_max, limits.connections_per_address_max);
        let handshakes = Seats::new(limits.handshakes_max, limits.handshakes_per_address_max);
        Arc::new(Self { limits, origins, connections, handshakes, draining: AtomicBool::new(false), reactor })
    }

    /// Lets nobody in any more. Health is still answered, so that load balancers see it.
    pub fn shut(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether nobody is let in any more.
    pub fn is_shut(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// WebSockets open now.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// Connections that speak HTTP now, those in a handshake among them.
    pub fn handshakes(&self) -> usize {
        self.handshakes.count()
    }
}

/// Where clients connect.
pub fn router(gate: Arc<Gate>) -> Router {
    Router::new().route("/v1/ws", any(upgrade)).with_state(gate)
}

/// Answers a WebSocket handshake.
async fn upgrade(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    mut request: Request,
) -> Response {
    let (method, version, headers) = (request.method(), request.version(), request.headers());
    let handshake = match Handshake::read(method, version, headers, &gate.origins) {
        Ok(handshake) => handshake,
        Err(bad) => return refuse(bad),
    };
    // A body would be taken for the first frames.
    if !request.body().is_end_stream() {
        return (StatusCode::BAD_REQUEST, "a WebSocket handshake has no body\n").into_response();
    }
    if gate.is_shut() {
        return come_back_later("the hub is stopping", RETRY_AFTER_DRAIN);
    }
    let seat = match gate.connections.take(peer.ip()) {
        Ok(seat) => seat,
        Err(no_seat) => return come_back_later(&no_seat.to_string(), RETRY_AFTER_FULL),
    };
    let Some(upgrade) = request.extensions_mut().remove::<OnUpgrade>() else {
        return refuse(BadHandshake::NotUpgrade);
    };
    let answer = switching(&handshake);
    tokio::spawn(hand_over(gate, upgrade, handshake.dialect, seat));
    answer
}

/// Waits until the answer is written, takes the socket out of hyper and tokio, and gives it to a shard.
async fn hand_over(gate: Arc<Gate>, upgrade: OnUpgrade, dialect: Dialect, seat: Seat) {
    let patience = Duration::from_millis(gate.limits.handshake_ms);
    let Ok(Ok(upgraded)) = tokio::time::timeout(patience, upgrade).await else { return };
    match take_socket(upgraded) {
        // The bytes that came right behind the handshake are copied: hyper's buffer is 8 KiB or more.
        Ok((stream, received)) => {
            gate.reactor.welcome(Newcomer { stream, received: received.into(), dialect, seat });
        }
        Err(error) => report(format_args!("a socket could not be taken over: {error}")),
    }
}

fn take_socket(upgraded: Upgraded) -> std::io::Result<(std::net::TcpStream, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<TcpStream>>()
        .map_err(|_| std::io::Error::other("an upgraded connection is no TCP stream"))?;
    Ok((parts.io.into_inner().into_std()?, parts.read_buf.to_vec()))
}

/// "101 Switching Protocols". No extension is taken up, so nothing is compressed.
fn switching(handshake: &Handshake) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.version_mut() = Version::HTTP_11;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(handshake.subprotocol()));
    if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn refuse(bad: BadHandshake) -> Response {
    let mut answer = (bad.status(), format!("{bad}\n")).into_response();
    let headers = answer.headers_mut();
    match bad {
        BadHandshake::NotGet => {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // RFC 9110, section 15.5.22: the answer says what to upgrade to.
        BadHandshake::NotUpgrade | BadHandshake::WrongVersion => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        BadHandshake::ForbiddenOrigin | BadHandshake::BadKey | BadHandshake::NoSubprotocol => {}
    }
    answer
}

fn come_back_later(why: &str, retry_after: &'static str) -> Response {
    let headers = [(RETRY_AFTER, retry_after), (CONTENT_TYPE, "text/plain; charset=utf-8")];
    (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{why}\n")).into_response()
}

/// Seconds after which another hub, or this one anew, will be there.
const RETRY_AFTER_DRAIN: &str = "2";
/// Seconds after which a full hub may have room. Clients add their own spread.
const RETRY_AFTER_FULL: &str = "5";
