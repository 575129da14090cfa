//! At a rate that every server can keep: what a delivery costs where it goes alone.

use crate::dialect::Dialect;
use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, rate, row};
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    let mut rows = vec![low_rate(), topics_10000()];
    rows.extend([("topics-1", 1), ("topics-100", 100)].map(|(name, topics)| answered(name, topics)));
    let sent = [("sends-1", 1), ("sends-100", 100), ("sends-10000", 10_000)];
    rows.extend(sent.map(|(name, topics)| by_send(name, topics)));
    rows
}

fn low_rate() -> Row {
    row("low-rate", "1 topic, 1,000 subscribers, 128 B, 80 messages/s: nothing to batch", &Server::ALL, {
        (Plan::one_topic(1_000), rate(80.0))
    })
    .reach(Metric::Cpu.at_most(1.0).times("floor"))
}

fn topics_10000() -> Row {
    let servers = [
        Server::Tidewire,
        Server::TidewireAllCores,
        Server::Bun,
        Server::BunAnswers,
        Server::Floor,
        Server::Nats,
    ];
    row("topics-10000", title(10_000, "acknowledged"), &servers, (plan(10_000), rate(10_000.0)))
        .reach(Metric::Cpu.at_most(1.0).times("bun-answers"))
        .reach(Metric::P99.at_most(1.5).times("bun"))
        .reach(Metric::Lost.at_most(0.0))
}

/// A publish that is acknowledged, beside a server that answers each publish.
fn answered(name: &'static str, topics: usize) -> Row {
    let servers = [Server::Tidewire, Server::BunAnswers, Server::Floor];
    row(name, title(topics, "acknowledged"), &servers, (plan(topics), rate(10_000.0)))
        .reach(Metric::Cpu.at_most(1.0).times("bun-answers"))
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}

/// A message that nobody answers, beside a server that answers nothing.
fn by_send(name: &'static str, topics: usize) -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::Floor];
    let row = row(name, title(topics, "by `send`"), &servers, (plan(topics), rate(10_000.0)))
        .speaking(Dialect::TidewireSend)
        .reach(Metric::Cpu.at_most(1.0).times("bun"))
        .reach(Metric::P99.at_most(1.5).times("bun"))
        .reach(Metric::Lost.at_most(0.0));
    if topics < 10_000 { row.in_full() } else { row }
}

fn plan(topics: usize) -> Plan {
    Plan { topics, publishers: topics.div_ceil(1_000), ..Plan::one_topic(topics) }
}

fn title(topics: usize, how: &str) -> String {
    let topics = if topics == 1 { "1 topic".to_owned() } else { format!("{topics} topics") };
    format!("{topics}, one subscriber each, 128 B, 10,000 messages/s {how}")
}
