//! What the hub tells those who only listen: the text of an event stream (WHATWG HTML, section 9.2). A message is an event
//! without a name, whose data is a JSON object on one line; all else that is to be known has an event of its own.
//!
//! An id is the place after which a client goes on that comes back with it. Knows nothing of what carries the text.

use alloc::vec::Vec;
use core::fmt::{self, Write as _};

use serde::Serialize;

use crate::binary::BadFrame;
use crate::block::{Block, Message};
use crate::code::{Code, GapReason, Outcome};
use crate::hub_frame::{HubFrame, Missing, Subscribed};
use crate::json;
use crate::number::{Epoch, Offset, Tag};
use crate::position::{Gap, Position};

/// Whether events have ids. Where a client listens to several logs, an id has the places in all of them and stands alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ids {
    /// Each event that moves the client on has its place.
    OfEach,
    /// None has; see [`put_places`].
    Apart,
}

/// Appends the messages of a block that come after a place in their log, whose topic is this unless they name theirs.
///
/// # Errors
/// [`BadFrame`] if they cannot be read.
pub fn put_block(
    block: &Block<'_>,
    after: Position,
    topic: &str,
    ids: Ids,
    out: &mut Vec<u8>,
) -> Result<(), BadFrame> {
    for message in block.messages() {
        let message = message?;
        if message.offset <= after.offset {
            continue;
        }
        put_id(ids, Position { offset: message.offset, ..after }, out);
        out.extend_from_slice(b"data: ");
        put_line(message, topic, out)?;
        out.extend_from_slice(END);
    }
    Ok(())
}

/// Appends a message on one line, with the topic that it is of: its own, or else this. Line ends between the tokens of its data
/// become spaces; within texts JSON has none. To those who only listen tags mean nothing.
fn put_line(message: Message<'_>, topic: &str, out: &mut Vec<u8>) -> Result<(), BadFrame> {
    let start = out.len();
    let topic = Some(message.topic.unwrap_or(topic));
    json::put_message(Message { topic, tag: Tag(0), ..message }, out)?;
    out[start..].iter_mut().filter(|byte| matches!(byte, b'\r' | b'\n')).for_each(|byte| *byte = b' ');
    Ok(())
}

/// Appends a frame that is about a topic or pattern, or about none; `false` if it is nothing for those who only listen.
pub fn put_frame(frame: &HubFrame<'_>, topic: &str, ids: Ids, out: &mut Vec<u8>) -> bool {
    match frame {
        HubFrame::Subscribed(subscribed) => put_subscribed(subscribed, topic, ids, out),
        HubFrame::Missing(Missing { gap: Some(gap), after, .. }) => put_gap(*gap, topic, *after, ids, out),
        HubFrame::Progress(progress) if ids == Ids::OfEach => {
            put_places([Position { epoch: progress.epoch, offset: progress.upto }], out);
        }
        HubFrame::Unsubscribed(end) => put_end(topic, end.code, &end.message, out),
        HubFrame::Failed(end) => put_end(topic, end.code, &end.message, out),
        HubFrame::Goodbye(goodbye) => {
            if goodbye.reconnect_after_ms > 0 {
                put_text(format_args!("retry: {}\n", goodbye.reconnect_after_ms), out);
            }
            put_event("closed", &Closed { code: goodbye.code, message: &goodbye.message }, out);
        }
        HubFrame::Heartbeat(_) => out.extend_from_slice(b":\n\n"),
        HubFrame::Missing(_)
        | HubFrame::Progress(_)
        | HubFrame::Welcome(_)
        | HubFrame::Attached(_)
        | HubFrame::Detached(_)
        | HubFrame::Opened(_)
        | HubFrame::Acked(_)
        | HubFrame::Refused(_)
        | HubFrame::Page(_)
        | HubFrame::SignedIn(_)
        | HubFrame::Block(_) => return false,
    }
    true
}

/// Appends after how long a client is to come back that was cut off.
pub fn put_retry(retry_ms: u64, out: &mut Vec<u8>) {
    put_text(format_args!("retry: {retry_ms}\n\n"), out);
}

/// Appends an id alone: no event is seen for it.
pub fn put_places(places: impl IntoIterator<Item = Position>, out: &mut Vec<u8>) {
    for (at, place) in places.into_iter().enumerate() {
        put_text(format_args!("{}{place}", if at == 0 { "id: " } else { "," }), out);
    }
    out.extend_from_slice(END);
}

/// The places of an id; `None` if it is none.
#[must_use]
pub fn places(id: &str) -> Option<Vec<Position>> {
    id.split(',').map(|place| place.parse().ok()).collect()
}

/// In each log of the subscription; who lost something is told so before it is told to go on from behind that.
fn put_subscribed(subscribed: &Subscribed, topic: &str, ids: Ids, out: &mut Vec<u8>) {
    for place in &subscribed.positions {
        let Position { epoch, offset } = *place;
        let gap = subscribed.gap.filter(|gap| gap.epoch == epoch);
        put_id(if gap.is_some() { Ids::Apart } else { ids }, *place, out);
        put_event("subscribed", &Begun { topic, epoch, offset, outcome: subscribed.outcome }, out);
        if let Some(gap) = gap {
            put_gap(gap, topic, offset, ids, out);
        }
    }
}

fn put_gap(gap: Gap, topic: &str, after: Offset, ids: Ids, out: &mut Vec<u8>) {
    let Gap { epoch, from, to, reason } = gap;
    put_id(ids, Position { epoch, offset: after }, out);
    put_event("gap", &Lost { topic, epoch, from, to, reason, after }, out);
}

fn put_end(topic: &str, code: Code, message: &str, out: &mut Vec<u8>) {
    put_event("unsubscribed", &Ended { topic, code, message }, out);
}

/// Browsers use the name `error` themselves.
fn put_event<T: Serialize>(name: &'static str, data: &T, out: &mut Vec<u8>) {
    put_text(format_args!("event: {name}\ndata: "), out);
    // Numbers and texts can be written, to memory.
    let written = serde_json::to_writer(&mut *out, data);
    debug_assert!(written.is_ok());
    out.extend_from_slice(END);
}

fn put_id(ids: Ids, place: Position, out: &mut Vec<u8>) {
    match ids {
        Ids::OfEach => put_text(format_args!("id: {place}\n"), out),
        Ids::Apart => {}
    }
}

fn put_text(text: fmt::Arguments<'_>, out: &mut Vec<u8>) {
    // Memory takes what it is given.
    let _ = Text(out).write_fmt(text);
}

struct Text<'a>(&'a mut Vec<u8>);

impl fmt::Write for Text<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.extend_from_slice(text.as_bytes());
        Ok(())
    }
}

#[derive(Serialize)]
struct Begun<'a> {
    topic: &'a str,
    epoch: Epoch,
    offset: Offset,
    outcome: Outcome,
}

#[derive(Serialize)]
struct Lost<'a> {
    topic: &'a str,
    epoch: Epoch,
    from: Offset,
    to: Offset,
    reason: GapReason,
    after: Offset,
}

#[derive(Serialize)]
struct Ended<'a> {
    topic: &'a str,
    code: Code,
    message: &'a str,
}

#[derive(Serialize)]
struct Closed<'a> {
    code: Code,
    message: &'a str,
}

/// Ends the last line of an event, and the event.
const END: &[u8] = b"\n\n";
