//! Starts, gaps, `when_slow` and what is kept mean the same for a topic and for a pattern.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::reading::most::Most;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::{Position, Start};

use crate::rig::*;

#[test]
fn a_time_span_on_a_pattern_is_not_dragged_back_by_an_idle_topic() {
    for idle_is_empty in [false, true] {
        let mut hub = Hub::new(Limits::default(), keep_all());
        let (writer, reader) = (hub.client(1), hub.client(2));
        hub.say(writer, &[open_as(1, 0, "a.idle"), open_as(2, 0, "a.busy")]);
        if !idle_is_empty {
            hub.say(writer, &[publish_on(1, 1, b"old")]);
        }
        for seq in 1..=100 {
            hub.say(writer, &[publish_on(2, seq, b"old")]);
        }
        hub.wait(20_000);
        hub.say(writer, &[publish_on(2, 101, b"new")]);
        let texts = hub.history(reader, "a.*", Start::SinceMs(5_000));
        assert!(texts == ["new"], "{} messages; the idle topic is empty: {idle_is_empty}", texts.len());
    }
}

#[test]
fn what_a_topic_does_not_keep_cannot_be_asked_for_through_a_pattern() {
    let mut hub = Hub::new(Limits::default(), vec![rule("a.secret", NONE), rule(">", ALL)]);
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.say(writer, &[open_as(1, 0, "a.kept"), open_as(2, 0, "a.secret")]);
    hub.say(writer, &[publish_on(1, 1, b"kept1")]);
    for seq in 1..=3 {
        hub.say(writer, &[publish_on(2, seq, b"secret")]);
    }
    hub.say(writer, &[publish_on(1, 2, b"kept2")]);
    for from in [Start::Earliest, Start::Last(2), Start::SinceMs(60_000)] {
        assert!(hub.history(reader, "a.secret", from.clone()).is_empty(), "{from:?}");
        assert_eq!(hub.history(reader, "a.*", from.clone()), ["kept1", "kept2"], "{from:?}");
    }
}

#[test]
fn the_last_n_are_n_or_the_rest_is_told() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.open(writer, "t");
    for seq in 1..=15_000 {
        hub.publish(writer, seq, b"m");
    }
    hub.subscribe(reader, "t", Start::Last(12_000), WhenSlow::CatchUp);
    let heard = hub.heard(reader);
    let right = match &heard[0] {
        Heard::Subscribed(Outcome::Resumed, cursor, None) => *cursor == 3_000,
        Heard::Subscribed(Outcome::Gap, cursor, Some((from, to, _))) => *from <= 3_001 && to == cursor,
        _ => false,
    };
    assert!(right, "the last 12,000 of 15,000: {:?}", heard[0]);
}

#[test]
fn when_slow_holds_for_patterns_and_for_topics_that_keep_nothing() {
    let mut wrong = Vec::new();
    for (name, retention) in [("a.*", ALL), ("a.b", NONE), ("a.b", ALL)] {
        let mut hub = Hub::new(Limits::default(), vec![rule(">", retention)]);
        let (writer, leaves, skips) = (hub.client(1), hub.client(2), hub.client(3));
        hub.subscribe(leaves, name, Start::Latest, WhenSlow::Disconnect);
        hub.subscribe(skips, name, Start::Latest, WhenSlow::Gap);
        hub.open(writer, "a.b");
        hub.publish(writer, 1, b"m");
        for id in [leaves, skips] {
            hub.heard(id);
            hub.sockets.room.insert(id, 0);
        }
        for seq in 2..=1_500 {
            hub.publish(writer, seq, &[b'x'; 8_000]);
        }
        let what = format!("{name} that keeps {}", if retention.none { "nothing" } else { "all" });
        hub.room(leaves, usize::MAX);
        let heard = hub.heard(leaves);
        if !heard.contains(&Heard::Goodbye(Code::TooSlow)) {
            let count = messages(&heard).len();
            wrong.push(format!("{what}, disconnect: {count} messages and {:?}", but_messages(&heard)));
        }
        hub.room(skips, usize::MAX);
        let heard = hub.heard(skips);
        let told = heard.iter().any(|heard| matches!(heard, Heard::Missing(.., GapReason::TooSlow)));
        if !told || messages(&heard).len() > 200 {
            let count = messages(&heard).len();
            wrong.push(format!("{what}, gap: {count} messages and {:?}", but_messages(&heard)));
        }
    }
    assert!(wrong.is_empty(), "12 MB behind: {wrong:#?}");
}

#[test]
fn losses_after_beyond_end_are_told() {
    for name in ["a.*", "a.b"] {
        let rules = vec![rule(">", Retention { count: Some(2), ..ALL })];
        let mut hub = Hub::new(
            limits(|l| {
                l.block_bytes = 1;
                l.pattern_tail_bytes = 100;
            }),
            rules,
        );
        let (writer, reader) = (hub.client(1), hub.client(2));
        hub.subscribe(reader, name, after(1_000_000), WhenSlow::CatchUp);
        hub.open(writer, "a.b");
        hub.publish(writer, 1, b"first");
        hub.heard(reader);
        hub.sockets.room.insert(reader, 0);
        for seq in 2..=20 {
            hub.publish(writer, seq, b"m");
        }
        hub.room(reader, usize::MAX);
        let heard = hub.heard(reader);
        let first = messages(&heard).first().map_or(0, |told| told.offset);
        assert!(first > 2, "the case no longer loses anything: {heard:?}");
        let is_right =
            |heard: &Heard| matches!(heard, Heard::Missing(from, to, ..) if *from <= 2 && to + 1 >= first);
        assert!(heard.iter().any(is_right), "{name}: 2 to {} are lost; told: {heard:?}", first - 1);
    }
}

#[test]
fn copies_in_json_do_not_push_out_a_neighbours_history() {
    let mut hub = Hub::new(limits(|l| l.node_bytes_max = 8 << 20), keep_all());
    let (writer, victim) = (hub.client(1), hub.client(9));
    hub.open(victim, "victim");
    for seq in 1..=1_000 {
        hub.publish(victim, seq, &[b'v'; 1_000]);
    }
    let reader = hub.json_client();
    hub.send(reader, 1, br#"{"type":"subscribe","request":1,"name":"s.>"}"#);
    hub.open(writer, &format!("s.{}", "n".repeat(240)));
    for seq in (1..=80_000).step_by(1_000) {
        let frames: Vec<_> = (seq..seq + 1_000).map(|seq| publish_on(1, seq, b"1")).collect();
        hub.say(writer, &frames);
        hub.sockets.written.clear();
    }
    assert_eq!(
        hub.kept("victim"),
        1_000,
        "of a megabyte, beside 80,000 messages of one byte, with room for 8 MiB"
    );
}

#[test]
fn a_reader_names_a_few_places_and_not_thousands() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let reader = hub.client(1);
    for (count, is_refused) in [(64, false), (65, true)] {
        let places = (0..count).map(|n| Position { epoch: Epoch(1_000 + n), offset: Offset(1) }).collect();
        hub.subscribe(reader, &format!("t{count}.*"), Start::After(places), WhenSlow::CatchUp);
        let refused = hub.heard(reader).contains(&Heard::Failed(Code::LimitReached));
        assert_eq!(refused, is_refused, "{count} places");
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the hole opens between two threads")]
fn a_page_that_is_read_while_its_topic_lets_go_has_no_hole_that_nobody_tells() {
    let retention = Retention { count: Some(50), ..ALL };
    let mut hub = Hub::new(limits(|limits| limits.block_bytes = 200), vec![rule(">", retention)]);
    let writer = hub.client(1);
    hub.open(writer, "a");
    let (topics, now) = (Arc::clone(&hub.topics), hub.now);
    let done = Arc::new(AtomicBool::new(false));
    let ended = Arc::clone(&done);
    let reader = thread::spawn(move || {
        let name = Selector::parse("a").unwrap();
        let mut cursor = 0;
        while !ended.load(Ordering::Relaxed) {
            let page = topics.page(now, &name, &after(cursor), Offset(0), Most::bytes(10_000)).unwrap();
            let begin = page.gap.map_or(cursor, |gap| gap.to.0);
            if let Some(Ok(block)) = blocks_of_page(&page.blocks).next() {
                assert!(
                    block.prev.0 <= begin,
                    "after {cursor}, {:?}: a block after {}",
                    page.gap,
                    block.prev
                );
            }
            cursor = page.upto[0].offset.0;
        }
    });
    for first in (1..20_000).step_by(10) {
        let frames: Vec<_> = (first..first + 10).map(|seq| publish_on(1, seq, &[b'x'; 100])).collect();
        hub.say(writer, &frames);
        hub.sockets.written.clear();
    }
    done.store(true, Ordering::Relaxed);
    reader.join().unwrap();
}
