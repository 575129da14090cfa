//! As much of WebSocket as the simulated clients need: masked frames out, whole messages in.

use crate::random::Random;

/// A frame from the hub.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut {
    /// A binary message.
    Message(Vec<u8>),
    /// The connection is to be closed, with this code.
    Close(u16),
    /// Something that no hub should send.
    Nonsense(&'static str),
}

/// Appends a masked frame.
pub fn put_masked(opcode: u8, payload: &[u8], random: &mut Random, out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        len @ 0..126 => out.push(0x80 | len as u8),
        len @ 126..0x1_0000 => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(len as u16).to_be_bytes());
        }
        len => {
            out.push(0x80 | 127);
            out.extend_from_slice(&(len as u64).to_be_bytes());
        }
    }
    let mask = (random.number() as u32).to_be_bytes();
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Takes the first whole frame out of what has arrived; `None` if more has to come.
pub fn cut(arrived: &mut Vec<u8>) -> Option<Cut> {
    let (&[first, second], _) = arrived.split_first_chunk()?;
    if second & 0x80 != 0 {
        return Some(Cut::Nonsense("a masked frame from the hub"));
    }
    let (header, len) = match second {
        126 => (4, usize::from(u16::from_be_bytes(arrived.get(2..4)?.try_into().ok()?))),
        127 => (10, u64::from_be_bytes(arrived.get(2..10)?.try_into().ok()?) as usize),
        len => (2, usize::from(len)),
    };
    if len > FRAME_BYTES_MAX {
        return Some(Cut::Nonsense("a frame of absurd length"));
    }
    let payload = arrived.get(header..header + len)?.to_vec();
    arrived.drain(..header + len);
    Some(match first {
        0x82 => Cut::Message(payload),
        0x88 => Cut::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
        _ => Cut::Nonsense("a frame that is neither binary nor close"),
    })
}

/// Opcode of a binary message.
pub const BINARY: u8 = 2;
/// Opcode of a close frame.
pub const CLOSE: u8 = 8;
const FRAME_BYTES_MAX: usize = 64 << 20;
