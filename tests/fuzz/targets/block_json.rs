//! Blocks on their way to a JSON subscriber: every message arrives, with its payload and attributes as they were.

#![no_main]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use libfuzzer_sys::fuzz_target;
use serde::Deserialize;
use serde_json::value::RawValue;
use tidewire_protocol::attributes::{Attributes, Headers};
use tidewire_protocol::block::Block;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::json;

#[derive(Deserialize)]
struct Said<'a> {
    #[serde(borrow)]
    messages: Vec<Message<'a>>,
}

#[derive(Deserialize)]
struct Message<'a> {
    offset: u64,
    published_at: u64,
    topic: Option<String>,
    sender: Option<String>,
    #[serde(default)]
    tag: u64,
    #[serde(default)]
    maybe_duplicate: bool,
    #[serde(default)]
    key: String,
    #[serde(default)]
    headers: Headers<'a>,
    #[serde(default)]
    ttl_ms: u64,
    #[serde(default)]
    remove: bool,
    #[serde(borrow, default, deserialize_with = "even_null")]
    data: Option<&'a RawValue>,
    text: Option<String>,
    base64: Option<String>,
}

fuzz_target!(|body: &[u8]| {
    let Ok(block) = Block::take(body) else { return };
    let mut text = Vec::new();
    let written = json::put_hub(&HubFrame::Block(block.clone()), &mut text);
    assert_eq!(written.is_ok(), block.messages().all(|message| message.is_ok()));
    if written.is_err() {
        assert!(text.is_empty(), "half a frame was written");
        return;
    }
    let said: Said<'_> = serde_json::from_slice(&text).expect("what is written is JSON");
    assert_eq!(said.messages.len(), block.messages().count());
    for (said, message) in said.messages.into_iter().zip(block.messages().flatten()) {
        assert_eq!((said.offset, said.published_at), (message.offset.0, message.published_at_ms));
        assert_eq!((said.tag, said.maybe_duplicate), (message.tag.0, message.maybe_duplicate));
        assert_eq!((said.topic.as_deref(), said.sender.as_deref()), (message.topic, message.sender));
        let Message { headers, ttl_ms, remove, .. } = said;
        let attributes = Attributes { key: said.key.into(), headers, ttl_ms, remove };
        assert_eq!(attributes, message.attributes().unwrap_or_default());
        let payload = match (said.data, said.text, said.base64) {
            (Some(data), None, None) => {
                assert_eq!(data.get().as_bytes(), message.payload.trim_ascii());
                continue;
            }
            (None, Some(text), None) => text.into_bytes(),
            (None, None, Some(base64)) => BASE64.decode(base64).expect("base64"),
            (None, None, None) if remove => Vec::new(),
            _ => panic!("not one payload"),
        };
        assert_eq!(payload, message.payload);
    }
});

fn even_null<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<&'de RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}
