//! What a client publishes, as JSON has it.

use alloc::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use crate::attributes::{Attributes, Headers};
use crate::binary::BadFrame;
use crate::client_frame::{Publish, Send, Terms};
use crate::code::{Content, Durability};
use crate::number::{Handle, Seq, Tag};
use crate::position::Position;

/// A `publish` as JSON has it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct JsonPublish<'a> {
    handle: Handle,
    seq: Seq,
    lowest: Seq,
    content: Option<Content>,
    maybe_duplicate: bool,
    void: bool,
    #[serde(borrow, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    r#as: Tag,
    #[serde(deserialize_with = "crate::number::within_range")]
    count: u64,
    #[serde(borrow)]
    key: Cow<'a, str>,
    headers: Headers<'a>,
    #[serde(deserialize_with = "crate::number::within_range")]
    ttl_ms: u64,
    remove: bool,
    if_version: Option<Position>,
    if_absent: bool,
    durability: Option<Durability>,
}

/// A `send` as JSON has it.
#[derive(Deserialize, Default)]
#[serde(default)]
pub(super) struct JsonSend<'a> {
    handle: Handle,
    content: Option<Content>,
    #[serde(deserialize_with = "crate::number::within_range")]
    expires_ms: u64,
    #[serde(borrow, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    #[serde(borrow)]
    key: Cow<'a, str>,
    headers: Headers<'a>,
    #[serde(deserialize_with = "crate::number::within_range")]
    ttl_ms: u64,
    remove: bool,
}

/// `null` is a message like any other, not the absence of one.
pub(super) fn even_null<'de, D: Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

/// A payload as JSON has it: one of three, and what the frame says that it is.
pub(super) struct Payload<'a> {
    pub(super) content: Option<Content>,
    pub(super) data: Option<&'a RawValue>,
    pub(super) text: Option<Cow<'a, str>>,
    pub(super) base64: Option<Cow<'a, str>>,
}

impl<'a> Payload<'a> {
    /// Its content and bytes. Only a void and a removal may have none.
    pub(super) fn read(self, may_be_none: bool) -> Result<(Content, Cow<'a, [u8]>), BadFrame> {
        let (content, payload) = match (self.data, self.text, self.base64) {
            (Some(data), None, None) => (Content::Json, Cow::Borrowed(data.get().as_bytes())),
            (None, Some(Cow::Borrowed(text)), None) => (Content::Text, Cow::Borrowed(text.as_bytes())),
            (None, Some(Cow::Owned(text)), None) => (Content::Text, Cow::Owned(text.into_bytes())),
            (None, None, Some(text)) => {
                let content = self.content.unwrap_or(Content::Binary);
                (content, Cow::Owned(BASE64.decode(text.as_bytes()).map_err(|_| BadFrame)?))
            }
            (None, None, None) if may_be_none => (Content::Json, Cow::Borrowed(&[][..])),
            _ => return Err(BadFrame),
        };
        if self.content.is_some_and(|said| said != content) {
            return Err(BadFrame);
        }
        Ok((content, payload))
    }
}

impl<'a> JsonPublish<'a> {
    pub(super) fn into_frame(self) -> Result<Publish<'a>, BadFrame> {
        let payload =
            Payload { content: self.content, data: self.data, text: self.text, base64: self.base64 };
        let (content, payload) = payload.read(self.void || self.remove)?;
        Ok(Publish {
            handle: self.handle,
            seq: self.seq,
            lowest: self.lowest,
            content,
            maybe_duplicate: self.maybe_duplicate,
            void: self.void,
            payload,
            tag: self.r#as,
            count: self.count,
            attributes: Attributes {
                key: self.key,
                headers: self.headers,
                ttl_ms: self.ttl_ms,
                remove: self.remove,
            },
            terms: Terms {
                if_version: self.if_version,
                if_absent: self.if_absent,
                durability: self.durability,
            },
        })
    }
}

impl<'a> JsonSend<'a> {
    pub(super) fn into_frame(self) -> Result<Send<'a>, BadFrame> {
        let payload =
            Payload { content: self.content, data: self.data, text: self.text, base64: self.base64 };
        let (content, payload) = payload.read(self.remove)?;
        let attributes =
            Attributes { key: self.key, headers: self.headers, ttl_ms: self.ttl_ms, remove: self.remove };
        Ok(Send { handle: self.handle, content, expires_ms: self.expires_ms, payload, attributes })
    }
}
