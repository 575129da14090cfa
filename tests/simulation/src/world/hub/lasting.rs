//! What of a hub outlives it: put back at its start, and looked at when it ends and when the next one has begun.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::reading::reads::Fetching;
use tidewire_hub_core::topic::Topic;
use tidewire_hub_core::topics::Topics;
use tidewire_hub_core::topics::found::Found as State;
use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::names::NAMES;
use crate::oracle::restoring::{Held, Stand};
use crate::world::disk::Disk;
use crate::world::hub::Hub;

/// A durable log that a hub begins with.
#[derive(Debug)]
pub struct Durable {
    /// Which.
    pub log: u8,
    /// What its commits say.
    pub state: State,
    /// What whoever has the disk would be woken for.
    pub wakes: Arc<AtomicBool>,
}

impl Durable {
    /// Puts back what was found.
    pub(super) fn restore(self, now: u64, topics: &Topics) {
        let wakes = self.wakes;
        topics.on_commit(Box::new(move || wakes.store(true, Ordering::Relaxed)));
        topics.restore(self.log, Millis(now), self.state);
    }
}

impl Hub {
    /// All messages of a log.
    #[must_use]
    pub fn held(&self, now: u64, log: usize, disk: Option<&Disk>) -> Vec<Held> {
        let mut held = Vec::new();
        let upto = self.topics.log(log as u8).visible();
        self.read_through(now, log, disk, (Offset(0), upto), |message| held.push(message.into()));
        held
    }

    /// Up to where a topic is gone.
    #[must_use]
    pub fn gone_of(&self, now: u64, topic: &str) -> u64 {
        let Ok(name) = TopicName::parse(topic) else { return 0 };
        let page = self.topics.page(
            Millis(now),
            &Selector::Topic(name),
            &Start::Earliest,
            Offset(0),
            Most::bytes(1),
        );
        match page {
            Some(page) => page.after.first().map_or(0, |place| place.offset.0),
            // What comes first is on the disk only.
            None => self.stored().get(topic).map_or(0, |topic| topic.tail.stored_bounds().gone.0),
        }
    }

    /// The topics of the durable log by their names.
    #[must_use]
    pub fn stored(&self) -> BTreeMap<String, Arc<Topic>> {
        let all = self.durable.map(|log| self.topics.stored_topics(log)).unwrap_or_default();
        let known = all.into_values().filter_map(|topic| topic.upgrade());
        known.map(|topic| (topic.name.as_str().to_owned(), topic)).collect()
    }

    /// What is to be read from the disk next.
    #[must_use]
    pub fn next_fetch(&self) -> Option<Fetching> {
        let fetching = self.topics.reads().next_fetch();
        self.fetch_waits.store(fetching.is_some(), Ordering::Relaxed);
        fetching
    }

    /// Whether somebody waits for the disk.
    #[must_use]
    pub fn fetch_waits(&self) -> bool {
        self.fetch_waits.load(Ordering::Relaxed)
    }

    /// How a durable log stands.
    #[must_use]
    pub fn stand(&self, now: u64, log: u8) -> Stand {
        let gone = std::array::from_fn(|topic| self.gone_of(now, NAMES[topic]));
        let log = self.topics.log(log).lock();
        let (windows, _) = log.windows.lasting_from(0, u32::MAX);
        let windows =
            windows.map(|(window, _, home)| ((home.producer.id, home.topic.to_string()), window.into()));
        Stand { gone, windows: windows.collect() }
    }
}
