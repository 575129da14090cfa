//! What is there before an attack: topics with messages, by well-behaved clients from many addresses.

use std::io;
use std::net::SocketAddr;

use crate::hostile::frames::{self, LATEST};
use crate::hostile::stranger::Target;

/// Nothing.
pub(crate) fn empty(_: SocketAddr) {}

/// So many topics that looking at each takes long.
pub(crate) fn many_topics(hub: SocketAddr) {
    fill(hub, TOPICS_MANY, 1, 1);
}

/// Fewer topics, with half of what the node may hold.
pub(crate) fn much_history(hub: SocketAddr) {
    fill(hub, 4_000, 8, 1_000);
}

/// One topic whose messages came one by one, each in a block of its own.
pub(crate) fn tiny_blocks(hub: SocketAddr) {
    let mut writer = client(hub, 0).binary().unwrap();
    writer.say(&frames::open(1, 0, "tiny", 1)).unwrap();
    writer.hear_of(frames::OPENED).unwrap();
    for first in (1..=TINY).step_by(1_000) {
        // Whoever looks seals the block.
        let look = frames::history(1, "tiny", LATEST);
        let batch: Vec<_> = (first..first + 1_000)
            .map(|seq| [frames::publish(1, seq, b"1"), look.clone()].concat())
            .collect();
        writer.publish(&batch.concat(), 1_000).unwrap();
    }
}

/// Three topics of messages as long as they may be, from one address, with two thirds of what the node may hold.
pub(crate) fn long_messages(hub: SocketAddr) {
    let mut writer = client(hub, 0).binary().unwrap();
    for handle in 1..=3 {
        writer.say(&frames::open(handle, 0, &format!("{}.{handle}", ["long"; 7].join(".")), 1)).unwrap();
    }
    for seq in 1..=60 {
        for handle in 1..=3 {
            writer.publish(&frames::publish(handle, seq, &[b'x'; 250_000]), 1).unwrap();
        }
    }
}

/// Publishes `messages` messages of so many bytes to each of the topics `load.t000000` and on.
fn fill(hub: SocketAddr, topics: u64, messages: u64, bytes: usize) {
    let payload = vec![b'x'; bytes];
    for first in (0..topics).step_by(1_000) {
        let count = (topics - first).min(1_000);
        let one = |from: u64| -> io::Result<()> {
            let mut client = client(hub, from).binary()?;
            let name = |place: u64| format!("load.t{:06}", first + place);
            let open: Vec<_> = (1..=count).map(|handle| frames::open(handle, 0, &name(handle), 1)).collect();
            client.say(&open.concat())?;
            for seq in 1..=messages {
                let all: Vec<_> = (1..=count).map(|handle| frames::publish(handle, seq, &payload)).collect();
                for part in all.chunks(200_000 / (bytes + 20)) {
                    client.publish(&part.concat(), part.len() as u64)?;
                }
            }
            Ok(())
        };
        one(first / 1_000).unwrap();
    }
}

/// A client from one of a hundred addresses.
fn client(hub: SocketAddr, from: u64) -> Target {
    Target::new(hub, [127, 0, 1, 1 + (from % 100) as u8])
}

const TOPICS_MANY: u64 = 10_000;
const TINY: u64 = 40_000;
