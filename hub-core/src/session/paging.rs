//! Pages in JSON, which may be many times as long as the blocks they are made of: names are written out for each message,
//! and characters escaped. They are cut between messages before they are encoded.

use tidewire_protocol::block::{Block, Record, blocks_of_page, put_on_page};
use tidewire_protocol::code::Content;
use tidewire_protocol::hub_frame::Page;
use tidewire_protocol::number::Offset;

use crate::limits::ESCAPED_BYTES_MAX;

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
    MESSAGE_BYTES + texts + payload
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
