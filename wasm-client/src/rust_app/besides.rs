//! What a message has besides its data, and on which terms it is published.

use std::time::Duration;

use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::NUMBER_MAX;
use tidewire_protocol::position::Position;

use crate::rust_app::publishing::PublishError;

/// What a message has besides its data, and on which terms it is published; nothing by default.
#[derive(Debug, Clone, Default)]
pub struct Besides {
    key: String,
    headers: Vec<(String, String)>,
    ttl: Option<Duration>,
    terms: Terms,
}

impl Besides {
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

    /// Worth anything for so long from the call that publishes it, in whole milliseconds.
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

    /// As the core takes it; `remove` if the key has no value any more.
    ///
    /// # Errors
    /// What no message may have.
    pub(crate) fn read(&self, remove: bool) -> Result<(Attributes<'static>, Terms), PublishError> {
        let ttl_ms =
            |ttl: Duration| u64::try_from(ttl.as_millis()).unwrap_or(NUMBER_MAX).clamp(1, NUMBER_MAX);
        let headers = self.headers.iter().map(|(name, value)| (name, value));
        let attributes = Attributes {
            key: self.key.clone().into(),
            headers: Headers::of(headers),
            ttl_ms: self.ttl.map_or(0, ttl_ms),
            remove,
        };
        attributes.check().map_err(PublishError::BadMessage)?;
        self.terms.check(&self.key).map_err(|_| PublishError::Refused(Code::BadMessage))?;
        Ok((attributes, self.terms))
    }
}
