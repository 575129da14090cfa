//! As fast as the server goes: what a delivery costs where many can go in one write.

use crate::dialect::Dialect;
use crate::goal::Metric;
use crate::load::{Asks, Plan};
use crate::row::{Contestant, Row, SATURATED, row};
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![
        hundred(),
        thousand(),
        ten_thousand(),
        tls(),
        payload_64k(),
        patterns(),
        encodings(),
        events(),
        publishers(),
    ]
}

fn hundred() -> Row {
    let servers = [Server::Tidewire, Server::FloorBlocks, Server::Floor, Server::Bun];
    row("saturated-100", "1 topic, 100 subscribers, 128 B, 64 in flight", &servers, {
        (Plan::one_topic(100), SATURATED)
    })
    .reach(Metric::Cpu.at_most(1.15).times("floor-blocks"))
}

fn thousand() -> Row {
    row("saturated-1000", "1 topic, 1,000 subscribers, 128 B, 64 in flight", &Server::ALL, {
        (Plan::one_topic(1_000), SATURATED)
    })
    .reach(Metric::Cpu.at_most(1.15).times("floor-blocks"))
    .reach(Metric::Cpu.at_most(0.4).times("bun"))
    .reach(Metric::Cpu.at_most(0.25).times("centrifuge-tuned"))
    .reach(Metric::Cpu.at_most(0.2).times("nats"))
    .reach(Metric::Cpu.at_most(0.05).times("usual"))
}

fn ten_thousand() -> Row {
    let servers = [Server::Tidewire, Server::FloorBlocks, Server::Bun, Server::Centrifuge, Server::Nats];
    row("saturated-10000", "1 topic, 10,000 subscribers, 128 B, 64 in flight", &servers, {
        (Plan::one_topic(10_000), SATURATED)
    })
    .beside("tidewire, 1,000", Plan::one_topic(1_000), SATURATED)
    .reach(Metric::Cpu.at_most(1.15).times("floor-blocks"))
    .reach(Metric::Cpu.at_most(0.6).times("bun"))
    .reach(Metric::Cpu.at_most(2.0).times("tidewire, 1,000"))
    .reach(Metric::Cpu.at_most(1.0 / 40.0).times("centrifuge"))
    .reach(Metric::Cpu.at_most(1.0 / 40.0).times("nats"))
}

fn tls() -> Row {
    let servers = [Server::TidewireTls, Server::BunTls, Server::Tidewire];
    row("saturated-tls", "1 topic, 1,000 subscribers by TLS, 128 B, 64 in flight", &servers, {
        (Plan::one_topic(1_000), SATURATED)
    })
}

fn payload_64k() -> Row {
    let plan = Plan { payload_bytes: 64 << 10, ..Plan::one_topic(100) };
    let servers = [Server::Tidewire, Server::FloorBlocks, Server::Floor, Server::Bun];
    row("payload-64k", "1 topic, 100 subscribers, 64 KiB, 64 in flight", &servers, (plan, SATURATED))
        .reach(Metric::Cpu.at_most(1.05).times("bun"))
}

fn patterns() -> Row {
    let plan = Plan { topics: 1_000, asks: Asks::EveryTopic, ..Plan::one_topic(100) };
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

/// The same blocks in other words, beside a server that writes each message once for each.
fn events() -> Row {
    let (plan, scenario) = (Plan::one_topic(1_000), SATURATED);
    let title = "1 topic, 1,000 subscribers by Server-Sent Events, 128 B, 64 in flight";
    let (server, dialect) = (Server::Usual, Dialect::PlainEvents);
    row("events", title, &[Server::Tidewire], (plan, scenario))
        .speaking(Dialect::TidewireEvents)
        .beside("tidewire, WebSocket", plan, scenario)
        .and(Contestant { label: "usual, events".to_owned(), server, dialect, plan, scenario })
        .reach(Metric::Cpu.at_most(1.3).times("tidewire, WebSocket"))
        .reach(Metric::Cpu.at_most(0.25).times("usual, events"))
}

fn publishers() -> Row {
    let plan = Plan { publishers: 100, ..Plan::one_topic(1_000) };
    let servers = [Server::Tidewire, Server::Bun];
    row("publishers", "1 topic, 100 publishers, 1,000 subscribers, 64 in flight", &servers, (plan, SATURATED))
        .in_full()
}
