//! Names that went: where each log stood with them, so that whoever comes back is told a gap if and only if something
//! may be lost. Bounded: of those that went longest ago only the highest offset is kept, for all together.

use std::collections::BTreeMap;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

/// The order in which names went, and what is known of those that are too many. Where each stood is kept with the
/// names themselves.
#[derive(Debug)]
pub struct Forgotten {
    /// Names that are gone, each once; those that went longest ago first.
    order: BTreeMap<Going, TopicName>,
    next: Going,
    /// For each log, the highest offset of any topic that is not even remembered as gone.
    floors: Vec<Offset>,
}

/// Tells when a name went, before which others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Going(u64);

impl Forgotten {
    /// Nothing went yet, of so many logs.
    #[must_use]
    pub fn new(logs: usize) -> Self {
        Self { order: BTreeMap::new(), next: Going::default(), floors: vec![Offset(0); logs] }
    }

    /// A name went, which was not gone. Gives also one that is to be forgotten altogether.
    pub fn add(&mut self, name: TopicName) -> (Going, Option<TopicName>) {
        let going = self.next;
        self.next.0 += 1;
        self.order.insert(going, name);
        let oldest = if self.order.len() > NAMES_MAX { self.order.pop_first() } else { None };
        (going, oldest.map(|(_, name)| name))
    }

    /// A name that went is a topic again: it leaves its place to others.
    pub fn came_back(&mut self, going: Going) {
        self.order.remove(&going);
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

/// Names of which it is remembered that they went: some 10 MB.
pub const NAMES_MAX: usize = 65_536;
