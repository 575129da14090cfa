//! What a connection speaks: how blocks, answers and last words are framed for it. Knows nothing of what is said, and
//! keeps nothing.

use tidewire_protocol::events::{self, Ids};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;
use tidewire_protocol::number::Offset;

use crate::block::Block;
use crate::chunk;
use crate::tail::Tail;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::{Header, frame_end, write_close, write_pong};

/// The dialects there are. An enum, since a walk asks for each cursor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// `tidewire.v1`, on a WebSocket.
    Binary,
    /// `tidewire.v1.json`, on a WebSocket.
    Json,
    /// Server-Sent Events, in the chunks of an HTTP answer: who speaks this only listens.
    Events(Ids),
}

impl Dialect {
    /// Whether nothing that a client says means anything.
    #[must_use]
    pub const fn only_listens(self) -> bool {
        matches!(self, Self::Events(_))
    }

    /// Whether walks may write blocks between what the connection itself writes.
    #[must_use]
    pub const fn is_walked(self) -> bool {
        !matches!(self, Self::Events(Ids::Apart))
    }

    /// A block of a tail, or of what was read for it, as it is written: shared by all who speak this.
    #[must_use]
    pub fn frame_of<'a>(self, block: &'a Block, tail: &Tail) -> &'a [u8] {
        match self {
            Self::Binary => block.frame(),
            Self::Json => block.json_frame(),
            Self::Events(ids) => block.events(ids, tail.epoch(), tail.source.as_str()),
        }
    }

    /// Whether a block can be written as it is to somebody who stands there. Whoever only listens cannot be expected to pass over
    /// what it has had.
    #[must_use]
    pub fn can_be_told(self, block: &Block, cursor: Offset) -> bool {
        !self.only_listens() || block.first > cursor
    }

    /// Appends what of a block comes after an offset.
    pub fn put_rest(self, block: &Block, tail: &Tail, after: Offset, out: &mut Vec<u8>) {
        match self {
            // Here whole blocks are told.
            Self::Binary | Self::Json => out.extend_from_slice(self.frame_of(block, tail)),
            Self::Events(ids) => {
                block.put_events_after(tail.position(after), tail.source.as_str(), ids, out);
            }
        }
    }

    /// A block of which a part is written: so there is such a frame, for as long as somebody keeps the block.
    #[must_use]
    pub fn begun_frame_of(self, block: &Block) -> &[u8] {
        match self {
            Self::Binary => block.frame(),
            Self::Json => block.json_frame(),
            Self::Events(ids) => block.known_events(ids),
        }
    }

    /// Appends one answer, which may be about a topic or pattern, to those that will be sealed together; `false` if it cannot
    /// be said.
    pub fn put(self, frame: &HubFrame<'_>, topic: &str, answers: &mut Vec<u8>) -> bool {
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
            Self::Events(ids) => return events::put_frame(frame, topic, ids, answers),
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
            Self::Events(_) => return chunk::put(answers, out),
        };
        out.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
        out.extend_from_slice(payload);
    }

    /// Appends the very last words, which follow the goodbye.
    pub fn put_last_words(self, words: Option<(u16, &str)>, out: &mut Vec<u8>) {
        match self {
            Self::Binary | Self::Json => write_close(out, words),
            Self::Events(_) => chunk::put_last(out),
        }
    }

    /// Appends the answer to a question below the protocol.
    pub fn put_pong(self, ping: &[u8], out: &mut Vec<u8>) {
        match self {
            Self::Binary | Self::Json => write_pong(out, ping),
            Self::Events(_) => {}
        }
    }

    /// Up to where, of bytes sealed by this dialect, one has to go on who has written `at` of them.
    #[must_use]
    pub fn frame_end(self, bytes: &[u8], at: usize) -> usize {
        match self {
            Self::Binary | Self::Json => frame_end(bytes, at),
            Self::Events(_) => chunk::end(bytes, at),
        }
    }
}
