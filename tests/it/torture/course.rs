//! A hub under load, and what is seen of it over all that is done to it.

use std::time::{Duration, Instant};

use crate::support::PATIENCE;
use crate::support::kept::Kept;
use crate::torture::checker::Checker;
use crate::torture::load::Load;
use crate::torture::random::Random;
use crate::torture::report::Row;

/// Topics keep much more than comes between two looks.
pub(crate) const KEEP: &str = "[[topics]]\npattern = \"t.*\"\nretention = { count = 20000 }\n";

/// A hub under load.
pub(crate) struct Course {
    pub(crate) kept: Kept,
    pub(crate) load: Load,
    checker: Checker,
    row: Row,
    /// When all of it was read last.
    read_at: usize,
}

impl Course {
    pub(crate) fn of(mut kept: Kept) -> Self {
        let load = Load::on(&kept.hub().url());
        Self { kept, load, checker: Checker::default(), row: Row::default(), read_at: 0 }
    }

    /// Lets the load go on for a moment, which ends anywhere. Every publisher is acknowledged something first.
    pub(crate) fn run_on(&mut self, random: &mut Random) {
        self.load.hurry();
        if !self.load.goes_on(PATIENCE) {
            self.row.wrong.push("publishers are not acknowledged any more".to_owned());
        }
        std::thread::sleep(Duration::from_micros(random.below(MOMENT_MICROS)));
    }

    /// Does something to the hub, after which there is one again, and checks what it has.
    pub(crate) fn after(&mut self, what: impl FnOnce(&mut Kept)) {
        let begun = Instant::now();
        what(&mut self.kept);
        self.row.longest = self.row.longest.max(begun.elapsed());
        self.row.times += 1;
        let hub = self.kept.hub().address;
        self.row.wrong.extend(self.checker.look(hub, &self.load.acknowledged));
        self.read_at += 1;
        if self.read_at == ALL_EVERY {
            self.read_at = 0;
            self.row.wrong.extend(Checker::look_at_all(hub, &self.load.acknowledged));
        }
        let told = self.kept.hub().errors();
        for word in ["Lost", "damaged", "another identity", "panicked"] {
            if told.contains(word) {
                self.row.wrong.push(format!("the hub tells of something lost: {told}"));
            }
        }
    }

    /// Whether nothing was wrong so far: whatever comes next would only say so again.
    pub(crate) fn is_well(&self) -> bool {
        self.row.wrong.is_empty()
    }

    /// Lets all publishers end, and reads everything once more.
    pub(crate) fn end(mut self) -> Row {
        self.load.hurry();
        self.row.wrong.extend(self.load.end(PATIENCE));
        self.row.acknowledged = self.load.count();
        let hub = self.kept.hub().address;
        self.row.wrong.extend(self.checker.look(hub, &self.load.acknowledged));
        self.row.wrong.extend(Checker::look_at_all(hub, &self.load.acknowledged));
        self.row
    }
}

/// A moment is up to so long.
const MOMENT_MICROS: u64 = 30_000;
/// What was read before is read again so often.
const ALL_EVERY: usize = 50;
