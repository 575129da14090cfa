//! A message that spans frames or reads, put together in a buffer of its own. Text is checked as
//! it arrives, so that the first impossible byte ends the connection, not the message's end.

use std::borrow::Cow;
use std::str;

use crate::websocket::event::{Event, PayloadError};

/// A message that has begun and not ended.
#[derive(Debug)]
pub struct Message {
    kind: Kind,
    bytes: Vec<u8>,
    /// Frames that have begun so far; the reader counts, to limit them.
    pub frames: u32,
}

#[derive(Debug)]
enum Kind {
    /// The first `valid_bytes` are whole characters; after them comes at most a part of one.
    Text {
        valid_bytes: usize,
    },
    Binary,
}

impl Message {
    /// A text message whose first frame has begun.
    pub fn text() -> Self {
        Self { kind: Kind::Text { valid_bytes: 0 }, bytes: Vec::new(), frames: 1 }
    }

    /// A binary message whose first frame has begun.
    pub fn binary() -> Self {
        Self { kind: Kind::Binary, bytes: Vec::new(), frames: 1 }
    }

    /// How much of the message has arrived.
    pub fn arrived_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// The memory the message holds: never more than twice what has arrived.
    pub fn held_bytes(&self) -> usize {
        self.bytes.capacity()
    }

    /// Adds what has arrived. The message will not outgrow `bytes_max`, and neither will its
    /// buffer.
    ///
    /// # Errors
    ///
    /// At the first byte that cannot be UTF-8, if it is a text.
    pub fn append(&mut self, payload: &[u8], bytes_max: usize) -> Result<(), PayloadError> {
        let needed = self.bytes.len() + payload.len();
        if needed > self.bytes.capacity() {
            let roomy = (2 * self.bytes.len()).min(bytes_max).max(needed);
            self.bytes.reserve_exact(roomy - self.bytes.len());
        }
        self.bytes.extend_from_slice(payload);
        match &mut self.kind {
            Kind::Text { valid_bytes } => {
                *valid_bytes += whole_characters(&self.bytes[*valid_bytes..])?;
                Ok(())
            }
            Kind::Binary => Ok(()),
        }
    }

    /// Ends the message.
    ///
    /// # Errors
    ///
    /// When it is a text and ends inside a character.
    pub fn finish(self) -> Result<Event<'static>, PayloadError> {
        let payload = Cow::Owned(self.bytes);
        match self.kind {
            // Checks a second time, as safe code must; only messages that span reads pay for it.
            Kind::Text { .. } => Event::text(payload),
            Kind::Binary => Ok(Event::Binary(payload)),
        }
    }
}

/// How many of `bytes` are whole characters; what follows them is the beginning of another.
fn whole_characters(bytes: &[u8]) -> Result<usize, PayloadError> {
    match str::from_utf8(bytes) {
        Ok(text) => Ok(text.len()),
        Err(error) if error.error_len().is_none() => Ok(error.valid_up_to()),
        Err(_) => Err(PayloadError::NotUtf8),
    }
}
