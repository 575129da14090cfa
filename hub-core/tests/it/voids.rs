//! Runs of voids: so many seqs in one frame, which the hub takes, keeps and answers as one.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Engine, Simulated};
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Publish};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, NUMBER_MAX, Offset, SEQ_MAX, Seq};

use crate::rig::*;

fn voids(seq: u64, count: u64) -> ClientFrame<'static> {
    let (handle, seq) = (Handle(1), Seq(seq));
    ClientFrame::Publish(Publish { handle, seq, count, void: true, ..Publish::default() })
}

fn message(seq: u64) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(1), Seq(seq), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

/// What became of which seqs, in words.
fn told(hub: &mut Hub, id: ConnectionId) -> Vec<String> {
    let words = |frame: &HubFrame<'_>| match frame {
        HubFrame::Acked(acked) => {
            let duplicate = if acked.duplicate { " known" } else { "" };
            let what = if acked.offset.0 > 0 { format!("at {}", acked.offset) } else { "void".into() };
            format!("{}+{} {what}{duplicate}", acked.seq, acked.count)
        }
        HubFrame::Refused(refused) => {
            let consumed = if refused.consumed { " for good" } else { "" };
            format!("{}+{} {}{consumed}", refused.seq, refused.count, refused.code.name())
        }
        other => panic!("{other:?}"),
    };
    hub.heard_as(id, |code| format!("closed {code}"), words)
}

/// One who publishes by handle 1, with so many in flight at most.
fn publisher(in_flight_max: u64) -> (Hub, ConnectionId) {
    let mut hub = Hub::new(limits(|limits| limits.in_flight_max = in_flight_max), keep_all());
    let id = hub.client(1);
    hub.open(id, "t");
    (hub, id)
}

/// What is answered to frames, one after another in one read.
#[track_caller]
fn check(frames: &[ClientFrame<'_>], expected: &[&str]) {
    let (mut hub, id) = publisher(10);
    hub.say(id, frames);
    assert_eq!(told(&mut hub, id), expected);
}

#[test]
fn a_run_is_answered_as_one_and_what_follows_comes_next() {
    check(&[voids(1, 3), message(4)], &["1+3 void", "4+1 at 1"]);
    check(&[voids(1, 0), voids(2, 1), voids(3, 2)], &["1+4 void"]);
    check(&[message(1), voids(2, 4), voids(6, 1), message(7)], &["1+1 at 1", "2+5 void", "7+1 at 2"]);
}

#[test]
fn what_is_known_of_a_run_is_told_and_the_rest_is_taken() {
    check(
        &[message(1), message(2), voids(3, 2), message(5), voids(1, 8), voids(2, 8)],
        &[
            "1+2 at 1",
            "3+2 void",
            "5+1 at 3",
            "1+2 at 1 known",
            "3+2 void known",
            "5+1 at 3 known",
            "6+3 void",
            "2+1 at 2 known",
            "3+2 void known",
            "5+1 at 3 known",
            "6+3 void known",
            "9+1 void",
        ],
    );
}

#[test]
fn no_more_of_a_run_is_taken_than_may_be_in_flight() {
    check(
        &[message(1), voids(2, SEQ_MAX - 1)],
        &["1+1 at 1", "2+9 void", "11+9007199254740979 rate_limited"],
    );
    check(&[voids(4, 5), voids(1, 2)], &["4+5 out_of_order", "1+2 void"]);
    // Who has heard that moves `lowest`, and goes on.
    let Publish { handle, void, .. } = Publish { handle: Handle(1), void: true, ..Publish::default() };
    let moved = Publish { handle, void, seq: Seq(11), lowest: Seq(6), count: 9, ..Publish::default() };
    let expected = ["1+10 void", "11+2 rate_limited", "11+5 void", "16+4 rate_limited"];
    check(&[voids(1, 12), ClientFrame::Publish(moved)], &expected);
    // Of what is forgotten no more can be said.
    check(
        &[voids(1, 8), publish_on(1, 9, b"m"), voids(3, 7)],
        &["1+8 void", "9+1 at 1", "3+6 outcome_forgotten for good", "9+1 at 1 known"],
    );
}

#[test]
fn of_a_run_with_very_many_answers_some_are_told_and_the_rest_is_asked_for_again() {
    let (mut hub, id) = publisher(100);
    // Another's messages between them, so that each has an answer of its own.
    let other = hub.client(2);
    hub.open(other, "u");
    for seq in 1..=20 {
        hub.say(id, &[message(seq)]);
        hub.say(other, &[publish_on(1, seq, b"m")]);
    }
    told(&mut hub, id);
    hub.say(id, &[voids(1, 30)]);
    let mut expected: Vec<_> = (1..=8).map(|seq| format!("{seq}+1 at {} known", seq * 2 - 1)).collect();
    expected.push("9+22 overloaded".to_owned());
    assert_eq!(told(&mut hub, id), expected);
    hub.say(id, &[voids(20, 11)]);
    assert_eq!(told(&mut hub, id), ["20+1 at 39 known", "21+10 void"]);
}

#[test]
fn a_run_of_what_is_no_void_or_beyond_all_numbers_ends_the_connection() {
    let run = |void, seq, count| {
        let (handle, payload) = (Handle(1), b"m"[..].into());
        ClientFrame::Publish(Publish { handle, seq: Seq(seq), count, void, payload, ..Publish::default() })
    };
    for (frame, ends) in [
        (run(false, 1, 2), true),
        (run(false, 1, 1), false),
        (run(true, 1, SEQ_MAX), false),
        (run(true, 2, SEQ_MAX), true),
        (run(true, SEQ_MAX, 1), false),
        (run(true, SEQ_MAX + 1, 1), true),
        (run(false, NUMBER_MAX, 1), true),
        (run(true, NUMBER_MAX, NUMBER_MAX), true),
    ] {
        let (mut hub, id) = publisher(10);
        hub.say(id, std::slice::from_ref(&frame));
        let heard = hub.heard(id);
        assert_eq!(heard.contains(&Heard::Goodbye(Code::BadFrame)), ends, "{frame:?}: {heard:?}");
    }
}

#[test]
fn a_run_is_refused_as_one_where_a_publish_would_be() {
    let mut hub = Hub::new(limits(|limits| limits.publishes_per_second_max = 1), keep_all());
    let id = hub.client(1);
    hub.open(id, "t");
    // A run counts as one.
    let frames: Vec<_> = (0..12).map(|place| voids(place * 5 + 1, 5)).collect();
    hub.say(id, &frames);
    let refused = ["51+5 rate_limited", "56+5 rate_limited", "1+50 void"];
    assert_eq!(told(&mut hub, id), refused);
    let unknown = Publish { handle: Handle(9), seq: Seq(3), count: 40, void: true, ..Publish::default() };
    hub.say(id, &[ClientFrame::Publish(unknown)]);
    assert_eq!(told(&mut hub, id), ["3+40 unknown_number"]);
}

#[test]
fn a_run_waits_behind_what_is_not_stored_and_goes_back_with_it() {
    for fails in [false, true] {
        let (mut hub, id) = publisher(100);
        hub.topics.with_log(0, |log| log.engine = Engine::Simulated(Simulated::default()));
        hub.say(id, &[message(1), voids(2, 50), message(52), voids(3, 4), voids(50, 9), voids(30, 1)]);
        assert!(told(&mut hub, id).is_empty(), "nothing is stored yet");
        let staged = hub.held(Kind::Staged);
        assert!(staged < 4 * 1_024, "{staged} bytes wait");
        hub.topics.with_log(0, |log| match fails {
            true => log.fail(Offset(1)),
            false => (1..=2).for_each(|offset| log.complete(Offset(offset))),
        });
        hub.work();
        let mut heard = told(&mut hub, id);
        heard.sort();
        let stored = [
            "1+1 at 1",
            "2+50 void",
            "3+4 void known",
            "30+1 void known",
            "50+2 void known",
            "52+1 at 2",
            "52+1 at 2 known",
            "53+6 void",
        ];
        let failed = stored.map(|what| format!("{} not_stored", what.split_once(' ').unwrap().0));
        let expected = if fails { failed.to_vec() } else { stored.map(str::to_owned).to_vec() };
        assert_eq!(heard, expected);
        assert_eq!(hub.held(Kind::Staged), 0);
        let next = if fails { ["1+3 void".to_owned()] } else { ["1+1 at 1 known".to_owned()] };
        hub.topics.with_log(0, |log| log.engine = Engine::Memory);
        hub.say(id, &[voids(1, if fails { 3 } else { 1 })]);
        assert_eq!(told(&mut hub, id), next);
    }
}

#[test]
fn very_many_runs_in_one_read_make_the_hub_hold_and_say_little() {
    for (seq, count) in [(1, SEQ_MAX), (1, 1), (1, 0), (1_000, SEQ_MAX - 999), (1, 1_024), (7, 900)] {
        let mut hub = Hub::new(Limits::default(), keep_all());
        let (id, other) = (hub.client(1), hub.connect(Dialect::Binary));
        hub.open(id, "t");
        hub.say(other, &[hello(2, 1), open_as(1, 0, "u")]);
        // A past in which each has an answer of its own.
        for seq in 1..=20 {
            hub.say(id, &[message(seq)]);
            hub.say(other, &[publish_on(1, seq, b"m")]);
        }
        hub.heard(id);
        let windows = hub.held(Kind::Windows);
        let frames: Vec<_> = (0..5_000).map(|_| voids(seq, count)).collect();
        let length = bytes_of(&frames).len();
        hub.say(id, &frames);
        let said = hub.sockets.written.remove(&id).unwrap().len();
        assert!(said < 150 * 5_000 && length > 6 * 5_000, "{said} bytes are said to {length}");
        let more = hub.held(Kind::Windows) - windows;
        assert!(more < 256 && hub.held(Kind::Staged) == 0, "{more} bytes are kept of {count} from {seq} on");
    }
}

#[test]
fn however_long_a_run_is_it_counts_as_one() {
    let (mut hub, id) = publisher(10);
    let on_2 = Publish { handle: Handle(2), seq: Seq(1), count: SEQ_MAX, void: true, ..Publish::default() };
    let ahead = voids(5, SEQ_MAX - 5);
    hub.say(id, &[ahead.clone(), ClientFrame::Publish(on_2), voids(1, SEQ_MAX), voids(1, SEQ_MAX)]);
    let heard = told(&mut hub, id);
    assert_eq!(
        heard.len(),
        6,
        "of the last two ten are taken or known, and the rest is too much in flight: {heard:?}"
    );
    let metrics = hub.topics.metrics();
    for (code, count) in [(Code::OutOfOrder, 1), (Code::UnknownNumber, 1), (Code::RateLimited, 2)] {
        assert_eq!(metrics.refused.of(code.number()), count, "{code:?}");
    }
    assert_eq!((metrics.refused.value(), metrics.duplicates.value()), (4, 1));
    // What is told in one frame of several publishes is so many.
    let (mut hub, id) = publisher(10);
    hub.say(id, &[message(5), message(6), voids(7, 1_000)]);
    assert_eq!(told(&mut hub, id), ["5+1002 out_of_order"]);
    assert_eq!(hub.topics.metrics().refused.value(), 3);
}
