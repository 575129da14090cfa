//! Listening: order without repeats or silent holes, gaps, history joined to the live flow, bounds.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::ListenerId;
use tidewire_protocol::block::Block;
use tidewire_protocol::code::{Code, GapReason, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Subscribed, Unsubscribed};
use tidewire_protocol::number::{Epoch, Offset, Request, Tag, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::rig::{EPOCH, OWN_TAG, Rig, acked, at, block, failed, opened, progress, records, subscribed};

/// Online, with listener 1 live on topic `t`, tail 9, at offset 10.
fn listening() -> Rig {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.expect_sent(&["subscribe 1 t latest"]);
    rig.say(subscribed(1, 9, Outcome::Live, 10));
    rig.expect_events(&["ready 1 live 7:10"]);
    rig
}

fn gap(from: u64, to: u64, reason: GapReason) -> Gap {
    Gap { epoch: EPOCH, from: Offset(from), to: Offset(to), reason }
}

#[test]
fn gives_each_message_once_and_in_order() {
    let mut rig = listening();
    rig.block(9, 10, &[11, 13]);
    rig.block(9, 13, &[14]);
    rig.block(9, 10, &[11, 13, 14, 15]);
    rig.expect_events(&["message 1 m11", "message 1 m13", "message 1 m14", "message 1 m15"]);
}

#[test]
fn resumes_from_its_cursor_without_repeats() {
    let mut rig = listening();
    rig.block(9, 10, &[11, 12]);
    rig.forget();
    rig.reconnect();
    rig.expect_sent(&["hello ", "subscribe 2 t after 7:12"]);
    rig.events.clear();
    rig.say(subscribed(2, 30, Outcome::Resumed, 12));
    // The block holds more than was missed; the old number means nothing any more.
    rig.block(9, 12, &[13]);
    rig.block(30, 10, &[11, 12, 13]);
    rig.expect_events(&["message 1 m13"]);
}

#[test]
fn a_hole_that_nobody_spoke_of_is_never_passed_over() {
    let mut rig = listening();
    rig.block(9, 11, &[12]);
    assert!(!rig.events.iter().any(|event| event.starts_with("message")));
    rig.expect_asked(&["close 4001"]);
    rig.input(Input::Online);
    rig.sign_in();
    assert_eq!(rig.sent.last().unwrap(), "subscribe 2 t after 7:10");
}

#[test]
fn a_gap_between_messages_that_are_still_there_loses_none_of_them() {
    let mut rig = listening();
    // Of a pattern's topics one has lost 12 and 14; 13 and 15 are another's.
    let gap = gap(12, 14, GapReason::Retention);
    rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(gap), after: Offset(10) }));
    rig.block(9, 10, &[13, 15]);
    rig.expect_events(&["gap 1 12..14 retention", "message 1 m13", "message 1 m15"]);
}

#[test]
fn who_joins_later_hears_of_a_gap_that_is_told_already_and_still_to_come() {
    let mut rig = listening();
    rig.subscribe("t", Start::After(at(5)));
    rig.expect_sent(&["history 2 t after 7:5"]);
    for (from, to) in [(12, 14), (15, 16)] {
        let gap = Some(gap(from, to, GapReason::Retention));
        rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap, after: Offset(10) }));
    }
    rig.expect_events(&["gap 1 12..14 retention", "gap 1 15..16 retention"]);
    // It is further than the live flow, and what is missing is further still.
    rig.page(2, 5, &[9, 13], 13, false, None);
    rig.block(9, 10, &[13, 17]);
    rig.expect_events(&[
        "ready 2 resumed 7:5",
        "message 2 m9",
        "message 2 m13",
        "gap 2 14..16 retention",
        "message 1 m13",
        "message 1 m17",
        "message 2 m17",
    ]);
    // What lies behind the live flow is told to nobody.
    rig.subscribe("t", Start::After(at(13)));
    rig.page(3, 13, &[17], 17, false, None);
    rig.expect_events(&["ready 3 resumed 7:13", "message 3 m17"]);
}

#[test]
fn a_gap_on_resuming_is_told_and_delivery_goes_on_after_it() {
    let mut rig = listening();
    rig.reconnect();
    rig.forget();
    let new = Epoch(8);
    rig.say(HubFrame::Subscribed(Subscribed {
        request: Request(2),
        tail: TailNumber(3),
        outcome: Outcome::Gap,
        positions: vec![Position { epoch: new, offset: Offset(4) }],
        gap: Some(Gap { epoch: new, from: Offset(1), to: Offset(4), reason: GapReason::EpochChanged }),
        ..Subscribed::default()
    }));
    rig.block(3, 4, &[5]);
    rig.expect_events(&["gap 1 1..4 epoch_changed", "message 1 m5"]);
    rig.reconnect();
    assert_eq!(rig.sent.last().unwrap(), "subscribe 3 t after 8:5");
}

#[test]
fn a_cursor_beyond_the_end_goes_back() {
    let mut rig = listening();
    rig.reconnect();
    rig.forget();
    rig.say(HubFrame::Subscribed(Subscribed {
        request: Request(2),
        tail: TailNumber(3),
        outcome: Outcome::Gap,
        positions: at(6),
        gap: Some(gap(7, 10, GapReason::BeyondEnd)),
        ..Subscribed::default()
    }));
    rig.block(3, 6, &[7]);
    rig.expect_events(&["gap 1 7..10 beyond_end", "message 1 m7"]);
}

#[test]
fn missing_moves_the_cursor_and_is_told() {
    let mut rig = listening();
    let missing =
        |gap, after| HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(gap), after: Offset(after) });
    rig.say(missing(gap(11, 20, GapReason::TooSlow), 20));
    rig.block(9, 20, &[21]);
    rig.expect_events(&["gap 1 11..20 too_slow", "message 1 m21"]);
    let new = Gap { epoch: Epoch(8), from: Offset(1), to: Offset(2), reason: GapReason::EpochChanged };
    rig.say(missing(new, 2));
    rig.block(9, 2, &[3]);
    rig.expect_events(&["gap 1 1..2 epoch_changed", "message 1 m3"]);
}

#[test]
fn progress_moves_the_cursor() {
    let mut rig = listening();
    rig.say(progress(9, 40));
    rig.block(9, 40, &[41]);
    rig.reconnect();
    assert_eq!(rig.events[0], "message 1 m41");
    assert_eq!(rig.sent.last().unwrap(), "subscribe 2 t after 7:41");
}

#[test]
fn listeners_that_start_together_share_the_start() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Earliest);
    rig.subscribe("t", Start::Earliest);
    rig.expect_sent(&["subscribe 1 t earliest"]);
    rig.say(subscribed(1, 9, Outcome::Resumed, 0));
    rig.block(9, 0, &[1]);
    rig.expect_events(&["ready 1 resumed 7:0", "ready 2 resumed 7:0", "message 1 m1", "message 2 m1"]);
}

#[test]
fn a_listener_that_starts_earlier_reads_history_and_joins_by_offset() {
    let mut rig = listening();
    rig.subscribe("t", Start::Earliest);
    rig.expect_sent(&["history 2 t earliest"]);
    // The live flow goes on for the first one meanwhile.
    rig.block(9, 10, &[11]);
    rig.page(2, 0, &[3, 7], 7, true, None);
    rig.expect_events(&["message 1 m11", "ready 2 resumed 7:0", "message 2 m3", "message 2 m7"]);
    rig.expect_sent(&["history 3 t after 7:7"]);
    // Complete up to 10 and no more, but the live flow was at 11: not joined yet.
    rig.page(3, 7, &[10], 10, false, None);
    rig.expect_sent(&["history 4 t after 7:10"]);
    rig.page(4, 10, &[11, 12], 12, false, None);
    rig.events.clear();
    // What the page held already is dropped by the second listener only.
    rig.block(9, 11, &[12, 13]);
    rig.expect_events(&["message 1 m12", "message 1 m13", "message 2 m13"]);
    rig.expect_sent(&[]);
}

#[test]
fn a_later_latest_listener_asks_where_that_is() {
    let mut rig = listening();
    rig.subscribe("t", Start::Latest);
    rig.expect_sent(&["history 2 t latest"]);
    rig.page(2, 12, &[], 12, false, None);
    rig.expect_events(&["ready 2 live 7:12"]);
    rig.block(9, 10, &[11, 12, 13]);
    rig.expect_events(&["message 1 m11", "message 1 m12", "message 1 m13", "message 2 m13"]);
}

#[test]
fn a_page_that_a_broken_link_swallowed_is_asked_for_again() {
    let mut rig = listening();
    rig.subscribe("t", Start::Last(5));
    rig.reconnect();
    rig.sent.clear();
    rig.say(subscribed(3, 9, Outcome::Resumed, 10));
    rig.expect_sent(&["history 4 t last(5)"]);
    rig.page(4, 5, &[6], 6, true, None);
    rig.reconnect();
    rig.sent.clear();
    rig.say(subscribed(6, 9, Outcome::Resumed, 10));
    rig.expect_sent(&["history 7 t after 7:6"]);
    rig.events.clear();
    rig.page(7, 8, &[9, 10], 10, false, Some(gap(7, 8, GapReason::Retention)));
    rig.expect_events(&["gap 2 7..8 retention", "message 2 m9", "message 2 m10"]);
}

#[test]
fn a_listener_never_holds_more_than_its_bound_and_slows_nobody() {
    let mut rig = listening();
    let options = SubscribeOptions { messages_max: 4, ..SubscribeOptions::default() };
    let bounded = rig.subscribe_with("t", options);
    rig.page(2, 10, &[], 10, false, None);
    rig.forget();
    rig.block(9, 10, &[11, 12, 13, 14, 15, 16]);
    let count = |rig: &Rig, id: ListenerId| {
        rig.events.iter().filter(|event| event.starts_with(&format!("message {}", id.0))).count()
    };
    assert_eq!((count(&rig, ListenerId(1)), count(&rig, bounded)), (6, 4));
    assert!(!rig.client.settled(rig.now, bounded, 1, 3));
    rig.drain();
    rig.expect_sent(&[]);
    assert!(rig.client.settled(rig.now, bounded, 1, 3));
    rig.drain();
    rig.expect_sent(&["history 3 t after 7:14"]);
    rig.block(9, 16, &[17, 18]);
    rig.events.clear();
    // Two fit; the rest of the page is asked for again.
    rig.page(3, 14, &[15, 16, 17, 18], 18, false, None);
    rig.expect_events(&["message 2 m15", "message 2 m16"]);
    rig.client.settled(rig.now, bounded, 4, 12);
    rig.drain();
    rig.expect_sent(&["history 4 t after 7:16"]);
    rig.page(4, 16, &[17, 18], 18, false, None);
    rig.block(9, 18, &[19]);
    rig.expect_events(&["message 2 m17", "message 2 m18", "message 1 m19", "message 2 m19"]);
    assert_eq!(rig.wanted, [4, 2, 4], "no more than it has room for");
}

#[test]
fn bytes_bound_a_listener_too_but_never_stop_it() {
    let mut rig = Rig::online();
    rig.subscribe_with("t", SubscribeOptions { bytes_max: 5, ..SubscribeOptions::default() });
    rig.say(subscribed(1, 9, Outcome::Live, 10));
    rig.events.clear();
    rig.block(9, 10, &[11, 12]);
    rig.expect_events(&["message 1 m11"]);
    rig.client.settled(rig.now, ListenerId(1), 1, 3);
    rig.drain();
    rig.page(2, 11, &[12], 12, false, None);
    rig.expect_events(&["message 1 m12"]);
}

#[test]
fn nothing_is_given_after_unsubscribe_not_even_what_waits() {
    let mut rig = listening();
    rig.subscribe("t", Start::Latest);
    rig.page(2, 10, &[], 10, false, None);
    rig.forget();
    let mut bytes = Vec::new();
    block(9, 10, &records(10, &[11], Tag(0), None)).put(&mut bytes);
    rig.client.handle(rig.now, Input::Received(&bytes));
    rig.client.unsubscribe(rig.now, ListenerId(1));
    let mut messages = 0;
    while let Some(output) = rig.client.poll_output() {
        messages += usize::from(format!("{output:?}").contains("listener: ListenerId(2)"));
        assert!(!format!("{output:?}").contains("listener: ListenerId(1)"));
    }
    assert_eq!(messages, 1);
}

#[test]
fn the_last_unsubscribe_lingers() {
    let mut rig = listening();
    rig.client.unsubscribe(rig.now, ListenerId(1));
    rig.drain();
    rig.expect_sent(&[]);
    assert_eq!(rig.wait(), 1_000);
    rig.expect_sent(&["unsubscribe 2 tail 9"]);
    rig.block(9, 10, &[11]);
    rig.expect_events(&[]);
    // Its number may come back with a new subscription.
    rig.subscribe("t", Start::Latest);
    rig.expect_sent(&["subscribe 3 t latest"]);
    rig.say(HubFrame::Unsubscribed(Unsubscribed {
        request: Request(2),
        tail: TailNumber(9),
        ..Unsubscribed::default()
    }));
    rig.say(subscribed(3, 9, Outcome::Live, 11));
    rig.block(9, 11, &[12]);
    rig.expect_events(&["ready 2 live 7:11", "message 2 m12"]);
}

#[test]
fn a_listener_that_comes_back_in_time_keeps_the_subscription() {
    let mut rig = listening();
    rig.client.unsubscribe(rig.now, ListenerId(1));
    rig.now += 500;
    rig.subscribe("t", Start::Latest);
    rig.now += 1_000;
    rig.input(Input::Timeout);
    rig.expect_sent(&["history 2 t latest"]);
}

#[test]
fn one_left_while_being_asked_for_is_ended_once_it_has_a_number() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.client.unsubscribe(rig.now, ListenerId(1));
    rig.wait();
    rig.expect_sent(&["subscribe 1 t latest"]);
    rig.say(subscribed(1, 9, Outcome::Live, 10));
    rig.expect_sent(&["unsubscribe 2 tail 9"]);
    assert!(rig.events.is_empty());
}

#[test]
fn a_refusal_for_good_ends_its_listeners_and_one_for_now_is_retried() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.say(failed(1, Code::Overloaded, true));
    rig.expect_events(&[]);
    rig.sent.clear();
    assert_eq!(rig.wait(), 50);
    rig.expect_sent(&["subscribe 2 t latest"]);
    rig.say(failed(2, Code::Forbidden, false));
    rig.expect_events(&["refused 1 forbidden"]);
}

#[test]
fn a_subscription_that_the_hub_ends() {
    let mut rig = listening();
    let ended = |retryable| {
        HubFrame::Unsubscribed(Unsubscribed {
            tail: TailNumber(9),
            code: Code::Forbidden,
            retryable,
            ..Unsubscribed::default()
        })
    };
    rig.say(ended(true));
    rig.wait();
    rig.expect_sent(&["subscribe 2 t after 7:10"]);
    rig.say(subscribed(2, 9, Outcome::Resumed, 10));
    rig.expect_events(&[]);
    rig.say(ended(false));
    rig.expect_events(&["refused 1 forbidden"]);
}

#[test]
fn own_messages_are_spared_to_those_who_ask_for_that() {
    let mut rig = Rig::online();
    rig.subscribe_with("t", SubscribeOptions { echo: false, ..SubscribeOptions::default() });
    rig.say(subscribed(1, 9, Outcome::Live, 10));
    rig.events.clear();
    rig.say(block(9, 10, &records(10, &[11], OWN_TAG, None)));
    rig.say(block(9, 11, &records(11, &[12], Tag(6), None)));
    rig.expect_events(&["message 1 m12"]);
}

#[test]
fn own_messages_from_before_a_listener_are_history_to_it() {
    let mut rig = Rig::online();
    rig.publish("t");
    rig.drain();
    rig.say_all(&[opened(1, true, 1), acked(1, 1, 1, 11)]);
    let from = Start::Last(50);
    rig.subscribe_with("t", SubscribeOptions { from, echo: false, ..SubscribeOptions::default() });
    rig.say(subscribed(1, 9, Outcome::Resumed, 10));
    rig.publish("t");
    rig.drain();
    rig.events.clear();
    rig.say(block(9, 10, &records(10, &[11, 12], OWN_TAG, None)));
    rig.say(acked(1, 2, 1, 12));
    rig.expect_events(&["message 1 m11", "published 2 at 12"]);
    // A page tells the same.
    let from = Start::Earliest;
    rig.subscribe_with("t", SubscribeOptions { from, echo: false, ..SubscribeOptions::default() });
    rig.page(2, 10, &[11, 12, 13], 13, false, None);
    assert_eq!(rig.events.iter().filter(|event| event.starts_with("message 2")).count(), 3);
}

#[test]
fn many_readers_take_turns_and_wait_together_where_the_hub_has_no_room() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.say(subscribed(1, 9, Outcome::Live, 100));
    for _ in 0..40 {
        rig.subscribe("t", Start::Earliest);
    }
    let asked =
        |rig: &mut Rig| std::mem::take(&mut rig.sent).iter().filter(|f| f.starts_with("history")).count();
    assert_eq!(asked(&mut rig), 8);
    // One that goes on reading comes behind those that have read nothing.
    rig.page(2, 0, &[10], 10, true, None);
    assert_eq!(rig.sent, ["history 10 t earliest"]);
    assert_eq!(asked(&mut rig), 1);
    (3..=10).for_each(|request| rig.say(failed(request, Code::Overloaded, true)));
    assert_eq!(asked(&mut rig), 0);
    assert_eq!(rig.wait(), 50);
    assert_eq!(rig.sent[0], "history 11 t earliest");
    for request in 11.. {
        if rig.sent.is_empty() {
            break;
        }
        rig.sent.remove(0);
        rig.page(request, 0, &[10, 100], 100, false, None);
    }
    // Each has its one message or two, and none waits on.
    assert_eq!(rig.events.iter().filter(|event| event.ends_with(" m100")).count(), 40);
    assert_eq!(rig.events.iter().filter(|event| event.ends_with(" m10")).count(), 40);
}

#[test]
fn readers_take_turns_in_whatever_topics_they_read() {
    let mut rig = Rig::online();
    for (request, topic) in (1..).zip(["a", "b"]) {
        rig.subscribe(topic, Start::Latest);
        rig.say(subscribed(request, 8 + request, Outcome::Live, 100));
    }
    rig.sent.clear();
    for topic in ["a", "b"].repeat(10) {
        rig.subscribe(topic, Start::Earliest);
    }
    // Each has more to read than it is given, always: ten are asked for of each topic before one is asked again.
    let mut asked = std::mem::take(&mut rig.sent);
    for request in 0..52 {
        let after = request / 20 * 10;
        rig.page(3 + request, after, &[after + 10], after + 10, true, None);
        asked.append(&mut rig.sent);
    }
    assert_eq!(asked.len(), 60);
    for round in asked.chunks(20) {
        assert_eq!(round.iter().filter(|said| said.contains(" a ")).count(), 10, "{round:?}");
    }
}

#[test]
fn an_answer_means_something_only_to_whoever_asked_and_on_its_link() {
    let mut rig = Rig::online();
    rig.subscribe("a", Start::Latest);
    rig.history("b", Start::Earliest, 5);
    rig.events.clear();
    // Each is asked by another, and by nobody.
    rig.page(1, 0, &[1], 1, false, None);
    rig.say_all(&[subscribed(2, 9, Outcome::Live, 10), failed(77, Code::Forbidden, false)]);
    rig.expect_events(&[]);
    rig.sent.clear();
    rig.reconnect();
    rig.expect_sent(&["hello ", "subscribe 3 a latest", "history 4 b earliest"]);
    rig.events.clear();
    rig.say_all(&[subscribed(1, 9, Outcome::Live, 10), failed(2, Code::Forbidden, false)]);
    rig.expect_events(&[]);
    rig.say_all(&[failed(3, Code::Forbidden, false), failed(4, Code::Forbidden, false)]);
    rig.expect_events(&["refused 1 forbidden", "refused 2 forbidden"]);
}

#[test]
fn a_patterns_messages_name_their_topics_and_its_logs_count_apart() {
    let mut rig = Rig::online();
    rig.subscribe("a.*", Start::Latest);
    let other = Position { epoch: Epoch(8), offset: Offset(3) };
    let HubFrame::Subscribed(mut frame) = subscribed(1, 9, Outcome::Live, 10) else { unreachable!() };
    frame.positions.push(other);
    rig.say(HubFrame::Subscribed(frame));
    rig.events.clear();
    let records = records(3, &[4, 5], Tag(0), Some("a.b"));
    rig.say(HubFrame::Block(Block {
        tail: TailNumber(9),
        log: 1,
        named: true,
        prev: Offset(3),
        records: &records,
        ..Block::default()
    }));
    rig.expect_events(&["message 1 m4 in a.b", "message 1 m5 in a.b"]);
    rig.reconnect();
    assert_eq!(rig.sent.last().unwrap(), "subscribe 2 a.* after 7:10,8:5");
}
