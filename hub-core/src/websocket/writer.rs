//! Frames the hub sends: never masked, never fragmented (RFC 6455, section 5.1).

use crate::websocket::opcode::{CONTROL_BYTES_MAX, Opcode};

/// The header of a frame to send, of 2, 4 or 10 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl Header {
    /// The header of an unfragmented frame with `payload_bytes` bytes of payload.
    pub fn new(opcode: Opcode, payload_bytes: usize) -> Self {
        let mut bytes = [0; HEADER_BYTES_MAX];
        bytes[0] = 0x80 | opcode as u8;
        let len = match payload_bytes {
            0..=125 => {
                bytes[1] = payload_bytes as u8;
                2
            }
            126..=0xFFFF => {
                bytes[1] = 126;
                bytes[2..4].copy_from_slice(&(payload_bytes as u16).to_be_bytes());
                4
            }
            _ => {
                bytes[1] = 127;
                bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
                10
            }
        };
        Self { bytes, len }
    }

    /// The bytes to send before the payload.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

/// Appends a close frame. A reason that does not fit is cut at the end of a character.
pub fn write_close(out: &mut Vec<u8>, last_words: Option<(u16, &str)>) {
    let Some((code, reason)) = last_words else {
        out.extend_from_slice(Header::new(Opcode::Close, 0).as_bytes());
        return;
    };
    let code = code.to_be_bytes();
    let reason = &reason[..reason.floor_char_boundary(CONTROL_BYTES_MAX - code.len())];
    out.extend_from_slice(Header::new(Opcode::Close, code.len() + reason.len()).as_bytes());
    out.extend_from_slice(&code);
    out.extend_from_slice(reason.as_bytes());
}

/// Where, in bytes that are whole frames of a hub, the frame ends of which `at` bytes are written; `at` itself if no frame
/// is half written.
pub fn frame_end(bytes: &[u8], at: usize) -> usize {
    let mut end = 0;
    while end < at {
        let Some([_, short, rest @ ..]) = bytes.get(end..) else { return bytes.len() };
        let (header, payload) = match (short, rest) {
            (126, [a, b, ..]) => (4, usize::from(u16::from_be_bytes([*a, *b]))),
            (127, [a, b, c, d, e, f, g, h, ..]) => {
                (10, u64::from_be_bytes([*a, *b, *c, *d, *e, *f, *g, *h]) as usize)
            }
            (short, _) => (2, usize::from(*short)),
        };
        end = end.saturating_add(header).saturating_add(payload);
    }
    end.min(bytes.len())
}

/// Appends the answer to a ping, whose payload the reader has kept to what a pong can carry.
pub fn write_pong(out: &mut Vec<u8>, ping: &[u8]) {
    debug_assert!(ping.len() <= CONTROL_BYTES_MAX, "a ping is a control frame");
    out.extend_from_slice(Header::new(Opcode::Pong, ping.len()).as_bytes());
    out.extend_from_slice(ping);
}

/// The longest header of a server's frame: what to keep free in front of a payload.
pub const HEADER_BYTES_MAX: usize = 10;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_header(opcode: Opcode, payload_bytes: usize, expected: &[u8]) {
        assert_eq!(Header::new(opcode, payload_bytes).as_bytes(), expected);
    }

    #[test]
    fn lengths_take_their_shortest_form() {
        check_header(Opcode::Text, 0, &[0x81, 0]);
        check_header(Opcode::Binary, 125, &[0x82, 125]);
        check_header(Opcode::Binary, 126, &[0x82, 126, 0, 126]);
        check_header(Opcode::Binary, 0xFFFF, &[0x82, 126, 0xFF, 0xFF]);
        check_header(Opcode::Binary, 0x1_0000, &[0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
    }

    #[track_caller]
    fn check_close(last_words: Option<(u16, &str)>, expected: &[u8]) {
        let mut out = vec![0xEE];
        write_close(&mut out, last_words);
        assert_eq!(out[1..], *expected);
    }

    #[test]
    fn close_frames_carry_a_code_and_a_reason_or_nothing() {
        check_close(None, &[0x88, 0]);
        check_close(Some((1000, "")), &[0x88, 2, 3, 0xE8]);
        check_close(Some((4001, "bye")), &[0x88, 5, 0x0F, 0xA1, b'b', b'y', b'e']);
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let mut expected = vec![0x88, 124, 3, 0xE8];
        expected.extend_from_slice("é".repeat(61).as_bytes());
        check_close(Some((1000, &"é".repeat(100))), &expected);
    }

    #[test]
    fn a_frame_that_has_begun_ends_where_the_next_begins() {
        let mut bytes = Vec::new();
        let mut ends = vec![0];
        for len in [0, 5, 125, 126, 70_000, 3] {
            bytes.extend_from_slice(Header::new(Opcode::Binary, len).as_bytes());
            bytes.resize(bytes.len() + len, 0x82);
            ends.push(bytes.len());
        }
        for at in 0..=bytes.len() {
            let expected = ends.iter().find(|end| **end >= at).expect("it is within");
            assert_eq!(frame_end(&bytes, at), *expected, "{at}");
        }
    }

    #[test]
    fn a_pong_repeats_the_ping() {
        let mut out = Vec::new();
        write_pong(&mut out, b"hi");
        assert_eq!(out, [0x8A, 2, b'h', b'i']);
    }
}
