//! Which connections there are, and how one is sent away. Shards own them, and are asked for some at a time: no list of all
//! is ever made, and nobody waits for one.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use serde_json::value::RawValue;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::shard::looking::{Found, Seen, Wanted, Which};
use tidewire_protocol::code::Code;
use tracing::info;
use utoipa::ToSchema;

use crate::admin::Operators;
use crate::http::answer;
use crate::http::problem::{Problem, later};
use crate::http::query::Query;
use crate::http::shapes::Failures;
use crate::seats::{ShownNetwork, account_of, address_of};

/// Some connections.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Connections {
    connections: Vec<Connection>,
    /// What to ask for `after` to get more; absent where these were the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

/// One of them.
#[derive(Debug, Serialize, ToSchema)]
struct Connection {
    id: String,
    /// Where it comes from; of IPv6 the network, as limits count it.
    address: String,
    /// Whom its token speaks of; absent for anonymous.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<String>,
    /// What its token says of it; absent if that says nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<Object>)]
    info: Option<Box<RawValue>>,
    /// What the client calls itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    agent: Option<String>,
    /// When it came, in milliseconds since 1970.
    since: u64,
    /// What it speaks: `binary`, `json` or `events`.
    dialect: &'static str,
    /// Names that it is subscribed to.
    subscriptions: usize,
    /// Bytes that its socket has not taken.
    unread_bytes: usize,
}

/// A connection, or where a page ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Id {
    shard: usize,
    who: Which,
}

/// Lists WebSockets, some at a time.
#[utoipa::path(
    get, path = "/v1/connections", tag = "connections",
    params(
        ("limit" = Option<u64>, Query, description = "How many at most; 100 without it", minimum = 1, maximum = 1000),
        ("after" = Option<String>, Query, description = "The `next` of the answer before"),
        ("subject" = Option<String>, Query, description = "Those of this subject"),
        ("address" = Option<String>, Query, description = "Those of this address"),
    ),
    responses((status = 200, body = Connections, description = "Some of them"), Failures),
)]
pub(super) async fn list(State(operators): State<Operators>, request: Request) -> Result<Response, Problem> {
    let query = Query::read(request.uri().query(), &["limit", "after", "subject", "address"], &[])?;
    let limit = query.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let after = query.get("after").map(str::parse::<Id>).transpose();
    let after = after.map_err(|_| Problem::bad_request("`after` is a `next` of an answer before"))?;
    let address = query.get("address").map(str::parse::<IpAddr>).transpose();
    let address = address.map_err(|_| Problem::bad_request("`address` is one like 203.0.113.7"))?;
    let (subject, account) = (query.get("subject").map(Into::into), address.map(account_of));
    let clock = Clock::of(&operators);
    let reactor = operators.gate.reactor();
    let (mut shard, mut from) = after.map_or((0, 0), |id| (id.shard, id.who.slot));
    let (mut connections, mut left) = (Vec::new(), LOOKS_MAX);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    while shard < reactor.shards() && connections.len() < limit && left > 0 {
        let wanted = Wanted {
            from,
            looks: left.min(LOOKS_A_STEP),
            count: limit - connections.len(),
            subject: Option::clone(&subject),
            account,
        };
        let found = reactor.look(shard, wanted, PATIENCE).await.ok_or_else(|| stuck(shard))?;
        let Found { connections: seen, next, looks } = found;
        connections.extend(seen.into_iter().map(|seen| Connection::new(shard, seen, clock)));
        left = left.saturating_sub(looks.max(1));
        (shard, from) = next.map_or((shard + 1, 0), |from| (shard, from));
    }
    let next = (shard < reactor.shards())
        .then(|| Id { shard, who: Which { slot: from, generation: 0 } }.to_string());
    Ok(answer::json(&Connections { connections, next }))
}

/// Ends a WebSocket.
#[utoipa::path(
    delete, path = "/v1/connections/{id}", tag = "connections",
    params(
        ("id" = String, Path, description = "Which, as the list names it"),
        ("again" = Option<bool>, Query, description = "Whether the client is to come back; true without it"),
    ),
    responses((status = 204, description = "It is told, and closed"), Failures),
)]
pub(super) async fn dismiss(
    State(operators): State<Operators>,
    Path(id): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let query = Query::read(request.uri().query(), &["again"], &[])?;
    let again = query.get("again").map_or(Ok(true), str::parse::<bool>);
    let again = again.map_err(|_| Problem::bad_request("`again` is true or false"))?;
    let Ok(Id { shard, who }) = id.parse::<Id>() else { return Err(gone()) };
    let reactor = operators.gate.reactor();
    if shard >= reactor.shards() {
        return Err(gone());
    }
    match reactor.dismiss(shard, who, again, PATIENCE).await {
        Some(true) => {
            let back = if again { "may come back" } else { "is not to come back" };
            info!(target: "server", "connection {id} was ended, as an operator asked; who it was {back}");
            Ok(StatusCode::NO_CONTENT.into_response())
        }
        Some(false) => Err(gone()),
        None => Err(stuck(shard)),
    }
}

fn gone() -> Problem {
    Problem::new(StatusCode::NOT_FOUND, "unknown_connection", "this connection has ended, or there was none")
}

fn stuck(shard: usize) -> Problem {
    later(Code::Overloaded, format!("shard {shard} does not answer; /readyz tells more"))
}

/// The system's time beside the steady one.
#[derive(Debug, Clone, Copy)]
struct Clock {
    steady: Millis,
    system_ms: u64,
}

impl Clock {
    fn of(operators: &Operators) -> Self {
        let system = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { steady: operators.gate.reactor().desk().now(), system_ms: system.as_millis() as u64 }
    }
}

impl Connection {
    fn new(shard: usize, seen: Seen, clock: Clock) -> Self {
        let Seen { who, account, subject, info, agent, since, dialect, subscriptions, unread_bytes } = seen;
        let address = address_of(account);
        Self {
            id: Id { shard, who }.to_string(),
            address: ShownNetwork(address).to_string(),
            subject: subject.map(|subject| subject.to_string()),
            // It was read as JSON, and is written as that again.
            info: info.and_then(|info| RawValue::from_string(info.to_string()).ok()),
            agent: agent.map(|agent| agent.to_string()),
            since: clock.system_ms.saturating_sub(clock.steady.since(since)),
            dialect: match dialect {
                Dialect::Binary => "binary",
                Dialect::Json => "json",
                Dialect::Events(_) => "events",
            },
            subscriptions,
            unread_bytes,
        }
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { shard, who: Which { slot, generation } } = self;
        write!(f, "{shard}-{slot}-{generation}")
    }
}

impl FromStr for Id {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut parts = text.split('-').map(|part| {
            let is_plain =
                part.bytes().all(|byte| byte.is_ascii_digit()) && (part == "0" || !part.starts_with('0'));
            part.parse::<u32>().ok().filter(|_| is_plain).ok_or(())
        });
        let mut next = || parts.next().ok_or(())?;
        let (shard, slot, generation) = (next()? as usize, next()?, next()?);
        let is_all = parts.next().is_none();
        is_all.then_some(Self { shard, who: Which { slot, generation } }).ok_or(())
    }
}

const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// Places that one request has looked at, whether somebody it wants is there or not.
const LOOKS_MAX: usize = 16_384;
/// Of these, how many while a shard does nothing else.
const LOOKS_A_STEP: usize = 256;
/// A shard that answers later than that is stuck.
const PATIENCE: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = Id { shard: 3, who: Which { slot: 70_000, generation: u32::MAX } };
        assert_eq!(id.to_string().parse(), Ok(id));
        for wrong in ["", "1", "1-2", "1-2-3-4", "1-2-x", "-1-2-3", "1-2-+3", "01-2-3", "1-2-4294967296"] {
            assert_eq!(wrong.parse::<Id>(), Err(()), "{wrong}");
        }
    }
}
