//! A message on a line of its own, as it is taken out of a log and put into one: as in a block or page, but that nothing of
//! its payload is lost, and that it stays on the line.

use alloc::borrow::Cow;
use alloc::string::{String, ToString as _};
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::attributes::{Attributes, Headers};
use crate::binary::BadFrame;
use crate::block::Message;
use crate::code::Content;
use crate::json::JsonMessage;
use crate::json::publishing::{Payload, even_null};

/// A message as a line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line<'a> {
    /// Its topic.
    pub topic: Cow<'a, str>,
    /// When it was published, milliseconds since 1970, if the line says so.
    pub published_at_ms: Option<u64>,
    /// Who published it, if that is known.
    pub sender: Option<Cow<'a, str>>,
    /// The publisher may have stored it before.
    pub maybe_duplicate: bool,
    /// What it has besides.
    pub attributes: Attributes<'a>,
    /// What the payload is.
    pub content: Content,
    /// The bytes.
    pub payload: Cow<'a, [u8]>,
}

/// Why a text is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BadLine {
    /// It is no object, or a field is none of a message, or of the wrong kind.
    NoMessage(String),
    /// Its payload does not say what it is, or says so twice.
    BadPayload,
    /// Its payload is something that this version does not know.
    BadContent,
    /// It has a key of no bytes.
    EmptyKey,
    /// It has a time to live of nothing.
    NoTime,
}

impl core::error::Error for BadLine {}

impl fmt::Display for BadLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoMessage(why) => f.write_str(why),
            Self::BadContent => f.write_str("`content` is one of json, text, binary and cbor"),
            Self::EmptyKey => f.write_str("`key` has 1 to 255 bytes: leave it out where there is none"),
            Self::NoTime => f.write_str("`ttl_ms` is at least a millisecond: leave it out for no bound"),
            Self::BadPayload => f.write_str(
                "a message has one of `data`, `text` and `base64`, and `content` says nothing else",
            ),
        }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonLine<'a> {
    #[serde(borrow)]
    topic: Cow<'a, str>,
    published_at: Option<u64>,
    #[serde(borrow)]
    sender: Option<Cow<'a, str>>,
    #[serde(default)]
    maybe_duplicate: bool,
    #[serde(borrow)]
    key: Option<Cow<'a, str>>,
    #[serde(borrow, default)]
    headers: Headers<'a>,
    #[serde(default, deserialize_with = "crate::number::some_within_range")]
    ttl_ms: Option<u64>,
    #[serde(default)]
    remove: bool,
    #[serde(default)]
    content: Option<Content>,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
    #[serde(borrow)]
    base64: Option<Cow<'a, str>>,
    // Of the log that it was in.
    #[serde(default, rename = "offset")]
    _offset: serde::de::IgnoredAny,
    #[serde(default, rename = "epoch")]
    _epoch: serde::de::IgnoredAny,
    #[serde(default, rename = "tag")]
    _tag: serde::de::IgnoredAny,
}

impl Line<'_> {
    /// The same, its texts its own.
    #[must_use]
    pub fn into_owned(self) -> Line<'static> {
        Line {
            topic: Cow::Owned(self.topic.into_owned()),
            published_at_ms: self.published_at_ms,
            sender: self.sender.map(|sender| Cow::Owned(sender.into_owned())),
            maybe_duplicate: self.maybe_duplicate,
            attributes: self.attributes.into_owned(),
            content: self.content,
            payload: Cow::Owned(self.payload.into_owned()),
        }
    }
}

/// Appends a message as a JSON object without line ends. JSON that has some, or space around it, goes as base64: as `data` it
/// would come back as something else.
///
/// # Errors
/// None that are known.
pub fn put_line(message: Message<'_>, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    let mut json = JsonMessage::new(message);
    let is_as_it_was =
        |data: &RawValue| data.get().len() == message.payload.len() && !data.get().contains(['\n', '\r']);
    // A removal without a payload is taken for JSON, as that of most is.
    let has_none = json.data.is_none() && json.text.is_none() && json.base64.is_none();
    let has_none = has_none && message.content != Content::Json;
    if has_none || json.data.is_some_and(|data| !is_as_it_was(data)) {
        json.data = None;
        json.content = Some(message.content);
        json.base64 = Some(BASE64.encode(message.payload));
    }
    serde_json::to_writer(out, &json).map_err(|_| BadFrame)
}

/// Reads a message; its offset is the other log's, and so is what else only had a meaning there.
///
/// # Errors
/// [`BadLine`] says what is wrong.
pub fn take_line(text: &str) -> Result<Line<'_>, BadLine> {
    // An array would do for an object else.
    if !text.trim_start().starts_with('{') {
        return Err(BadLine::NoMessage("it is no JSON object".to_string()));
    }
    let read: Result<JsonLine<'_>, _> = serde_json::from_str(text);
    let line = read.map_err(|error| BadLine::NoMessage(error.to_string()))?;
    let JsonLine { content, data, text, base64, .. } = line;
    let payload = Payload { content, data, text, base64 };
    let JsonLine { topic, published_at, sender, maybe_duplicate, key, headers, ttl_ms, remove, .. } = line;
    if key.as_ref().is_some_and(|key| key.is_empty()) {
        return Err(BadLine::EmptyKey);
    }
    if ttl_ms == Some(0) {
        return Err(BadLine::NoTime);
    }
    let (key, ttl_ms) = (key.unwrap_or_default(), ttl_ms.unwrap_or_default());
    let attributes = Attributes { key, headers, ttl_ms, remove };
    let (content, payload) = payload.read(remove).map_err(|_| BadLine::BadPayload)?;
    if content == Content::Unknown {
        return Err(BadLine::BadContent);
    }
    let published_at_ms = published_at;
    Ok(Line { topic, published_at_ms, sender, maybe_duplicate, attributes, content, payload })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::number::{Offset, Tag};

    #[track_caller]
    fn check(content: Content, payload: &[u8], field: &str) {
        check_with(&Attributes::default(), content, payload, field);
    }

    #[track_caller]
    fn check_with(attributes: &Attributes<'_>, content: Content, payload: &[u8], field: &str) {
        let mut ext = Vec::new();
        attributes.put(&mut ext);
        let message = Message {
            offset: Offset(7),
            published_at_ms: 1_700_000_000_000,
            content,
            maybe_duplicate: false,
            tag: Tag(0),
            sender: Some("s\n\"ü"),
            topic: Some("a.b"),
            ext: &ext,
            payload,
        };
        let mut line = Vec::new();
        put_line(message, &mut line).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert!(!line.contains(['\n', '\r']) && line.contains(&alloc::format!("\"{field}\":")), "{line}");
        let read = take_line(&line).unwrap();
        assert_eq!((read.content, &*read.payload), (content, payload), "{line}");
        assert_eq!((&*read.topic, read.published_at_ms), ("a.b", Some(1_700_000_000_000)));
        assert_eq!(read.sender.as_deref(), Some("s\n\"ü"));
        assert_eq!(&read.attributes, attributes);
    }

    #[test]
    fn a_payload_comes_back_byte_for_byte() {
        check(Content::Json, br#"{"a":  [1.0, 1e400, 123456789012345678901234567890, "\u00fc"]}"#, "data");
        check(Content::Json, b"null", "data");
        for odd in [&b" 1"[..], b"1\n", b"{\n\"a\": 1\r\n}", b"", b"nonsense", b"\xff", b"1 2", b"\"\xff\""] {
            check(Content::Json, odd, "base64");
        }
        let deep = ["[".repeat(120), "]".repeat(120)].concat();
        check(Content::Json, deep.as_bytes(), "base64");
        check(Content::Text, "tab\t line\r\n \0 \u{2028} ü".as_bytes(), "text");
        check(Content::Text, b"", "text");
        check(Content::Text, b"\xff", "base64");
        for content in [Content::Binary, Content::Cbor] {
            check(content, b"", "base64");
            check(content, &[0, 1, 0xff], "base64");
        }
    }

    #[test]
    fn so_does_what_it_has_besides() {
        let headers = Headers::of([("trace", "a \"b\""), ("x", "")]);
        let attributes = Attributes { key: "k ü".into(), headers, ttl_ms: 7_000, remove: false };
        check_with(&attributes, Content::Json, b"{}", "data");
        for remove in [false, true] {
            let attributes = Attributes { remove, ..attributes.clone() };
            check_with(&attributes, Content::Text, b"", "text");
            check_with(&attributes, Content::Json, b"", if remove { "remove" } else { "base64" });
            check_with(&attributes, Content::Cbor, b"", "base64");
        }
        let removal = take_line(r#"{"topic":"a","key":"k","remove":true}"#).unwrap();
        assert!(removal.payload.is_empty() && removal.attributes.remove);
    }

    #[test]
    fn what_is_wrong_is_told() {
        let wrong = |text: &str| take_line(text).unwrap_err().to_string();
        assert!(wrong("[\"a\", 1]").contains("no JSON object"));
        assert!(wrong(r#"{"topic":"a","text":"x","keey":1}"#).contains("unknown field `keey`"));
        assert!(wrong(r#"{"topic":"a","text":"x","text":"y"}"#).contains("duplicate field"));
        assert!(wrong(r#"{"text":"x"}"#).contains("missing field `topic`"));
        assert!(wrong(r#"{"topic":"a","text":"x"} {}"#).contains("trailing characters"));
        assert!(wrong(r#"{"topic":"a","text":"x","published_at":-1}"#).contains("-1"));
        take_line(r#"{"topic":"a","text":"x","ttl_ms":9007199254740992}"#).unwrap_err();
        for payload in ["", r#","text":"x","data":1"#, r#","base64":"ü""#, r#","text":"x","content":"json""#]
        {
            assert_eq!(take_line(&alloc::format!("{{\"topic\":\"a\"{payload}}}")), Err(BadLine::BadPayload));
        }
        assert_eq!(take_line(r#"{"topic":"a","text":"x","key":""}"#), Err(BadLine::EmptyKey));
        assert_eq!(take_line(r#"{"topic":"a","text":"x","ttl_ms":0}"#), Err(BadLine::NoTime));
        let least = take_line(r#"{"topic":"a","text":"x","epoch":"0f","tag":3}"#).unwrap();
        assert_eq!((least.published_at_ms, least.sender), (None, None));
    }
}
