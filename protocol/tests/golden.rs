//! Reads `tests/golden/frames.json`, which TypeScript reads too, in both directions.
//!
//! What an entry says is told in `docs/PROTOCOL.md`, under "Golden frames".
// What is printed tells which entry failed.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use serde::Deserialize;
use serde_json::Value;
use tidewire_protocol::block::{Block, Head, blocks_of_page, put_message};
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    side: Side,
    binary: Option<String>,
    json: Option<Value>,
    text: Option<String>,
    #[serde(default)]
    loose: bool,
    #[serde(default)]
    skipped: bool,
    #[serde(default)]
    refused: bool,
}

#[derive(Deserialize, Clone, Copy, PartialEq, Debug)]
#[serde(rename_all = "snake_case")]
enum Side {
    Client,
    Hub,
}

#[test]
fn every_golden_frame_holds() {
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/golden/frames.json"));
    let entries: Vec<Entry> = serde_json::from_str(&text.unwrap()).unwrap();
    assert!(!entries.is_empty());
    for entry in &entries {
        println!("{:?}: {}", entry.side, entry.name);
        match (entry.refused, entry.skipped, entry.side) {
            (true, _, _) => check_refused(entry),
            (_, true, _) => check_skipped(entry),
            (_, _, Side::Client) => check_client(entry),
            (_, _, Side::Hub) => check_hub(entry),
        }
    }
}

fn check_client(entry: &Entry) {
    let binary = bytes(entry.binary.as_ref().unwrap());
    let from_binary = client(&binary).unwrap().unwrap();
    let text = entry.json.as_ref().unwrap().to_string();
    let from_json = json::take_client(&text).unwrap().unwrap();
    assert_eq!(from_binary, from_json);
    let mut again = Vec::new();
    from_json.put(&mut again);
    assert_eq!(again == binary, !entry.loose, "written as {again:02x?}");
}

fn check_hub(entry: &Entry) {
    let binary = bytes(entry.binary.as_ref().unwrap());
    let frame = hub(&binary).unwrap().unwrap();
    let mut text = Vec::new();
    json::put_hub(&frame, &mut text).unwrap();
    assert_eq!(&serde_json::from_slice::<Value>(&text).unwrap(), entry.json.as_ref().unwrap());
    let mut again = Vec::new();
    match &frame {
        HubFrame::Block(block) => rewritten(block, &mut again),
        frame => frame.put(&mut again),
    }
    assert_eq!(again == binary, !entry.loose, "written as {again:02x?}");
}

fn check_skipped(entry: &Entry) {
    let binary = bytes(entry.binary.as_ref().unwrap());
    match entry.side {
        Side::Client => assert_eq!(client(&binary), Ok(None)),
        Side::Hub => assert_eq!(hub(&binary), Ok(None)),
    }
    if let Some(frame) = &entry.json {
        assert_eq!(json::take_client(&frame.to_string()), Ok(None));
    }
}

fn check_refused(entry: &Entry) {
    if let Some(text) = &entry.text {
        let read = json::frames(text).map(|frames| frames.into_iter().try_for_each(read_json));
        assert!(!matches!(read, Ok(Ok(()))));
        return;
    }
    let binary = bytes(entry.binary.as_ref().unwrap());
    match entry.side {
        Side::Client => assert!(client(&binary).is_err()),
        Side::Hub => assert!(!matches!(hub(&binary), Ok(Some(frame)) if is_sound(&frame))),
    }
}

fn read_json(frame: &str) -> Result<(), ()> {
    json::take_client(frame).map(drop).map_err(drop)
}

/// A block or page is refused only when its messages are looked at.
fn is_sound(frame: &HubFrame<'_>) -> bool {
    let sound = |block: &Block<'_>| block.messages().all(|message| message.is_ok());
    let read = match frame {
        HubFrame::Block(block) => sound(block),
        HubFrame::Page(page) => blocks_of_page(&page.blocks).all(|block| block.is_ok_and(|b| sound(&b))),
        _ => true,
    };
    assert_eq!(json::put_hub(frame, &mut Vec::new()).is_ok(), read);
    read
}

fn client(mut bytes: &[u8]) -> Result<Option<ClientFrame<'_>>, tidewire_protocol::binary::BadFrame> {
    let frame = ClientFrame::take(&mut bytes);
    assert!(bytes.is_empty() || frame.is_err());
    frame
}

fn hub(mut bytes: &[u8]) -> Result<Option<HubFrame<'_>>, tidewire_protocol::binary::BadFrame> {
    let frame = HubFrame::take(&mut bytes);
    assert!(bytes.is_empty() || frame.is_err());
    frame
}

/// Writes a block anew from its messages.
fn rewritten(block: &Block<'_>, out: &mut Vec<u8>) {
    let mut records = Vec::new();
    let mut topics = Vec::new();
    let mut prev = block.prev;
    for message in block.messages() {
        let message = message.unwrap();
        let topic = message.topic.map(|name| match topics.iter().position(|known| *known == name) {
            Some(place) => (place as u64, None),
            None => {
                topics.push(name);
                (topics.len() as u64 - 1, Some(name))
            }
        });
        let head = Head {
            prev,
            offset: message.offset,
            base_time_ms: block.base_time_ms,
            published_at_ms: message.published_at_ms,
            content: message.content,
            maybe_duplicate: message.maybe_duplicate,
            tag: message.tag,
            sender: message.sender.unwrap_or_default(),
            topic,
            ext: message.ext,
        };
        put_message(&head, message.payload, &mut records);
        prev = message.offset;
    }
    Block { records: &records, ..block.clone() }.put(out);
}

fn bytes(hex: &str) -> Vec<u8> {
    assert!(hex.len().is_multiple_of(2));
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}
