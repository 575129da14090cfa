//! What a message has besides its payload, and on which terms it is published, as requests have it: in headers, or beside the
//! payload of one of several.

use std::borrow::Cow;

use axum::http::HeaderMap;
use axum::http::header::{HeaderName, HeaderValue, IF_MATCH, IF_NONE_MATCH};
use tidewire_protocol::attributes::{Attributes, Headers, KEY_BYTES_MAX};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Durability;
use tidewire_protocol::position::Position;

use crate::http::origin::HEADER_PREFIX;
use crate::http::problem::Problem;
use crate::http::query::{DAYS_MAX, shown, span_or_seconds};

/// The same of one of several messages.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    pub(super) key: Option<&'a str>,
    pub(super) headers: &'a Headers<'a>,
    pub(super) ttl_ms: Option<u64>,
    pub(super) remove: bool,
    pub(super) if_version: Option<&'a str>,
    pub(super) if_absent: bool,
    pub(super) durability: Option<&'a str>,
}

impl<'a> Beside<'a> {
    /// What the message has, and its terms.
    ///
    /// # Errors
    /// What no message may have.
    pub(super) fn read(&self) -> Result<(Attributes<'a>, Terms), Problem> {
        let headers = Headers::take(self.headers.as_bytes()).unwrap_or_default();
        let (key, remove) = (given_key("key", self.key)?.into(), self.remove);
        let ttl_ms = match self.ttl_ms {
            Some(0) => return Err(Problem::bad_request(format!("`ttl_ms` is {TTL_MIN}"))),
            ttl_ms => ttl_ms.unwrap_or_default(),
        };
        let if_version = self.if_version.map(|text| version(text, "if_version")).transpose()?;
        let durability = self.durability.map(|text| durability(text, "durability")).transpose()?;
        let terms = Terms { if_version, if_absent: self.if_absent, durability };
        checked(Attributes { key, headers, ttl_ms, remove }, terms)
    }
}

/// What a message has whose payload is a request's body, and its terms.
///
/// # Errors
/// A header that cannot be understood, or what no message may have.
pub(super) fn of_headers(headers: &HeaderMap) -> Result<(Attributes<'static>, Terms), Problem> {
    check_names(headers)?;
    let key = given_key(KEY, one(headers, KEY)?)?.to_owned();
    let ttl_ms = one(headers, TTL)?.map(ttl_ms).transpose()?.unwrap_or_default();
    let remove = match one(headers, REMOVE)? {
        None | Some("false") => false,
        Some("true") => true,
        Some(_) => return Err(Problem::bad_request("`tidewire-remove` is true or false")),
    };
    let if_absent = match one(headers, IF_NONE_MATCH.as_str())? {
        None => false,
        Some("*") => true,
        Some(_) => {
            return Err(Problem::bad_request("`if-none-match` is *: publish if the key has no value"));
        }
    };
    let if_version = one(headers, IF_MATCH.as_str())?.map(|text| version(text.trim_matches('"'), "if-match"));
    let durability = one(headers, DURABILITY)?.map(|text| durability(text, "tidewire-durability"));
    let terms = Terms { if_version: if_version.transpose()?, if_absent, durability: durability.transpose()? };
    let attributes = Attributes { key: key.into(), headers: message_headers(headers)?, ttl_ms, remove };
    checked(attributes, terms)
}

/// Refuses headers of a request for several messages that say something of one.
///
/// # Errors
/// It names the first.
pub(super) fn none_of_one(headers: &HeaderMap) -> Result<(), Problem> {
    let is_of_one =
        |name: &&str| name.starts_with(PREFIX) || [IF_MATCH.as_str(), IF_NONE_MATCH.as_str()].contains(name);
    match headers.keys().map(HeaderName::as_str).find(is_of_one) {
        None => Ok(()),
        Some(name) => Err(Problem::bad_request(format!(
            "`{}` is about one message: of several each says in the body what it has besides",
            shown(name)
        ))),
    }
}

/// A name that is mistyped must not be lost without a word.
fn check_names(headers: &HeaderMap) -> Result<(), Problem> {
    let is_unknown = |name: &&str| {
        let is_of_message = name.strip_prefix(HEADER_PREFIX).is_some_and(|name| !name.is_empty());
        name.starts_with(PREFIX) && !is_of_message && !OURS.contains(name)
    };
    match headers.keys().map(HeaderName::as_str).find(is_unknown) {
        None => Ok(()),
        Some(name) => Err(Problem::bad_request(format!(
            "`{}` is no header here; there are `{}`, and `{HEADER_PREFIX}NAME` for headers of the message",
            shown(name),
            OURS.join("`, `")
        ))),
    }
}

/// Headers of the message: those that say so, and a trace.
fn message_headers(headers: &HeaderMap) -> Result<Headers<'static>, Problem> {
    let mut pairs: Vec<(&str, Cow<'_, str>)> = Vec::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) {
            pairs.push((name, text(name, value)?.into()));
        }
    }
    // The state belongs to its parent.
    if let Some(parent) = trace_parent(headers)
        && add(&mut pairs, TRACEPARENT, parent.into())
        && let Some(state) = trace_state(headers)
    {
        add(&mut pairs, TRACESTATE, state.into());
    }
    Ok(Headers::of(pairs))
}

/// Adds a header that somebody between may have set, unless the message has one of the name or may not have it: nobody loses a
/// message by that.
fn add<'h>(pairs: &mut Vec<(&'h str, Cow<'h, str>)>, name: &'h str, value: Cow<'h, str>) -> bool {
    pairs.push((name, value));
    let headers = Headers::of(pairs.iter().map(|(name, value)| (*name, value)));
    let may_be = Attributes { headers, ..Attributes::default() }.check().is_ok();
    if !may_be {
        pairs.pop();
    }
    may_be
}

/// One that comes several times says nothing.
fn trace_parent(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(TRACEPARENT).iter();
    let value = values.next().filter(|_| values.next().is_none())?;
    text(TRACEPARENT, value).ok()
}

/// One list, of however many headers.
fn trace_state(headers: &HeaderMap) -> Option<String> {
    let values = headers.get_all(TRACESTATE).iter().map(|value| text(TRACESTATE, value).ok());
    let values: Vec<&str> = values.collect::<Option<_>>()?;
    (!values.is_empty()).then(|| values.join(","))
}

/// A key of no bytes would be none, which is hardly what was meant.
fn given_key<'a>(name: &str, key: Option<&'a str>) -> Result<&'a str, Problem> {
    if key == Some("") {
        let why = format!("`{name}` has 1 to {KEY_BYTES_MAX} bytes: leave it out where there is none");
        return Err(Problem::bad_request(why));
    }
    Ok(key.unwrap_or_default())
}

fn checked(attributes: Attributes<'_>, terms: Terms) -> Result<(Attributes<'_>, Terms), Problem> {
    attributes.check().map_err(|bad| Problem::bad_request(bad.to_string()))?;
    terms.check(&attributes.key).map_err(|bad| Problem::bad_request(bad.to_string()))?;
    Ok((attributes, terms))
}

fn ttl_ms(text: &str) -> Result<u64, Problem> {
    let span = span_or_seconds(text).and_then(|span| u64::try_from(span.as_millis()).ok());
    span.filter(|ms| *ms > 0).ok_or_else(|| {
        Problem::bad_request(format!(
            "`{TTL}` is a span such as 10s (ms, s, m, h or d), or seconds: {DAYS_MAX} days at most, and {TTL_MIN}"
        ))
    })
}

fn version(text: &str, name: &str) -> Result<Position, Problem> {
    text.parse().map_err(|_| {
        Problem::bad_request(format!("`{name}` is EPOCH:OFFSET, the place of the key's latest message"))
    })
}

fn durability(text: &str, name: &str) -> Result<Durability, Problem> {
    match text {
        "memory" => Ok(Durability::Memory),
        "synced" => Ok(Durability::Synced),
        _ => Err(Problem::bad_request(format!("`{name}` is memory or synced"))),
    }
}

/// A header that may come once.
fn one<'h>(headers: &'h HeaderMap, name: &str) -> Result<Option<&'h str>, Problem> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(Problem::bad_request(format!("`{name}` comes once")));
    }
    text(name, value).map(Some)
}

/// Headers are bytes by themselves; ours are UTF-8.
fn text<'h>(name: &str, value: &'h HeaderValue) -> Result<&'h str, Problem> {
    std::str::from_utf8(value.as_bytes())
        .map_err(|_| Problem::bad_request(format!("the header `{name}` is no UTF-8 text")))
}

/// What all of ours begin with.
const PREFIX: &str = "tidewire-";
const OURS: [&str; 4] = [KEY, TTL, REMOVE, DURABILITY];
const TTL_MIN: &str = "at least a millisecond: leave it out for no bound";
const KEY: &str = "tidewire-key";
const TTL: &str = "tidewire-ttl";
const REMOVE: &str = "tidewire-remove";
const DURABILITY: &str = "tidewire-durability";
/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_protocol::attributes::HEADERS_BYTES_MAX;

    use super::*;

    /// What a request with these headers makes of its message's.
    #[track_caller]
    fn check(headers: &[(&'static str, &[u8])], expected: &[(&str, &str)]) {
        let mut of_request = HeaderMap::new();
        for (name, value) in headers {
            of_request.append(*name, HeaderValue::from_bytes(value).unwrap());
        }
        let (attributes, _) = of_headers(&of_request).unwrap();
        assert_eq!(attributes.headers.iter().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn a_trace_goes_along_as_far_as_it_can_be_taken() {
        const PARENT: (&str, &[u8]) = ("traceparent", b"00-ab-cd-01");
        let parent = ("traceparent", "00-ab-cd-01");
        check(&[PARENT], &[parent]);
        check(
            &[("tracestate", b"a=1"), PARENT, ("tracestate", b"b=2,c=3")],
            &[parent, ("tracestate", "a=1,b=2,c=3")],
        );
        check(&[PARENT, ("tracestate", b"a=1"), ("tracestate", b"b=\xff")], &[parent]);
        check(&[PARENT, ("tracestate", b"a=1\tb")], &[parent]);
        check(&[("traceparent", b"\xff"), ("tracestate", b"a=1")], &[]);
        check(&[PARENT, PARENT, ("tracestate", b"a=1")], &[]);
        check(&[("tracestate", b"a=1")], &[]);
        check(
            &[PARENT, ("tidewire-header-traceparent", b"own"), ("tracestate", b"a=1")],
            &[("traceparent", "own")],
        );
        // What is the message's own has the room first.
        let long = "v".repeat(HEADERS_BYTES_MAX - 30);
        check(
            &[("tracestate", b"a=1"), PARENT, ("tidewire-header-a", long.as_bytes())],
            &[("a", &long), parent],
        );
        let longer = "v".repeat(HEADERS_BYTES_MAX - 10);
        check(&[PARENT, ("tidewire-header-a", longer.as_bytes())], &[("a", &longer)]);
    }
}
