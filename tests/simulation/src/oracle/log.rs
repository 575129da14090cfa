//! What became visible in one life of a log.

use tidewire_protocol::number::{Epoch, Offset};

use crate::names::{SELECTORS, TopicIndex, audience_of};
use crate::oracle::Uid;

/// One life of a log.
#[derive(Debug)]
pub struct Log {
    /// Its place among those of its life.
    pub index: usize,
    /// Its identity.
    pub epoch: Epoch,
    /// What became visible, in order.
    pub records: Vec<Record>,
    /// For each selector the places of its records.
    pub by_selector: [Vec<u32>; SELECTORS],
    /// Highest offset that became visible.
    pub visible: u64,
    /// Whether records were dropped before the oracle saw them.
    pub has_unseen: bool,
    /// Offsets from..=to among which are some that were stored when a hub ended, and too old when the next began.
    pub unshown: Vec<(u64, u64)>,
}

/// A message that became visible.
#[derive(Debug, Clone, Copy)]
pub struct Record {
    /// Where.
    pub offset: u64,
    /// Which.
    pub uid: Uid,
    /// The time that it was given.
    pub published_at_ms: u64,
    /// When it was taken, by the steady clock, if that is known.
    pub taken_ms: Option<u64>,
    /// When the oracle saw it, at once or nearly.
    pub shown_ms: u64,
    /// Whether it is marked.
    pub maybe_duplicate: bool,
}

impl Log {
    /// Whether there may have been a message at an offset that nobody saw.
    #[must_use]
    pub fn may_have_had(&self, offset: Offset) -> bool {
        let is_unshown = self.unshown.iter().any(|(from, to)| (*from..=*to).contains(&offset.0));
        is_unshown || self.has_unseen && offset.0 <= self.visible
    }

    /// A message became visible, behind all others.
    pub fn push(&mut self, record: Record, topic: TopicIndex) {
        for selector in audience_of(topic) {
            self.by_selector[usize::from(*selector)].push(self.records.len() as u32);
        }
        self.visible = record.offset;
        self.records.push(record);
    }

    /// The message at an offset, if it was seen.
    #[must_use]
    pub fn record(&self, offset: Offset) -> Option<Record> {
        let found = self.records.binary_search_by_key(&offset.0, |record| record.offset);
        found.ok().map(|index| self.records[index])
    }
}
