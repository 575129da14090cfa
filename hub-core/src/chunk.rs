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

/// Takes chunks apart as their bytes come, for whoever sends on what they hold in another way.
#[derive(Debug)]
pub struct Reader(Expected);

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expected {
    /// Digits of a length, of which these were read.
    Length(usize),
    /// The end of the line with the length of so many bytes.
    LineEnd(usize),
    /// So many bytes, at least one.
    Payload(usize),
    /// So many bytes behind a payload.
    Behind(u8),
    /// So many bytes behind the last chunk.
    Last(u8),
}

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part<'a> {
    /// Some of what a chunk holds.
    Payload(&'a [u8]),
    /// All that there was to read is read.
    Nothing,
    /// The body is over.
    End,
}

/// These are no chunks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("what comes are no chunks")]
pub struct NoChunks;

impl Default for Reader {
    fn default() -> Self {
        Self(Expected::Length(0))
    }
}

impl Reader {
    /// Takes the next part off `bytes`.
    ///
    /// # Errors
    /// [`NoChunks`] if nobody who writes chunks has written that.
    pub fn next<'a>(&mut self, bytes: &mut &'a [u8]) -> Result<Part<'a>, NoChunks> {
        loop {
            if self.0 == Expected::Last(0) {
                return Ok(Part::End);
            }
            if let Expected::Payload(left) = self.0
                && !bytes.is_empty()
            {
                let (payload, rest) = bytes.split_at(left.min(bytes.len()));
                *bytes = rest;
                let left = left - payload.len();
                self.0 = if left == 0 { Expected::Behind(2) } else { Expected::Payload(left) };
                return Ok(Part::Payload(payload));
            }
            let Some((byte, rest)) = bytes.split_first() else { return Ok(Part::Nothing) };
            *bytes = rest;
            self.0 = self.0.after(*byte)?;
        }
    }
}

impl Expected {
    fn after(self, byte: u8) -> Result<Self, NoChunks> {
        match (self, byte) {
            (Self::Length(length), b'\r') => Ok(Self::LineEnd(length)),
            (Self::Length(length), byte) => {
                let digit = char::from(byte).to_digit(16).ok_or(NoChunks)? as usize;
                let length = length.checked_mul(16).and_then(|length| length.checked_add(digit));
                Ok(Self::Length(length.ok_or(NoChunks)?))
            }
            (Self::LineEnd(0), b'\n') => Ok(Self::Last(2)),
            (Self::LineEnd(length), b'\n') => Ok(Self::Payload(length)),
            (Self::Behind(2), b'\r') => Ok(Self::Behind(1)),
            (Self::Behind(1), b'\n') => Ok(Self::Length(0)),
            (Self::Last(2), b'\r') => Ok(Self::Last(1)),
            (Self::Last(1), b'\n') => Ok(Self::Last(0)),
            (Self::LineEnd(_) | Self::Payload(_) | Self::Behind(_) | Self::Last(_), _) => Err(NoChunks),
        }
    }
}

/// Bytes of a chunk besides what it holds, at most.
pub const OVERHEAD_BYTES_MAX: usize = 16 + 4;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_are_taken_apart_wherever_they_are_cut() {
        let (mut bytes, mut whole) = (Vec::new(), Vec::new());
        for len in [1, 9, 16, 255, 5_000] {
            let payload = &b"0\r\n\r\n".repeat(len)[..len];
            whole.extend_from_slice(payload);
            put(payload, &mut bytes);
        }
        put_last(&mut bytes);
        for step in [1, 2, 3, 7, 4_096, bytes.len()] {
            let (mut reader, mut found, mut is_over) = (Reader::default(), Vec::new(), false);
            for mut some in bytes.chunks(step) {
                assert!(!is_over);
                is_over = loop {
                    match reader.next(&mut some).expect("they are chunks") {
                        Part::Payload(payload) => found.extend_from_slice(payload),
                        Part::Nothing => break false,
                        Part::End => break true,
                    }
                };
            }
            assert!(is_over && found == whole, "{step}");
        }
        for wrong in [&b"x"[..], b"1\r\rx", b"1\r\nxx", b"-1\r\n", b"ffffffffffffffffff\r\n", b"0\r\nx"] {
            let (mut reader, mut bytes) = (Reader::default(), wrong);
            let refused = loop {
                match reader.next(&mut bytes) {
                    Ok(Part::Payload(_)) => {}
                    Ok(Part::Nothing | Part::End) => break false,
                    Err(NoChunks) => break true,
                }
            };
            assert!(refused, "{wrong:?}");
        }
    }

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
