//! Messages and gaps as the commands print them.

use std::io::{self, ErrorKind, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde::Serialize;
use serde_json::value::RawValue;
use tidewire_client::{Content, Gap, GapReason, Message};
use tidewire_hub::report::report;

/// Prints a message on a line of its own: as JSON with its place, or just the payload.
pub(crate) fn print_message(message: &Message<Bytes>, json: bool, out: &mut impl Write) -> io::Result<()> {
    if json {
        serde_json::to_writer(&mut *out, &Line::new(message))?;
    } else {
        out.write_all(&message.data)?;
    }
    out.write_all(b"\n")
}

/// Tells on standard error what is missing.
pub(crate) fn tell_gap(gap: &Gap) {
    let Gap { from, to, reason, .. } = gap;
    match reason {
        GapReason::EpochChanged if to < from => {
            report(format_args!("gap: the hub's log is a new one, and the old one is gone ({reason})"));
        }
        GapReason::EpochChanged => report(format_args!(
            "gap: the hub's log is a new one, the old one is gone, and some or all of the new one's {from} to {to} \
             ({reason})"
        )),
        GapReason::BeyondEnd => {
            report(format_args!("gap: the hub's log ends before {from}, and you were at {to} ({reason})"));
        }
        GapReason::Retention | GapReason::Forgotten | GapReason::TooSlow | GapReason::Unknown => {
            report(format_args!("gap: some or all of {from} to {to} are gone ({reason})"));
        }
    }
}

/// Writes out what is left, since what was heard is worth seeing however it ended. Gives that end.
pub(crate) fn finish(ended: anyhow::Result<()>, out: &mut impl Write) -> anyhow::Result<()> {
    let flushed = out.flush();
    match ended.map_err(|error| error.downcast::<io::Error>()) {
        Ok(()) => Ok(flushed.or_else(pipe_closed)?),
        Err(Ok(error)) => Ok(pipe_closed(error)?),
        Err(Err(error)) => Err(error),
    }
}

/// Whoever closes our output has seen enough: `sub | head` is no error.
pub(crate) fn pipe_closed(error: io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::BrokenPipe { Ok(()) } else { Err(error) }
}

/// A message as `--json` prints it. The payload is one of `data`, `text` and `base64`.
#[derive(Serialize)]
struct Line<'a> {
    topic: &'a str,
    offset: u64,
    epoch: String,
    published_at: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    sender: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    maybe_duplicate: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> Line<'a> {
    /// A payload that is not what it is said to be goes as base64.
    fn new(message: &'a Message<Bytes>) -> Self {
        let (mut data, mut text) = (None, None);
        match message.content {
            Content::Json => data = on_one_line(&message.data),
            Content::Text => text = std::str::from_utf8(&message.data).ok(),
            Content::Binary | Content::Cbor | Content::Unknown => {}
        }
        let raw = data.is_none() && text.is_none();
        Self {
            topic: message.topic(),
            offset: message.offset.0,
            epoch: message.epoch.to_string(),
            published_at: message.published_at_ms,
            sender: message.sender(),
            maybe_duplicate: message.maybe_duplicate,
            data,
            text,
            base64: raw.then(|| BASE64.encode(&message.data)),
        }
    }
}

/// A JSON text as it was written, if it is one. Line ends stand only between its tokens, where a space will do.
fn on_one_line(json: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(json).ok()?;
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}
