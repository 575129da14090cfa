//! Socket.IO over Engine.IO 4: a packet a frame, its kind in the first characters.

use anyhow::{Result, bail};

use crate::dialect::{Publisher, Subscriber, Wants, quoted};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

#[inline]
pub(super) fn hear_as_subscriber(
    subscriber: &mut Subscriber,
    packet: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    if packet.starts_with(b"42") {
        quoted::deliver(packet, br#"["m",""#, subscriber.index, ledger);
    } else if packet.starts_with(b"40") {
        let name = match subscriber.wants {
            Wants::Topic(topic) | Wants::AllOfTopic(topic) => stamp::topic_name(topic),
            // Rooms have no patterns; the rows with patterns leave Socket.IO out.
            Wants::EveryTopic | Wants::EverythingKept => "*".to_owned(),
        };
        say(&format!(r#"420["sub","{name}"]"#), out);
    } else if packet.starts_with(b"43") {
        subscriber.ready = true;
    } else {
        answer(packet, out)?;
    }
    Ok(())
}

pub(super) fn hear_as_publisher(publisher: &mut Publisher, packet: &[u8], out: &mut Vec<u8>) -> Result<()> {
    if packet.starts_with(b"40") {
        publisher.ready = true;
        return Ok(());
    }
    answer(packet, out)
}

/// The server reads the topic from the payload.
pub(super) fn put_publish(payload: &[u8], out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Text, out, |out| {
        out.extend_from_slice(br#"42["pub",""#);
        out.extend_from_slice(payload);
        out.extend_from_slice(br#""]"#);
    });
}

fn answer(packet: &[u8], out: &mut Vec<u8>) -> Result<()> {
    match packet.first() {
        // The link is open; ask for the default namespace.
        Some(b'0') => say("40", out),
        Some(b'2') => say("3", out),
        Some(b'6') => {}
        _ => bail!("Socket.IO says {}", String::from_utf8_lossy(packet)),
    }
    Ok(())
}

fn say(text: &str, out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Text, out, |out| out.extend_from_slice(text.as_bytes()));
}
