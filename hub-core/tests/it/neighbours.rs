//! Who makes the hub hold much goes before others do, in whichever shard either of them is.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::number::Request;
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Heard, Hub, bytes_of, hello, limits, masked, open_as, publish_on, rule};

const BOUND: usize = 1_000_000;
const PUBLISHER: u128 = 10;
const HEAVY: u128 = 66;

fn bounded() -> Limits {
    limits(|limits| {
        limits.unread_bytes_max = BOUND;
        limits.half_received_bytes_max = BOUND;
        limits.pinned_bytes_max = BOUND;
        limits.bare_tail_bytes = 10_000;
    })
}

fn client_of(hub: &mut Hub, account: u128) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
    hub.say(id, &[hello(account as u8, 1)]);
    hub.heard(id);
    id
}

/// Asks for pages of 50 KB and reads nothing of them.
fn leave_unread(hub: &mut Hub, id: ConnectionId, bytes: usize) {
    let page = History {
        request: Request(1),
        name: "pages".into(),
        from: Start::Earliest,
        bytes_max: 50_000,
        ..History::default()
    };
    hub.deliver(id, 2, &bytes_of(&vec![ClientFrame::History(page); bytes / 50_000]));
}

/// Keeps a block of so many bytes that its topic has let go of.
fn keep_block(hub: &mut Hub, readers: &[u128], bytes: usize) -> Vec<ConnectionId> {
    let name = format!("lost.{}.{}", readers[0], hub.topics.metrics().accepted.value());
    let stuck = readers.iter().map(|account| {
        let id = client_of(hub, *account);
        hub.subscribe(id, &name, Start::Latest, WhenSlow::CatchUp);
        hub.heard(id);
        hub.sockets.room.insert(id, 10);
        id
    });
    let stuck = stuck.collect();
    let writer = client_of(hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, &name)]);
    hub.say(writer, &[publish_on(1, 1, &vec![b'x'; bytes])]);
    // The shard does nothing yet about what that makes it hold.
    for seq in 2..4 {
        hub.deliver(writer, 2, &bytes_of(&[publish_on(1, seq, &[b'x'; 20_000])]));
    }
    stuck
}

fn hub_of_two() -> (Hub, crate::rig::Beside) {
    let lost = Retention { count: Some(1), ..ALL };
    let (mut hub, other) = Hub::with_two_shards(bounded(), vec![rule("pages", ALL), rule(">", lost)]);
    let writer = client_of(&mut hub, PUBLISHER);
    hub.say(writer, &[open_as(1, 0, "pages")]);
    (1..=8).for_each(|seq| hub.say(writer, &[publish_on(1, seq, &[b'x'; 12_000])]));
    hub.heard(writer);
    (hub, other)
}

fn was_sent_away(hub: &mut Hub, id: ConnectionId) -> bool {
    hub.room(id, usize::MAX);
    hub.sockets.closed.contains(&id)
}

/// Eight accounts hold 50 KB each in one shard, and another holds more than is left in the other: whichever shard looks
/// first and however often, those eight are let be.
#[track_caller]
fn check_let_be(kind: Kind, code: Code, fill: impl Fn(&mut Hub, u128, usize) -> ConnectionId) {
    let (mut hub, mut other) = hub_of_two();
    let few: Vec<_> = (1..=8).map(|account| fill(&mut hub, account, 50_000)).collect();
    hub.beside(&mut other, |hub| {
        while hub.held(kind) <= BOUND {
            fill(hub, HEAVY, 100_000);
        }
    });
    hub.wait(1_000);
    assert_eq!(hub.topics.metrics().disconnected.value(), 0, "those who hold less than others have gone");
    hub.beside(&mut other, |hub| hub.wait(1_000));
    assert!(hub.held(kind) <= BOUND, "{} are held", hub.held(kind));
    hub.wait(1_000);
    let went = hub.topics.metrics().disconnected.of(code.number());
    assert!((1..6).contains(&went), "{went} had to go");
    for id in few {
        assert!(!was_sent_away(&mut hub, id));
    }
}

#[test]
fn who_leaves_little_unread_is_let_be_beside_another_shard_that_has_who_leaves_much() {
    check_let_be(Kind::Unread, Code::TooSlow, |hub, account, bytes| {
        let id = client_of(hub, account);
        hub.sockets.room.insert(id, 10);
        leave_unread(hub, id, bytes);
        id
    });
}

#[test]
fn who_leaves_little_unfinished_is_let_be_beside_another_shard_that_has_who_leaves_much() {
    check_let_be(Kind::HalfReceived, Code::Overloaded, |hub, account, bytes| {
        let id = client_of(hub, account);
        let mut message = masked(2, &vec![0; 200_000]);
        hub.shard.received(hub.now, id, &mut message[..bytes], &mut hub.sockets);
        id
    });
}

#[test]
fn who_keeps_few_blocks_is_let_be_beside_another_shard_that_has_who_keeps_many() {
    check_let_be(Kind::Pinned, Code::Resume, |hub, account, bytes| keep_block(hub, &[account], bytes)[0]);
}

#[test]
fn who_keeps_a_block_with_one_who_keeps_many_is_let_be() {
    let (mut hub, _) = hub_of_two();
    // The heavy one's key is the lower: it is charged for both.
    let shared = keep_block(&mut hub, &[HEAVY, HEAVY + 1], 200_000);
    for _ in 0..10 {
        keep_block(&mut hub, &[HEAVY], 90_000);
    }
    hub.wait(1_000);
    assert!(hub.held(Kind::Pinned) <= BOUND);
    assert!(hub.topics.metrics().disconnected.of(Code::Resume.number()) > 0);
    assert!(!was_sent_away(&mut hub, shared[1]));
}

#[test]
fn those_who_keep_blocks_together_go_one_after_another_until_they_are_given_back() {
    let (mut hub, _) = hub_of_two();
    for _ in 0..7 {
        keep_block(&mut hub, &[1, 2, 3, 4, 5], 200_000);
    }
    hub.wait(500);
    assert!(hub.held(Kind::Pinned) <= BOUND, "{} are kept", hub.held(Kind::Pinned));
}

#[test]
fn those_who_hold_most_and_were_told_to_go_are_cut_off_before_others_are_told() {
    let (mut hub, _) = hub_of_two();
    let few: Vec<_> = (1..=4)
        .map(|account| {
            let id = client_of(&mut hub, account);
            hub.sockets.room.insert(id, 10);
            leave_unread(&mut hub, id, 50_000);
            id
        })
        .collect();
    while hub.held(Kind::Unread) <= BOUND {
        let id = keep_block(&mut hub, &[HEAVY], 1_000)[0];
        leave_unread(&mut hub, id, 200_000);
        // It breaks the protocol, and is told so when it has read what it asked for.
        hub.deliver(id, 2, &[0xff; 3]);
    }
    hub.wait(500);
    assert!(hub.held(Kind::Unread) <= BOUND, "{} are held", hub.held(Kind::Unread));
    assert_eq!(hub.topics.metrics().disconnected.of(Code::TooSlow.number()), 0);
    for id in few {
        assert!(!was_sent_away(&mut hub, id));
    }
}

#[test]
fn nothing_is_written_for_the_subscriptions_of_one_who_goes() {
    for breaks in [true, false] {
        let (mut hub, _) = hub_of_two();
        let writer = client_of(&mut hub, PUBLISHER);
        hub.say(writer, &[open_as(1, 0, "lost")]);
        let reader = client_of(&mut hub, 1);
        hub.subscribe(reader, "lost", Start::Latest, WhenSlow::CatchUp);
        // As many as take several turns to end; that to the topic of which there is news comes last.
        for topic in 1..1_000 {
            hub.subscribe(reader, &format!("t.{topic}"), Start::Latest, WhenSlow::CatchUp);
        }
        hub.heard(reader);
        hub.sockets.room.insert(reader, 5_000);
        if breaks {
            hub.deliver(reader, 2, &[0xff; 3]);
        } else {
            hub.shard.gone(hub.now, reader);
        }
        for seq in 1..=2 {
            hub.deliver(writer, 2, &bytes_of(&[publish_on(1, seq, &[b'x'; 100_000])]));
        }
        hub.work();
        assert_eq!((hub.held(Kind::Pinned), hub.held(Kind::Parting)), (0, 0));
        let heard = hub.heard(reader);
        let told = matches!(heard[..], [Heard::Goodbye(Code::BadFrame), Heard::Close(_)]);
        assert!(if breaks { told } else { heard.is_empty() }, "{heard:?}");
        assert_eq!(hub.shard.connections(), 2);
    }
}
