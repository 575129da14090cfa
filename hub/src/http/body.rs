//! Bodies of requests, read whole: bounded, timed by their connection, and charged to whoever sends them while they come.

use std::pin::Pin;
use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::http::HeaderMap;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderValue};
use tidewire_hub_core::ledger::{Account, Charge, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_protocol::code::{Code, Content};

use crate::http::problem::Problem;

/// The bytes of a body, and what they are charged with.
#[derive(Debug)]
pub struct Whole {
    /// They.
    pub bytes: Vec<u8>,
    #[expect(dead_code, reason = "given back with it")]
    charge: Charge,
}

/// Reads a body of at most so many bytes.
///
/// # Errors
/// It is larger, compressed, or cut off, or there is no room for it now.
pub async fn read(
    headers: &HeaderMap,
    mut body: Body,
    bytes_max: usize,
    account: &Arc<Account>,
    limits: &Limits,
) -> Result<Whole, Problem> {
    if headers.contains_key(CONTENT_ENCODING) {
        let detail = "bodies come as they are: `content-encoding` is not taken";
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_supported", detail));
    }
    let too_large = || {
        Problem::from(Code::TooLarge)
            .saying(format!("a body has at most {bytes_max} bytes here, by the hub's limits or the token's"))
    };
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    if announced > bytes_max {
        return Err(too_large());
    }
    let room = limits.half_received_fit() / 2;
    let (mut bytes, mut charge) = (Vec::new(), Charge::new(account, Kind::HalfReceived));
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Problem::bad_request("the body is cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        if bytes.len() + data.len() > bytes_max {
            return Err(too_large());
        }
        let wanted = bytes.len() + data.len();
        if wanted.max(announced) > room {
            let says = format!(
                "a body has room for {room} bytes here, half of what may have begun to come: `half_received_bytes_max`"
            );
            return Err(Problem::from(Code::TooLarge).saying(says));
        }
        if !account.may_hold(Kind::HalfReceived, data.len(), limits.half_received_fit()) {
            return Err(Code::Overloaded.into());
        }
        if wanted > bytes.capacity() {
            let twice = 2 * bytes.capacity();
            // No more than it is to have, if that is told.
            let room = if announced >= wanted { twice.min(announced) } else { twice };
            bytes.reserve_exact(room.max(wanted) - bytes.len());
        }
        bytes.extend_from_slice(&data);
        charge.set(bytes.capacity());
    }
    Ok(Whole { bytes, charge })
}

/// What a message is, by the type that its body has.
///
/// # Errors
/// A type that stands for something else than a message.
pub(super) fn content_of(headers: &HeaderMap) -> Result<Content, Problem> {
    let Some(header) = headers.get(CONTENT_TYPE) else { return Ok(Content::Binary) };
    let kind = essence(header);
    match kind.as_str() {
        "application/x-www-form-urlencoded" | "multipart/form-data" => {
            let detail = "a message is no form: say what it is, as in `content-type: application/json`";
            Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_supported", detail))
        }
        "application/json" => Ok(Content::Json),
        "application/cbor" => Ok(Content::Cbor),
        kind if kind.ends_with("+json") => Ok(Content::Json),
        kind if kind.starts_with("text/") => Ok(Content::Text),
        _ => Ok(Content::Binary),
    }
}

/// Refuses a body that is said to be JSON or a text and is not: whoever reads the message could make nothing of it.
///
/// # Errors
/// What is wrong with it.
pub(super) fn check(content: Content, bytes: &[u8]) -> Result<(), Problem> {
    match content {
        Content::Json => match serde_json::from_slice::<serde::de::IgnoredAny>(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Problem::bad_request(format!("the body is no JSON: {error}"))),
        },
        Content::Text => match std::str::from_utf8(bytes) {
            Ok(_) => Ok(()),
            Err(error) => Err(Problem::bad_request(format!("the body is no UTF-8 text: {error}"))),
        },
        Content::Binary | Content::Cbor => Ok(()),
        Content::Unknown => Err(Problem::bad_request("`content` is one of json, text, binary and cbor")),
    }
}

/// The type that a header names, without its parameters.
pub fn essence(header: &HeaderValue) -> String {
    let text = header.to_str().unwrap_or_default();
    text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()
}
