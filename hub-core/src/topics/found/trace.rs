//! What a durable log has of one topic: its messages in the order in which they came, and how far they are gone.

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

use crate::clock::Millis;
use crate::log::rows::ExpiredRow;
use crate::record::Record;
use crate::tail::restoring::{Bounds, Outlived};

/// A topic, by what was read of it.
#[derive(Debug)]
pub(in crate::topics) struct Trace {
    /// What rows call it.
    pub(in crate::topics) number: u64,
    /// Its name.
    pub(in crate::topics) name: TopicName,
    /// The place of that among the names that windows are of.
    pub(super) place: u32,
    /// The last commit that named it.
    pub(super) named: u64,
    /// What its tail is to hold.
    pub(in crate::topics) held: Outlived,
}

impl Trace {
    pub(super) fn new(number: u64, name: TopicName, place: u32, keeps_latest: bool) -> Self {
        Self { number, name, place, named: 0, held: Outlived::new(keeps_latest) }
    }

    /// How it stood.
    pub(super) fn reach(&mut self, bounds: Bounds) {
        self.held.reach(bounds);
    }

    /// Its next message, behind `prev`, at a time by which it may have expired.
    pub(super) fn take(&mut self, given: Millis, prev: Offset, record: &Record<'_>) {
        self.held.take(given, prev, record);
    }

    /// Some have expired and are left out.
    pub(super) fn pass(&mut self, row: &ExpiredRow) {
        self.held.pass(row.prev, row.last, row.had_keys);
    }
}
