//! Answers: what they take is charged to whoever asked, until it is read.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, HeaderMap, HeaderValue, VARY};
use axum::response::Response;
use bytes::Bytes;
use serde::Serialize;
use tidewire_hub_core::ledger::{Account, Charge, Kind};
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::code::Code;
use tidewire_protocol::position::Position;

use crate::gzip;
use crate::http::problem::Problem;

/// Bytes and what they are charged with, given back together.
struct Charged {
    bytes: Vec<u8>,
    #[expect(dead_code, reason = "given back with it")]
    charge: Charge,
}

impl AsRef<[u8]> for Charged {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// A small answer that nobody is to keep.
pub fn json<T: Serialize>(answer: &T) -> Response {
    of(JSON, Body::from(serde_json::to_vec(answer).unwrap_or_default()))
}

/// One that may be large; smaller for whoever has `asked` for that.
///
/// # Errors
/// [`Code::Overloaded`] if others of the account are unread, and there is no room for as much again.
pub fn large(
    kind: &'static str,
    mut bytes: Vec<u8>,
    asked: &HeaderMap,
    account: &Arc<Account>,
    topics: &Topics,
) -> Result<Response, Problem> {
    let smaller = Some(asked).filter(|asked| gzip::is_taken(asked)).and_then(|_| gzip::gzip(&bytes));
    let is_smaller = smaller.is_some();
    bytes = smaller.unwrap_or(bytes);
    bytes.shrink_to_fit();
    if !account.may_hold(Kind::Unread, bytes.len(), topics.limits().unread_fit()) {
        topics.metrics().refused.add(Code::Overloaded.number(), 1);
        return Err(Code::Overloaded.into());
    }
    let mut charge = Charge::new(account, Kind::Unread);
    charge.set(bytes.len());
    let mut response = of(kind, Body::from(Bytes::from_owner(Charged { bytes, charge })));
    let headers = response.headers_mut();
    headers.insert(VARY, HeaderValue::from_static("accept-encoding"));
    if is_smaller {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    Ok(response)
}

/// The same, with the place of a key's latest message as what a condition names.
pub fn with_version(mut response: Response, version: Position) -> Response {
    if let Ok(tag) = HeaderValue::from_str(&format!("\"{version}\"")) {
        response.headers_mut().insert(ETAG, tag);
    }
    response
}

fn of(kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// What most answers are.
pub const JSON: &str = "application/json";
