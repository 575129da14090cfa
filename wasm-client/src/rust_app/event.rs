//! What subscriptions hear.

use std::rc::Rc;
use std::time::Duration;

use serde::Serialize as _;
use serde::de::DeserializeOwned;
use serde_wasm_bindgen::Serializer;
use wasm_bindgen::JsValue;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::output::{self, Span};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::{Content, Outcome};
use tidewire_protocol::number::{Epoch, Offset, Tag};
use tidewire_protocol::position::{Gap, Position};

/// Something that a subscription hears.
#[derive(Debug)]
pub enum Event<T> {
    /// It has its place; comes once, before the first message.
    Ready {
        /// What it got.
        outcome: Outcome,
        /// Its messages come after these places, one per log.
        positions: Vec<Position>,
        /// What is missing, if something is.
        gap: Option<Gap>,
    },
    /// A message.
    Message(Message<T>),
    /// A key has no value any more, where the topic keeps the latest message of each.
    Removed(Message<()>),
    /// A message that is no `T`. The ones after it come all the same.
    BadMessage(BadMessage),
    /// Messages are gone; the next one comes after them.
    Gap(Gap),
    /// It is over, for this reason.
    Ended(Fault),
}

/// A message with its data.
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
    /// The name that was subscribed to.
    name: Rc<str>,
    /// What it was received in; its messages share it.
    received: Rc<[u8]>,
    topic: Span,
    sender: Span,
    /// What it has besides, as it travels.
    ext: Span,
    payload: Span,
}

/// A message that is not what its subscription expects.
#[derive(Debug)]
pub struct BadMessage {
    /// The message, undecoded.
    pub message: Message<()>,
    /// What is wrong with its payload.
    pub error: serde_json::Error,
}

impl<T> Message<T> {
    /// Its topic.
    #[must_use]
    pub fn topic(&self) -> &str {
        // The hub names the topic where it is not the name subscribed to.
        text(self.topic.of(&self.received)).unwrap_or(&self.name)
    }

    /// Who published it, by the hub's word, where the topic's rule has the hub say so.
    #[must_use]
    pub fn sender(&self) -> Option<&str> {
        text(self.sender.of(&self.received))
    }

    /// What it is about: a later message of the same key replaces it where the topic keeps the latest of each.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        Some(self.attributes().key.into_owned()).filter(|key| !key.is_empty())
    }

    /// Names and values of its headers.
    #[must_use]
    pub fn headers(&self) -> Vec<(String, String)> {
        let headers = self.attributes().headers;
        headers.iter().map(|(name, value)| (name.into(), value.into())).collect()
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

    /// Its place: the version of its key, for [`crate::rust_app::Besides::if_version`].
    #[must_use]
    pub const fn position(&self) -> Position {
        Position { epoch: self.epoch, offset: self.offset }
    }

    /// What a later version of the protocol would not read is as if it were not there.
    fn attributes(&self) -> Attributes<'_> {
        Attributes::take(self.ext.of(&self.received)).unwrap_or_default()
    }

    /// The bytes.
    #[must_use]
    pub fn payload(&self) -> &[u8] {
        self.payload.of(&self.received)
    }

    /// The data as JavaScript has it, with objects for maps.
    ///
    /// # Errors
    /// If the payload is no JSON, or holds a whole number that JavaScript's numbers cannot hold.
    pub fn js(&self) -> Result<JsValue, serde_wasm_bindgen::Error> {
        let value: serde_json::Value = serde_json::from_slice(self.payload())
            .map_err(|error| serde_wasm_bindgen::Error::new(error.to_string()))?;
        value.serialize(&Serializer::json_compatible())
    }
}

impl Message<()> {
    /// A message as the core tells of it.
    pub(crate) fn new(message: &output::Message, name: &Rc<str>, received: &Rc<[u8]>) -> Self {
        Self {
            data: (),
            offset: message.offset,
            epoch: message.epoch,
            published_at_ms: message.published_at_ms,
            content: message.content,
            maybe_duplicate: message.maybe_duplicate,
            tag: message.tag,
            name: Rc::clone(name),
            received: Rc::clone(received),
            topic: message.topic,
            sender: message.sender,
            ext: message.ext,
            payload: message.payload,
        }
    }

    fn with<T>(self, data: T) -> Message<T> {
        Message {
            data,
            offset: self.offset,
            epoch: self.epoch,
            published_at_ms: self.published_at_ms,
            content: self.content,
            maybe_duplicate: self.maybe_duplicate,
            tag: self.tag,
            name: self.name,
            received: self.received,
            topic: self.topic,
            sender: self.sender,
            ext: self.ext,
            payload: self.payload,
        }
    }
}

impl Event<()> {
    /// The event with the message's data.
    pub(crate) fn decoded<T: DeserializeOwned>(self) -> Event<T> {
        match self {
            Self::Message(message) if message.is_removal() => Event::Removed(message),
            Self::Removed(message) => Event::Removed(message),
            Self::Message(message) => match serde_json::from_slice(message.payload()) {
                Ok(data) => Event::Message(message.with(data)),
                Err(error) => Event::BadMessage(BadMessage { message, error }),
            },
            Self::Ready { outcome, positions, gap } => Event::Ready { outcome, positions, gap },
            Self::BadMessage(bad) => Event::BadMessage(bad),
            Self::Gap(gap) => Event::Gap(gap),
            Self::Ended(fault) => Event::Ended(fault),
        }
    }
}

/// The protocol's decoder lets only UTF-8 through; none is none.
fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok().filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::{Event, Message};
    use std::rc::Rc;
    use std::time::Duration;
    use tidewire_client_core::output::{self, ListenerId, Span};
    use tidewire_protocol::attributes::{Attributes, Headers};
    use tidewire_protocol::code::Content;
    use tidewire_protocol::number::{Epoch, Offset, Tag};

    fn message(received: &str, topic: Span, payload: Span) -> Message<()> {
        let message = output::Message {
            listener: ListenerId(1),
            offset: Offset(7),
            epoch: Epoch(1),
            published_at_ms: 0,
            content: Content::Json,
            maybe_duplicate: false,
            tag: Tag(0),
            sender: Span::default(),
            topic,
            ext: Span::default(),
            payload,
        };
        Message::new(&message, &"orders.*".into(), &Rc::from(received.as_bytes()))
    }

    #[test]
    fn data_is_decoded_from_the_payload() {
        let raw = message("orders.eu[1,2]", Span { start: 0, len: 9 }, Span { start: 9, len: 5 });
        let Event::Message(message) = Event::Message(raw).decoded::<[u8; 2]>() else { unreachable!() };
        assert_eq!((message.data, message.topic(), message.sender()), ([1, 2], "orders.eu", None));
    }

    #[test]
    fn what_a_message_has_besides_is_read_of_it() {
        let mut received = Vec::new();
        Attributes { key: "k".into(), headers: Headers::of([("n", "1")]), ttl_ms: 100, remove: true }
            .put(&mut received);
        let len = received.len() as u32;
        let received = String::from_utf8(received).unwrap_or_default();
        let mut raw = message(&received, Span::default(), Span::default());
        raw.ext = Span { start: 0, len };
        let Event::Removed(message) = Event::Message(raw).decoded::<u8>() else { unreachable!() };
        assert_eq!((message.key().as_deref(), message.is_removal()), (Some("k"), true));
        assert_eq!(message.headers(), [("n".to_owned(), "1".to_owned())]);
        assert_eq!(message.ttl(), Some(Duration::from_millis(100)));
    }

    #[test]
    fn what_is_no_such_data_is_told_with_its_bytes() {
        let raw = message("[1,2]", Span::default(), Span { start: 0, len: 5 });
        let Event::BadMessage(bad) = Event::Message(raw).decoded::<String>() else { unreachable!() };
        assert_eq!((bad.message.payload(), bad.message.topic()), (&b"[1,2]"[..], "orders.*"));
        assert!(bad.error.is_data());
    }
}
