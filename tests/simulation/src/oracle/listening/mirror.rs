//! What a reader of a topic that keeps the latest of each key makes of what it hears, and whether that is what stands.

use std::collections::BTreeMap;

use crate::names::KEYED;
use crate::oracle::listening::Objection;
use crate::oracle::log::{Log, Record};

/// What a reader knows.
#[derive(Debug, Default)]
pub(super) struct Mirror {
    /// The place of each key's value.
    entries: BTreeMap<u32, u64>,
    /// It knows all that came behind here.
    base: u64,
}

impl Mirror {
    /// What one knows who begins behind a place, and knew all up to there, or nothing.
    pub(super) fn begin(log: &Log, base: u64, knows_all: bool) -> Self {
        let mut mirror = Self { base, ..Self::default() };
        let before = log.of_selector(KEYED).take_while(|record| record.offset <= base);
        before.filter(|_| knows_all).for_each(|record| mirror.hear(&record));
        mirror
    }

    /// It hears of a key.
    pub(super) fn hear(&mut self, record: &Record) {
        if record.removes {
            self.entries.remove(&record.key);
        } else if record.key > 0 {
            self.entries.insert(record.key, record.offset);
        }
    }

    /// Once it has read all from the beginning, it knows nothing that was replaced.
    pub(super) fn check_anew(&self, log: &Log) -> Result<(), Objection> {
        for (key, offset) in &self.entries {
            if let Some(latest) = log.latest(*key).filter(|latest| latest.offset > *offset) {
                return Err(format!("{offset} is there without the latest of its key, {latest:?}"));
            }
        }
        self.check(log)
    }

    /// Once it has heard all, it knows what stands.
    pub(super) fn check(&self, log: &Log) -> Result<(), Objection> {
        for (key, offset) in &self.entries {
            let Some(latest) = log.latest(*key) else { continue };
            let has_expired = !latest.removes && latest.ends_ms <= log.clock.given_ms;
            if (latest.removes || latest.offset != *offset) && !has_expired {
                return Err(format!("it takes {offset} for the latest of its key, which is {latest:?}"));
            }
        }
        let mut owed = log.latest_of_all().filter(|record| record.stands_at(log.clock.given_ms));
        let lacking =
            owed.find(|record| record.offset > self.base && !self.entries.contains_key(&record.key));
        lacking.map_or(Ok(()), |record| Err(format!("it does not know {record:?}, from {} on", self.base)))
    }
}
