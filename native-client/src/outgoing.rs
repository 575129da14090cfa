//! What is published: a payload, and what a message has besides.

use std::time::{Duration, Instant};

use tidewire_client_core::outgoing;
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::position::Position;

use crate::outcome::PublishError;
use crate::payload::Payload;

/// A message to be published or sent: a [`Payload`], and what it has besides. A payload alone is one, too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing {
    payload: Payload,
    key: String,
    headers: Vec<(String, String)>,
    ttl: Option<Duration>,
    /// It is worth nothing any more then; from the call that publishes it.
    until: Option<Instant>,
    remove: bool,
    terms: Terms,
}

impl Outgoing {
    /// One that has nothing besides.
    #[must_use]
    pub fn new(payload: Payload) -> Self {
        let (key, headers, terms) = (String::new(), Vec::new(), Terms::default());
        Self { payload, key, headers, ttl: None, until: None, remove: false, terms }
    }

    /// One that says that a key has no value any more.
    #[must_use]
    pub fn removal(key: impl Into<String>) -> Self {
        Self { remove: true, ..Self::new(Payload::binary(Vec::new())).key(key) }
    }

    /// With a key: what the message is about, so that a later one of the same key replaces it where the topic keeps the
    /// latest of each.
    #[must_use]
    pub fn key(self, key: impl Into<String>) -> Self {
        Self { key: key.into(), ..self }
    }

    /// With one more header. A name has lower-case letters, digits, `-`, `_` and `.`.
    #[must_use]
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    /// Worth anything for so long from the call that publishes it, in whole milliseconds, also where that waits for room:
    /// neither the client nor the hub keeps it longer.
    #[must_use]
    pub fn ttl(self, ttl: Duration) -> Self {
        Self { ttl: Some(ttl), ..self }
    }

    /// Acknowledged once this holds, if that is less than the topic's rule asks for.
    #[must_use]
    pub fn durability(self, durability: Durability) -> Self {
        Self { terms: Terms { durability: Some(durability), ..self.terms }, ..self }
    }

    /// Published only if this is the place of its key's latest message. Not together with [`Self::if_absent`].
    #[must_use]
    pub fn if_version(self, version: Position) -> Self {
        Self { terms: Terms { if_version: Some(version), ..self.terms }, ..self }
    }

    /// Published only if its key has no value. Not together with [`Self::if_version`].
    #[must_use]
    pub fn if_absent(self) -> Self {
        Self { terms: Terms { if_absent: true, ..self.terms }, ..self }
    }

    /// It is being published: its time to live counts from now.
    #[must_use]
    pub(crate) fn begun(self) -> Self {
        Self { until: self.ttl.and_then(|ttl| Instant::now().checked_add(ttl)), ..self }
    }

    /// Whether it is worth nothing any more.
    pub(crate) fn is_over(&self) -> bool {
        self.until.is_some_and(|until| until <= Instant::now())
    }

    /// Its payload.
    #[must_use]
    pub const fn payload(&self) -> &Payload {
        &self.payload
    }

    /// The payload alone.
    pub(crate) fn into_payload(self) -> Payload {
        self.payload
    }

    /// What it has besides; of its time to live, what is left.
    pub(crate) fn attributes(&self) -> Attributes<'_> {
        let headers = self.headers.iter().map(|(name, value)| (name, value));
        let left = |ttl| self.until.map_or(ttl, |until| until.saturating_duration_since(Instant::now()));
        let ttl_ms = |ttl| whole_ms(left(ttl)).clamp(1, TTL_MS_MAX);
        Attributes {
            key: (&*self.key).into(),
            headers: Headers::of(headers),
            ttl_ms: self.ttl.map_or(0, ttl_ms),
            remove: self.remove,
        }
    }

    /// Whether a message may be like this.
    ///
    /// # Errors
    /// What publishing it would end with: [`PublishError::BadMessage`], or `bad_message` of a condition without a key, or of both.
    pub fn check(&self) -> Result<(), PublishError> {
        self.terms.check(&self.key).map_err(|_| PublishError::Refused(Code::BadMessage))?;
        self.attributes().check().map_err(PublishError::BadMessage)
    }

    /// Whether it is published on any terms but the topic's own.
    pub(crate) fn has_terms(&self) -> bool {
        self.terms != Terms::default()
    }

    /// As the core takes it.
    pub(crate) fn to<'a>(&'a self, topic: &'a str) -> outgoing::Outgoing<'a> {
        outgoing::Outgoing {
            topic,
            content: self.payload.content(),
            payload_len: self.payload.bytes().len() as u32,
            attributes: self.attributes(),
            terms: self.terms,
        }
    }

    /// Bytes that it takes of the outbox.
    pub(crate) fn outbox_bytes(&self) -> usize {
        let extra = outgoing::Outgoing { payload_len: 0, ..self.to("") };
        self.payload.bytes().len() + extra.bytes() as usize
    }
}

impl From<Payload> for Outgoing {
    fn from(payload: Payload) -> Self {
        Self::new(payload)
    }
}

/// In milliseconds that last at least as long: none of a time that is left counts as over.
fn whole_ms(span: Duration) -> u64 {
    span.as_nanos().div_ceil(1_000_000).try_into().unwrap_or(u64::MAX)
}

/// The largest number that travels.
const TTL_MS_MAX: u64 = tidewire_protocol::number::NUMBER_MAX;
