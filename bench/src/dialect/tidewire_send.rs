//! Tidewire's `send`, for publishers: `open` gives a topic its handle, then messages go without number or answer.
//!
//! The frame is written here by hand: kind 22 of the protocol, announced by bit 11 of `features`.

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
                tidewire::open(publisher, out);
            }
            Some(HubFrame::Opened(_)) => {
                publisher.unopened = publisher.unopened.saturating_sub(1);
                publisher.ready = publisher.unopened == 0;
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

pub(super) fn put(publish: Publish<'_>, out: &mut Vec<u8>) {
    let mut fields = Vec::with_capacity(16);
    put_number(HANDLE, publish.place as u64 + 1, &mut fields);
    put_number(CONTENT, Content::Text.number(), &mut fields);
    varint::put(PAYLOAD * 2 + 1, &mut fields);
    varint::put(publish.payload.len() as u64, &mut fields);
    websocket::put_masked(Opcode::Binary, out, |out| {
        out.push(KIND);
        varint::put((fields.len() + publish.payload.len()) as u64, out);
        out.extend_from_slice(&fields);
        out.extend_from_slice(publish.payload);
    });
}

fn put_number(field: u64, value: u64, out: &mut Vec<u8>) {
    varint::put(field * 2, out);
    varint::put(value, out);
}

const FEATURE: u64 = 1 << 11;
const KIND: u8 = 22;
const HANDLE: u64 = 1;
const CONTENT: u64 = 2;
const PAYLOAD: u64 = 7;
