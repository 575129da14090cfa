//! Topics that are stored before they are answered: what that costs, and what comes back of it.

use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, SATURATED, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![append_1(), append_64(), append_1000(), append_topics(), fan_out()]
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

/// Once it is stored a message goes the same way as one in memory.
fn fan_out() -> Row {
    let title = "1 durable topic, 1,000 subscribers, 128 B, 64 in flight, and the same in memory";
    let servers = [Server::TidewireDurable, Server::Tidewire];
    row("durable-fan-out", title, &servers, (Plan::one_topic(1_000), SATURATED))
        .reach(Metric::Cpu.at_most(1.2).times("tidewire"))
}
