//! Pages in JSON, which may be many times as long as the blocks they are made of: names are written out for each message,
//! and characters escaped. They are cut between messages before they are encoded.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use tidewire_protocol::block::{Block, Head, Record, blocks_of_page, put_message, put_on_page};
use tidewire_protocol::code::{Content, GapReason};
use tidewire_protocol::hub_frame::Page;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position};

use crate::limits::ESCAPED_BYTES_MAX;

/// What is left out where a page holds no more.
#[derive(Debug, Clone, Copy)]
pub enum Full {
    /// What comes last: whoever reads on asks for it.
    LacksNewest,
    /// What comes first: whoever reads back asks for it.
    LacksOldest,
}

/// The page with as many of its messages as fit into so many bytes of JSON, but one at least; what is left out is to be
/// asked for after its `upto`. Messages that the asker has already go first.
pub fn cut_for_json(page: Page<'_>, bytes_max: usize) -> Page<'_> {
    let after = |log: usize| page.after.get(log).map_or(Offset(0), |position| position.offset);
    let mut room = Room { left: bytes_max, has_some: false };
    let mut blocks = Vec::new();
    let mut scratch = Vec::new();
    let mut cut_at = None;
    for block in blocks_of_page(&page.blocks).flatten() {
        let log = usize::try_from(block.log).unwrap_or(usize::MAX);
        let part = room.take(&block, after(log));
        if part.last.is_some() {
            put_on_page(&part.block, &mut scratch, &mut blocks);
        }
        if part.is_cut {
            cut_at = Some((log, part.last.unwrap_or(part.block.prev).max(after(log))));
            break;
        }
    }
    let mut page = Page { more: page.more || cut_at.is_some(), blocks: blocks.into(), ..page };
    let Some((log, upto)) = cut_at else { return page };
    // Blocks come log by log: those before are whole, of those behind nothing is left.
    for (position, after) in page.upto.iter_mut().zip(&page.after).skip(log + 1) {
        *position = *after;
    }
    if let Some(position) = page.upto.get_mut(log) {
        position.offset = upto;
    }
    page
}

/// The same with the newest of its messages; what is left out is to be asked for below its `after`.
pub fn cut_oldest_for_json(mut page: Page<'_>, bytes_max: usize) -> Page<'_> {
    let after = |log: usize| page.after.get(log).map_or(Offset(0), |position| position.offset);
    let mut room = Room { left: bytes_max, has_some: false };
    let read: Vec<Block<'_>> = blocks_of_page(&page.blocks).flatten().collect();
    let (mut kept, mut cut_at) = (Vec::new(), None);
    for block in read.iter().rev() {
        let log = usize::try_from(block.log).unwrap_or(usize::MAX);
        let (records, lacks) = room.take_newest(block, after(log));
        if !records.is_empty() {
            kept.push((block, lacks.unwrap_or(block.prev), records));
        }
        if let Some(lacks) = lacks {
            cut_at = Some((log, lacks));
            break;
        }
    }
    let Some((log, lacks)) = cut_at else { return page };
    let (mut blocks, mut scratch) = (Vec::new(), Vec::new());
    for (block, prev, records) in kept.iter().rev() {
        let records = rewritten(block, *prev, records);
        put_on_page(&Block { prev: *prev, records: &records, ..(*block).clone() }, &mut scratch, &mut blocks);
    }
    // Blocks come log by log: of those before nothing is left.
    for (position, upto) in page.after.iter_mut().zip(&page.upto).take(log) {
        *position = *upto;
    }
    if let Some(position) = page.after.get_mut(log) {
        position.offset = lacks;
    }
    // What is missing further down is told with what is left of it.
    page.gap = page.gap.and_then(|gap| still_lacking(gap, &page.after));
    Page { more: true, blocks: blocks.into(), ..page }
}

/// What of a gap lies after these places.
fn still_lacking(gap: Gap, after: &[Position]) -> Option<Gap> {
    let place =
        after.iter().find(|position| position.epoch == gap.epoch).map_or(Offset(0), |place| place.offset);
    let from = gap.from.max(place.next());
    (gap.reason == GapReason::EpochChanged || from <= gap.to).then_some(Gap { from, ..gap })
}

/// Some messages of a block, anew.
fn rewritten(block: &Block<'_>, mut prev: Offset, records: &[Record<'_>]) -> Vec<u8> {
    let (mut out, mut topics) = (Vec::new(), HashMap::new());
    for record in records {
        let known = topics.len() as u64;
        let topic = record.topic.map(|name| match topics.entry(name) {
            Entry::Occupied(known) => (*known.get(), None),
            Entry::Vacant(new) => (*new.insert(known), str::from_utf8(name).ok()),
        });
        let head = Head {
            prev,
            offset: record.offset,
            base_time_ms: block.base_time_ms,
            published_at_ms: record.published_at_ms,
            content: record.content,
            maybe_duplicate: record.maybe_duplicate,
            tag: record.tag,
            // The hub wrote it as a text itself.
            sender: record.sender.and_then(|sender| str::from_utf8(sender).ok()).unwrap_or_default(),
            topic,
            ext: record.ext,
        };
        put_message(&head, record.payload, &mut out);
        prev = record.offset;
    }
    out
}

/// What still fits on a page.
struct Room {
    left: usize,
    has_some: bool,
}

/// The messages of a block that go on a page.
struct Part<'a> {
    block: Block<'a>,
    /// Its last message, if it has any.
    last: Option<Offset>,
    is_cut: bool,
}

impl Room {
    /// The newest messages after a place that fit, and the last that does not, if one does not.
    fn take_newest<'a>(&mut self, block: &Block<'a>, after: Offset) -> (Vec<Record<'a>>, Option<Offset>) {
        let mut records: Vec<_> = block.records().flatten().filter(|record| record.offset > after).collect();
        let mut from = records.len();
        while let Some(record) = from.checked_sub(1).and_then(|last| records.get(last)) {
            let bytes = json_bytes(record);
            if bytes > self.left && self.has_some {
                let lacks = record.offset;
                return (records.split_off(from), Some(lacks));
            }
            self.left = self.left.saturating_sub(bytes);
            self.has_some = true;
            from -= 1;
        }
        (records, None)
    }

    fn take<'a>(&mut self, block: &Block<'a>, after: Offset) -> Part<'a> {
        let len = block.records.len();
        let mut records = block.records();
        let (mut from, mut upto, mut prev, mut last, mut is_cut) = (0, 0, block.prev, None, false);
        while let Some(Ok(record)) = records.next() {
            let end = len - records.rest_bytes();
            // Later messages of a block with names may need those of earlier ones.
            if record.offset <= after && !block.named {
                (from, upto, prev) = (end, end, record.offset);
                continue;
            }
            let bytes = json_bytes(&record);
            if bytes > self.left && self.has_some {
                is_cut = true;
                break;
            }
            self.left = self.left.saturating_sub(bytes);
            self.has_some |= record.offset > after;
            (upto, last) = (end, Some(record.offset));
        }
        let records = block.records.get(from..upto).unwrap_or_default();
        Part { block: Block { prev, records, ..block.clone() }, last, is_cut }
    }
}

/// Bytes that a message takes in JSON, or a few more.
fn json_bytes(record: &Record<'_>) -> usize {
    let texts = [record.sender, record.topic].into_iter().flatten().map(escaped).sum::<usize>();
    let base64 = record.payload.len().div_ceil(3) * 4;
    let payload = match record.content {
        Content::Text => escaped(record.payload).max(base64),
        Content::Json | Content::Binary | Content::Cbor | Content::Unknown => base64,
    };
    MESSAGE_BYTES + texts + attributes_bytes(record.ext) + payload
}

/// Bytes that a message's attributes take in JSON, or a few more.
fn attributes_bytes(ext: &[u8]) -> usize {
    // Quotes, colons and commas take no more than a byte for each of a header, and the lengths before them are counted.
    if ext.is_empty() { 0 } else { ESCAPED_BYTES_MAX * ext.len() + MESSAGE_BYTES }
}

/// Bytes of a text in JSON.
fn escaped(text: &[u8]) -> usize {
    let extra = |byte: &u8| match byte {
        b'"' | b'\\' => 1,
        0..0x20 => ESCAPED_BYTES_MAX - 1,
        _ => 0,
    };
    text.len() + text.iter().map(extra).sum::<usize>()
}

/// Names and numbers of a message's fields.
const MESSAGE_BYTES: usize = 256;
