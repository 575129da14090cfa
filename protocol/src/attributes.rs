//! What a message has besides its payload: a key, headers, a time to live. In a `publish` and a `send` these are fields of
//! the frame; in a block they are fields of the message's `ext`, under the same numbers.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::binary::BadFrame;
use crate::feature;
use crate::field::{self, Field, Value};
use crate::number::NUMBER_MAX;
use crate::varint;

/// A message's attributes; most messages have none.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// (8) What it is about, so that a later message of the same key replaces it; empty for none.
    pub key: Cow<'a, str>,
    /// (9) Names and values.
    pub headers: Headers<'a>,
    /// (11) Milliseconds after publishing for which it is worth anything; 0 for no bound.
    pub ttl_ms: u64,
    /// (19) The key has no value any more.
    pub remove: bool,
}

/// [`Attributes`] whose texts nobody has looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Unread<'a> {
    /// See [`Attributes::key`].
    pub key: &'a [u8],
    /// See [`Attributes::headers`]: names and values by turns, each behind its length (varint).
    pub headers: &'a [u8],
    /// See [`Attributes::ttl_ms`].
    pub ttl_ms: u64,
    /// See [`Attributes::remove`].
    pub remove: bool,
}

/// Headers as the wire has them: each name and value behind its length (varint).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Headers<'a>(Cow<'a, [u8]>);

/// Attributes that no message may have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadAttribute {
    /// A key is longer than [`KEY_BYTES_MAX`], or has control characters.
    Key,
    /// A time to live beyond all numbers.
    Ttl,
    /// A removal without a key.
    RemoveWithoutKey,
    /// More than [`HEADERS_MAX`], or more than [`HEADERS_BYTES_MAX`] bytes.
    TooManyHeaders,
    /// A name is empty, too long, or has other than lower-case letters, digits, `-`, `_` and `.`.
    HeaderName,
    /// A name comes twice.
    HeaderTwice,
    /// A value has control characters.
    HeaderValue,
}

impl fmt::Display for BadAttribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Key => write!(f, "a key has at most {KEY_BYTES_MAX} bytes and no control characters"),
            Self::Ttl => write!(f, "a time to live has at most {NUMBER_MAX} milliseconds"),
            Self::RemoveWithoutKey => f.write_str("a removal names the key that is removed"),
            Self::TooManyHeaders => {
                write!(f, "a message has at most {HEADERS_MAX} headers of {HEADERS_BYTES_MAX} bytes in all")
            }
            Self::HeaderName => write!(
                f,
                "a header's name has 1 to {HEADER_NAME_BYTES_MAX} lower-case letters, digits, `-`, `_` and `.`"
            ),
            Self::HeaderTwice => f.write_str("a header's name comes once"),
            Self::HeaderValue => f.write_str("a header's value has no control characters"),
        }
    }
}

impl core::error::Error for BadAttribute {}

impl<'a> Attributes<'a> {
    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.key.is_empty() && self.headers.is_empty() && self.ttl_ms == 0 && !self.remove
    }

    /// The bits of a hub's `features` without which they would be lost.
    #[must_use]
    pub fn needs(&self) -> u64 {
        let bit = |has: bool, bit: u64| if has { bit } else { 0 };
        bit(!self.key.is_empty(), feature::KEYS)
            | bit(!self.headers.is_empty(), feature::HEADERS)
            | bit(self.ttl_ms > 0, feature::TTL)
            | bit(self.remove, feature::MAPS)
    }

    /// Appends them as fields.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.put_lasting(out);
        put_ttl(self.ttl_ms, out);
    }

    /// Appends as fields those that time does not change: all but `ttl_ms`.
    pub fn put_lasting(&self, out: &mut Vec<u8>) {
        self.key.put(KEY, out);
        self.headers.0.put(HEADERS, out);
        self.remove.put(REMOVE, out);
    }

    /// Reads them from fields, others of which are passed over.
    ///
    /// # Errors
    /// [`BadFrame`] if one is cut short or of the wrong kind.
    pub fn take(mut fields: &'a [u8]) -> Result<Self, BadFrame> {
        let mut attributes = Self::default();
        while !fields.is_empty() {
            let (number, value) = field::take(&mut fields).ok_or(BadFrame)?;
            attributes.take_field(number, value).ok_or(BadFrame)?;
        }
        Ok(attributes)
    }

    /// Takes a field if it is one of these; `None` if it is bad.
    pub(crate) fn take_field(&mut self, number: usize, value: Value<'a>) -> Option<()> {
        match number as u64 {
            KEY => self.key = Cow::Borrowed(core::str::from_utf8(value.bytes()?).ok()?),
            HEADERS => self.headers = Headers::take(value.bytes()?)?,
            TTL_MS => self.ttl_ms = value.number()?,
            REMOVE => self.remove = value.number()? != 0,
            _ => {}
        }
        Some(())
    }

    /// Whether a message may have them.
    ///
    /// # Errors
    /// [`BadAttribute`], the first that it may not have.
    pub fn check(&self) -> Result<(), BadAttribute> {
        if self.key.len() > KEY_BYTES_MAX || self.key.chars().any(char::is_control) {
            return Err(BadAttribute::Key);
        }
        if self.ttl_ms > NUMBER_MAX {
            return Err(BadAttribute::Ttl);
        }
        if self.remove && self.key.is_empty() {
            return Err(BadAttribute::RemoveWithoutKey);
        }
        self.headers.check()
    }

    /// The same, its texts its own.
    #[must_use]
    pub fn into_owned(self) -> Attributes<'static> {
        Attributes {
            key: Cow::Owned(self.key.into_owned()),
            headers: Headers(Cow::Owned(self.headers.0.into_owned())),
            ttl_ms: self.ttl_ms,
            remove: self.remove,
        }
    }
}

impl<'a> Unread<'a> {
    /// Reads them from fields, others of which are passed over; from the first on that is cut short, or of the wrong kind, none.
    #[must_use]
    pub fn take(mut fields: &'a [u8]) -> Self {
        let mut unread = Self::default();
        while let Some((number, value)) = field::take(&mut fields) {
            match (number as u64, value) {
                (KEY, Value::Bytes(bytes)) => unread.key = bytes,
                (HEADERS, Value::Bytes(bytes)) => unread.headers = bytes,
                (TTL_MS, Value::Number(ttl_ms)) => unread.ttl_ms = ttl_ms,
                (REMOVE, Value::Number(remove)) => unread.remove = remove != 0,
                _ => {}
            }
        }
        unread
    }
}

impl<'a> Headers<'a> {
    /// These names and values.
    pub fn of<N: AsRef<str>, V: AsRef<str>>(pairs: impl IntoIterator<Item = (N, V)>) -> Headers<'static> {
        let mut bytes = Vec::new();
        for (name, value) in pairs {
            varint::put_bytes(name.as_ref().as_bytes(), &mut bytes);
            varint::put_bytes(value.as_ref().as_bytes(), &mut bytes);
        }
        Headers(Cow::Owned(bytes))
    }

    /// Those in these bytes; `None` if one is cut short or no text.
    #[must_use]
    pub fn take(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        while !rest.is_empty() {
            for _ in 0..2 {
                core::str::from_utf8(varint::take_bytes(&mut rest)?).ok()?;
            }
        }
        Some(Self(Cow::Borrowed(bytes)))
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// As the wire has them.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Names and values, in the order in which they were given.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        let mut rest = &*self.0;
        let mut text = move || {
            let bytes = varint::take_bytes(&mut rest)?;
            core::str::from_utf8(bytes).ok()
        };
        core::iter::from_fn(move || Some((text()?, text()?)))
    }

    /// The value of a name.
    #[must_use]
    pub fn value(&self, name: &str) -> Option<&str> {
        self.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    fn check(&self) -> Result<(), BadAttribute> {
        if self.0.len() > HEADERS_BYTES_MAX || self.iter().count() > HEADERS_MAX {
            return Err(BadAttribute::TooManyHeaders);
        }
        for (at, (name, value)) in self.iter().enumerate() {
            let is_name = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.');
            if name.is_empty() || name.len() > HEADER_NAME_BYTES_MAX || !name.bytes().all(is_name) {
                return Err(BadAttribute::HeaderName);
            }
            if self.iter().take(at).any(|(before, _)| before == name) {
                return Err(BadAttribute::HeaderTwice);
            }
            if value.chars().any(char::is_control) {
                return Err(BadAttribute::HeaderValue);
            }
        }
        Ok(())
    }
}

/// Appends a time to live as a field.
pub fn put_ttl(ttl_ms: u64, out: &mut Vec<u8>) {
    ttl_ms.put(TTL_MS, out);
}

/// In JSON, an object of texts.
#[cfg(feature = "json")]
mod json {
    use core::fmt;

    use serde::de::{MapAccess, Visitor};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use alloc::borrow::Cow;
    use alloc::vec::Vec;

    use super::Headers;
    use crate::varint;

    impl Serialize for Headers<'_> {
        fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
            to.collect_map(self.iter())
        }
    }

    impl<'de> Deserialize<'de> for Headers<'_> {
        fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
            from.deserialize_map(Pairs)
        }
    }

    struct Pairs;

    impl<'de> Visitor<'de> for Pairs {
        type Value = Headers<'static>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of texts")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut bytes = Vec::new();
            while let Some((name, value)) = entries.next_entry::<Cow<'de, str>, Cow<'de, str>>()? {
                varint::put_bytes(name.as_bytes(), &mut bytes);
                varint::put_bytes(value.as_bytes(), &mut bytes);
            }
            Ok(Headers(Cow::Owned(bytes)))
        }
    }
}

/// Bytes of a key.
pub const KEY_BYTES_MAX: usize = 255;
/// Headers of a message.
pub const HEADERS_MAX: usize = 32;
/// Bytes of a message's headers, a few for each name and value included.
pub const HEADERS_BYTES_MAX: usize = 4_096;
/// Bytes of a header's name.
pub const HEADER_NAME_BYTES_MAX: usize = 64;

const KEY: u64 = 8;
const HEADERS: u64 = 9;
const TTL_MS: u64 = 11;
const REMOVE: u64 = 19;

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(key: &str, headers: &[(&str, &str)], wanted: Result<(), BadAttribute>) {
        let attributes = Attributes {
            key: key.into(),
            headers: Headers::of(headers.iter().copied()),
            ..Attributes::default()
        };
        assert_eq!(attributes.check(), wanted);
    }

    #[test]
    fn what_a_message_may_not_have_is_named() {
        check("", &[], Ok(()));
        check("ü", &[("a", ""), ("b-c_d.9", "grüße {}")], Ok(()));
        check(&"k".repeat(KEY_BYTES_MAX), &[], Ok(()));
        check(&"k".repeat(KEY_BYTES_MAX + 1), &[], Err(BadAttribute::Key));
        check("a\nb", &[], Err(BadAttribute::Key));
        check("", &[("", "")], Err(BadAttribute::HeaderName));
        check("", &[("A", "")], Err(BadAttribute::HeaderName));
        check("", &[("a b", "")], Err(BadAttribute::HeaderName));
        check("", &[(&"n".repeat(HEADER_NAME_BYTES_MAX + 1), "")], Err(BadAttribute::HeaderName));
        check("", &[("a", "1"), ("b", "2"), ("a", "1")], Err(BadAttribute::HeaderTwice));
        check("", &[("a", "x\ry")], Err(BadAttribute::HeaderValue));
        check("", &[("a", &"v".repeat(HEADERS_BYTES_MAX))], Err(BadAttribute::TooManyHeaders));
        let names: alloc::vec::Vec<_> = (0..=HEADERS_MAX).map(|n| alloc::format!("n{n}")).collect();
        let many: alloc::vec::Vec<_> = names.iter().map(|name| (name.as_str(), "")).collect();
        check("", &many[1..], Ok(()));
        check("", &many, Err(BadAttribute::TooManyHeaders));
    }

    #[test]
    fn unread_they_are_the_same() {
        let headers = Headers::of([("a", "1")]);
        let attributes = Attributes { key: "k".into(), headers, ttl_ms: 300, remove: true };
        let mut fields = alloc::vec![2, 7];
        attributes.put(&mut fields);
        // One that is added here is to be known there.
        let Attributes { key, headers, ttl_ms, remove } = &attributes;
        let (key, headers) = (key.as_bytes(), headers.as_bytes());
        let expected = Unread { key, headers, ttl_ms: *ttl_ms, remove: *remove };
        assert_eq!(Unread::take(&fields), expected);
        assert_eq!(Unread::take(&fields[..5]), Unread { key: b"k", ..Unread::default() });
    }

    #[test]
    fn a_removal_names_its_key() {
        let removal = Attributes { remove: true, ..Attributes::default() };
        assert_eq!(removal.check(), Err(BadAttribute::RemoveWithoutKey));
        assert_eq!(Attributes { key: "a".into(), ..removal }.check(), Ok(()));
    }

    #[test]
    fn headers_that_are_cut_short_are_none() {
        let headers = Headers::of([("a", "b"), ("c", "d")]);
        assert_eq!(headers.value("c"), Some("d"));
        let bytes = headers.as_bytes();
        for len in 0..bytes.len() {
            let whole = Headers::take(&bytes[..len]).is_some();
            assert_eq!(whole, len.is_multiple_of(4), "{len}");
        }
    }
}
