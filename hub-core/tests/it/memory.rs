//! What clients make the hub hold is charged to them, given back at their end, and bounded over all of them.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, History, Subscribe, Unsubscribe};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::number::{Request, TailNumber};
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, bytes_of, hello, keep_all, limits, masked};

fn client_of(hub: &mut Hub, account: u128) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
    hub.say(id, &[hello(1, 1)]);
    hub.heard(id);
    id
}

/// A hub with a topic that fills pages of about 50 KB.
fn hub_with_pages(set: Limits) -> Hub {
    let mut hub = Hub::new(set, keep_all());
    let writer = hub.client(1);
    hub.open(writer, "t");
    for seq in 1..=8 {
        hub.publish(writer, seq, &[b'x'; 12_000]);
    }
    hub.heard(writer);
    hub
}

/// Asks for so many pages and reads none of them.
fn leave_unread(hub: &mut Hub, id: ConnectionId, pages: usize) {
    hub.sockets.room.insert(id, 10);
    let page = History {
        request: Request(1),
        name: "t".into(),
        from: Start::Earliest,
        bytes_max: 50_000,
        ..History::default()
    };
    hub.say(id, &vec![ClientFrame::History(page); pages]);
}

/// Sends so many bytes of a longer message.
fn leave_unfinished(hub: &mut Hub, id: ConnectionId, bytes: usize) {
    let mut message = masked(2, &vec![0; 200_000]);
    hub.shard.received(hub.now, id, &mut message[..bytes], &mut hub.sockets);
}

#[test]
fn answers_are_charged_until_they_are_read_or_nobody_can() {
    let mut hub = hub_with_pages(Limits::default());
    let (reads, goes) = (client_of(&mut hub, 5), client_of(&mut hub, 6));
    for id in [reads, goes] {
        leave_unread(&mut hub, id, 4);
    }
    assert!(hub.held(Kind::Unread) >= 2 * 4 * 48_000);
    for account in [5, 6] {
        assert!(hub.topics.ledger().account(AccountKey(account)).held(Kind::Unread) >= 4 * 48_000);
    }
    hub.room(reads, 100_000);
    assert!(hub.held(Kind::Unread) >= 4 * 48_000);
    hub.room(reads, usize::MAX);
    assert_eq!(hub.topics.ledger().account(AccountKey(5)).held(Kind::Unread), 0);
    hub.shard.gone(hub.now, goes);
    assert_eq!(hub.held(Kind::Unread), 0);
}

#[test]
fn unfinished_messages_are_charged_until_they_are_whole_or_nobody_goes_on() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let clients: Vec<_> = (0..3).map(|account| client_of(&mut hub, account)).collect();
    for id in &clients {
        leave_unfinished(&mut hub, *id, 100_000);
    }
    assert!(hub.held(Kind::HalfReceived) >= 300_000 - 100);
    let mut rest = vec![0; 200_000 + 14 - 100_000];
    hub.shard.received(hub.now, clients[0], &mut rest, &mut hub.sockets);
    hub.shard.gone(hub.now, clients[1]);
    hub.wait(60_000);
    assert_eq!(hub.shard.connections(), 0, "the third is silent");
    assert_eq!(hub.held(Kind::HalfReceived), 0);
}

/// `fill` has each client hold about 100 KB or more; the bound is 1 MB.
#[track_caller]
fn check_bounded(kind: Kind, code: Code, fill: impl Fn(&mut Hub, ConnectionId)) {
    const BOUND: usize = 1_000_000;
    let mut hub = hub_with_pages(limits(|limits| {
        limits.unread_bytes_max = BOUND;
        limits.half_received_bytes_max = BOUND;
    }));
    let neighbour = client_of(&mut hub, 2);
    fill(&mut hub, neighbour);
    let each = hub.held(kind);
    assert!(each >= 100_000);
    let greedy: Vec<_> = (0..30).map(|_| client_of(&mut hub, 3)).collect();
    for id in &greedy {
        fill(&mut hub, *id);
        hub.work();
        assert!(hub.held(kind) <= BOUND + 2 * each, "{} are held", hub.held(kind));
    }
    hub.wait(3_000);
    assert!(hub.held(kind) <= BOUND);
    let left = hub.shard.connections();
    assert!((5..31).contains(&left), "{left} are left: too few had to go, or too many");
    assert_eq!(hub.topics.metrics().disconnected.of(code.number()), 32 - left as u64);
    hub.sockets.written.remove(&neighbour);
    hub.room(neighbour, usize::MAX);
    let heard = hub.sockets.written.get(&neighbour).map_or(0, Vec::len);
    assert!(!hub.sockets.closed.contains(&neighbour), "who holds less than others is let be");
    assert!(kind != Kind::Unread || heard > 90_000, "who holds less than others is let be");
}

#[test]
fn who_leaves_most_unread_goes_when_all_together_leave_too_much() {
    check_bounded(Kind::Unread, Code::TooSlow, |hub, id| leave_unread(hub, id, 4));
}

#[test]
fn who_leaves_most_unfinished_goes_when_all_together_leave_too_much() {
    check_bounded(Kind::HalfReceived, Code::Overloaded, |hub, id| leave_unfinished(hub, id, 120_000));
}

#[test]
fn a_flood_of_questions_holds_no_more_than_the_bound_and_a_page() {
    let mut hub = hub_with_pages(Limits::default());
    let id = client_of(&mut hub, 5);
    let bound = 2 * (hub.topics.limits().outbox_bytes_max + hub.topics.limits().answer_bytes_max());
    hub.sockets.room.insert(id, 10);
    for _ in 0..200 {
        leave_unread(&mut hub, id, 10);
        hub.send(id, 9, b"ping");
        hub.send(id, 2, &bytes_of(&[ClientFrame::Heartbeat(Default::default())]));
        assert!(hub.held(Kind::Unread) <= bound);
    }
}

/// Subscribes to a thousand topics, or a hundred patterns; how many were refused as too much for one account.
fn subscribe_to_many(hub: &mut Hub, id: ConnectionId, patterns: bool) -> usize {
    let (count, behind) = if patterns { (100, ".*") } else { (1_000, "") };
    let mut frames = Vec::new();
    for number in 0..count {
        let (request, name) = (Request(number), format!("t{number}{behind}").into());
        let (from, when_slow) = (Start::Latest, WhenSlow::CatchUp);
        frames.push(ClientFrame::Subscribe(Subscribe { request, name, from, when_slow }));
    }
    hub.say(id, &frames);
    let heard = hub.heard(id);
    let subscribed = |heard: &&Heard| matches!(heard, Heard::Subscribed(..));
    let refused = heard.iter().filter(|heard| **heard == Heard::Failed(Code::Overloaded)).count();
    assert_eq!(heard.iter().filter(subscribed).count() + refused, count as usize, "each is answered");
    refused
}

#[test]
fn one_account_subscribes_to_half_of_what_there_is_room_for_and_others_find_the_rest() {
    for patterns in [false, true] {
        let small = limits(|limits| {
            limits.node_bytes_max = 16 << 20;
            limits.half_received_bytes_max = 1 << 20;
            limits.unread_bytes_max = 1 << 20;
        });
        let mut hub = Hub::new(small, keep_all());
        let mut greedy = Vec::new();
        while greedy.len() < 1_000 {
            let id = client_of(&mut hub, 3);
            greedy.push(id);
            if subscribe_to_many(&mut hub, id, patterns) > 0 {
                break;
            }
        }
        let known = hub.topics.limits().known_bytes_max();
        let held = hub.topics.ledger().account(AccountKey(3)).held(Kind::Subscriptions);
        assert!(
            held > known / 4 && held <= known / 2,
            "{held} of {known} bytes for {} connections",
            greedy.len()
        );
        let neighbour = client_of(&mut hub, 4);
        assert_eq!(subscribe_to_many(&mut hub, neighbour, patterns), 0);
        for id in greedy {
            hub.shard.gone(hub.now, id);
        }
        hub.work();
        let held = hub.topics.ledger().account(AccountKey(3)).held(Kind::Subscriptions);
        assert!(held <= known / 25, "{held} bytes for those who are gone");
        hub.shard.gone(hub.now, neighbour);
        hub.work();
        assert_eq!(hub.held(Kind::Subscriptions), 0);
    }
}

#[test]
fn who_unsubscribes_answers_no_more_for_what_went() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (id, stays) = (client_of(&mut hub, 3), client_of(&mut hub, 4));
    subscribe_to_many(&mut hub, stays, false);
    let before = hub.held(Kind::Subscriptions);
    subscribe_to_many(&mut hub, id, false);
    let one = (hub.held(Kind::Subscriptions) - before) / 1_000;
    let unsubscribe =
        |tail| ClientFrame::Unsubscribe(Unsubscribe { request: Request(1), tail: TailNumber(tail) });
    hub.say(id, &(0..2_000).map(unsubscribe).collect::<Vec<_>>());
    assert_eq!(hub.topics.metrics().subscriptions.value(), 1_000);
    assert!(hub.held(Kind::Subscriptions) <= before + 8 * one);
}
