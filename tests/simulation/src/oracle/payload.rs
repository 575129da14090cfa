//! What a payload says: which publish it is of, and so what a client's message has besides.

use tidewire_client_core::outgoing::Outgoing;
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::code::Content;

use crate::names::{NAMES, TopicIndex};
use crate::oracle::Uid;

/// Appends the payload of a publish.
pub fn put_payload(uid: Uid, len: usize, out: &mut Vec<u8>) {
    out.extend_from_slice(&uid.to_le_bytes());
    out.resize(out.len() + len - 4, filler(uid));
}

/// Which publish it says that it is of.
#[must_use]
pub fn uid_of(payload: &[u8]) -> Option<Uid> {
    Some(Uid::from_le_bytes(*payload.first_chunk()?))
}

/// Whether its bytes are those of this publish.
#[must_use]
pub fn is_whole(payload: &[u8], uid: Uid) -> bool {
    payload.iter().skip(4).all(|byte| *byte == filler(uid))
}

/// The message of a client's publish.
#[must_use]
pub fn message_of(uid: Uid, topic: TopicIndex, len: u32) -> Outgoing<'static> {
    let (topic, attributes) = (NAMES[usize::from(topic)], attributes_of(uid));
    Outgoing { topic, content: Content::Binary, payload_len: len, attributes, ..Outgoing::default() }
}

/// What it has besides; most have nothing.
#[must_use]
pub fn attributes_of(uid: Uid) -> Attributes<'static> {
    let some = uid.wrapping_mul(0x9e37_79b9) >> 16;
    if !some.is_multiple_of(4) {
        return Attributes::default();
    }
    let count = some / 4 % 4;
    let headers = (0..count).map(|name| (format!("h-{name}"), "ü".repeat((some / 16 % 64) as usize)));
    let key = if some.is_multiple_of(3) { format!("k{}", some % 50) } else { String::new() };
    // Of some it is over while the world lasts.
    let ttl_ms = match some / 4 % 10 {
        5 => u64::from(1_000 + some % 120_000),
        0 => TTL_MS,
        _ => 0,
    };
    Attributes { key: key.into(), headers: Headers::of(headers), ttl_ms, remove: false }
}

/// Whether its time may be over while the world lasts.
#[must_use]
pub fn expires_soon(uid: Uid) -> bool {
    (1..TTL_MS).contains(&attributes_of(uid).ttl_ms)
}

/// Whether these are what a client's publish has, some time after it was published.
#[must_use]
pub fn are_of(attributes: &Attributes<'_>, uid: Uid) -> bool {
    let Attributes { ttl_ms, .. } = attributes_of(uid);
    let is_left = (attributes.ttl_ms > 0) == (ttl_ms > 0) && attributes.ttl_ms <= ttl_ms;
    is_left && Attributes { ttl_ms, ..attributes.clone() } == attributes_of(uid)
}

fn filler(uid: Uid) -> u8 {
    (uid as u8).wrapping_mul(31) ^ 0x5a
}

/// A year.
const TTL_MS: u64 = 365 * 86_400_000;
