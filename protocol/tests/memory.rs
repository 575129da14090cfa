//! Whatever a peer sends: no panic, and no more memory than a small multiple of what has arrived.
//!
//! A binary of its own with one test, because the allocator that counts is everybody's.
#![allow(clippy::unwrap_used)]

use peak_alloc::PeakAlloc;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tidewire_protocol::block::{Block, blocks_of_page};
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::{json, varint};

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

/// Bytes that decoding may hold for each byte that arrived, and besides.
const PER_BYTE: usize = 16;
const BESIDES: usize = 512;

#[test]
fn decoders_hold_little_memory() {
    for worst in worst_cases() {
        read_all(&worst);
    }
    let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(1024) });
    runner
        .run(&prop_oneof![vec(any::<u8>(), 0..600), almost_frames()], |bytes| {
            read_all(&bytes);
            Ok(())
        })
        .unwrap();
}

/// Known kinds and field keys with lengths that are mostly true, so that decoding gets somewhere.
fn almost_frames() -> impl Strategy<Value = Vec<u8>> {
    let kind = prop_oneof![1..=10u8, 64..=77u8, Just(Block::KIND)];
    let body = vec(prop_oneof![0..20u8, any::<u8>()], 0..100);
    vec((kind, body, 0..20u64), 1..6).prop_map(|frames| {
        let mut bytes = Vec::new();
        for (kind, body, lie) in frames {
            bytes.push(kind);
            varint::put(body.len() as u64 + lie / 19, &mut bytes);
            bytes.extend_from_slice(&body);
        }
        bytes
    })
}

/// What costs most for its length, as far as we know.
fn worst_cases() -> Vec<Vec<u8>> {
    let frame = |kind: u8, body: &[u8]| {
        let mut bytes = vec![kind];
        varint::put_bytes(body, &mut bytes);
        bytes
    };
    let mut announced = vec![Block::KIND];
    varint::put(u64::MAX, &mut announced);
    let mut many_topics = vec![1, 1, 0, 0];
    for index in 0..20_000 {
        let mut record = vec![0, 1, 0];
        varint::put(index, &mut record);
        varint::put_bytes(b"", &mut record);
        varint::put_bytes(&record, &mut many_topics);
    }
    let mut many_positions = vec![4 << 1 | 1];
    varint::put_bytes(&[0; 9 * 10_000], &mut many_positions);
    let mut empty_blocks = vec![6 << 1 | 1];
    varint::put_bytes(&[4, 1, 0, 0, 0].repeat(10_000), &mut empty_blocks);
    let mut empty_messages = vec![1, 0, 0, 0];
    empty_messages.extend([3, 2, 1, 0].repeat(10_000));
    vec![
        announced,
        frame(Block::KIND, &many_topics),
        frame(Block::KIND, &empty_messages),
        frame(70, &many_positions),
        frame(74, &empty_blocks),
        format!("[{}]", vec!["0"; 100_000].join(",")).into_bytes(),
        format!("[{}]", vec!["{}"; 100_000].join(",")).into_bytes(),
        format!("[{}]", vec![r#"{"type":""}"#; 20_000].join(",")).into_bytes(),
        format!(r#"{{"type":"publish","data":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000)).into_bytes(),
        format!(r#"{{"type":"heartbeat","later":{}{}}}"#, "[".repeat(100_000), "]".repeat(100_000))
            .into_bytes(),
        "[".repeat(100_000).into_bytes(),
    ]
}

fn read_all(bytes: &[u8]) {
    check_peak(bytes, || {
        let mut rest = bytes;
        while !rest.is_empty() && ClientFrame::take(&mut rest).is_ok() {}
    });
    check_peak(bytes, || {
        let mut rest = bytes;
        while let Some(Ok(frame)) = (!rest.is_empty()).then(|| HubFrame::take(&mut rest)) {
            match &frame {
                Some(HubFrame::Block(block)) => touch(block),
                Some(HubFrame::Page(page)) => {
                    blocks_of_page(&page.blocks).flatten().for_each(|block| touch(&block));
                }
                _ => {}
            }
        }
    });
    check_peak(bytes, || {
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        for frame in json::frames(text).unwrap_or_default() {
            let _ = json::take_client(frame);
        }
    });
}

fn touch(block: &Block<'_>) {
    std::hint::black_box(block.messages().count());
}

#[track_caller]
fn check_peak(bytes: &[u8], read: impl FnOnce()) {
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    read();
    let held = MEMORY.peak_usage() - before;
    assert!(held <= PER_BYTE * bytes.len() + BESIDES, "{held} bytes held for {}", bytes.len());
}
