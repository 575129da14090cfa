//! Server-Sent Events, for subscribers: of the hub, and of the usual server.

use anyhow::{Result, bail};
use memchr::{memchr, memmem};

use crate::dialect::{Request, Subscriber, Wants, plain, quoted, tidewire};
use crate::ledger::Ledger;

/// Asks the hub.
pub(super) fn hub_request(wants: Wants) -> Request {
    let name = match wants {
        Wants::Topic(topic) | Wants::AllOfTopic(topic) => tidewire::name(topic),
        Wants::EveryTopic | Wants::EverythingKept => "bench.*".to_owned(),
    };
    Request { path: format!("/v1/events?topic={name}"), subprotocol: None, events: true }
}

/// Asks the usual server.
pub(super) fn usual_request(wants: Wants) -> Request {
    let Request { path, .. } = plain::subscriber_request(wants);
    Request { path: format!("/events{}", path.trim_start_matches('/')), subprotocol: None, events: true }
}

pub(super) fn hear_hub(subscriber: &mut Subscriber, events: &[u8], ledger: &mut Ledger) -> Result<()> {
    quoted::deliver(events, br#""text":""#, subscriber.index, ledger);
    if !subscriber.ready {
        subscriber.ready = quoted::holds(events, "event: subscribed\n");
    }
    // Blocks are long, everything else is short.
    if events.len() < CONTROL_BYTES_MAX && quoted::holds(events, "event: closed\n") {
        bail!("the hub tells a subscriber {}", String::from_utf8_lossy(events));
    }
    Ok(())
}

pub(super) fn hear_usual(subscriber: &Subscriber, mut events: &[u8], ledger: &mut Ledger) {
    const DATA: &[u8] = b"data: ";
    while let Some(at) = memmem::find(events, DATA) {
        events = &events[at + DATA.len()..];
        let end = memchr(b'\n', events).unwrap_or(events.len());
        ledger.deliver(subscriber.index as usize, &events[..end]);
        events = &events[end..];
    }
}

const CONTROL_BYTES_MAX: usize = 512;
