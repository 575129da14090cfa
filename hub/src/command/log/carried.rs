//! What of a message goes out of a log and into another: all but what only means something there. Its mark is that of a
//! publisher which the other hub does not know, and might give to another.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::record::Record;
use tidewire_protocol::block::Message;
use tidewire_protocol::json::line::Line;
use tidewire_protocol::number::Tag;

/// A message of a topic, as it goes out.
pub(super) fn out<'a>(topic: &'a str, record: &Record<'a>) -> Message<'a> {
    Message {
        offset: record.offset,
        published_at_ms: record.published_at.0,
        content: record.content,
        maybe_duplicate: record.maybe_duplicate,
        tag: Tag(0),
        sender: Some(record.sender).filter(|sender| !sender.is_empty()),
        topic: Some(topic),
        ext: record.ext,
        payload: record.payload,
    }
}

/// A message as it comes in, with this time, before it has a place; what it has besides is written into `ext`.
pub(super) fn into<'a>(line: &'a Line<'_>, published_at_ms: u64, ext: &'a mut Vec<u8>) -> Record<'a> {
    ext.clear();
    line.attributes.put(ext);
    Record {
        published_at: Millis(published_at_ms),
        content: line.content,
        maybe_duplicate: line.maybe_duplicate,
        sender: line.sender.as_deref().unwrap_or_default(),
        ext,
        payload: &line.payload,
        ..Record::default()
    }
}
