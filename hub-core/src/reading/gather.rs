//! The topics that a pattern matches, as they stand: which have news after a cursor, and what is gone.
//!
//! Done in steps of a bounded number of names; nothing is locked between them. What comes meanwhile lies beyond
//! `upto`, where the log stood before the first step.

use std::sync::Arc;

use tidewire_protocol::code::GapReason;
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Start;

use crate::clock::Millis;
use crate::log::Log;
use crate::mutant::{self, Mutant};
use crate::names::directory::{Directory, Listed};
use crate::reading::start::{Asked, Stand, asked};
use crate::sync::{Mutex, lock};
use crate::tail::Tail;
use crate::tail::sealed::Totals;
use crate::trie::Progress;

/// A look at all topics of a pattern.
#[derive(Debug)]
pub struct Gather {
    pattern: Pattern,
    progress: Progress,
    /// What was found, by log.
    pub found: Vec<Found>,
}

/// What a pattern's topics in one log hold.
#[derive(Debug)]
pub struct Found {
    /// Everything up to here is in the topics' tails.
    pub upto: Offset,
    /// Those that hold something.
    pub topics: Vec<Held>,
    /// The newest offset that any topic ever had, as far as is known.
    pub newest: Offset,
    /// The newest message that may be asked for; 0 if there is none.
    pub last_kept: Offset,
    /// The highest offset that a topic has lost.
    lost: Offset,
    /// The highest that one has lost which keeps something to be asked for.
    lost_of_kept: Offset,
    /// The highest offset that a topic may have had which is not known any more.
    forgotten: Offset,
}

/// A topic, and what it holds.
#[derive(Debug)]
pub struct Held {
    /// Its tail.
    pub tail: Arc<Tail>,
    /// Everything up to here is gone.
    pub gone: Offset,
}

/// A search for the place of the last messages of many topics, so many or so many bytes of them, but one at least: halves
/// the range of offsets with each round through the topics.
#[derive(Debug)]
pub struct Search {
    count: u64,
    bytes_max: u64,
    low: u64,
    high: u64,
    at: usize,
    counted: Totals,
}

impl Gather {
    /// A look that has not begun.
    #[must_use]
    pub fn new(pattern: &Pattern, logs: &[Log]) -> Self {
        let found = logs.iter().map(|log| Found {
            upto: log.visible(),
            topics: Vec::new(),
            newest: Offset(0),
            last_kept: Offset(0),
            lost: Offset(0),
            lost_of_kept: Offset(0),
            forgotten: Offset(0),
        });
        Self { pattern: pattern.clone(), progress: Progress::Start, found: found.collect() }
    }

    /// Looks at the next few topics; `true` when all are done.
    pub fn step(&mut self, now: Millis, names: &Mutex<Directory>) -> bool {
        let mut listed = Listed::default();
        {
            let names = lock(names);
            if self.progress == Progress::Start {
                for (log, found) in (0..).zip(&mut self.found) {
                    found.forgotten = names.floor(log);
                    found.newest = found.forgotten;
                }
            }
            self.progress = names.list(&self.pattern, &self.progress, STEP_NAMES, &mut listed);
        }
        let forgets = !mutant::active(Mutant::ForgottenNotRemembered);
        for (log, last) in listed.gone.into_iter().filter(|_| forgets) {
            let found = &mut self.found[usize::from(log)];
            found.forgotten = found.forgotten.max(last.min(found.upto));
            found.newest = found.newest.max(last);
        }
        for topic in listed.topics {
            let (gone, kept, last) = topic.tail.ends(now);
            let found = &mut self.found[usize::from(topic.log)];
            let holds = gone < last;
            // What went that came after the first step is no loss of this reader: the pattern's tail had it.
            let gone = gone.min(found.upto);
            found.lost = found.lost.max(gone).max(topic.tail.removals_gone().min(found.upto));
            if topic.tail.readable() {
                found.lost_of_kept = found.lost_of_kept.max(gone);
                found.last_kept = found.last_kept.max(if gone < kept { kept } else { Offset(0) });
            }
            found.newest = found.newest.max(last);
            if holds {
                found.topics.push(Held { tail: Arc::clone(&topic.tail), gone });
            }
        }
        self.progress == Progress::Done
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.found.iter().map(Found::bytes).sum()
    }
}

impl Found {
    /// One topic, up to a place.
    #[must_use]
    pub fn of_topic(tail: &Arc<Tail>, gone: Offset, upto: Offset) -> Self {
        Self {
            upto,
            topics: vec![Held { tail: Arc::clone(tail), gone }],
            newest: upto,
            last_kept: upto,
            lost: gone,
            lost_of_kept: gone,
            forgotten: Offset(0),
        }
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.topics.capacity() * size_of::<Held>()
    }

    /// The highest offset that may be lost.
    #[must_use]
    pub fn lost(&self) -> Offset {
        self.lost.max(self.forgotten)
    }

    /// Where a reader stands who asked for this start; for the last N, give the place that a [`Search`] found.
    #[must_use]
    pub fn stand(&self, log: &Log, now: Millis, start: &Start, before_last: Offset) -> Stand {
        let readable = || self.topics.iter().filter(|held| held.tail.readable());
        let earliest = readable().map(|held| held.gone).min();
        match start {
            Start::Latest => Stand::live(self.upto),
            Start::After(positions) => self.after(log, asked(log, positions)),
            Start::Earliest => {
                earliest.map_or(Stand::live(self.upto), |cursor| Stand::resumed(cursor, self.lost()))
            }
            Start::Last(count) if *count > 0 && earliest.is_some() => {
                Stand::resumed(before_last, self.lost())
            }
            Start::Last(_) => Stand::live(self.upto),
            Start::Before { .. } => self.below(log, before_last),
            Start::SinceMs(ms) => {
                let time = Millis(now.0.saturating_sub(*ms));
                // The order of a log is that of its time, so whatever is older lies before whatever is younger.
                let older = readable().map(|held| held.tail.older_than(now, time)).max();
                older.map_or(Stand::live(self.upto), |cursor| Stand::resumed(cursor, self.lost()))
            }
        }
    }

    /// Goes on after `place` up to where this ends, and says how far messages may be missing there. `place` is 0 if nothing
    /// that is kept lies before.
    fn below(&self, log: &Log, place: Offset) -> Stand {
        let lost = self.lost_of_kept.max(self.forgotten).min(self.upto);
        if lost <= place || mutant::active(Mutant::GapNotTold) {
            return Stand::resumed(place, place);
        }
        let reason =
            if self.lost_of_kept >= self.forgotten { GapReason::Retention } else { GapReason::Forgotten };
        Stand::gap(log, place.next(), lost, reason, place)
    }

    /// Goes on after `cursor`: without a hole, or with a gap that says how far messages may be missing. Topics lose
    /// their messages each at its own time, so the others' still follow.
    #[must_use]
    pub fn after(&self, log: &Log, asked: Asked) -> Stand {
        let lost = self.lost();
        match asked {
            Asked::BeyondEnd(asked) => {
                Stand::gap(log, self.upto.next(), asked, GapReason::BeyondEnd, self.upto)
            }
            Asked::OtherEpoch => {
                let cursor = self.topics.iter().map(|held| held.gone).min().unwrap_or(lost);
                Stand::gap(log, Offset(1), lost, GapReason::EpochChanged, cursor)
            }
            Asked::After(cursor) if lost <= cursor || mutant::active(Mutant::GapNotTold) => {
                Stand::resumed(cursor, cursor)
            }
            Asked::After(cursor) => {
                let reason =
                    if self.lost >= self.forgotten { GapReason::Retention } else { GapReason::Forgotten };
                Stand::gap(log, cursor.next(), lost, reason, cursor)
            }
        }
    }
}

impl Search {
    /// Looks for the last `count` messages, as far as they and what each takes on a page are at most `bytes_max`.
    #[must_use]
    pub fn new(found: &Found, count: u64, bytes_max: u64) -> Self {
        Self { count, bytes_max, low: 0, high: found.upto.0, at: 0, counted: Totals::default() }
    }

    /// Counts in the next few topics. Gives the last offset before the wanted messages when that is found: that of a
    /// message, or 0 if none that is kept lies before.
    pub fn step(&mut self, now: Millis, found: &Found) -> Option<Offset> {
        // Invariant: more than is wanted lies after `low` - 1, and no more than that after `high`.
        if self.low >= self.high {
            return Some(Offset(self.high));
        }
        let middle = Offset(self.low + (self.high - self.low) / 2);
        let end = found.topics.len().min(self.at + STEP_NAMES);
        let readable = found.topics[self.at..end].iter().filter(|held| held.tail.readable());
        for held in readable {
            let Totals { count, bytes } = held.tail.held_between(now, middle, found.upto);
            self.counted.count += count;
            self.counted.bytes += bytes + count * HEAD_BYTES as u64;
        }
        self.at = end;
        if self.at < found.topics.len() {
            return None;
        }
        let Totals { count, bytes } = self.counted;
        if count > self.count || count > 1 && bytes > self.bytes_max {
            self.low = middle.0 + 1;
        } else {
            self.high = middle.0;
        }
        (self.at, self.counted) = (0, Totals::default());
        None
    }
}

/// Names looked at in one step.
pub const STEP_NAMES: usize = 256;
/// What a message takes on a page besides its payload, about.
pub const HEAD_BYTES: usize = 24;
