//! How a delivery's cost grows with the audience, the topics and the payload: one point of a chart each.

use crate::load::Plan;
use crate::row::{Row, SATURATED, rate, row};
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    let mut rows: Vec<Row> = [1, 10, 100, 1_000, 10_000].map(by_subscribers).into();
    rows.extend([1, 10, 100, 1_000, 10_000].map(by_topics));
    rows.extend([64, 256, 1 << 10, 4 << 10, 16 << 10, 64 << 10].map(by_payload));
    rows
}

fn by_subscribers(subscribers: usize) -> Row {
    let servers = [Server::Tidewire, Server::FloorBlocks, Server::Bun, Server::Floor];
    let title = format!("1 topic, {subscribers} subscribers, 128 B, 64 in flight");
    row("by-subscribers", title, &servers, (Plan::one_topic(subscribers), SATURATED)).in_full()
}

fn by_topics(topics: usize) -> Row {
    let plan = Plan { topics, publishers: topics.div_ceil(1_000), ..Plan::one_topic(topics) };
    let servers = [Server::Tidewire, Server::Bun, Server::Floor];
    let title = format!("{topics} topics, one subscriber each, 128 B, 10,000 messages/s");
    row("by-topics", title, &servers, (plan, rate(10_000.0))).in_full()
}

fn by_payload(payload_bytes: usize) -> Row {
    let plan = Plan { payload_bytes, ..Plan::one_topic(100) };
    let servers = [Server::Tidewire, Server::FloorBlocks, Server::Bun, Server::Floor];
    let title = format!("1 topic, 100 subscribers, {payload_bytes} B, 64 in flight");
    row("by-payload", title, &servers, (plan, SATURATED)).in_full()
}
