//! What a message has besides its payload, and on which terms it is published, as requests have it: in headers, or beside the
//! payload of one of several.

use axum::http::HeaderMap;
use axum::http::header::{HeaderValue, IF_MATCH, IF_NONE_MATCH};
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Durability;
use tidewire_protocol::position::Position;

use crate::http::origin::HEADER_PREFIX;
use crate::http::problem::Problem;
use crate::http::query::span_or_seconds;

/// The same of one of several messages.
#[derive(Debug)]
pub(super) struct Beside<'a> {
    pub(super) key: &'a str,
    pub(super) headers: &'a Headers<'a>,
    pub(super) ttl_ms: u64,
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
        let (key, ttl_ms, remove) = (self.key.into(), self.ttl_ms, self.remove);
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
    let key = one(headers, KEY)?.unwrap_or_default().to_owned();
    let ttl_ms = match one(headers, TTL)? {
        None => 0,
        Some(text) => {
            let span = span_or_seconds(text).and_then(|span| u64::try_from(span.as_millis()).ok());
            span.ok_or_else(|| Problem::bad_request("`tidewire-ttl` is a span such as 10s, or seconds"))?
        }
    };
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

/// Headers of the message: those that say so, and a trace.
fn message_headers(headers: &HeaderMap) -> Result<Headers<'static>, Problem> {
    let mut pairs: Vec<(&str, &str)> = Vec::new();
    for (name, value) in headers {
        if let Some(name) = name.as_str().strip_prefix(HEADER_PREFIX) {
            pairs.push((name, text(name, value)?));
        }
    }
    for name in [TRACEPARENT, TRACESTATE] {
        if let Some(value) = one(headers, name)?
            && pairs.iter().all(|(known, _)| *known != name)
        {
            pairs.push((name, value));
        }
    }
    Ok(Headers::of(pairs))
}

fn checked(attributes: Attributes<'_>, terms: Terms) -> Result<(Attributes<'_>, Terms), Problem> {
    attributes.check().map_err(|bad| Problem::bad_request(bad.to_string()))?;
    terms.check(&attributes.key).map_err(|bad| Problem::bad_request(bad.to_string()))?;
    Ok((attributes, terms))
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

const KEY: &str = "tidewire-key";
const TTL: &str = "tidewire-ttl";
const REMOVE: &str = "tidewire-remove";
const DURABILITY: &str = "tidewire-durability";
/// W3C Trace Context.
const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
