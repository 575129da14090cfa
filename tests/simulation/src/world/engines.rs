//! Engines and reads that come late: one step at a time.

use crate::world::World;
use crate::world::event::Event;

impl World {
    pub(super) fn complete_some(&mut self) {
        self.engine_due = false;
        if self.engine_held {
            return;
        }
        let fails = !self.calm && self.random.one_in(50);
        let chance = self.random.below(1 << 30);
        if fails {
            self.tally.faults += 1;
        }
        if self.hub.as_mut().is_some_and(|hub| hub.store_one(chance, fails)) {
            self.plan_engine();
        }
    }

    /// What waits at this place in the engine is stored, or fails. `false` if nothing waits.
    pub fn store_one(&mut self, place: u64, fails: bool) -> bool {
        let stored = self.hub.as_mut().is_some_and(|hub| hub.store_one(place, fails));
        self.after_step();
        stored
    }

    pub(super) fn plan_engine(&mut self) {
        if self.setup.late_engine && !self.engine_due {
            self.engine_due = true;
            let late = if self.random.one_in(30) && !self.calm { 2_000 } else { 10 };
            let wait = self.random.below(late);
            self.after(wait, Event::Engine);
        }
    }

    pub(super) fn read_on(&mut self) {
        self.read_due = false;
        // In calm nothing waits for a disk: what many asked for is to be done within it.
        let steps = if self.calm { CALM_READS } else { 1 };
        if let Some(hub) = &self.hub {
            (0..steps).take_while(|_| hub.read_on(self.now)).for_each(drop);
        }
    }

    /// Reads of many topics come late, and step by step, as from a disk.
    pub(super) fn plan_read(&mut self) {
        let waits = self.hub.as_ref().is_some_and(|hub| hub.read_waits());
        if waits && !self.read_due {
            self.read_due = true;
            let late = if self.random.one_in(10) && !self.calm { 1_000 } else { 4 };
            let wait = self.random.below(late);
            self.after(wait, Event::Read);
        }
    }
}

/// Steps of reads at once in calm.
const CALM_READS: usize = 64;
