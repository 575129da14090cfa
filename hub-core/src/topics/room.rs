//! Room: what topics keep no longer goes bit by bit, and where the node is full, some of what they would keep.

use std::sync::atomic::Ordering;

use crate::clock::Millis;
use crate::ledger::Kind;
use crate::log::Log;
use crate::names::directory::Aging;
use crate::sync::lock;
use crate::topics::Topics;

impl Topics {
    /// Drops some of what is too old, and what nobody needs; where the node is full, also the older half of what it comes
    /// by, of patterns and of the accounts that hold most. To be called a few times a second.
    pub fn sweep(&self, now: Millis) {
        let level = self.make_room();
        let Aging { topics, idle, watched } = lock(&self.names).next_to_age(now, level.is_some());
        for followed in idle {
            for (log, tail) in self.logs.iter().zip(&followed.tails) {
                log.lock().feed.remove(followed.pattern.as_str(), tail);
                tail.clear();
            }
        }
        for tail in watched.iter().flat_map(|followed| &followed.tails) {
            if level.is_some() && self.excess() > 0 {
                tail.shrink(now);
            }
        }
        let generations: Vec<u64> = self.logs.iter().map(Log::generation).collect();
        let mut unneeded = Vec::new();
        for topic in topics {
            topic.forget_fed(generations[usize::from(topic.log)]);
            if let Some(level) = level {
                topic.tail.drop_derived();
                let owner = if self.excess() > 0 { topic.tail.owner() } else { None };
                if owner.is_some_and(|owner| owner.held(Kind::Messages) > level) {
                    topic.tail.shrink(now);
                }
            }
            let (gone, last) = topic.tail.age(now);
            if gone == last {
                unneeded.push(topic);
            }
        }
        if !unneeded.is_empty() {
            let mut names = lock(&self.names);
            unneeded.iter().for_each(|topic| names.dismiss(topic, now));
        }
        for log in &self.logs {
            let mut log = log.lock();
            log.sweep(now);
            self.settle(now, log);
        }
    }

    /// Makes room if the node is full and the last look did not find too little.
    pub(super) fn relieve(&self) {
        if self.is_full() && !self.is_short.load(Ordering::Relaxed) {
            self.make_room();
        }
    }

    /// Makes room if the node is full, among what is heavy. If that is too little, tells what accounts may keep.
    fn make_room(&self) -> Option<usize> {
        let mut level = None;
        if self.is_full() {
            let excess = self.excess();
            let may_keep = self.ledger.level(Kind::Messages, excess);
            self.heavy.relieve(excess, may_keep);
            level = self.is_full().then_some(may_keep);
        }
        self.is_short.store(level.is_some(), Ordering::Relaxed);
        level
    }

    fn is_full(&self) -> bool {
        self.ledger.total() > self.limits.node_bytes_max
    }

    /// Bytes that are too many, if room is made at all: a little more, so that it is not made again at once.
    fn excess(&self) -> usize {
        let max = self.limits.node_bytes_max;
        self.ledger.total().saturating_sub(max - max / 16)
    }
}
