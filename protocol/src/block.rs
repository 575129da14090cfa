//! Blocks: runs of consecutive messages of one tail, encoded once for every subscriber.
//!
//! Body of a block frame (kind 96), all numbers varints:
//!
//! ```text
//! tail | flags | prev | base_time | message*
//! flags: bit 0 the messages name their topics (a pattern's tail); bit 1 `log` follows the flags;
//!        bit 2 `ext_len ext` follows base_time
//!
//! message: len | flags | offset - offset before | published_at - base_time
//!          [tag] [sender_len sender] [topic [name_len name]] [ext_len ext] payload
//! flags: bits 0-1 content, bit 2 maybe_duplicate, bit 3 tag, bit 4 sender, bit 5 ext
//! ```
//!
//! `prev` is the offset of the tail's last message before this block, 0 if there is none; the first
//! message's offset counts from it. `topic` is the place of the message's topic among those that the block
//! has named so far, from 0; the first one beyond them is new and its name follows. `ext` holds fields
//! (see [`crate::attributes`]), and those that later versions add; flags that are unknown are passed over, since no
//! flag but those above brings bytes with it. The payload takes the rest of `len`.

use alloc::vec::Vec;
use core::fmt;

use crate::attributes::Attributes;
use crate::binary::{self, BadFrame};
use crate::code::Content;
use crate::field;
use crate::number::{Offset, Tag, TailNumber};
use crate::varint;

mod reading;

/// A block whose messages have not been looked at yet.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Block<'a> {
    /// Whose messages these are; 0 on a page.
    pub tail: TailNumber,
    /// Which of the subscription's logs, counted as in its positions.
    pub log: u64,
    /// Whether each message names its topic.
    pub named: bool,
    /// The tail's last offset before this block.
    pub prev: Offset,
    /// Milliseconds since 1970 that the messages' times count from.
    pub base_time_ms: u64,
    /// The messages, encoded.
    pub records: &'a [u8],
}

/// One message of a block.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// Position in the log.
    pub offset: Offset,
    /// The log's clock when it was appended, milliseconds since 1970.
    pub published_at_ms: u64,
    /// What the payload is.
    pub content: Content,
    /// The publisher may have stored it before, in a log that no longer knows.
    pub maybe_duplicate: bool,
    /// Mark of the participant that published it.
    pub tag: Tag,
    /// Who published it, where the topic's rule has the hub say so.
    pub sender: Option<&'a str>,
    /// Its topic, in a block of a pattern.
    pub topic: Option<&'a str>,
    /// What it has besides, as fields: see [`Self::attributes`].
    pub ext: &'a [u8],
    /// The bytes.
    pub payload: &'a [u8],
}

/// What stands before a message's payload.
#[derive(Debug, Clone, Copy, Default)]
pub struct Head<'a> {
    /// Offset of the message before it in the tail.
    pub prev: Offset,
    /// Its own.
    pub offset: Offset,
    /// The block's base time.
    pub base_time_ms: u64,
    /// Its own time; not before the base.
    pub published_at_ms: u64,
    /// What the payload is.
    pub content: Content,
    /// See [`Message::maybe_duplicate`].
    pub maybe_duplicate: bool,
    /// 0 for none.
    pub tag: Tag,
    /// Empty for none.
    pub sender: &'a str,
    /// In a pattern's block: place among the topics named so far, and the name if it is new.
    pub topic: Option<(u64, Option<&'a str>)>,
    /// Fields of what it has besides; empty for none.
    pub ext: &'a [u8],
}

/// A [`Message`] whose texts nobody has looked at: a reader that passes them on has no need to.
#[derive(Clone, Copy)]
pub struct Record<'a> {
    /// See [`Message::offset`].
    pub offset: Offset,
    /// See [`Message::published_at_ms`].
    pub published_at_ms: u64,
    /// See [`Message::content`].
    pub content: Content,
    /// See [`Message::maybe_duplicate`].
    pub maybe_duplicate: bool,
    /// See [`Message::tag`].
    pub tag: Tag,
    /// See [`Message::sender`].
    pub sender: Option<&'a [u8]>,
    /// See [`Message::topic`].
    pub topic: Option<&'a [u8]>,
    /// See [`Message::ext`].
    pub ext: &'a [u8],
    /// See [`Message::payload`].
    pub payload: &'a [u8],
}

/// Reads the messages of a block, front to back.
#[derive(Debug, Clone)]
pub struct Messages<'a>(Records<'a>);

/// Reads the messages of a block, front to back, but not their texts.
#[derive(Debug, Clone)]
pub struct Records<'a> {
    rest: &'a [u8],
    named: bool,
    offset: u64,
    base_time_ms: u64,
    topics: Vec<&'a [u8]>,
}

/// Bytes that [`put_header`] appends at most, the frame's kind and length included.
pub const HEADER_BYTES_MAX: usize = 1 + 6 * varint::VARINT_BYTES_MAX;

const CONTENT: u64 = 0b11;
const MAYBE_DUPLICATE: u64 = 1 << 2;
const TAG: u64 = 1 << 3;
const SENDER: u64 = 1 << 4;
const EXT: u64 = 1 << 5;

const NAMED: u64 = 1;
const LOG: u64 = 1 << 1;
const HEADER_EXT: u64 = 1 << 2;

/// Appends kind, length and everything else of a block frame that stands before its messages.
pub fn put_header(
    tail: TailNumber,
    log: u64,
    named: bool,
    prev: Offset,
    base_time_ms: u64,
    records_len: usize,
    out: &mut Vec<u8>,
) {
    let start = binary::begin(Block::KIND, out);
    put_fields(tail, log, named, prev, base_time_ms, out);
    binary::end(start, records_len, out);
}

fn put_fields(tail: TailNumber, log: u64, named: bool, prev: Offset, base_time_ms: u64, out: &mut Vec<u8>) {
    varint::put(tail.0, out);
    varint::put((u64::from(named) * NAMED) | (u64::from(log > 0) * LOG), out);
    if log > 0 {
        varint::put(log, out);
    }
    varint::put(prev.0, out);
    varint::put(base_time_ms, out);
}

/// Appends one message to a block's records.
///
/// Its offset must lie beyond that of the message before it; readers refuse a block where it does not.
pub fn put_message(head: &Head<'_>, payload: &[u8], out: &mut Vec<u8>) {
    let mut bytes = [0u8; 48];
    let mut fixed = Small { bytes: &mut bytes, len: 0 };
    let flags = content_bits(head.content)
        | (u64::from(head.maybe_duplicate) * MAYBE_DUPLICATE)
        | (u64::from(head.tag.0 > 0) * TAG)
        | (u64::from(!head.sender.is_empty()) * SENDER)
        | (u64::from(!head.ext.is_empty()) * EXT);
    fixed.put(flags);
    debug_assert!(head.offset > head.prev, "offsets strictly increase");
    fixed.put(head.offset.0.saturating_sub(head.prev.0));
    fixed.put(head.published_at_ms.saturating_sub(head.base_time_ms));
    if head.tag.0 > 0 {
        fixed.put(head.tag.0);
    }
    let fixed_len = fixed.len;
    let mut len = fixed_len + payload.len();
    if !head.sender.is_empty() {
        len += varint::len(head.sender.len() as u64) + head.sender.len();
    }
    if let Some((index, name)) = head.topic {
        len += varint::len(index) + name.map_or(0, |name| varint::len(name.len() as u64) + name.len());
    }
    if !head.ext.is_empty() {
        len += varint::len(head.ext.len() as u64) + head.ext.len();
    }
    out.reserve(len + 4);
    varint::put(len as u64, out);
    out.extend_from_slice(&bytes[..fixed_len]);
    if !head.sender.is_empty() {
        varint::put_bytes(head.sender.as_bytes(), out);
    }
    if let Some((index, name)) = head.topic {
        varint::put(index, out);
        if let Some(name) = name {
            varint::put_bytes(name.as_bytes(), out);
        }
    }
    if !head.ext.is_empty() {
        varint::put_bytes(head.ext, out);
    }
    out.extend_from_slice(payload);
}

/// A message's flags have room for the contents of version 1 only: anything else is bytes.
fn content_bits(content: Content) -> u64 {
    match content {
        Content::Json | Content::Text | Content::Binary | Content::Cbor => content.number() - 1,
        Content::Unknown => Content::Binary.number() - 1,
    }
}

/// Varints on the stack, so that a message's length is known before it is written.
struct Small<'a> {
    bytes: &'a mut [u8; 48],
    len: usize,
}

impl Small<'_> {
    fn put(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.bytes[self.len] = value as u8 | 0x80;
            self.len += 1;
            value >>= 7;
        }
        self.bytes[self.len] = value as u8;
        self.len += 1;
    }
}

impl<'a> Block<'a> {
    /// The frame's kind in the binary encoding.
    pub const KIND: u8 = 96;

    /// Appends the frame in the binary encoding.
    pub fn put(&self, out: &mut Vec<u8>) {
        let start = binary::begin(Self::KIND, out);
        self.put_body(out);
        binary::end(start, 0, out);
    }

    /// Appends the body only, as a page holds it.
    pub fn put_body(&self, out: &mut Vec<u8>) {
        self.put_fields(out);
        out.extend_from_slice(self.records);
    }

    fn put_fields(&self, out: &mut Vec<u8>) {
        put_fields(self.tail, self.log, self.named, self.prev, self.base_time_ms, out);
    }

    /// Reads the body of a frame of this kind.
    ///
    /// # Errors
    /// [`BadFrame`] if what stands before the messages is cut short.
    pub fn take(mut body: &'a [u8]) -> Result<Self, BadFrame> {
        Self::read(&mut body).ok_or(BadFrame)
    }

    fn read(body: &mut &'a [u8]) -> Option<Self> {
        let tail = TailNumber(field::take_number(body)?);
        let flags = varint::take(body)?;
        let log = if flags & LOG == 0 { 0 } else { field::take_number(body)? };
        let prev = Offset(field::take_number(body)?);
        let base_time_ms = field::take_number(body)?;
        if flags & HEADER_EXT != 0 {
            varint::take_bytes(body)?;
        }
        Some(Self { tail, log, named: flags & NAMED != 0, prev, base_time_ms, records: body })
    }

    /// The messages, front to back. Stops after the first that cannot be read.
    #[must_use]
    pub fn messages(&self) -> Messages<'a> {
        Messages(self.records())
    }

    /// The messages, front to back, with unread texts. Stops after the first that cannot be read.
    #[must_use]
    pub fn records(&self) -> Records<'a> {
        Records {
            rest: self.records,
            named: self.named,
            offset: self.prev.0,
            base_time_ms: self.base_time_ms,
            topics: Vec::new(),
        }
    }
}

impl<'a> Message<'a> {
    /// What it has besides its payload.
    ///
    /// # Errors
    /// [`BadFrame`] if a field is cut short or of the wrong kind.
    pub fn attributes(&self) -> Result<Attributes<'a>, BadFrame> {
        Attributes::take(self.ext)
    }
}

/// Shows the payload's length only: it may be large, and it is not ours to print.
impl fmt::Debug for Message<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Message({}, {} bytes)", self.offset, self.payload.len())
    }
}

/// The blocks of a page, front to back.
///
/// # Errors
/// The iterator yields [`BadFrame`] once, last, if one is cut short.
pub fn blocks_of_page(mut blocks: &[u8]) -> impl Iterator<Item = Result<Block<'_>, BadFrame>> {
    core::iter::from_fn(move || {
        if blocks.is_empty() {
            return None;
        }
        let block = varint::take_bytes(&mut blocks).ok_or(BadFrame).and_then(Block::take);
        if block.is_err() {
            blocks = &[];
        }
        Some(block)
    })
}

/// Appends a block's body to the blocks of a page.
pub fn put_on_page(block: &Block<'_>, scratch: &mut Vec<u8>, page: &mut Vec<u8>) {
    scratch.clear();
    block.put_body(scratch);
    varint::put_bytes(scratch, page);
}
