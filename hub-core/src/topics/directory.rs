//! Names to topics, patterns to their tails, and what each topic keeps.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::Arc;

use tidewire_protocol::name::{Pattern, Selector, TopicName};
use tidewire_protocol::number::{Offset, TailNumber};

use crate::clock::Millis;
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::sync::{Mutex, lock};
use crate::tail::{Keep, Source, Tail, Terms};
use crate::topics::patterns::Patterns;

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Its messages.
    pub tail: Arc<Tail>,
    /// Tails of the patterns that match it. Worked out once, kept up when patterns come and go.
    fed: Mutex<Vec<Arc<Tail>>>,
}

/// What topics keep, by pattern; the first match counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRule {
    /// Which topics.
    pub pattern: Pattern,
    /// What they keep.
    pub retention: Retention,
}

/// How much of a topic's history is kept. Bounds that are set hold together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Nothing can be asked for; a short tail bridges breaks of the connection.
    pub none: bool,
    /// Newest messages.
    pub count: Option<u64>,
    /// Bytes.
    pub bytes: Option<usize>,
    /// Milliseconds.
    pub age_ms: Option<u64>,
}

/// All names of a log. Lives under the sequencer's lock.
#[derive(Debug)]
pub struct Directory {
    topics: BTreeMap<TopicName, Arc<Topic>>,
    patterns: Patterns,
    next_number: u64,
    /// Terms of topics by pattern; the first match counts.
    rules: Vec<(Pattern, Arc<Terms>)>,
    /// Terms of topics that no rule matches.
    usual: Arc<Terms>,
    pattern_terms: Arc<Terms>,
    topics_max: usize,
    metrics: Arc<Metrics>,
    /// Highest offset of any topic whose state was dropped.
    forgotten: Offset,
    /// The last topic that was aged in the round under way.
    swept_to: Option<TopicName>,
    /// When that round, or the last one, began.
    round_at: Millis,
}

impl Default for Retention {
    /// What a topic keeps without a rule: 10 minutes or 16 MiB, whichever is less.
    fn default() -> Self {
        Self { none: false, count: None, bytes: Some(16 << 20), age_ms: Some(600_000) }
    }
}

impl Retention {
    /// What that means for a topic's tail.
    fn keep(&self, limits: &Limits) -> Keep {
        let bytes = if self.none { Some(limits.bare_tail_bytes) } else { self.bytes };
        Keep {
            count: self.count.unwrap_or(u64::MAX),
            bytes: bytes.unwrap_or(limits.node_bytes_max).min(limits.node_bytes_max),
            age_ms: self.age_ms.unwrap_or(u64::MAX),
            readable: !self.none,
            block_bytes: limits.block_bytes,
        }
    }
}

impl Topic {
    /// Calls `each` with the tail of every pattern that matches.
    pub fn feed(&self, mut each: impl FnMut(&Arc<Tail>)) {
        for tail in lock(&self.fed).iter() {
            each(tail);
        }
    }
}

impl Directory {
    /// An empty directory.
    #[must_use]
    pub fn new(rules: Vec<TopicRule>, shards: usize, limits: &Limits, metrics: &Arc<Metrics>) -> Self {
        let terms = |keep| Arc::new(Terms { keep, shards, metrics: Arc::clone(metrics) });
        let of_rule = |rule: TopicRule| (rule.pattern, terms(rule.retention.keep(limits)));
        Self {
            topics: BTreeMap::new(),
            patterns: Patterns::default(),
            next_number: 1,
            rules: rules.into_iter().map(of_rule).collect(),
            usual: terms(Retention::default().keep(limits)),
            pattern_terms: terms(Keep {
                count: u64::MAX,
                bytes: limits.pattern_tail_bytes,
                age_ms: u64::MAX,
                readable: true,
                block_bytes: limits.block_bytes,
            }),
            topics_max: limits.topics_max,
            metrics: Arc::clone(metrics),
            forgotten: Offset(0),
            swept_to: None,
            round_at: Millis(0),
        }
    }

    /// The topic of this name, if its state is kept.
    #[must_use]
    pub fn find(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        self.topics.get(name)
    }

    /// Highest offset that a topic without state may have had.
    #[must_use]
    pub fn forgotten(&self) -> Offset {
        if mutant::active(Mutant::ForgottenNotRemembered) { Offset(0) } else { self.forgotten }
    }

    /// The topic of this name, made if there is room; `None` if there is none.
    pub fn topic(&mut self, name: &TopicName) -> Option<Arc<Topic>> {
        if let Some(topic) = self.topics.get(name) {
            return Some(Arc::clone(topic));
        }
        if self.topics.len() >= self.topics_max {
            return None;
        }
        let rule = self.rules.iter().find(|(pattern, _)| pattern.matches(name));
        let terms = Arc::clone(rule.map_or(&self.usual, |(_, terms)| terms));
        let tail = self.tail(Source::Topic, &terms, self.forgotten());
        let fed = Mutex::new(self.patterns.matching(name.as_str()));
        let topic = Arc::new(Topic { name: name.clone(), tail, fed });
        self.topics.insert(name.clone(), Arc::clone(&topic));
        self.metrics.topics.add(1);
        Some(topic)
    }

    /// The tail of a pattern, made at the log's `end` if nobody listened so far.
    pub fn pattern(&mut self, pattern: &Pattern, end: Offset) -> Arc<Tail> {
        if let Some(tail) = self.patterns.find(pattern.as_str()) {
            return Arc::clone(tail);
        }
        let terms = Arc::clone(&self.pattern_terms);
        let tail = self.tail(Source::Pattern(pattern.clone()), &terms, end);
        self.patterns.insert(pattern.as_str(), Arc::clone(&tail));
        for topic in self.matching(pattern) {
            lock(&topic.fed).push(Arc::clone(&tail));
        }
        tail
    }

    /// The topics that a pattern matches, by name.
    pub fn matching(&self, pattern: &Pattern) -> impl Iterator<Item = &Arc<Topic>> {
        self.topics.values().filter(|topic| pattern.matches(&topic.name))
    }

    /// The topics of a selector, by name.
    #[must_use]
    pub fn select(&self, selector: &Selector) -> Vec<Arc<Topic>> {
        match selector {
            Selector::Topic(name) => self.topics.get(name).cloned().into_iter().collect(),
            Selector::Pattern(pattern) => self.matching(pattern).cloned().collect(),
        }
    }

    /// Ages some topics, going on where the last call ended, and forgets those that nobody needs. Publishing waits
    /// meanwhile, so it is a step of a round through all of them. Patterns that nobody listens to go once a round.
    pub fn sweep(&mut self, now: Millis) {
        if self.swept_to.is_none() {
            if now.since(self.round_at) < ROUND_MS {
                return;
            }
            self.round_at = now;
            self.drop_idle_patterns();
        }
        let after = self.swept_to.take().map_or(Bound::Unbounded, Bound::Excluded);
        let step = (self.topics.len() / STEPS_A_ROUND).clamp(STEP_TOPICS_MIN, STEP_TOPICS_MAX);
        let mut ahead = self.topics.range((after, Bound::Unbounded));
        let mut unneeded = Vec::new();
        for (name, topic) in ahead.by_ref().take(step) {
            self.swept_to = Some(name.clone());
            let (gone, last) = topic.tail.age(now);
            // One reference is ours; a handle or a subscription elsewhere would hold another.
            let needed = Arc::strong_count(topic) > 1 || Arc::strong_count(&topic.tail) > 1;
            if needed || gone < last || topic.tail.marks.watched() {
                continue;
            }
            self.forgotten = self.forgotten.max(last);
            unneeded.push(name.clone());
        }
        if ahead.next().is_none() {
            self.swept_to = None;
        }
        self.metrics.topics.sub(unneeded.len() as u64);
        for name in unneeded {
            self.topics.remove(&name);
        }
    }

    /// Makes room: halves the largest tails until `excess` bytes are free. What a pattern's tail loses is merged
    /// from its topics again.
    pub fn relieve(&mut self, mut excess: usize) {
        let topics = self.topics.values().map(|topic| Arc::clone(&topic.tail));
        let tails = topics.chain(self.patterns.all());
        let mut by_size: Vec<_> = tails.map(|tail| (tail.bytes(), tail)).collect();
        by_size.sort_by_key(|(bytes, _)| std::cmp::Reverse(*bytes));
        for (_, tail) in by_size {
            if excess == 0 {
                break;
            }
            excess = excess.saturating_sub(tail.halve());
        }
    }

    fn drop_idle_patterns(&mut self) {
        let idle: Vec<_> = self.patterns.all().into_iter().filter(|tail| !tail.marks.watched()).collect();
        if idle.is_empty() {
            return;
        }
        for tail in &idle {
            if let Source::Pattern(pattern) = &tail.source {
                self.patterns.remove(pattern.as_str());
            }
        }
        for topic in self.topics.values() {
            lock(&topic.fed).retain(|tail| tail.marks.watched());
        }
    }

    fn tail(&mut self, source: Source, terms: &Arc<Terms>, gone: Offset) -> Arc<Tail> {
        let number = TailNumber(self.next_number);
        self.next_number += 1;
        Arc::new(Tail::new(number, source, terms, gone))
    }
}

/// A round of ageing begins so long after the one before it at the earliest.
const ROUND_MS: u64 = 5_000;
/// In so many steps it comes round, unless there are very many topics; shards take one every 250 ms.
const STEPS_A_ROUND: usize = 20;
const STEP_TOPICS_MIN: usize = 256;
/// Bounds how long publishing waits, at the price of longer rounds.
const STEP_TOPICS_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn make(directory: &mut Directory, topics: std::ops::Range<usize>) {
        for number in topics {
            directory.topic(&TopicName::parse(&format!("t{number}")).unwrap()).unwrap();
        }
    }

    #[test]
    fn a_round_of_ageing_takes_several_steps_and_meets_every_topic() {
        let mut directory = Directory::new(Vec::new(), 1, &Limits::default(), &Arc::default());
        make(&mut directory, 0..3 * STEP_TOPICS_MIN);
        let held = directory.topic(&TopicName::parse("t7").unwrap()).unwrap();
        let mut now = Millis(ROUND_MS);
        for left in [2 * STEP_TOPICS_MIN, STEP_TOPICS_MIN, 1] {
            directory.sweep(now);
            assert!(directory.topics.len().abs_diff(left) <= 1, "{} topics", directory.topics.len());
        }
        assert_eq!(directory.topics.len(), 1, "what somebody holds stays");
        drop(held);
        directory.sweep(now);
        assert_eq!(directory.topics.len(), 1, "the next round begins later");
        now = now.plus(ROUND_MS);
        directory.sweep(now);
        assert_eq!(directory.topics.len(), 0);
    }
}
