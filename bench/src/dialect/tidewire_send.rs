//! Tidewire's updates that may be lost, for publishers: `open` with `unacknowledged` gives a topic its handle, then
//! `send` goes without number, window or answer.

use std::borrow::Cow;

use anyhow::{Result, bail, ensure};
use tidewire_protocol::client_frame::{ClientFrame, Open, Send};
use tidewire_protocol::code::Content;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::Handle;

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
                ensure!(welcome.features & feature::SEND != 0, "this hub takes no `send` (feature 11)");
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
        let open = Open {
            handle: Handle(place as u64 + 1),
            topic: Cow::Owned(tidewire::name(*topic)),
            unacknowledged: true,
            ..Open::default()
        };
        tidewire::say(&ClientFrame::Open(open), out);
    }
}

pub(super) fn put(publish: Publish<'_>, out: &mut Vec<u8>) {
    let send = Send {
        handle: Handle(publish.place as u64 + 1),
        content: Content::Text,
        payload: Cow::Borrowed(publish.payload),
        ..Send::default()
    };
    websocket::put_masked(Opcode::Binary, out, |out| send.put(out));
}

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
