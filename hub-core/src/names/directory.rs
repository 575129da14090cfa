//! Names to topics, patterns to their tails, and what each topic keeps.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Pattern, TopicName};
use tidewire_protocol::number::{Epoch, Offset, TailNumber};

use crate::calendar::Calendar;
use crate::clock::Millis;
use crate::ledger::{Account, Kind, Ledger};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::names::follow::{FOLLOWED_BYTES, Followed, Following};
use crate::names::forgotten::{Forgotten, Going};
use crate::tail::{Keep, Source, Tail, Terms};
use crate::topic::{NAME_BYTES, Topic, name_bytes};
use crate::trie::{Progress, Trie};

pub mod stored;

/// What topics keep, by pattern; the first match counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicRule {
    /// Which topics.
    pub pattern: Pattern,
    /// What they keep.
    pub retention: Retention,
    /// The log that they are in.
    pub log: u8,
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
    /// Of each key only the latest message; what has none is not taken.
    pub latest_per_key: bool,
}

/// All names of a hub. Locked before any log.
#[derive(Debug)]
pub struct Directory {
    topics: Trie<Leaf>,
    count: usize,
    forgotten: Forgotten,
    following: Following,
    next_number: u64,
    /// Terms of topics by pattern; the first match counts.
    rules: Vec<(Pattern, u8, Arc<Terms>)>,
    /// Terms of topics that no rule matches.
    usual: Arc<Terms>,
    /// Terms of patterns' tails, by log.
    pattern_terms: Vec<Arc<Terms>>,
    /// Bytes that names may take.
    room: usize,
    shapes_max: usize,
    metrics: Arc<Metrics>,
    /// How far the round of ageing has come.
    swept_to: Progress,
    /// The last pattern that was looked at in it; the outer `None` once all are.
    patterns_to: Option<Option<Box<str>>>,
    /// When that round, or the last one, began.
    round_at: Millis,
    /// All that stands in a durable log was told there since this commit; 0 until it is.
    told_since: u64,
}

/// What stands at a topic's name.
#[derive(Debug)]
enum Leaf {
    Topic(Arc<Topic>),
    /// Its state was dropped; its log, the offset of its last message, and when it went.
    Gone(u8, Offset, Going),
}

/// What is at a name, or at names that a pattern matches.
#[derive(Debug, Default)]
pub struct Listed {
    /// Topics.
    pub topics: Vec<Arc<Topic>>,
    /// Names that went: their logs and last offsets.
    pub gone: Vec<(u8, Offset)>,
}

/// What is looked at in one step of ageing.
#[derive(Debug, Default)]
pub struct Aging {
    /// Topics.
    pub topics: Vec<Arc<Topic>>,
    /// Patterns that nobody listens to, and that are gone from the directory.
    pub idle: Vec<Arc<Followed>>,
    /// Patterns that somebody listens to.
    pub watched: Vec<Arc<Followed>>,
}

impl Default for Retention {
    /// What a topic keeps without a rule: 10 minutes or 16 MiB, whichever is less.
    fn default() -> Self {
        Self { bytes: Some(16 << 20), age_ms: Some(600_000), ..Self::ALL }
    }
}

impl Retention {
    /// Everything is kept, as long as there is room.
    pub const ALL: Self = Self { none: false, count: None, bytes: None, age_ms: None, latest_per_key: false };

    /// What that means for a topic's tail.
    fn keep(&self, limits: &Limits, is_stored: bool) -> Keep {
        let bytes = if self.none { Some(limits.bare_tail_bytes) } else { self.bytes };
        // What is on a disk may be more than the node holds.
        let bytes_max = if is_stored { usize::MAX } else { limits.node_bytes_max };
        Keep {
            count: self.count.unwrap_or(u64::MAX),
            bytes: bytes.unwrap_or(bytes_max).min(bytes_max),
            age_ms: self.age_ms.unwrap_or(u64::MAX),
            readable: !self.none,
            block_bytes: limits.block_bytes,
            removals_ms: (self.latest_per_key && !self.none).then_some(limits.removals_ms),
            is_stored,
        }
    }
}

impl Directory {
    /// An empty directory of a hub with these logs, each of which is stored or not.
    #[must_use]
    pub fn new(
        rules: Vec<TopicRule>,
        logs: &[(Epoch, bool)],
        shards: usize,
        limits: &Limits,
        metrics: &Arc<Metrics>,
        ledger: &Arc<Ledger>,
        calendar: &Arc<Calendar>,
    ) -> Self {
        let terms_of = |keep, epoch, heavy_max: usize| {
            let calendar = Arc::clone(calendar);
            let heavy_bytes = (limits.node_bytes_max / heavy_max).max(1);
            Arc::new(Terms { keep, shards, heavy_bytes, epoch, calendar })
        };
        let terms = |keep, epoch| terms_of(keep, epoch, HEAVY_TOPICS_MAX);
        let of_rule = |rule: TopicRule| {
            let log = rule.log.min(logs.len().saturating_sub(1) as u8);
            let (epoch, is_stored) = logs[usize::from(log)];
            (rule.pattern, log, terms(rule.retention.keep(limits, is_stored), epoch))
        };
        let of_patterns = Keep {
            count: u64::MAX,
            bytes: limits.pattern_tail_bytes,
            age_ms: u64::MAX,
            readable: true,
            block_bytes: limits.block_bytes,
            removals_ms: None,
            is_stored: false,
        };
        Self {
            topics: Trie::default(),
            count: 0,
            forgotten: Forgotten::new(logs.len(), limits.gone_names_fit(), ledger),
            following: Following::default(),
            next_number: 1,
            rules: rules.into_iter().map(of_rule).collect(),
            usual: terms(Retention::default().keep(limits, logs[0].1), logs[0].0),
            pattern_terms: logs
                .iter()
                .map(|(epoch, _)| terms_of(of_patterns, *epoch, HEAVY_PATTERNS_MAX))
                .collect(),
            room: limits.topics_max.saturating_mul(NAME_BYTES).min(limits.known_bytes_max()),
            shapes_max: limits.pattern_shapes_max,
            metrics: Arc::clone(metrics),
            swept_to: Progress::Done,
            patterns_to: None,
            round_at: Millis(0),
            told_since: 0,
        }
    }

    /// The topic of this name, if its state is kept.
    #[must_use]
    pub fn find(&self, name: &TopicName) -> Option<&Arc<Topic>> {
        match self.topics.get(name.as_str())? {
            Leaf::Topic(topic) => Some(topic),
            Leaf::Gone(..) => None,
        }
    }

    /// The log that a name's messages are in.
    #[must_use]
    pub fn log_of(&self, name: &TopicName) -> u8 {
        self.rule(name).0
    }

    /// The highest offset that a name of a log may have had of which there is no trace, or, if it is known to have
    /// gone, its last.
    #[must_use]
    pub fn gone(&self, name: &TopicName, log: u8) -> Offset {
        if mutant::active(Mutant::ForgottenNotRemembered) {
            return Offset(0);
        }
        match self.topics.get(name.as_str()) {
            Some(Leaf::Gone(_, last, _)) => *last,
            Some(Leaf::Topic(_)) => Offset(0),
            None => self.floor(log),
        }
    }

    /// The highest offset that a name of a log may have had of which there is no trace.
    #[must_use]
    pub fn floor(&self, log: u8) -> Offset {
        if mutant::active(Mutant::ForgottenNotRemembered) { Offset(0) } else { self.forgotten.floor(log) }
    }

    /// The topic of this name, made if `account` may have the hub remember one more; `None` if not.
    pub fn topic(&mut self, name: &TopicName, account: &Arc<Account>) -> Option<Arc<Topic>> {
        if let Some(topic) = self.find(name) {
            return Some(Arc::clone(topic));
        }
        account.may_hold(Kind::Names, name_bytes(name), self.room).then(|| self.make(name, account))
    }

    fn make(&mut self, name: &TopicName, account: &Arc<Account>) -> Arc<Topic> {
        let (log, terms) = self.rule(name);
        let terms = Arc::clone(terms);
        let gone = self.gone(name, log);
        let number = self.next_number();
        let tail = Arc::new(Tail::new(number, 0, Source::Topic(name.clone()), &terms, gone));
        let topic = Arc::new(Topic::new(name.clone(), log, tail, account));
        if let Some(Leaf::Gone(_, _, going)) =
            self.topics.insert(name.as_str(), Leaf::Topic(Arc::clone(&topic)))
        {
            self.forgotten.came_back(going);
        }
        self.count += 1;
        self.metrics.topics.add(1);
        topic
    }

    /// The tails of a pattern, if somebody listens to it.
    #[must_use]
    pub fn followed(&self, pattern: &Pattern) -> Option<&Arc<Followed>> {
        self.following.find(pattern)
    }

    /// Makes the tails of a pattern, one in each log, which begin nowhere yet.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if `account` may not have the hub remember one more pattern, [`Code::LimitReached`] if none of
    /// this shape.
    pub fn follow(&mut self, pattern: &Pattern, account: &Arc<Account>) -> Result<Arc<Followed>, Code> {
        if !account.may_hold(Kind::Names, FOLLOWED_BYTES, self.room) {
            return Err(Code::Overloaded);
        }
        if !self.following.has_room(pattern, account, self.shapes_max) {
            return Err(Code::LimitReached);
        }
        let number = self.next_number();
        let tail = |(log, terms): (u8, &Arc<Terms>)| {
            Arc::new(Tail::new(number, log, Source::Pattern(pattern.clone()), terms, Offset(0)))
        };
        let tails = (0..).zip(&self.pattern_terms).map(tail).collect();
        let followed = Arc::new(Followed::new(pattern.clone(), tails, account));
        self.following.insert(Arc::clone(&followed));
        Ok(followed)
    }

    /// Lists what is at names that a pattern matches, for about `steps` names.
    pub fn list(
        &self,
        pattern: &Pattern,
        progress: &Progress,
        steps: usize,
        listed: &mut Listed,
    ) -> Progress {
        self.topics.list(pattern.as_str(), progress, steps, |leaf| match leaf {
            Leaf::Topic(topic) => listed.topics.push(Arc::clone(topic)),
            Leaf::Gone(log, last, _) => listed.gone.push((*log, *last)),
        })
    }

    /// Takes the next topics to be aged, going on where the last call ended, and at the start of a round the patterns
    /// that nobody listens to. A round begins so long after the one before it at the earliest; where the node is tight
    /// it begins at once, and takes longer steps.
    pub fn next_to_age(&mut self, now: Millis, is_tight: bool) -> Aging {
        let mut aging = Aging::default();
        let is_done = self.swept_to == Progress::Done && self.patterns_to.is_none();
        if is_done && (is_tight || now.since(self.round_at) >= ROUND_MS) {
            self.round_at = now;
            self.swept_to = Progress::Start;
            self.patterns_to = Some(None);
        }
        if let Some(after) = self.patterns_to.take() {
            let last;
            (aging.idle, aging.watched, last) = self.following.take_idle(after.as_deref());
            self.patterns_to = last.map(Some);
        }
        if self.swept_to == Progress::Done {
            return aging;
        }
        let all = self.topics.nodes() + self.count * STEPS_MORE;
        let steps = if is_tight { STEPS_MAX } else { (all / SWEEPS_A_ROUND).clamp(STEPS_MIN, STEPS_MAX) };
        let topics = &mut aging.topics;
        self.swept_to = self.topics.list_all(&self.swept_to, (steps, STEPS_MORE), |leaf| {
            if let Leaf::Topic(topic) = leaf {
                topics.push(Arc::clone(topic));
            }
        });
        aging
    }

    /// Forgets a topic that nobody needs: it holds no message, and nobody has it open or listens.
    pub fn dismiss(&mut self, topic: &Arc<Topic>, now: Millis) {
        let (gone, last) = topic.tail.bounds(now);
        // One reference is the directory's, one the caller's; a handle or a reader elsewhere would hold another.
        let needed = Arc::strong_count(topic) > 2 || Arc::strong_count(&topic.tail) > 1;
        if needed || gone < last || topic.tail.marks.watched() || self.is_untold(topic, last) {
            return;
        }
        self.count -= 1;
        self.metrics.topics.sub(1);
        if last == self.forgotten.floor(topic.log) || last == Offset(0) {
            self.topics.remove(topic.name.as_str());
            return;
        }
        self.went(&topic.name, topic.log, last);
    }

    /// All that stands in a durable log is told since a commit.
    pub fn told(&mut self, since: u64) {
        self.told_since = since;
    }

    /// What went of a topic that keeps the latest of each key no holes tell: that it did is to be on the disk first.
    fn is_untold(&self, topic: &Topic, last: Offset) -> bool {
        topic.tail.keeps_latest()
            && topic.stored.number().is_some()
            && topic.tail.stored_gone(self.told_since) < last
    }

    /// Topics known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether none is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Remembers of a name only its last offset.
    fn went(&mut self, name: &TopicName, log: u8, last: Offset) {
        let going = self.forgotten.add(name.clone());
        self.topics.insert(name.as_str(), Leaf::Gone(log, last, going));
        while let Some(name) = self.forgotten.too_many() {
            if let Some(Leaf::Gone(log, last, _)) = self.topics.remove(name.as_str()) {
                self.forgotten.raise(log, last);
            }
        }
    }

    fn rule(&self, name: &TopicName) -> (u8, &Arc<Terms>) {
        let rule = self.rules.iter().find(|(pattern, ..)| pattern.matches(name));
        rule.map_or((0, &self.usual), |(_, log, terms)| (*log, terms))
    }

    fn next_number(&mut self) -> TailNumber {
        self.next_number += 1;
        TailNumber(self.next_number - 1)
    }
}

/// So many topics can hold a notable part of what the node may hold,
const HEAVY_TOPICS_MAX: usize = 1_024;
/// and many more tails of patterns of that eighth which they may take: they go first, so that few should be overlooked.
const HEAVY_PATTERNS_MAX: usize = 16_384;
/// A round of ageing begins so long after the one before it at the earliest.
const ROUND_MS: u64 = 5_000;
/// In so many sweeps it comes round, unless there are very many names; shards do one every 250 ms.
const SWEEPS_A_ROUND: usize = 20;
/// A topic takes so many steps more than a token of a name.
const STEPS_MORE: usize = 3;
/// Steps of a sweep: 256 topics with names of one token at least, and 4,096 at most. That bounds how long opening a topic
/// waits, at the price of longer rounds.
const STEPS_MIN: usize = 1_024;
const STEPS_MAX: usize = 16_384;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::AccountKey;
    use crate::names::forgotten::NAMES_MAX;

    /// Topics of a sweep, where there are few.
    const TOPICS_MIN: usize = STEPS_MIN / (1 + STEPS_MORE);

    fn directory(limits: &Limits, ledger: &Arc<Ledger>) -> Directory {
        Directory::new(Vec::new(), &[(Epoch(1), false)], 1, limits, &Arc::default(), ledger, &Arc::default())
    }

    /// A name of as many tokens as there may be, all of them its own.
    fn long_name(number: usize) -> TopicName {
        let tokens: Vec<_> = (0..16).map(|token| format!("{number}-{token}")).collect();
        TopicName::parse(&tokens.join(".")).unwrap()
    }

    fn name(number: usize) -> TopicName {
        TopicName::parse(&format!("t{number}")).unwrap()
    }

    #[test]
    fn a_round_of_ageing_takes_several_steps_and_meets_every_topic() {
        let ledger = Arc::new(Ledger::default());
        let account = ledger.account(AccountKey(1));
        let mut directory = directory(&Limits::default(), &ledger);
        for number in 0..3 * TOPICS_MIN {
            directory.topic(&name(number), &account).unwrap();
        }
        let held = directory.topic(&name(7), &account).unwrap();
        let mut now = Millis(ROUND_MS);
        let sweep = |directory: &mut Directory, now| {
            for topic in directory.next_to_age(now, false).topics {
                directory.dismiss(&topic, now);
            }
        };
        for left in [2 * TOPICS_MIN, TOPICS_MIN, 1] {
            sweep(&mut directory, now);
            assert!(directory.len().abs_diff(left) <= 1, "{} topics", directory.len());
        }
        sweep(&mut directory, now);
        assert_eq!(directory.len(), 1, "what somebody holds stays");
        drop(held);
        sweep(&mut directory, now);
        assert_eq!(directory.len(), 1, "the next round begins later");
        now = now.plus(ROUND_MS);
        sweep(&mut directory, now);
        assert_eq!(directory.len(), 0);
        assert_eq!(ledger.total(), 0);
    }

    #[test]
    fn a_name_that_comes_and_goes_pushes_no_other_out() {
        let ledger = Arc::new(Ledger::default());
        let account = ledger.account(AccountKey(1));
        let mut directory = directory(&Limits::default(), &ledger);
        directory.went(&name(1), 0, Offset(9));
        directory.went(&name(2), 0, Offset(5));
        for _ in 0..=NAMES_MAX {
            let topic = directory.topic(&name(2), &account).unwrap();
            directory.dismiss(&topic, Millis(0));
        }
        assert_eq!(directory.floor(0), Offset(0), "nothing is forgotten altogether");
        assert_eq!(directory.gone(&name(1), 0), Offset(9));
        assert_eq!(directory.gone(&name(2), 0), Offset(5));
        for number in 3..=NAMES_MAX + 1 {
            directory.went(&name(number), 0, Offset(1));
        }
        assert_eq!(directory.gone(&name(2), 0), Offset(5), "it went last before those");
        assert_eq!(directory.floor(0), Offset(9), "what went longest ago makes room");
        drop(directory);
        assert_eq!(ledger.total(), 0);
    }

    #[test]
    fn long_names_that_went_take_no_more_room_than_short_ones() {
        let ledger = Arc::new(Ledger::default());
        let limits = Limits { node_bytes_max: 16 << 20, ..Limits::default() };
        let mut directory = directory(&limits, &ledger);
        for number in 0..2_000 {
            directory.went(&long_name(number), 0, Offset(1 + number as u64));
        }
        let remembered = (1 << 20) / (16 * 512);
        assert!(directory.topics.nodes() < 16 * 2 * remembered, "{} tokens", directory.topics.nodes());
        assert!(ledger.held(Kind::Gone) <= 1 << 20);
        assert!(directory.floor(0) > Offset(1_800), "the others are not forgotten without a trace");
    }

    #[test]
    fn a_round_of_ageing_is_as_long_for_short_names_beside_long_ones() {
        let ledger = Arc::new(Ledger::default());
        let account = ledger.account(AccountKey(1));
        let mut directory = directory(&Limits::default(), &ledger);
        for number in 0..2_000 {
            directory.topic(&long_name(number), &account).unwrap();
        }
        let mut met = 0;
        for _ in 0..=SWEEPS_A_ROUND {
            met += directory.next_to_age(Millis(ROUND_MS), false).topics.len();
        }
        assert_eq!(met, 2_000);
    }
}
