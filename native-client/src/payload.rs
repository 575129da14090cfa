//! What is published: bytes, and what they are.

use bytes::Bytes;
use serde::Serialize;
use serde::de::IgnoredAny;

use tidewire_protocol::code::Content;

/// A message's bytes with what they are. JSON is checked when it is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Payload {
    content: Content,
    bytes: Bytes,
}

/// What should be JSON is none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not JSON: {0}")]
pub struct NotJson(String);

impl Payload {
    /// Data as JSON.
    ///
    /// # Errors
    /// [`NotJson`] if it cannot be written so: a map whose keys are no texts, say.
    pub fn json<T: Serialize + ?Sized>(data: &T) -> Result<Self, NotJson> {
        let bytes = serde_json::to_vec(data).map_err(NotJson::new)?;
        Ok(Self { content: Content::Json, bytes: bytes.into() })
    }

    /// A text that is JSON already, to be published as it is written.
    ///
    /// # Errors
    /// [`NotJson`] if it is not one whole JSON value.
    pub fn json_text(text: impl Into<Bytes>) -> Result<Self, NotJson> {
        let bytes = text.into();
        serde_json::from_slice::<IgnoredAny>(&bytes).map_err(NotJson::new)?;
        // The reader above passes over what stands inside strings.
        std::str::from_utf8(&bytes).map_err(NotJson::new)?;
        Ok(Self { content: Content::Json, bytes })
    }

    /// A text.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self { content: Content::Text, bytes: text.into().into() }
    }

    /// Any bytes.
    #[must_use]
    pub fn binary(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Binary, bytes: bytes.into() }
    }

    /// Bytes that are CBOR (RFC 8949). They are not checked.
    #[must_use]
    pub fn cbor(bytes: impl Into<Bytes>) -> Self {
        Self { content: Content::Cbor, bytes: bytes.into() }
    }

    /// Bytes that are said to be this.
    pub(crate) const fn new(content: Content, bytes: Bytes) -> Self {
        Self { content, bytes }
    }

    /// What the bytes are.
    #[must_use]
    pub const fn content(&self) -> Content {
        self.content
    }

    /// The bytes.
    #[must_use]
    pub const fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The bytes alone.
    pub(crate) fn into_bytes(self) -> Bytes {
        self.bytes
    }
}

impl NotJson {
    #[allow(clippy::needless_pass_by_value)] // `map_err` gives it so.
    fn new(error: impl ToString) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::Payload;

    #[track_caller]
    fn check(text: &[u8], expected: Result<(), &str>) {
        let got = Payload::json_text(text.to_vec()).map(drop).map_err(|error| error.to_string());
        match expected {
            Ok(()) => assert_eq!(got, Ok(())),
            Err(part) => assert!(got.as_ref().is_err_and(|told| told.contains(part)), "{got:?}"),
        }
    }

    #[test]
    fn a_text_is_json_or_refused() {
        check(br#"{"id": 4711}"#, Ok(()));
        check(b" null ", Ok(()));
        check(b"{not json", Err("not JSON: key must be a string"));
        check(b"", Err("not JSON: EOF"));
        check(b"1 2", Err("not JSON: trailing characters"));
        check(b"\"\xff\"", Err("not JSON"));
    }
}
