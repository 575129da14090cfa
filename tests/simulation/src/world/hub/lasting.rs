//! What of a hub outlives it: put back at its start, and looked at when it ends and when the next one has begun.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::CommitNumber;
use tidewire_hub_core::mutant::{Mutant, active};
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::names::NAMES;
use crate::oracle::restoring::{Held, Stand};
use crate::world::disk::Found;
use crate::world::hub::Hub;

/// A durable log that a hub begins with.
#[derive(Debug)]
pub struct Durable<'a> {
    /// Which.
    pub log: u8,
    /// What was found.
    pub found: &'a Found,
    /// What whoever has the disk would be woken for.
    pub wakes: Arc<AtomicBool>,
}

impl Durable<'_> {
    /// Puts back what was found. Tells which commit could not be read, if one could not.
    pub(super) fn restore(self, now: u64, topics: &Topics) -> Option<CommitNumber> {
        let wakes = self.wakes;
        topics.on_commit(Box::new(move || wakes.store(true, Ordering::Relaxed)));
        let mut restoring = topics.restore(self.log, Millis(now), &self.found.state());
        let mut misread = None;
        for (number, body) in &self.found.commits {
            // Whoever takes what is cut as far as it goes finds nothing odd in where it ends.
            if restoring.take(number.0, body).is_err() && !active(Mutant::CommitTakenInPart) {
                misread.get_or_insert(*number);
            }
        }
        _ = restoring.end();
        misread
    }
}

impl Hub {
    /// All messages of a log.
    #[must_use]
    pub fn held(&self, now: u64, log: usize) -> Vec<Held> {
        let mut held = Vec::new();
        let upto = self.topics.log(log as u8).visible();
        self.read_through(now, log, (Offset(0), upto), |message| held.push(message.into()));
        held
    }

    /// How a durable log stands.
    #[must_use]
    pub fn stand(&self, now: u64, log: u8) -> Stand {
        let gone = std::array::from_fn(|topic| {
            let name = TopicName::parse(NAMES[topic]).ok();
            let page = name
                .and_then(|name| self.topics.page(Millis(now), &Selector::Topic(name), &Start::Earliest, 1));
            page.and_then(|page| page.after.first().map(|place| place.offset.0)).unwrap_or_default()
        });
        let log = self.topics.log(log).lock();
        let (windows, _) = log.windows.lasting_from(0, u32::MAX);
        let windows =
            windows.map(|(window, _, home)| ((home.producer.id, home.topic.to_string()), window.into()));
        Stand { gone, windows: windows.collect() }
    }
}
