//! What the server's own memory is for.

use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![idle(), idle_tls(), idle_topics(), known_topics(), windows()]
}

fn idle() -> Row {
    let servers = [
        Server::Tidewire,
        Server::Bun,
        Server::Centrifuge,
        Server::CentrifugeTuned,
        Server::Nats,
        Server::SocketIo,
    ];
    row("idle", "memory per idle connection, all on one topic (1,000 to 15,000)", &servers, {
        (Plan::one_topic(15_000), Scenario::Idle)
    })
    .of(Metric::Bytes)
    .reach(Metric::Bytes.at_most(2_048.0))
}

fn idle_tls() -> Row {
    let servers = [Server::TidewireTls, Server::BunTls];
    row("idle-tls", "memory per idle connection by TLS, all on one topic (1,000 to 5,000)", &servers, {
        (Plan::one_topic(5_000), Scenario::Idle)
    })
    .of(Metric::Bytes)
    .reach(Metric::Bytes.at_most(12_288.0))
}

fn idle_topics() -> Row {
    let plan = Plan { topics: 15_000, publishers: 15, ..Plan::one_topic(15_000) };
    let title = "memory per idle connection and its own topic with one message (1,000 to 15,000)";
    row("idle-topics", title, &[Server::Tidewire, Server::Bun], (plan, Scenario::Idle))
        .of(Metric::Bytes)
        .reach(Metric::Bytes.at_most(3_072.0))
}

fn known_topics() -> Row {
    row("known-topics", "memory per known topic, 100,000 with one message each", &[Server::Tidewire], {
        (many_topics(), Scenario::Topics)
    })
    .of(Metric::Bytes)
    .reach(Metric::Bytes.at_most(1_024.0))
    .in_full()
}

fn windows() -> Row {
    let title = "memory per window (one publisher's place in one topic), 100,000 idle ones";
    row("windows", title, &[Server::Tidewire], (many_topics(), Scenario::Windows))
        .of(Metric::Bytes)
        .reach(Metric::Bytes.at_most(100.0))
        .in_full()
}

const fn many_topics() -> Plan {
    Plan { topics: 100_000, publishers: 100, ..Plan::one_topic(0) }
}
