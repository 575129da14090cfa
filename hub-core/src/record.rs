//! A message as the hub knows it: one form on the whole way from its publisher to the tails.

use tidewire_protocol::block::Head;
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Offset, Tag};

use crate::clock::Millis;

/// A message. Its place and time are given by the log.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Record<'a> {
    /// Its place in the log; 0 until it has one.
    pub offset: Offset,
    /// The time that it was given with that.
    pub published_at: Millis,
    /// The steady clock then.
    pub taken_at: Millis,
    /// What the payload is.
    pub content: Content,
    /// An earlier life of the hub may have stored it already.
    pub maybe_duplicate: bool,
    /// Its publisher's public mark.
    pub tag: Tag,
    /// Who published it, by the hub's own word; empty if that is not shown.
    pub sender: &'a str,
    /// What it has besides, as fields of the wire.
    pub ext: &'a [u8],
    /// Its bytes.
    pub payload: &'a [u8],
}

/// A message that outlives what it was read from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnRecord {
    /// All but texts and bytes.
    rest: Record<'static>,
    sender: Box<str>,
    ext: Box<[u8]>,
    payload: Box<[u8]>,
}

impl<'a> Record<'a> {
    /// Bytes that its publisher gave.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.ext.len() + self.payload.len()
    }

    /// Whether its publisher gave none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What stands before the payload in a block, as far as the message itself says it.
    #[must_use]
    pub fn head(&self) -> Head<'a> {
        Head {
            published_at_ms: self.published_at.0,
            content: self.content,
            maybe_duplicate: self.maybe_duplicate,
            tag: self.tag,
            sender: self.sender,
            ext: self.ext,
            // The block's own.
            prev: Offset(0),
            offset: Offset(0),
            base_time_ms: 0,
            topic: None,
        }
    }
}

impl From<Record<'_>> for OwnRecord {
    fn from(record: Record<'_>) -> Self {
        let (sender, ext, payload) = (record.sender.into(), record.ext.into(), record.payload.into());
        Self { rest: Record { sender: "", ext: &[], payload: &[], ..record }, sender, ext, payload }
    }
}

impl OwnRecord {
    /// The message.
    #[must_use]
    pub fn record(&self) -> Record<'_> {
        Record { sender: &self.sender, ext: &self.ext, payload: &self.payload, ..self.rest }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_message_is_lost_when_it_is_kept() {
        let record = Record {
            offset: Offset(7),
            published_at: Millis(8),
            taken_at: Millis(6),
            content: Content::Cbor,
            maybe_duplicate: true,
            tag: Tag(9),
            sender: "somebody",
            ext: b"fields",
            payload: b"bytes",
        };
        assert_eq!(OwnRecord::from(record).record(), record);
        let Head { published_at_ms, content, maybe_duplicate, tag, sender, ext, .. } = record.head();
        assert_eq!((published_at_ms, content, maybe_duplicate), (8, Content::Cbor, true));
        assert_eq!((tag, sender), (Tag(9), "somebody"));
        assert_eq!(ext, b"fields");
    }
}
