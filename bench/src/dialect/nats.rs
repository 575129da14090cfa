//! NATS's own protocol: lines, and payloads of announced length, inside binary frames.
//!
//! The server puts whole lines and payloads into a frame for clients that are no browsers.

use anyhow::{Context as _, Result, bail};
use memchr::memchr;

use crate::dialect::{Publisher, Subscriber, Wants};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

#[inline]
pub(super) fn hear_as_subscriber(
    subscriber: &mut Subscriber,
    mut bytes: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    while !bytes.is_empty() {
        let line = take_line(&mut bytes)?;
        if let Some(head) = line.strip_prefix(b"MSG ") {
            let payload = take_payload(head, &mut bytes)?;
            ledger.deliver(subscriber.index as usize, payload);
        } else if line.starts_with(b"INFO ") {
            let name = match subscriber.wants {
                Wants::Topic(topic) | Wants::AllOfTopic(topic) => stamp::topic_name(topic),
                Wants::EveryTopic | Wants::EverythingKept => "*".to_owned(),
            };
            say(&format!("{CONNECT}SUB bench.{name} 1\r\nPING\r\n"), out);
        } else {
            subscriber.ready |= line == b"PONG";
            answer(line, out)?;
        }
    }
    Ok(())
}

pub(super) fn hear_as_publisher(
    publisher: &mut Publisher,
    mut bytes: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    while !bytes.is_empty() {
        let line = take_line(&mut bytes)?;
        if line.starts_with(b"INFO ") {
            say(&format!("{CONNECT}PING\r\n"), out);
        } else {
            publisher.ready |= line == b"PONG";
            answer(line, out)?;
        }
    }
    Ok(())
}

pub(super) fn put_publish(topic: u32, payload: &[u8], out: &mut Vec<u8>) {
    let head = format!("PUB bench.{} {}\r\n", stamp::topic_name(topic), payload.len());
    websocket::put_masked(Opcode::Binary, out, |out| {
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
    });
}

pub(super) fn answer(line: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match line {
        b"PING" => say("PONG\r\n", out),
        b"PONG" | b"+OK" => {}
        other => bail!("NATS says {}", String::from_utf8_lossy(other)),
    }
    Ok(())
}

pub(super) fn take_line<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let end = memchr(b'\n', bytes).context("a NATS line is cut")?;
    let line = &bytes[..end];
    *bytes = &bytes[end + 1..];
    Ok(line.strip_suffix(b"\r").unwrap_or(line))
}

/// The payload that `MSG topic sid length` announces, and the line's end after it.
pub(super) fn take_payload<'a>(head: &[u8], bytes: &mut &'a [u8]) -> Result<&'a [u8]> {
    let digits = head.rsplit(|byte| *byte == b' ').next().unwrap_or_default();
    let len = digits.iter().fold(0, |len, digit| len * 10 + usize::from(digit.wrapping_sub(b'0')));
    let payload = bytes.get(..len).context("a NATS payload is cut")?;
    *bytes = bytes.get(len + 2..).context("a NATS payload is cut")?;
    Ok(payload)
}

pub(super) fn say(text: &str, out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Binary, out, |out| out.extend_from_slice(text.as_bytes()));
}

const CONNECT: &str =
    "CONNECT {\"verbose\":false,\"pedantic\":false,\"lang\":\"bench\",\"version\":\"1\",\"protocol\":1}\r\n";
