//! Updates that may be lost: no ack, no seq, the same rules, rates and limits.

use tidewire_hub_core::limits::Limits;
use tidewire_protocol::client_frame::{ClientFrame, Open, Send, Shut};
use tidewire_protocol::code::{Code, Content, WhenSlow};
use tidewire_protocol::number::Handle;
use tidewire_protocol::position::Start;

use crate::rig::*;

pub fn open_for_updates(handle: u64, topic: &str) -> ClientFrame<'_> {
    let (handle, topic) = (Handle(handle), topic.into());
    ClientFrame::Open(Open { handle, topic, unacknowledged: true, ..Open::default() })
}

pub fn send(handle: u64, payload: &[u8]) -> ClientFrame<'_> {
    let (handle, payload) = (Handle(handle), payload.into());
    ClientFrame::Send(Send { handle, content: Content::Text, payload, ..Send::default() })
}

#[test]
fn updates_arrive_in_order_beside_publishes_and_say_nothing() {
    for name in ["a.b", "a.*"] {
        let mut hub = Hub::new(Limits::default(), keep_all());
        let (writer, reader) = (hub.client(1), hub.client(2));
        hub.subscribe(reader, name, Start::Latest, WhenSlow::CatchUp);
        hub.heard(reader);
        hub.say(writer, &[open_for_updates(1, "a.b"), send(1, b"one"), send(1, b"two")]);
        hub.say(writer, &[open_as(2, 0, "a.b"), publish_on(2, 1, b"three"), send(1, b"four")]);
        assert_eq!(hub.heard(writer), [Heard::Opened, Heard::Acked(1, 1)], "only publishes are answered");
        let heard = hub.heard(reader);
        let texts: Vec<_> = messages(&heard).iter().map(|told| (told.offset, &*told.text)).collect();
        assert_eq!(texts, [(1, "one"), (2, "two"), (3, "three"), (4, "four")], "{name}");
        assert_eq!(hub.kept("a.b"), 4, "kept as the topic keeps its messages");
    }
}

#[test]
fn what_is_not_taken_is_counted() {
    let mut hub = Hub::new(limits(|l| l.message_bytes_max = 10), vec![]);
    let writer = hub.client(1);
    let nowhere = send(7, b"to nowhere");
    let shut = ClientFrame::Shut(Shut { handle: Handle(1) });
    hub.say(writer, &[nowhere, open_for_updates(1, "t"), send(1, b"much too large"), shut, send(1, b"shut")]);
    assert_eq!(hub.heard(writer), []);
    assert_eq!(hub.topics.metrics().updates_dropped.value(), 3);
    assert_eq!(hub.topics.metrics().published.value(), 0);
    // One for updates is none for publishes, and the other way round.
    hub.say(writer, &[open_for_updates(2, "t"), publish_on(2, 1, b"m"), open_as(3, 0, "t"), send(3, b"m")]);
    assert_eq!(hub.heard(writer), [Heard::Refused(1, Code::UnknownNumber), Heard::Opened]);
    assert_eq!(hub.topics.metrics().updates_dropped.value(), 4);
}

/// Of what is said on one connection, these refusals are counted, and these reasons of updates that were dropped.
#[track_caller]
fn check_counted(frames: &[ClientFrame<'_>], refused: &[(Code, u64)], dropped: &[(Code, u64)]) {
    let mut hub = Hub::new(limits(|limits| limits.message_bytes_max = 10), vec![]);
    let writer = hub.client(1);
    hub.say(writer, frames);
    let metrics = hub.topics.metrics();
    for (counts, expected) in [(&metrics.refused, refused), (&metrics.updates_dropped, dropped)] {
        let counted = |code: &&Code| counts.of(code.number()) > 0;
        let counted = Code::ALL.iter().filter(counted).map(|code| (*code, counts.of(code.number())));
        assert_eq!(counted.collect::<Vec<_>>(), expected);
    }
}

#[test]
fn what_follows_from_a_refused_open_is_part_of_it_and_no_fault_of_another_kind() {
    use Code::{BadName, Forbidden, TooLarge, UnknownNumber};
    let publish = |handle, seq| publish_on(handle, seq, b"m");
    let open = |handle| open_as(handle, 0, "$reserved");
    check_counted(&[open(1), publish(1, 1), publish(1, 2)], &[(Forbidden, 1)], &[]);
    check_counted(&[open(1), publish(2, 1)], &[(Forbidden, 1), (UnknownNumber, 1)], &[]);
    check_counted(&[open(1), open_as(1, 0, "t"), publish(1, 1)], &[(Forbidden, 1)], &[]);
    let shut = |handle| ClientFrame::Shut(Shut { handle: Handle(handle) });
    check_counted(&[open(1), shut(1), publish(1, 1)], &[(Forbidden, 1), (UnknownNumber, 1)], &[]);
    let none = open_for_updates(1, "no..name");
    check_counted(&[none, send(1, b"m"), send(1, b"m")], &[(BadName, 1)], &[(BadName, 2)]);
    check_counted(&[send(1, b"m")], &[], &[(UnknownNumber, 1)]);
    check_counted(&[open_for_updates(1, "t"), send(1, &[b'x'; 11])], &[], &[(TooLarge, 1)]);
    // However many are refused, the newest are remembered.
    let mut many: Vec<_> = (1..=200).map(open).collect();
    many.push(publish(200, 1));
    check_counted(&many, &[(Forbidden, 200)], &[]);
}

#[test]
fn they_have_the_rate_and_the_rules_of_publishes() {
    let mut hub = Hub::new(limits(|l| l.publishes_per_second_max = 1), vec![]);
    let writer = hub.client(1);
    hub.say(
        writer,
        &[open_for_updates(1, "t"), open_for_updates(2, "$reserved"), open_for_updates(3, "no..name")],
    );
    assert_eq!(hub.heard(writer), [Heard::Refused(0, Code::Forbidden), Heard::Refused(0, Code::BadName)]);
    for _ in 0..100 {
        hub.say(writer, &[send(1, b"m")]);
    }
    let metrics = hub.topics.metrics();
    assert_eq!(metrics.published.value() + metrics.updates_dropped.value(), 100);
    assert!(metrics.published.value() <= 11, "{} in no time", metrics.published.value());
}

#[test]
fn a_publish_behind_an_update_of_the_same_handle_is_refused_all_the_same() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let writer = hub.client(1);
    hub.say(writer, &[open_for_updates(1, "t"), send(1, b"update"), publish_on(1, 1, b"publish")]);
    assert_eq!(hub.heard(writer), [Heard::Refused(1, Code::UnknownNumber)]);
    assert_eq!(hub.topics.metrics().published.value(), 1);
}
