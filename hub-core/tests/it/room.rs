//! Where the node is full: who fills it gives back, by many small topics as by one that is heavy.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Heartbeat, History};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, hello, keep_all, limits, masked, messages, open_as, publish_on};
use crate::updates::{open_for_updates, send};

const NODE_BYTES: usize = 16 << 20;

/// A small node, of which what begins to come, and what is unread, has no more than its part.
fn small() -> Limits {
    limits(|limits| {
        limits.node_bytes_max = NODE_BYTES;
        limits.half_received_bytes_max = NODE_BYTES / 16;
        limits.unread_bytes_max = NODE_BYTES / 16;
    })
}

fn client_of(hub: &mut Hub, account: u128, producer: u8) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
    // It may be the number of one who has gone.
    hub.sockets.room.remove(&id);
    hub.sockets.written.remove(&id);
    hub.say(id, &[hello(producer, 1)]);
    hub.heard(id);
    id
}

/// Publishes so many messages to each of so many topics.
fn fill(hub: &mut Hub, id: ConnectionId, prefix: &str, topics: u64, messages: u64, bytes: usize) {
    for number in 1..=topics {
        let name = format!("{prefix}.{number}");
        hub.say(id, &[open_as(number, 0, &name)]);
        let payload = vec![b'x'; bytes];
        let frames: Vec<_> = (1..=messages).map(|seq| publish_on(number, seq, &payload)).collect();
        for frames in frames.chunks(1_000) {
            hub.say(id, frames);
        }
        hub.sockets.written.remove(&id);
    }
}

/// Time passes, and clients say that they live.
fn wait(hub: &mut Hub, ids: &[ConnectionId], seconds: u64) {
    for _ in 0..seconds {
        hub.wait(1_000);
        for id in ids {
            hub.sockets.written.remove(id);
            hub.say(*id, &[ClientFrame::Heartbeat(Heartbeat::default())]);
        }
    }
}

/// One who keeps little, in a topic that counts as heavy and in small ones, and others who fill the node from so many
/// accounts. All that the first keeps stays, and the node has room again soon.
#[track_caller]
fn check(accounts: u64, topics: u64, messages_each: u64, bytes: usize) {
    let mut hub = Hub::new(small(), keep_all());
    // Who only listens does not answer for what comes.
    let greedy = client_of(&mut hub, 100, 9);
    for name in ["innocent.large", "innocent.small.1"] {
        hub.subscribe(greedy, name, Start::Latest, WhenSlow::CatchUp);
    }
    let innocent = client_of(&mut hub, 1, 1);
    fill(&mut hub, innocent, "innocent.small", 50, 4, 500);
    hub.say(innocent, &[open_as(99, 0, "innocent.large")]);
    for seq in 1..=200 {
        hub.say(innocent, &[publish_on(99, seq, &[b'i'; 500])]);
    }
    let mut ids = vec![innocent, greedy];
    let before = hub.held(Kind::Messages);
    for account in 0..accounts {
        let id = client_of(&mut hub, 100 + u128::from(account), 10 + account as u8);
        fill(&mut hub, id, &format!("fill.{account}"), topics, messages_each, bytes);
        ids.push(id);
    }
    if accounts == 1 {
        check_limit(&hub);
    }
    let brought = hub.topics.metrics().published_bytes.value() as usize;
    let held = hub.topics.ledger().total();
    assert!(held > NODE_BYTES || brought > before + NODE_BYTES, "{held} bytes do not fill {NODE_BYTES}");
    wait(&mut hub, &ids, 10);
    let held = hub.topics.ledger().total();
    assert!(held <= NODE_BYTES, "{held} bytes are held, of {NODE_BYTES}");
    assert!(held >= NODE_BYTES / 3, "only {held} bytes are left, of {NODE_BYTES}");
    assert_eq!(hub.kept("innocent.large"), 200);
    for number in 1..=50 {
        assert_eq!(hub.kept(&format!("innocent.small.{number}")), 4);
    }
    assert!(hub.topics.ledger().held(Kind::Messages) > 0);
}

#[test]
fn very_many_small_topics_give_room_back() {
    // A block of each, what has gathered for one, and both from several accounts.
    check(1, 1_500, 14, 1_000);
    check(1, 1_500, 60, 400);
    check(4, 200, 20, 1_500);
}

#[test]
fn heavy_topics_give_room_back_whoevers_others_are() {
    check(1, 20, 4_000, 400);
    check(3, 7, 4_000, 400);
}

#[test]
fn whoever_wrote_first_to_a_topic_does_not_pay_for_what_others_write_there() {
    let mut hub = Hub::new(small(), keep_all());
    let (innocent, greedy) = (client_of(&mut hub, 1, 1), client_of(&mut hub, 2, 2));
    fill(&mut hub, innocent, "innocent", 50, 4, 500);
    fill(&mut hub, innocent, "shared", 1_500, 1, 5);
    wait(&mut hub, &[innocent, greedy], 2);
    fill(&mut hub, greedy, "shared", 1_500, 10, 1_100);
    let held = |key| hub.topics.ledger().account(AccountKey(key)).held(Kind::Messages);
    assert!(held(2) > 10 * held(1), "{} bytes of one who wrote much, {} of the other", held(2), held(1));
    wait(&mut hub, &[innocent, greedy], 10);
    assert!(hub.topics.ledger().total() <= NODE_BYTES);
    let kept: usize = (1..=50).map(|number| hub.kept(&format!("innocent.{number}"))).sum();
    assert_eq!(kept, 50 * 4);
}

#[test]
fn who_listens_live_misses_nothing_while_room_is_made() {
    let mut hub = Hub::new(small(), keep_all());
    let (filler, writer, reader) =
        (client_of(&mut hub, 2, 2), client_of(&mut hub, 1, 1), client_of(&mut hub, 3, 3));
    for (name, from) in [("live.>", Start::Latest), ("live.1", Start::Latest)] {
        hub.subscribe(reader, name, from, WhenSlow::CatchUp);
    }
    hub.say(writer, &[open_as(1, 0, "live.1")]);
    hub.heard(reader);
    fill(&mut hub, filler, "fill", 1_500, 14, 1_000);
    let mut heard = 0;
    for seq in 1..=100 {
        hub.say(writer, &[publish_on(1, seq, b"live")]);
        let told = hub.heard(reader);
        assert!(!told.iter().any(|heard| matches!(heard, Heard::Missing(..))), "{told:?}");
        heard += messages(&told).len();
        wait(&mut hub, &[filler, writer, reader], 1);
    }
    assert_eq!(heard, 2 * 100);
}

fn held_by(hub: &Hub, account: u128) -> usize {
    hub.topics.ledger().account(AccountKey(account)).held(Kind::Messages)
}

#[test]
fn each_account_is_charged_what_it_brought_to_a_block() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let clients = [(2, 8_000), (3, 8_000), (4, 100), (2, 100)];
    for (number, (account, bytes)) in (1..).zip(clients) {
        let id = client_of(&mut hub, account, number);
        hub.say(id, &[open_as(1, 0, "shared"), publish_on(1, 1, &vec![b'x'; bytes])]);
    }
    let check = |hub: &Hub| {
        let held = [2, 3, 4].map(|account| held_by(hub, account));
        assert!((8_100..25_000).contains(&held[0]), "{held:?}");
        assert!((8_000..8_100).contains(&held[1]), "{held:?}");
        assert!((100..200).contains(&held[2]), "{held:?}");
        assert_eq!(held.iter().sum::<usize>(), hub.held(Kind::Messages));
    };
    check(&hub);
    assert_eq!(hub.kept("shared"), 4);
    check(&hub);
    assert!(held_by(&hub, 2) < 8_600, "what is sealed takes no more than its bytes");
}

#[test]
fn merged_blocks_are_charged_to_those_who_brought_them() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let reader = client_of(&mut hub, 9, 9);
    hub.subscribe(reader, "shared", Start::Latest, WhenSlow::CatchUp);
    let (much, little) = (client_of(&mut hub, 2, 2), client_of(&mut hub, 3, 3));
    for id in [much, little] {
        hub.say(id, &[open_as(1, 0, "shared")]);
    }
    for seq in 1..=500 {
        hub.say(much, &[publish_on(1, seq, &[b'x'; 300])]);
        hub.say(little, &[publish_on(1, seq, &[b'x'; 30])]);
    }
    let (much, little) = (held_by(&hub, 2), held_by(&hub, 3));
    assert_eq!(much + little, hub.held(Kind::Messages));
    assert!((500 * 300..500 * 340).contains(&much), "{much}");
    assert!((500 * 30..500 * 70).contains(&little), "{little}");
}

#[test]
fn blocks_are_merged_only_where_that_saves() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (client_of(&mut hub, 2, 2), client_of(&mut hub, 3, 3));
    hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
    hub.say(writer, &[open_as(1, 0, "t")]);
    let mut block_bytes = 0;
    for block in 0..120 {
        let publishes: Vec<_> = (1..=600).map(|n| publish_on(1, block * 600 + n, b"x")).collect();
        hub.say(writer, &publishes);
        hub.wait(200);
        hub.sockets.written.clear();
        if block == 0 {
            // Later ones have longer numbers.
            block_bytes = hub.held(Kind::Messages) + 8;
        }
        let most = block_bytes * (block as usize + 1);
        assert!(hub.held(Kind::Messages) <= most, "{} bytes, {most} apart", hub.held(Kind::Messages));
    }
    assert_eq!(hub.kept("t"), 120 * 600);
}

/// The hub never holds much more than it may.
#[track_caller]
fn check_limit(hub: &Hub) {
    let (held, most) = (hub.topics.ledger().total(), NODE_BYTES + NODE_BYTES / 8);
    assert!(held <= most, "{held} bytes are held, of {NODE_BYTES}");
}

/// Patterns that all match a topic of eight tokens with this prefix, each of another kind.
fn patterns(prefix: &str, count: u32) -> Vec<String> {
    let token = |number: u32, at: u32| if number >> at & 1 == 1 { "*" } else { "a" };
    let tokens = |number| (0..7).map(|at| token(number, at)).collect::<Vec<_>>().join(".");
    (0..count).map(|number| format!("{prefix}.{}", tokens(number))).collect()
}

#[test]
fn tails_of_patterns_are_bounded_and_take_nobodys_history() {
    let set = limits(|limits| {
        limits.node_bytes_max = NODE_BYTES;
        limits.pattern_tail_bytes = 20_000;
    });
    let mut hub = Hub::new(set, keep_all());
    let (innocent, reader) = (client_of(&mut hub, 1, 1), client_of(&mut hub, 2, 2));
    hub.subscribe(reader, "innocent.>", Start::Latest, WhenSlow::CatchUp);
    fill(&mut hub, innocent, "innocent", 50, 10, 5_000);
    let heard = hub.heard(reader);
    assert_eq!(messages(&heard).len(), 500, "{:?}", crate::rig::but_messages(&heard));
    // None of these is large.
    for round in 1..=12 {
        let greedy = client_of(&mut hub, 3, 3);
        let topic = format!("x{round}.a.a.a.a.a.a.a");
        for pattern in patterns(&format!("x{round}"), 80) {
            hub.subscribe(greedy, &pattern, Start::Latest, WhenSlow::CatchUp);
        }
        hub.say(greedy, &[open_for_updates(1, &topic)]);
        for _ in 0..20 {
            hub.say(greedy, &[send(1, &[b'x'; 10_000])]);
            hub.sockets.written.remove(&greedy);
            check_limit(&hub);
        }
        hub.say(innocent, &[publish_on(1, 10 + round, b"innocent")]);
        let heard = hub.heard(reader);
        assert_eq!(messages(&heard).len(), 1, "{heard:?}");
        wait(&mut hub, &[innocent, reader], 2);
    }
    assert_eq!(hub.kept("innocent.1"), 22);
    for number in 2..=50 {
        assert_eq!(hub.kept(&format!("innocent.{number}")), 10);
    }
}

#[test]
fn whoever_fills_the_node_takes_no_more_until_there_is_room() {
    for (topics, bytes) in [(1_500, 900), (40, 20_000)] {
        let mut hub = Hub::new(small(), keep_all());
        let (innocent, greedy) = (client_of(&mut hub, 1, 1), client_of(&mut hub, 2, 2));
        fill(&mut hub, innocent, "innocent", 50, 4, 500);
        hub.say(greedy, &[open_as(99_999, 0, "greedy.too")]);
        for number in 1..=topics {
            hub.say(greedy, &[open_for_updates(number, &format!("greedy.{number}"))]);
        }
        let payload = vec![b'x'; bytes];
        for round in 1..=3 {
            hub.wait(500);
            for number in (1..=topics).cycle().take(20 * topics as usize) {
                hub.say(greedy, &[send(number, &payload)]);
                if number % 20 == 0 {
                    check_limit(&hub);
                }
            }
            hub.heard(innocent);
            hub.say(innocent, &[publish_on(1, 4 + round, b"innocent")]);
            assert_eq!(hub.heard(innocent), [Heard::Acked(4 + round, 1)]);
        }
        let dropped = hub.topics.metrics().updates_dropped.value();
        assert!(dropped > 0, "what is not taken is counted");
        hub.heard(greedy);
        hub.say(greedy, &[publish_on(99_999, 1, b"x")]);
        assert_eq!(hub.heard(greedy), [Heard::Refused(1, Code::Overloaded)]);
        wait(&mut hub, &[innocent, greedy], 10);
        hub.heard(greedy);
        hub.say(greedy, &[publish_on(99_999, 1, b"x")]);
        assert_eq!(hub.heard(greedy), [Heard::Acked(1, 1)], "there is room again");
        for number in 2..=50 {
            assert_eq!(hub.kept(&format!("innocent.{number}")), 4);
        }
    }
}

/// One whose socket takes nothing for half a second while room is made, of the account that has to give: so many messages
/// to the topic that is listened to, and to each of so many others.
#[track_caller]
fn check_settled(bytes: usize, live: u64, topics: u64, each: u64) {
    let mut hub = Hub::new(small(), keep_all());
    let (filler, reader) = (client_of(&mut hub, 2, 2), client_of(&mut hub, 3, 3));
    // The first that a sweep comes by.
    hub.subscribe(reader, "a", Start::Latest, WhenSlow::CatchUp);
    hub.say(filler, &[open_as(90_000, 0, "a")]);
    for number in 1..=topics {
        hub.say(filler, &[open_for_updates(number, &format!("fill.{number}"))]);
    }
    let payload = vec![b'x'; bytes];
    let flood = |hub: &mut Hub| {
        for number in 1..=topics {
            (0..each).for_each(|_| hub.say(filler, &[send(number, &payload)]));
        }
    };
    let mut told = Vec::new();
    for round in 0..10 {
        // There is much that is older, and some room.
        flood(&mut hub);
        wait(&mut hub, &[filler, reader], 10);
        hub.sockets.room.insert(reader, 0);
        hub.heard(filler);
        for seq in 1..=live {
            hub.say(filler, &[publish_on(90_000, round * live + seq, &payload)]);
            assert_eq!(hub.heard(filler), [Heard::Acked(round * live + seq, 1)]);
        }
        flood(&mut hub);
        hub.wait(500);
        hub.room(reader, usize::MAX);
        told.extend(hub.heard(reader));
    }
    assert!(!told.iter().any(|heard| matches!(heard, Heard::Missing(..))));
    assert_eq!(messages(&told).len() as u64, 10 * live);
}

#[test]
fn what_came_just_now_stays_for_those_who_are_about_to_take_it() {
    check_settled(900, 1, 1_500, 7);
    check_settled(10_000, 50, 40, 30);
}

#[test]
fn whoever_holds_no_messages_takes_nobodys() {
    let mut hub = Hub::new(small(), keep_all());
    let innocent: Vec<_> = (1..=4).map(|account| client_of(&mut hub, account, account as u8)).collect();
    for (number, id) in innocent.iter().enumerate() {
        fill(&mut hub, *id, &format!("innocent.{number}"), 30, 5, 10_000);
    }
    let before = hub.held(Kind::Messages);
    assert!(before > NODE_BYTES / 3);
    // Handles, names and windows, frames that are not whole, and answers that nobody reads.
    for account in 5..9 {
        let id = client_of(&mut hub, account, account as u8);
        let name = |number: u64| format!("{account}.{number}.{}", "x".repeat(150));
        for number in 1..=10_000 {
            let name = name(number);
            hub.say(id, &[open_for_updates(number, &name), open_as(100_000 + number, 0, &name)]);
            if number % 4 == 0 {
                hub.say(id, &[send(number, b""), publish_on(100_000 + number, 1, b"")]);
            }
            hub.sockets.written.remove(&id);
        }
        for _ in 0..30 {
            let id = client_of(&mut hub, account, account as u8);
            let mut message = masked(2, &vec![0; 1_000_000]);
            hub.shard.received(hub.now, id, &mut message[..900_000], &mut hub.sockets);
            hub.work();
        }
        for _ in 0..30 {
            let id = client_of(&mut hub, account, account as u8);
            hub.sockets.room.insert(id, 10);
            let page = History {
                request: Request(1),
                name: "innocent.1.1".into(),
                from: Start::Earliest,
                bytes_max: 60_000,
                ..History::default()
            };
            hub.say(id, &vec![ClientFrame::History(page); 15]);
        }
    }
    wait(&mut hub, &innocent, 10);
    check_limit(&hub);
    hub.sockets.room.clear();
    hub.sockets.written.clear();
    for number in 0..4 {
        for topic in 1..=30 {
            assert_eq!(hub.kept(&format!("innocent.{number}.{topic}")), 5);
        }
    }
}

#[test]
fn those_who_hold_most_give_back_though_none_of_them_leads_in_a_topic() {
    let mut hub = Hub::new(small(), keep_all());
    let mut ids = Vec::new();
    for greedy in 0..3 {
        ids.push(client_of(&mut hub, 100 + greedy, 10 + greedy as u8));
        fill(&mut hub, ids[greedy as usize], "shared", 8, 300, 1_000);
    }
    for (small, at) in (1..=8).zip(0..) {
        let id = client_of(&mut hub, 200 + at, 20 + at as u8);
        hub.say(id, &[open_as(1, 0, &format!("shared.{small}"))]);
        for seq in 1..=600 {
            hub.say(id, &[publish_on(1, seq, &[b's'; 1_000])]);
        }
        hub.sockets.written.remove(&id);
        ids.push(id);
    }
    for other in 0..6 {
        let id = client_of(&mut hub, 300 + other, 30 + other as u8);
        fill(&mut hub, id, &format!("other.{other}"), 1, 1_000, 1_000);
        ids.push(id);
    }
    wait(&mut hub, &ids, 5);
    let held = hub.topics.ledger().total();
    assert!(held <= NODE_BYTES, "{held} bytes are held, of {NODE_BYTES}");
    assert!((0..6).all(|other| hub.kept(&format!("other.{other}.1")) == 1_000));
}

#[test]
fn whoever_writes_no_faster_than_sweeps_make_room_is_not_refused() {
    let mut hub = Hub::new(small(), keep_all());
    let writer = client_of(&mut hub, 1, 1);
    fill(&mut hub, writer, "small", 2_500, 1, 4_000);
    let mut most = 0;
    for seq in 2..=41 {
        for first in (1..=2_500).step_by(100) {
            let frames: Vec<_> =
                (first..first + 100).map(|handle| publish_on(handle, seq, &[b'x'; 200])).collect();
            hub.say(writer, &frames);
            hub.wait(250);
            let told = hub.heard(writer);
            assert!(!told.iter().any(|heard| matches!(heard, Heard::Refused(..))), "{told:?}");
            most = most.max(hub.topics.ledger().total());
        }
        hub.say(writer, &[ClientFrame::Heartbeat(Heartbeat::default())]);
    }
    assert!(most > NODE_BYTES - NODE_BYTES / 24, "the node was never nearly full: {most}");
}

#[test]
fn those_who_come_to_a_full_node_fill_it_no_more_while_room_is_made() {
    for newcomers in [1, 3, 12] {
        let mut hub = Hub::new(small(), keep_all());
        let innocent = client_of(&mut hub, 1, 1);
        fill(&mut hub, innocent, "innocent", 10, 2, 500);
        // All within one instant: nothing is swept.
        let old = client_of(&mut hub, 10, 10);
        fill(&mut hub, old, "old", 1_500, 14, 1_000);
        assert!(hub.topics.ledger().total() > NODE_BYTES, "the node is full");
        let full = hub.held(Kind::Messages);
        let ids: Vec<_> = (0..newcomers).map(|at| client_of(&mut hub, 100 + at, 100 + at as u8)).collect();
        for (seq, round) in (3..).zip(0..200) {
            for (at, id) in ids.iter().enumerate() {
                hub.say(*id, &[open_as(round + 1, 0, &format!("new.{at}.{round}"))]);
                let frames: Vec<_> = (1..=30).map(|seq| publish_on(round + 1, seq, &[b'x'; 1_000])).collect();
                hub.say(*id, &frames);
                hub.sockets.written.remove(id);
            }
            let more = hub.held(Kind::Messages) - full;
            let most = NODE_BYTES / 8 + (newcomers as usize + 4) * NODE_BYTES / 256;
            assert!(more <= most, "{newcomers} newcomers put {more} bytes into a full node");
            hub.heard(innocent);
            hub.say(innocent, &[publish_on(1, seq, b"goes on")]);
            assert_eq!(hub.heard(innocent), [Heard::Acked(seq, 1)]);
        }
        wait(&mut hub, &ids, 10);
        let last = *ids.last().unwrap();
        hub.heard(last);
        hub.say(last, &[open_as(999, 0, "new.later"), publish_on(999, 1, b"x")]);
        assert_eq!(hub.heard(last), [Heard::Opened, Heard::Acked(1, 1)], "there is room again");
        assert_eq!(hub.kept("innocent.2"), 2);
    }
}
