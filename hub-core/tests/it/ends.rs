//! How connections end: with their last words and nothing behind them, in pieces, and counted for what they are.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Subscribe};
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, after, bytes_of, hello, keep_all, limits, messages, open_as, publish_on};

const MANY: usize = 1_000;

/// A hub with one connection that has many subscriptions, and another of the same topics that stays.
fn crowded() -> (Hub, ConnectionId, ConnectionId) {
    let mut hub = Hub::new(limits(|limits| limits.handles_max = MANY + 1), keep_all());
    let (ends, stays) = (hub.client(1), hub.client(2));
    for topic in 0..MANY {
        for id in [ends, stays] {
            let name = format!("t{topic}");
            hub.subscribe(id, &name, Start::Latest, WhenSlow::CatchUp);
        }
        hub.say(stays, &[open_as(topic as u64 + 1, 0, &format!("t{topic}"))]);
    }
    hub.heard(ends);
    hub.heard(stays);
    (hub, ends, stays)
}

/// Publishes on every topic; subscriptions that end are few in each turn, and acks come in between.
fn publish_while_it_ends(hub: &mut Hub, stays: ConnectionId) {
    let mut left = hub.topics.metrics().subscriptions.value();
    let mut turns_with_ends = 0;
    for handle in 1..=MANY as u64 {
        hub.deliver(stays, 2, &bytes_of(&[publish_on(handle, 1, b"m")]));
        hub.shard.turn(hub.now, &mut hub.sockets);
        let now_left = hub.topics.metrics().subscriptions.value();
        assert!(left - now_left <= 256, "{} subscriptions ended in one turn", left - now_left);
        turns_with_ends += usize::from(now_left < left);
        left = now_left;
    }
    assert!(turns_with_ends >= 2, "nothing was tested");
    hub.work();
    assert_eq!(hub.topics.metrics().subscriptions.value(), MANY as u64);
    let heard = hub.heard(stays);
    assert_eq!(messages(&heard).len(), MANY);
    assert_eq!(heard.iter().filter(|heard| matches!(heard, Heard::Acked(..))).count(), MANY);
}

#[test]
fn who_is_gone_is_forgotten_in_pieces_and_nothing_is_written_to_it() {
    let (mut hub, ends, stays) = crowded();
    hub.shard.gone(hub.now, ends);
    hub.sockets.written.remove(&ends);
    let next = hub.connect(Dialect::Binary);
    assert_ne!(next, ends, "the place is not free yet");
    publish_while_it_ends(&mut hub, stays);
    assert_eq!(hub.sockets.written.get(&ends), None);
    assert_eq!(hub.shard.connections(), 2);
    assert_eq!(hub.connect(Dialect::Binary), ends, "now it is");
    hub.wait(10_000);
    assert_eq!(hub.shard.connections(), 1, "two have not signed in");
}

#[test]
fn who_is_sent_away_hears_nothing_after_the_last_words() {
    let (mut hub, ends, stays) = crowded();
    hub.deliver(ends, 2, &[5, 200]);
    publish_while_it_ends(&mut hub, stays);
    let heard = hub.heard(ends);
    let last_words = [Heard::Goodbye(Code::BadFrame), Heard::Close(4001)];
    assert_eq!(heard[heard.len() - 2..], last_words);
    assert_eq!(hub.shard.connections(), 1);
}

#[test]
fn who_is_sent_away_and_then_gone_is_forgotten() {
    let (mut hub, ends, stays) = crowded();
    hub.deliver(ends, 2, &[5, 200]);
    hub.shard.gone(hub.now, ends);
    publish_while_it_ends(&mut hub, stays);
    assert_eq!(hub.shard.connections(), 1);
    assert_eq!(hub.topics.metrics().connections.value(), 1);
}

#[test]
fn many_handles_are_given_back() {
    let mut hub = Hub::new(limits(|limits| limits.handles_max = 2_000), vec![]);
    let id = hub.client(1);
    for handle in 1..=2_000 {
        hub.say(id, &[open_as(handle, 0, "t")]);
    }
    hub.heard(id);
    hub.shard.gone(hub.now, id);
    assert_eq!(hub.shard.connections(), 0);
}

#[test]
fn a_drain_tells_everybody_a_time_of_its_own_and_whoever_comes_late_too() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let clients: Vec<_> = (0..200).map(|number| hub.client(number)).collect();
    hub.shard.drain(hub.now, 10_000);
    hub.shard.turn(hub.now, &mut hub.sockets);
    let late = hub.connect(Dialect::Binary);
    hub.send(late, 2, &bytes_of(&[hello(201, 1)]));
    hub.work();
    for id in clients.iter().chain([&late]) {
        assert_eq!(hub.heard(*id), [Heard::Goodbye(Code::Draining), Heard::Close(4015)], "{id:?}");
    }
    assert_eq!(hub.shard.connections(), 0);
    assert_eq!(hub.topics.metrics().disconnected.value(), 0, "a drain is no fault of the clients");
}

#[test]
fn faults_are_counted_by_code() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let faults: [(u8, &[u8], Code); 3] =
        [(3, b"", Code::BadFrame), (2, &[5, 200], Code::BadFrame), (1, b"x", Code::BadFrame)];
    for (place, (opcode, payload, code)) in (1..).zip(faults) {
        let id = hub.client(7);
        hub.send(id, opcode, payload);
        hub.heard(id);
        assert_eq!(hub.topics.metrics().disconnected.of(code.number()), place);
    }
    let id = hub.client(7);
    hub.send(id, 2, &vec![0; Limits::default().frame_bytes_max + 1]);
    hub.heard(id);
    let disconnected = &hub.topics.metrics().disconnected;
    assert_eq!((disconnected.of(Code::TooLarge.number()), disconnected.value()), (1, 4));
    let id = hub.client(7);
    hub.send(id, 8, &[3, 232]);
    assert_eq!(hub.topics.metrics().disconnected.value(), 4, "who says goodbye is at no fault");
}

#[test]
fn every_refusal_that_is_told_is_counted() {
    let set = limits(|limits| {
        limits.publishes_per_second_max = 1;
        limits.participants_max = 1;
    });
    let mut hub = Hub::new(set, vec![]);
    let id = hub.client(8);
    hub.open(id, "t");
    for seq in 1..=20 {
        hub.publish(id, seq, b"m");
    }
    hub.say(id, &[open_as(2, 0, "..")]);
    hub.say(id, &[crate::rig::attach(1, 9, 1)]);
    hub.subscribe(id, "a.>.b", Start::Latest, WhenSlow::CatchUp);
    let heard = hub.heard(id);
    let is_refusal = |heard: &&Heard| {
        matches!(heard, Heard::Refused(..) | Heard::Failed(_) | Heard::Detached(_, Code::LimitReached))
    };
    let told = heard.iter().filter(is_refusal).count();
    assert!(told >= 13, "{heard:?}");
    let refused = &hub.topics.metrics().refused;
    assert_eq!(refused.value(), told as u64);
    assert_eq!(refused.of(Code::RateLimited.number()), told as u64 - 3);
}

#[test]
fn gaps_are_counted_wherever_they_are_told() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let id = hub.client(8);
    hub.subscribe(id, "t", after(1_000), WhenSlow::CatchUp);
    assert!(matches!(hub.heard(id)[..], [Heard::Subscribed(Outcome::Gap, ..)]));
    hub.history(id, "t", after(1_000));
    let again = Subscribe { request: Request(2), name: "u".into(), from: after(7), ..Subscribe::default() };
    hub.say(id, &[ClientFrame::Subscribe(again)]);
    let gaps = &hub.topics.metrics().gaps;
    assert_eq!((gaps.value(), gaps.of(GapReason::BeyondEnd.number())), (3, 3));
}
