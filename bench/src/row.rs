//! The rows of the table: who is measured doing what, and what is to be reached.

use crate::load::{Pacing, Plan};
use crate::scenario::{Measured, Scenario};
use crate::server::Server;

/// One row.
#[derive(Debug, Clone)]
pub struct Row {
    /// Short name, for `--only` and JSON.
    pub name: &'static str,
    /// What is done, in a line.
    pub title: String,
    /// The first is compared with each other one.
    pub contestants: Vec<Contestant>,
    /// The figure that stands for the row.
    pub metric: Metric,
    /// What is to be reached.
    pub goals: Vec<Goal>,
    /// Left out unless all rows are wanted.
    pub full_only: bool,
}

/// A server in a role.
#[derive(Debug, Clone)]
pub struct Contestant {
    /// What the table calls it.
    pub label: String,
    /// The server.
    pub server: Server,
    /// Who takes part.
    pub plan: Plan,
    /// What is done.
    pub scenario: Scenario,
}

/// A figure of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// CPU time per delivery.
    Cpu,
    /// 99 % of latencies.
    P99,
    /// 90 % of acknowledgements.
    AckP90,
    /// 99 % of acknowledgements.
    AckP99,
    /// Memory per connection or topic.
    Bytes,
    /// Memory that the process took since everybody had subscribed. What it takes until then ranges by megabytes,
    /// by how many handshakes happened to be under way together.
    Growth,
    /// Time per join: what joins a second are, upside down, so that less is better everywhere.
    Join,
}

/// A bound that the first contestant keeps.
#[derive(Debug, Clone)]
pub struct Goal {
    /// Which figure.
    pub metric: Metric,
    /// How much of the other's figure, or how much outright.
    pub at_most: f64,
    /// The other's label; none if the bound stands by itself.
    pub of: Option<&'static str>,
}

impl Metric {
    /// The figure, if the measurement has it.
    #[must_use]
    pub fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Self::Cpu => measured.cpu_us,
            Self::P99 => measured.latency.map(|latency| latency.p99),
            Self::AckP90 => measured.ack.map(|ack| ack.p90),
            Self::AckP99 => measured.ack.map(|ack| ack.p99),
            Self::Bytes => measured.bytes_each,
            Self::Growth => measured.grown_mib,
            Self::Join => measured.joins_per_second.map(|joins| 1e6 / joins),
        }
    }

    /// What it is, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU us/delivery",
            Self::P99 => "p99 us",
            Self::AckP90 => "ack p90 us",
            Self::AckP99 => "ack p99 us",
            Self::Bytes => "bytes each",
            Self::Growth => "grown MiB",
            Self::Join => "us/join",
        }
    }
}

/// All rows, in the order of the table.
#[must_use]
pub fn rows() -> Vec<Row> {
    let mut rows = vec![saturated_1000(), saturated_10000(), low_rate(), topics_10000()];
    rows.extend([idle_one_topic(), idle_own_topics(), acks(), stalled(), slow(), connect(), storm()]);
    rows.extend([patterns(), encodings(), many_publishers(), known_topics()]);
    rows.extend([1, 10, 100, 1_000, 10_000].map(by_subscribers));
    rows.extend([1, 10, 100, 1_000, 10_000].map(by_topics));
    rows.extend([64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10].map(by_payload));
    rows
}

/// The figure that stands for the rows of a name.
#[must_use]
pub fn metric_of(name: &str) -> Metric {
    rows().into_iter().find(|row| row.name == name).map_or(Metric::Cpu, |row| row.metric)
}

const SATURATED: Scenario = Scenario::FanOut { pacing: Pacing::InFlight(64), seconds: 3.0 };

const fn rate(per_second: f64) -> Scenario {
    Scenario::FanOut { pacing: Pacing::Rate(per_second), seconds: 4.0 }
}

fn saturated_1000() -> Row {
    row("saturated-1000", "1 topic, 1,000 subscribers, 128 B, 64 in flight", &Server::ALL, {
        (Plan::one_topic(1_000), SATURATED)
    })
    .goal(0.5, "bun")
    .goal(0.25, "centrifuge-tuned")
    .goal(0.2, "nats")
    .goal(0.05, "usual")
}

fn saturated_10000() -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::Centrifuge, Server::Nats];
    row("saturated-10000", "1 topic, 10,000 subscribers, 128 B, 64 in flight", &servers, {
        (Plan::one_topic(10_000), SATURATED)
    })
    .beside("tidewire, 1,000", Plan::one_topic(1_000), SATURATED)
    .goal(0.6, "bun")
    .goal(2.0, "tidewire, 1,000")
    .goal(1.0 / 40.0, "centrifuge")
    .goal(1.0 / 40.0, "nats")
}

fn low_rate() -> Row {
    row("low-rate", "1 topic, 1,000 subscribers, 128 B, 80 messages/s: nothing to batch", &Server::ALL, {
        (Plan::one_topic(1_000), rate(80.0))
    })
    .goal(1.0, "floor")
}

fn topics_10000() -> Row {
    let plan = Plan { topics: 10_000, publishers: 10, ..Plan::one_topic(10_000) };
    let servers = [
        Server::Tidewire,
        Server::TidewireAllCores,
        Server::Bun,
        Server::BunAnswers,
        Server::Floor,
        Server::Nats,
    ];
    let title = "10,000 topics, one subscriber each, 128 B, 10,000 messages/s";
    row("topics-10000", title, &servers, (plan, rate(10_000.0))).goal(1.0, "bun").goal_of(
        Metric::P99,
        1.5,
        "bun",
    )
}

fn idle_one_topic() -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::CentrifugeTuned, Server::Nats, Server::SocketIo];
    row("idle", "memory per idle connection, all on one topic (1,000 to 15,000)", &servers, {
        (Plan::one_topic(15_000), Scenario::Idle)
    })
    .of(Metric::Bytes)
    .bound(Metric::Bytes, 2_048.0)
}

fn idle_own_topics() -> Row {
    let plan = Plan { topics: 15_000, publishers: 15, ..Plan::one_topic(15_000) };
    let title = "memory per idle connection and its own topic with one message (1,000 to 15,000)";
    row("idle-topics", title, &[Server::Tidewire, Server::Bun], (plan, Scenario::Idle))
        .of(Metric::Bytes)
        .bound(Metric::Bytes, 3_072.0)
}

fn acks() -> Row {
    let scenario = Scenario::FanOut { pacing: Pacing::Random(15.0), seconds: 10.0 };
    let plan = Plan::one_topic(10_000);
    row(
        "acks",
        "publish acks under 10,000 subscribers, 15 messages/s at random instants",
        &[Server::Tidewire],
        (plan, scenario),
    )
    .beside("tidewire, 1", Plan::one_topic(1), scenario)
    .of(Metric::AckP99)
    .bound(Metric::AckP99, 5_000.0)
    .goal_of(Metric::AckP90, 2.0, "tidewire, 1")
}

fn stalled() -> Row {
    let scenario = Scenario::FanOut { pacing: Pacing::Rate(40.0), seconds: 6.0 };
    let calm = Plan { payload_bytes: 4 << 10, ..Plan::one_topic(1_000) };
    let plan = Plan { stalled: 1, ..calm };
    row("stalled", "1 of 1,000 subscribers reads nothing, 4 KiB, 40 messages/s", &[Server::Tidewire], {
        (plan, scenario)
    })
    .beside("tidewire, none stalled", calm, scenario)
    .of(Metric::P99)
    .goal_of(Metric::P99, 1.1, "tidewire, none stalled")
    .goal_of(Metric::Growth, 1.0, "tidewire, none stalled")
}

fn slow() -> Row {
    let scenario = Scenario::FanOut { pacing: Pacing::Rate(40.0), seconds: 6.0 };
    let calm = Plan { payload_bytes: 4 << 10, ..Plan::one_topic(1_000) };
    let plan = Plan { slow: 50, ..calm };
    row("slow", "50 of 1,000 subscribers read an eighth of 40 messages/s of 4 KiB", &[Server::Tidewire], {
        (plan, scenario)
    })
    .beside("tidewire, none slow", calm, scenario)
    .of(Metric::P99)
    .goal_of(Metric::P99, 1.1, "tidewire, none slow")
    .goal_of(Metric::Cpu, 1.1, "tidewire, none slow")
    .goal_of(Metric::Growth, 1.1, "tidewire, none slow")
}

fn connect() -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::CentrifugeTuned, Server::Nats, Server::SocketIo];
    let title = "10,000 clients connect and subscribe at once";
    row("connect", title, &servers, (Plan::one_topic(10_000), Scenario::Connect)).of(Metric::Join).in_full()
}

fn storm() -> Row {
    let servers = [Server::Tidewire, Server::Bun];
    let title = "10,000 clients return at once; Tidewire's resume 100 messages each";
    row("storm", title, &servers, (Plan::one_topic(10_000), Scenario::Storm)).of(Metric::Join).goal_of(
        Metric::Join,
        1.25,
        "bun",
    )
}

fn patterns() -> Row {
    let plan = Plan { topics: 1_000, every_topic: true, ..Plan::one_topic(100) };
    let title = "1,000 topics, 100 subscribers to all of them by a pattern, 64 in flight";
    row("patterns", title, &[Server::Tidewire, Server::Nats], (plan, SATURATED)).in_full()
}

fn encodings() -> Row {
    let plan = Plan::one_topic(1_000);
    let title = "1 topic, 1,000 subscribers, every second by JSON, 64 in flight";
    let mixed = Plan { json_every: 2, ..plan };
    row("encodings", title, &[Server::Tidewire], (mixed, SATURATED))
        .beside("tidewire, no JSON", plan, SATURATED)
        .in_full()
}

fn many_publishers() -> Row {
    let plan = Plan { publishers: 100, ..Plan::one_topic(1_000) };
    let servers = [Server::Tidewire, Server::Bun];
    row("publishers", "1 topic, 100 publishers, 1,000 subscribers, 64 in flight", &servers, (plan, SATURATED))
        .in_full()
}

fn known_topics() -> Row {
    let plan = Plan { topics: 100_000, publishers: 100, ..Plan::one_topic(0) };
    row("known-topics", "memory per known topic, 100,000 with one message each", &[Server::Tidewire], {
        (plan, Scenario::Topics)
    })
    .of(Metric::Bytes)
    .bound(Metric::Bytes, 1_024.0)
    .in_full()
}

/// Growth with the audience, for a chart.
fn by_subscribers(subscribers: usize) -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::Floor];
    let title = format!("1 topic, {subscribers} subscribers, 128 B, 64 in flight");
    row("by-subscribers", title, &servers, (Plan::one_topic(subscribers), SATURATED)).in_full()
}

/// Growth with the topics at one rate, for a chart.
fn by_topics(topics: usize) -> Row {
    let plan = Plan { topics, publishers: topics.div_ceil(1_000), ..Plan::one_topic(topics) };
    let servers = [Server::Tidewire, Server::Bun, Server::Floor];
    let title = format!("{topics} topics, one subscriber each, 128 B, 10,000 messages/s");
    row("by-topics", title, &servers, (plan, rate(10_000.0))).in_full()
}

/// Growth with the payload, for a chart.
fn by_payload(payload_bytes: usize) -> Row {
    let plan = Plan { payload_bytes, ..Plan::one_topic(100) };
    let servers = [Server::Tidewire, Server::Bun, Server::Floor];
    let title = format!("1 topic, 100 subscribers, {payload_bytes} B, 64 in flight");
    row("by-payload", title, &servers, (plan, SATURATED)).in_full()
}

/// A row in which every server does the same.
fn row(name: &'static str, title: impl Into<String>, servers: &[Server], what: (Plan, Scenario)) -> Row {
    let (plan, scenario) = what;
    let contestant =
        |server: &Server| Contestant { label: server.name().to_owned(), server: *server, plan, scenario };
    Row {
        name,
        title: title.into(),
        contestants: servers.iter().map(contestant).collect(),
        metric: Metric::Cpu,
        goals: Vec::new(),
        full_only: false,
    }
}

impl Row {
    fn beside(mut self, label: &str, plan: Plan, scenario: Scenario) -> Self {
        self.contestants.push(Contestant {
            label: label.to_owned(),
            server: Server::Tidewire,
            plan,
            scenario,
        });
        self
    }

    const fn of(mut self, metric: Metric) -> Self {
        self.metric = metric;
        self
    }

    fn goal(self, at_most: f64, of: &'static str) -> Self {
        self.goal_of(Metric::Cpu, at_most, of)
    }

    fn goal_of(mut self, metric: Metric, at_most: f64, of: &'static str) -> Self {
        self.goals.push(Goal { metric, at_most, of: Some(of) });
        self
    }

    fn bound(mut self, metric: Metric, at_most: f64) -> Self {
        self.goals.push(Goal { metric, at_most, of: None });
        self
    }

    const fn in_full(mut self) -> Self {
        self.full_only = true;
        self
    }
}
