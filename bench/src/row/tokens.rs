//! What tokens cost: those who come with one, those who bring the next one, and everybody while forged ones are brought.

use crate::goal::Metric;
use crate::load::Plan;
use crate::row::{Row, row};
use crate::scenario::Scenario;
use crate::server::Server;

pub(super) fn rows() -> Vec<Row> {
    vec![sign_in(), renewals(), bad_tokens()]
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

/// Our clients bring the next token between three quarters and seven eighths of what the last one is good for: here
/// that is 2,000 a second.
fn renewals() -> Row {
    let plan = Plan { token_seconds: 40, ..Plan::one_topic(10_000) };
    let title = "10,000 subscribers whose tokens end together bring the next ones within 5 s before";
    let resting = Plan { token_seconds: 3_600, ..plan };
    row("renewals", title, &[Server::TidewireKeyed], (plan, Scenario::Renew))
        .beside("tidewire-keyed, none do", resting, Scenario::Rest { seconds: 5.0 })
        .of(Metric::AckP99)
        .reach(Metric::AckP99.at_most(20_000.0))
        .reach(Metric::Lost.at_most(0.0))
        .in_full()
}

fn bad_tokens() -> Row {
    let (plan, scenario) = (Plan::one_topic(0), Scenario::Rest { seconds: 5.0 });
    let title =
        "64 clients bring forged tokens (ES256) as fast as they are refused, and come again when cut off";
    row("bad-tokens", title, &[Server::TidewireKeyed], (Plan { intruders: 64, ..plan }, scenario))
        .beside("tidewire-keyed, none", plan, scenario)
        .of(Metric::AckP99)
        .reach(Metric::AckP99.at_most(50_000.0))
}
