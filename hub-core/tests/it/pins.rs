//! Who reads slowly answers for the blocks that stay for that alone, and those who published them do not.

use std::collections::BTreeSet;

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::events::Ids;
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Heard, Hub, NONE, hello, limits, open_as, publish_on, rule};

const PUBLISHER: u128 = 10;

fn client_of(hub: &mut Hub, account: u128) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
    hub.say(id, &[hello(account as u8, 1)]);
    hub.heard(id);
    id
}

/// One who listens to `name` and takes ten bytes of what comes.
fn stuck(hub: &mut Hub, account: u128, dialect: Dialect, name: &str) -> ConnectionId {
    let account = AccountKey(account);
    let id = match dialect {
        Dialect::Binary => {
            let id = hub.shard.accept(hub.now, dialect, account);
            hub.say(id, &[hello(0, 1)]);
            hub.subscribe(id, name, Start::Latest, WhenSlow::CatchUp);
            id
        }
        Dialect::Json => {
            let id = hub.shard.accept(hub.now, dialect, account);
            hub.send(id, 1, br#"{"type":"hello"}"#);
            let ask = format!(r#"{{"type":"subscribe","request":1,"name":"{name}"}}"#);
            hub.send(id, 1, ask.as_bytes());
            id
        }
        Dialect::Events(Ids::OfEach) => hub.listener(account, &[(name, Start::Latest)]),
        Dialect::Events(Ids::Apart) => {
            hub.listener(account, &[(name, Start::Latest), ("silent", Start::Latest)])
        }
    };
    hub.sockets.written.remove(&id);
    hub.sockets.room.insert(id, 10);
    id
}

fn held(hub: &Hub, account: u128, kind: Kind) -> usize {
    hub.topics.ledger().account(AccountKey(account)).held(kind)
}

fn newest(count: u64) -> Retention {
    Retention { count: Some(count), ..ALL }
}

/// A block of 100 KB is half written to readers of these accounts, and then `lose` has its tail let go of it. What of it
/// is held besides what is kept for its topic afterwards is the first reader's.
#[track_caller]
fn check_charged(keeps: Retention, readers: &[(u128, Dialect)], lose: impl Fn(&mut Hub, ConnectionId)) {
    const BYTES: usize = 100_000;
    let mut hub = Hub::new(limits(|limits| limits.bare_tail_bytes = 60_000), vec![rule(">", keeps)]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "t")]);
    let stuck: Vec<_> =
        readers.iter().map(|(account, dialect)| stuck(&mut hub, *account, *dialect, "t")).collect();
    hub.say(writer, &[publish_on(1, 1, &[1; BYTES])]);
    let encodings: BTreeSet<_> =
        readers.iter().map(|(_, dialect)| format!("{dialect:?}")).filter(|name| name != "Binary").collect();
    let derived = encodings.len() * 4 * BYTES / 3;
    let near = |bytes: usize, wanted: usize| bytes.abs_diff(wanted) < 2_000;
    assert!(near(held(&hub, PUBLISHER, Kind::Messages), BYTES), "its tail has it");
    assert!(near(hub.held(Kind::Pinned), derived), "only readers need {} bytes", hub.held(Kind::Pinned));
    lose(&mut hub, writer);
    let kept = held(&hub, PUBLISHER, Kind::Messages);
    assert!(kept < BYTES / 2, "the publisher answers for {kept} bytes");
    assert_eq!(held(&hub, PUBLISHER, Kind::Derived), 0);
    let pinned = BYTES + derived;
    assert!(near(hub.held(Kind::Pinned), pinned), "{} are pinned", hub.held(Kind::Pinned));
    assert!(near(held(&hub, readers[0].0, Kind::Pinned), pinned), "by the first of the readers");
    let all = hub.topics.ledger().total() - hub.held(Kind::Subscriptions) - hub.held(Kind::Names);
    assert!(near(all, pinned + kept), "all is counted once: {all} for {pinned} and {kept}");
    for (id, (account, _)) in stuck.iter().zip(readers) {
        assert!(near(hub.held(Kind::Pinned), pinned));
        if account % 2 == 0 { hub.room(*id, usize::MAX) } else { hub.shard.gone(hub.now, *id) }
    }
    assert_eq!((hub.held(Kind::Pinned), hub.held(Kind::Parting)), (0, 0));
    assert!(hub.topics.ledger().total() - hub.held(Kind::Derived) < BYTES);
}

#[test]
fn what_a_tail_lets_go_of_is_charged_to_the_reader_who_keeps_it_once() {
    use Dialect::{Binary, Events, Json};
    let sets: [&[(u128, Dialect)]; 8] = [
        &[(1, Binary)],
        &[(2, Json)],
        &[(1, Binary), (1, Binary), (1, Binary)],
        &[(1, Binary), (2, Json), (3, Binary)],
        &[(2, Json), (4, Binary), (5, Json)],
        &[(1, Json), (1, Binary), (2, Binary), (3, Json)],
        &[(2, Events(Ids::OfEach)), (2, Events(Ids::OfEach)), (3, Binary)],
        &[(1, Events(Ids::Apart)), (2, Events(Ids::OfEach)), (3, Json), (4, Events(Ids::Apart))],
    ];
    for readers in sets {
        // Newer ones crowd it out.
        for keeps in [newest(1), NONE] {
            check_charged(keeps, readers, |hub, writer| {
                (2..4).for_each(|seq| hub.say(writer, &[publish_on(1, seq, &[b'x'; 20_000])]));
            });
        }
        // It grows old, and its topic with it.
        let soon = Retention { age_ms: Some(2_000), ..ALL };
        check_charged(soon, readers, |hub, _| hub.wait(20_000));
    }
}

#[test]
fn messages_merged_from_topics_are_charged_to_their_reader_alone_in_either_form() {
    let set = limits(|limits| {
        limits.pattern_tail_bytes = 1_000;
        limits.message_bytes_max = 900;
    });
    let dialects = [Dialect::Binary, Dialect::Json, Dialect::Events(Ids::OfEach)];
    let [binary, json, events] = dialects.map(|dialect| {
        let mut hub = Hub::new(set.clone(), vec![rule(">", ALL)]);
        let writer = client_of(&mut hub, PUBLISHER);
        let reader = stuck(&mut hub, 1, dialect, "*");
        hub.say(writer, &[open_as(1, 0, "t")]);
        for seq in 1..=400 {
            hub.say(writer, &[publish_on(1, seq, &[1; 800])]);
        }
        let published = held(&hub, PUBLISHER, Kind::Messages);
        // Its tail has left it behind: what comes next is made for it.
        hub.room(reader, 30_000);
        let (pinned, unread) = (held(&hub, 1, Kind::Pinned), held(&hub, 1, Kind::Unread));
        assert!(unread > 10_000, "the rest of the part");
        assert_eq!(hub.held(Kind::Pinned), pinned);
        assert!(held(&hub, PUBLISHER, Kind::Messages) <= published);
        hub.room(reader, usize::MAX);
        hub.shard.gone(hub.now, reader);
        assert_eq!((hub.held(Kind::Pinned), hub.held(Kind::Unread), hub.held(Kind::Derived)), (0, 0, 0));
        pinned
    });
    assert!(binary > 10_000, "{binary} bytes");
    assert!(json > 2 * binary && events > 2 * binary, "{binary}, {json} and {events} bytes");
}

#[test]
fn what_was_read_for_a_reader_is_held_until_it_is_written_and_no_longer() {
    const MESSAGES: usize = 200;
    let set = limits(|limits| {
        limits.pattern_tail_bytes = 1_000;
        limits.message_bytes_max = 200_000;
        limits.page_bytes_max = 250_000;
    });
    let mut hub = Hub::new(set, vec![rule(">", ALL)]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "large"), open_as(2, 0, "s.t")]);
    let reader = stuck(&mut hub, 1, Dialect::Json, "large");
    hub.send(reader, 1, br#"{"type":"subscribe","request":2,"name":"s.*"}"#);
    for seq in 1..=20 {
        hub.say(writer, &[publish_on(1, seq, &[b'u'; 150_000])]);
    }
    for seq in 1..=MESSAGES as u64 {
        hub.say(writer, &[publish_on(2, seq, &[b's'; 800])]);
    }
    // In base64.
    let small = "c3Nz".repeat(200);
    let written = |hub: &Hub| {
        let bytes = hub.sockets.written.get(&reader).map_or(&[][..], Vec::as_slice);
        String::from_utf8_lossy(bytes).matches(&small).count()
    };
    while written(&hub) < MESSAGES {
        hub.room(reader, 450_000);
        let left = MESSAGES - written(&hub);
        let unread = held(&hub, 1, Kind::Unread);
        // What is still to be written of the last block may be written twice before it counts.
        assert!(unread <= (left + 25) * 850, "{unread} bytes are held for {left} messages");
    }
}

/// Readers of these accounts, each stuck in blocks of its own of so many bytes that no tail holds.
fn pinned(set: Limits, blocks: &[(u128, usize, usize)]) -> (Hub, Vec<Vec<ConnectionId>>) {
    let mut hub = Hub::new(set, vec![rule(">", newest(1))]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "t")]);
    let mut pinners = Vec::new();
    let mut seq = 1;
    for (account, bytes, readers) in blocks {
        let ids: Vec<_> = (0..*readers).map(|_| stuck(&mut hub, *account, Dialect::Binary, "t")).collect();
        for bytes in [*bytes, 1] {
            hub.say(writer, &[publish_on(1, seq, &vec![b'x'; bytes])]);
            seq += 1;
        }
        pinners.push(ids);
    }
    hub.heard(writer);
    (hub, pinners)
}

/// A bound of so many bytes, which a node of any size has room for.
fn pins_max(bytes: usize) -> Limits {
    limits(|limits| limits.pinned_bytes_max = bytes)
}

fn is_told_to_resume(hub: &mut Hub, id: ConnectionId) -> bool {
    hub.room(id, usize::MAX);
    hub.heard(id).last() == Some(&Heard::Close(Code::Resume.close_code()))
}

#[test]
fn a_block_that_many_pin_counts_once() {
    let (mut hub, _) = pinned(pins_max(1 << 20), &[(2, 16_000, 100)]);
    hub.wait(10_000);
    assert_eq!(hub.shard.connections(), 101);
}

#[test]
fn what_a_tail_holds_is_not_held_for_its_readers() {
    let mut hub = Hub::new(pins_max(100_000), vec![rule(">", ALL)]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "t")]);
    for seq in 1..=10 {
        stuck(&mut hub, 2, Dialect::Binary, "t");
        hub.say(writer, &[publish_on(1, seq, &[b'x'; 50_000])]);
    }
    hub.wait(10_000);
    assert_eq!((hub.held(Kind::Pinned), hub.shard.connections()), (0, 11));
}

#[test]
fn those_who_alone_pin_most_have_to_resume_all_at_once() {
    let blocks = [(2, 90_000, 10), (2, 30_000, 1), (2, 20_000, 1), (2, 35_000, 1), (2, 8_000, 1)];
    let (mut hub, pinners) = pinned(pins_max(120_000), &blocks);
    hub.wait(500);
    let went: Vec<_> =
        pinners.iter().map(|ids| ids.iter().all(|id| is_told_to_resume(&mut hub, *id))).collect();
    // 63 KB have to go at least: the 35 and 30 that one keeps alive, and not the 90 of ten.
    assert_eq!(went, [false, true, false, true, false]);
}

#[test]
fn who_reads_slowly_beside_one_who_pins_much_is_let_be() {
    let mut blocks = vec![(3, 70_000, 1)];
    blocks.extend((0..20).map(|_| (2, 50_000, 1)));
    let (mut hub, pinners) = pinned(pins_max(600_000), &blocks);
    hub.wait(500);
    let went: Vec<_> = pinners.iter().flatten().map(|id| is_told_to_resume(&mut hub, *id)).collect();
    assert!(!went[0] && went.iter().filter(|went| **went).count() >= 10, "{went:?}");
}

#[test]
fn who_is_told_to_resume_is_not_picked_again() {
    let (mut hub, _) =
        pinned(pins_max(60_000), &[(2, 50_000, 1), (2, 40_000, 1), (2, 30_000, 1), (2, 20_000, 1)]);
    hub.wait(750);
    assert_eq!(hub.topics.metrics().disconnected.of(Code::Resume.number()), 2);
}

#[test]
fn who_is_told_and_does_not_go_is_cut_off_where_many_are() {
    const MAX: usize = 200_000;
    let (mut hub, _) = pinned(pins_max(MAX), &[]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "t")]);
    for seq in 1..=60 {
        let id = stuck(&mut hub, 2, Dialect::Binary, "t");
        hub.say(writer, &[publish_on(1, seq, &[b'x'; 50_000])]);
        if seq % 3 == 0 {
            // It breaks the protocol, so as not to be told.
            hub.send(id, 2, &[0xff; 3]);
        }
        hub.wait(50);
        assert!(hub.held(Kind::Pinned) + hub.held(Kind::Parting) <= 2 * MAX + 100_000);
    }
    hub.wait(3_000);
    assert!(hub.held(Kind::Pinned) <= MAX && hub.held(Kind::Parting) == 0);
}

#[test]
fn where_the_node_is_short_of_room_readers_who_pin_count_as_those_who_hold_much() {
    let set = limits(|limits| {
        limits.node_bytes_max = 2_000_000;
        limits.message_bytes_max = 60_000;
    });
    let (mut hub, _) = pinned(set, &vec![(2, 50_000, 1); 16]);
    let ledger = hub.topics.ledger();
    let publisher = ledger.account(AccountKey(PUBLISHER));
    assert!(publisher.held_in_all() < 100_000, "{} are the publisher's", publisher.held_in_all());
    assert!(held(&hub, 2, Kind::Pinned) > 700_000 && ledger.account(AccountKey(2)).held_in_all() > 700_000);
    drop(publisher);
    hub.wait(3_000);
    assert!(hub.held(Kind::Pinned) <= hub.topics.limits().pinned_fit());
}
