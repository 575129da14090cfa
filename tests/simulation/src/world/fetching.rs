//! Reads from the disk of a durable log: segments are listed, then read one after another, each a step of its own between which
//! they may be merged and deleted. A turn may end before all was looked for. What is not found then is looked for anew, as long as there are other segments than before.

use std::sync::Weak;

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::SegmentNumber;
use tidewire_hub_core::reading::reads::Fetching;
use tidewire_hub_core::record::Record;
use tidewire_hub_core::tail::needed::Need;
use tidewire_protocol::number::Offset;

use crate::world::World;
use crate::world::event::Event;

/// A read under way.
#[derive(Debug)]
pub(crate) struct Look {
    fetching: Fetching,
    /// The segments as they were when it began.
    listed: Vec<SegmentNumber>,
    /// How many of these were read.
    read: usize,
    /// The disk refused one of them.
    has_failed: bool,
}

impl World {
    /// Plans the next step of such a read, if there is one to be made.
    pub(crate) fn plan_fetch(&mut self) {
        let is_calm = self.calm;
        let Some(storing) = &mut self.storing else { return };
        let waits = storing.look.is_some() || self.hub.as_ref().is_some_and(|hub| hub.fetch_waits());
        if storing.fetch_due || !waits {
            return;
        }
        storing.fetch_due = true;
        let is_late = !is_calm && storing.random.one_in(20);
        let wait = storing.random.below(if is_late { 1_000 } else { 3 });
        self.after(wait, Event::Fetch);
    }

    pub(crate) fn fetch_on(&mut self) {
        if let Some(storing) = &mut self.storing {
            storing.fetch_due = false;
        }
        // In calm what many asked for is to be done within it.
        let steps = if self.calm { CALM_STEPS } else { 1 };
        for _ in 0..steps {
            if !self.fetch_step() {
                return;
            }
        }
    }

    /// One step; `false` if there is none to make.
    fn fetch_step(&mut self) -> bool {
        let is_calm = self.calm;
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return false };
        let Some(mut look) = storing.look.take() else {
            let Some(mut fetching) = hub.next_fetch() else { return false };
            if storing.random.one_in(4) {
                // A turn ends somewhere: before all of it, too.
                let wanted = fetching.fetch.offsets();
                let at = wanted.get(storing.random.below(wanted.len() as u64) as usize).copied();
                at.into_iter().for_each(|at| fetching.fetch.cut(at));
            }
            let listed = storing.disk.list();
            storing.look = Some(Look { fetching, listed, read: 0, has_failed: false });
            return true;
        };
        let rest = &look.listed[look.read..];
        let next = rest.iter().position(|segment| storing.disk.may_have(*segment, &look.fetching.fetch));
        if let Some(next) = next {
            if !is_calm && storing.random.one_in(20) {
                look.has_failed = true;
            } else {
                storing.disk.read(rest[next], &mut look.fetching.fetch);
            }
            look.read += next + 1;
            storing.look = Some(look);
            return true;
        }
        let listed = storing.disk.list();
        let is_anew = look.fetching.fetch.missing().is_some() && listed != look.listed;
        if is_anew {
            storing.look = Some(Look { listed, read: 0, ..look });
            return true;
        }
        if look.has_failed {
            look.fetching.fetch.doubt();
        }
        hub.topics.reads().fetched(Millis(self.now), look.fetching);
        true
    }

    /// Memory lets go of some of what durable topics hold, as if there were no room.
    pub(crate) fn evict_some(&mut self) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        for topic in hub.topics.stored_topics(storing.log).into_values() {
            if let Some(topic) = topic.upgrade().filter(|_| storing.random.one_in(2)) {
                topic.tail.shrink(Millis(self.now));
            }
        }
    }

    /// Segments of which little is needed are merged, and those of which nothing is, deleted.
    pub(crate) fn tidy_some(&mut self, since: u64) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        let topics = hub.stored();
        let gone = |topic: &str| topics.get(topic).map_or(u64::MAX, |topic| topic.tail.stored_gone(since).0);
        for segment in storing.disk.needless(since, gone) {
            if storing.random.one_in(2) {
                storing.disk.delete(segment);
            }
        }
        let by_number = hub.topics.stored_topics(storing.log);
        let now = Millis(self.now);
        let needs = |topic: u64, message: (Offset, Option<&Record<'_>>), is_oldest: bool| {
            let topic = by_number.get(&topic).and_then(Weak::upgrade);
            topic.map_or(Need::Not, |topic| topic.tail.needs(now, message, is_oldest, since))
        };
        // Whoever is reading meanwhile has listed them as they were.
        let most = if storing.look.is_some() { 9 } else { 3 };
        for _ in 0..storing.random.below(most) {
            storing.disk.merge(since, &mut storing.random, needs);
        }
    }
}

/// Steps at once in calm.
const CALM_STEPS: usize = 256;
