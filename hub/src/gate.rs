//! Where clients come in: TCP connections are accepted, HTTP is answered, and WebSockets are shaken hands with and
//! handed to the reactor, as are answers that go on. Knows nothing of what is said after the handshake.

use std::fmt::Display;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{ALLOW, CONNECTION, CONTENT_TYPE, ORIGIN, RETRY_AFTER, UPGRADE};
use axum::http::{HeaderValue, StatusCode, Version};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use axum::routing::any;
use hyper::body::Body as _;
use hyper::header::{SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use rustls::ServerConnection;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::names::producers::Arrival;
use tidewire_protocol::code::Code;
use tracing::{debug, warn};

use crate::gate::door::Door;
use crate::gate::handshake::{BadHandshake, Handshake, words};
use crate::gate::limits::Limits;
use crate::gate::line::Line;
use crate::gate::link::Link;
use crate::gate::origin::{Origins, well_formed};
use crate::gate::proxies::Peer;
use crate::gate::refusals::Reason;
use crate::gate::stream::Stream;
use crate::reactor::{Newcomer, Reactor, Role};
use crate::seats::{NoSeat, Seat, Seats, Shown, account_of};

pub mod accept;

pub mod speaking;

pub mod going_on;

mod pipe;

mod rest;

pub mod link;

pub mod listener;

#[cfg_attr(not(target_os = "linux"), path = "gate/no_activation.rs")]
pub mod activation;

#[cfg(unix)]
mod socket_file;

mod welcome;

pub mod door;

pub mod line;

pub mod handshake;

pub mod open_files;

pub mod limits;

pub mod origin;

pub mod proxies;

pub mod stream;

mod proxy_header;

pub mod refusals;

/// The way in.
#[derive(Debug)]
pub struct Gate {
    door: Arc<Door>,
    origins: RwLock<Arc<Origins>>,
    /// Those who are in: with a shard, or with requests to be answered here.
    connections: Arc<Seats>,
    reactor: Arc<Reactor>,
}

impl Gate {
    /// An open gate before a reactor, behind a door.
    pub fn new(door: Arc<Door>, origins: Origins, reactor: Arc<Reactor>) -> Arc<Self> {
        let limits = door.limits();
        let origins = RwLock::new(Arc::new(origins));
        let connections = Seats::new(limits.connections_max, limits.connections_per_address_max);
        Arc::new(Self { door, origins, connections, reactor })
    }

    /// Lets nobody in any more. Health is still answered, so that load balancers see it.
    pub fn shut(&self) {
        self.door.close();
    }

    /// Notes that somebody is not let in.
    pub fn refuse(&self, reason: Reason, client: IpAddr, why: impl Display) {
        self.door.refusals.refuse(reason, Some(client), why);
    }

    /// Whether nobody is let in any more.
    pub fn is_shut(&self) -> bool {
        self.door.is_closed()
    }

    /// Those that are in: what shards have, and connections that use the HTTP API.
    pub fn connections(&self) -> usize {
        self.connections.count()
    }

    /// The threads that it gives sockets to.
    pub fn reactor(&self) -> &Arc<Reactor> {
        &self.reactor
    }

    /// Which web pages may come.
    pub fn origins(&self) -> Arc<Origins> {
        Arc::clone(&self.origins.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// From now on others may come, and other bounds hold for whoever comes. Who is in stays.
    pub fn change(&self, origins: Origins, limits: Limits) {
        self.connections.change(limits.connections_max, limits.connections_per_address_max);
        self.door.change(limits);
        *self.origins.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(origins);
    }

    /// A seat for somebody who stays.
    ///
    /// # Errors
    /// [`NotNow`] says why there is none.
    fn admit(&self, client: IpAddr) -> Result<Seat, NotNow> {
        self.admit_from(Peer::client(client), client)
    }

    /// The same, of a client whose requests a peer may bring with those of others: many stand behind a proxy that is
    /// believed, and share its connections.
    ///
    /// # Errors
    /// [`NotNow`] says why there is none.
    pub fn admit_from(&self, peer: Peer, client: IpAddr) -> Result<Seat, NotNow> {
        if self.is_shut() {
            self.refuse(Reason::Draining, client, STOPPING);
            let (code, why) = (Code::Draining, STOPPING.into());
            return Err(NotNow { code, why, retry_after: RETRY_AFTER_DRAIN });
        }
        let seat = if peer.brings(client) {
            self.connections.take_of_many(peer.address)
        } else {
            self.connections.take(client)
        };
        seat.map_err(|no_seat| {
            let remedy = remedy(no_seat, &self.door.limits());
            self.refuse(full(no_seat), client, format_args!("{no_seat}; {remedy}"));
            no_seat.into()
        })
    }

    /// The door that it stands behind.
    pub fn door(&self) -> &Arc<Door> {
        &self.door
    }
}

/// Nobody is let in for now.
#[derive(Debug, thiserror::Error)]
#[error("{why}")]
pub struct NotNow {
    /// What programs are told.
    pub code: Code,
    /// Why.
    pub why: String,
    /// After how many seconds somebody may be.
    pub retry_after: &'static str,
}

impl From<NoSeat> for NotNow {
    fn from(no_seat: NoSeat) -> Self {
        Self { code: Code::Overloaded, why: no_seat.to_string(), retry_after: RETRY_AFTER_FULL }
    }
}

/// Where clients connect.
pub fn router(gate: Arc<Gate>) -> Router {
    Router::new().route(PATH, any(upgrade)).with_state(gate)
}

/// Answers a WebSocket handshake.
async fn upgrade(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    mut request: Request,
) -> Response {
    let client = gate.door.proxies.client_of(peer, request.headers());
    let (handshake, upgrade) = match read(&gate, &mut request) {
        Ok(read) => read,
        Err(bad) => {
            let origin = request.headers().get(ORIGIN).and_then(|origin| well_formed(origin.as_bytes()));
            match origin {
                Some(origin) => gate.refuse(bad.reason(), client, format_args!("{bad} (it is {origin})")),
                None => gate.refuse(bad.reason(), client, bad),
            }
            return refuse(bad);
        }
    };
    let line = request.extensions().get::<Arc<Line>>();
    let seat = line.filter(|_| !gate.is_shut()).and_then(|line| line.leave(account_of(client)));
    let seat = match seat.map_or_else(|| gate.admit(client), Ok) {
        Ok(seat) => seat,
        Err(NotNow { why, retry_after, .. }) => return come_back_later(&why, retry_after),
    };
    let answer = switching(&handshake);
    debug!(target: "gate", "{} connects and speaks {}", Shown(client), handshake.subprotocol);
    let arrival = gate.reactor.topics().arrive();
    tokio::spawn(hand_over(gate, upgrade, (handshake.dialect, seat, arrival)));
    answer
}

fn read(gate: &Gate, request: &mut Request) -> Result<(Handshake, OnUpgrade), BadHandshake> {
    let (method, version, headers) = (request.method(), request.version(), request.headers());
    let handshake = Handshake::read(method, version, headers, &gate.origins())?;
    if !request.body().is_end_stream() {
        return Err(BadHandshake::HasBody);
    }
    let upgrade = request.extensions_mut().remove::<OnUpgrade>();
    upgrade.map(|upgrade| (handshake, upgrade)).ok_or(BadHandshake::NotUpgrade)
}

/// Which bound on WebSockets is reached.
fn full(no_seat: NoSeat) -> Reason {
    match no_seat {
        NoSeat::Full => Reason::Full,
        NoSeat::AddressFull => Reason::AddressFull,
    }
}

/// What an operator may do about it. With few open files the hub itself lowers what holds of `connections_max`.
fn remedy(no_seat: NoSeat, limits: &Limits) -> String {
    match no_seat {
        NoSeat::Full => format!(
            "there are {}: raise `limits.connections_max`, or the open files that the hub may have",
            limits.connections_max
        ),
        NoSeat::AddressFull => format!(
            "there are {}: raise `limits.connections_per_address_max`, or name a proxy in `trusted_proxies`",
            limits.connections_per_address_max
        ),
    }
}

/// Tells a client that shakes hands at the wrong address where the right one is; a proxy may have changed its path.
pub async fn at_its_path(
    State(gate): State<Arc<Gate>>,
    ConnectInfo(peer): ConnectInfo<Peer>,
    request: Request,
    next: Next,
) -> Response {
    let upgrades = words(request.headers(), &UPGRADE).any(|word| word.eq_ignore_ascii_case("websocket"));
    if !upgrades || request.uri().path() == PATH {
        return next.run(request).await;
    }
    let client = gate.door.proxies.client_of(peer, request.headers());
    let asked = shown(request.uri().path());
    gate.refuse(Reason::Path, client, format_args!("{WRONG_PATH}; it asked for {asked}"));
    (StatusCode::NOT_FOUND, [(CONNECTION, CLOSE)], format!("{WRONG_PATH}\n")).into_response()
}

/// A path as it is told: the query may hold what is nobody's business, and a path anything.
pub fn shown(path: &str) -> String {
    let cut: String = path.chars().take(PATH_CHARS_MAX).collect();
    let more = if cut.len() < path.len() { "..." } else { "" };
    format!("\"{}{more}\"", cut.escape_default())
}

/// Waits until the answer is written, takes the socket out of hyper and tokio, and gives it to a shard.
async fn hand_over(gate: Arc<Gate>, upgrade: OnUpgrade, agreed: (Dialect, Seat, Arrival)) {
    let patience = Duration::from_millis(gate.door.limits().handshake_ms);
    let Ok(Ok(upgraded)) = tokio::time::timeout(patience, upgrade).await else { return };
    match take_socket(upgraded) {
        // The bytes that came right behind the handshake are copied: hyper's buffer is 8 KiB or more.
        Ok(((stream, tls), received)) => {
            let (dialect, seat, arrival) = agreed;
            let role = Role::Peer { dialect, received: received.into() };
            gate.reactor.welcome(Newcomer { stream, tls, role, seat, arrival });
        }
        Err(error) => warn!(target: "gate", "a socket could not be taken over: {error}"),
    }
}

/// The socket, with what belongs to it of TLS, and what was read of it.
fn take_socket(upgraded: Upgraded) -> std::io::Result<(Socket, Vec<u8>)> {
    let parts = upgraded
        .downcast::<TokioIo<Link<Stream>>>()
        .map_err(|_| std::io::Error::other("an upgraded connection is none of the gate's"))?;
    Ok((parts.io.into_inner().into_stream()?.into_parts()?, parts.read_buf.to_vec()))
}

type Socket = (std::net::TcpStream, Option<Box<ServerConnection>>);

/// "101 Switching Protocols". No extension is taken up, so nothing is compressed.
fn switching(handshake: &Handshake) -> Response {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    *answer.version_mut() = Version::HTTP_11;
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(handshake.subprotocol));
    if let Ok(accept) = HeaderValue::from_str(&handshake.accept) {
        headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    answer
}

fn refuse(bad: BadHandshake) -> Response {
    let mut answer = (bad.status(), format!("{bad}\n")).into_response();
    let headers = answer.headers_mut();
    headers.insert(CONNECTION, CLOSE);
    match bad {
        BadHandshake::NotGet => {
            headers.insert(ALLOW, HeaderValue::from_static("GET"));
        }
        // RFC 9110, section 15.5.22: the answer says what to upgrade to.
        BadHandshake::NotUpgrade | BadHandshake::WrongVersion => {
            headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
            headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
        }
        BadHandshake::ForbiddenOrigin
        | BadHandshake::NoOrigin
        | BadHandshake::BadKey
        | BadHandshake::NoSubprotocol
        | BadHandshake::HasBody => {}
    }
    answer
}

fn come_back_later(why: &str, retry_after: &'static str) -> Response {
    let headers = [(RETRY_AFTER, retry_after), (CONTENT_TYPE, "text/plain; charset=utf-8")];
    let mut answer = (StatusCode::SERVICE_UNAVAILABLE, headers, format!("{why}\n")).into_response();
    answer.headers_mut().insert(CONNECTION, CLOSE);
    answer
}

/// Whoever is refused is not to hold the place of one who shakes hands.
const CLOSE: HeaderValue = HeaderValue::from_static("close");
/// Where a hub speaks WebSocket.
const PATH: &str = "/v1/ws";
/// How much of another path is told.
const PATH_CHARS_MAX: usize = 100;
const WRONG_PATH: &str =
    "nothing speaks WebSocket at this path; it is /v1/ws, and a proxy that adds a prefix has to take it away";
const STOPPING: &str = "the hub is stopping";
/// Seconds after which another hub, or this one anew, will be there.
const RETRY_AFTER_DRAIN: &str = "2";
/// Seconds after which a full hub may have room. Clients add their own spread.
const RETRY_AFTER_FULL: &str = "5";
