//! The accept loop: bounds how many connections speak HTTP, and for how long.
//!
//! `axum::serve` installs no timer, so that a client which never finishes its request would be held for ever;
//! hence a loop of our own.

use std::convert::Infallible;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper::{Request, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tracing::{Level, debug, enabled};

use crate::gate::door::Door;
use crate::gate::line::Line;
use crate::gate::link::Link;
use crate::gate::listener::Listener;
use crate::gate::proxies::Peer;
use crate::gate::refusals::{Reason, Refusals};
use crate::gate::stream::Stream;
use crate::gate::welcome::{Guest, Unwelcome, turn_away, welcome};
use crate::gate::{RETRY_AFTER_FULL, shown};
use crate::seats::{NoSeat, Shown};

/// What answers requests. What browsers say of pages, and wishes to speak something else, takes looking at; programs say
/// neither, and are spared that.
#[derive(Debug, Clone)]
pub struct Routers {
    /// For requests that name an origin, come from a browser or want to upgrade.
    pub careful: Router,
    /// For all others: the same answers.
    pub plain: Router,
}

impl From<Router> for Routers {
    fn from(router: Router) -> Self {
        Self { careful: router.clone(), plain: router }
    }
}

impl Routers {
    fn of(&self, headers: &HeaderMap) -> &Router {
        let is_simple = [&ORIGIN, &UPGRADE, &SEC_FETCH_SITE].iter().all(|name| !headers.contains_key(*name));
        if is_simple { &self.plain } else { &self.careful }
    }
}

/// Accepts connections for ever and answers each by one of `routers`.
pub async fn serve(listener: Listener, routers: Routers, door: Arc<Door>) {
    let room = Arc::new(Semaphore::new(door.limits.handshakes_max));
    let refusals = Arc::new(Semaphore::new(door.limits.refusals_max));
    loop {
        // The semaphore lives as long as this loop and is never closed.
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        let (stream, peer) = match listener.accept(&door.proxies).await {
            Ok(accepted) => accepted,
            Err(error) => {
                hold_back(&error, &door.refusals).await;
                continue;
            }
        };
        match door.take(peer) {
            Ok(seat) => {
                let (routers, door, refusals) = (routers.clone(), Arc::clone(&door), Arc::clone(&refusals));
                tokio::spawn(async move {
                    // Linux lets a connection have this of its listener.
                    if cfg!(not(target_os = "linux")) {
                        let _ = stream.set_nodelay(true);
                    }
                    match welcome(stream, peer, seat, &door).await {
                        Ok(Guest { stream, peer, seat }) => {
                            let patience = Duration::from_millis(door.limits.http_ms);
                            let line = Arc::new(Line::new(patience, place, seat));
                            speak_http(stream, peer, routers, &door, line).await;
                        }
                        Err(Unwelcome::NoSeat(stream, peer, no_seat)) => {
                            refuse_seat(stream, peer, no_seat, &door, &refusals);
                        }
                        Err(Unwelcome::Over) => {}
                    }
                });
            }
            Err(no_seat) => refuse_seat(stream, peer, no_seat, &door, &refusals),
        }
    }
}

/// Says that too many speak HTTP already.
fn refuse_seat(stream: TcpStream, peer: Peer, no_seat: NoSeat, door: &Door, refusals: &Arc<Semaphore>) {
    door.refusals.refuse(
        Reason::AddressHandshakes,
        Some(peer.address),
        format_args!(
            "too many connections that speak HTTP; there are {}: raise \
             `limits.handshakes_per_address_max`, or name a proxy in `trusted_proxies`",
            door.limits.handshakes_per_address_max
        ),
    );
    // Beyond some, not even a refusal is written: it would be another way to hold sockets.
    // Who speaks TLS would not understand it.
    if door.tls.is_none()
        && let Ok(place) = Arc::clone(refusals).try_acquire_owned()
    {
        tokio::spawn(async move {
            let _held = place;
            let head = format!("503 Service Unavailable\r\nretry-after: {RETRY_AFTER_FULL}");
            turn_away(stream, &head, &no_seat.to_string()).await;
        });
    }
}

/// Answers requests until the client goes, one takes too long, or somebody else goes on with the connection. Where many speak HTTP
/// none is kept for a next request.
async fn speak_http(stream: Stream, peer: Peer, routers: Routers, door: &Arc<Door>, line: Arc<Line>) {
    let limits = &door.limits;
    let crowded = Arc::clone(door);
    let requests = Arc::clone(&line);
    let (link, handover) = Link::new(stream);
    let leave = Arc::clone(&handover);
    let service = service_fn(move |mut request: Request<Incoming>| {
        requests.asks();
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(Arc::clone(&requests));
        request.extensions_mut().insert(Arc::clone(&leave));
        let asked = enabled!(target: "http", Level::DEBUG)
            .then(|| format!("{:.32} {}", request.method().as_str(), shown(request.uri().path())));
        let service = TowerToHyperService::new(routers.of(request.headers()).clone());
        let (answer, line, crowded) = (service.call(request), Arc::clone(&requests), Arc::clone(&crowded));
        async move {
            let mut answer = answer.await?;
            if let Some(asked) = asked {
                debug!(target: "http", "{} asks {asked} and is told {}", Shown(peer.address), answer.status().as_u16());
            }
            let goes = crowded.is_closed() || !line.is_inside() && crowded.is_crowded(peer);
            if goes && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(Duration::from_millis(limits.handshake_ms))
        .max_headers(limits.headers_max)
        .max_header_size(limits.header_bytes_max)
        .max_buf_size(limits.header_bytes_max.max(HYPER_BUFFER_MIN))
        .serve_connection(TokioIo::new(link), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let serve = async {
        tokio::select! {
            // Whatever ends it, an error here is the client's.
            _ = connection.as_mut() => return,
            () = door.closed() => {}
        }
        // Who has asked nothing yet is told why.
        if line.has_asked() {
            connection.as_mut().graceful_shutdown();
        }
        let _ = connection.await;
    };
    tokio::select! {
        () = line.hold_to(serve) => {}
        () = handover.done() => {}
    }
}

/// After an error that will come again at once (no more open files), others get time to go away.
async fn hold_back(error: &io::Error, refusals: &Refusals) {
    let of_the_client = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset];
    if of_the_client.contains(&error.kind()) {
        return;
    }
    refusals.refuse(
        Reason::OpenFiles,
        None,
        format_args!("no connection can be accepted for the moment: {error}"),
    );
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// What browsers say of where a request comes from, also where they name no origin.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
/// hyper panics below this.
const HYPER_BUFFER_MIN: usize = 8_192;
