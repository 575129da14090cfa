//! What of a message goes out of a log and into another: all but what only means something there. Its mark is that of a
//! publisher which the other hub does not know, and might give to another.

use tidewire_hub_core::record::Record;
use tidewire_protocol::block::Message;
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
