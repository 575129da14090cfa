//! Messages and gaps as the commands print them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::{self, ErrorKind, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use clap::Args;
use serde::Serialize;
use serde_json::value::RawValue;
use tidewire_client::{Content, Gap, GapReason, Message};
use tidewire_hub::report::report;

/// How messages are printed.
#[derive(Debug, Args)]
pub(crate) struct Form {
    /// Print each message as a JSON object with its topic, offset, epoch and time, and whatever else it has. Without this
    /// control characters other than the tab are printed as \n, \r or \x1b, and line ends of JSON as spaces
    #[arg(long)]
    json: bool,
    /// Print before each message its key, a tab, its headers as NAME=VALUE with spaces between, and a tab
    #[arg(long, conflicts_with = "json")]
    headers: bool,
}

/// Prints a message on a line of its own: as JSON with its place, or the payload, behind what it has besides.
pub(crate) fn print_message(message: &Message<Bytes>, form: &Form, out: &mut impl Write) -> io::Result<()> {
    if form.json {
        serde_json::to_writer(&mut *out, &Line::new(message))?;
        return out.write_all(b"\n");
    }
    if form.headers {
        print_payload(Content::Text, message.key().unwrap_or_default().as_bytes(), out)?;
        out.write_all(b"\t")?;
        let headers = message.headers().into_iter().map(|(name, value)| format!("{name}={value}"));
        print_payload(Content::Text, headers.collect::<Vec<_>>().join(" ").as_bytes(), out)?;
        out.write_all(b"\t")?;
    }
    if message.is_removal() {
        out.write_all(REMOVED)?;
    } else {
        print_payload(message.content, &message.data, out)?;
    }
    out.write_all(b"\n")
}

/// Prints a payload on one line that leaves a terminal as it is: control characters but the tab as `\n`, `\r` or `\x1b`.
/// JSON stays JSON: its line ends become spaces, and others of them `\u007f`. Everything else is written as it is.
fn print_payload(content: Content, data: &[u8], out: &mut impl Write) -> io::Result<()> {
    let mut rest = data;
    while let Some(at) = (0..rest.len()).find(|at| is_control(&rest[*at..])) {
        out.write_all(&rest[..at])?;
        // A control character beyond ASCII is two bytes of UTF-8, of which the second is its number.
        let skipped = at + usize::from(rest[at] == C1_LEAD);
        let byte = rest[skipped];
        match (content, byte) {
            (Content::Json, b'\n' | b'\r') => out.write_all(b" ")?,
            (Content::Json, byte) => write!(out, "\\u{byte:04x}")?,
            (_, b'\n') => out.write_all(b"\\n")?,
            (_, b'\r') => out.write_all(b"\\r")?,
            (_, byte) => write!(out, "\\x{byte:02x}")?,
        }
        rest = &rest[skipped + 1..];
    }
    out.write_all(rest)
}

/// Whether bytes begin with a control character, one of Unicode's second block of them among these.
fn is_control(bytes: &[u8]) -> bool {
    match bytes {
        [b'\t', ..] => false,
        [0..0x20 | 0x7f, ..] => true,
        [C1_LEAD, 0x80..=0x9f, ..] => true,
        _ => false,
    }
}

/// A text, such as JSON, in which nothing moves what a terminal shows: control characters, and those that turn the direction of
/// writing, stand as `\u009b`.
pub(crate) fn plain(text: &str) -> String {
    let mut shown = String::new();
    for char in text.chars() {
        let turns = matches!(char, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if turns || char.is_control() && char != '\n' {
            let _ = write!(shown, "\\u{:04x}", u32::from(char));
        } else {
            shown.push(char);
        }
    }
    shown
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
        GapReason::Compacted => report(format_args!(
            "gap: keys were removed among {from} to {to}, and it is no longer known which: drop all that you have of the topic, \
             for what it keeps follows anew ({reason})"
        )),
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

/// A message as `--json` prints it. The payload is one of `data`, `text` and `base64` with `content`; what removes a key may have none.
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
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ttl_ms: Option<u64>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    remove: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    /// What `base64` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<Content>,
    #[serde(skip_serializing_if = "Option::is_none")]
    base64: Option<String>,
}

impl<'a> Line<'a> {
    /// A payload that is not what it is said to be goes as base64.
    fn new(message: &'a Message<Bytes>) -> Self {
        let (mut data, mut text) = (None, None);
        let is_empty = message.is_removal() && message.data.is_empty();
        match message.content {
            Content::Json => data = on_one_line(&message.data),
            Content::Text if is_empty => {}
            Content::Text => text = std::str::from_utf8(&message.data).ok(),
            Content::Binary | Content::Cbor | Content::Unknown => {}
        }
        let raw = data.is_none() && text.is_none() && !is_empty;
        Self {
            topic: message.topic(),
            offset: message.offset.0,
            epoch: message.epoch.to_string(),
            published_at: message.published_at_ms,
            sender: message.sender(),
            maybe_duplicate: message.maybe_duplicate,
            key: message.key(),
            headers: message.headers().into_iter().collect(),
            ttl_ms: message.ttl().map(|ttl| ttl.as_millis() as u64),
            remove: message.is_removal(),
            data,
            text,
            content: raw.then_some(message.content),
            base64: raw.then(|| BASE64.encode(&message.data)),
        }
    }
}

/// A JSON text as it was written, if it is one. Line ends stand only between its tokens, where a space will do.
fn on_one_line(json: &[u8]) -> Option<Box<RawValue>> {
    let text = std::str::from_utf8(json).ok()?;
    RawValue::from_string(text.replace(['\n', '\r'], " ")).ok()
}

/// What stands for the payload of a message that removes its key.
const REMOVED: &[u8] = b"(removed)";
/// What U+0080 to U+009F begin with in UTF-8.
const C1_LEAD: u8 = 0xc2;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(content: Content, data: &[u8], expected: &[u8]) {
        let mut out = Vec::new();
        print_payload(content, data, &mut out).unwrap();
        assert_eq!(out.escape_ascii().to_string(), expected.escape_ascii().to_string());
    }

    #[test]
    fn a_payload_stays_on_its_line_and_leaves_the_terminal_alone() {
        check(Content::Text, "a\tb \\n ü € \u{a0}".as_bytes(), "a\tb \\n ü € \u{a0}".as_bytes());
        check(Content::Text, b"one\ntwo\r\n", br"one\ntwo\r\n");
        check(Content::Text, b"\x1b[31mred\x7f\0", br"\x1b[31mred\x7f\x00");
        check(Content::Text, "\u{9b}31m".as_bytes(), br"\x9b31m");
        check(Content::Binary, b"\xff\xc2", b"\xff\xc2");
        check(Content::Json, b"{\n \"a\": \"\x7f\xc2\x9b\"\r\n}", br#"{  "a": "\u007f\u009b"  }"#);
    }
}
