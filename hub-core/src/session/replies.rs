//! What a connection is about to be told, in its encoding.

use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;

use crate::websocket::opcode::Opcode;
use crate::websocket::writer::Header;

/// How a connection wants to be spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// `tidewire.v1`
    Binary,
    /// `tidewire.v1.json`
    Json,
}

/// Frames that become one WebSocket message.
#[derive(Debug)]
pub struct Replies {
    encoding: Encoding,
    bytes: Vec<u8>,
    frames: usize,
}

impl Replies {
    /// None yet.
    #[must_use]
    pub fn new(encoding: Encoding) -> Self {
        Self { encoding, bytes: Vec::new(), frames: 0 }
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Whether there is nothing to say.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.frames == 0
    }

    /// Adds a frame.
    pub fn put(&mut self, frame: &HubFrame<'_>) {
        match self.encoding {
            Encoding::Binary => frame.put(&mut self.bytes),
            Encoding::Json => {
                let before = self.bytes.len();
                self.bytes.push(if self.frames == 0 { b'[' } else { b',' });
                if json::put_hub(frame, &mut self.bytes).is_err() {
                    self.bytes.truncate(before);
                    return;
                }
            }
        }
        self.frames += 1;
    }

    /// Appends the WebSocket message to `outbox`, if there is anything to say.
    pub fn seal(mut self, outbox: &mut Vec<u8>) {
        if self.is_empty() {
            return;
        }
        let (opcode, payload) = match self.encoding {
            Encoding::Binary => (Opcode::Binary, &self.bytes[..]),
            Encoding::Json if self.frames == 1 => (Opcode::Text, &self.bytes[1..]),
            Encoding::Json => {
                self.bytes.push(b']');
                (Opcode::Text, &self.bytes[..])
            }
        };
        outbox.extend_from_slice(Header::new(opcode, payload.len()).as_bytes());
        outbox.extend_from_slice(payload);
    }
}
