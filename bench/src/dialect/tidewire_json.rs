//! Tidewire's JSON encoding, for subscribers.

use anyhow::{Result, bail};

use crate::dialect::{Subscriber, Wants, quoted};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

pub(super) fn greet(out: &mut Vec<u8>) {
    say(r#"{"type":"hello","agent":"tidewire-bench"}"#, out);
}

pub(super) fn hear(
    subscriber: &mut Subscriber,
    message: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    if subscriber.ready {
        quoted::deliver(message, br#""text":""#, subscriber.index, ledger);
    }
    // Blocks are long, everything else is short.
    if message.len() > CONTROL_BYTES_MAX {
        return Ok(());
    }
    if quoted::holds(message, r#""type":"welcome""#) {
        let name = match subscriber.wants {
            Wants::Topic(topic) | Wants::AllOfTopic(topic) => stamp::topic_name(topic),
            Wants::EveryTopic | Wants::EverythingKept => "*".to_owned(),
        };
        say(&format!(r#"{{"type":"subscribe","request":1,"name":"bench.{name}"}}"#), out);
    } else if quoted::holds(message, r#""type":"subscribed""#) {
        subscriber.ready = true;
    } else if quoted::holds(message, r#""type":"heartbeat""#) {
        say(r#"{"type":"heartbeat"}"#, out);
    } else if quoted::holds(message, r#""type":"failed""#) || quoted::holds(message, r#""type":"goodbye""#) {
        bail!("the hub tells a subscriber {}", String::from_utf8_lossy(message));
    }
    Ok(())
}

fn say(text: &str, out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Text, out, |out| out.extend_from_slice(text.as_bytes()));
}

const CONTROL_BYTES_MAX: usize = 512;
