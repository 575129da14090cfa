//! Batches: all of their messages are sent, or none, and whatever cuts in, no part of one goes out alone.

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::input::Input;
use tidewire_client_core::options::{Options, OutboxOptions, WhenFull};
use tidewire_client_core::output::PublishId;
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::Welcome;
use tidewire_protocol::number::Seq;

use crate::rig::{OWN, Rig, WELCOME, acked, duplicate, opened, refused, text};

/// How a hub welcomes that takes batches.
const TAKES: Welcome<'static> = Welcome { features: feature::BATCHES, ..WELCOME };

/// Online, with a message acknowledged in each of the topics `t` and `u`.
fn online() -> Rig {
    let mut rig = Rig::online_with(TAKES);
    rig.publish("t");
    rig.publish("u");
    rig.drain();
    rig.say_all(&[opened(1, true, 1), acked(1, 1, 1, 1), opened(2, true, 1), acked(2, 1, 1, 2)]);
    rig.forget();
    rig
}

#[test]
fn a_batch_follows_the_opens_of_its_topics() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_batch(&["t", "u", "t"]);
    rig.drain();
    rig.expect_sent(&[
        "open 1 t lowest 1",
        "open 2 u lowest 1",
        "batch 3",
        "publish 1 #1",
        "publish 1 #2",
        "publish 2 #1",
    ]);
    rig.say_all(&[opened(1, true, 1), acked(1, 1, 2, 5), opened(2, true, 1), acked(2, 1, 1, 7)]);
    rig.expect_events(&["published 1 at 5", "published 3 at 6", "published 2 at 7"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn a_batch_waits_until_all_of_it_is_next_and_what_is_behind_waits_with_it() {
    let mut rig = online();
    for _ in 0..4 {
        rig.publish("t");
    }
    rig.publish_batch(&["u", "t"]);
    rig.publish("u");
    rig.publish_batch(&["t", "u"]);
    rig.drain();
    rig.expect_sent(&["publish 1 #2 lowest 2", "publish 1 #3", "publish 1 #4", "publish 1 #5"]);
    rig.sent.clear();
    rig.say(acked(1, 2, 4, 3));
    rig.expect_sent(&[
        "batch 2",
        "publish 1 #6 lowest 6",
        "publish 2 #2 lowest 2",
        "publish 2 #3",
        "batch 2",
        "publish 1 #7",
        "publish 2 #4",
    ]);
}

#[test]
fn a_batch_that_is_refused_for_now_comes_again_as_one() {
    let mut rig = online();
    rig.publish_batch(&["t", "u"]);
    rig.drain();
    rig.sent.clear();
    let code = Code::Overloaded;
    rig.say_all(&[refused(1, 2, 1, code, false), refused(2, 2, 1, code, false)]);
    rig.expect_sent(&[]);
    rig.wait();
    rig.expect_sent(&["batch 2", "publish 1 #2 lowest 2", "publish 2 #2 lowest 2"]);
    rig.sent.clear();
    // One of its topics may go on sooner than the other.
    rig.say_all(&[refused(1, 2, 1, code, false)]);
    rig.wait();
    rig.expect_sent(&[]);
    rig.say(refused(2, 2, 1, Code::NotStored, false));
    rig.wait();
    rig.expect_sent(&["batch 2", "publish 1 #2 lowest 2", "publish 2 #2 lowest 2"]);
}

#[test]
fn what_lost_its_outcome_is_asked_for_and_never_published_alone() {
    for (answer, event) in [
        (duplicate(2, 2, 4), "published 4 at 4 duplicate"),
        (acked(2, 2, 1, 0), "failed 4 outcome_forgotten"),
        (refused(2, 2, 1, Code::Forbidden, true), "failed 4 forbidden"),
    ] {
        let mut rig = online();
        rig.publish_batch(&["t", "u"]);
        rig.drain();
        rig.say(acked(1, 2, 1, 3));
        rig.forget();
        rig.reconnect_with(TAKES);
        rig.expect_sent(&["hello ", "open 2 u lowest 2"]);
        rig.sent.clear();
        let forgot = event.contains("forgotten");
        rig.say(opened(2, forgot, 3));
        rig.expect_sent(&[if forgot { "publish 2 #2 maybe void" } else { "publish 2 #2 void" }]);
        rig.events.clear();
        rig.say(answer);
        rig.expect_events(&[event]);
    }
}

#[test]
fn a_batch_that_was_cut_off_comes_again_as_one_and_marked_where_the_hub_forgot() {
    let mut rig = online();
    rig.publish_batch(&["t", "u"]);
    rig.drain();
    rig.sent.clear();
    rig.reconnect_with(TAKES);
    rig.say(opened(1, false, 2));
    rig.expect_sent(&["hello ", "open 1 t lowest 2", "open 2 u lowest 2"]);
    rig.sent.clear();
    rig.say(opened(2, true, 2));
    rig.expect_sent(&["batch 2", "publish 1 #2", "publish 2 #2 maybe"]);
}

#[test]
fn where_one_topic_is_closed_the_whole_batch_fails() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_batch(&["t", "u", "v"]);
    rig.drain();
    let none = refused(2, 0, 0, Code::Forbidden, false);
    rig.sent.clear();
    rig.say_all(&[
        opened(1, true, 1),
        refused(1, 1, 1, Code::NotStored, false),
        none,
        refused(2, 1, 1, Code::UnknownNumber, false),
        opened(3, true, 1),
        refused(3, 1, 1, Code::NotStored, false),
    ]);
    rig.expect_events(&["failed 2 forbidden"]);
    rig.events.clear();
    rig.wait();
    // The others had been sent: their seqs are used up by voids.
    rig.expect_sent(&["publish 1 #1 lowest 1 void", "publish 3 #1 lowest 1 void"]);
    rig.say_all(&[acked(1, 1, 1, 0), acked(3, 1, 1, 0)]);
    rig.expect_events(&["failed 1 outcome_forgotten", "failed 3 outcome_forgotten"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn one_withdrawn_takes_its_batch_along() {
    let mut rig = online();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.events.clear();
    let first = rig.publish_batch(&["t", "u", "t"]);
    rig.client.cancel(rig.now, OWN, PublishId(first.0 + 1));
    rig.drain();
    rig.events.sort();
    rig.expect_events(&["failed 3 cancelled", "failed 4 cancelled", "failed 5 cancelled"]);
    assert_eq!(rig.client.outbox_state(), (0, 0));
}

#[test]
fn what_the_hub_cannot_take_fails_whole() {
    for (welcome, lens, code) in [
        (WELCOME, [3, 3], "not_supported"),
        (TAKES, [3, 1_001], "too_large"),
        (Welcome { frame_bytes_max: 1_500, ..TAKES }, [900, 900], "too_large"),
    ] {
        let mut rig = Rig::online_with(welcome);
        let messages = [text("t", lens[0]), text("u", lens[1])];
        rig.client.publish_batch(rig.now, &messages).unwrap();
        rig.drain();
        rig.expect_sent(&["open 1 t lowest 1", "open 2 u lowest 1"]);
        rig.expect_events(&[&format!("failed 1 {code}"), &format!("failed 2 {code}")]);
    }
    // More to one topic than may be on their way at once.
    let mut rig = Rig::online_with(TAKES);
    rig.publish_batch(&["t"; 5]);
    rig.drain();
    assert_eq!(rig.events.len(), 5);
    assert_eq!(rig.client.outbox_state(), (0, 0));
}

#[test]
fn a_batch_is_taken_in_whole_or_not_at_all() {
    let outbox = OutboxOptions { count_max: 3, ..OutboxOptions::default() };
    let options = Options { outbox, ..Options::default() };
    let message = |topic| text(topic, 3);
    let mut rig = Rig::new(options.clone());
    rig.publish("t");
    let now = rig.now;
    let full = rig.client.publish_batch(now, &[message("t"), message("u"), message("t")]);
    assert_eq!(full, Err(Fault::Client(ClientCode::OutboxFull)));
    let never = rig.client.publish_batch(now, &[(); 4].map(|()| message("t")));
    assert_eq!(never, Err(Fault::Client(ClientCode::LargerThanOutbox)));
    let bad = rig.client.publish_batch(now, &[message("t"), message("not a name")]);
    assert_eq!(bad, Err(Fault::Protocol(Code::BadName)));
    assert_eq!(rig.client.outbox_state(), (1, 3));

    // By a shell that gives them one by one.
    rig.client.begin_batch(OWN, PublishId(7), 2, Some(6)).unwrap();
    rig.take(7, "t");
    let bad = rig.client.take(now, OWN, PublishId(8), &message("not a name"));
    assert_eq!(bad, Err(Fault::Protocol(Code::BadName)));
    rig.drain();
    rig.expect_events(&["Connecting", "failed 7 batch_refused"]);

    // One that was said to have its room, and has not: what is dropped to make room takes the rest along.
    let dropping = OutboxOptions { when_full: WhenFull::DropOldest, ..outbox };
    let mut rig = Rig::new(Options { outbox: dropping, ..Options::default() });
    rig.client.begin_batch(OWN, PublishId(1), 5, None).unwrap();
    let taken = [1, 2, 3, 4, 5].map(|id| rig.client.take(now, OWN, PublishId(id), &message("t")).is_ok());
    assert_eq!(taken, [true, true, true, false, false]);
    assert_eq!(rig.client.outbox_state(), (0, 0));

    let mut rig =
        Rig::new(Options { outbox: OutboxOptions { when_full: WhenFull::DropOldest, ..outbox }, ..options });
    rig.publish_batch(&["t", "u"]);
    rig.publish("t");
    rig.publish_batch(&["u", "t"]);
    rig.drain();
    // The older batch went whole.
    rig.expect_events(&["Connecting", "failed 1 dropped", "failed 2 dropped"]);
}

#[test]
fn a_batch_is_restored_with_what_came_of_it() {
    let restored = |present: &[u64]| {
        let mut rig = Rig::online_with(TAKES);
        rig.client.begin_batch(OWN, PublishId(3), 2, None).unwrap();
        for id in present {
            let topic = if *id == 3 { "t" } else { "u" };
            rig.client.window(OWN, topic, Seq(4), 1);
            rig.take(*id, topic);
        }
        rig.drain();
        rig.sent.clear();
        for handle in 1..=present.len() as u64 {
            rig.say(opened(handle, false, 4));
        }
        rig.sent
    };
    assert_eq!(restored(&[3, 4]), ["batch 2", "publish 1 #4", "publish 2 #4"]);
    assert_eq!(restored(&[4]), ["publish 1 #4 void"]);
}

#[test]
fn a_batch_that_ends_links_goes_alone_and_is_given_up() {
    let mut rig = online();
    rig.publish_batch(&["t", "u"]);
    rig.publish("t");
    rig.drain();
    rig.events.clear();
    for _ in 0..2 {
        rig.input(Input::LinkClosed { code: 1009 });
        rig.input(Input::Online);
        rig.sign_in_with(TAKES);
        rig.sent.clear();
        rig.say_all(&[opened(1, false, 2), opened(2, false, 2)]);
        if !rig.sent.iter().any(|frame| frame.ends_with("void")) {
            assert_eq!(rig.sent, ["batch 2", "publish 1 #2", "publish 2 #2"]);
        }
    }
    rig.say_all(&[acked(1, 2, 1, 0), acked(2, 2, 1, 0)]);
    rig.events.retain(|event| event.starts_with("failed"));
    rig.expect_events(&["failed 3 too_large", "failed 4 too_large"]);
}

#[test]
fn a_batch_that_waits_beside_a_full_link_lets_the_client_rest() {
    let mut rig = Rig::online_with(Welcome { in_flight_max: 1_000, message_bytes_max: 1 << 20, ..TAKES });
    rig.publish("a");
    rig.drain();
    rig.say_all(&[opened(1, true, 1), refused(1, 1, 1, Code::Overloaded, false)]);
    rig.publish_batch(&["a", "c"]);
    for _ in 0..20 {
        rig.publish_bytes("b", 100_000);
    }
    // Comes back.
    rig.drain();
    assert!(rig.sent.iter().all(|frame| !frame.starts_with("batch")), "{:?}", rig.sent);
    rig.say_all(&[opened(2, true, 1), opened(3, true, 1)]);
    rig.wait();
    rig.say_all(&[acked(1, 1, 1, 1), acked(3, 1, 10, 2)]);
    assert!(rig.sent.iter().any(|frame| frame == "batch 2"), "{:?}", rig.sent);
}

#[test]
fn batches_over_more_topics_than_have_handles_get_through() {
    let mut rig = Rig::online_with(Welcome { in_flight_max: 1_000, ..TAKES });
    let names = |letter: &str| (0..600).map(|n| format!("{letter}.{n}")).collect::<Vec<_>>();
    let (x, y) = (names("x"), names("y"));
    y.iter().for_each(|name| _ = rig.publish(name));
    rig.drain();
    let first: Vec<_> = y[..1].iter().chain(&x).map(String::as_str).collect();
    rig.publish_batch(&first);
    rig.publish_batch(&y.iter().map(String::as_str).collect::<Vec<_>>());
    rig.publish("z");
    rig.drain();
    let (mut seqs, mut offset) = (std::collections::HashMap::new(), 0);
    while !rig.sent.is_empty() {
        let mut answers = Vec::new();
        for frame in std::mem::take(&mut rig.sent) {
            let words: Vec<_> = frame.split(' ').collect();
            match words[..] {
                ["open", handle, ..] => {
                    let handle = handle.parse().unwrap();
                    let next = *seqs.entry(handle).or_insert(1);
                    answers.push(opened(handle, false, next));
                }
                ["publish", handle, ..] => {
                    let handle = handle.parse().unwrap();
                    let seq = seqs.entry(handle).or_insert(1);
                    offset += 1;
                    answers.push(acked(handle, *seq, 1, offset));
                    *seq += 1;
                }
                ["shut", handle] => _ = seqs.remove(&handle.parse().unwrap()),
                _ => {}
            }
        }
        rig.say_all(&answers);
    }
    assert_eq!(rig.client.outbox_state(), (0, 0));
}
