//! The last messages of a pattern that lie in several logs, so many in all: how many of each are among them.
//!
//! Logs have no order among them but that of time, so that decides. Of what bears the same time, logs are taken one
//! after the other. Done in steps of a bounded number of topics, as all that looks at many.

use tidewire_protocol::position::Start;

use crate::clock::Millis;
use crate::mutant::{self, Mutant};
use crate::reading::gather::{Found, STEP_NAMES};
use crate::reading::job::{Hub, Job, Stage};
use crate::reading::question::{Answer, Ask};
use crate::reading::start::below;

/// A search for the time from which on there are so many: halves the span with each round through the topics.
#[derive(Debug)]
pub(super) struct Sharing {
    count: u64,
    /// From here on there are more than that, of each log so many; none as long as nobody has counted all.
    low: (u64, Option<Vec<u64>>),
    /// And from here on no more.
    high: (u64, Vec<u64>),
    /// Which log is counted, and how many of its topics have been.
    at: (usize, usize),
    counted: Vec<u64>,
}

impl Job {
    /// All topics are listed: where the last messages are wanted and several logs have some, they are shared first.
    pub(super) fn begin_sharing(&mut self, now: Millis, hub: &Hub<'_>) {
        let (Ask::Start { start, .. } | Ask::Page { start, .. }) = &self.ask else { return };
        let count = match start {
            Start::Last(count @ 1..) => *count,
            Start::Before { last, positions } => {
                for (log, found) in &mut self.ahead {
                    let below = below(&hub.logs[usize::from(*log)], positions);
                    found.upto = found.upto.min(below.unwrap_or_default());
                }
                *last
            }
            _ => return,
        };
        if let Some(sharing) = Sharing::new(now, count, &self.found_ahead())
            && !mutant::active(Mutant::LastOfEachLog)
        {
            self.stage = Stage::Sharing(sharing);
        }
    }

    /// Does one step of it.
    pub(super) fn share(&mut self, now: Millis, mut sharing: Sharing) -> Option<Answer> {
        match sharing.step(now, &self.found_ahead()) {
            Some(shares) => self.shares = shares,
            None => self.stage = Stage::Sharing(sharing),
        }
        None
    }

    fn found_ahead(&self) -> Vec<&Found> {
        self.ahead.iter().map(|(_, found)| found).collect()
    }
}

impl Sharing {
    /// Looks for the last `count` messages; `None` if not several of the logs have any.
    fn new(now: Millis, count: u64, logs: &[&Found]) -> Option<Self> {
        let several = logs.iter().filter(|found| !found.topics.is_empty()).count() > 1;
        let none = vec![0; logs.len()];
        several.then(|| Self {
            count,
            low: (0, None),
            high: (now.0.saturating_add(1), none.clone()),
            at: (0, 0),
            counted: none,
        })
    }

    /// Counts in the next few topics. Gives how many messages of each log are wanted when that is found.
    fn step(&mut self, now: Millis, logs: &[&Found]) -> Option<Vec<u64>> {
        let time = Millis(self.middle());
        let mut left = STEP_NAMES;
        while let Some(found) = logs.get(self.at.0).filter(|_| left > 0) {
            let rest = &found.topics[self.at.1..];
            let some = &rest[..rest.len().min(left)];
            for tail in some.iter().map(|held| &held.tail).filter(|tail| tail.readable()) {
                let before = tail.older_than(now, time);
                self.counted[self.at.0] += tail.held_between(now, before, found.upto).count;
            }
            left -= some.len();
            self.at = if some.len() < rest.len() {
                (self.at.0, self.at.1 + some.len())
            } else {
                (self.at.0 + 1, 0)
            };
        }
        if self.at.0 < logs.len() {
            return None;
        }
        self.at = (0, 0);
        let counted = std::mem::replace(&mut self.counted, vec![0; logs.len()]);
        if counted.iter().sum::<u64>() > self.count {
            self.low = (time.0, Some(counted));
        } else {
            self.high = (time.0, counted);
        }
        self.shares()
    }

    fn middle(&self) -> u64 {
        match &self.low {
            (_, None) => 0,
            (low, Some(_)) => low + (self.high.0 - low) / 2,
        }
    }

    /// How many of each, once the two times are next to each other, or there are not so many in all.
    fn shares(&self) -> Option<Vec<u64>> {
        let (high, more) = (&self.high.1, &self.low.1);
        let Some(more) = more else { return Some(high.clone()) };
        if self.high.0 - self.low.0 > 1 {
            return None;
        }
        let mut left = self.count - high.iter().sum::<u64>().min(self.count);
        let of_one = |(high, more): (&u64, &u64)| {
            let same_time = more.saturating_sub(*high).min(left);
            left -= same_time;
            high + same_time
        };
        Some(high.iter().zip(more).map(of_one).collect())
    }
}
