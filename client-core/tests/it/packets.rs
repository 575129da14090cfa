//! What a packet may hold, and messages that end the links they are sent on.

use tidewire_client_core::input::Input;
use tidewire_protocol::hub_frame::Welcome;
use tidewire_protocol::position::Start;

use crate::rig::{Rig, acked, duplicate, opened};

fn takes(frame_bytes_max: u64) -> Welcome<'static> {
    Welcome { frame_bytes_max, in_flight_max: 100, ..Welcome::default() }
}

/// Online at a hub that takes frames of this size, with nothing sent yet.
fn online(frame_bytes_max: u64) -> Rig {
    Rig::online_with(takes(frame_bytes_max))
}

/// The link is closed with this code, and the next one begins.
fn closed(rig: &mut Rig, code: u16, frame_bytes_max: u64) {
    rig.input(Input::LinkClosed { code });
    rig.wait();
    rig.forget();
    rig.sign_in_with(takes(frame_bytes_max));
}

#[test]
fn packets_stay_within_what_the_hub_takes() {
    let mut rig = online(500);
    for _ in 0..20 {
        rig.publish_bytes("t", 100);
    }
    rig.drain();
    assert!((300..=500).contains(&rig.packet_bytes_max), "{}", rig.packet_bytes_max);
    assert_eq!(rig.sent.len(), 21);
}

#[test]
fn a_message_that_no_packet_can_carry_fails_alone() {
    let mut rig = online(500);
    rig.publish_bytes("t", 10);
    rig.publish_bytes("t", 490);
    rig.publish_bytes("t", 10);
    rig.drain();
    rig.expect_events(&["failed 2 too_large"]);
    rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1", "publish 1 #2 void", "publish 1 #3"]);
}

#[test]
fn a_message_that_was_sent_and_that_no_packet_can_carry_any_more_is_replaced_by_a_void() {
    let mut rig = online(0);
    rig.publish_bytes("t", 490);
    rig.publish_bytes("t", 490);
    rig.publish_bytes("t", 10);
    rig.drain();
    rig.forget();
    rig.reconnect_with(takes(500));
    rig.say(opened(1, false, 2));
    rig.expect_sent(&[
        "hello ",
        "open 1 t lowest 1",
        "publish 1 #1 void",
        "publish 1 #2 void",
        "publish 1 #3",
    ]);
    rig.events.clear();
    // The first had landed while the hub still took it.
    rig.say_all(&[duplicate(1, 1, 5), acked(1, 2, 1, 0), acked(1, 3, 1, 6)]);
    rig.expect_events(&["published 1 at 5 duplicate", "failed 2 too_large", "published 3 at 6"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn a_message_that_ends_its_link_is_found_out_and_the_others_arrive() {
    let mut rig = online(0);
    for _ in 0..3 {
        rig.publish("t");
    }
    rig.publish_bytes("u", 50_000);
    rig.drain();
    closed(&mut rig, 1009, 0);
    rig.expect_sent(&["hello ", "open 1 t lowest 1", "open 2 u lowest 1"]);
    // Each goes alone, once the hub has shown that it took all that went before.
    rig.say_all(&[opened(1, true, 1), opened(2, true, 1)]);
    rig.expect_sent(&["publish 1 #1 maybe"]);
    rig.say(acked(1, 1, 1, 1));
    rig.expect_sent(&["publish 1 #2 lowest 2 maybe"]);
    rig.say(acked(1, 2, 1, 2));
    rig.sent.clear();
    rig.say(acked(1, 3, 1, 3));
    rig.expect_sent(&["publish 2 #1 maybe"]);
    closed(&mut rig, 1009, 0);
    rig.expect_sent(&["hello ", "open 2 u lowest 1"]);
    rig.say(opened(2, false, 1));
    rig.expect_sent(&["publish 2 #1 maybe void"]);
    rig.events.clear();
    rig.say(acked(2, 1, 1, 0));
    rig.expect_events(&["failed 4 too_large"]);
    for _ in 0..3 {
        rig.publish("u");
    }
    rig.sent.clear();
    rig.drain();
    rig.expect_sent(&["publish 2 #2 lowest 2", "publish 2 #3", "publish 2 #4"]);
}

#[test]
fn a_message_that_ends_its_link_is_told_by_the_code_that_it_was_closed_with() {
    let mut rig = online(0);
    rig.publish("t");
    rig.drain();
    closed(&mut rig, 4001, 0);
    rig.say(opened(1, false, 1));
    closed(&mut rig, 4001, 0);
    rig.say(opened(1, false, 1));
    rig.events.clear();
    rig.say(acked(1, 1, 1, 0));
    rig.expect_events(&["failed 1 bad_frame"]);
}

#[test]
fn packets_that_are_too_large_for_something_on_the_way_become_small() {
    let mut rig = online(0);
    for _ in 0..90 {
        rig.publish_bytes("t", 1_000);
    }
    rig.drain();
    let mut stored = 0;
    // Something between here and the hub takes 1,500 bytes at most; the hub is not to blame, and knows nothing.
    for _ in 0..10 {
        if rig.packet_bytes_max <= 1_500 {
            break;
        }
        rig.packet_bytes_max = 0;
        closed(&mut rig, 1009, 0);
        rig.say(opened(1, false, stored + 1));
        while !rig.client.is_flushed() && rig.packet_bytes_max <= 1_500 {
            stored += 1;
            rig.say(acked(1, stored, 1, stored));
        }
    }
    assert!(rig.client.is_flushed());
    assert!(!rig.events.iter().any(|event| event.starts_with("failed")));
}

#[test]
fn a_question_that_ends_links_is_not_blamed_on_a_message() {
    let mut rig = online(0);
    rig.publish("t");
    rig.drain();
    rig.subscribe("a", Default::default());
    for _ in 0..5 {
        closed(&mut rig, 4001, 0);
        // It ends the link before anything is answered.
        rig.expect_sent(&["hello ", rig.sent[1].clone().as_str(), "open 1 t lowest 1"]);
    }
    rig.events.clear();
    rig.input(Input::LinkClosed { code: 4001 });
    rig.expect_events(&[
        "Closed { fault: Some(Protocol(BadFrame)) }",
        "failed 1 bad_frame",
        "refused 1 bad_frame",
    ]);
}

#[test]
fn questions_share_packets_within_what_the_hub_takes() {
    let mut rig = online(500);
    let name = "a.topic.with.a.rather.long.name.".repeat(5) + "x";
    for _ in 0..100 {
        rig.client.history(rig.now, &name, Start::Earliest, 1).unwrap();
    }
    rig.drain();
    assert_eq!((rig.sent.len(), rig.packets > 2), (8, true));
    assert!(rig.packet_bytes_max <= 500, "{}", rig.packet_bytes_max);
    // The next is asked when one has its answer.
    rig.page(1, 10, &[11], 11, false, None);
    assert_eq!(rig.sent.len(), 9);
}
