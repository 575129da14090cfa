//! Reading: pages of what topics keep, where a topic stands, and what comes next to whoever waits for it.

use std::time::Duration;

use axum::extract::{Path, Request, State};
use axum::http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use axum::response::{IntoResponse as _, Response};
use serde::Serialize;
use tidewire_hub_core::access::caller::Right;
use tidewire_hub_core::reading::job::PageRead;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::code::Code;
use tidewire_protocol::json;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::http::problem::Problem;
use crate::http::query::{Query, written};
use crate::http::{Api, json_response};

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
#[derive(Debug, Serialize)]
struct Standing {
    topic: String,
    position: String,
}

/// `GET /v1/topics/{topic}/messages`
pub(super) async fn messages(
    State(api): State<Api>,
    Path(topic): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let query = Query::read(parts.uri.query(), &["from", "before", "limit", "wait"], &[])?;
    let limit = query.number("limit", LIMIT_DEFAULT, LIMIT_MAX)?;
    let wait = query.span("wait", WAIT_MAX)?;
    let (from, before) = (query.start("from")?, query.places("before")?);
    let start = match (from, before) {
        (Some(_), Some(_)) => {
            return Err(Problem::bad_request("`from` reads on and `before` reads back: say one"));
        }
        (_, Some(_)) if wait.is_some() => return Err(Problem::bad_request("`wait` goes with `from` alone")),
        (None, Some(positions)) => Start::Before { last: limit, positions },
        (from, None) => from.unwrap_or(Start::Earliest),
    };
    let visitor = api.admit(&parts).await?;
    let (desk, by) = (api.desk(), visitor.by());
    let what = desk.readable(by, Right::History, &topic)?;
    let bytes_max = desk.topics().limits().page_bytes_max;
    let read = match wait {
        Some(patience) => {
            visitor.waits(patience);
            let page = desk.next_page(by, &what, &start, bytes_max, patience).await?;
            // Others may hold than when it began to wait.
            desk.readable(by, Right::History, &topic)?;
            page
        }
        None => desk.page(by, &what, &start, bytes_max).await?,
    };
    let is_back = matches!(start, Start::Before { .. });
    Ok(answer(Told::of(read, limit, is_back)?, &parts.headers))
}

/// `GET /v1/topics/{topic}/position`
pub(super) async fn position(
    State(api): State<Api>,
    Path(topic): Path<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    Query::read(parts.uri.query(), &[], &[])?;
    let visitor = api.admit(&parts).await?;
    let (desk, by) = (api.desk(), visitor.by());
    let what = desk.readable(by, Right::History, &topic)?;
    let page = desk.page(by, &what, &Start::Latest, 0).await?;
    Ok(json_response(&Standing { topic, position: written(&page.upto) }))
}

impl Told {
    /// The messages of a page, so many at most: where it reads back these are the newest.
    fn of(read: PageRead, limit: u64, is_back: bool) -> Result<Self, Code> {
        let PageRead { after, mut upto, gap, blocks, more } = read;
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let (mut messages, mut last) = (Vec::new(), (0, Offset(0)));
        for block in blocks_of_page(&blocks).flatten() {
            let log = if after.len() == 1 { 0 } else { usize::try_from(block.log).unwrap_or(usize::MAX) };
            let begin = after.get(log).map_or(Offset(0), |place| place.offset);
            let end = upto.get(log).map_or(Offset(0), |place| place.offset);
            for message in block.messages().flatten().filter(|it| it.offset > begin && it.offset <= end) {
                if messages.len() == limit && !is_back {
                    end_at(last, &after, &mut upto);
                    return Ok(Self { messages, gap, after, upto, more: true });
                }
                last = (log, message.offset);
                let mut text = Vec::new();
                json::put_message(message, &mut text).map_err(|_| Code::Internal)?;
                messages.push(text);
            }
        }
        Ok(Self { messages, gap, after, upto, more })
    }
}

/// Ends a page behind a message. Those of one log come before those of the next: of what comes later there is nothing.
fn end_at((log, offset): (usize, Offset), after: &[Position], upto: &mut [Position]) {
    for (place, begin) in upto.iter_mut().zip(after).skip(log + 1) {
        *place = *begin;
    }
    if let Some(place) = upto.get_mut(log) {
        place.offset = offset;
    }
}

/// As lines, if these are asked for, else as one object.
fn answer(told: Told, asked: &HeaderMap) -> Response {
    let accepted = asked.get(ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    let as_lines = [LINES, "application/jsonl"].iter().any(|kind| accepted.contains(kind));
    let Told { messages, gap, after, upto, more } = told;
    let gap = gap.map(|gap| serde_json::to_vec(&gap).unwrap_or_default());
    let above = |place: &Position| Position { offset: place.offset.next(), ..*place };
    let (next, previous) = (written(&upto), written(&after.iter().map(above).collect::<Vec<_>>()));
    let mut out = Vec::with_capacity(messages.iter().map(|it| it.len() + 1).sum::<usize>() + 256);
    if as_lines {
        if let Some(gap) = gap {
            out.extend([b"{\"gap\":", &gap[..], b"}\n"].concat());
        }
        for message in messages {
            out.extend(message);
            out.push(b'\n');
        }
        let mut response = ([(CONTENT_TYPE, LINES), (CACHE_CONTROL, "no-store")], out).into_response();
        for (name, value) in [(NEXT, next), (PREVIOUS, previous), (MORE, more.to_string())] {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        return response;
    }
    out.extend(b"{\"messages\":[");
    out.extend(messages.join(&b','));
    out.push(b']');
    if let Some(gap) = gap {
        out.extend([b",\"gap\":", &gap[..]].concat());
    }
    let rest = format!(",\"next\":\"{next}\",\"previous\":\"{previous}\",\"more\":{more}}}");
    out.extend(rest.as_bytes());
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")], out).into_response()
}

const LINES: &str = "application/x-ndjson";
const NEXT: &str = "tidewire-next";
const PREVIOUS: &str = "tidewire-previous";
const MORE: &str = "tidewire-more";
/// Messages of a page, unless it is asked for fewer or more. Its bytes are bounded besides.
const LIMIT_DEFAULT: u64 = 100;
const LIMIT_MAX: u64 = 1_000;
/// Proxies cut off what says nothing for a minute.
const WAIT_MAX: Duration = Duration::from_secs(50);
