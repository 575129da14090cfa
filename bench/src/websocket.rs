//! Just enough WebSocket for a load generator and the servers it compares with: one handshake with a fixed key,
//! and frames cut where they lie.

use anyhow::{Result, bail, ensure};

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// The rest of a message.
    Continuation,
    /// UTF-8.
    Text,
    /// Bytes.
    Binary,
    /// The other side ends the connection.
    Close,
    /// Wants a pong.
    Ping,
    /// Answers a ping.
    Pong,
}

/// A frame from a server.
#[derive(Debug, Clone, Copy)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// Whether its message ends with it.
    pub last: bool,
    /// The bytes.
    pub payload: &'a [u8],
}

/// The answer to [`KEY`] that RFC 6455 prescribes.
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// The key of RFC 6455's example; nothing is secret about it.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
/// The key that masks every frame we send. Real clients draw it, which costs the server nothing.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Appends a client's request for a WebSocket.
pub fn put_request(path: &str, subprotocol: Option<&str>, out: &mut Vec<u8>) {
    let offer = subprotocol.map(|name| format!("Sec-WebSocket-Protocol: {name}\r\n")).unwrap_or_default();
    let request = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {KEY}\r\n{offer}\r\n"
    );
    out.extend_from_slice(request.as_bytes());
}

/// Appends a server's answer to a request with [`KEY`].
pub fn put_answer(out: &mut Vec<u8>) {
    let answer = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {ACCEPT}\r\n\r\n"
    );
    out.extend_from_slice(answer.as_bytes());
}

/// Takes a server's answer from the front of `bytes`; false if it has not come whole.
///
/// # Errors
/// If it is not "101 Switching Protocols" for our key.
pub fn take_answer(bytes: &mut &[u8]) -> Result<bool> {
    let Some(end) = head_end(bytes) else {
        ensure!(bytes.len() < HEAD_BYTES_MAX, "the answer's head does not end");
        return Ok(false);
    };
    let head = String::from_utf8_lossy(&bytes[..end]);
    ensure!(
        head.starts_with("HTTP/1.1 101") && head.contains(ACCEPT),
        "the server refuses the upgrade: {}",
        head.lines().next().unwrap_or_default()
    );
    *bytes = &bytes[end..];
    Ok(true)
}

/// Bytes of an HTTP head with the empty line that ends it, if it is there.
#[must_use]
pub fn head_end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// Cuts one frame of a server from the front of `bytes`; `None` if it has not come whole.
///
/// # Errors
/// If the bytes are no frame that a server may send.
#[inline]
pub fn cut<'a>(bytes: &mut &'a [u8]) -> Result<Option<Frame<'a>>> {
    let Some(header) = Header::read(bytes)? else { return Ok(None) };
    ensure!(!header.masked, "a server masks its frames");
    if bytes.len() - header.bytes < header.len {
        return Ok(None);
    }
    let (payload, rest) = bytes[header.bytes..].split_at(header.len);
    *bytes = rest;
    Ok(Some(Frame { opcode: header.opcode, last: header.last, payload }))
}

/// Cuts one frame of a client from `bytes` at `*at` and unmasks it in place; `None` if it has not come whole.
///
/// # Errors
/// If the bytes are no frame that a client may send.
pub fn cut_masked<'a>(bytes: &'a mut [u8], at: &mut usize) -> Result<Option<Frame<'a>>> {
    let Some(header) = Header::read(&bytes[*at..])? else { return Ok(None) };
    ensure!(header.masked, "a client must mask its frames");
    let start = *at + header.bytes + 4;
    if bytes.len() < start + header.len {
        return Ok(None);
    }
    *at = start + header.len;
    let (before, payload) = bytes[..*at].split_at_mut(start);
    let mask = &before[start - 4..];
    for (index, byte) in payload.iter_mut().enumerate() {
        *byte ^= mask[index & 3];
    }
    Ok(Some(Frame { opcode: header.opcode, last: header.last, payload }))
}

/// Appends a client's frame whose payload `write` appends.
pub fn put_masked(opcode: Opcode, out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    // Room for the longest header, moved up to the payload once its length is known.
    let start = out.len();
    out.extend_from_slice(&[0; 14]);
    write(out);
    let payload_start = start + 14;
    let len = out.len() - payload_start;
    for (index, byte) in out[payload_start..].iter_mut().enumerate() {
        *byte ^= MASK[index & 3];
    }
    let mut header = Vec::with_capacity(14);
    put_header(opcode, len, 0x80, &mut header);
    header.extend_from_slice(&MASK);
    out.splice(start..payload_start, header);
}

/// Appends the header of a server's frame.
pub fn put_server_header(opcode: Opcode, len: usize, out: &mut Vec<u8>) {
    put_header(opcode, len, 0, out);
}

fn put_header(opcode: Opcode, len: usize, masked: u8, out: &mut Vec<u8>) {
    out.push(0x80 | opcode.bits());
    match len {
        0..126 => out.push(masked | len as u8),
        126..0x1_0000 => {
            out.push(masked | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        _ => {
            out.push(masked | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
}

struct Header {
    opcode: Opcode,
    last: bool,
    masked: bool,
    /// Bytes up to the mask.
    bytes: usize,
    len: usize,
}

impl Header {
    #[inline]
    fn read(bytes: &[u8]) -> Result<Option<Self>> {
        let [first, second, ..] = *bytes else { return Ok(None) };
        let (len, header_bytes) = match second & 0x7f {
            126 => match bytes.get(2..4) {
                Some(&[high, low]) => (usize::from(u16::from_be_bytes([high, low])), 4),
                _ => return Ok(None),
            },
            127 => match bytes.get(2..10).and_then(|len| <[u8; 8]>::try_from(len).ok()) {
                Some(len) => (u64::from_be_bytes(len) as usize, 10),
                None => return Ok(None),
            },
            len => (usize::from(len), 2),
        };
        ensure!(len <= FRAME_BYTES_MAX, "a frame of {len} bytes");
        let opcode = Opcode::read(first)?;
        Ok(Some(Self {
            opcode,
            last: first & 0x80 != 0,
            masked: second & 0x80 != 0,
            bytes: header_bytes,
            len,
        }))
    }
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    #[inline]
    fn read(first: u8) -> Result<Self> {
        Ok(match first & 0x7f {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            other => bail!("a frame of kind {other}"),
        })
    }
}

const HEAD_BYTES_MAX: usize = 16 << 10;
/// Bytes of the longest frame that is taken.
pub const FRAME_BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn frames_of_every_length_are_cut_as_they_were_put() {
        for len in [0, 1, 125, 126, 65_535, 65_536] {
            let payload: Vec<u8> = (0..len).map(|index| index as u8).collect();
            let mut masked = Vec::new();
            put_masked(Opcode::Binary, &mut masked, |out| out.extend_from_slice(&payload));
            let mut at = 0;
            assert_eq!(cut_masked(&mut masked, &mut at).unwrap().unwrap().payload, payload);
            assert_eq!(at, masked.len());

            let mut plain = Vec::new();
            put_server_header(Opcode::Text, len, &mut plain);
            plain.extend_from_slice(&payload);
            assert!(cut(&mut &plain[..plain.len() - 1]).unwrap().is_none());
            let mut rest = plain.as_slice();
            let frame = cut(&mut rest).unwrap().unwrap();
            assert_eq!((frame.opcode, frame.payload, rest.len()), (Opcode::Text, payload.as_slice(), 0));
        }
    }
}
