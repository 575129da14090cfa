//! Pages of history are as long as their asker's encoding makes them, and never the end of a connection.

use std::collections::BTreeSet;

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Publish};
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Handle, Seq};

use crate::rig::{Hub, keep_all, limits, publish_on, websocket_message};

/// What a page in JSON holds.
#[derive(Debug)]
pub struct JsonPage {
    pub bytes: usize,
    pub offsets: Vec<u64>,
    /// In the first log.
    pub upto: u64,
    /// The page starts after this place of the first log.
    pub after: u64,
    /// Where the next page starts.
    pub next: String,
    pub more: bool,
}

/// Numbers behind a key, wherever it stands.
fn numbers(text: &str, key: &str) -> Vec<u64> {
    let number = |rest: &str| rest.split(|c: char| !c.is_ascii_digit()).next().and_then(|n| n.parse().ok());
    text.split(key).skip(1).filter_map(number).collect()
}

pub fn ask(hub: &mut Hub, id: ConnectionId, name: &str, from: &str) -> JsonPage {
    ask_at_most(hub, id, name, from, 0)
}

pub fn ask_at_most(hub: &mut Hub, id: ConnectionId, name: &str, from: &str, messages_max: u64) -> JsonPage {
    let asked = format!(r#""name":"{name}","from":{from},"messages_max":{messages_max}"#);
    let frame = format!(r#"{{"type":"history","request":1,{asked}}}"#);
    hub.send(id, 1, frame.as_bytes());
    let written = hub.sockets.written.remove(&id).unwrap_or_default();
    let (opcode, payload) = websocket_message(&mut &written[..]).expect("an answer");
    let text = std::str::from_utf8(payload).unwrap();
    let begin = &text[..text.len().min(200)];
    assert!(opcode == 1 && begin.contains(r#""type":"page""#), "{begin}");
    let (head, blocks) = text.split_once(r#""blocks":"#).unwrap();
    let places = head.split_once(r#""upto":"#).unwrap().1.split_once(']').unwrap().0;
    let upto = numbers(places, r#""offset":"#)[0];
    let after = numbers(head, r#""offset":"#)[0];
    let next = format!(r#"{{"after":{places}]}}"#);
    let offsets = numbers(blocks, r#"{"offset":"#);
    JsonPage { bytes: text.len(), offsets, after, upto, next, more: head.contains(r#""more":true"#) }
}

/// Asks page by page until there is no more; every message must come, on pages within the bound or of one message.
fn read_all(hub: &mut Hub, name: &str, count: u64) {
    let bytes_max = hub.topics.limits().page_bytes_max;
    let reader = hub.json_client();
    let mut from = r#""earliest""#.to_owned();
    let mut seen = BTreeSet::new();
    for _ in 0..10_000 {
        let page = ask(hub, reader, name, &from);
        assert!(page.bytes <= bytes_max + 500 || page.offsets.len() == 1, "{} bytes", page.bytes);
        assert!(page.offsets.iter().all(|offset| *offset <= page.upto), "{page:?}");
        let before = seen.len();
        seen.extend(page.offsets);
        if !page.more {
            assert_eq!(seen.into_iter().collect::<Vec<_>>(), (1..=count).collect::<Vec<_>>());
            return;
        }
        assert!(seen.len() > before, "a page brings something new");
        from = page.next;
    }
    panic!("there is always more");
}

fn text(seq: u64, payload: Vec<u8>) -> ClientFrame<'static> {
    let (handle, seq) = (Handle(1), Seq(seq));
    ClientFrame::Publish(Publish {
        handle,
        seq,
        lowest: seq,
        content: Content::Text,
        payload: payload.into(),
        ..Publish::default()
    })
}

fn topic() -> String {
    format!("sensors.{}.temperature", "building-12-floor-3-room-1234".repeat(3))
}

#[test]
fn small_messages_with_long_names_come_page_by_page() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, &topic());
    for first in (1..=12_000).step_by(500) {
        let frames: Vec<_> = (first..first + 500).map(|seq| publish_on(1, seq, b"21")).collect();
        hub.say(writer, &frames);
    }
    read_all(&mut hub, &topic(), 12_000);
    read_all(&mut hub, "sensors.>", 12_000);
}

#[test]
fn what_json_blows_up_is_cut_and_the_largest_message_still_comes() {
    for message in [0x01, b'"', 0xff, b'x'] {
        let mut hub = Hub::new(limits(|limits| limits.message_bytes_max = 300_000), keep_all());
        let writer = hub.client(1);
        hub.open(writer, "sensors.a");
        for seq in 1..=3 {
            let len = [300_000, 10, 12_000][seq as usize % 3];
            hub.say(writer, &[text(seq, vec![message; len])]);
        }
        read_all(&mut hub, "sensors.a", 3);
        read_all(&mut hub, "sensors.>", 3);
    }
}

#[test]
fn many_questions_at_once_are_refused_and_not_the_end() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = hub.client(1);
    hub.open(writer, "sensors.a");
    for seq in 1..=4 {
        hub.say(writer, &[text(seq, vec![1; 200_000])]);
    }
    let reader = hub.json_client();
    hub.sockets.room.insert(reader, 0);
    let question = r#"{"type":"history","request":1,"name":"sensors.a","from":"earliest"}"#;
    let questions = format!("[{}]", vec![question; 20].join(","));
    for _ in 0..20 {
        hub.send(reader, 1, questions.as_bytes());
    }
    assert_eq!(hub.shard.connections(), 2);
    hub.room(reader, usize::MAX);
    let written = hub.sockets.written.remove(&reader).unwrap_or_default();
    let said = String::from_utf8_lossy(&written);
    assert_eq!(said.matches(r#""type":"page""#).count(), 1);
    assert_eq!(said.matches(r#""code":"overloaded""#).count(), 399);
    assert!(written.len() < hub.topics.limits().outbox_bytes_max + hub.topics.limits().answer_bytes_max());
}

#[test]
fn the_longest_page_may_be_read_slowly_by_one_who_is_alone() {
    let mut hub = Hub::new(
        limits(|limits| {
            limits.message_bytes_max = 1 << 20;
            limits.frame_bytes_max = 7 << 20;
            limits.node_bytes_max = 64 << 20;
        }),
        keep_all(),
    );
    let writer = hub.client(1);
    hub.open(writer, "sensors.a");
    hub.say(writer, &[text(1, vec![1; 1 << 20])]);
    let reader = hub.json_client();
    hub.sockets.room.insert(reader, 1_000);
    hub.send(reader, 1, br#"{"type":"history","request":1,"name":"sensors.a","from":"earliest"}"#);
    hub.wait(1_000);
    assert_eq!(hub.shard.connections(), 2);
    hub.room(reader, usize::MAX);
    let written = hub.sockets.written.remove(&reader).unwrap_or_default();
    let said = String::from_utf8_lossy(&written);
    assert_eq!((said.matches(r#""type":"page""#).count(), said.matches("goodbye").count()), (1, 0));
    assert!(written.len() > 6 << 20);
}
