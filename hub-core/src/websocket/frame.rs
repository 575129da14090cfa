//! One frame from a client: its header, gathered across reads, and its payload, unmasked as it
//! arrives. Knows no other frame: whether a frame may follow the one before is the reader's.

use std::mem;

use crate::websocket::opcode::{CONTROL_BYTES_MAX, Opcode};

/// A frame whose header has arrived.
#[derive(Debug)]
pub struct Frame {
    /// What the frame is for.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub is_last: bool,
    /// Payload bytes still to arrive; a claim of the peer, so nothing is reserved for it.
    pub remaining_bytes: usize,
    /// The mask, turned so that its first byte is for the next byte to arrive.
    mask: [u8; 4],
}

impl Frame {
    /// Splits what has arrived of the payload from the front of `input`, and unmasks it there.
    pub fn take_payload<'i>(&mut self, input: &mut &'i mut [u8]) -> &'i mut [u8] {
        let arrived = self.remaining_bytes.min(input.len());
        let (payload, rest) = mem::take(input).split_at_mut(arrived);
        *input = rest;
        unmask(payload, self.mask);
        self.mask.rotate_left(arrived % 4);
        self.remaining_bytes -= arrived;
        payload
    }
}

/// The part of a header that has arrived.
///
/// ```text
///   1 byte    FIN, three reserved bits, 4-bit opcode
///   1 byte    MASK, 7-bit length (126: two more bytes follow, 127: eight more)
///   0, 2, 8   the length in full, big-endian, only if the shorter form cannot hold it
///   4 bytes   mask
/// ```
#[derive(Debug, Default)]
pub struct PartialHeader {
    bytes: [u8; HEADER_BYTES_MAX],
    len: usize,
}

impl PartialHeader {
    /// Whether nothing of the header has arrived.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Takes header bytes from the front of `input`, until the frame is known or `input` is empty.
    ///
    /// # Errors
    ///
    /// At the first byte that no header may have.
    pub fn fill(mut self, input: &mut &mut [u8]) -> Result<Header, HeaderError> {
        let held = self.len;
        // Nearly every header arrives whole, and then nothing is copied.
        if held == 0
            && let Some((frame, used)) = decode(input)?
        {
            *input = &mut mem::take(input)[used..];
            return Ok(Header::Whole(frame));
        }

        let copied = input.len().min(HEADER_BYTES_MAX - held);
        self.len = held + copied;
        self.bytes[held..self.len].copy_from_slice(&input[..copied]);
        match decode(&self.bytes[..self.len])? {
            Some((frame, used)) => {
                *input = &mut mem::take(input)[used - held..];
                Ok(Header::Whole(frame))
            }
            None => {
                *input = &mut [];
                Ok(Header::Partial(self))
            }
        }
    }
}

/// How far a header has come.
#[derive(Debug)]
pub enum Header {
    /// The frame is known, and its payload comes next.
    Whole(Frame),
    /// More bytes are needed.
    Partial(PartialHeader),
}

/// A header that no client may send.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// A bit is set that belongs to an extension nobody negotiated.
    #[error("a reserved bit is set")]
    ReservedBit,
    /// RFC 6455 reserves this opcode.
    #[error("opcode {0} is reserved")]
    ReservedOpcode(u8),
    /// A client must mask what it sends.
    #[error("a client's frame is not masked")]
    NotMasked,
    /// Control frames come whole.
    #[error("a control frame is fragmented")]
    FragmentedControl,
    /// Control frames carry at most 125 bytes.
    #[error("a control frame is longer than {CONTROL_BYTES_MAX} bytes")]
    LongControl,
    /// A length must be written in its shortest form.
    #[error("a length is not in its shortest form")]
    LengthNotMinimal,
    /// The top bit of a 64-bit length must be zero.
    #[error("a length has its top bit set")]
    LengthTopBit,
}

/// Reads the header at the start of `bytes`, and how long it is; `None` until all of it is there.
fn decode(bytes: &[u8]) -> Result<Option<(Frame, usize)>, HeaderError> {
    let Some(&first) = bytes.first() else {
        return Ok(None);
    };
    if first & 0x70 != 0 {
        return Err(HeaderError::ReservedBit);
    }
    let number = first & 0x0F;
    let opcode = Opcode::from_wire(number).ok_or(HeaderError::ReservedOpcode(number))?;
    let is_last = first & 0x80 != 0;
    if opcode.is_control() && !is_last {
        return Err(HeaderError::FragmentedControl);
    }

    let Some(&second) = bytes.get(1) else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(HeaderError::NotMasked);
    }
    let short = second & 0x7F;
    if opcode.is_control() && usize::from(short) > CONTROL_BYTES_MAX {
        return Err(HeaderError::LongControl);
    }

    let Some((remaining_bytes, mask_start)) = decode_length(short, &bytes[2..])? else {
        return Ok(None);
    };
    let Some(&mask) = bytes[mask_start..].first_chunk() else {
        return Ok(None);
    };
    let frame = Frame { opcode, is_last, remaining_bytes, mask };
    Ok(Some((frame, mask_start + mask.len())))
}

/// The payload's length, and where in the header the mask starts.
fn decode_length(short: u8, after: &[u8]) -> Result<Option<(usize, usize)>, HeaderError> {
    let (length, shortest, mask_start) = match short {
        126 => match after.first_chunk() {
            Some(&bytes) => (u64::from(u16::from_be_bytes(bytes)), 126, 4),
            None => return Ok(None),
        },
        127 => match after.first_chunk() {
            Some(&bytes) => (u64::from_be_bytes(bytes), 1 << 16, 10),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0, 2),
    };
    if length < shortest {
        return Err(HeaderError::LengthNotMinimal);
    }
    if length > u64::MAX >> 1 {
        return Err(HeaderError::LengthTopBit);
    }
    // A length beyond this machine's addresses is beyond every limit too.
    Ok(Some((usize::try_from(length).unwrap_or(usize::MAX), mask_start)))
}

/// Eight bytes at a time, which the compiler widens to what the processor has.
fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let word = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut();
    for bytes in words {
        *bytes = (u64::from_ne_bytes(*bytes) ^ word).to_ne_bytes();
    }
    for (byte, key) in rest.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= key;
    }
}

/// Two bytes, a 64-bit length and the mask.
const HEADER_BYTES_MAX: usize = 14;
