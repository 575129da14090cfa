//! Publishing: order, windows, refusals, and what becomes of each message.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::{Options, OutboxOptions, WhenFull};
use tidewire_protocol::code::Code;

use crate::rig::{OWN, Rig, acked, duplicate, opened, refused, text, welcome};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{HubFrame, Welcome};
use tidewire_protocol::number::{Incarnation, Seq};

/// Online, with messages 1 to `count` of topic `t` sent as far as the hub lets them.
fn publishing(count: u64) -> Rig {
    let mut rig = Rig::online();
    for _ in 0..count {
        rig.publish("t");
    }
    rig.drain();
    rig.say(opened(1, true, 1));
    rig
}

#[test]
fn new_messages_follow_open_at_once_and_in_order() {
    let mut rig = Rig::online();
    for _ in 0..3 {
        rig.publish("t");
    }
    rig.publish("u");
    rig.drain();
    assert_eq!(rig.packets, 2);
    rig.expect_sent(&[
        "open 1 t lowest 1",
        "open 2 u lowest 1",
        "publish 1 #1",
        "publish 1 #2",
        "publish 1 #3",
        "publish 2 #1",
    ]);
    rig.say_all(&[
        opened(1, true, 1),
        acked(1, 1, 2, 10),
        opened(2, true, 1),
        acked(2, 1, 1, 12),
        acked(1, 3, 1, 13),
    ]);
    rig.expect_events(&["published 1 at 10", "published 2 at 11", "published 4 at 12", "published 3 at 13"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn no_more_are_in_flight_than_the_hub_takes_and_lowest_is_told_once() {
    let mut rig = publishing(7);
    rig.sent.clear();
    rig.say(acked(1, 1, 2, 1));
    rig.expect_sent(&["publish 1 #5 lowest 3", "publish 1 #6"]);
}

#[test]
fn a_packet_gathers_many_messages_but_not_too_many() {
    let mut rig = Rig::new(Options::default());
    for _ in 0..400 {
        rig.publish_bytes("t", 100);
    }
    rig.publish_bytes("u", 50_000);
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.packets = 0;
    rig.say(HubFrame::Welcome(Welcome { in_flight_max: 1_000, ..Welcome::default() }));
    // 400 messages of about 110 bytes are three packets; the large one goes alone.
    assert_eq!(rig.packets, 4);
    assert!((50_000..51_000).contains(&rig.packet_bytes_max));
}

#[test]
fn bytes_in_flight_are_bounded() {
    let mut rig = Rig::new(Options {
        outbox: OutboxOptions { bytes_max: 1 << 30, ..Default::default() },
        ..Options::default()
    });
    for _ in 0..5 {
        rig.publish_bytes("t", 400 << 10);
    }
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.sent.clear();
    rig.say(HubFrame::Welcome(Welcome { in_flight_max: 1_000, ..Welcome::default() }));
    rig.expect_sent(&["publish 1 #1", "publish 1 #2"]);
    rig.say_all(&[opened(1, true, 1), acked(1, 1, 1, 1)]);
    rig.expect_sent(&["publish 1 #3 lowest 2"]);
}

#[test]
fn a_void_in_the_place_of_what_was_answered_is_no_bytes_in_flight() {
    let welcome = Welcome { in_flight_max: 1_000, ..Welcome::default() };
    let mut rig = Rig::online_with(welcome.clone());
    rig.publish("t");
    rig.publish_bytes("t", 400 << 10);
    rig.publish_bytes("t", 400 << 10);
    rig.drain();
    rig.say_all(&[opened(1, true, 1), acked(1, 2, 2, 8)]);
    rig.publish("t");
    rig.drain();
    rig.reconnect_with(welcome);
    rig.forget();
    rig.say(opened(1, false, 1));
    rig.expect_sent(&["publish 1 #1", "publish 1 #2 void", "publish 1 #3 void", "publish 1 #4"]);
    rig.say(acked(1, 2, 2, 0));
    rig.publish_bytes("t", 400 << 10);
    rig.publish_bytes("t", 400 << 10);
    rig.drain();
    rig.expect_sent(&["publish 1 #5", "publish 1 #6"]);
}

#[test]
fn what_was_sent_waits_for_opened_and_is_answered_as_duplicate() {
    let mut rig = publishing(2);
    rig.sent.clear();
    rig.reconnect();
    rig.publish("t");
    rig.drain();
    rig.expect_sent(&["hello ", "open 1 t lowest 1"]);
    rig.say(opened(1, false, 3));
    rig.expect_sent(&["publish 1 #1", "publish 1 #2", "publish 1 #3"]);
    rig.events.clear();
    rig.say_all(&[duplicate(1, 1, 10), duplicate(1, 2, 11), acked(1, 3, 1, 12)]);
    rig.expect_events(&["published 1 at 10 duplicate", "published 2 at 11 duplicate", "published 3 at 12"]);
}

#[test]
fn a_hub_that_forgot_gets_what_was_sent_marked_and_what_is_new_unmarked() {
    let mut rig = publishing(2);
    rig.sent.clear();
    rig.reconnect();
    rig.publish("t");
    rig.say(opened(1, true, 1));
    rig.expect_sent(&[
        "hello ",
        "open 1 t lowest 1",
        "publish 1 #1 maybe",
        "publish 1 #2 maybe",
        "publish 1 #3",
    ]);
    rig.reconnect();
    rig.say(opened(1, false, 1));
    rig.events.clear();
    rig.say(acked(1, 1, 3, 1));
    rig.expect_events(&["published 1 at 1 maybe", "published 2 at 2 maybe", "published 3 at 3"]);
}

#[test]
fn a_seq_whose_message_is_done_is_used_up_again_at_a_hub_that_forgot() {
    let mut rig = publishing(3);
    rig.say(refused(1, 2, 1, Code::Forbidden, true));
    rig.sent.clear();
    rig.reconnect();
    rig.say(opened(1, true, 1));
    rig.expect_sent(&[
        "hello ",
        "open 1 t lowest 1",
        "publish 1 #1 maybe",
        "publish 1 #2 void",
        "publish 1 #3 maybe",
    ]);
    rig.events.clear();
    rig.say_all(&[acked(1, 1, 1, 1), acked(1, 2, 1, 0), acked(1, 3, 1, 2)]);
    rig.expect_events(&["published 1 at 1 maybe", "published 3 at 2 maybe"]);
    rig.publish("t");
    rig.drain();
    rig.expect_sent(&["publish 1 #4 lowest 4"]);
}

#[test]
fn a_final_refusal_takes_its_message_only() {
    let mut rig = publishing(3);
    rig.sent.clear();
    rig.say_all(&[acked(1, 1, 1, 1), refused(1, 2, 1, Code::Forbidden, true), acked(1, 3, 1, 2)]);
    rig.expect_events(&["published 1 at 1", "failed 2 forbidden", "published 3 at 2"]);
    rig.publish("t");
    rig.drain();
    rig.expect_sent(&["publish 1 #4 lowest 4"]);
}

#[test]
fn a_refusal_for_now_is_gone_back_to_in_order_once_all_is_answered() {
    let mut rig = publishing(4);
    rig.sent.clear();
    rig.say_all(&[
        acked(1, 1, 1, 1),
        refused(1, 2, 1, Code::RateLimited, false),
        refused(1, 3, 1, Code::OutOfOrder, false),
    ]);
    assert_eq!(rig.wait(), 50);
    // The fourth is not answered yet, so its answer could be taken for one to the next try.
    rig.expect_sent(&[]);
    rig.say(refused(1, 4, 1, Code::OutOfOrder, false));
    // As many as were taken before it.
    rig.expect_sent(&["publish 1 #2 lowest 2"]);
    rig.say(refused(1, 2, 1, Code::RateLimited, false));
    assert_eq!(rig.wait(), 50);
    assert_eq!(rig.wait(), 50);
    // A hub may have refused the publish before it read what else that said.
    rig.expect_sent(&["publish 1 #2 lowest 2"]);
    rig.events.clear();
    rig.say(acked(1, 2, 1, 2));
    rig.expect_sent(&["publish 1 #3 lowest 3"]);
    rig.say(acked(1, 3, 1, 3));
    rig.expect_sent(&["publish 1 #4 lowest 4"]);
    rig.say(acked(1, 4, 1, 4));
    rig.expect_events(&["published 2 at 2", "published 3 at 3", "published 4 at 4"]);
}

#[test]
fn what_was_answered_behind_a_refusal_for_now_is_not_sent_again() {
    let mut rig = publishing(3);
    rig.say_all(&[refused(1, 1, 1, Code::NotStored, false), refused(1, 2, 1, Code::Forbidden, true)]);
    rig.say(refused(1, 3, 1, Code::OutOfOrder, false));
    rig.sent.clear();
    rig.wait();
    rig.expect_sent(&["publish 1 #1 lowest 1", "publish 1 #3"]);
    rig.say_all(&[acked(1, 1, 1, 1), acked(1, 3, 1, 2)]);
    assert!(rig.client.is_flushed());
}

#[test]
fn what_was_refused_for_now_takes_no_room_from_other_topics() {
    let mut rig = Rig::online_with(Welcome { in_flight_max: 64, ..Welcome::default() });
    rig.publish_bytes("full", 400 << 10);
    rig.publish_bytes("full", 400 << 10);
    rig.drain();
    rig.say_all(&[
        opened(1, true, 1),
        refused(1, 1, 1, Code::Overloaded, false),
        refused(1, 2, 1, Code::OutOfOrder, false),
    ]);
    rig.sent.clear();
    rig.publish_bytes("t", 400 << 10);
    rig.publish_bytes("t", 400 << 10);
    rig.drain();
    rig.expect_sent(&["open 2 t lowest 1", "publish 2 #1", "publish 2 #2"]);
}

#[test]
fn waits_as_long_as_a_refusal_asks() {
    let mut rig = publishing(1);
    let HubFrame::Refused(mut frame) = refused(1, 1, 1, Code::Overloaded, false) else { unreachable!() };
    frame.retry_after_ms = 700;
    rig.say(HubFrame::Refused(frame));
    assert_eq!(rig.wait(), 700);
}

#[test]
fn a_handle_refused_for_now_is_asked_for_again() {
    let mut rig = Rig::online();
    rig.publish("t");
    rig.drain();
    rig.sent.clear();
    rig.say_all(&[refused(1, 0, 1, Code::Overloaded, false), refused(1, 1, 1, Code::UnknownNumber, false)]);
    assert_eq!(rig.wait(), 50);
    // It has a seq now, so the hub has to say what it knows of it.
    rig.expect_sent(&["open 1 t lowest 1"]);
    rig.say(opened(1, false, 1));
    rig.expect_sent(&["publish 1 #1"]);
}

#[test]
fn a_handle_refused_for_good_fails_its_messages_and_no_others() {
    let mut rig = Rig::online();
    rig.publish("secret");
    rig.publish("t");
    rig.drain();
    rig.say_all(&[refused(1, 0, 1, Code::Forbidden, false), opened(2, true, 1), acked(2, 1, 1, 1)]);
    rig.expect_events(&["failed 1 forbidden", "published 2 at 1"]);
    rig.sent.clear();
    // The handle's number is free again once what was sent on it is answered, and what the hub knows of the
    // topic is not known now, so the seq is the hub's to say.
    rig.publish("secret");
    rig.drain();
    rig.expect_sent(&[]);
    rig.say(refused(1, 1, 1, Code::UnknownNumber, false));
    rig.expect_sent(&["open 1 secret lowest 1"]);
    rig.say(opened(1, false, 6));
    rig.expect_sent(&["publish 1 #6 lowest 6"]);
}

#[test]
fn fenced_is_final_for_all_that_waits_there() {
    let mut rig = publishing(2);
    rig.say(refused(1, 1, 1, Code::Fenced, false));
    rig.expect_events(&["failed 1 fenced", "failed 2 fenced"]);
    assert_eq!(rig.sent.last().unwrap(), "shut 1");
}

#[test]
fn a_hub_that_never_takes_its_next_seq_is_left() {
    let mut rig = publishing(1);
    rig.say(refused(1, 1, 1, Code::OutOfOrder, false));
    rig.expect_asked(&["close 4001"]);
}

#[test]
fn what_is_too_large_fails_at_once_and_a_void_takes_its_place() {
    let mut rig = Rig::online();
    rig.publish_bytes("t", 1_001);
    rig.publish_bytes("t", 1_000);
    rig.drain();
    rig.expect_events(&["failed 1 too_large"]);
    rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1 void", "publish 1 #2"]);
}

#[test]
fn cancelled_before_it_was_sent_it_fails_at_once_and_a_void_takes_its_place() {
    let mut rig = Rig::new(Options::default());
    let (first, second) = (rig.publish("t"), rig.publish("t"));
    rig.client.cancel(rig.now, OWN, first);
    rig.drain();
    rig.expect_events(&["Connecting", "failed 1 cancelled"]);
    assert_eq!(rig.client.outbox_state(), (1, 3));
    rig.input(Input::LinkOpened);
    rig.sent.clear();
    rig.say(welcome());
    rig.expect_sent(&["publish 1 #1 void", "publish 1 #2"]);
    rig.say_all(&[acked(1, 1, 1, 0), acked(1, 2, 1, 9)]);
    assert_eq!((rig.events.last().unwrap().as_str(), second.0), ("published 2 at 9", 2));
    assert!(rig.client.is_flushed());
}

#[test]
fn voids_are_sent_only_for_those_behind_them() {
    let mut rig = Rig::online();
    let ids: Vec<_> = (0..3).map(|_| rig.publish("t")).collect();
    ids.iter().for_each(|id| rig.client.cancel(rig.now, OWN, *id));
    rig.drain();
    rig.expect_sent(&[]);
    rig.publish("t");
    rig.drain();
    let sent = ["publish 1 #1 void", "publish 1 #2 void", "publish 1 #3 void", "publish 1 #4"];
    rig.expect_sent(&[&["open 1 t lowest 1"][..], &sent].concat());
}

#[test]
fn a_hub_that_knows_runs_of_voids_hears_of_them_in_one_frame_each() {
    let mut rig = Rig::new(Options::default());
    let ids: Vec<_> = (0..12).map(|_| rig.publish("t")).collect();
    for place in [1, 4, 2, 3, 5, 6, 7, 8, 10] {
        rig.client.cancel(rig.now, OWN, ids[place]);
    }
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.forget();
    let features = feature::VOID_RUNS;
    rig.say(HubFrame::Welcome(Welcome { in_flight_max: 6, features, ..Welcome::default() }));
    // No more seqs are in flight than the hub takes.
    rig.expect_sent(&["publish 1 #1", "publish 1 #2 void of 5"]);
    rig.say_all(&[opened(1, true, 1), acked(1, 1, 1, 10), acked(1, 2, 5, 0)]);
    rig.expect_sent(&[
        "publish 1 #7 lowest 7 void of 3",
        "publish 1 #10",
        "publish 1 #11 void",
        "publish 1 #12",
    ]);
}

#[test]
fn a_full_outbox_that_drops_for_days_takes_no_more_room_and_still_goes_out_in_order() {
    let outbox = OutboxOptions { count_max: 3, when_full: WhenFull::DropOldest, ..OutboxOptions::default() };
    let mut rig = Rig::new(Options { outbox, ..Options::default() });
    for _ in 0..200_000 {
        rig.publish("t");
    }
    rig.drain();
    rig.input(Input::LinkOpened);
    rig.forget();
    let features = feature::VOID_RUNS;
    rig.say(HubFrame::Welcome(Welcome { in_flight_max: 1 << 20, features, ..Welcome::default() }));
    rig.expect_sent(&[
        "publish 1 #1 void of 199997",
        "publish 1 #199998",
        "publish 1 #199999",
        "publish 1 #200000",
    ]);
}

#[test]
fn a_client_that_takes_over_sends_again_under_the_seqs_of_the_one_before() {
    let mut rig = publishing(4);
    assert_eq!(rig.seqs, [1, 2, 3, 4]);
    // The third has its outcome, and the fifth and sixth were never sent; what the first client sent last was a void.
    let options = Options { incarnation: Incarnation(2), ..Options::default() };
    rig = Rig::new(options);
    for (id, seq) in [(1, 1), (2, 2), (4, 4)] {
        rig.client.window(OWN, "t", Seq(seq), 1);
        rig.take(id, "t");
    }
    rig.take(6, "t");
    rig.take(7, "u");
    rig.drain();
    rig.sign_in();
    rig.expect_sent(&["hello ", "open 1 t lowest 1", "open 2 u lowest 1"]);
    rig.say_all(&[opened(1, false, 6), opened(2, true, 1)]);
    rig.expect_sent(&["publish 1 #1", "publish 1 #2", "publish 1 #3 void", "publish 1 #4", "publish 2 #1"]);
    rig.events.clear();
    rig.say_all(&[duplicate(1, 1, 10), duplicate(1, 2, 11), duplicate(1, 3, 12), duplicate(1, 4, 13)]);
    rig.expect_events(&[
        "published 1 at 10 duplicate",
        "published 2 at 11 duplicate",
        "published 4 at 13 duplicate",
    ]);
    rig.expect_sent(&["publish 1 #6 lowest 6"]);
    assert_eq!(rig.publish("t").0, 8);
}

#[test]
fn a_client_that_takes_over_at_a_hub_that_forgot_marks_what_was_sent() {
    let mut rig = Rig::new(Options { incarnation: Incarnation(2), ..Options::default() });
    rig.client.window(OWN, "t", Seq(5), 1);
    rig.take(1, "t");
    rig.client.window(OWN, "t", Seq(7), 1);
    rig.take(3, "t");
    rig.take(4, "t");
    rig.drain();
    rig.sign_in();
    rig.say(opened(1, true, 5));
    let sent = ["publish 1 #5 maybe", "publish 1 #6 void", "publish 1 #7 maybe", "publish 1 #8"];
    rig.expect_sent(&[&["hello ", "open 1 t lowest 5"][..], &sent].concat());
}

#[test]
fn cancelled_after_it_was_sent_a_void_takes_its_place() {
    let mut rig = publishing(3);
    rig.client.cancel(rig.now, OWN, tidewire_client_core::output::PublishId(1));
    rig.client.cancel(rig.now, OWN, tidewire_client_core::output::PublishId(2));
    rig.drain();
    rig.sent.clear();
    rig.events.clear();
    rig.reconnect();
    rig.say(opened(1, false, 2));
    rig.expect_sent(&[
        "hello ",
        "open 1 t lowest 1",
        "publish 1 #1 void",
        "publish 1 #2 void",
        "publish 1 #3",
    ]);
    rig.events.clear();
    // The first had landed before; the second had not.
    rig.say_all(&[duplicate(1, 1, 10), acked(1, 2, 1, 0), acked(1, 3, 1, 11)]);
    rig.expect_events(&["published 1 at 10 duplicate", "failed 2 cancelled", "published 3 at 11"]);
}

#[test]
fn a_full_outbox_refuses() {
    let outbox = OutboxOptions { count_max: 2, ..OutboxOptions::default() };
    let mut rig = Rig::new(Options { outbox, ..Options::default() });
    rig.publish("t");
    rig.publish("t");
    let refused = rig.client.publish(rig.now, &text("t", 1));
    assert_eq!(refused.unwrap_err().name(), "outbox_full");
}

#[test]
fn what_an_outbox_never_has_room_for_is_refused_for_good_and_costs_nothing() {
    for when_full in [WhenFull::Reject, WhenFull::DropOldest] {
        let outbox = OutboxOptions { bytes_max: 9, when_full, ..OutboxOptions::default() };
        let mut rig = Rig::new(Options { outbox, ..Options::default() });
        rig.publish("t");
        let refused = rig.client.publish(rig.now, &text("t", 10)).unwrap_err();
        assert_eq!((refused.name(), refused.retryable()), ("larger_than_outbox", false));
        rig.drain();
        rig.expect_events(&["Connecting"]);
    }
}

#[test]
fn a_full_outbox_drops_the_oldest_of_all_topics_but_nothing_that_was_sent() {
    let outbox = OutboxOptions { bytes_max: 9, when_full: WhenFull::DropOldest, ..OutboxOptions::default() };
    let mut rig = Rig::new(Options { outbox, ..Options::default() });
    rig.publish("t");
    rig.publish("u");
    rig.publish("t");
    rig.publish("t");
    rig.drain();
    rig.expect_events(&["Connecting", "failed 1 dropped"]);
    rig.sign_in();
    rig.events.clear();
    let refused = rig.client.publish(rig.now, &text("t", 1));
    assert_eq!(refused.unwrap_err().name(), "outbox_full");
}

#[test]
fn idle_topics_make_room_and_come_back_with_the_seq_that_the_hub_says() {
    let mut rig = Rig::online();
    for topic in 0..1_024u64 {
        rig.publish(&format!("t{topic}"));
        rig.drain();
        rig.say_all(&[opened(topic + 1, true, 1), acked(topic + 1, 1, 1, topic + 1)]);
    }
    assert!(rig.client.is_flushed());
    rig.sent.clear();
    // The longest unused makes room. From now on a topic that is not here may be one that was forgotten.
    rig.publish("new");
    rig.drain();
    rig.expect_sent(&["shut 1", "open 1 new lowest 1"]);
    rig.say(opened(1, true, 1));
    rig.expect_sent(&["publish 1 #1"]);
    rig.publish("t0");
    rig.drain();
    rig.expect_sent(&["shut 2", "open 2 t0 lowest 1"]);
    rig.say(opened(2, false, 2));
    rig.expect_sent(&["publish 2 #2 lowest 2"]);
}

#[test]
fn a_topic_that_the_hub_may_know_waits_like_any_other_when_it_is_refused() {
    let mut rig = Rig::new(Options { incarnation: Incarnation(2), ..Options::default() });
    rig.publish("t");
    rig.drain();
    rig.sign_in();
    rig.sent.clear();
    rig.say(refused(1, 0, 1, Code::Overloaded, false));
    rig.expect_sent(&[]);
    assert_eq!(rig.wait(), 50);
    rig.expect_sent(&["open 1 t lowest 1"]);
    rig.say(opened(1, false, 5));
    rig.expect_sent(&["publish 1 #5 lowest 5"]);
}

#[test]
fn a_hub_that_goes_back_to_what_an_earlier_owner_had_sent_is_told_what_is_wanted() {
    let mut rig = Rig::new(Options { incarnation: Incarnation(2), ..Options::default() });
    rig.client.window(OWN, "t", Seq(5), 1);
    rig.take(1, "t");
    rig.take(2, "t");
    rig.drain();
    rig.sign_in();
    // The earlier owner has sent one more, which the log does not store.
    rig.say(opened(1, false, 7));
    rig.expect_sent(&["hello ", "open 1 t lowest 5", "publish 1 #5", "publish 1 #7"]);
    rig.events.clear();
    rig.say_all(&[acked(1, 5, 1, 10), refused(1, 7, 1, Code::OutOfOrder, false)]);
    rig.expect_events(&["published 1 at 10"]);
    rig.wait();
    rig.expect_sent(&["publish 1 #7 lowest 7"]);
    // Whoever goes back once more breaks the protocol.
    rig.say(refused(1, 7, 1, Code::OutOfOrder, false));
    rig.expect_asked(&["open", "close 4001"]);
}
