//! What a world is made of: how many clients and shards, which limits, how rough the weather.

use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::windows::WINDOW_BYTES;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::topics::Settings;
use tidewire_protocol::name::{Pattern, TopicName};

use crate::names::{KEYED, NAMES, TOPICS};
use crate::random::Random;

/// A world before it begins.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From which all chance follows.
    pub seed: u64,
    /// Shards of the hub.
    pub shards: usize,
    /// Clients at the start.
    pub clients: usize,
    /// Clients that keep no rule.
    pub hostiles: usize,
    /// Those who listen to event streams.
    pub sources: usize,
    /// Those who call by HTTP.
    pub callers: usize,
    /// Logs of the hub.
    pub logs: usize,
    /// Whether an engine completes late, out of step, and not always.
    pub late_engine: bool,
    /// The log whose engine that is.
    pub late_log: u8,
    /// The log that outlives the hub, if one does.
    pub durable: Option<u8>,
    /// Whether what is safe on its disk may be changed.
    pub damages: bool,
    /// Bytes of a segment of that log, about.
    pub segment_bytes: usize,
    /// Everything is kept: then no gap but a change of epoch has an excuse.
    pub keeps_all: bool,
    /// Whether a topic keeps the latest of each key.
    pub keyed: bool,
    /// Whether the hub may forget what a publisher did that is away.
    pub forgets: bool,
    /// Whether there is hardly more room for windows than those take that are in use in a calm.
    pub has_little_room: bool,
    /// Limits and rules of the hub.
    pub hub: Settings,
    /// Bytes that a socket buffers, at most.
    pub socket_bytes: u64,
    /// Longest time that bytes travel, milliseconds.
    pub latency_ms: u64,
    /// Mean time between two things that one client's application does, milliseconds.
    pub act_ms: u64,
    /// Mean time between two faults of one client, milliseconds.
    pub fault_ms: u64,
    /// Mean time between two faults of the hub, milliseconds.
    pub hub_fault_ms: u64,
    /// Mean time between two changes of the access rules, milliseconds; 0 if they never change.
    pub rules_ms: u64,
    /// How long tokens last on average beyond the least, milliseconds; 0 if nobody has one.
    pub tokens_ms: u64,
    /// Mean time between two corrections of the system's clock, milliseconds; 0 for none.
    pub clock_ms: u64,
    /// Rounds of trouble, each followed by a calm in which everything must arrive.
    pub rounds: u64,
    /// Length of a round, milliseconds.
    pub round_ms: u64,
    /// Longest night between two rounds, in which clients only listen, topics age and windows run out.
    pub night_ms: u64,
}

impl Setup {
    /// A world in which nothing happens by itself; scenarios write what does.
    #[must_use]
    pub fn still() -> Self {
        let limits = Limits { heartbeat_ms: 20_000, ..Limits::default() };
        let hub =
            Settings { limits, access: Access::open(), rules: vec![rule(">", EVERYTHING_KEPT)], boot: 0 };
        Self {
            seed: 1,
            shards: 2,
            clients: 0,
            hostiles: 0,
            sources: 0,
            callers: 0,
            logs: 1,
            late_engine: false,
            late_log: 0,
            durable: None,
            damages: false,
            segment_bytes: 4_000,
            keeps_all: true,
            keyed: false,
            forgets: false,
            has_little_room: false,
            hub,
            socket_bytes: 1 << 16,
            latency_ms: 5,
            act_ms: 0,
            fault_ms: 0,
            hub_fault_ms: 0,
            rules_ms: 0,
            tokens_ms: 0,
            clock_ms: 0,
            rounds: 0,
            round_ms: 0,
            night_ms: 0,
        }
    }

    /// A world by chance.
    #[must_use]
    pub fn random(seed: u64) -> Self {
        let random = &mut Random::new(seed);
        let keeps_all = random.one_in(3);
        let clients = random.between(3, 16) as usize;
        let limits = limits(random, clients, keeps_all);
        let mut rules = if keeps_all { everything_kept() } else { rules(random) };
        // From a chance of its own, too.
        let apart = &mut Random::new(seed ^ LOGS_SEED);
        let logs = if apart.one_in(3) { 2 } else { 1 };
        rules.iter_mut().for_each(|rule| rule.log = apart.below(logs) as u8);
        let (logs, late_log) = (logs as usize, apart.below(logs) as u8);
        let clocks = &mut Random::new(seed ^ CLOCKS_SEED);
        let hub = Settings { limits, access: Access::open(), rules, boot: 0 };
        let closing = &mut Random::new(seed ^ RULES_SEED);
        let rules_ms = if closing.one_in(3) { closing.magnitude(20_000, 300_000) } else { 0 };
        let tokens = &mut Random::new(seed ^ TOKENS_SEED);
        let tokens_ms = if tokens.one_in(3) { tokens.magnitude(10_000, 600_000) } else { 0 };
        let fault_ms = random.magnitude(20_000, 600_000);
        let setup = Self {
            seed,
            shards: random.between(2, 3) as usize,
            clients,
            // From a chance of its own: the rest of a seed's world is the same with them and without.
            hostiles: Random::new(!seed).below(4).saturating_sub(1) as usize,
            sources: Random::new(seed ^ SOURCES_SEED).below(6).saturating_sub(2) as usize,
            callers: Random::new(seed ^ CALLERS_SEED).below(6).saturating_sub(2) as usize,
            logs,
            late_engine: random.one_in(2),
            late_log,
            durable: None,
            damages: false,
            segment_bytes: 4_000,
            keeps_all,
            keyed: false,
            forgets: !keeps_all,
            has_little_room: false,
            hub,
            socket_bytes: random.magnitude(40, 60_000),
            latency_ms: random.magnitude(1, 400),
            act_ms: random.magnitude(4_000, 100_000),
            fault_ms,
            hub_fault_ms: random.magnitude(40_000, 900_000),
            rules_ms,
            tokens_ms,
            clock_ms: if clocks.one_in(3) { clocks.magnitude(20_000, 900_000) } else { 0 },
            rounds: random.between(2, 6),
            round_ms: random.magnitude(60_000, 600_000),
            night_ms: NIGHT_MS_MAX,
        };
        let mut setup = setup.with_a_topic_of_an_age().with_a_durable_log().with_keys();
        setup.hub.access = Access::of(setup.base_rules());
        if Random::new(seed ^ WINDOWS_SEED).one_in(2) { setup.with_little_room() } else { setup }
    }

    /// Where the clock is corrected, a topic that loses nothing but by its age, so that what goes too early is noticed.
    fn with_a_topic_of_an_age(mut self) -> Self {
        if self.clock_ms > 0 && !self.keeps_all {
            let retention = &mut self.hub.rules[0].retention;
            let age_ms = retention.age_ms.or(Some(60_000));
            *retention = Retention { age_ms, ..Retention::ALL };
        }
        self
    }

    /// In some worlds a log is durable, and the hub ends more often.
    fn with_a_durable_log(mut self) -> Self {
        let disks = &mut Random::new(self.seed ^ DURABLE_SEED);
        if !disks.one_in(3) {
            return self;
        }
        let durable = disks.below(self.logs as u64) as u8;
        self.late_engine &= self.late_log != durable;
        self.durable = Some(durable);
        self.segment_bytes = disks.magnitude(200, 100_000) as usize;
        // Where something is lost, that may be messages, and what producers did.
        self.damages = disks.one_in(4);
        self.forgets |= self.damages;
        self.keeps_all &= !self.damages;
        self.hub_fault_ms = disks.magnitude(12_000, 250_000);
        self.callers = self.callers.max(1);
        self
    }

    /// In some worlds a topic keeps the latest of each key, and those who call set them. Who was away for long may have missed
    /// that one was removed.
    fn with_keys(mut self) -> Self {
        let keys = &mut Random::new(self.seed ^ KEYS_SEED);
        self.keyed = keys.one_in(2);
        if self.keyed {
            self.hub.rules[usize::from(KEYED)].retention =
                Retention { latest_per_key: true, ..EVERYTHING_KEPT };
            self.callers = self.callers.max(2);
            let is_short = keys.one_in(2);
            let removals_ms =
                if is_short { keys.magnitude(200, 60_000) } else { self.hub.limits.removals_ms };
            self.hub.limits.removals_ms = removals_ms;
        }
        self
    }

    /// Hardly more room for windows than those take that are in use in a calm, log by log.
    fn with_little_room(mut self) -> Self {
        let logs = self.log_of();
        let topics_in = |log: usize| logs.iter().filter(|of| usize::from(**of) == log).count();
        let topics = (0..self.logs).map(topics_in).max().unwrap_or(TOPICS);
        // One account may have as many as are left for others, and some keep outcomes beside.
        self.forgets = true;
        self.has_little_room = true;
        self.hub.limits.windows_bytes_max =
            (PARTIES_MAX * self.clients + self.callers + 4) * topics * WINDOW_BYTES;
        self
    }
}

impl Setup {
    /// Who may do what while no topic is closed: everybody everything, but where there are tokens, what is left to these.
    #[must_use]
    pub fn base_rules(&self) -> Vec<AccessRule> {
        let word = Word::LeavesOut;
        let left_out = Pattern::parse(LEFT_OUT[0])
            .ok()
            .filter(|_| self.tokens_ms > 0)
            .map(|pattern| AccessRule { who: Who::Everybody, pattern, publish: word, subscribe: word });
        left_out.into_iter().chain(Access::open().rules).collect()
    }

    /// Which topics keep nothing to be asked for.
    #[must_use]
    pub fn bare(&self) -> [bool; TOPICS] {
        std::array::from_fn(|topic| self.rule_of(topic).is_some_and(|rule| rule.retention.none))
    }

    /// How many messages each topic keeps for sure; none where that depends on more than their number.
    #[must_use]
    pub fn kept_counts(&self) -> [Option<u64>; TOPICS] {
        let is_roomy = self.hub.limits.node_bytes_max >= ROOMY_BYTES;
        std::array::from_fn(|topic| match self.rule_of(topic)?.retention {
            Retention { none: false, count, bytes: None, age_ms: None, latest_per_key: false }
                if is_roomy =>
            {
                Some(count.unwrap_or(u64::from(u32::MAX)))
            }
            Retention { .. } => None,
        })
    }

    /// In which log each topic is.
    #[must_use]
    pub fn log_of(&self) -> [u8; TOPICS] {
        std::array::from_fn(|topic| self.rule_of(topic).map_or(0, |rule| rule.log))
    }

    /// What a topic keeps, if that is said.
    #[must_use]
    pub fn rule_of(&self, topic: usize) -> Option<&TopicRule> {
        let topic = TopicName::parse(NAMES[topic]).ok()?;
        self.hub.rules.iter().find(|rule| rule.pattern.matches(&topic))
    }
}

fn limits(random: &mut Random, clients: usize, keeps_all: bool) -> Limits {
    let block_bytes = random.magnitude(64, 16 << 10) as usize;
    let message_bytes_max = random.magnitude(200, 4_000) as usize;
    let page_bytes_max = random.magnitude(200, 64 << 10) as usize;
    // A hub whose largest page does not fit into what clients may leave unread would send them away for asking.
    let outbox_bytes_min = 2 * (page_bytes_max + block_bytes + message_bytes_max) as u64 + 8_000;
    Limits {
        message_bytes_max,
        frame_bytes_max: 64 << 10,
        sign_in_ms: random.between(2_000, 6_000),
        heartbeat_ms: random.magnitude(4_000, 60_000),
        outbox_bytes_max: random.magnitude(outbox_bytes_min, 1 << 20) as usize,
        in_flight_max: random.magnitude(1, 200),
        publishes_per_second_max: if random.one_in(4) { random.between(10, 40) } else { 0 },
        windows_bytes_max: (clients * TOPICS * 4 + 100) * 1_000,
        removals_ms: 24 * 3_600_000,
        window_ms: if keeps_all { 24 * 3_600_000 } else { random.magnitude(5_000, 24 * 3_600_000) },
        node_bytes_max: if keeps_all { 1 << 30 } else { random.magnitude(20_000, 1 << 30) as usize },
        block_bytes,
        pattern_tail_bytes: random.magnitude(100, 1 << 20) as usize,
        bare_tail_bytes: random.magnitude(100, 100_000) as usize,
        page_bytes_max,
        // Less than all names take: one read at a time comes to know its topics, and knows them anew for each part.
        reading_bytes_max: if page_bytes_max.is_multiple_of(2) { 1_000 } else { 64 << 20 },
        lag_bytes_max: random.magnitude(4_000, 1 << 20) as usize,
        pinned_bytes_max: 8 * block_bytes + random.magnitude(20_000, 1 << 20) as usize,
        slice_sends: random.between(1, 8) as usize,
        write_bytes: random.magnitude(64, 64 << 10) as usize,
        pending_bytes_max: random.magnitude(6_000, 1 << 20) as usize,
        close_ms: random.between(200, 3_000),
        ..Limits::default()
    }
}

/// What topics keep, each with a rule of its own.
fn rules(random: &mut Random) -> Vec<TopicRule> {
    let one = |random: &mut Random, name: &&str| {
        let mut maybe = |low, high| random.one_in(2).then(|| random.magnitude(low, high));
        let (count, bytes, age_ms) = (maybe(1, 200), maybe(100, 100_000), maybe(500, 600_000));
        let none = random.one_in(6);
        let (none, bytes) = (none, bytes.map(|bytes| bytes as usize));
        rule(name, Retention { none, count, bytes, age_ms, latest_per_key: false })
    };
    NAMES[..TOPICS].iter().map(|name| one(random, name)).collect()
}

/// A rule for each topic, for they may be in different logs.
fn everything_kept() -> Vec<TopicRule> {
    NAMES[..TOPICS].iter().chain(&[">"]).map(|name| rule(name, EVERYTHING_KEPT)).collect()
}

/// A rule for a pattern.
///
/// # Panics
/// If the pattern is none.
#[must_use]
pub fn rule(pattern: &str, retention: Retention) -> TopicRule {
    TopicRule { pattern: Pattern::parse(pattern).expect("a pattern"), retention, log: 0 }
}

/// A node with so much room never drops anything for want of it here.
pub const ROOMY_BYTES: usize = 1 << 24;
/// Each client has one party more at times.
const PARTIES_MAX: usize = 2;
/// Sets the chance for windows apart from the others of a seed.
const WINDOWS_SEED: u64 = 0x71d3;
/// Sets the chance for rules that change apart.
const RULES_SEED: u64 = 0x2c1e5;
/// Sets the chance for corrections of the clock apart.
const CLOCKS_SEED: u64 = 0xc10c;
/// Sets the chance for logs apart.
const LOGS_SEED: u64 = 0x1095;
/// What the rules leave to tokens: a topic, and the pattern that matches it.
pub const LEFT_OUT: [&str; 2] = ["d", ">"];
/// Sets the chance for tokens apart.
const TOKENS_SEED: u64 = 0x70ce;
/// Sets the chance for durable logs apart.
const DURABLE_SEED: u64 = 0xd04;
/// Sets the chance for keys apart.
const KEYS_SEED: u64 = 0x4e75;
/// Sets the chance for event streams apart.
const SOURCES_SEED: u64 = 0x55e;
/// Sets the chance for calls apart.
const CALLERS_SEED: u64 = 0xca11;
/// Nothing is ever dropped.
pub const EVERYTHING_KEPT: Retention = Retention::ALL;
/// Long enough for windows to run out, short enough for client-hours to stay eventful.
const NIGHT_MS_MAX: u64 = 150 * 60_000;
