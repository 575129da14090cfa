//! Requests of web pages: only those that may connect, who are told so in the words that browsers want (CORS). A program
//! has to be allowed as for WebSockets, or bring a token: no browser does that by itself.

use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{
    ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS,
    ACCESS_CONTROL_REQUEST_METHOD, AUTHORIZATION, HOST, HeaderMap, HeaderValue, ORIGIN, VARY,
};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

use crate::gate::origin::well_formed;
use crate::gate::proxies::Peer;
use crate::gate::refusals::Reason;
use crate::gate::speaking::SEC_FETCH_SITE;
use crate::gate::{Gate, shown};
use crate::hosts::Host;
use crate::http::problem::Problem;

/// Answers for pages that may not come, and adds to the answers for others what lets their scripts read them.
pub async fn check(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let origin = request.headers().get(ORIGIN).cloned();
    if !may_come(&gate, request.headers(), request.uri()) {
        return turned_away(&gate, request.headers(), request.extensions().get()).into_response();
    }
    let is_question =
        request.method() == Method::OPTIONS && request.headers().contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    let allowed = allowed(request.headers());
    let mut response =
        if is_question { StatusCode::NO_CONTENT.into_response() } else { next.run(request).await };
    let headers = response.headers_mut();
    headers.append(VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static(EXPOSED));
    }
    if is_question {
        headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, POST, DELETE"));
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, allowed);
        headers.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    }
    response
}

/// The headers that a page may send, among them those of messages that it asks for: their names are its own.
fn allowed(asked: &HeaderMap) -> HeaderValue {
    let asked = asked.get(ACCESS_CONTROL_REQUEST_HEADERS).and_then(|names| names.to_str().ok());
    let of_messages = asked.unwrap_or_default().split(',').map(str::trim);
    let mut names = ALLOWED.to_owned();
    for name in of_messages.filter(|name| name.starts_with(HEADER_PREFIX)) {
        names = names + ", " + name;
    }
    HeaderValue::from_str(&names).unwrap_or(HeaderValue::from_static(ALLOWED))
}

/// Whether a request may be answered: of a page that may come, or of a program that may or has a token.
pub(super) fn may_come(gate: &Gate, headers: &HeaderMap, uri: &Uri) -> bool {
    let origins = gate.origins();
    if headers.contains_key(ORIGIN) {
        return origins.allow(headers.get_all(ORIGIN).iter().map(HeaderValue::as_bytes));
    }
    // A page that reads from where it came from says nothing of where that is, and a name may lead here by a trick (DNS
    // rebinding): then the name is not one of ours. No browser brings a token by itself.
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        Some(b"same-origin") => {
            let host = headers.get(HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
            ["http", "https"].iter().any(|scheme| origins.names(&format!("{scheme}://{host}")))
        }
        Some(b"none") | None => {
            // What is no token where none is looked at says nothing.
            let brings_token = gate.reactor().topics().credentials().are_taken()
                && (headers.contains_key(AUTHORIZATION) || brings_ticket(uri));
            brings_token || origins.absent && Host::of(headers).is_some_and(|host| origins.serve(host))
        }
        Some(_) => false,
    }
}

/// Whether a request for events has a ticket, which is looked at before anything is told.
fn brings_ticket(uri: &Uri) -> bool {
    let query = uri.query().unwrap_or_default();
    uri.path() == EVENTS && form_urlencoded::parse(query.as_bytes()).any(|(name, _)| name == "ticket")
}

/// Notes a request that may not be answered, and says why.
pub(super) fn turned_away(gate: &Gate, headers: &HeaderMap, peer: Option<&ConnectInfo<Peer>>) -> Problem {
    let client = peer.map(|ConnectInfo(peer)| gate.door().proxies.client_of(*peer, headers));
    let (reason, why, detail) = match headers.get(ORIGIN) {
        Some(origin) => {
            let origin = well_formed(origin.as_bytes()).unwrap_or("none that browsers send");
            let why = format!("pages of its origin may not ask (it is {origin})");
            (Reason::Origin, why, "pages of this origin may not ask: the hub's `origins` have to name it")
        }
        None => {
            let (why, detail) = if gate.origins().absent {
                let host = headers.get(HOST).map(|host| String::from_utf8_lossy(host.as_bytes()));
                let host = host.map_or_else(|| "none".into(), |host| shown(&host));
                let why = format!(
                    "without a token programs may not ask by a name that is not the hub's (it is {host})"
                );
                (why, NO_NAME)
            } else {
                ("programs may not ask without a token".to_owned(), NO_PROGRAM)
            };
            (Reason::NoOrigin, why, detail)
        }
    };
    if let Some(client) = client {
        gate.refuse(reason, client, why);
    }
    Problem::new(StatusCode::FORBIDDEN, "origin_refused", detail)
}

const NO_PROGRAM: &str =
    "programs may not ask without a token: bring one, or have `allow_no_origin = true` set";
const NO_NAME: &str = "without a token ask by an address or `localhost`, or have the name that you ask by listed in the \
                       configuration's `api_hosts`";
/// Where events are, which a ticket is for.
pub(super) const EVENTS: &str = "/v1/events";
/// Headers that pages may read.
/// Requests' headers with this in front are their messages'.
pub const HEADER_PREFIX: &str = "tidewire-header-";
const EXPOSED: &str = "etag, retry-after, tidewire-next, tidewire-previous, tidewire-more";
const ALLOWED: &str = "authorization, content-type, idempotency-key, if-match, if-none-match, last-event-id, tidewire-durability, tidewire-key, tidewire-remove, tidewire-ttl, traceparent, tracestate";
