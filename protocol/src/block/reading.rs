//! Reading the messages of a block one by one, with no more than what the block has named so far.

use crate::binary::BadFrame;
use crate::block::{CONTENT, EXT, MAYBE_DUPLICATE, Message, Messages, Record, Records, SENDER, TAG};
use crate::code::Content;
use crate::field;
use crate::number::{NUMBER_MAX, Offset, Tag};
use crate::varint;

impl<'a> Records<'a> {
    /// Goes on `at` so many bytes into the records, behind the message at `before`. Only in a block whose messages do
    /// not name their topics; both numbers must come from [`Self::rest_bytes`] and that message.
    #[must_use]
    pub fn resume(mut self, at: usize, before: Offset) -> Self {
        self.rest = self.rest.get(at..).unwrap_or_default();
        self.offset = before.0;
        self
    }

    /// Bytes of the block's messages that are still to be read.
    #[must_use]
    pub fn rest_bytes(&self) -> usize {
        self.rest.len()
    }

    fn read(&mut self) -> Option<Record<'a>> {
        let mut record = varint::take_bytes(&mut self.rest)?;
        let flags = varint::take(&mut record)?;
        let step = varint::take(&mut record)?;
        let age = varint::take(&mut record)?;
        self.offset = self.offset.checked_add(step).filter(|offset| step > 0 && *offset <= NUMBER_MAX)?;
        let published_at_ms = self.base_time_ms.checked_add(age).filter(|time| *time <= NUMBER_MAX)?;
        let tag = if flags & TAG == 0 { Tag(0) } else { Tag(field::take_number(&mut record)?) };
        let sender = if flags & SENDER == 0 { None } else { Some(varint::take_bytes(&mut record)?) };
        let topic = if self.named { Some(self.topic(&mut record)?) } else { None };
        let ext = if flags & EXT == 0 { &[][..] } else { varint::take_bytes(&mut record)? };
        Some(Record {
            offset: Offset(self.offset),
            published_at_ms,
            content: Content::from_number((flags & CONTENT) + 1),
            maybe_duplicate: flags & MAYBE_DUPLICATE != 0,
            tag,
            sender,
            topic,
            ext,
            payload: record,
        })
    }

    fn topic(&mut self, record: &mut &'a [u8]) -> Option<&'a [u8]> {
        let index = usize::try_from(varint::take(record)?).ok()?;
        if index == self.topics.len() {
            self.topics.push(varint::take_bytes(record)?);
        }
        self.topics.get(index).copied()
    }
}

impl<'a> Record<'a> {
    /// The message, if its texts are texts.
    fn message(self) -> Option<Message<'a>> {
        let Self { offset, published_at_ms, content, maybe_duplicate, tag, ext, payload, .. } = self;
        let sender = self.sender.map(core::str::from_utf8).transpose().ok()?;
        let topic = self.topic.map(core::str::from_utf8).transpose().ok()?;
        Some(Message { offset, published_at_ms, content, maybe_duplicate, tag, sender, topic, ext, payload })
    }
}

impl<'a> Iterator for Records<'a> {
    type Item = Result<Record<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        let record = self.read();
        if record.is_none() {
            self.rest = &[];
        }
        Some(record.ok_or(BadFrame))
    }
}

impl<'a> Iterator for Messages<'a> {
    type Item = Result<Message<'a>, BadFrame>;

    fn next(&mut self) -> Option<Self::Item> {
        let message = self.0.next()?.and_then(|record| record.message().ok_or(BadFrame));
        if message.is_err() {
            self.0.rest = &[];
        }
        Some(message)
    }
}
