//! Publishing by HTTP, beside the simplest program that does it.

use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    [("http-publish-1", 1), ("http-publish-64", 64)]
        .map(|(name, connections)| publish(name, connections))
        .into()
}

fn publish(name: &'static str, connections: usize) -> Row {
    let plan = Plan { publishers: connections, ..Plan::one_topic(0) };
    let kept =
        if connections == 1 { "1 connection".to_owned() } else { format!("{connections} connections") };
    let title = format!("publish by HTTP, {kept} kept alive, 128 B, no subscribers");
    row(name, title, &[Server::Tidewire, Server::Bun], (plan, Scenario::Ask { seconds: 4.0 }))
        .of(Metric::Publishes)
        .reach(Metric::Publishes.at_least(1.0).times("bun"))
}
