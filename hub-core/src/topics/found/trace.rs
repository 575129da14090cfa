//! What a durable log has of one topic: its messages in the order in which they came, and how far they are gone.

use std::ops::RangeInclusive;

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
    /// The last commit that said anything of it.
    seen: u64,
    /// Messages between these two commits are not here, and what came before them was given up.
    hole: Option<(u64, u64)>,
}

impl Trace {
    pub(super) fn new(number: u64, name: TopicName, place: u32, keeps_latest: bool) -> Self {
        Self { number, name, place, named: 0, held: Outlived::new(keeps_latest), seen: 0, hole: None }
    }

    /// How it stood.
    pub(super) fn reach(&mut self, commit: u64, bounds: Bounds) {
        self.see(commit, |held| held.reach(bounds));
    }

    /// Its next message, behind `prev`, at a time by which it may have expired.
    pub(super) fn take(&mut self, commit: u64, given: Millis, prev: Offset, record: &Record<'_>) {
        self.see(commit, |held| held.take(given, prev, record));
    }

    /// Some have expired and are left out.
    pub(super) fn pass(&mut self, commit: u64, row: &ExpiredRow) {
        self.see(commit, |held| held.pass(row.prev, row.last, row.had_keys));
    }

    fn see(&mut self, commit: u64, take: impl FnOnce(&mut Outlived)) {
        let before = self.held.given_up();
        take(&mut self.held);
        if self.held.given_up() > before {
            self.hole = Some((self.seen, commit));
        }
        self.seen = commit;
    }

    /// From where on there are messages, if some before that are here which were not gone: one between was in a commit that
    /// is missing. Other holes are what was let go of.
    pub(in crate::topics) fn shortened(&self, missing: &[RangeInclusive<u64>]) -> Option<Offset> {
        let (before, behind) = self.hole?;
        let is_lost = missing.iter().any(|commits| *commits.start() < behind && before < *commits.end());
        self.held.begins_behind_given_up().filter(|_| is_lost)
    }
}
