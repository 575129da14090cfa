//! Tokens that end: the next one goes out on the same link, in time, or is asked for before there is another.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::Options;
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Failed, HubFrame, SignedIn, Welcome};
use tidewire_protocol::number::Request;

use crate::rig::{Rig, WELCOME};

const HOUR: u64 = 3_600_000;

/// A hub whose heartbeats do not disturb, and which takes tokens.
fn welcome(expires_ms: u64) -> Welcome<'static> {
    Welcome { expires_ms, features: feature::SIGN_IN, heartbeat_ms: 100 * HOUR, ..WELCOME }
}

/// Online with a token that lasts for an hour.
fn online() -> Rig {
    let mut rig = Rig::new(Options { asks_tokens: true, seed: 7, ..Options::default() });
    rig.client.connect(rig.now);
    rig.drain();
    rig.client.set_token(rig.now, "first");
    rig.drain();
    rig.sign_in_with(welcome(HOUR));
    rig.forget();
    rig
}

#[test]
fn the_next_token_goes_out_on_the_same_link_before_the_last_one_ends() {
    let mut rig = online();
    for (request, token) in [(1, "second"), (2, "third")] {
        let waited = rig.wait();
        assert!((HOUR / 4 * 3..HOUR / 8 * 7).contains(&waited), "{waited}");
        rig.expect_asked(&["token Expires"]);
        rig.expect_sent(&[]);
        rig.client.set_token(rig.now, token);
        rig.drain();
        rig.expect_sent(&[&format!("sign_in {request} {token}")]);
        let request = Request(request);
        rig.say(HubFrame::SignedIn(SignedIn { request, expires_ms: HOUR, ..SignedIn::default() }));
    }
    assert_eq!(rig.events, Vec::<String>::new(), "nobody notices");
}

#[test]
fn a_token_that_cannot_be_had_before_the_last_one_ends_is_asked_for_again() {
    let mut rig = online();
    rig.wait();
    for _ in 0..3 {
        rig.expect_asked(&["token Expires"]);
        rig.client.token_failed(rig.now, false);
        rig.drain();
        assert_eq!(rig.wait(), 5_000);
    }
    rig.expect_asked(&["token Expires"]);
    rig.client.token_failed(rig.now, true);
    rig.drain();
    assert_eq!(rig.events, Vec::<String>::new(), "it lasts yet");
}

#[test]
fn a_token_that_the_hub_does_not_take_leaves_the_link_as_it_is() {
    let mut rig = online();
    rig.wait();
    rig.client.set_token(rig.now, "bad");
    rig.drain();
    rig.forget();
    let failed = Failed { request: Request(1), code: Code::BadToken, ..Failed::default() };
    rig.say(HubFrame::Failed(failed));
    rig.expect_asked(&[]);
    rig.publish("t");
    rig.drain();
    rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1"]);
    rig.input(Input::LinkClosed { code: 4004 });
    rig.expect_asked(&["token Refused"]);
}

#[test]
fn a_link_that_comes_after_the_end_of_the_token_begins_with_another() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.now += HOUR;
    rig.input(Input::Online);
    rig.expect_asked(&["token SignIn"]);
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.input(Input::Online);
    rig.expect_asked(&["open"]);
}

#[test]
fn only_who_can_be_asked_is_and_only_where_a_hub_goes_on_with_it() {
    let unasked = Options { seed: 7, ..Options::default() };
    let asked = Options { asks_tokens: true, ..unasked.clone() };
    let without = Welcome { features: 0, ..welcome(HOUR) };
    for (options, welcome) in [(asked.clone(), without), (asked, welcome(0)), (unasked, welcome(HOUR))] {
        let is_asked = options.asks_tokens;
        let mut rig = Rig::new(options);
        rig.client.set_token(rig.now, "first");
        rig.client.connect(rig.now);
        rig.drain();
        let takes = welcome.features > 0;
        rig.sign_in_with(welcome);
        rig.forget();
        if !is_asked {
            rig.client.token_failed(rig.now, false);
            rig.drain();
        }
        assert!(rig.client.deadline().unwrap() > rig.now + 2 * HOUR);
        rig.client.set_token(rig.now, "unasked");
        rig.drain();
        rig.expect_sent(if takes { &["sign_in 1 unasked"] } else { &[] });
    }
}
