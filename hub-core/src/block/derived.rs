//! Other encodings of a block, made when first asked for, and dropped where room is short. All who want one share it.

use std::sync::OnceLock;

use tidewire_protocol::events::{self, Ids};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;
use tidewire_protocol::number::Epoch;
use tidewire_protocol::position::Position;

use crate::block::Block;
use crate::chunk;
use crate::ledger::Kind;
use crate::websocket::opcode::Opcode;
use crate::websocket::writer::Header;

/// What was made of a block.
#[derive(Debug, Default)]
pub(super) struct Derived {
    json: OnceLock<Box<[u8]>>,
    /// With ids, and without.
    events: [OnceLock<Box<[u8]>>; 2],
}

impl Derived {
    fn events(&self, ids: Ids) -> &OnceLock<Box<[u8]>> {
        match ids {
            Ids::OfEach => &self.events[0],
            Ids::Apart => &self.events[1],
        }
    }

    fn bytes(&self) -> usize {
        let all = self.events.iter().chain([&self.json]);
        all.filter_map(OnceLock::get).map(|encoding| encoding.len()).sum()
    }
}

impl Block {
    /// The WebSocket message in the JSON encoding.
    #[must_use]
    pub fn json_frame(&self) -> &[u8] {
        self.derive(
            |derived| &derived.json,
            || {
                let mut text = Vec::new();
                // The hub wrote these bytes itself: they can be read.
                let written = json::put_hub(&HubFrame::Block(self.wire()), &mut text);
                debug_assert!(written.is_ok());
                [Header::new(Opcode::Text, text.len()).as_bytes(), &text].concat()
            },
        )
    }

    /// The messages as events of a stream: of this log, and this topic unless they name theirs.
    #[must_use]
    pub fn events(&self, ids: Ids, epoch: Epoch, topic: &str) -> &[u8] {
        self.derive(
            |derived| derived.events(ids),
            || {
                let mut chunk = Vec::new();
                self.put_events_after(Position { epoch, offset: self.prev }, topic, ids, &mut chunk);
                chunk
            },
        )
    }

    /// Appends the messages that come after a place, as such events.
    pub fn put_events_after(&self, after: Position, topic: &str, ids: Ids, out: &mut Vec<u8>) {
        let mut text = Vec::new();
        // The hub wrote these bytes itself: they can be read.
        let written = events::put_block(&self.wire(), after, topic, ids, &mut text);
        debug_assert!(written.is_ok());
        out.reserve_exact(text.len() + chunk::OVERHEAD_BYTES_MAX);
        chunk::put(&text, out);
    }

    /// The same, if it was made before.
    #[must_use]
    pub fn known_events(&self, ids: Ids) -> &[u8] {
        self.derived.get().and_then(|derived| derived.events(ids).get()).map_or(&[], |events| events)
    }

    fn derive(
        &self,
        of: impl FnOnce(&Derived) -> &OnceLock<Box<[u8]>>,
        make: impl FnOnce() -> Vec<u8>,
    ) -> &[u8] {
        let encoding = of(self.derived.get_or_init(Box::default));
        if let Some(known) = encoding.get() {
            return known;
        }
        let made = encoding.get_or_init(|| {
            let made = make().into_boxed_slice();
            self.shares.first().charge(Kind::Derived, made.len());
            made
        });
        self.settle_derived();
        made
    }

    /// Bytes of other encodings.
    #[must_use]
    pub fn derived_bytes(&self) -> usize {
        self.derived.get().map_or(0, |derived| derived.bytes())
    }

    /// Drops other encodings, which can be made again. Tells how many bytes that freed.
    pub fn drop_derived(&mut self) -> usize {
        let bytes = self.derived.take().map_or(0, |derived| derived.bytes());
        self.shares.first().release(Kind::Derived, bytes);
        bytes
    }
}
