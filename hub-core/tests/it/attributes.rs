//! What a message has besides its payload goes with it wherever it goes, and what it asks for is done or refused.

use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::attributes::{Attributes, HEADERS_BYTES_MAX, Headers};
use tidewire_protocol::client_frame::{ClientFrame, History, Publish, Send, Terms};
use tidewire_protocol::code::{Code, Durability, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Handle, Offset, Request, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::durable::Lasting;
use crate::rig::*;
use crate::updates::open_for_updates;

/// A key, headers and a time to live.
pub fn some() -> Attributes<'static> {
    let headers = Headers::of([("content-encoding", "gzip"), ("traceparent", "00-ab-cd-01")]);
    Attributes { key: "card.7".into(), headers, ttl_ms: 60_000, remove: false }
}

pub fn publish_with(seq: u64, attributes: Attributes<'static>, terms: Terms) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(1), Seq(seq), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, payload, attributes, terms, ..Publish::default() })
}

/// What came, but for all else.
fn attributes_heard(hub: &mut Hub, id: ConnectionId) -> Vec<Attributes<'static>> {
    let heard = hub.heard_as(
        id,
        |code| panic!("closed with {code}"),
        |frame| match frame {
            HubFrame::Block(block) => {
                block.messages().map(|message| message.unwrap().attributes().unwrap().into_owned()).collect()
            }
            _ => vec![],
        },
    );
    heard.concat()
}

#[test]
fn attributes_go_with_their_message_by_topic_and_by_pattern_live_and_kept() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    let names = ["a.b", "a.*"];
    let live = names.map(|name| {
        let reader = hub.client(2);
        hub.subscribe(reader, name, Start::Latest, WhenSlow::CatchUp);
        hub.heard(reader);
        reader
    });
    hub.open(writer, "a.b");
    let plain = Attributes::default;
    hub.say(
        writer,
        &[
            publish_with(1, some(), Terms::default()),
            publish_with(2, plain(), Terms::default()),
            open_for_updates(7, "a.b"),
            ClientFrame::Send(Send { handle: Handle(7), attributes: some(), ..Send::default() }),
        ],
    );
    assert_eq!(hub.heard(writer), [Heard::Acked(1, 2)]);
    for reader in live {
        assert_eq!(attributes_heard(&mut hub, reader), [some(), plain(), some()]);
    }
    for name in names {
        let late = hub.client(3);
        hub.subscribe(late, name, Start::Earliest, WhenSlow::CatchUp);
        assert_eq!(attributes_heard(&mut hub, late), [some(), plain(), some()], "{name}");
    }
}

#[test]
fn attributes_are_told_in_json() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (writer, reader) = (hub.client(1), hub.json_client());
    hub.send(reader, 1, br#"{"type":"subscribe","request":1,"name":"a.b"}"#);
    hub.open(writer, "a.b");
    let removal = Attributes { key: "card.7".into(), remove: true, ..Attributes::default() };
    hub.say(writer, &[publish_with(1, some(), Terms::default()), publish_with(2, removal, Terms::default())]);
    let written = hub.sockets.written.remove(&reader).unwrap();
    let text = String::from_utf8_lossy(&written);
    let wanted =
        r#""key":"card.7","headers":{"content-encoding":"gzip","traceparent":"00-ab-cd-01"},"ttl_ms":60000"#;
    assert!(text.contains(wanted), "{text}");
    assert!(text.contains(r#""key":"card.7","remove":true"#), "{text}");
}

#[test]
fn what_no_message_may_have_is_refused_and_uses_up_its_seq() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    let headers = |value: &str| {
        let headers = Headers::of([("a", value)]);
        Attributes { headers, ..Attributes::default() }
    };
    let bad = [
        Attributes { key: "k".repeat(256).into(), ..Attributes::default() },
        Attributes { remove: true, ..Attributes::default() },
        headers("two\nlines"),
        headers(&"v".repeat(HEADERS_BYTES_MAX)),
    ];
    let frames: Vec<_> =
        (1..).zip(bad).map(|(seq, attributes)| publish_with(seq, attributes, Terms::default())).collect();
    hub.say(writer, &frames);
    let absent = Terms { if_absent: true, ..Terms::default() };
    let both = Terms { if_version: Some(Position { epoch: EPOCH, offset: Offset(1) }), ..absent };
    hub.say(writer, &[publish_with(5, headers("no key"), absent), publish_with(6, some(), both)]);
    hub.say(writer, &[publish_with(7, headers("one line"), Terms::default())]);
    let refused = [1, 5].map(|seq| Heard::Refused(seq, Code::BadMessage));
    assert_eq!(hub.heard(writer), [&refused[..], &[Heard::Acked(7, 1)]].concat());
    assert_eq!(hub.topics.metrics().refused.value(), 6);
}

#[test]
fn attributes_outlive_the_hub() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    lasting.hub.say(id, &[publish_with(1, some(), Terms::default())]);
    lasting.store();
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(1, 1)]);
    lasting.tell_anew();
    lasting.tidy();
    let mut lasting = lasting.restart();
    let reader = lasting.hub.client(2);
    lasting.hub.subscribe(reader, "a.b", Start::Earliest, WhenSlow::CatchUp);
    assert_eq!(attributes_heard(&mut lasting.hub, reader), [some()]);
}

const fn asking(durability: Durability) -> Terms {
    Terms { if_version: None, if_absent: false, durability: Some(durability) }
}

/// What was acknowledged: which, with which durability, and whether as a duplicate.
fn acked(hub: &mut Hub, id: ConnectionId) -> Vec<(u64, Durability, bool)> {
    hub.heard_as(
        id,
        |code| panic!("closed with {code}"),
        |frame| match frame {
            HubFrame::Acked(acked) => (acked.seq.0, acked.durability, acked.duplicate),
            other => panic!("{other:?}"),
        },
    )
}

#[test]
fn who_asks_for_less_is_told_at_once_and_seen_in_the_same_order() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let (id, reader) = (lasting.client("a.b"), lasting.hub.client(2));
    lasting.hub.subscribe(reader, "a.b", Start::Earliest, WhenSlow::CatchUp);
    lasting.hub.heard(reader);
    let memory = |seq| publish_with(seq, Attributes::default(), asking(Durability::Memory));
    lasting.hub.say(id, &[memory(1)]);
    assert_eq!(acked(&mut lasting.hub, id), [], "its place is nobody's yet");
    lasting.store();
    assert_eq!(acked(&mut lasting.hub, id), [(1, Durability::Synced, false)]);
    lasting.hub.say(id, &[publish_with(2, Attributes::default(), asking(Durability::Synced)), memory(3)]);
    assert_eq!(acked(&mut lasting.hub, id), [(3, Durability::Memory, false)]);
    lasting.hub.say(id, &[memory(3)]);
    assert_eq!(acked(&mut lasting.hub, id), [(3, Durability::Memory, true)], "nor does a retry wait");
    assert_eq!(messages(&lasting.hub.heard(reader)).len(), 1, "nobody sees what a loss of power takes back");
    lasting.store();
    assert_eq!(acked(&mut lasting.hub, id), [(2, Durability::Synced, false)]);
    assert_eq!(messages(&lasting.hub.heard(reader)).len(), 2);
    lasting.hub.say(id, &[memory(3)]);
    assert_eq!(acked(&mut lasting.hub, id), [(3, Durability::Synced, true)], "by now it is");
}

#[test]
fn what_was_told_early_and_is_lost_with_the_hub_holds_up_nobody() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    let memory = |seq| publish_with(seq, Attributes::default(), asking(Durability::Memory));
    lasting.hub.say(id, &[memory(1)]);
    lasting.store();
    lasting.hub.say(id, &[memory(2)]);
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(1, 1), Heard::Acked(2, 1)]);
    let epoch = lasting.hub.topics.log(0).epoch;
    let mut lasting = lasting.restart();
    assert_eq!(lasting.hub.topics.log(0).epoch, epoch);
    let id = lasting.hub.client(1);
    lasting.hub.say(id, &[open_as(1, 0, "a.b"), publish_on(1, 3, b"m")]);
    assert_eq!(lasting.hub.heard(id), [Heard::Opened]);
    lasting.store();
    let [(3, offset, false)] = crate::durable::acked(&mut lasting, id)[..] else { panic!("one answer") };
    assert!(offset > 2, "what had been told is given to nobody else: {offset}");
    assert_eq!(lasting.hub.history(id, "a.b", Start::Earliest).len(), 2);
}

#[test]
fn who_asks_for_more_than_a_log_can_do_is_refused() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let id = hub.client(1);
    hub.open(id, "a.b");
    let asks = [Durability::Synced, Durability::Replicated, Durability::Unknown, Durability::Memory];
    let frames: Vec<_> =
        (1..).zip(asks).map(|(seq, asked)| publish_with(seq, Attributes::default(), asking(asked))).collect();
    hub.say(id, &frames);
    assert_eq!(hub.heard(id), [Heard::Refused(1, Code::NotSupported), Heard::Acked(4, 1)]);
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    lasting.hub.say(id, &[publish_with(1, Attributes::default(), asking(Durability::ReplicatedSynced))]);
    lasting.store();
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(1, Code::NotSupported)]);
}

pub fn lasting_for(seq: u64, ttl_ms: u64) -> ClientFrame<'static> {
    publish_with(seq, Attributes { ttl_ms, ..Attributes::default() }, Terms::default())
}

/// Offsets that a reader gets who begins there, and whether anything is missing.
pub fn offsets(hub: &mut Hub, name: &str, from: Start) -> (Vec<u64>, bool) {
    let reader = hub.client(9);
    hub.subscribe(reader, name, from, WhenSlow::CatchUp);
    let heard = hub.heard(reader);
    let gap =
        heard.iter().any(|heard| matches!(heard, Heard::Subscribed(_, _, Some(_)) | Heard::Missing(..)));
    (messages(&heard).iter().map(|told| told.offset).collect(), gap)
}

#[test]
fn what_has_expired_is_read_no_more_and_leaves_no_hole() {
    for block_bytes in [1, 40, 16 << 10] {
        for name in ["a.b", "a.*"] {
            let mut hub = Hub::new(limits(|limits| limits.block_bytes = block_bytes), keep_all());
            let (writer, live) = (hub.client(1), hub.client(2));
            hub.open(writer, "a.b");
            hub.subscribe(live, name, Start::Latest, WhenSlow::CatchUp);
            // Those that stay are 2, 5 and 6; then all that come to an end are the newest.
            let ttls = [10, 0, 10, 20, 0, 900, 10, 10];
            for (seq, ttl_ms) in (1..).zip(ttls) {
                hub.say(writer, &[lasting_for(seq, ttl_ms)]);
            }
            let heard = hub.heard(live);
            assert_eq!(messages(&heard).len(), 8, "live, nothing is too old");
            hub.now = hub.now.plus(10);
            assert_eq!(offsets(&mut hub, name, Start::Earliest), (vec![2, 4, 5, 6], false), "{name}");
            hub.now = hub.now.plus(10);
            assert_eq!(offsets(&mut hub, name, Start::Earliest), (vec![2, 5, 6], false));
            // Whoever stood at any of them goes on, and so does who was at the end.
            for cursor in 0..=8 {
                let wanted: Vec<_> = [2, 5, 6].into_iter().filter(|offset| *offset > cursor).collect();
                assert_eq!(offsets(&mut hub, name, after(cursor)), (wanted, false), "{name} after {cursor}");
            }
            assert_eq!(offsets(&mut hub, name, Start::Last(2)), (vec![5, 6], false));
            hub.say(writer, &[lasting_for(9, 0)]);
            assert_eq!(messages(&hub.heard(live)).len(), 1);
            for cursor in 6..=8 {
                assert_eq!(offsets(&mut hub, name, after(cursor)), (vec![9], false), "{name} after {cursor}");
            }
            hub.now = hub.now.plus(1_000);
            assert_eq!(offsets(&mut hub, name, Start::Earliest), (vec![2, 5, 9], false));
        }
    }
}

#[test]
fn a_topic_of_which_all_has_expired_holds_nothing() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    (1..=100).for_each(|seq| hub.say(writer, &[lasting_for(seq, 10)]));
    hub.heard(writer);
    let before = hub.topics.ledger().held(Kind::Messages);
    hub.now = hub.now.plus(10);
    assert_eq!(offsets(&mut hub, "a.b", Start::Earliest), (vec![], false));
    assert!(before > 0 && hub.topics.ledger().held(Kind::Messages) == 0);
    assert_eq!(offsets(&mut hub, "a.b", after(50)), (vec![], false));
    hub.say(writer, &[lasting_for(101, 0)]);
    assert_eq!(offsets(&mut hub, "a.b", after(50)), (vec![101], false));
}

#[test]
fn what_expires_while_the_hub_is_down_has_expired() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    lasting.hub.say(id, &[lasting_for(1, 50), lasting_for(2, 0), lasting_for(3, 50)]);
    lasting.store();
    lasting.hub.now = lasting.hub.now.plus(60);
    let mut lasting = lasting.restart();
    assert_eq!(offsets(&mut lasting.hub, "a.b", Start::Earliest), (vec![2], false));
    assert_eq!(offsets(&mut lasting.hub, "a.*", after(1)), (vec![2], false));
}

/// Whoever goes on behind what has expired is told that nothing is left there, by a page and by a subscription.
#[test]
fn who_comes_to_what_has_expired_at_the_end_is_at_the_end() {
    for kept in [0, 3] {
        let mut hub = Hub::new(limits(|limits| limits.block_bytes = 40), keep_all());
        let writer = hub.client(1);
        hub.open(writer, "a.b");
        (1..=kept).for_each(|seq| hub.say(writer, &[lasting_for(seq, 0)]));
        (kept + 1..=kept + 5).for_each(|seq| hub.say(writer, &[lasting_for(seq, 10)]));
        hub.heard(writer);
        hub.now = hub.now.plus(10);
        let reader = hub.client(2);
        let frame =
            History { request: Request(4), name: "a.b".into(), from: Start::Earliest, ..History::default() };
        hub.say(reader, &[ClientFrame::History(frame)]);
        let close = |code| panic!("closed with {code}");
        let page = hub.heard_as(reader, close, |frame| match frame {
            HubFrame::Page(page) => (page.more, page.upto[0].offset.0),
            other => panic!("{other:?}"),
        });
        assert_eq!(page, [(false, kept + 5)]);
        hub.subscribe(reader, "a.b", Start::Earliest, WhenSlow::CatchUp);
        let upto = hub.heard_as(reader, close, |frame| match frame {
            HubFrame::Progress(progress) => (true, progress.upto.0),
            _ => (false, 0),
        });
        assert_eq!(upto.last(), Some(&(true, kept + 5)));
        assert_eq!(offsets(&mut hub, "a.b", after(kept + 5)), (vec![], false));
    }
}

/// The place that a reader who asks for the end is told.
fn end_of(hub: &mut Hub, name: &str) -> u64 {
    let reader = hub.client(3);
    let frame =
        History { request: Request(4), name: name.into(), from: Start::Last(0), ..History::default() };
    hub.say(reader, &[ClientFrame::History(frame)]);
    let pages = hub.heard_as(
        reader,
        |code| panic!("closed with {code}"),
        |frame| match frame {
            HubFrame::Page(page) => page.upto[0].offset.0,
            other => panic!("{other:?}"),
        },
    );
    pages[0]
}

#[test]
fn the_end_is_where_the_last_message_is_that_is_left_in_memory_and_on_the_disk() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let id = lasting.client("a.b");
    lasting.hub.say(id, &[lasting_for(1, 0), lasting_for(2, 1_000)]);
    lasting.store();
    let mut restarted = Lasting::new(Limits::default(), keep_all());
    let id = restarted.client("a.b");
    restarted.hub.say(id, &[lasting_for(1, 0), lasting_for(2, 1_000)]);
    restarted.store();
    let restarted = restarted.restart();
    for mut lasting in [lasting, restarted] {
        assert_eq!(["a.b", "a.*"].map(|name| end_of(&mut lasting.hub, name)), [2, 2]);
        lasting.hub.now = lasting.hub.now.plus(1_000);
        assert_eq!(["a.b", "a.*"].map(|name| end_of(&mut lasting.hub, name)), [1, 1]);
    }
}

#[test]
fn what_has_expired_counts_as_gone_once_the_topic_would_keep_it_no_longer_though_newer_ones_are_there() {
    let of_age = Retention { age_ms: Some(600_000), ..ALL };
    let mut hub =
        Hub::new(limits(|limits| limits.heartbeat_ms = 1 << 40), vec![rule("a.>", of_age), rule(">", ALL)]);
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    let mut given = Vec::new();
    for seq in 1..=400 {
        hub.say(writer, &[lasting_for(seq, 20_000)]);
        given.push(hub.now);
        hub.heard(writer);
        hub.wait(5_000);
        let topic = Selector::parse("a.b").unwrap();
        let gone =
            hub.topics.page(hub.now, &topic, &Start::Earliest, Offset(0), Most::bytes(1)).unwrap().after[0]
                .offset
                .0;
        let young = given.partition_point(|given| given.plus(600_000) < hub.now) as u64;
        let old = given.partition_point(|given| given.plus(1_300_000) < hub.now) as u64;
        assert!((old..=young).contains(&gone), "gone {gone}, of {old} to {young}");
    }
}

#[test]
fn who_comes_from_before_a_topic_began_lacks_nothing_however_long_that_is_ago() {
    let mut hub = Hub::new(limits(|limits| limits.heartbeat_ms = 1 << 40), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "other");
    (1..=10).for_each(|seq| hub.say(writer, &[lasting_for(seq, 0)]));
    hub.say(writer, &[open_as(2, 0, "a.b")]);
    let publish = ClientFrame::Publish(Publish { handle: Handle(2), seq: Seq(1), ..Publish::default() });
    hub.say(writer, &[publish]);
    hub.heard(writer);
    for _ in 0..100 {
        hub.wait(500);
        hub.now = hub.now.plus(360_000);
        assert_eq!(offsets(&mut hub, "a.b", after(5)), (vec![11], false));
    }
}
