//! Frames that carry a message: their payload is their last field, and their message's attributes are fields of theirs.

use alloc::borrow::Cow;
use alloc::vec::Vec;
use core::fmt;

use crate::binary::{self, BadFrame};
use crate::client_frame::{BadTerms, Publish, Send, Terms};
use crate::code::{Content, Durability};
use crate::feature;
use crate::field::{self, Field};
use crate::number::{Handle, Seq, Tag};
use crate::position::Position;
use crate::varint;

impl<'a> Publish<'a> {
    /// The frame's kind in the binary encoding.
    pub const KIND: u8 = 5;
    const PAYLOAD: u64 = 7;

    /// Appends the frame in the binary encoding.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.put_head(self.payload.len(), out);
        out.extend_from_slice(&self.payload);
    }

    /// Appends all of the frame but the payload, whose `payload_len` bytes must follow.
    ///
    /// `self.payload` is not looked at: this is for payloads that live elsewhere.
    pub fn put_head(&self, payload_len: usize, out: &mut Vec<u8>) {
        let put = |out: &mut Vec<u8>| {
            self.attributes.put(out);
            self.terms.put(out);
        };
        self.put_head_with(put, payload_len, out);
    }

    /// As [`Self::put_head`], but what the message has besides and its terms are what this appends: neither
    /// `self.attributes` nor `self.terms` is looked at.
    pub fn put_head_with(&self, put: impl FnOnce(&mut Vec<u8>), payload_len: usize, out: &mut Vec<u8>) {
        let start = binary::begin(Self::KIND, out);
        self.handle.put(1, out);
        self.seq.put(2, out);
        self.lowest.put(3, out);
        self.content.put(4, out);
        self.maybe_duplicate.put(5, out);
        self.void.put(6, out);
        self.tag.put(16, out);
        self.count.put(17, out);
        put(out);
        end_with_payload(start, Self::PAYLOAD, payload_len, out);
    }

    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// [`BadFrame`] if a field is cut short or of the wrong kind.
    pub fn take(body: &'a [u8]) -> Result<Self, BadFrame> {
        Self::of_fields(body).ok_or(BadFrame)
    }

    fn of_fields(mut body: &'a [u8]) -> Option<Self> {
        let mut frame = Self::default();
        while !body.is_empty() {
            let (number, value) = field::take(&mut body)?;
            match number {
                1 => frame.handle = Handle(value.number()?),
                2 => frame.seq = Seq(value.number()?),
                3 => frame.lowest = Seq(value.number()?),
                4 => frame.content = Content::from_number(value.number()?),
                5 => frame.maybe_duplicate = value.number()? != 0,
                6 => frame.void = value.number()? != 0,
                7 => frame.payload = Cow::Borrowed(value.bytes()?),
                16 => frame.tag = Tag(value.number()?),
                17 => frame.count = value.number()?,
                12 => frame.terms.if_version = Some(Position::of_bytes(value.bytes()?)?),
                13 => frame.terms.if_absent = value.number()? != 0,
                14 => frame.terms.durability = Some(Durability::from_number(value.number()?)),
                _ => frame.attributes.take_field(number, value)?,
            }
        }
        Some(frame)
    }
}

impl<'a> Send<'a> {
    /// The frame's kind in the binary encoding.
    pub const KIND: u8 = 22;
    const PAYLOAD: u64 = 4;

    /// Appends the frame in the binary encoding.
    pub fn put(&self, out: &mut Vec<u8>) {
        self.put_with(|out| self.attributes.put(out), out);
    }

    /// As [`Self::put`], but what the message has besides is what this appends: `self.attributes` is not looked at.
    pub fn put_with(&self, put: impl FnOnce(&mut Vec<u8>), out: &mut Vec<u8>) {
        let start = binary::begin(Self::KIND, out);
        self.handle.put(1, out);
        self.content.put(2, out);
        self.expires_ms.put(3, out);
        put(out);
        end_with_payload(start, Self::PAYLOAD, self.payload.len(), out);
        out.extend_from_slice(&self.payload);
    }

    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// [`BadFrame`] if a field is cut short or of the wrong kind.
    pub fn take(body: &'a [u8]) -> Result<Self, BadFrame> {
        Self::of_fields(body).ok_or(BadFrame)
    }

    fn of_fields(mut body: &'a [u8]) -> Option<Self> {
        let mut frame = Self::default();
        while !body.is_empty() {
            let (number, value) = field::take(&mut body)?;
            match number {
                1 => frame.handle = Handle(value.number()?),
                2 => frame.content = Content::from_number(value.number()?),
                3 => frame.expires_ms = value.number()?,
                4 => frame.payload = Cow::Borrowed(value.bytes()?),
                _ => frame.attributes.take_field(number, value)?,
            }
        }
        Some(frame)
    }
}

impl Terms {
    /// Whether the message is published whatever its key's latest message is.
    #[must_use]
    pub const fn are_unconditional(&self) -> bool {
        self.if_version.is_none() && !self.if_absent
    }

    /// Whether a message with this key, or an empty one, may be published on them.
    ///
    /// # Errors
    /// [`BadTerms`], why it may not.
    pub const fn check(&self, key: &str) -> Result<(), BadTerms> {
        if self.if_version.is_some() && self.if_absent {
            return Err(BadTerms::Both);
        }
        if key.is_empty() && !self.are_unconditional() {
            return Err(BadTerms::WithoutKey);
        }
        Ok(())
    }

    /// Why a topic may refuse them with `not_supported`, and what to do, as far as these are the cause.
    #[must_use]
    pub const fn unsupported(&self) -> Option<&'static str> {
        match (self.durability, self.are_unconditional()) {
            (Some(Durability::Synced), true) => Some(NOT_SYNCED),
            (Some(Durability::Synced), false) => Some(NEITHER),
            (_, false) => Some(NOT_LATEST),
            (_, true) => None,
        }
    }

    /// The bits of a hub's `features` without which they would be lost.
    #[must_use]
    pub const fn needs(&self) -> u64 {
        let conditions = if self.are_unconditional() { 0 } else { feature::KEYS };
        let durability = if self.durability.is_none() { 0 } else { feature::DURABILITY };
        conditions | durability
    }

    /// Appends them as fields.
    pub fn put(&self, out: &mut Vec<u8>) {
        Field::put(&self.if_version, 12, out);
        self.if_absent.put(13, out);
        if let Some(durability) = self.durability {
            field::put_number(14, durability.number(), out);
        }
    }
}

impl fmt::Display for BadTerms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::WithoutKey => "a condition is about a key: name it",
            Self::Both => {
                "only if the key has no value, and only if its latest message is at a place, never both hold: give one"
            }
        })
    }
}

impl core::error::Error for BadTerms {}

/// Ends a frame whose last field is a payload of `payload_len` bytes, which the caller appends next.
fn end_with_payload(start: usize, number: u64, payload_len: usize, out: &mut Vec<u8>) {
    if payload_len > 0 {
        varint::put(number << 1 | 1, out);
        varint::put(payload_len as u64, out);
    }
    binary::end(start, payload_len, out);
}

const NOT_SYNCED: &str = "the topic is in memory by the hub's rule for it, so nothing that is published to it is `synced`: ask for no durability, or have that rule say `durability = \"synced\"`, for which the hub needs a data directory";
const NOT_LATEST: &str = "the topic does not keep the latest message of each key, so there is nothing that a condition (`if_version`, `if_absent`) could be about: publish without one, or have the hub's rule for the topic say `retention = \"latest_per_key\"`";
const NEITHER: &str = "the topic is in memory by the hub's rule for it, so nothing is `synced`, or it does not keep the latest message of each key, so that no condition can hold: ask for neither, or have that rule say `durability = \"synced\"` and `retention = \"latest_per_key\"`";
