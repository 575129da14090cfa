//! Subscribers of very many topics by one pattern: what they cost, and what others notice of them.

use crate::goal::Metric;
use crate::load::{Asks, Plan};
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![join(), come_back(), catch_up()]
}

fn join() -> Row {
    let title = "400 subscribers join a pattern over 50,000 topics, 100 a second";
    joining("pattern-join", title, Scenario::JoinPattern { per_second: 100.0, again: false })
}

fn come_back() -> Row {
    let title = "400 subscribers return to a pattern over 50,000 topics, 100 a second, 100 messages missed";
    joining("pattern-return", title, Scenario::JoinPattern { per_second: 100.0, again: true })
        .reach(Metric::Lost.at_most(0.0))
}

/// Beside the same over one topic, in which all that differs is how many topics the pattern matches.
fn joining(name: &'static str, title: &str, scenario: Scenario) -> Row {
    let plan = Plan { topics: 50_000, publishers: 50, asks: Asks::EveryTopic, ..Plan::one_topic(400) };
    let one = Plan { topics: 1, publishers: 1, ..plan };
    row(name, title, &[Server::Tidewire], (plan, scenario))
        .beside("tidewire, 1 topic", one, scenario)
        .of(Metric::AckP99)
        .reach(Metric::Cpu.at_most(1_000.0))
        .reach(Metric::AckP99.at_most(5_000.0))
        .reach(Metric::AckP90.at_most(2.0).times("tidewire, 1 topic"))
        .in_full()
}

/// 5,000 topics of 54 messages of 1 KiB: 276 MB.
fn catch_up() -> Row {
    let plan = Plan {
        topics: 5_000,
        publishers: 5,
        payload_bytes: 1 << 10,
        asks: Asks::EverythingKept,
        ..Plan::one_topic(1)
    };
    let title = "one subscriber reads all of a pattern over 5,000 topics, 276 MB, from the first message on";
    row("pattern-catch-up", title, &[Server::Tidewire], (plan, Scenario::CatchUp { messages_each: 54 }))
        .of(Metric::AckP99)
        .reach(Metric::Megabytes.at_least(200.0))
        .reach(Metric::AckP99.at_most(5_000.0))
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}
