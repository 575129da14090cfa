//! Room: what topics keep no longer goes bit by bit, and where the node is full, some of what they would keep.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use crate::clock::{Millis, NEVER};
use crate::ledger::Kind;
use crate::log::Log;
use crate::log::sequencer::conditions::EXPIRED_AT_ONCE;
use crate::names::directory::Aging;
use crate::sync::lock;
use crate::topic::Topic;
use crate::topics::Topics;

impl Topics {
    /// Drops some of what is too old, and what nobody needs; where the node is nearly full, also the older half of what it comes
    /// by, of patterns and of the accounts that hold most. To be called a few times a second.
    pub fn sweep(&self, now: Millis) {
        self.reads.try_again(now);
        let level = self.make_room(now);
        let Aging { topics, idle, watched } = lock(&self.names).next_to_age(now, level.is_some());
        for followed in idle {
            for (log, tail) in self.logs.iter().zip(&followed.tails) {
                log.lock().feed.remove(followed.pattern.as_str(), tail);
                tail.clear();
            }
        }
        for tail in watched.iter().flat_map(|followed| &followed.tails) {
            if level.is_some() && self.excess() > 0 || self.heavy.doubles.are_too_many() {
                tail.shrink(NEVER);
            }
        }
        let generations: Vec<u64> = self.logs.iter().map(Log::generation).collect();
        let maps = topics.iter().filter(|topic| topic.tail.keeps_latest()).count();
        // Each has its share, so that none waits for another's.
        let removals = (REMOVED_AT_ONCE / maps.max(1)).max(REMOVED_AT_LEAST);
        let mut unneeded = Vec::new();
        for topic in topics {
            topic.forget_fed(generations[usize::from(topic.log)]);
            if let Some(level) = level {
                topic.tail.drop_derived();
                if self.excess() > 0 && topic.tail.is_of_many(level) {
                    topic.tail.shrink(self.settled(now));
                }
            }
            if topic.tail.keeps_latest() {
                self.remove_expired(now, &topic, removals);
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

    /// Removes keys of a topic whose values have expired, about so many; the rest goes in the next round.
    fn remove_expired(&self, now: Millis, topic: &Arc<Topic>, mut left: usize) {
        while left > 0 {
            let mut log = self.log(topic.log).lock();
            let removed = log.remove_expired(now, topic);
            let wakes = log.deliver();
            self.settle(now, log);
            wakes.wake(&self.inboxes);
            left = left.saturating_sub(removed);
            if removed < EXPIRED_AT_ONCE {
                return;
            }
        }
    }

    /// Makes room if the node is nearly full and the last look did not find too little, or much has come since.
    pub(super) fn relieve(&self, now: Millis) {
        if self.is_tight() && self.ledger.total() > self.looks_again_at.load(Ordering::Relaxed) {
            self.make_room(now);
        }
    }

    /// Makes room if the node is nearly full, among what is heavy. If that is too little, tells how much an account may keep,
    /// for sweeps to go on; and once it is full, whoever holds most takes no more until there is room.
    fn make_room(&self, now: Millis) -> Option<usize> {
        let may_keep = if self.is_tight() { self.relieve_heavy(now) } else { usize::MAX };
        let (is_tight, is_full) = (self.is_tight(), self.is_full());
        // Also for what only tails of patterns are to give: nothing is to come faster than they do.
        if !is_full {
            self.full_with.store(usize::MAX, Ordering::Relaxed);
        }
        self.ledger.restrict(is_full.then(|| self.squeezed(self.ledger.level(self.excess()))));
        let more = self.limits.node_bytes_max / LOOKS_A_NODE;
        let looks_again_at = if is_tight { self.ledger.total().saturating_add(more) } else { 0 };
        self.looks_again_at.store(looks_again_at, Ordering::Relaxed);
        is_tight.then_some(may_keep)
    }

    /// What an account may hold and still take more, by what it may keep: the less, the more messages came since the node was
    /// full. Those who come to a full node would else fill it once more, up to the level, before sweeps have freed what others
    /// hold. So little that very many would have to come is let be.
    fn squeezed(&self, level: usize) -> usize {
        let (max, messages) = (self.limits.node_bytes_max, self.ledger.held(Kind::Messages));
        let known =
            self.full_with.compare_exchange(usize::MAX, messages, Ordering::Relaxed, Ordering::Relaxed);
        let beyond = messages.saturating_sub(known.err().unwrap_or(messages));
        let most = (max / BEYOND_A_NODE).max(1);
        let squeezed = level as u128 * most.saturating_sub(beyond) as u128 / most as u128;
        level.min(usize::try_from(squeezed).unwrap_or(usize::MAX).max(max / LITTLE_A_NODE))
    }

    /// Makes room among what is heavy, and tells how much an account may keep.
    fn relieve_heavy(&self, now: Millis) -> usize {
        let weighed = self.heavy.weigh();
        weighed.relieve_doubles(self.excess());
        let may_keep = self.ledger.level(self.excess_of_topics());
        weighed.relieve_topics(self.settled(now), self.excess_of_topics(), may_keep);
        if self.is_overfull() {
            weighed.relieve_topics(NEVER, self.excess_of_topics(), may_keep);
        }
        may_keep
    }

    /// Whether it is so nearly full that sweeps have to make room, before anybody has to wait for it.
    fn is_tight(&self) -> bool {
        let max = self.limits.node_bytes_max;
        self.ledger.total() > max - max / 32
    }

    fn is_full(&self) -> bool {
        self.ledger.total() > self.limits.node_bytes_max
    }

    /// Whether it is so full that even what came just now has to go.
    fn is_overfull(&self) -> bool {
        let max = self.limits.node_bytes_max;
        self.ledger.total() > max.saturating_add(max / 16)
    }

    /// What came until then may go: it has reached those who listen live, or they are not about to take it.
    fn settled(&self, now: Millis) -> Millis {
        if self.is_overfull() { NEVER } else { Millis(now.0.saturating_sub(SETTLED_MS)) }
    }

    /// Bytes that are too many, if room is made at all: a little more, so that it is not made again at once.
    fn excess(&self) -> usize {
        let max = self.limits.node_bytes_max;
        self.ledger.total().saturating_sub(max - max / 16)
    }

    /// The same without what tails of patterns hold: they go before anybody's messages, those that are not heavy in sweeps.
    fn excess_of_topics(&self) -> usize {
        self.excess().saturating_sub(self.heavy.doubles.bytes())
    }
}

/// About so many keys whose values have expired are removed in one sweep: bounds how long a shard's loop waits for it.
const REMOVED_AT_ONCE: usize = 16_384;
/// And so many of each topic, however many have some.
const REMOVED_AT_LEAST: usize = 16;
/// What came so long ago is settled.
const SETTLED_MS: u64 = 1_000;
/// A full node that has taken so small a part more takes messages only of those who hold very little.
const BEYOND_A_NODE: usize = 8;
/// So small a part of a node is that.
const LITTLE_A_NODE: usize = 256;
/// Where the node is tight, room is looked for again when it holds more by so small a part.
const LOOKS_A_NODE: usize = 64;
