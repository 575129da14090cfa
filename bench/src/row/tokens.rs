//! What tokens cost: those who come with one.

use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![sign_in()]
}

/// 200 us each are 5,000 a second on one core.
fn sign_in() -> Row {
    let plan = Plan::one_topic(10_000);
    let title = "10,000 clients connect at once and sign in by a token each (ES256)";
    row("sign-in", title, &[Server::TidewireKeyed], {
        (Plan { token_seconds: 3_600, ..plan }, Scenario::Connect)
    })
    .beside("tidewire-keyed, no tokens", plan, Scenario::Connect)
    .reach(Metric::Cpu.at_most(200.0))
}
