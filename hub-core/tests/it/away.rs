//! Reads of durable history that memory has let go of.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::clock::NEVER;
use tidewire_hub_core::limits::Limits;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::durable::Lasting;
use crate::rig::{Heard, keep_all, limits, open_as, publish_on};

/// A hub with so many messages in each of these topics, of which all are on the disk only.
fn with_all_away(limits: Limits, topics: &[&str], count: u64) -> Lasting {
    let mut lasting = Lasting::new(limits, keep_all());
    let writer = lasting.hub.client(1);
    for (handle, topic) in (1..).zip(topics) {
        lasting.hub.say(writer, &[open_as(handle, 0, topic)]);
    }
    for seq in 1..=count {
        for (handle, topic) in (1..).zip(topics) {
            lasting.hub.say(writer, &[publish_on(handle, seq, format!("{topic} {seq}").as_bytes())]);
        }
    }
    lasting.store();
    let_go(&lasting);
    lasting
}

/// Memory lets go of all that durable topics hold.
fn let_go(lasting: &Lasting) {
    for topic in lasting.hub.topics.stored_topics(0).into_values().filter_map(|topic| topic.upgrade()) {
        while topic.tail.away_bounds(lasting.hub.now).1 < topic.tail.bounds(lasting.hub.now).1 {
            topic.tail.shrink(NEVER);
        }
    }
}

fn history(name: &str) -> ClientFrame<'_> {
    let name = name.into();
    ClientFrame::History(History { request: Request(4), name, from: Start::Earliest, bytes_max: 0 })
}

/// How many messages each page has that was told.
fn pages(heard: &[Heard]) -> Vec<usize> {
    let len = |heard: &Heard| if let Heard::Page(messages) = heard { Some(messages.len()) } else { None };
    heard.iter().filter_map(len).collect()
}

#[test]
fn a_read_that_waited_for_the_disk_goes_before_those_that_wait_for_it() {
    let mut lasting = with_all_away(limits(|it| it.reading_bytes_max = 1), &["a.b", "a.c"], 10);
    let (reader, other) = (lasting.hub.client(2), lasting.hub.client(3));
    lasting.hub.say(reader, &[history("a.*"), history("a.*"), history("a.*")]);
    assert_eq!(pages(&lasting.hub.heard(reader)), [20, 20, 20]);
    lasting.hub.say(other, &[history("a.*")]);
    assert_eq!(pages(&lasting.hub.heard(other)), [20]);
}

#[test]
fn who_is_held_back_goes_on_when_the_one_before_has_gone() {
    let mut lasting = with_all_away(limits(|it| it.reading_bytes_max = 1), &["a.b"], 10);
    let (leaves, stays) = (lasting.hub.client(2), lasting.hub.client(3));
    let is_woken = Arc::new(AtomicBool::new(false));
    let woken = Arc::clone(&is_woken);
    lasting.hub.topics.reads().on_work(Box::new(move || woken.store(true, Ordering::Relaxed)));
    for id in [leaves, stays] {
        lasting.hub.say_without_disk(id, &[history("a.*")]);
    }
    lasting.hub.shard.gone(lasting.hub.now, leaves);
    is_woken.store(false, Ordering::Relaxed);
    assert!(lasting.hub.topics.reads().next_fetch().is_none(), "nobody waits for it");
    assert!(is_woken.load(Ordering::Relaxed), "another waits for its turn");
    lasting.hub.work();
    assert_eq!(pages(&lasting.hub.heard(stays)), [10]);
}
