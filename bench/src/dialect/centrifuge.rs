//! Centrifuge's JSON protocol: commands and replies, one a line, several to a frame.

use anyhow::{Result, bail};

use crate::dialect::{Publisher, Subscriber, Wants, quoted};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

/// Connects, and subscribes in the same breath.
pub(super) fn greet(wants: Option<Wants>, out: &mut Vec<u8>) {
    let mut text = r#"{"id":1,"connect":{}}"#.to_owned();
    if let Some(wants) = wants {
        let name = match wants {
            Wants::Topic(topic) | Wants::AllOfTopic(topic) => stamp::topic_name(topic),
            // Centrifuge has no patterns; the rows with patterns leave it out.
            Wants::EveryTopic | Wants::EverythingKept => "*".to_owned(),
        };
        text += &format!("\n{{\"id\":2,\"subscribe\":{{\"channel\":\"bench.{name}\"}}}}");
    }
    say(&text, out);
}

#[inline]
pub(super) fn hear_as_subscriber(
    subscriber: &mut Subscriber,
    message: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    if subscriber.ready {
        quoted::deliver(message, br#""data":""#, subscriber.index, ledger);
    }
    if !subscriber.ready && quoted::holds(message, r#""id":2"#) {
        subscriber.ready = true;
        refuse_errors(message)?;
    }
    answer_ping(message, out);
    Ok(())
}

pub(super) fn hear_as_publisher(publisher: &mut Publisher, message: &[u8], out: &mut Vec<u8>) -> Result<()> {
    refuse_errors(message)?;
    publisher.ready |= quoted::holds(message, r#""id":1"#);
    answer_ping(message, out);
    Ok(())
}

pub(super) fn put_publish(topic: u32, payload: &[u8], out: &mut Vec<u8>) {
    let head = format!(r#"{{"id":3,"publish":{{"channel":"bench.{}","data":""#, stamp::topic_name(topic));
    websocket::put_masked(Opcode::Text, out, |out| {
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(payload);
        out.extend_from_slice(br#""}}"#);
    });
}

/// A line of its own that says `{}` is a ping, and its answer looks the same.
fn answer_ping(message: &[u8], out: &mut Vec<u8>) {
    if message == b"{}" || message.starts_with(b"{}\n") || message.ends_with(b"\n{}") {
        say("{}", out);
    }
}

fn refuse_errors(message: &[u8]) -> Result<()> {
    if quoted::holds(message, r#""error":"#) || quoted::holds(message, r#""disconnect":"#) {
        bail!("centrifuge says {}", String::from_utf8_lossy(message));
    }
    Ok(())
}

fn say(text: &str, out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Text, out, |out| out.extend_from_slice(text.as_bytes()));
}
