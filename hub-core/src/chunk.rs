//! The chunks of an HTTP/1.1 body that goes on (RFC 9112, section 7.1): what each holds is whatever its length says, so that
//! nothing in it can be taken for the end of it.

use std::io::Write as _;

/// Appends a chunk. Nothing is none: an empty one would end the body.
pub fn put(payload: &[u8], out: &mut Vec<u8>) {
    if payload.is_empty() {
        return;
    }
    // Memory takes what it is given.
    let _ = write!(out, "{:x}\r\n", payload.len());
    out.extend_from_slice(payload);
    out.extend_from_slice(b"\r\n");
}

/// Appends what ends the body.
pub fn put_last(out: &mut Vec<u8>) {
    out.extend_from_slice(b"0\r\n\r\n");
}

/// Where, in bytes that are whole chunks, the one ends of which `at` bytes are written; `at` itself if none is half written.
#[must_use]
pub fn end(bytes: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let chunk = bytes.get(end..).and_then(chunk_bytes);
        let Some(chunk) = chunk else { return bytes.len() };
        end = end.saturating_add(chunk);
    }
    end.min(bytes.len())
}

fn chunk_bytes(bytes: &[u8]) -> Option<usize> {
    let digits = bytes.iter().position(|byte| *byte == b'\r')?;
    let payload = usize::from_str_radix(str::from_utf8(&bytes[..digits]).ok()?, 16).ok()?;
    payload.checked_add(digits + 4)
}

/// Bytes of a chunk besides what it holds, at most.
pub const OVERHEAD_BYTES_MAX: usize = 16 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_that_has_begun_ends_where_the_next_begins() {
        let (mut bytes, mut ends) = (Vec::new(), vec![0]);
        for len in [1, 9, 16, 255, 70_000] {
            // What looks like the end of a body is none inside of a chunk.
            put(&b"0\r\n\r\n".repeat(len)[..len], &mut bytes);
            ends.push(bytes.len());
        }
        put(b"", &mut bytes);
        put_last(&mut bytes);
        ends.push(bytes.len());
        for at in 0..=bytes.len() {
            let expected = ends.iter().find(|end| **end >= at).expect("it is within");
            assert_eq!(end(&bytes, at), *expected, "{at}");
        }
    }
}
