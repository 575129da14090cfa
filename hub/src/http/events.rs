//! `GET /v1/events`: topics and patterns as Server-Sent Events. The request is read and judged here, the answer's head is
//! HTTP's, and a shard goes on with its body as it does with a WebSocket.

use std::collections::BTreeSet;
use std::sync::Arc;

use axum::extract::{ConnectInfo, Request, State};
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Version};
use axum::response::Response;
use hyper::body::Body as _;
use tidewire_hub_core::access::caller::{Caller, Right};
use tidewire_hub_core::credentials::Unwelcome;
use tidewire_hub_core::limits::of_bearer::Bound;
use tidewire_hub_core::session::asking::readable;
use tidewire_hub_core::shard::listening::Listening;
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::code::Code;
use tidewire_protocol::events::places;
use tidewire_protocol::name::Selector;
use tidewire_protocol::position::{Position, Start};

use crate::gate::going_on::{Leave, Way};
use crate::gate::line::Line;
use crate::gate::proxies::Peer;
use crate::http::Api;
use crate::http::origin::EVENTS;
use crate::http::problem::Problem;
use crate::http::query::{Query, shown};
use crate::http::shapes::Failures;

/// Tells what is published as Server-Sent Events, for as long as the connection lasts.
#[utoipa::path(
    get, path = "/v1/events", tag = "read", security((), ("token" = [])),
    params(
        ("topic" = Vec<String>, Query, description = "Topics and patterns, each once", min_items = 1, max_items = 64),
        ("from" = Option<String>, Query, description = "Where to start, as for pages; `latest` without it"),
        ("ticket" = Option<String>, Query, description = "A ticket, in place of a token"),
        ("last-event-id" = Option<String>, Header, description = "The id of the last event that was heard; `from` does not count then"),
    ),
    responses((status = 200, body = String, content_type = "text/event-stream", description = "What is published"), Failures),
)]
pub(super) async fn events(State(api): State<Api>, request: Request) -> Result<Response, Problem> {
    let (parts, body) = request.into_parts();
    if parts.method != Method::GET {
        return Err(Problem::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "bad_request",
            "events are asked for by GET",
        ));
    }
    let leave = parts.extensions.get::<Leave>().filter(|_| parts.version == Version::HTTP_11);
    let line = parts.extensions.get::<Arc<Line>>().filter(|_| parts.version == Version::HTTP_2);
    let Some(way) = leave.map(Way::Leaves).or(line.map(Way::Stays)) else {
        // Before that there are no chunks.
        return Err(Problem::new(StatusCode::HTTP_VERSION_NOT_SUPPORTED, "not_supported", VERSION));
    };
    if !body.is_end_stream() {
        return Err(Problem::bad_request("a request for events has no body"));
    }
    let query = Query::read(parts.uri.query(), &["from", "ticket"], &["topic"])?;
    let mut visitor = match way {
        Way::Leaves(_) => api.admit(&parts).await?,
        Way::Stays(_) => api.enter(&parts).await?,
    };
    if let Some(ticket) = query.get("ticket") {
        visitor.caller = api.tickets.caller(api.desk().now(), ticket)?;
    }
    let topics = api.gate.reactor().topics();
    // A ticket means no more than its token.
    let stands = topics.credentials().standing().check_caller(&visitor.caller);
    stands.map_err(|bad| {
        topics.metrics().bad_tokens.add(bad.number(), 1);
        Unwelcome::Token(bad)
    })?;
    let mut listening = wishes(&query, &visitor.caller, topics)?;
    if let Some(id) = parts.headers.get(LAST_EVENT_ID).filter(|id| !id.is_empty()) {
        let places = id.to_str().ok().and_then(places);
        let places =
            places.ok_or_else(|| Problem::bad_request("`Last-Event-ID` is no id that this hub gave"))?;
        resume(&mut listening, &places, "Last-Event-ID", topics)?;
    }
    let peer = parts.extensions.get::<ConnectInfo<Peer>>().ok_or(Code::Internal)?;
    let client = api.gate.door().proxies.client_of(peer.0, &parts.headers);
    let seat = match way {
        Way::Leaves(_) => visitor.leave(),
        Way::Stays(_) => None,
    };
    let mut response = Response::new(api.gate.go_on(way, client, seat, listening)?);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    // nginx would gather what comes.
    headers.insert(ACCEL_BUFFERING, HeaderValue::from_static("no"));
    Ok(response)
}

/// What a request wants to hear, and from where.
fn wishes(query: &Query, caller: &Arc<Caller>, topics: &Topics) -> Result<Listening, Problem> {
    let selectors = selectors(query, caller, topics)?;
    let listen = |start: Start| Listening {
        caller: Arc::clone(caller),
        wishes: selectors.into_iter().map(|selector| (selector, start.clone())).collect(),
    };
    match query.start("from")?.unwrap_or_default() {
        Start::After(places) => {
            let mut listening = listen(Start::Latest);
            resume(&mut listening, &places, "from", topics)?;
            Ok(listening)
        }
        start => Ok(listen(start)),
    }
}

/// Topics and patterns that the caller may listen to.
fn selectors(query: &Query, caller: &Caller, topics: &Topics) -> Result<Vec<Selector>, Problem> {
    let limits = topics.limits();
    let names_max = caller.at_most(Bound::Subscriptions, limits.subscriptions_max).min(TOPICS_MAX);
    let patterns_max = caller.at_most(Bound::Patterns, limits.patterns_max);
    let (mut selectors, mut seen, mut patterns) = (Vec::new(), BTreeSet::new(), 0);
    for name in query.all("topic") {
        let wrong = |why: String| Problem::bad_request(format!("`topic` {why}"));
        if seen.len() == names_max {
            let by =
                if names_max < TOPICS_MAX { ", by `subscriptions_max` of the hub or the token" } else { "" };
            return Err(wrong(format!("comes more than {names_max} times{by}")));
        }
        if !seen.insert(name) {
            return Err(wrong(format!("is `{}` twice", shown(name))));
        }
        if let Err(bad) = Selector::parse(name) {
            return Err(wrong(format!("is `{}`: {bad}", shown(name))));
        }
        let granted = readable(name, caller, Right::Subscribe, topics);
        let granted = granted.map_err(|code| {
            topics.metrics().refused.add(code.number(), 1);
            Problem::from(code).saying(format!("`topic` is `{}`: {}", shown(name), code.sentence()))
        })?;
        patterns += usize::from(matches!(*granted, Selector::Pattern(_)));
        if patterns > patterns_max {
            let by = "by `patterns_max` of the hub or the token";
            return Err(wrong(format!("names more than {patterns_max} patterns, {by}")));
        }
        selectors.push((*granted).clone());
    }
    if selectors.is_empty() {
        let missing = format!(
            "`topic` is missing: name topics or patterns, as in {EVENTS}?topic=orders&topic=prices.*"
        );
        return Err(Problem::bad_request(missing));
    }
    Ok(selectors)
}

/// Has it start behind the places of an id.
fn resume(
    listening: &mut Listening,
    places: &[Position],
    parameter: &str,
    topics: &Topics,
) -> Result<(), Problem> {
    let other = |other| Problem::bad_request(format!("`{parameter}` is not of these topics: {other}"));
    listening.resume(places, topics).map_err(other)
}

/// Topics and patterns of one request: an id has a place for each, and has to fit into a head.
const TOPICS_MAX: usize = 64;
const VERSION: &str = "events are told over HTTP/1.1 or HTTP/2; a proxy in between has to speak it (in nginx `proxy_http_version 1.1`), \
                       or passes on HTTP/1.0";
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");
const ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
