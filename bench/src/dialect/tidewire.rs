//! Tidewire's compact encoding: blocks are walked where they lie.

use std::borrow::Cow;

use anyhow::{Context as _, Result, bail, ensure};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::binary;
use tidewire_protocol::block::Block;
use tidewire_protocol::client_frame::{self, ClientFrame, Hello, Open, SignIn, Subscribe};
use tidewire_protocol::code::{Content, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Subscribed};
use tidewire_protocol::number::{Epoch, Handle, Incarnation, Offset, ProducerId, Request, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::dialect::{ELSEWHERE, Publish, Publisher, Subscriber, Term, Wants};
use crate::ledger::Ledger;
use crate::stamp;
use crate::websocket::{self, Opcode};

/// Says hello; a publisher brings an identity, and who signs in a token.
pub(super) fn greet(publisher: Option<u32>, token: &str, out: &mut Vec<u8>) {
    let producer = publisher.map_or_else(ProducerId::default, |index| {
        // A bench starts a fresh hub each time, so that an identity per publisher is enough.
        let mut id = *b"tidewire-bench\0\0";
        id[14..].copy_from_slice(&(index as u16 + 1).to_be_bytes());
        ProducerId(id)
    });
    let hello = Hello {
        producer,
        incarnation: Incarnation(0),
        token: Cow::Borrowed(token),
        agent: Cow::Borrowed("tidewire-bench"),
    };
    say(&ClientFrame::Hello(hello), out);
}

/// Says hello and subscribes in one flight.
pub(super) fn greet_and_subscribe(subscriber: &Subscriber, token: &str, out: &mut Vec<u8>) {
    greet(None, token, out);
    subscribe(subscriber, out);
}

#[inline]
pub(super) fn hear_as_subscriber(
    subscriber: &mut Subscriber,
    stepwise: bool,
    mut message: &[u8],
    ledger: &mut Ledger,
    out: &mut Vec<u8>,
) -> Result<()> {
    while !message.is_empty() {
        let whole = message;
        let (kind, body) = binary::take(&mut message)?;
        if kind == Block::KIND {
            read_block(subscriber, &Block::take(body)?, ledger)?;
            continue;
        }
        match HubFrame::take(&mut &whole[..whole.len() - message.len()])? {
            Some(HubFrame::Welcome(welcome)) => {
                let ms = welcome.expires_ms;
                subscriber.term = (ms > 0).then_some(Term { since_ns: ledger.now_ns, ms });
                if stepwise {
                    subscribe(subscriber, out);
                }
            }
            Some(HubFrame::SignedIn(_)) => subscriber.renewed = true,
            Some(HubFrame::Subscribed(subscribed)) => begin(subscriber, &subscribed, ledger)?,
            Some(HubFrame::Heartbeat(beat)) => say(&ClientFrame::Heartbeat(heartbeat(beat.request)), out),
            Some(HubFrame::Progress(progress)) => {
                subscriber.cursor = subscriber.cursor.max(progress.upto.0);
            }
            Some(HubFrame::Missing(missing)) => {
                ledger.count.gaps += 1;
                subscriber.cursor = missing.after.0;
            }
            Some(other) => bail!("the hub tells a subscriber {other:?}"),
            None => {}
        }
    }
    Ok(())
}

#[inline]
fn read_block(subscriber: &mut Subscriber, block: &Block<'_>, ledger: &mut Ledger) -> Result<()> {
    ensure!(block.prev.0 <= subscriber.cursor, "a block begins after a hole that nobody explained");
    for message in block.messages() {
        let message = message?;
        if message.offset.0 > subscriber.cursor {
            subscriber.cursor = message.offset.0;
            ledger.deliver(subscriber.index as usize, message.payload);
        }
    }
    Ok(())
}

fn subscribe(subscriber: &Subscriber, out: &mut Vec<u8>) {
    let from = match subscriber.epoch {
        0 if matches!(subscriber.wants, Wants::EverythingKept | Wants::AllOfTopic(_)) => Start::Earliest,
        0 => Start::Latest,
        epoch => Start::After(vec![Position { epoch: Epoch(epoch), offset: Offset(subscriber.cursor) }]),
    };
    let name = match subscriber.wants {
        Wants::Topic(topic) | Wants::AllOfTopic(topic) => name(topic),
        Wants::EveryTopic | Wants::EverythingKept => "bench.*".to_owned(),
    };
    let subscribe =
        Subscribe { request: Request(1), name: Cow::Owned(name), from, when_slow: WhenSlow::CatchUp };
    say(&ClientFrame::Subscribe(subscribe), out);
}

/// Brings a token on a connection that is up.
pub(super) fn put_sign_in(token: &str, out: &mut Vec<u8>) {
    say(&ClientFrame::SignIn(SignIn { request: Request(2), token: Cow::Borrowed(token) }), out);
}

fn begin(subscriber: &mut Subscriber, subscribed: &Subscribed, ledger: &mut Ledger) -> Result<()> {
    let position = subscribed.positions.first().context("`subscribed` names no position")?;
    if subscribed.outcome == Outcome::Gap {
        ledger.count.gaps += 1;
    }
    subscriber.epoch = position.epoch.0;
    subscriber.cursor = position.offset.0;
    subscriber.ready = true;
    Ok(())
}

pub(super) fn hear_as_publisher(
    publisher: &mut Publisher,
    mut message: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    while !message.is_empty() {
        match HubFrame::take(&mut message)? {
            Some(HubFrame::Welcome(_)) => open(publisher, out),
            Some(HubFrame::Opened(opened)) => {
                publisher.unknown += usize::from(opened.window_new);
                publisher.unopened = publisher.unopened.saturating_sub(1);
                publisher.ready = publisher.unopened == 0;
            }
            Some(HubFrame::Acked(acked)) => {
                let place = acked.handle.0.checked_sub(1).context("an ack without handle")? as usize;
                let count = publisher.acked.get_mut(place).context("an ack for no handle of ours")?;
                ensure!(acked.seq.0 == u64::from(*count) + 1, "acks out of order");
                *count += acked.count as u32;
                publisher.answered += acked.count;
            }
            Some(HubFrame::Heartbeat(beat)) => say(&ClientFrame::Heartbeat(heartbeat(beat.request)), out),
            Some(other) => bail!("the hub tells a publisher {other:?}"),
            None => {}
        }
    }
    Ok(())
}

fn open(publisher: &mut Publisher, out: &mut Vec<u8>) {
    (publisher.unopened, publisher.unknown) = (publisher.topics.len(), 0);
    for (place, topic) in publisher.topics.iter().enumerate() {
        let open = Open {
            handle: Handle(place as u64 + 1),
            topic: Cow::Owned(name(*topic)),
            lowest: Seq(u64::from(publisher.acked[place]) + 1),
            ..Open::default()
        };
        say(&ClientFrame::Open(open), out);
    }
}

pub(super) fn put_publish(publisher: &Publisher, publish: Publish<'_>, out: &mut Vec<u8>) {
    let key = publisher.key(publish).map_or(Cow::Borrowed(""), |key| Cow::Owned(format!("k{key}")));
    let frame = client_frame::Publish {
        handle: Handle(publish.place as u64 + 1),
        seq: Seq(u64::from(publish.seq) + 1),
        lowest: Seq(u64::from(publisher.acked[publish.place]) + 1),
        content: Content::Text,
        payload: Cow::Borrowed(publish.payload),
        attributes: Attributes { key, ..Attributes::default() },
        ..client_frame::Publish::default()
    };
    websocket::put_masked(Opcode::Binary, out, |out| frame.put(out));
}

/// Publishes nothing under the next number.
pub(super) fn put_void(place: usize, seq: u32, out: &mut Vec<u8>) {
    let frame = client_frame::Publish {
        handle: Handle(place as u64 + 1),
        seq: Seq(u64::from(seq) + 1),
        void: true,
        ..client_frame::Publish::default()
    };
    websocket::put_masked(Opcode::Binary, out, |out| frame.put(out));
}

/// What the bench calls a topic on servers where names have tokens.
pub(super) fn name(topic: u32) -> String {
    match topic {
        // No pattern of the bench matches it.
        ELSEWHERE => "elsewhere".to_owned(),
        topic => format!("bench.{}", stamp::topic_name(topic)),
    }
}

pub(super) const fn heartbeat(request: Request) -> client_frame::Heartbeat {
    client_frame::Heartbeat { request }
}

pub(super) fn say(frame: &ClientFrame<'_>, out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Binary, out, |out| frame.put(out));
}
