//! Everybody at once, the first time and again.

use crate::dialect::Dialect;
use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Contestant, Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![connect(), storm()]
}

fn connect() -> Row {
    let servers = [Server::Tidewire, Server::Bun, Server::CentrifugeTuned, Server::Nats, Server::SocketIo];
    let title = "10,000 clients connect and subscribe at once";
    row("connect", title, &servers, (Plan::one_topic(10_000), Scenario::Connect))
        .and(stepwise(Scenario::Connect))
        .of(Metric::Joins)
        .reach(Metric::Joins.at_least(0.8).times("bun"))
        .in_full()
}

fn storm() -> Row {
    let servers = [Server::Tidewire, Server::Bun];
    let title = "10,000 clients return at once; Tidewire's resume 100 messages each";
    row("storm", title, &servers, (Plan::one_topic(10_000), Scenario::Storm))
        .and(stepwise(Scenario::Storm))
        .of(Metric::Joins)
        .reach(Metric::Joins.at_least(0.8).times("bun"))
        .reach(Metric::Lost.at_most(0.0))
}

/// Clients that wait for `welcome` before they subscribe.
fn stepwise(scenario: Scenario) -> Contestant {
    Contestant {
        label: "tidewire, stepwise".to_owned(),
        server: Server::Tidewire,
        dialect: Dialect::TidewireStepwise,
        plan: Plan::one_topic(10_000),
        scenario,
    }
}
