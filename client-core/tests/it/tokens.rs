//! Tokens that end: the next one goes out on the same link, in time, or is asked for before there is another.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::{Options, PartyId};
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Failed, Goodbye, HubFrame, SignedIn, Welcome};
use tidewire_protocol::number::Request;

use crate::rig::{Rig, WELCOME, refused};

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
    assert_eq!(rig.events, Vec::<String>::new(), "it lasts yet");
}

#[test]
fn where_there_will_be_no_token_everything_ends_at_once() {
    for moment in ["online", "connecting", "waiting", "suspended"] {
        let mut rig = online();
        rig.wait();
        match moment {
            "online" => {}
            "suspended" => rig.input(Input::Suspend),
            _ => rig.input(Input::LinkClosed { code: 1006 }),
        }
        if moment == "connecting" {
            rig.input(Input::Online);
        }
        rig.client.token_failed(rig.now, true);
        rig.drain();
        let ended = "Closed { fault: Some(Client(TokenRefused)) }";
        assert_eq!(rig.events.last().map(String::as_str), Some(ended), "{moment}");
        assert_eq!(rig.client.deadline(), None, "{moment}");
    }
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
    let id = rig.publish("t");
    rig.drain();
    rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1"]);
    rig.client.cancel(rig.now, PartyId::default(), id);
    rig.say(refused(1, 1, 1, Code::Forbidden, true));
    // Meanwhile there may be a better one.
    assert_eq!(rig.wait(), 5_000);
    rig.expect_asked(&["token Refused"]);
    rig.client.token_failed(rig.now, false);
    rig.input(Input::LinkClosed { code: 4004 });
    assert!(rig.wait() < 1_000);
    rig.expect_asked(&["token Refused"]);
}

#[test]
fn a_token_that_the_hub_has_no_room_for_now_is_brought_again() {
    let mut rig = online();
    rig.wait();
    rig.client.set_token(rig.now, "second");
    rig.drain();
    rig.forget();
    for (request, after) in [(1, 1_000), (2, 1_700), (3, 1_000)] {
        let failed = Failed {
            request: Request(request),
            code: Code::Overloaded,
            retryable: true,
            ..Failed::default()
        };
        let retry_after_ms = if after > 1_000 { after } else { 0 };
        rig.say(HubFrame::Failed(Failed { retry_after_ms, ..failed }));
        assert_eq!(rig.wait(), after);
        rig.expect_sent(&[&format!("sign_in {} second", request + 1)]);
    }
    let request = Request(4);
    rig.say(HubFrame::SignedIn(SignedIn { request, expires_ms: HOUR, ..SignedIn::default() }));
    assert!(rig.wait() >= HOUR / 4 * 3);
    rig.expect_asked(&["token Expires"]);
    rig.expect_events(&[]);
}

/// Lets time go by until the application is asked; how often in a minute, where `answer` follows each time.
fn asks_in_a_minute(rig: &mut Rig, mut answer: impl FnMut(&mut Rig, usize)) -> usize {
    let (end, mut asks) = (rig.now + 60_000, 0);
    while rig.now < end && asks < 1_000 {
        rig.wait();
        if rig.asked.drain(..).any(|asked| asked.starts_with("token")) {
            asks += 1;
            answer(rig, asks);
        }
    }
    asks
}

#[test]
fn an_application_whose_tokens_end_at_once_is_not_asked_all_the_time() {
    let mut request = Request(0);
    let mut on_the_link = |rig: &mut Rig, _| {
        request.0 += 1;
        rig.client.set_token(rig.now, &format!("short {request}"));
        rig.drain();
        rig.say(HubFrame::SignedIn(SignedIn { request, expires_ms: 1, ..SignedIn::default() }));
    };
    let mut rig = online();
    assert_eq!(asks_in_a_minute(&mut rig, &mut on_the_link), 1, "the one that comes in time");
    assert_eq!(asks_in_a_minute(&mut rig, &mut on_the_link), 12, "each five seconds");

    let on_each_link = |rig: &mut Rig, ask: usize| {
        rig.client.set_token(rig.now, &format!("short {ask}"));
        rig.drain();
        rig.sign_in_with(welcome(1));
        rig.input(Input::LinkClosed { code: 4004 });
    };
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 4004 });
    let asks = asks_in_a_minute(&mut rig, on_each_link);
    assert!((3..12).contains(&asks), "{asks}");
}

#[test]
fn the_same_token_once_more_counts_as_none() {
    let mut rig = online();
    let asks = asks_in_a_minute(&mut rig, |rig, _| {
        rig.client.set_token(rig.now, "first");
        rig.drain();
    });
    assert_eq!(asks, 1, "the one that comes in time");
    let asks = asks_in_a_minute(&mut rig, |rig, _| {
        rig.client.set_token(rig.now, "first");
        rig.drain();
    });
    assert_eq!(asks, 12, "each five seconds");
    rig.expect_sent(&[]);
    rig.expect_events(&[]);
}

#[test]
fn a_token_that_the_hub_has_not_judged_yet_is_tried_before_all_ends() {
    let unasked = || {
        let mut rig = Rig::new(Options { seed: 7, ..Options::default() });
        rig.client.set_token(rig.now, "old");
        rig.client.connect(rig.now);
        rig.drain();
        rig
    };
    for moment in ["signing in", "online", "refused for now", "newer", "leaving"] {
        let mut rig = unasked();
        if moment == "signing in" {
            rig.input(Input::LinkOpened);
        } else {
            rig.sign_in_with(welcome(HOUR));
        }
        let goodbye = Goodbye { code: Code::BadToken, ..Goodbye::default() };
        if moment == "leaving" {
            rig.say(HubFrame::Goodbye(goodbye.clone()));
        }
        if moment == "newer" {
            rig.client.set_token(rig.now, "between");
        }
        rig.client.set_token(rig.now, "new");
        rig.drain();
        let (request, code) = (Request(1), Code::RateLimited);
        match moment {
            "refused for now" => rig.say(HubFrame::Failed(Failed { request, code, ..Failed::default() })),
            "newer" => {
                rig.say(HubFrame::SignedIn(SignedIn { request, expires_ms: HOUR, ..SignedIn::default() }));
                assert_eq!(rig.sent[1..], ["sign_in 1 between", "sign_in 2 new"]);
            }
            _ => {}
        }
        rig.say(HubFrame::Goodbye(goodbye));
        rig.input(Input::LinkClosed { code: 4004 });
        assert!(rig.wait() < 1_000, "{moment}");
        rig.forget();
        rig.input(Input::LinkOpened);
        rig.expect_sent(&["hello new"]);
        rig.input(Input::LinkClosed { code: 4004 });
        rig.expect_events(&["Closed { fault: Some(Protocol(BadToken)) }"]);
    }
}

#[test]
fn a_token_that_is_given_while_signing_in_goes_out_with_the_welcome() {
    let mut rig = Rig::new(Options::default());
    rig.client.set_token(rig.now, "old");
    rig.client.connect(rig.now);
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.client.set_token(rig.now, "new");
    rig.drain();
    rig.expect_sent(&["hello old"]);
    rig.say(HubFrame::Welcome(welcome(HOUR)));
    rig.expect_sent(&["sign_in 1 new"]);
}

#[test]
fn a_token_comes_too_late_when_the_last_one_has_ended() {
    let mut rig = online();
    rig.wait();
    assert_eq!(rig.within_ms, 30_000);
    rig.client.set_token(rig.now, "short");
    rig.drain();
    rig.say(HubFrame::SignedIn(SignedIn { request: Request(1), expires_ms: 20_000, ..SignedIn::default() }));
    let waited = rig.wait();
    assert_eq!(rig.within_ms, 20_000 - waited);
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
