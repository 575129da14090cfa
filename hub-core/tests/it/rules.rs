//! Access rules that change while the hub runs: what they allow no longer ends, in the middle of whatever it does.

use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, History, Open, Send, Subscribe};
use tidewire_protocol::code::{Code, Content, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Refused, Unsubscribed};
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Handle, Request};
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, after, bytes_of, keep_all, messages, open_as, publish_on};

/// Everything is allowed but what is named.
pub(crate) fn but(denied: &[&str]) -> Access {
    let deny = |name: &&str| AccessRule {
        who: Who::Everybody,
        pattern: Pattern::parse(name).unwrap(),
        publish: Word::Denies,
        subscribe: Word::Denies,
    };
    let rest = Access::open().rules;
    Access::of(denied.iter().map(deny).chain(rest).collect())
}

fn subscribe(hub: &mut Hub, id: ConnectionId, name: &str) {
    hub.subscribe(id, name, Start::Latest, WhenSlow::CatchUp);
    assert!(matches!(hub.heard(id)[..], [Heard::Subscribed(Outcome::Live, ..)]), "{name}");
}

/// The numbers of subscriptions that the hub ended, with why.
fn ended(hub: &mut Hub, id: ConnectionId) -> Vec<(u64, Code)> {
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Unsubscribed(Unsubscribed {
            request: Request(0), tail, code, retryable: false, ..
        }) => Some((tail.0, *code)),
        _ => None,
    };
    hub.heard_as(id, |_| None, told).into_iter().flatten().collect()
}

#[test]
fn subscriptions_end_with_what_granted_them_and_others_go_on() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader, whole) = (hub.client(1), hub.client(2), hub.client(3));
    for name in ["a.b", "a.c", "a.*"] {
        subscribe(&mut hub, reader, name);
    }
    subscribe(&mut hub, whole, "b.>");
    hub.topics.change_access(but(&["a.b"]));
    hub.work();
    let gone = ended(&mut hub, reader);
    assert_eq!(gone.len(), 2, "the topic, and the pattern of which it is a part: {gone:?}");
    assert!(gone.iter().all(|(_, code)| *code == Code::Forbidden));
    assert_eq!(hub.topics.metrics().subscriptions.value(), 2);
    hub.say(
        writer,
        &[open_as(1, 0, "a.c"), publish_on(1, 1, b"x"), open_as(2, 0, "b.x"), publish_on(2, 1, b"y")],
    );
    assert_eq!(messages(&hub.heard(reader)).len(), 1);
    assert_eq!(messages(&hub.heard(whole)).len(), 1);
    hub.subscribe(reader, "a.b", Start::Latest, WhenSlow::CatchUp);
    assert_eq!(hub.heard(reader), [Heard::Failed(Code::Forbidden)]);
    hub.topics.change_access(Access::open());
    hub.work();
    subscribe(&mut hub, reader, "a.b");
}

#[test]
fn a_publish_by_a_handle_whose_grant_ended_is_refused_and_uses_up_its_seq() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    hub.publish(writer, 1, b"x");
    hub.heard(writer);
    hub.topics.change_access(but(&["a.>"]));
    hub.say(writer, &[publish_on(1, 2, b"x")]);
    assert_eq!(hub.heard(writer), [Heard::Refused(2, Code::Forbidden)]);
    hub.say(writer, &[publish_on(1, 2, b"x")]);
    assert_eq!(hub.heard(writer), [Heard::Refused(2, Code::Forbidden)], "the same when it is sent again");
    hub.say(writer, &[open_as(3, 0, "a.d")]);
    assert_eq!(hub.heard(writer), [Heard::Refused(0, Code::Forbidden)]);
    hub.topics.change_access(Access::open());
    hub.publish(writer, 3, b"x");
    assert_eq!(hub.heard(writer), [Heard::Acked(3, 1)]);
    assert_eq!(hub.kept("a.b"), 2);
}

#[test]
fn a_handle_that_nothing_came_by_is_gone_with_its_grant_and_leaves_nothing() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.b"), open_as(2, 0, "b.c")]);
    hub.heard(writer);
    let held = |hub: &Hub| {
        let kinds = [Kind::Names, Kind::Windows, Kind::Messages].map(|kind| hub.topics.ledger().held(kind));
        (kinds, hub.topics.metrics().topics.value())
    };
    let before = held(&hub);
    hub.topics.change_access(but(&["a.>"]));
    hub.say(writer, &[publish_on(1, 1, b"x"), publish_on(1, 2, b"x")]);
    let unknown = |seq| Heard::Refused(seq, Code::UnknownNumber);
    let refused = [Heard::Refused(0, Code::Forbidden), unknown(1), unknown(2)];
    assert_eq!(hub.heard(writer), refused, "as if it could not have been opened");
    assert_eq!(held(&hub), before);
    hub.say(writer, &[publish_on(2, 1, b"x")]);
    assert_eq!(hub.heard(writer), [Heard::Acked(1, 1)], "others go on");
}

#[test]
fn a_retry_finds_what_its_first_try_did_whatever_rules_say_by_then() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    hub.publish(writer, 1, b"x");
    assert_eq!(hub.heard(writer), [Heard::Acked(1, 1)]);
    hub.shard.gone(hub.now, writer);
    let again = hub.client(1);
    hub.open(again, "a.b");
    hub.topics.change_access(but(&["a.b"]));
    hub.say(again, &[publish_on(1, 1, b"x"), publish_on(1, 2, b"y")]);
    assert_eq!(hub.heard(again), [Heard::Acked(1, 1), Heard::Refused(2, Code::Forbidden)]);
    assert_eq!(hub.topics.metrics().duplicates.value(), 1);
}

#[test]
fn more_rules_than_a_turn_asks_are_applied_all_the_same() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let reader = hub.client(1);
    for name in ["a.b", "a.c", "b"] {
        subscribe(&mut hub, reader, name);
    }
    let names: Vec<_> = (0..5_000).map(|n| format!("x.{n}")).chain(["a.*".into()]).collect();
    hub.topics.change_access(but(&names.iter().map(String::as_str).collect::<Vec<_>>()));
    let mut turns = 0;
    while hub.shard.turn(hub.now, &mut hub.sockets) {
        turns += 1;
        assert!(turns < 1_000, "turns go on and on");
    }
    assert_eq!(ended(&mut hub, reader).len(), 2);
}

#[test]
fn updates_by_a_handle_whose_grant_ended_are_refused_once() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.client(2));
    subscribe(&mut hub, reader, "b.*");
    let open = Open { handle: Handle(1), topic: "b.x".into(), unacknowledged: true, ..Open::default() };
    let send = || {
        let (handle, payload) = (Handle(1), b"u".as_slice().into());
        ClientFrame::Send(Send { handle, content: Content::Binary, payload, ..Send::default() })
    };
    hub.say(writer, &[ClientFrame::Open(open), send()]);
    assert_eq!(messages(&hub.heard(reader)).len(), 1);
    hub.topics.change_access(but(&["b.x"]));
    hub.say(writer, &[send(), send()]);
    let refusal = |frame: &HubFrame<'_>| match frame {
        HubFrame::Refused(Refused { handle, seq, code, .. }) => (handle.0, seq.0, *code),
        other => panic!("{other:?}"),
    };
    let told = hub.heard_as(writer, |code| panic!("closed with {code}"), refusal);
    assert_eq!(told, [(1, 0, Code::Forbidden)]);
    assert_eq!(messages(&hub.heard(reader)).len(), 0);
    assert_eq!(hub.topics.metrics().updates_dropped.value(), 2);
}

#[test]
fn what_is_still_being_read_when_its_grant_ends_is_not_given() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.open(writer, "a.b");
    hub.publish(writer, 1, b"x");
    let (name, from) = ("a.*", Start::Earliest);
    let (request, when_slow) = (Request(1), WhenSlow::CatchUp);
    let subscribe = Subscribe { request, name: name.into(), from: from.clone(), when_slow };
    let history = History { request: Request(2), name: name.into(), from, ..History::default() };
    // Both look at many topics; that is done by another thread, which has not had its turn.
    let asked = bytes_of(&[ClientFrame::Subscribe(subscribe), ClientFrame::History(history)]);
    hub.deliver(reader, 2, &asked);
    while hub.shard.turn(hub.now, &mut hub.sockets) {}
    assert_eq!(hub.heard(reader), []);
    hub.topics.change_access(but(&["a.b"]));
    hub.work();
    assert_eq!(hub.heard(reader), [Heard::Failed(Code::Forbidden), Heard::Failed(Code::Forbidden)]);
    assert_eq!(hub.topics.metrics().subscriptions.value(), 0);
}

#[test]
fn a_half_written_block_is_finished_before_the_end_of_its_subscription_is_told() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.client(2));
    hub.open(writer, "a.b");
    hub.subscribe(reader, "a.b", after(0), WhenSlow::CatchUp);
    hub.heard(reader);
    hub.sockets.room.insert(reader, 20);
    hub.publish(writer, 1, &[b'x'; 100]);
    hub.publish(writer, 2, b"y");
    hub.topics.change_access(but(&["a.b"]));
    hub.work();
    hub.room(reader, usize::MAX);
    let heard = hub.heard(reader);
    assert!(matches!(&heard[..], [Heard::Messages(half), Heard::Other(71)] if half.len() == 1), "{heard:?}");
}

#[test]
fn many_subscriptions_end_some_at_a_time_wherever_they_are() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let clients: Vec<_> = (1..=20).map(|n| hub.client(n)).collect();
    for (at, id) in clients.iter().enumerate() {
        for n in 0..100 {
            subscribe(&mut hub, *id, &format!("a.{at}.{n}"));
            subscribe(&mut hub, *id, &format!("b.{n}"));
        }
    }
    hub.shard.gone(hub.now, clients[3]);
    hub.work();
    hub.topics.change_access(but(&["a.>"]));
    // Others take their place before the first pass is over.
    hub.shard.turn(hub.now, &mut hub.sockets);
    hub.topics.change_access(but(&["b.>"]));
    hub.work();
    assert_eq!(hub.topics.metrics().subscriptions.value(), 19 * 100);
    hub.topics.change_access(but(&["a.>", "b.>"]));
    hub.work();
    assert_eq!(hub.topics.metrics().subscriptions.value(), 0);
}
