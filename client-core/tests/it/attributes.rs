//! What messages have besides their payloads, on which terms they are published, and what becomes of those whose time is
//! over.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::{Options, OutboxOptions, SubscribeOptions};
use tidewire_client_core::outgoing::Outgoing;
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::block::{Head, put_message};
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Acked, HubFrame, Missing, Refused, Welcome};
use tidewire_protocol::number::{Handle, Offset, Seq, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::rig::{EPOCH, OWN, Rig, WELCOME, acked, block, duplicate, opened, refused, subscribed, text};

const ALL: u64 = feature::KEYS
    | feature::HEADERS
    | feature::TTL
    | feature::DURABILITY
    | feature::MAPS
    | feature::BATCHES
    | feature::VOID_RUNS;
const TAKES: Welcome<'static> = Welcome { features: ALL, ..WELCOME };

fn keyed(topic: &str) -> Outgoing<'_> {
    let attributes = Attributes { key: "k".into(), ..Attributes::default() };
    Outgoing { attributes, ..text(topic, 3) }
}

fn lasting(topic: &str, ttl_ms: u64) -> Outgoing<'_> {
    let attributes = Attributes { ttl_ms, ..Attributes::default() };
    Outgoing { attributes, ..text(topic, 3) }
}

fn asks(terms: Terms) -> Outgoing<'static> {
    Outgoing { terms, ..text("t", 3) }
}

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset: Offset(offset) }
}

impl Rig {
    fn cut(&mut self) {
        self.input(Input::LinkClosed { code: 1006 });
        self.input(Input::Suspend);
        self.forget();
    }
}

#[test]
fn what_a_message_has_goes_with_it_and_so_do_its_terms() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_with(&keyed("t"));
    rig.publish("t");
    let headers = Headers::of([("a", "1"), ("b", "")]);
    let attributes = Attributes { key: "k".into(), headers, ttl_ms: 500, remove: true };
    let terms = Terms { if_version: Some(at(4)), if_absent: true, durability: Some(Durability::Memory) };
    rig.publish_with(&Outgoing { attributes, terms, ..text("t", 0) });
    rig.drain();
    rig.expect_sent(&[
        "open 1 t lowest 1",
        "publish 1 #1 key k",
        "publish 1 #2",
        "publish 1 #3 key k a=1 b= ttl 500 remove if 7:4 if absent memory",
    ]);
}

#[test]
fn what_was_sent_goes_again_as_it_was() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_with(&Outgoing { terms: Terms { if_absent: true, ..Terms::default() }, ..keyed("t") });
    rig.drain();
    rig.reconnect_with(TAKES);
    rig.sent.clear();
    rig.say(opened(1, false, 2));
    rig.expect_sent(&["publish 1 #1 key k if absent"]);
}

#[test]
fn what_it_has_takes_room_in_the_outbox_and_on_the_way() {
    let outbox = OutboxOptions { bytes_max: 100, ..OutboxOptions::default() };
    let mut rig = Rig::new(Options { outbox, ..Options::default() });
    let headers = Headers::of([("name", "v".repeat(90))]);
    let large = Outgoing { attributes: Attributes { headers, ..Attributes::default() }, ..text("t", 3) };
    assert_eq!(rig.client.publish(rig.now, &large).unwrap_err().name(), "larger_than_outbox");
    let bytes = keyed("t").bytes();
    assert!(bytes > 3 && bytes < 10);
    let ids: Vec<_> = (0..3).map(|_| rig.publish_with(&keyed("t"))).collect();
    assert_eq!(rig.client.outbox_state(), (3, 3 * bytes));
    rig.client.cancel(rig.now, OWN, ids[0]);
    assert_eq!(rig.client.outbox_state(), (2, 2 * bytes));
    rig.input(Input::LinkOpened);
    rig.say(HubFrame::Welcome(TAKES));
    rig.client.cancel(rig.now, OWN, ids[1]);
    assert_eq!(rig.client.outbox_state(), (2, bytes));
    rig.say_all(&[acked(1, 2, 1, 8), acked(1, 3, 1, 9)]);
    assert_eq!(rig.client.outbox_state(), (0, 0));
}

#[test]
fn what_does_not_fit_a_frame_with_what_it_has_is_too_large() {
    let mut rig = Rig::online_with(Welcome { frame_bytes_max: 500, ..TAKES });
    rig.publish_bytes("t", 440);
    let headers = Headers::of([("name", "v".repeat(30))]);
    let attributes = Attributes { headers, ..Attributes::default() };
    rig.publish_with(&Outgoing { attributes, ..text("t", 440) });
    rig.drain();
    rig.expect_events(&["failed 2 too_large"]);
}

#[test]
fn a_hub_that_would_lose_some_of_it_gets_none_of_it() {
    let has = |attributes| Outgoing { attributes, ..text("t", 3) };
    let headers = Headers::of([("a", "1")]);
    let removal = Attributes { key: "k".into(), remove: true, ..Attributes::default() };
    for (message, feature) in [
        (keyed("t"), feature::KEYS),
        (has(Attributes { headers, ..Attributes::default() }), feature::HEADERS),
        (lasting("t", 500), feature::TTL),
        (has(removal), feature::MAPS),
        (asks(Terms { if_absent: true, ..Terms::default() }), feature::KEYS),
        (asks(Terms { if_version: Some(at(1)), ..Terms::default() }), feature::KEYS),
        (asks(Terms { durability: Some(Durability::Synced), ..Terms::default() }), feature::DURABILITY),
    ] {
        let mut rig = Rig::online_with(Welcome { features: ALL & !feature, ..WELCOME });
        rig.publish_with(&message);
        rig.publish("t");
        rig.drain();
        rig.expect_events(&["failed 1 not_supported"]);
        rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1 void", "publish 1 #2"]);
    }
}

#[test]
fn what_another_hub_may_have_is_withdrawn_from_one_that_would_lose_some_of_it() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_with(&keyed("t"));
    rig.publish_with(&keyed("t"));
    rig.drain();
    rig.reconnect();
    rig.forget();
    rig.say(opened(1, false, 2));
    rig.expect_sent(&["publish 1 #1 void", "publish 1 #2 void"]);
    rig.say_all(&[duplicate(1, 1, 5), acked(1, 2, 1, 0)]);
    rig.expect_events(&["published 1 at 5 duplicate", "failed 2 not_supported"]);
}

#[test]
fn of_a_time_to_live_what_is_left_goes_out() {
    let mut rig = Rig::new(Options::default());
    rig.publish_with(&lasting("t", 5_000));
    rig.publish("t");
    rig.drain();
    rig.now += 1_200;
    rig.input(Input::LinkOpened);
    rig.say(HubFrame::Welcome(TAKES));
    assert!(rig.sent.contains(&"publish 1 #1 ttl 3800".into()), "{:?}", rig.sent);
    rig.now += 800;
    rig.reconnect_with(TAKES);
    rig.sent.clear();
    rig.say(opened(1, false, 3));
    rig.expect_sent(&["publish 1 #1 ttl 3000", "publish 1 #2"]);
}

#[test]
fn a_time_to_live_counts_from_the_call() {
    let mut rig = Rig::online_with(TAKES);
    rig.now += 5_000;
    rig.publish_with(&lasting("t", 500));
    rig.drain();
    rig.expect_sent(&["open 1 t lowest 1", "publish 1 #1 ttl 500"]);
}

#[test]
fn what_was_never_sent_fails_when_its_time_is_over() {
    let mut rig = Rig::online_with(TAKES);
    rig.cut();
    rig.publish_with(&lasting("t", 300));
    rig.publish("t");
    rig.publish_with(&lasting("u", 200));
    rig.drain();
    rig.forget();
    assert_eq!(rig.wait(), 200);
    rig.expect_events(&["failed 3 expired"]);
    assert_eq!(rig.wait(), 100);
    rig.expect_events(&["failed 1 expired"]);
    rig.reconnect_with(TAKES);
    assert!(rig.sent.contains(&"publish 1 #1 void".into()), "{:?}", rig.sent);
    rig.say_all(&[acked(1, 1, 1, 0), acked(1, 2, 1, 8)]);
    assert!(rig.client.is_flushed());
}

#[test]
fn what_waits_unanswered_is_withdrawn_when_its_time_is_over() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_with(&lasting("t", 3_000));
    rig.publish_with(&lasting("t", 3_000));
    rig.drain();
    rig.forget();
    rig.now += 2_999;
    rig.input(Input::Timeout);
    rig.now += 1;
    rig.input(Input::Timeout);
    // It is on its way, and the answer says what became of it.
    rig.expect_events(&[]);
    rig.expect_sent(&[]);
    rig.reconnect_with(TAKES);
    rig.forget();
    rig.say(opened(1, false, 2));
    rig.expect_sent(&["publish 1 #1 void", "publish 1 #2 void"]);
    rig.say_all(&[duplicate(1, 1, 5), acked(1, 2, 1, 0)]);
    rig.expect_events(&["published 1 at 5 duplicate", "failed 2 expired"]);
}

#[test]
fn what_is_late_does_not_go_out_though_nobody_has_looked() {
    let mut rig = Rig::online_with(TAKES);
    rig.cut();
    rig.publish_with(&lasting("t", 100));
    rig.publish_with(&lasting("t", 110));
    rig.publish("t");
    rig.drain();
    assert_eq!(rig.wait(), 100);
    rig.input(Input::Online);
    // Between two looks.
    rig.now += 20;
    rig.input(Input::LinkOpened);
    rig.forget();
    rig.say(HubFrame::Welcome(TAKES));
    rig.expect_events(&["Online", "failed 2 expired"]);
    rig.expect_sent(&["publish 1 #1 void", "publish 1 #2 void", "publish 1 #3"]);
}

#[test]
fn many_that_end_at_once_cost_one_look() {
    let mut rig = Rig::online_with(TAKES);
    rig.cut();
    for _ in 0..3_000 {
        rig.publish_with(&lasting("t", 100));
    }
    rig.publish("t");
    rig.drain();
    rig.forget();
    assert_eq!(rig.wait(), 100);
    assert_eq!(rig.events.len(), 3_000);
    assert_eq!(rig.client.outbox_state(), (1, 3));
    rig.reconnect_with(TAKES);
    let voids = rig.sent.iter().filter(|sent| sent.contains("void"));
    assert_eq!(voids.collect::<Vec<_>>(), ["publish 1 #1 void of 4"]);
}

#[test]
fn of_many_topics_each_loses_what_ends_there() {
    let mut rig = Rig::new(Options::default());
    for topic in 0..1_000 {
        let topic = format!("t.{topic}");
        for _ in 0..9 {
            rig.publish_with(&lasting(&topic, 100));
        }
        rig.publish(&topic);
    }
    rig.drain();
    rig.forget();
    rig.now += 100;
    rig.input(Input::Timeout);
    assert_eq!(rig.events.len(), 9_000);
    assert_eq!(rig.client.outbox_state(), (1_000, 3_000));
}

#[test]
fn a_batch_goes_with_the_first_of_it_whose_time_is_over() {
    let mut rig = Rig::online_with(TAKES);
    rig.cut();
    let batch = [text("t", 3), lasting("u", 300), lasting("t", 500)];
    rig.client.publish_batch(rig.now, &batch).unwrap();
    rig.drain();
    rig.forget();
    assert_eq!(rig.wait(), 300);
    let mut events = std::mem::take(&mut rig.events);
    events.sort();
    assert_eq!(events, ["failed 1 expired", "failed 2 expired", "failed 3 expired"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn a_batch_fails_whole_where_the_hub_would_lose_some_of_one() {
    let features = ALL & !feature::KEYS;
    let mut rig = Rig::online_with(Welcome { features, ..WELCOME });
    rig.client.publish_batch(rig.now, &[text("t", 3), keyed("t")]).unwrap();
    rig.drain();
    rig.expect_events(&["failed 1 not_supported", "failed 2 not_supported"]);
}

#[test]
fn a_condition_that_failed_tells_what_is_there() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish_with(&keyed("t"));
    rig.publish_with(&keyed("t"));
    rig.drain();
    rig.say(opened(1, true, 1));
    let failed = |seq, current| {
        HubFrame::Refused(Refused {
            handle: Handle(1),
            seq: Seq(seq),
            count: 1,
            code: Code::ConditionFailed,
            consumed: true,
            current,
            ..Refused::default()
        })
    };
    rig.say_all(&[failed(1, Some(at(41))), failed(2, None)]);
    rig.expect_events(&["failed 1 condition_failed at 7:41", "failed 2 condition_failed"]);
}

#[test]
fn answers_may_come_in_another_order_than_seqs() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish("t");
    rig.publish_with(&asks(Terms { durability: Some(Durability::Memory), ..Terms::default() }));
    rig.publish("t");
    rig.drain();
    rig.say(acked(1, 2, 1, 8));
    rig.expect_events(&["published 2 at 8"]);
    assert_eq!(rig.client.outbox_state(), (2, 6));
    let synced = |seq, offset| {
        let HubFrame::Acked(acked) = acked(1, seq, 1, offset) else { unreachable!() };
        HubFrame::Acked(Acked { durability: Durability::Synced, ..acked })
    };
    rig.say(synced(1, 7));
    rig.publish("t");
    rig.forget();
    rig.drain();
    rig.expect_sent(&["publish 1 #4 lowest 3"]);
    rig.say(synced(3, 9));
    rig.expect_events(&["published 3 at 9 synced"]);
}

#[test]
fn what_was_answered_out_of_order_does_not_go_again_but_to_a_hub_that_lost_it() {
    for (next, again) in [(3, &["publish 1 #1"][..]), (1, &["publish 1 #1", "publish 1 #2 void"][..])] {
        let mut rig = Rig::online_with(TAKES);
        rig.publish("t");
        rig.publish_with(&asks(Terms { durability: Some(Durability::Memory), ..Terms::default() }));
        rig.drain();
        rig.say(acked(1, 2, 1, 8));
        rig.publish("t");
        rig.drain();
        rig.reconnect_with(TAKES);
        rig.forget();
        rig.say(opened(1, false, next));
        rig.expect_sent(&[again, &["publish 1 #3"]].concat());
    }
}

#[test]
fn a_refusal_for_now_goes_back_over_what_was_answered() {
    let mut rig = Rig::online_with(TAKES);
    rig.publish("t");
    rig.publish_with(&keyed("t"));
    rig.drain();
    rig.say(opened(1, true, 1));
    rig.forget();
    rig.say_all(&[refused(1, 1, 1, Code::NotStored, false), refused(1, 2, 1, Code::OutOfOrder, false)]);
    rig.now += 100;
    rig.input(Input::Timeout);
    rig.expect_sent(&["publish 1 #1 lowest 1", "publish 1 #2 key k"]);
}

#[test]
fn listeners_are_given_what_messages_have() {
    let mut rig = Rig::online_with(TAKES);
    rig.subscribe_with("t", SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() });
    rig.say(subscribed(1, 9, Outcome::Resumed, 0));
    rig.forget();
    let headers = Headers::of([("a", "1"), ("traceparent", "00-x")]);
    let mut ext = Vec::new();
    Attributes { key: "k".into(), headers, ttl_ms: 9, remove: true }.put(&mut ext);
    let mut records = Vec::new();
    for (offset, ext) in [(1, &ext[..]), (2, &[])] {
        let head = Head {
            prev: Offset(offset - 1),
            offset: Offset(offset),
            content: Content::Text,
            ext,
            ..Head::default()
        };
        put_message(&head, format!("m{offset}").as_bytes(), &mut records);
    }
    rig.say(block(9, 0, &records));
    rig.expect_events(&["message 1 m1 key k a=1 traceparent=00-x ttl 9 remove", "message 1 m2"]);
    let gap = Gap { reason: GapReason::Compacted, from: Offset(3), to: Offset(8), epoch: EPOCH };
    rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(gap), after: Offset(8) }));
    rig.expect_events(&["gap 1 3..8 compacted"]);
}

#[test]
fn what_another_engine_had_sent_keeps_what_it_has() {
    let mut rig =
        Rig::new(Options { incarnation: tidewire_protocol::number::Incarnation(2), ..Options::default() });
    rig.client.window(OWN, "t", Seq(4), 1);
    rig.take(1, "t");
    rig.take_with(2, &keyed("t"));
    rig.input(Input::LinkOpened);
    rig.say(HubFrame::Welcome(TAKES));
    rig.forget();
    rig.say(opened(1, false, 5));
    rig.expect_sent(&["publish 1 #4", "publish 1 #5 key k"]);
}
