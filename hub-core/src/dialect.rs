//! What a connection speaks: how blocks, answers and last words are framed for it. Knows nothing of what is said, and
//! keeps nothing.

use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;

use crate::block::Block;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::{Header, frame_end, write_close, write_pong};

/// The dialects there are. An enum, since a walk asks for each cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `tidewire.v1`, on a WebSocket.
    Binary,
    /// `tidewire.v1.json`, on a WebSocket.
    Json,
}

impl Dialect {
    /// A block as it is written, shared by all who speak this.
    #[must_use]
    pub fn frame_of(self, block: &Block) -> &[u8] {
        match self {
            Self::Binary => block.frame(),
            Self::Json => block.json_frame(),
        }
    }

    /// Appends one answer to those that will be sealed together; `false` if it cannot be said.
    pub fn put(self, frame: &HubFrame<'_>, answers: &mut Vec<u8>) -> bool {
        match self {
            Self::Binary => frame.put(answers),
            Self::Json => {
                let before = answers.len();
                answers.push(if before == 0 { b'[' } else { b',' });
                if json::put_hub(frame, answers).is_err() {
                    answers.truncate(before);
                    return false;
                }
            }
        }
        true
    }

    /// Appends so many answers, put together by [`Self::put`], to what is to be written.
    pub fn seal(self, answers: &mut Vec<u8>, count: usize, out: &mut Vec<u8>) {
        let (opcode, payload) = match self {
            Self::Binary => (Opcode::Binary, &answers[..]),
            Self::Json if count == 1 => (Opcode::Text, &answers[1..]),
            Self::Json => {
                answers.push(b']');
                (Opcode::Text, &answers[..])
            }
        };
        out.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
        out.extend_from_slice(payload);
    }

    /// Appends the very last words, which follow the goodbye.
    pub fn put_last_words(self, words: Option<(u16, &str)>, out: &mut Vec<u8>) {
        match self {
            Self::Binary | Self::Json => write_close(out, words),
        }
    }

    /// Appends the answer to a question below the protocol.
    pub fn put_pong(self, ping: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Binary | Self::Json => write_pong(out, ping),
        }
    }

    /// Up to where, of bytes sealed by this dialect, one has to go on who has written `at` of them.
    #[must_use]
    pub fn frame_end(self, bytes: &[u8], at: usize) -> usize {
        match self {
            Self::Binary | Self::Json => frame_end(bytes, at),
        }
    }
}
