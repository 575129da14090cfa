//! Tidewire's updates that may be lost, for publishers: `open` with `unacknowledged` gives a topic its handle, then
//! `send` goes without number, window or answer. Both are written by hand here.

use anyhow::{Result, bail, ensure};
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::code::Content;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::varint;

use crate::dialect::{Publish, Publisher, tidewire};
use crate::websocket::{self, Opcode};

pub(super) fn hear_as_publisher(
    publisher: &mut Publisher,
    mut message: &[u8],
    out: &mut Vec<u8>,
) -> Result<()> {
    while !message.is_empty() {
        match HubFrame::take(&mut message)? {
            Some(HubFrame::Welcome(welcome)) => {
                ensure!(welcome.features & FEATURE != 0, "this hub takes no `send` (feature 11)");
                open(publisher, out);
                publisher.ready = true;
            }
            Some(HubFrame::Heartbeat(beat)) => {
                tidewire::say(&ClientFrame::Heartbeat(tidewire::heartbeat(beat.request)), out);
            }
            Some(other) => bail!("the hub tells a sender {other:?}"),
            None => {}
        }
    }
    Ok(())
}

/// Nobody answers, so that messages may follow at once.
fn open(publisher: &Publisher, out: &mut Vec<u8>) {
    for (place, topic) in publisher.topics.iter().enumerate() {
        let mut fields = Vec::with_capacity(32);
        put_number(HANDLE, place as u64 + 1, &mut fields);
        put_bytes_key(OPEN_TOPIC, &mut fields);
        varint::put_bytes(tidewire::name(*topic).as_bytes(), &mut fields);
        put_number(OPEN_UNACKNOWLEDGED, 1, &mut fields);
        put_frame(OPEN, &fields, &[], out);
    }
}

pub(super) fn put(publish: Publish<'_>, out: &mut Vec<u8>) {
    let mut fields = Vec::with_capacity(16);
    put_number(HANDLE, publish.place as u64 + 1, &mut fields);
    put_number(SEND_CONTENT, Content::Text.number(), &mut fields);
    put_bytes_key(SEND_PAYLOAD, &mut fields);
    varint::put(publish.payload.len() as u64, &mut fields);
    put_frame(SEND, &fields, publish.payload, out);
}

fn put_frame(kind: u8, fields: &[u8], payload: &[u8], out: &mut Vec<u8>) {
    websocket::put_masked(Opcode::Binary, out, |out| {
        out.push(kind);
        varint::put((fields.len() + payload.len()) as u64, out);
        out.extend_from_slice(fields);
        out.extend_from_slice(payload);
    });
}

fn put_bytes_key(field: u64, out: &mut Vec<u8>) {
    varint::put(field * 2 + 1, out);
}

fn put_number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint::put(field * 2, out);
    varint::put(value, out);
}

const FEATURE: u64 = 1 << 11;
const OPEN: u8 = 4;
const OPEN_TOPIC: u64 = 3;
const OPEN_UNACKNOWLEDGED: u64 = 5;
const SEND: u8 = 22;
const SEND_CONTENT: u64 = 2;
const SEND_PAYLOAD: u64 = 4;
/// In both.
const HANDLE: u64 = 1;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    /// The payload of the first frame in `bytes`, unmasked.
    fn frame(mut bytes: Vec<u8>) -> Vec<u8> {
        websocket::cut_masked(&mut bytes, &mut 0).unwrap().unwrap().payload.to_vec()
    }

    #[test]
    fn the_frames_are_those_of_the_protocol() {
        let mut out = Vec::new();
        put(Publish { place: 2, seq: 0, payload: b"hi" }, &mut out);
        assert_eq!(frame(out), [22, 8, 2, 3, 4, 2, 9, 2, b'h', b'i']);

        let mut out = Vec::new();
        open(&Publisher::new(0, vec![0]), &mut out);
        let name = b"bench.aaaaaaaa";
        let ends = [&[4, 20, 2, 1, 7, 14][..], name, &[10, 1]].concat();
        assert_eq!(frame(out), ends);
    }
}
