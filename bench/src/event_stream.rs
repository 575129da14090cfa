//! Just enough HTTP for a load generator that listens to Server-Sent Events: a request, and the chunks of its answer.

use anyhow::{Context as _, Result, ensure};
use memchr::memmem;

use crate::websocket::head_end;

/// Appends a client's request for events.
pub fn put_request(path: &str, out: &mut Vec<u8>) {
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    out.extend_from_slice(request.as_bytes());
}

/// Takes the head of a server's answer from the front of `bytes`; false if it has not come whole.
///
/// # Errors
/// If it is not "200 OK".
pub fn take_answer(bytes: &mut &[u8]) -> Result<bool> {
    let Some(end) = head_end(bytes) else { return Ok(false) };
    let head = String::from_utf8_lossy(&bytes[..end]);
    ensure!(head.starts_with("HTTP/1.1 200"), "the server refuses: {head}");
    *bytes = &bytes[end..];
    Ok(true)
}

/// Cuts one chunk from the front of `bytes`; `None` if it has not come whole.
///
/// # Errors
/// If the bytes are no chunk, or the last.
#[inline]
pub fn cut<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>> {
    let head = &bytes[..bytes.len().min(LENGTH_BYTES_MAX)];
    let Some(digits) = memmem::find(head, b"\r\n") else {
        ensure!(head.len() < LENGTH_BYTES_MAX, "a chunk without a length");
        return Ok(None);
    };
    let length =
        std::str::from_utf8(&head[..digits]).ok().and_then(|digits| usize::from_str_radix(digits, 16).ok());
    let length = length.context("a chunk without a length")?;
    ensure!(length > 0, "the server ends the stream");
    let start = digits + 2;
    if bytes.len() < start + length + 2 {
        return Ok(None);
    }
    let payload = &bytes[start..start + length];
    *bytes = &bytes[start + length + 2..];
    Ok(Some(payload))
}

const LENGTH_BYTES_MAX: usize = 20;
