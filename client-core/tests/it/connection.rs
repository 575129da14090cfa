//! Connecting, signing in, being lost, and coming back.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::Options;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{
    Detached, Failed, Goodbye, Heartbeat, HubFrame, Refused, Unsubscribed, Welcome,
};
use tidewire_protocol::number::{Participant, Request};
use tidewire_protocol::position::Start;

use crate::rig::{Rig, acked, failed, opened, progress, text, welcome};

fn goodbye(code: Code, reconnect_after_ms: u64) -> HubFrame<'static> {
    HubFrame::Goodbye(Goodbye { code, reconnect_after_ms, ..Goodbye::default() })
}

#[test]
fn asks_in_one_flight_with_hello_and_keeps_messages_until_it_is_welcome() {
    let mut rig = Rig::new(Options::default());
    rig.client.subscribe(rig.now, "a", Default::default()).unwrap();
    rig.publish("b");
    rig.drain();
    rig.expect_asked(&["open"]);
    rig.expect_sent(&[]);
    rig.input(Input::LinkOpened);
    // A hub takes little before it knows who is there, so `hello` is a message of its own.
    assert_eq!(
        (rig.packets, rig.first_frames.as_slice()),
        (2, &["hello ".to_owned(), "subscribe 1 a latest".to_owned()][..])
    );
    rig.expect_sent(&["hello ", "subscribe 1 a latest", "open 1 b lowest 1"]);
    rig.client.subscribe(rig.now, "c", Default::default()).unwrap();
    rig.drain();
    rig.expect_sent(&["subscribe 2 c latest"]);
    rig.say(welcome());
    rig.expect_sent(&["publish 1 #1"]);
    rig.expect_events(&["Connecting", "Online"]);
}

#[test]
fn a_link_that_ends_before_it_is_welcome_is_asked_for_everything_again() {
    let mut rig = Rig::new(Options::default());
    rig.client.subscribe(rig.now, "a", Default::default()).unwrap();
    rig.publish("b");
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.input(Input::LinkClosed { code: 1006 });
    rig.input(Input::Online);
    rig.sent.clear();
    rig.sign_in();
    rig.say(opened(1, true, 1));
    // Nothing of it was sent before, so it is no duplicate of anything.
    rig.expect_sent(&["hello ", "subscribe 2 a latest", "open 1 b lowest 1", "publish 1 #1"]);
}

#[test]
fn thousands_of_questions_go_in_packets_that_the_hub_takes() {
    let mut rig = Rig::new(Options::default());
    for topic in 0..3_000 {
        let name = format!("a.long.enough.name.for.a.topic.{topic}");
        rig.client.subscribe(rig.now, &name, Default::default()).unwrap();
        rig.publish(&name);
    }
    rig.drain();
    rig.input(Input::LinkOpened);
    assert!(rig.packet_bytes_max <= 16 << 10);
    let count = |rig: &Rig, word: &str| rig.sent.iter().filter(|frame| frame.starts_with(word)).count();
    assert_eq!((count(&rig, "subscribe"), count(&rig, "open")), (3_000, 1_024));
    rig.say(HubFrame::Welcome(Welcome { frame_bytes_max: 2_000, ..Welcome::default() }));
    rig.packet_bytes_max = 0;
    rig.sent.clear();
    rig.reconnect_with(Welcome::default());
    assert_eq!((count(&rig, "subscribe"), count(&rig, "open")), (3_000, 1_024));
    assert!(rig.packet_bytes_max <= 2_000, "{}", rig.packet_bytes_max);
}

#[test]
fn what_ends_every_link_ends_the_client() {
    for code in [Code::BadFrame, Code::NotSignedIn, Code::UnknownNumber] {
        let mut rig = Rig::online();
        rig.subscribe("a", Default::default());
        for _ in 0..4 {
            rig.input(Input::LinkClosed { code: code.close_code() });
            rig.wait();
            rig.sign_in();
        }
        rig.events.clear();
        rig.input(Input::LinkClosed { code: code.close_code() });
        let closed = format!("Closed {{ fault: Some(Protocol({code:?})) }}");
        assert_eq!(rig.events, [closed, format!("refused 1 {}", code.name())]);
    }
}

#[test]
fn a_link_that_lasts_clears_what_was_sent_on_it() {
    let mut rig = Rig::online();
    rig.subscribe("a", Default::default());
    for _ in 0..20 {
        rig.now += 10_000;
        rig.input(Input::LinkClosed { code: 1009 });
        rig.wait();
        rig.sign_in();
    }
    assert_eq!(rig.events.last().unwrap(), "Online");
}

#[test]
fn backs_off_with_growing_jitter_and_starts_over_after_being_online_for_seconds() {
    let mut longest = [0; 8];
    for seed in 0..200 {
        let mut rig = Rig::new(Options { seed, ..Options::default() });
        rig.client.connect(rig.now);
        rig.drain();
        for longest in &mut longest {
            rig.input(Input::LinkClosed { code: 1006 });
            *longest = rig.wait().max(*longest);
        }
        rig.sign_in();
        rig.now += 3_000;
        rig.input(Input::LinkClosed { code: 1006 });
        assert!(rig.wait() <= 1_000);
    }
    for (longest, cap) in longest.iter().zip([1, 2, 4, 8, 16, 30, 30, 30]) {
        assert!((cap * 900..=cap * 1_000).contains(longest), "{longest} of {cap} s");
    }
}

#[test]
fn a_hub_that_welcomes_and_drops_at_once_is_asked_ever_more_rarely() {
    let mut waited = 0;
    for seed in 0..200 {
        let mut rig = Rig::new(Options { seed, ..Options::default() });
        rig.client.connect(rig.now);
        rig.drain();
        for count in 0..10 {
            rig.sign_in();
            rig.now += 2_999;
            rig.input(Input::LinkClosed { code: 1006 });
            let wait = rig.wait();
            if count >= 5 {
                waited += wait;
            }
        }
    }
    // Up to 30 s each, evenly.
    let mean = waited / 1_000;
    assert!((14_000..16_000).contains(&mean), "{mean}");
}

#[test]
fn retries_at_once_when_the_network_is_back() {
    let mut rig = Rig::online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.expect_asked(&[]);
    rig.input(Input::Online);
    rig.expect_asked(&["open"]);
}

#[test]
fn answers_heartbeats_and_gives_up_a_silent_link() {
    let mut rig = Rig::online();
    rig.now += 15_000;
    rig.say(HubFrame::Heartbeat(Heartbeat::default()));
    rig.expect_sent(&["heartbeat"]);
    assert_eq!(rig.wait(), 20_000);
    rig.expect_asked(&["close 4018"]);
    assert!(rig.events[0].contains("HubSilent"), "{:?}", rig.events);
    assert!(rig.wait() <= 1_000);
    rig.expect_asked(&["open"]);
}

#[test]
fn a_link_that_may_be_dead_is_given_up_unless_the_hub_answers_within_seconds() {
    let mut rig = Rig::online();
    rig.input(Input::Online);
    rig.expect_sent(&["heartbeat 1"]);
    // Asking again is no sign of life.
    rig.now += 3_000;
    rig.input(Input::Online);
    rig.client.probe(rig.now);
    rig.drain();
    rig.expect_sent(&[]);
    assert_eq!(rig.wait(), 1_000);
    rig.expect_asked(&["close 4018"]);
    assert!(rig.events[0].contains("HubSilent"), "{:?}", rig.events);
}

#[test]
fn only_its_own_answer_ends_a_doubt_and_any_word_of_the_hub_gives_it_time() {
    let mut rig = Rig::online();
    let answer = |request| HubFrame::Heartbeat(Heartbeat { request: Request(request) });
    rig.client.ping(rig.now);
    rig.client.connect(rig.now);
    rig.drain();
    rig.expect_sent(&["heartbeat 1", "heartbeat 2"]);
    // All of this may have been on its way before the link went dead.
    for frame in [progress(9, 1), answer(1), HubFrame::Heartbeat(Heartbeat::default())] {
        rig.now += 3_999;
        rig.say(frame);
        assert!(rig.client.is_doubted());
        assert_eq!(rig.client.deadline(), Some(rig.now + 4_000));
    }
    rig.say(answer(2));
    assert!(!rig.client.is_doubted());
    assert_eq!(rig.client.deadline(), Some(rig.now + 20_000));
    rig.expect_asked(&[]);
}

#[test]
fn what_is_not_answered_within_seconds_puts_the_link_in_doubt() {
    let mut rig = Rig::online();
    rig.publish("t");
    rig.drain();
    rig.sent.clear();
    rig.now += 1_000;
    // It is open, and the message is still on its way.
    rig.say(opened(1, true, 1));
    assert_eq!(rig.wait(), 5_000);
    rig.expect_sent(&["heartbeat 1"]);
    rig.say(HubFrame::Heartbeat(Heartbeat { request: Request(1) }));
    assert_eq!(rig.wait(), 5_000);
    rig.expect_sent(&["heartbeat 2"]);
    rig.say_all(&[acked(1, 1, 1, 1), HubFrame::Heartbeat(Heartbeat { request: Request(2) })]);
    assert_eq!(rig.client.deadline(), Some(rig.now + 20_000));
    rig.subscribe("a", Default::default());
    assert_eq!(rig.wait(), 5_000);
    assert_eq!(rig.wait(), 4_000);
    rig.expect_asked(&["close 4018"]);
}

#[test]
fn a_link_that_carries_much_has_longer_to_answer() {
    let mut rig = Rig::new(Options::default());
    rig.publish_bytes("t", 160_000);
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.say(HubFrame::Welcome(Welcome::default()));
    assert_eq!(rig.wait(), 5_000);
    assert_eq!(rig.wait(), 4_000 + 10_000);
}

#[test]
fn a_try_that_hangs_ends_soon_when_somebody_wants_it_now() {
    let mut rig = Rig::new(Options::default());
    rig.client.connect(rig.now);
    rig.drain();
    rig.input(Input::Online);
    assert_eq!(rig.wait(), 4_000);
    rig.expect_asked(&["open", "close 4018"]);
    rig.client.connect(rig.now);
    rig.drain();
    rig.expect_asked(&["open"]);
    rig.input(Input::LinkOpened);
    rig.client.connect(rig.now);
    assert_eq!(rig.wait(), 4_000);
}

#[test]
fn a_hub_that_asks_to_stay_away_is_left_alone_unless_somebody_wants_it_now() {
    let mut rig = Rig::online();
    rig.say(goodbye(Code::Draining, 7_000));
    rig.input(Input::LinkClosed { code: 4015 });
    rig.input(Input::Online);
    rig.expect_asked(&[]);
    rig.client.connect(rig.now);
    rig.drain();
    rig.expect_asked(&["open"]);
}

#[test]
fn gives_up_a_link_that_does_not_open_or_sign_in() {
    let mut rig = Rig::new(Options::default());
    rig.client.connect(rig.now);
    rig.drain();
    assert_eq!(rig.wait(), 10_000);
    rig.expect_asked(&["open", "close 4018"]);
    rig.wait();
    rig.now += 6_000;
    rig.input(Input::LinkOpened);
    assert_eq!(rig.wait(), 4_000);
    rig.expect_asked(&["open", "close 4018"]);
}

#[test]
fn stays_away_as_long_as_a_goodbye_asks() {
    let mut rig = Rig::online();
    rig.say(goodbye(Code::Draining, 7_000));
    rig.publish("t");
    rig.drain();
    rig.expect_sent(&[]);
    rig.input(Input::LinkClosed { code: 4015 });
    assert_eq!(rig.events[0], "goodbye draining 7000");
    assert_eq!(rig.wait(), 7_000);
    rig.expect_asked(&["open"]);
}

#[test]
fn bad_token_is_fatal_after_one_refresh() {
    let mut rig = Rig::new(Options { asks_tokens: true, ..Options::default() });
    let id = rig.publish("t");
    rig.drain();
    rig.expect_asked(&["token SignIn"]);
    rig.client.set_token(rig.now, "old");
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.expect_sent(&["hello old", "open 1 t lowest 1"]);
    rig.say(goodbye(Code::BadToken, 0));
    rig.input(Input::LinkClosed { code: 4004 });
    assert!(rig.wait() < 1_000);
    rig.expect_asked(&["open", "token Refused"]);
    rig.client.set_token(rig.now, "new");
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.events.clear();
    rig.input(Input::LinkClosed { code: 4004 });
    let failed = format!("failed {} bad_token", id.0);
    rig.expect_events(&["Closed { fault: Some(Protocol(BadToken)) }", &failed]);
    assert!(rig.client.deadline().is_none());
    assert!(rig.client.publish(rig.now, &text("t", 1)).is_err());
}

#[test]
fn a_token_that_cannot_be_had_now_is_asked_for_again() {
    let mut rig = Rig::new(Options { asks_tokens: true, ..Options::default() });
    rig.client.connect(rig.now);
    rig.drain();
    rig.client.token_failed(rig.now, false);
    rig.drain();
    rig.wait();
    rig.expect_asked(&["token SignIn", "token SignIn"]);
    rig.client.token_failed(rig.now, true);
    rig.drain();
    assert_eq!(rig.events.last().unwrap(), "Closed { fault: Some(Client(TokenRefused)) }");
}

#[test]
fn a_subject_that_is_someone_else_is_fatal_before_anything_is_published() {
    let mut rig = Rig::new(Options { identity: Some("ann".into()), ..Options::default() });
    rig.publish("t");
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.sent.clear();
    rig.say(HubFrame::Welcome(Welcome { subject: "bob".into(), ..Welcome::default() }));
    rig.expect_sent(&[]);
    rig.expect_asked(&["open", "close 1000"]);
    assert_eq!(rig.events[1], "Closed { fault: Some(Protocol(IdentityMismatch)) }");
}

#[test]
fn a_protocol_the_hub_does_not_speak_is_fatal() {
    let mut rig = Rig::new(Options::default());
    rig.client.connect(rig.now);
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.input(Input::LinkClosed { code: Code::NotSupported.close_code() });
    assert_eq!(rig.events.last().unwrap(), "Closed { fault: Some(Protocol(NotSupported)) }");
}

#[test]
fn garbage_closes_the_link_and_the_client_comes_back() {
    let mut rig = Rig::online();
    rig.input(Input::Received(&[65, 200]));
    rig.expect_asked(&["close 4001"]);
    rig.wait();
    rig.expect_asked(&["open"]);
}

#[test]
fn unknown_frames_are_passed_over() {
    let mut rig = Rig::online();
    rig.input(Input::Received(&[120, 2, 1, 1, 75, 0]));
    rig.expect_sent(&["heartbeat"]);
}

#[test]
fn suspended_it_is_quiet_until_it_is_online_again() {
    let mut rig = Rig::online();
    rig.input(Input::Suspend);
    rig.expect_asked(&["close 1000"]);
    assert_eq!(rig.client.deadline(), None);
    rig.publish("t");
    rig.drain();
    rig.expect_asked(&[]);
    rig.input(Input::Online);
    rig.expect_asked(&["open"]);
}

#[test]
fn closing_fails_what_waits_and_ends_listeners() {
    let mut rig = Rig::online();
    let listener = rig.subscribe("a", Default::default());
    let id = rig.publish("t");
    rig.client.close(rig.now);
    rig.drain();
    rig.expect_asked(&["close 1000"]);
    rig.expect_events(&[
        "Closed { fault: None }",
        &format!("failed {} closed", id.0),
        &format!("refused {} closed", listener.0),
    ]);
    assert!(rig.client.is_flushed());
    assert!(rig.client.subscribe(rig.now, "a", Default::default()).is_err());
}

#[test]
fn a_ping_is_a_probe_whose_own_answer_is_told() {
    let mut rig = Rig::new(Options::default());
    assert_eq!(rig.client.ping(rig.now), None);
    let mut rig = Rig::online();
    let asked: Vec<_> = (0..2).map(|_| rig.client.ping(rig.now).unwrap()).collect();
    rig.drain();
    rig.expect_sent(&["heartbeat 1", "heartbeat 2"]);
    let answer = |request| HubFrame::Heartbeat(Heartbeat { request });
    rig.say_all(&[HubFrame::Heartbeat(Heartbeat::default()), answer(asked[0]), answer(asked[1])]);
    rig.expect_events(&["echoed 1", "echoed 2"]);
    rig.client.ping(rig.now);
    rig.drain();
    assert_eq!(rig.wait(), 4_000);
    rig.expect_asked(&["close 4018"]);
}

#[test]
fn a_question_without_its_answer_puts_the_link_in_doubt_whatever_else_is_heard() {
    type Ask = fn(&mut Rig);
    let questions: [(&str, Ask); 4] = [
        ("publish", |rig| _ = rig.publish("t")),
        ("subscribe", |rig| _ = rig.subscribe("a", Default::default())),
        ("history", |rig| _ = rig.history("a", Start::Latest, 1)),
        ("ping", |rig| _ = rig.client.ping(rig.now)),
    ];
    for (question, ask) in questions {
        let mut rig = Rig::online();
        ask(&mut rig);
        rig.drain();
        rig.sent.clear();
        for _ in 0..2 {
            rig.now += 3_000;
            rig.say(progress(9, 1));
        }
        assert_eq!(rig.wait(), 5_000, "{question}");
        assert!(rig.sent[0].starts_with("heartbeat "), "{question}: {:?}", rig.sent);
        assert_eq!(rig.wait(), 4_000, "{question}");
        rig.expect_asked(&["close 4018"]);
        rig.reconnect();
        if question == "ping" {
            // Nobody waits for what was asked on a link that is gone.
            rig.say(progress(9, 1));
            assert_eq!(rig.client.deadline(), Some(rig.now + 20_000));
        }
    }
}

#[test]
fn an_answer_ends_the_doubt_of_its_question() {
    let mut rig = Rig::online();
    let request = rig.client.ping(rig.now).unwrap();
    rig.drain();
    rig.say(HubFrame::Heartbeat(Heartbeat { request }));
    assert_eq!(rig.client.deadline(), Some(rig.now + 20_000));
    rig.subscribe("a", Default::default());
    rig.say(failed(2, Code::Forbidden, false));
    assert_eq!(rig.client.deadline(), Some(rig.now + 20_000));
}

#[test]
fn what_the_hub_says_in_words_is_told_before_what_comes_of_it() {
    let message = || "in words".into();
    let code = Code::Forbidden;
    let frames = [
        HubFrame::Refused(Refused { code, message: message(), ..Refused::default() }),
        HubFrame::Unsubscribed(Unsubscribed { code, message: message(), ..Unsubscribed::default() }),
        HubFrame::Failed(Failed { code, message: message(), ..Failed::default() }),
        HubFrame::Detached(Detached { participant: Participant(9), code, message: message() }),
        HubFrame::Goodbye(Goodbye { code, message: message(), ..Goodbye::default() }),
    ];
    for frame in frames {
        let mut rig = Rig::online();
        rig.say(frame.clone());
        assert_eq!(rig.events.first().map(String::as_str), Some("said forbidden in words"), "{frame:?}");
    }
}

#[test]
fn a_link_is_in_doubt_while_it_is_asked_for_a_sign_of_life_and_not_for_a_ping() {
    let mut rig = Rig::online();
    rig.client.ping(rig.now);
    rig.drain();
    assert!(!rig.client.is_doubted());
    rig.input(Input::Online);
    assert!(rig.client.is_doubted());
    rig.say(HubFrame::Heartbeat(Heartbeat { request: Request(2) }));
    assert!(!rig.client.is_doubted());
    rig.publish("t");
    rig.drain();
    rig.wait();
    assert!(rig.client.is_doubted());
    rig.wait();
    assert!(!rig.client.is_doubted(), "it is no link any more");
}
