//! Topics that are stored before they are answered: what that costs, and what comes back of it.

use crate::goal::Metric;
use crate::load::{Asks, Plan};
use crate::row::{Row, SATURATED, row};
use crate::scenario::Scenario;
use crate::server::{NEWEST, Server};

pub(super) fn rows() -> Vec<Row> {
    vec![
        append_1(),
        append_64(),
        append_1000(),
        append_topics(),
        append_keys(),
        append_steady(),
        fan_out(),
        replay_1(),
        replay_100(),
        reopen(),
        disk_window(),
        known_topics(),
    ]
}

fn append_1() -> Row {
    append("append-1", 1)
}

/// What gathers during one sync goes into the next, so that many share one.
fn append_64() -> Row {
    append("append-64", 64)
        .reach(Metric::Publishes.at_least(20.0).times("jetstream-synced"))
        .reach(Metric::Publishes.at_least(2.0).times("jetstream"))
        .reach(Metric::Publishes.at_least(0.4).times("floor-append"))
}

fn append_1000() -> Row {
    append("append-1000", 1_000)
}

fn append(name: &'static str, unanswered: u64) -> Row {
    let servers = [Server::TidewireDurable, Server::JetStreamSynced, Server::JetStream, Server::FloorAppend];
    let title = format!("publish to 1 durable topic, 256 B, {unanswered} unacknowledged");
    let plan = Plan { payload_bytes: 256, ..Plan::one_topic(0) };
    row(name, title, &servers, (plan, Scenario::Publish { unanswered, seconds: 4.0 })).of(Metric::Publishes)
}

fn append_topics() -> Row {
    let servers = [Server::TidewireDurableRoomy, Server::JetStream];
    let title = "publish to 10,000 durable topics in turn, 256 B, 1,000 unacknowledged";
    let plan = Plan { payload_bytes: 256, topics: 10_000, publishers: 10, ..Plan::one_topic(0) };
    row("append-topics", title, &servers, (plan, Scenario::Publish { unanswered: 1_000, seconds: 4.0 }))
        .of(Metric::Publishes)
        .reach(Metric::Publishes.at_least(3.0).times("jetstream"))
}

/// A key-value store: of each key the latest message is kept.
fn append_keys() -> Row {
    let servers = [Server::TidewireDurableLatest, Server::JetStreamSynced, Server::JetStream];
    let title = "set 10,000 keys of 1 durable topic in turn, 256 B, 64 unacknowledged";
    let plan = Plan { payload_bytes: 256, keys: 10_000, ..Plan::one_topic(0) };
    row("append-keys", title, &servers, (plan, Scenario::Publish { unanswered: 64, seconds: 4.0 }))
        .of(Metric::Publishes)
}

/// What a publisher waits for while segments are begun, merged and deleted.
fn append_steady() -> Row {
    let title =
        "ten minutes of publishes to 1 durable topic, 256 B, at half of the rate with 64 unacknowledged";
    let plan = Plan { payload_bytes: 256, ..Plan::one_topic(0) };
    row(
        "append-steady",
        title,
        &[Server::TidewireDurable],
        (plan, Scenario::Steady { unanswered: 64, seconds: 600.0 }),
    )
    .of(Metric::AckMax)
    .reach(Metric::AckP99.at_most(10_000.0))
    .reach(Metric::AckMax.at_most(100_000.0))
    .in_full()
}

/// Once it is stored a message goes the same way as one in memory.
fn fan_out() -> Row {
    let title = "1 durable topic, 1,000 subscribers, 128 B, 64 in flight, and the same in memory";
    let servers = [Server::TidewireDurable, Server::Tidewire];
    row("durable-fan-out", title, &servers, (Plan::one_topic(1_000), SATURATED))
        .reach(Metric::Cpu.at_most(1.2).times("tidewire"))
}

fn replay_1() -> Row {
    let servers = [Server::TidewireDurableRoomy, Server::JetStream];
    let title = "1 subscriber reads a durable topic from the beginning, 1,000,000 messages of 128 B";
    row("replay-1", title, &servers, replay(1))
        .of(Metric::Deliveries)
        .reach(Metric::Deliveries.at_least(3.0).times("jetstream"))
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}

fn replay_100() -> Row {
    let title = "100 subscribers read a durable topic from the beginning, 1,000,000 messages of 128 B";
    row("replay-100", title, &[Server::TidewireDurableRoomy], replay(100))
        .of(Metric::Deliveries)
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}

const fn replay(subscribers: usize) -> (Plan, Scenario) {
    let plan = Plan { asks: Asks::AllOfTopic, ..Plan::one_topic(subscribers) };
    (plan, Scenario::Replay { messages: 1_000_000 })
}

fn reopen() -> Row {
    let plan = Plan { topics: 100_000, publishers: 100, ..Plan::one_topic(0) };
    let title = "kill -9 and start over 1,000,000 messages of 128 B in 100,000 durable topics";
    let scenario = Scenario::Reopen { messages: 1_000_000 };
    row("reopen", title, &[Server::TidewireDurableRoomy], (plan, scenario))
        .of(Metric::Start)
        .reach(Metric::Start.at_most(1.0))
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}

/// 127 MB of payloads are kept, of 508.
fn disk_window() -> Row {
    let plan = Plan { payload_bytes: 254, ..Plan::one_topic(0) };
    let title = "disk of a durable topic that keeps the newest 500,000 of 2,000,000 messages of 254 B";
    let scenario = Scenario::DiskWindow { messages: 2_000_000, kept: NEWEST };
    row("disk-window", title, &[Server::TidewireDurableWindow], (plan, scenario))
        .of(Metric::DiskAtRest)
        .reach(Metric::DiskAtRest.at_most(1.5))
        .reach(Metric::DiskAtPeak.at_most(2.5))
        .in_full()
}

fn known_topics() -> Row {
    let plan = Plan { topics: 100_000, publishers: 100, ..Plan::one_topic(0) };
    let title = "memory per known durable topic, 100,000 with one message each, and per one in memory";
    let servers = [Server::TidewireDurable, Server::Tidewire];
    row("known-durable-topics", title, &servers, (plan, Scenario::Topics)).of(Metric::Bytes).in_full()
}
