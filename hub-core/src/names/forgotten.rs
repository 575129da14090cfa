//! Names that went: where each log stood with them, so that whoever comes back is told a gap if and only if something
//! may be lost. Bounded: of those that went longest ago only the highest offset is kept, for all together.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

use crate::ledger::{Charge, Kind, Ledger};
use crate::topic::further_tokens_bytes;

/// The order in which names went, and what is known of those that are too many. Where each stood is kept with the
/// names themselves.
#[derive(Debug)]
pub struct Forgotten {
    /// Names that are gone, each once; those that went longest ago first.
    order: BTreeMap<Going, TopicName>,
    next: Going,
    bytes: usize,
    bytes_max: usize,
    charge: Charge,
    /// For each log, the highest offset of any topic that is not even remembered as gone.
    floors: Vec<Offset>,
}

/// Tells when a name went, before which others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Going(u64);

impl Forgotten {
    /// Nothing went yet, of so many logs; what is remembered may take so many bytes.
    #[must_use]
    pub fn new(logs: usize, bytes_max: usize, ledger: &Arc<Ledger>) -> Self {
        Self {
            order: BTreeMap::new(),
            next: Going::default(),
            bytes: 0,
            bytes_max: bytes_max.max(BYTES_MIN),
            charge: Charge::new(&ledger.nobody(), Kind::Gone),
            floors: vec![Offset(0); logs],
        }
    }

    /// A name went, which was not gone.
    pub fn add(&mut self, name: TopicName) -> Going {
        let going = self.next;
        self.next.0 += 1;
        self.weigh(self.bytes + gone_bytes(&name));
        self.order.insert(going, name);
        going
    }

    /// The name that went then.
    #[must_use]
    pub fn name(&self, going: Going) -> Option<&TopicName> {
        self.order.get(&going)
    }

    /// One that is to be forgotten altogether, as long as there are too many.
    pub fn too_many(&mut self) -> Option<TopicName> {
        let is_much = self.order.len() > NAMES_MAX || self.bytes > self.bytes_max;
        let (_, name) = if is_much { self.order.pop_first()? } else { return None };
        self.weigh(self.bytes - gone_bytes(&name));
        Some(name)
    }

    /// A name that went is a topic again: it leaves its place to others.
    pub fn came_back(&mut self, going: Going) {
        if let Some(name) = self.order.remove(&going) {
            self.weigh(self.bytes - gone_bytes(&name));
        }
    }

    fn weigh(&mut self, bytes: usize) {
        self.bytes = bytes;
        self.charge.set(bytes);
    }

    /// A topic of a log is forgotten altogether that had messages up to `last`.
    pub fn raise(&mut self, log: u8, last: Offset) {
        if let Some(floor) = self.floors.get_mut(usize::from(log)) {
            *floor = last.max(*floor);
        }
    }

    /// The highest offset that a name without any trace may have had.
    #[must_use]
    pub fn floor(&self, log: u8) -> Offset {
        self.floors.get(usize::from(log)).copied().unwrap_or_default()
    }
}

/// What a name takes that went, about: its places in the tree of names, and its words here.
fn gone_bytes(name: &TopicName) -> usize {
    GONE_BYTES + further_tokens_bytes(name) + 2 * name.as_str().len()
}

/// Names of which it is remembered that they went.
pub const NAMES_MAX: usize = 65_536;
const BYTES_MIN: usize = 64 << 10;
const GONE_BYTES: usize = 640;
