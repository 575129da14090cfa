//! The JSON encoding: a WebSocket text message is one object, or an array of objects, with a `type`.
//!
//! Fields have the names they have in Rust; a field that has its default may be left out, one that comes
//! twice is refused. A payload is one of `data` (any JSON value, kept as it is written), `text`, or `base64`
//! together with `content`. Nothing here recurses on what a peer sends.

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;
use core::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::attributes::Headers;
use crate::binary::BadFrame;
use crate::block::{Block, Message, blocks_of_page};
use crate::client_frame::ClientFrame;
use crate::code::Content;
use crate::field::is_default;
use crate::hub_frame::{HubFrame, Page};
use crate::json::publishing::{JsonPublish, JsonSend};
use crate::number::{Offset, Request, Tag, TailNumber};
use crate::position::{Gap, Position};

pub mod line;

mod publishing;

/// Nesting up to which a payload goes to JSON subscribers as `data`; deeper ones go as base64.
///
/// Many parsers stop at 128 levels, block and page around the payload included, and whoever cannot parse
/// one message loses all that came with it.
pub const DATA_DEPTH_MAX: usize = 100;

/// The frames of a text message, as texts of one object each.
///
/// # Errors
/// [`BadFrame`] if the text is neither a JSON object nor an array of them.
pub fn frames(message: &str) -> Result<Vec<&str>, BadFrame> {
    if !message.trim_start().starts_with('[') {
        return Ok(vec![message]);
    }
    let mut from = serde_json::Deserializer::from_str(message);
    let frames_max = message.len() / FRAME_BYTES_MIN + 1;
    let frames = from.deserialize_seq(Frames { frames_max }).map_err(|_| BadFrame)?;
    from.end().map_err(|_| BadFrame)?;
    Ok(frames)
}

/// Takes an array apart. No more entries than could be frames: `[0,0,...]` must not cost 16 bytes for two.
struct Frames {
    frames_max: usize,
}

impl<'de> Visitor<'de> for Frames {
    type Value = Vec<&'de str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of frames")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
        let mut frames = Vec::new();
        while let Some(entry) = entries.next_element::<&RawValue>()? {
            if frames.len() == self.frames_max {
                return Err(A::Error::custom("these cannot be frames"));
            }
            frames.push(entry.get());
        }
        Ok(frames)
    }
}

/// Bytes of the shortest frame, its comma included: `{"type":""},`.
const FRAME_BYTES_MIN: usize = 12;

/// Reads one client frame; `Ok(None)` for a type that this version does not know.
///
/// # Errors
/// [`BadFrame`] if the text is no JSON object with a `type`, or a field is of the wrong kind.
pub fn take_client(frame: &str) -> Result<Option<ClientFrame<'_>>, BadFrame> {
    #[derive(Deserialize)]
    struct Kind<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
    }
    fn read<'a, T: Deserialize<'a>>(frame: &'a str) -> Result<T, BadFrame> {
        serde_json::from_str(frame).map_err(|_| BadFrame)
    }
    // Without this, an array would do for an object: its entries would be taken as the fields in order.
    if !frame.trim_start().starts_with('{') {
        return Err(BadFrame);
    }
    let kind: Kind<'_> = read(frame)?;
    Ok(Some(match &*kind.kind {
        "hello" => ClientFrame::Hello(read(frame)?),
        "attach" => ClientFrame::Attach(read(frame)?),
        "detach" => ClientFrame::Detach(read(frame)?),
        "open" => ClientFrame::Open(read(frame)?),
        "publish" => ClientFrame::Publish(read::<JsonPublish<'_>>(frame)?.into_frame()?),
        "shut" => ClientFrame::Shut(read(frame)?),
        "subscribe" => ClientFrame::Subscribe(read(frame)?),
        "unsubscribe" => ClientFrame::Unsubscribe(read(frame)?),
        "history" => ClientFrame::History(read(frame)?),
        "heartbeat" => ClientFrame::Heartbeat(read(frame)?),
        "send" => ClientFrame::Send(read::<JsonSend<'_>>(frame)?.into_frame()?),
        "sign_in" => ClientFrame::SignIn(read(frame)?),
        "batch" => ClientFrame::Batch(read(frame)?),
        _ => return Ok(None),
    }))
}

/// Appends one hub frame as a JSON object.
///
/// # Errors
/// [`BadFrame`] if the messages of a block or page cannot be read.
pub fn put_hub(frame: &HubFrame<'_>, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    match frame {
        HubFrame::Welcome(frame) => put("welcome", frame, out),
        HubFrame::Attached(frame) => put("attached", frame, out),
        HubFrame::Detached(frame) => put("detached", frame, out),
        HubFrame::Opened(frame) => put("opened", frame, out),
        HubFrame::Acked(frame) => put("acked", frame, out),
        HubFrame::Refused(frame) => put("refused", frame, out),
        HubFrame::Subscribed(frame) => put("subscribed", frame, out),
        HubFrame::Unsubscribed(frame) => put("unsubscribed", frame, out),
        HubFrame::Missing(frame) => put("missing", frame, out),
        HubFrame::Progress(frame) => put("progress", frame, out),
        HubFrame::Page(frame) => put("page", &JsonPage::read(frame)?, out),
        HubFrame::Heartbeat(frame) => put("heartbeat", frame, out),
        HubFrame::Failed(frame) => put("failed", frame, out),
        HubFrame::Goodbye(frame) => put("goodbye", frame, out),
        HubFrame::SignedIn(frame) => put("signed_in", frame, out),
        HubFrame::Block(block) => put("block", &JsonBlock::read(block)?, out),
    }
}

/// Appends a message as a JSON object, as blocks and pages have it.
///
/// # Errors
/// None that are known: a payload that is not what its content says goes as base64.
pub fn put_message(message: Message<'_>, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    serde_json::to_writer(out, &JsonMessage::new(message)).map_err(|_| BadFrame)
}

fn put<T: Serialize>(kind: &'static str, frame: &T, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    #[derive(Serialize)]
    struct Tagged<'a, T> {
        r#type: &'static str,
        #[serde(flatten)]
        frame: &'a T,
    }
    serde_json::to_writer(out, &Tagged { r#type: kind, frame }).map_err(|_| BadFrame)
}

/// A `block` as JSON has it.
#[derive(Serialize)]
struct JsonBlock<'a> {
    #[serde(skip_serializing_if = "is_default")]
    tail: TailNumber,
    #[serde(skip_serializing_if = "is_default")]
    log: u64,
    prev: Offset,
    messages: JsonMessages<'a>,
}

/// Written message by message, so that a block of tiny messages needs no list of large structs.
struct JsonMessages<'a>(Block<'a>);

#[derive(Serialize)]
struct JsonMessage<'a> {
    offset: Offset,
    published_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    topic: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "is_default")]
    tag: Tag,
    #[serde(skip_serializing_if = "is_default")]
    maybe_duplicate: bool,
    #[serde(skip_serializing_if = "str::is_empty")]
    key: Cow<'a, str>,
    #[serde(skip_serializing_if = "Headers::is_empty")]
    headers: Headers<'a>,
    #[serde(skip_serializing_if = "is_default")]
    ttl_ms: u64,
    #[serde(skip_serializing_if = "is_default")]
    remove: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> JsonBlock<'a> {
    fn read(block: &Block<'a>) -> Result<Self, BadFrame> {
        if block.messages().any(|message| message.is_err()) {
            return Err(BadFrame);
        }
        Ok(Self { tail: block.tail, log: block.log, prev: block.prev, messages: JsonMessages(block.clone()) })
    }
}

impl Serialize for JsonMessages<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(self.0.messages().map_while(Result::ok).map(JsonMessage::new))
    }
}

impl<'a> JsonMessage<'a> {
    /// A payload that is not what its content says goes as base64, so that one bad message harms no other.
    fn new(message: Message<'a>) -> Self {
        let payload = message.payload;
        let (mut data, mut text) = (None, None);
        match message.content {
            Content::Json => data = serde_json::from_slice(payload).ok().filter(|_| is_shallow(payload)),
            Content::Text => text = core::str::from_utf8(payload).ok(),
            Content::Binary | Content::Cbor | Content::Unknown => {}
        }
        // The hub wrote these fields itself.
        let attributes = message.attributes().unwrap_or_default();
        let has_none = attributes.remove && payload.is_empty();
        let raw = data.is_none() && text.is_none() && !has_none;
        Self {
            offset: message.offset,
            published_at: message.published_at_ms,
            topic: message.topic,
            sender: message.sender,
            tag: message.tag,
            maybe_duplicate: message.maybe_duplicate,
            key: attributes.key,
            headers: attributes.headers,
            ttl_ms: attributes.ttl_ms,
            remove: attributes.remove,
            data,
            text,
            content: raw.then_some(message.content),
            base64: raw.then(|| BASE64.encode(payload)),
        }
    }
}

/// Whether a sound JSON text nests no deeper than [`DATA_DEPTH_MAX`].
fn is_shallow(json: &[u8]) -> bool {
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for &byte in json {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = in_string,
            b'"' => in_string = !in_string,
            _ if in_string => {}
            b'[' | b'{' if depth == DATA_DEPTH_MAX => return false,
            b'[' | b'{' => depth += 1,
            b']' | b'}' => depth -= 1,
            _ => {}
        }
    }
    true
}

/// A `page` as JSON has it.
#[derive(Serialize)]
struct JsonPage<'a> {
    request: Request,
    #[serde(skip_serializing_if = "is_default")]
    more: bool,
    after: &'a [Position],
    upto: &'a [Position],
    #[serde(skip_serializing_if = "Option::is_none")]
    gap: Option<Gap>,
    blocks: JsonBlocks<'a>,
    #[serde(skip_serializing_if = "is_default")]
    removals: Offset,
}

struct JsonBlocks<'a>(&'a [u8]);

impl<'a> JsonPage<'a> {
    fn read(page: &'a Page<'_>) -> Result<Self, BadFrame> {
        for block in blocks_of_page(&page.blocks) {
            JsonBlock::read(&block?)?;
        }
        Ok(Self {
            request: page.request,
            more: page.more,
            after: &page.after,
            upto: &page.upto,
            gap: page.gap,
            blocks: JsonBlocks(&page.blocks),
            removals: page.removals,
        })
    }
}

impl Serialize for JsonBlocks<'_> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        let blocks = blocks_of_page(self.0).flatten();
        let untailed = blocks.map(|block| Block { tail: TailNumber(0), ..block });
        to.collect_seq(untailed.flat_map(|block| JsonBlock::read(&block)))
    }
}
