//! What programs hear of a topic: messages, gaps, the end.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde::de::DeserializeOwned;
use serde::de::IntoDeserializer as _;
use serde::de::value::StrDeserializer;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::{self, Span};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::{self, Content};
use tidewire_protocol::number::{Epoch, Offset, Tag};
use tidewire_protocol::position::{Gap, Position};

/// Something that a subscription hears.
#[derive(Debug)]
pub enum Event<T> {
    /// It has its place; comes once, before the first message.
    Ready {
        /// What it got.
        outcome: code::Outcome,
        /// Its messages come after these places, one per log.
        positions: Vec<Position>,
        /// What is missing, if something is.
        gap: Option<Gap>,
    },
    /// A message.
    Message(Message<T>),
    /// A key has no value any more. Where payloads are given as they are, this is a message too.
    Removed(Message<()>),
    /// A message that is no `T`. The ones after it come all the same.
    BadMessage(BadMessage),
    /// Messages are gone; the next one comes after them.
    Gap(Gap),
    /// It has been given all that there was for it when [`crate::Subscription::catch_up`] was called.
    CaughtUp,
    /// It is over, for this reason. Nothing follows.
    Ended(Fault),
}

/// A message with its data. Its payload shares the memory of what it was received in.
#[derive(Debug, Clone)]
pub struct Message<T> {
    /// What was published.
    pub data: T,
    /// Position in the log.
    pub offset: Offset,
    /// Identity of the log.
    pub epoch: Epoch,
    /// The log's clock when it was appended, milliseconds since 1970.
    pub published_at_ms: u64,
    /// What the payload is.
    pub content: Content,
    /// The publisher may have stored it before, in a log that no longer knows.
    pub maybe_duplicate: bool,
    /// Mark of the participant that published it; 0 for none.
    pub tag: Tag,
    /// The bytes.
    pub payload: Bytes,
    /// Who published it, where the topic's rule has the hub say so.
    sender: Bytes,
    /// Its topic, where it is not the name that was asked for.
    topic: Bytes,
    /// What it has besides, as it travels.
    ext: Bytes,
    name: Arc<str>,
}

/// A message that is not what was expected.
#[derive(Debug)]
pub struct BadMessage {
    /// The message, undecoded.
    pub message: Box<Message<()>>,
    /// What is wrong with its payload.
    pub error: DecodeError,
}

/// Why a payload is not the data that was expected.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// It says that its key has no value any more: there is no data.
    #[error("the message removes its key, and has no data")]
    Removed,
    /// It is broken JSON, or JSON of another shape.
    #[error("not the JSON that was expected: {0}")]
    Json(serde_json::Error),
    /// It is a text, and no text was expected.
    #[error("not the text that was expected: {0}")]
    Text(serde::de::value::Error),
    /// It is neither JSON nor text.
    #[error("the payload is {0}, neither JSON nor text")]
    Content(Content),
}

/// How a message has data.
pub(crate) type Decode<T> = fn(&Message<()>) -> Result<T, DecodeError>;

impl<T> Message<T> {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        text(&self.topic).unwrap_or(&self.name)
    }

    /// Who published it, by the hub's word, where the topic's rule has the hub say so.
    #[must_use]
    pub fn sender(&self) -> Option<&str> {
        text(&self.sender)
    }

    /// What it is about: a later message of the same key replaces it where the topic keeps the latest of each.
    #[must_use]
    pub fn key(&self) -> Option<&str> {
        match self.attributes().key {
            Cow::Borrowed(key) if !key.is_empty() => Some(key),
            Cow::Borrowed(_) | Cow::Owned(_) => None,
        }
    }

    /// Names and values of its headers.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.attributes().headers;
        headers.iter().map(|(name, value)| (name.into(), value.into())).collect()
    }

    /// The value of one of its headers.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<String> {
        self.attributes().headers.value(name).map(Into::into)
    }

    /// For how long after it was published it is worth anything; none for no bound.
    #[must_use]
    pub fn ttl(&self) -> Option<Duration> {
        let ttl_ms = self.attributes().ttl_ms;
        (ttl_ms > 0).then(|| Duration::from_millis(ttl_ms))
    }

    /// Whether it says that its key has no value any more.
    #[must_use]
    pub fn is_removal(&self) -> bool {
        self.attributes().remove
    }

    /// Its place: the version of its key, for [`crate::Outgoing::if_version`].
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// What a later version of the protocol would not read is as if it were not there.
    fn attributes(&self) -> Attributes<'_> {
        Attributes::take(&self.ext).unwrap_or_default()
    }

    fn with<U>(self, data: U) -> Message<U> {
        Message {
            data,
            offset: self.offset,
            epoch: self.epoch,
            published_at_ms: self.published_at_ms,
            content: self.content,
            maybe_duplicate: self.maybe_duplicate,
            tag: self.tag,
            payload: self.payload,
            sender: self.sender,
            topic: self.topic,
            ext: self.ext,
            name: self.name,
        }
    }
}

impl Message<()> {
    /// A message as the core tells of it: parts of what was received, without a copy.
    pub(crate) fn new(message: &output::Message, name: &Arc<str>, received: &Bytes) -> Self {
        let part = |span: Span| received.slice_ref(span.of(received));
        Self {
            data: (),
            offset: message.offset,
            epoch: message.epoch,
            published_at_ms: message.published_at_ms,
            content: message.content,
            maybe_duplicate: message.maybe_duplicate,
            tag: message.tag,
            payload: part(message.payload),
            sender: part(message.sender),
            topic: part(message.topic),
            ext: part(message.ext),
            name: Arc::clone(name),
        }
    }

    /// The message with its data.
    pub(crate) fn decoded<T>(self, decode: Decode<T>) -> Result<Message<T>, BadMessage> {
        match decode(&self) {
            Ok(data) => Ok(self.with(data)),
            Err(error) => Err(BadMessage { message: Box::new(self), error }),
        }
    }
}

impl Event<()> {
    /// The event with the message's data.
    pub(crate) fn decoded<T>(self, decode: Decode<T>) -> Event<T> {
        match self {
            Self::Message(message) => match message.decoded(decode) {
                Ok(message) => Event::Message(message),
                Err(BadMessage { message, error: DecodeError::Removed }) => Event::Removed(*message),
                Err(bad) => Event::BadMessage(bad),
            },
            Self::Removed(message) => Event::Removed(message),
            Self::Ready { outcome, positions, gap } => Event::Ready { outcome, positions, gap },
            Self::BadMessage(bad) => Event::BadMessage(bad),
            Self::Gap(gap) => Event::Gap(gap),
            Self::CaughtUp => Event::CaughtUp,
            Self::Ended(fault) => Event::Ended(fault),
        }
    }
}

/// Data from JSON, or from a text where data can be one. What removes a key has none.
pub(crate) fn from_json<T: DeserializeOwned>(message: &Message<()>) -> Result<T, DecodeError> {
    if message.is_removal() { Err(DecodeError::Removed) } else { read(message.content, &message.payload) }
}

fn read<T: DeserializeOwned>(content: Content, payload: &Bytes) -> Result<T, DecodeError> {
    match (content, text(payload)) {
        (Content::Json, _) => serde_json::from_slice(payload).map_err(DecodeError::Json),
        (Content::Text, text) => {
            let text: StrDeserializer<'_, _> = text.unwrap_or_default().into_deserializer();
            T::deserialize(text).map_err(DecodeError::Text)
        }
        (Content::Binary | Content::Cbor | Content::Unknown, _) => Err(DecodeError::Content(content)),
    }
}

/// The payload as it is.
#[allow(clippy::unnecessary_wraps)] // It is one of several ways to decode.
pub(crate) fn as_bytes(message: &Message<()>) -> Result<Bytes, DecodeError> {
    Ok(message.payload.clone())
}

/// The protocol's decoder lets only UTF-8 through; none is none.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{DecodeError, read};
    use bytes::Bytes;
    use tidewire_protocol::code::Content;

    #[test]
    fn data_comes_from_json_or_text() {
        let decode = |content, payload: &'static str| read::<String>(content, &Bytes::from(payload));
        assert_eq!(decode(Content::Json, r#""x""#).unwrap(), "x");
        assert_eq!(decode(Content::Text, "x").unwrap(), "x");
        assert_eq!(decode(Content::Text, "").unwrap(), "");
        assert!(matches!(decode(Content::Json, "{x"), Err(DecodeError::Json(_))));
        assert!(matches!(decode(Content::Binary, "x"), Err(DecodeError::Content(Content::Binary))));
        let number = read::<u32>(Content::Text, &Bytes::from("7"));
        assert!(matches!(number, Err(DecodeError::Text(_))));
    }
}
