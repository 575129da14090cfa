//! Blocks: messages sealed into one WebSocket message that serves every subscriber.
//!
//! An [`Open`] block is a plain buffer that its tail's lock guards; sealing puts the headers in front of the
//! messages and makes it immutable. Other encodings are derived from a sealed block when first asked for.

use std::sync::{Arc, OnceLock};

use tidewire_protocol::block as wire;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;
use tidewire_protocol::number::{Offset, TailNumber};

use crate::metrics::Metrics;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::Header;

/// A sealed block.
#[derive(Debug)]
pub struct Block {
    /// Room for headers, the headers against its end, the messages.
    bytes: Box<[u8]>,
    /// Where the WebSocket header starts.
    frame_at: u16,
    /// Where the block frame's body starts.
    body_at: u16,
    /// Number of messages.
    pub count: u32,
    /// Offset of the tail's last message before it.
    pub prev: Offset,
    /// Offset of its own last message.
    pub last: Offset,
    /// Time of its first message.
    pub first_time_ms: u64,
    /// Time of its last message.
    pub last_time_ms: u64,
    json: OnceLock<Box<[u8]>>,
    metrics: Arc<Metrics>,
}

/// A block that still grows. Nobody but its tail sees it.
#[derive(Debug, Default)]
pub struct Open {
    /// Room for headers, then messages.
    bytes: Vec<u8>,
    count: u32,
    prev: Offset,
    last: Offset,
    base_time_ms: u64,
    last_time_ms: u64,
    /// Names in the order in which the block named them; only in a pattern's tail.
    topics: Vec<Arc<str>>,
}

/// What a tail knows of a message besides its payload.
#[derive(Debug, Clone, Copy)]
pub struct Entry<'a> {
    /// Its offset.
    pub offset: Offset,
    /// What stands before the payload; offsets, times and topic are filled in here.
    pub head: wire::Head<'a>,
    /// Its topic, for a pattern's tail.
    pub topic: Option<&'a Arc<str>>,
    /// Its bytes.
    pub payload: &'a [u8],
}

impl Open {
    /// Appends a message after `prev`, the tail's last offset.
    pub fn append(&mut self, prev: Offset, entry: &Entry<'_>) {
        let time = entry.head.published_at_ms;
        if self.count == 0 {
            self.bytes.reserve_exact(HEADROOM + entry.payload.len() + 24);
            self.bytes.resize(HEADROOM, 0);
            self.prev = prev;
            self.last = prev;
            self.base_time_ms = time;
        }
        let name =
            entry.topic.map(|topic| match self.topics.iter().position(|known| Arc::ptr_eq(known, topic)) {
                Some(index) => (index as u64, None),
                None => {
                    self.topics.push(Arc::clone(topic));
                    (self.topics.len() as u64 - 1, Some(&**topic))
                }
            });
        let head = wire::Head {
            prev: self.last,
            offset: entry.offset,
            base_time_ms: self.base_time_ms,
            topic: name,
            ..entry.head
        };
        wire::put_message(&head, entry.payload, &mut self.bytes);
        self.last = entry.offset;
        self.last_time_ms = time;
        self.count += 1;
    }

    /// Bytes of its messages.
    #[must_use]
    pub fn len(&self) -> usize {
        self.bytes.len().saturating_sub(HEADROOM)
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Makes it immutable and leaves an empty one in its place. Must not be empty.
    pub fn seal(&mut self, tail: TailNumber, metrics: &Arc<Metrics>) -> Block {
        let mut open = std::mem::take(self);
        let mut header = Vec::with_capacity(HEADROOM);
        let records = open.bytes.len() - HEADROOM;
        wire::put_header(tail, !open.topics.is_empty(), open.prev, open.base_time_ms, records, &mut header);
        let body_at = HEADROOM - header.len() + frame_prefix(&header);
        let outer = Header::new(Opcode::Binary, header.len() + records);
        let header_at = HEADROOM - header.len();
        let frame_at = header_at - outer.as_bytes().len();
        open.bytes[header_at..HEADROOM].copy_from_slice(&header);
        open.bytes[frame_at..header_at].copy_from_slice(outer.as_bytes());
        metrics.block_bytes.add(open.bytes.len() as u64);
        Block {
            bytes: open.bytes.into_boxed_slice(),
            frame_at: frame_at as u16,
            body_at: body_at as u16,
            count: open.count,
            prev: open.prev,
            last: open.last,
            first_time_ms: open.base_time_ms,
            last_time_ms: open.last_time_ms,
            json: OnceLock::new(),
            metrics: Arc::clone(metrics),
        }
    }
}

impl Block {
    /// The WebSocket message, header included.
    #[must_use]
    pub fn frame(&self) -> &[u8] {
        &self.bytes[usize::from(self.frame_at)..]
    }

    /// The same in the JSON encoding; made when first asked for.
    #[must_use]
    pub fn json_frame(&self) -> &[u8] {
        self.json.get_or_init(|| {
            let mut text = Vec::new();
            let block = self.wire();
            // The hub wrote these bytes itself: they can be read.
            let written = json::put_hub(&HubFrame::Block(block), &mut text);
            debug_assert!(written.is_ok());
            let header = Header::new(Opcode::Text, text.len());
            let frame = [header.as_bytes(), &text].concat();
            self.metrics.block_bytes.add(frame.len() as u64);
            frame.into_boxed_slice()
        })
    }

    /// The block frame's body, as pages hold it.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.bytes[usize::from(self.body_at)..]
    }

    /// The block as the protocol sees it.
    #[must_use]
    pub fn wire(&self) -> wire::Block<'_> {
        wire::Block::take(self.body()).unwrap_or_default()
    }

    /// Bytes that its canonical form takes.
    #[must_use]
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

impl Drop for Block {
    fn drop(&mut self) {
        let derived = self.json.get().map_or(0, |json| json.len());
        self.metrics.block_bytes.sub((self.bytes.len() + derived) as u64);
    }
}

/// Bytes of a frame's kind and length, which stand before its body.
fn frame_prefix(frame: &[u8]) -> usize {
    1 + frame[1..].iter().take_while(|byte| **byte >= 0x80).count() + 1
}

/// Room in front of the messages: WebSocket header 10, kind 1, length 5, tail 8, flags 1, prev 8, time 7.
const HEADROOM: usize = 40;
