//! HTTP on one connection, of the version that its client has chosen: how much of it is taken in, for how long, and when it ends.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::response::{IntoResponse as _, Response};
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderMap, HeaderName, HeaderValue, ORIGIN, UPGRADE};
use hyper::server::conn::{http1, http2};
use hyper::service::{Service, service_fn};
use hyper::{Request, StatusCode, Version};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::sync::Notify;
use tracing::{Level, debug, enabled};

use crate::gate::door::Door;
use crate::gate::limits::Limits;
use crate::gate::line::{Deadline, Line};
use crate::gate::link::{Handover, Link};
use crate::gate::proxies::Peer;
use crate::gate::rest::Rest;
use crate::gate::shown;
use crate::gate::stream::Stream;
use crate::seats::Shown;

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

/// A connection, as all its requests know it.
#[derive(Clone)]
struct Speaker {
    peer: Peer,
    routers: Routers,
    door: Arc<Door>,
    line: Arc<Line>,
    /// By which an answer may take the connection with it.
    leave: Option<Arc<Handover<Stream>>>,
    /// Told when no other request is to come.
    enough: Arc<Notify>,
}

/// Answers requests until the client goes, one takes too long, or somebody else goes on with the connection. Where many speak HTTP
/// none is kept for a next request.
pub(super) async fn speak_http(
    stream: Stream,
    peer: Peer,
    routers: Routers,
    door: &Arc<Door>,
    line: Arc<Line>,
) {
    let speaker =
        Speaker { peer, routers, door: Arc::clone(door), line, leave: None, enough: Arc::default() };
    if stream.is_http2() {
        speaker.http2(stream).await;
    } else {
        speaker.http1(stream).await;
    }
}

impl Speaker {
    async fn http1(mut self, stream: Stream) {
        let (link, handover) = Link::new(stream);
        self.leave = Some(Arc::clone(&handover));
        let limits = self.door.limits();
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(Duration::from_millis(limits.handshake_ms))
            .max_headers(limits.headers_max)
            .max_header_size(limits.header_bytes_max)
            .max_buf_size(limits.header_bytes_max.max(HYPER_BUFFER_MIN))
            .serve_connection(TokioIo::new(link), self.service())
            .with_upgrades();
        let mut connection = std::pin::pin!(connection);
        let serve = async {
            tokio::select! {
                // Whatever ends it, an error here is the client's.
                _ = connection.as_mut() => return,
                () = self.door.closed() => {}
            }
            // Who has asked nothing yet is told why.
            if self.line.has_asked() {
                connection.as_mut().graceful_shutdown();
            }
            let _ = connection.await;
        };
        tokio::select! {
            () = self.line.hold_to(serve) => {}
            () = handover.done() => {}
        }
    }

    /// Nothing leaves such a connection, since it has other answers too.
    async fn http2(self, stream: Stream) {
        let connection = builder(&self.door.limits()).serve_connection(TokioIo::new(stream), self.service());
        let mut connection = std::pin::pin!(connection);
        // Whoever says nothing stands at the door no longer than by HTTP/1.1.
        let silence = Duration::from_millis(self.door.limits().handshake_ms);
        let is_silent = async {
            tokio::time::sleep(silence).await;
            if self.line.has_asked() {
                std::future::pending::<()>().await;
            }
        };
        let serve = async {
            tokio::select! {
                _ = connection.as_mut() => return,
                () = is_silent => return,
                () = self.door.closed() => {}
                () = self.enough.notified() => {}
            }
            connection.as_mut().graceful_shutdown();
            let _ = connection.await;
        };
        self.line.hold_to(serve).await;
    }

    fn service(
        &self,
    ) -> impl Service<Request<Incoming>, Response = Response<Body>, Error = Infallible, Future: Send> + use<>
    {
        let speaker = self.clone();
        service_fn(move |request| speaker.clone().answer(request))
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, Infallible> {
        self.line.asks();
        let version = request.version();
        if version == Version::HTTP_2 && request.headers().len() > self.door.limits().headers_max {
            return Ok((StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, TOO_MANY).into_response());
        }
        let mut request = request.map(|body| match version {
            Version::HTTP_2 => Body::new(Rest::new(body)),
            _ => Body::new(body),
        });
        name_host(&mut request);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.extensions_mut().insert(Arc::clone(&self.line));
        if let Some(leave) = &self.leave {
            request.extensions_mut().insert(Arc::clone(leave));
        }
        let asked = enabled!(target: "http", Level::DEBUG).then(|| {
            let client = self.door.proxies.client_of(self.peer, request.headers());
            format!(
                "{} asks {:.32} {}",
                Shown(client),
                request.method().as_str(),
                shown(request.uri().path())
            )
        });
        let service = TowerToHyperService::new(self.routers.of(request.headers()).clone());
        let mut answer = if version == Version::HTTP_2 {
            // The connection's own time is over with that of its last request: each has one besides.
            let deadline = Arc::new(Deadline::new(Duration::from_millis(self.door.limits().http_ms)));
            request.extensions_mut().insert(Arc::clone(&deadline));
            let answered = deadline.hold_to(service.call(request)).await;
            answered.unwrap_or_else(|| Ok((StatusCode::REQUEST_TIMEOUT, TOO_LATE).into_response()))?
        } else {
            service.call(request).await?
        };
        if let Some(asked) = asked {
            debug!(target: "http", "{asked} and is told {}", answer.status().as_u16());
        }
        let goes = self.door.is_closed() || !self.line.is_inside() && self.door.is_crowded(self.peer);
        if version == Version::HTTP_2 {
            // There each stream ends by itself, and the connection in a way of its own.
            answer.headers_mut().remove(CONNECTION);
            if goes {
                self.enough.notify_one();
            }
        } else if goes && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
            answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok(answer)
    }
}

/// By which name the hub is asked stands in `Host`, whatever else said it: where a request names it itself, that counts (RFC
/// 9112, section 3.2.2, and RFC 9113, section 8.3.1).
fn name_host(request: &mut Request<Body>) {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
}

fn builder(limits: &Limits) -> http2::Builder<TokioExecutor> {
    let header_bytes_max = u32::try_from(limits.header_bytes_max).unwrap_or(u32::MAX);
    let mut builder = http2::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_AFTER)
        .keep_alive_timeout(Duration::from_millis(limits.handshake_ms))
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(header_bytes_max)
        .max_frame_size(FRAME_BYTES)
        .max_send_buf_size(SENT_BYTES)
        .initial_stream_window_size(STREAM_BYTES)
        .initial_connection_window_size(CONNECTION_BYTES)
        // Streams that end before they are looked at (CVE-2023-44487) are work all the same.
        .max_pending_accept_reset_streams(RESETS_MAX)
        .max_local_error_reset_streams(RESETS_MAX);
    builder
}

/// What browsers say of where a request comes from, also where they name no origin.
pub const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// hyper panics below this.
const HYPER_BUFFER_MIN: usize = 8_192;
/// Requests of one connection at once: browsers take a hundred for granted.
const STREAMS_MAX: u32 = 100;
/// The least that may be said, and what others say.
const FRAME_BYTES: u32 = 16_384;
/// Of an answer so much waits for its reader, beside the answer itself.
const SENT_BYTES: usize = 32 << 10;
/// Of a request so much comes before it is read, and of all of a connection's so much.
const STREAM_BYTES: u32 = 64 << 10;
const CONNECTION_BYTES: u32 = 256 << 10;
const RESETS_MAX: usize = 20;
const TOO_MANY: &str = "the request has more headers than `headers_max`\n";
const TOO_LATE: &str = "the request takes too long\n";
/// Who says nothing for so long is asked whether it is there.
const PING_AFTER: Duration = Duration::from_secs(20);
