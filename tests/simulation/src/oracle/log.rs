//! What became visible in one life of a log.

use std::collections::BTreeMap;

use tidewire_protocol::number::{Epoch, Offset};

use crate::names::{SELECTORS, SelectorIndex, TopicIndex, audience_of};
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
    /// Offsets from..=to among which some may have been replaced before the oracle saw them.
    pub missed: Vec<(u64, u64)>,
    /// Which time it is, as long as it lives.
    pub clock: Clock,
    /// The place of each key's latest among the records.
    latest: BTreeMap<u32, u32>,
}

/// Which time it is for a log.
#[derive(Debug, Clone, Copy, Default)]
pub struct Clock {
    /// By the steady clock.
    pub now: u64,
    /// By the one that messages are given.
    pub given_ms: u64,
    /// When that last went back, and to which: a hub began, and the system's clock had been put back before.
    pub put_back: (u64, u64),
    /// The latest time that was ever given, and when: what had expired by then may have left the disk, though a hub that was killed
    /// begins again with the last time that it stored.
    pub latest: (u64, u64),
    /// For so long it is remembered that a key was removed.
    pub removals_ms: u64,
    /// Whether a topic keeps the latest of each key.
    pub keeps_latest: bool,
}

impl Clock {
    /// Whether the time of a message is over, or was when an earlier hub had it.
    fn has_ended(&self, record: &Record) -> bool {
        let (latest_ms, at) = self.latest;
        record.ends_ms <= self.given_ms || record.ends_ms <= latest_ms && record.shown_ms <= at
    }
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
    /// Its key, in the topic that keeps the latest of each; 0 if it has none.
    pub key: u32,
    /// Whether it takes that away.
    pub removes: bool,
    /// When its time is over, by what messages are given; the largest number if never.
    pub ends_ms: u64,
}

impl Record {
    /// Whether it gives its key a value that is not over at a time.
    #[must_use]
    pub const fn stands_at(&self, given_ms: u64) -> bool {
        !self.removes && self.ends_ms > given_ms
    }
}

impl Log {
    /// An empty one, as one of its life.
    #[must_use]
    pub fn new(index: usize, epoch: Epoch, (keeps_latest, removals_ms): (bool, u64)) -> Self {
        Self {
            index,
            epoch,
            records: Vec::new(),
            by_selector: std::array::from_fn(|_| Vec::new()),
            visible: 0,
            has_unseen: false,
            unshown: Vec::new(),
            missed: Vec::new(),
            clock: Clock { removals_ms, keeps_latest, ..Clock::default() },
            latest: BTreeMap::new(),
        }
    }

    /// Whether there may have been a message at an offset that nobody saw.
    #[must_use]
    pub fn may_have_had(&self, offset: Offset) -> bool {
        let is_unshown = self.unshown.iter().any(|(from, to)| (*from..=*to).contains(&offset.0));
        is_unshown || self.has_unseen && offset.0 <= self.visible
    }

    /// Whether between two places there may have been messages that nobody saw.
    #[must_use]
    pub fn may_lack_between(&self, from: u64, to: u64) -> bool {
        let mut lacking = self.unshown.iter().chain(&self.missed);
        lacking.any(|(begin, end)| *begin <= to && *end > from)
    }

    /// Whether readers may go without a message: another has replaced it, its time is over, or it took a key away long ago.
    #[must_use]
    pub fn may_go(&self, record: &Record) -> bool {
        let is_replaced = self.latest(record.key).is_some_and(|latest| latest.offset > record.offset);
        is_replaced || self.clock.has_ended(record) || self.may_be_forgotten(record)
    }

    /// Whether some of a selector's messages up to there may have expired, which nobody may have seen: where the beginning of a
    /// topic has, it counts as gone up to its first message.
    #[must_use]
    pub fn may_have_expired(&self, selector: SelectorIndex, upto: Offset) -> bool {
        let mut own = self.of_selector(selector);
        let is_unseen = |at: u64| self.record(Offset(at)).is_none() && self.may_have_had(Offset(at));
        own.any(|record| record.offset <= upto.0 && self.clock.has_ended(&record))
            || (1..=upto.0).any(is_unseen)
    }

    /// Whether a message took a key away so long ago that it is not remembered.
    #[must_use]
    pub fn may_be_forgotten(&self, record: &Record) -> bool {
        let is_old = |taken: u64| taken + self.clock.removals_ms <= self.clock.now;
        record.removes && record.taken_ms.is_none_or(is_old)
    }

    /// The latest message of a key.
    #[must_use]
    pub fn latest(&self, key: u32) -> Option<Record> {
        self.latest.get(&key).map(|place| self.records[*place as usize])
    }

    /// The latest message of each key.
    pub fn latest_of_all(&self) -> impl Iterator<Item = Record> {
        self.latest.values().map(|place| self.records[*place as usize])
    }

    /// The messages of a topic or pattern.
    pub fn of_selector(&self, selector: SelectorIndex) -> impl Iterator<Item = Record> {
        self.by_selector[usize::from(selector)].iter().map(|place| self.records[*place as usize])
    }

    /// A message became visible, behind all others.
    pub fn push(&mut self, record: Record, topic: TopicIndex) {
        let place = self.records.len() as u32;
        for selector in audience_of(topic) {
            self.by_selector[usize::from(*selector)].push(place);
        }
        if record.key > 0 {
            self.latest.insert(record.key, place);
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
