//! What a hub may send in binary, messages of blocks and blocks of pages included.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tidewire_protocol::attributes::Unread;
use tidewire_protocol::block::{Block, Message, blocks_of_page};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::NUMBER_MAX;

fuzz_target!(|message: &[u8]| {
    let mut rest = message;
    while !rest.is_empty() {
        let Ok(frame) = HubFrame::take(&mut rest) else { return };
        let Some(frame) = frame else { continue };
        let mut written = Vec::new();
        frame.put(&mut written);
        assert_eq!(HubFrame::take(&mut &*written).as_ref(), Ok(&Some(frame.clone())));
        match &frame {
            HubFrame::Block(block) => check_block(block),
            HubFrame::Page(page) => {
                blocks_of_page(&page.blocks).flatten().for_each(|block| check_block(&block))
            }
            _ => {}
        }
    }
});

/// Offsets grow, numbers stay in range, and each message lies within the block's bytes.
fn check_block(block: &Block<'_>) {
    let mut prev = block.prev;
    let mut bytes = 0;
    let mut failed = false;
    for message in block.messages() {
        assert!(!failed, "nothing comes after a bad message");
        let Ok(message) = message else {
            failed = true;
            continue;
        };
        assert!(message.offset > prev);
        assert!(message.offset.0.max(message.published_at_ms).max(message.tag.0) <= NUMBER_MAX);
        assert_eq!(message.topic.is_some(), block.named);
        check_ext(&message);
        prev = message.offset;
        bytes += message.payload.len() + message.sender.map_or(0, str::len);
    }
    assert!(bytes <= block.records.len());
}

/// Who reads its attributes without their texts reads the same.
fn check_ext(message: &Message<'_>) {
    let unread = Unread::take(message.ext);
    if let Ok(attributes) = message.attributes() {
        assert_eq!((unread.ttl_ms, unread.remove), (attributes.ttl_ms, attributes.remove));
        assert_eq!((unread.key, unread.headers), (attributes.key.as_bytes(), attributes.headers.as_bytes()));
    }
}
