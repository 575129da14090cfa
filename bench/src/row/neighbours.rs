//! What one client notices of others: of a large audience, of readers who rest, of a publisher with many topics.

use crate::goal::Metric;
use crate::load::{Pacing, Plan};
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![acks(), stalled(), slow(), stalled_100(), spread()]
}

fn acks() -> Row {
    let scenario = Scenario::FanOut { pacing: Pacing::Random(15.0), seconds: 10.0 };
    let title = "publish acks under 10,000 subscribers, 15 messages/s at random instants";
    row("acks", title, &[Server::Tidewire], (Plan::one_topic(10_000), scenario))
        .beside("tidewire, 1", Plan::one_topic(1), scenario)
        .of(Metric::AckP99)
        .reach(Metric::AckP99.at_most(5_000.0))
        .reach(Metric::AckP90.at_most(2.0).times("tidewire, 1"))
}

fn stalled() -> Row {
    let plan = Plan { stalled: 1, ..CALM };
    row("stalled", "1 of 1,000 subscribers reads nothing, 4 KiB, 40 messages/s", &[Server::Tidewire], {
        (plan, UNHURRIED)
    })
    .beside("tidewire, none stalled", CALM, UNHURRIED)
    .of(Metric::P99)
    .reach(Metric::P99.at_most(1.1).times("tidewire, none stalled"))
    .reach(Metric::Growth.at_most(1.0).times("tidewire, none stalled"))
}

fn slow() -> Row {
    let plan = Plan { slow: 50, ..CALM };
    row("slow", "50 of 1,000 subscribers read an eighth of 40 messages/s of 4 KiB", &[Server::Tidewire], {
        (plan, UNHURRIED)
    })
    .beside("tidewire, none slow", CALM, UNHURRIED)
    .of(Metric::P99)
    .reach(Metric::P99.at_most(1.1).times("tidewire, none slow"))
    .reach(Metric::Cpu.at_most(1.1).times("tidewire, none slow"))
    .reach(Metric::Growth.at_most(1.1).times("tidewire, none slow"))
}

/// Without a goal: it shows what the kernel holds for each of them.
fn stalled_100() -> Row {
    let plan = Plan { stalled: 100, ..CALM };
    let servers = [Server::Tidewire, Server::Bun];
    row("stalled-100", "100 of 1,000 subscribers read nothing, 4 KiB, 40 messages/s", &servers, {
        (plan, UNHURRIED)
    })
    .of(Metric::Kernel)
    .in_full()
}

fn spread() -> Row {
    let scenario = Scenario::Publish { unanswered: 1_000, seconds: 4.0 };
    let title = "one publisher over 100,000 topics in turn, 128 B, 1,000 unacknowledged";
    let plan = Plan { topics: 100_000, ..Plan::one_topic(0) };
    row("spread", title, &[Server::TidewireRoomy], (plan, scenario))
        .beside("tidewire, 100", Plan { topics: 100, ..plan }, scenario)
        .of(Metric::Publishes)
        .reach(Metric::Publishes.at_least(0.7).times("tidewire, 100"))
        // Where the generator is what holds the rate, the hub's own time still shows.
        .reach(Metric::Cpu.at_most(1.0 / 0.7).times("tidewire, 100"))
        .in_full()
}

const CALM: Plan = Plan { payload_bytes: 4 << 10, ..Plan::one_topic(1_000) };
const UNHURRIED: Scenario = Scenario::FanOut { pacing: Pacing::Rate(40.0), seconds: 6.0 };
