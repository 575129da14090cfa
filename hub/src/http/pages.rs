//! Reading: pages of what topics keep, where a topic stands, and what comes next to whoever waits for it.

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{ACCEPT, HeaderMap, HeaderValue};
use axum::http::request::Parts;
use axum::response::Response;
use serde::Serialize;
use tidewire_hub_core::access::caller::Right;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::reading::question::PageRead;
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::attributes::KEY_BYTES_MAX;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::code::Code;
use tidewire_protocol::json;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};
use utoipa::ToSchema;

use crate::http::callers::Visitor;
use crate::http::problem::{self, Problem};
use crate::http::query::{Name, Query, is_pattern, written};
use crate::http::shapes::{Failures, MessageShape, PageShape};
use crate::http::{Api, answer};

/// Messages as they are told, and where they stand.
#[derive(Debug)]
struct Told {
    /// Each a JSON object.
    messages: Vec<Vec<u8>>,
    gap: Option<Gap>,
    /// The page begins behind this.
    after: Vec<Position>,
    /// It is complete up to here.
    upto: Vec<Position>,
    more: bool,
}

/// Where a topic stands.
#[derive(Debug, Serialize, ToSchema)]
struct Standing {
    topic: String,
    position: String,
}

/// Reads a page of what a topic keeps, or all that a pattern matches.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/messages", tag = "read", security((), ("token" = [])),
    params(
        ("topic" = String, Path, description = "A topic, or a pattern"),
        ("from" = Option<String>, Query, description = "`earliest`, `latest`, `last:N`, `since:10m`, or a position: what comes after it"),
        ("before" = Option<String>, Query, description = "A position: the newest below it. Not together with `from`"),
        ("limit" = Option<u64>, Query, description = "Messages; 100 without it", minimum = 1, maximum = 1000),
        ("wait" = Option<String>, Query, description = "`10s`, up to 50 s: how long to wait where there is nothing yet"),
        ("key" = Option<String>, Query, description = "Of a topic that keeps the latest of each key that of this one alone. It goes by itself", min_length = 1, max_length = 255),
    ),
    responses((status = 200, description = "A page", content(
        (PageShape = "application/json"), (MessageShape = "application/x-ndjson"),
    )), Failures),
)]
pub(super) async fn messages(
    State(api): State<Api>,
    Name(topic): Name,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let query = Query::read(parts.uri.query(), &["from", "before", "limit", "wait", "key"], &[])?;
    if let Some(key) = query.get("key") {
        return latest(&api, &topic, key, &query, &parts).await;
    }
    let limit = query.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let wait = query.span("wait", WAIT_MAX)?;
    let (from, before) = (query.start("from")?, query.places("before")?);
    let start = match (from, before) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("`from` reads on and `before` reads back: say one"));
        }
        (_, Some(_)) if wait.is_some() => return Err(Problem::bad_request("`wait` goes with `from` alone")),
        _ if wait.is_some() && is_pattern(&topic) => {
            return Err(Problem::bad_request("`wait` is for one topic, and this is a pattern"));
        }
        (None, Some(positions)) => Start::Before { last: limit, positions },
        (from, None) => from.unwrap_or(Start::Earliest),
    };
    let visitor = api.enter(&parts).await?;
    let (desk, by) = (api.desk(), visitor.by());
    // Whoever waits hears what comes, which is more than to read what is kept.
    let right = if wait.is_some() { Right::Subscribe } else { Right::History };
    let what = desk.readable(by, right, &topic)?;
    let most = Most::bytes(desk.topics().limits().page_bytes_max).messages(limit);
    let (start, what) = match wait {
        Some(patience) => {
            let patience = visitor.at_most(desk.now(), patience);
            let _waits = visitor.waits(patience);
            let start = tokio::select! {
                start = desk.await_news(by, &what, start, patience) => start?,
                () = api.gate.door().closed() => return Err(Code::Draining.into()),
            };
            // Others may hold than when it began to wait.
            (start, desk.readable(by, right, &topic)?)
        }
        None => (start, what),
    };
    let _turn = api.turn(&visitor).await;
    let read = desk.page(by, &what, &start, most).await?;
    Told::of(read)?.answer(&parts.headers, &visitor, desk.topics())
}

/// The latest message of a key, if it has a value, as a page of that alone.
async fn latest(
    api: &Api,
    topic: &str,
    key: &str,
    query: &Query,
    parts: &Parts,
) -> Result<Response, Problem> {
    if ["from", "before", "limit", "wait"].iter().any(|name| query.get(name).is_some()) {
        return Err(Problem::bad_request("`key` goes by itself: there is one latest message of it"));
    }
    if key.is_empty() || key.len() > KEY_BYTES_MAX {
        return Err(Problem::bad_request(format!("`key` has 1 to {KEY_BYTES_MAX} bytes")));
    }
    let visitor = api.enter(parts).await?;
    let (desk, by) = (api.desk(), visitor.by());
    let what = desk.readable(by, Right::History, topic)?;
    let _turn = api.turn(&visitor).await;
    // It may be replaced before it is read.
    for _ in 0..TRIES {
        let place = desk.topics().latest(desk.now(), &what, key).map_err(|code| {
            Problem::from(code).saying("`key` is for a topic that keeps the latest message of each")
        })?;
        let place = place.ok_or_else(no_value)?;
        let before = Position { offset: Offset(place.offset.0.saturating_sub(1)), ..place };
        let read = desk.page(by, &what, &Start::After(vec![before]), Most::bytes(1)).await?;
        if let Some(told) = Told::one(&read, before, place)? {
            let response = told.answer(&parts.headers, &visitor, desk.topics())?;
            return Ok(answer::with_version(response, place));
        }
    }
    Err(problem::later(Code::Overloaded, "the key is set faster than it is read; try again later"))
}

fn no_value() -> Problem {
    let detail = "this key has no value: none was published here, or it was removed, or its time is over";
    Problem::new(StatusCode::NOT_FOUND, "unknown_key", detail)
}

/// Tells where a topic stands.
#[utoipa::path(
    get, path = "/v1/topics/{topic}/position", tag = "read", security((), ("token" = [])),
    params(("topic" = String, Path, description = "A topic, or a pattern")),
    responses((status = 200, body = Standing, description = "Where it stands"), Failures),
)]
pub(super) async fn position(
    State(api): State<Api>,
    Name(topic): Name,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    Query::read(parts.uri.query(), &[], &[])?;
    let visitor = api.enter(&parts).await?;
    let (desk, by) = (api.desk(), visitor.by());
    let what = desk.readable(by, Right::History, &topic)?;
    let page = desk.page(by, &what, &Start::Latest, Most::bytes(0)).await?;
    Ok(answer::json(&Standing { topic, position: written(&page.upto) }))
}

impl Told {
    /// The messages of a page.
    fn of(read: PageRead) -> Result<Self, Code> {
        let PageRead { after, upto, gap, blocks, more, .. } = read;
        let mut messages = Vec::new();
        for block in blocks_of_page(&blocks).flatten() {
            let log = if after.len() == 1 { 0 } else { usize::try_from(block.log).unwrap_or(usize::MAX) };
            let begin = after.get(log).map_or(Offset(0), |place| place.offset);
            let end = upto.get(log).map_or(Offset(0), |place| place.offset);
            for message in block.messages().flatten().filter(|it| it.offset > begin && it.offset <= end) {
                let mut text = Vec::new();
                json::put_message(message, &mut text).map_err(|_| Code::Internal)?;
                messages.push(text);
            }
        }
        Ok(Self { messages, gap, after, upto, more })
    }

    /// The message at this place alone, if it is in a page that begins before it.
    fn one(read: &PageRead, before: Position, place: Position) -> Result<Option<Self>, Code> {
        let messages = blocks_of_page(&read.blocks).flatten();
        let mut messages = messages.flat_map(|block| block.messages().flatten().collect::<Vec<_>>());
        let Some(message) = messages.find(|message| message.offset == place.offset) else { return Ok(None) };
        let mut text = Vec::new();
        json::put_message(message, &mut text).map_err(|_| Code::Internal)?;
        Ok(Some(Self {
            messages: vec![text],
            gap: None,
            after: vec![before],
            upto: vec![place],
            more: false,
        }))
    }

    /// As lines or as one object, as it was asked for.
    fn answer(&self, asked: &HeaderMap, visitor: &Visitor, topics: &Topics) -> Result<Response, Problem> {
        if wants_lines(asked) {
            let mut response = answer::large(LINES, self.lines(), asked, &visitor.account, topics)?;
            self.put_rest(response.headers_mut());
            return Ok(response);
        }
        answer::large(answer::JSON, self.object(), asked, &visitor.account, topics)
    }

    /// All of it as one object.
    fn object(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + 256);
        out.extend(b"{\"messages\":[");
        for (index, message) in self.messages.iter().enumerate() {
            out.extend(if index > 0 { &b","[..] } else { b"" });
            out.extend(message);
        }
        out.push(b']');
        if let Some(gap) = self.gap_text() {
            out.extend([b",\"gap\":", &gap[..]].concat());
        }
        let (next, previous, more) = (self.next(), self.previous(), self.more);
        let rest = format!(",\"next\":\"{next}\",\"previous\":\"{previous}\",\"more\":{more}}}");
        out.extend(rest.as_bytes());
        out
    }

    /// A gap and the messages, each a line.
    fn lines(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.bytes() + 128);
        if let Some(gap) = self.gap_text() {
            out.extend([b"{\"gap\":", &gap[..], b"}\n"].concat());
        }
        for message in &self.messages {
            out.extend(message);
            out.push(b'\n');
        }
        out
    }

    /// What lines have no place for.
    fn put_rest(&self, headers: &mut HeaderMap) {
        for (name, value) in [(NEXT, self.next()), (PREVIOUS, self.previous()), (MORE, self.more.to_string())]
        {
            if let Ok(value) = HeaderValue::from_str(&value) {
                headers.insert(name, value);
            }
        }
    }

    /// What to say for `from` to read on.
    fn next(&self) -> String {
        written(&self.upto)
    }

    /// What to say for `before` to read back.
    fn previous(&self) -> String {
        let above = |place: &Position| Position { offset: place.offset.next(), ..*place };
        written(&self.after.iter().map(above).collect::<Vec<_>>())
    }

    fn gap_text(&self) -> Option<Vec<u8>> {
        self.gap.map(|gap| serde_json::to_vec(&gap).unwrap_or_default())
    }

    fn bytes(&self) -> usize {
        self.messages.iter().map(|message| message.len() + 1).sum()
    }
}

/// Whether messages are to come as lines.
fn wants_lines(asked: &HeaderMap) -> bool {
    let accepted = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    [LINES, "application/jsonl"].iter().any(|kind| accepted.contains(kind))
}

const LINES: &str = "application/x-ndjson";
const NEXT: &str = "tidewire-next";
const PREVIOUS: &str = "tidewire-previous";
const MORE: &str = "tidewire-more";
/// Messages of a page, unless it is asked for fewer or more. Its bytes are bounded besides.
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// How often a key's latest message is looked for that others set meanwhile.
const TRIES: usize = 8;
/// Proxies cut off what says nothing for a minute.
const WAIT_MAX: Duration = Duration::from_secs(50);
