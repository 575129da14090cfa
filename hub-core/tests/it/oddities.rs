//! What few ask for, and what cannot be meant: an answer to the one question, and the connection goes on.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::Retention;
use tidewire_protocol::code::{GapReason, Outcome, WhenSlow};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Position, Start};

use crate::rig::{ALL, EPOCH, Heard, Hub, limits, open_as, publish_on, rule, websocket_message};

/// A hub whose topics have got four messages, of which so many are kept.
fn hub(count: u64) -> Hub {
    let rules = vec![rule(">", Retention { count: Some(count), ..ALL })];
    let mut hub = Hub::new(limits(|limits| limits.block_bytes = 1), rules);
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.b")]);
    for (seq, text) in (1..).zip(["1", "2", "3", "4"]) {
        hub.say(writer, &[publish_on(1, seq, text.as_bytes())]);
    }
    hub
}

/// The texts that a JSON client is sent.
fn json(hub: &mut Hub, frame: &str) -> Vec<String> {
    let id = hub.connect(Dialect::Json);
    let hello =
        r#"{"type":"hello","producer":"PRODUCER","incarnation":1}"#.replace("PRODUCER", &"5".repeat(32));
    hub.send(id, 1, hello.as_bytes());
    hub.sockets.written.clear();
    hub.send(id, 1, frame.as_bytes());
    hub.send(id, 1, br#"{"type":"heartbeat","request":77}"#);
    let bytes = hub.sockets.written.remove(&id).unwrap_or_default();
    let (mut rest, mut texts) = (&bytes[..], Vec::new());
    while let Some((opcode, payload)) = websocket_message(&mut rest) {
        assert_eq!(opcode, 1, "{frame} ends the link");
        texts.push(String::from_utf8(payload.to_vec()).unwrap());
    }
    assert!(texts.last().is_some_and(|text| text.contains("77")), "{frame}: {texts:?}");
    texts
}

#[test]
fn after_nothing_is_before_the_first_message() {
    for name in ["a.b", "a.*"] {
        for (kept, texts, gap) in [(9, "1234", None), (2, "34", Some((1, 2, GapReason::Retention)))] {
            let mut hub = hub(kept);
            let reader = hub.client(2);
            let page = hub.history(reader, name, Start::After(vec![]));
            assert_eq!(page.concat(), texts, "{name}");
            hub.subscribe(reader, name, Start::After(vec![]), WhenSlow::CatchUp);
            let heard = hub.heard(reader);
            let Heard::Subscribed(outcome, _, told) = heard[0] else { panic!("{heard:?}") };
            assert_eq!((outcome == Outcome::Gap, told), (gap.is_some(), gap), "{name}");
            let told: String =
                crate::rig::messages(&heard).iter().map(|message| message.text.as_str()).collect();
            assert_eq!(told, texts, "{name}");
            let frame = r#"{"type":"history","request":1,"name":"NAME","from":{"after":[]}}"#;
            let told = json(&mut hub, &frame.replace("NAME", name)).concat();
            assert_eq!(told.matches(r#"{"offset":"#).count(), texts.len(), "{name}: {told}");
            assert_eq!(told.contains(r#""from":1,"to":2"#), gap.is_some(), "{name}: {told}");
        }
        let mut empty = Hub::new(Limits::default(), vec![]);
        let reader = empty.client(2);
        assert!(empty.history(reader, name, Start::After(vec![])).is_empty());
        empty.subscribe(reader, name, Start::After(vec![]), WhenSlow::CatchUp);
        assert_eq!(empty.heard(reader), [Heard::Subscribed(Outcome::Resumed, 0, None)]);
    }
}

#[test]
fn an_offset_beyond_all_numbers_is_beyond_the_end() {
    for name in ["a.b", "a.*"] {
        let mut hub = hub(9);
        let reader = hub.client(2);
        let place = Position { epoch: EPOCH, offset: Offset(u64::MAX) };
        hub.subscribe(reader, name, Start::After(vec![place]), WhenSlow::CatchUp);
        let heard = hub.heard(reader);
        let [Heard::Subscribed(Outcome::Gap, 4, Some((5, _, GapReason::BeyondEnd)))] = heard[..] else {
            panic!("{name}: {heard:?}");
        };
    }
}

#[test]
fn a_name_with_half_a_surrogate_pair_is_a_bad_name_and_no_other() {
    let half = r"a.b\ud800";
    for frame in [
        r#"{"type":"subscribe","request":1,"name":"NAME"}"#,
        r#"{"type":"history","request":1,"name":"NAME","from":"earliest"}"#,
        r#"{"type":"open","handle":1,"topic":"NAME","lowest":1}"#,
        r#"{"type":"open","handle":1,"topic":"NAME","unacknowledged":true}"#,
    ] {
        for name in [half, r"\udc00", r"a.\ud800.b", r"a.\ud800\ud800", r"a.*.\ud800"] {
            let mut hub = hub(9);
            let topics = hub.topics.metrics().topics.value();
            // The same in an array, which is read another way first.
            for frame in [frame.replace("NAME", name), format!("[{}]", frame.replace("NAME", name))] {
                let told = json(&mut hub, &frame).concat();
                assert!(told.contains("bad_name"), "{frame}: {told}");
            }
            assert_eq!(hub.topics.metrics().topics.value(), topics, "{name}");
        }
        // A whole pair is a name like others.
        let mut hub = hub(9);
        let told = json(&mut hub, &frame.replace("NAME", r"a.\ud83d\ude00")).concat();
        assert!(!told.contains("bad_name"), "{frame}: {told}");
    }
}
