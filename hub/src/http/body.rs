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
    let (mut bytes, mut charge) = (Vec::new(), Charge::new(account, Kind::HalfReceived));
    while let Some(frame) = std::future::poll_fn(|cx| Pin::new(&mut body).poll_frame(cx)).await {
        let frame = frame.map_err(|_| Problem::bad_request("the body is cut off"))?;
        let Ok(data) = frame.into_data() else { continue };
        let wanted = bytes.len() + data.len();
        if wanted > bytes_max {
            return Err(too_large());
        }
        if wanted > bytes.capacity() {
            // No more than it is to have, if that is told, and never more than it may have: an idle hub has room for that.
            let most = if announced >= wanted { announced } else { bytes_max };
            let roomy = (2 * bytes.capacity()).clamp(wanted, most);
            if !account.may_hold(Kind::HalfReceived, roomy - charge.bytes(), limits.half_received_fit()) {
                return Err(Code::Overloaded.into());
            }
            bytes.reserve_exact(roomy - bytes.len());
            charge.set(bytes.capacity());
        }
        bytes.extend_from_slice(&data);
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use axum::response::IntoResponse as _;
    use tidewire_hub_core::ledger::{AccountKey, Ledger};

    use super::*;

    /// What becomes of a body of so many bytes, if it says how long it is, and if it comes in chunks.
    async fn taken(limits: &Limits, bytes: usize, chunk: usize) -> [Result<(), StatusCode>; 2] {
        let chunks = vec![7; bytes];
        let chunks: Vec<_> = chunks.chunks(chunk).map(|it| Ok::<_, std::io::Error>(it.to_vec())).collect();
        let bodies = [Body::from(vec![7; bytes]), Body::from_stream(futures_util::stream::iter(chunks))];
        let ledger = Arc::new(Ledger::default());
        let mut taken = [Ok(()), Ok(())];
        for (body, taken) in bodies.into_iter().zip(&mut taken) {
            let account = ledger.account(AccountKey(1));
            let read = read(&HeaderMap::new(), body, limits.frame_bytes_max, &account, limits).await;
            *taken = match read {
                Ok(whole) => {
                    assert_eq!(whole.bytes.len(), bytes);
                    assert!(account.held(Kind::HalfReceived) <= limits.half_received_fit() / 2);
                    Ok(())
                }
                Err(problem) => Err(problem.into_response().status()),
            };
        }
        taken
    }

    #[tokio::test]
    async fn what_fits_by_length_fits_in_chunks_and_no_more() {
        for frame_bytes_max in [32 << 10, 100_000, 1_000_001] {
            let half_received_bytes_max = 2 * frame_bytes_max;
            let limits = Limits { frame_bytes_max, half_received_bytes_max, ..Limits::default() };
            for chunk in [997, 16 << 10, 65_537] {
                for bytes in [0, 1, frame_bytes_max / 2 + 1, frame_bytes_max - 1, frame_bytes_max] {
                    assert_eq!(taken(&limits, bytes, chunk).await, [Ok(()), Ok(())], "{bytes} by {chunk}");
                }
                let too_large = Err(StatusCode::PAYLOAD_TOO_LARGE);
                assert_eq!(taken(&limits, frame_bytes_max + 1, chunk).await, [too_large; 2]);
            }
        }
    }
}
