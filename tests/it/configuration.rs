//! A configuration that `check` accepts works: drawn at random, with the largest messages and the smallest limits.

use std::fmt::Write as _;
use std::thread;

use tidewire_protocol::code::Code;
use tidewire_protocol::position::Start;

use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::peer::{Dialect, Heard, Peer};

/// Limits that may be anything in these bounds: what the hub allows, but for what one would have to wait too long
/// for, and what would only say that a test asks for more than it may have.
const DRAWN: &[(&str, u64, u64)] = &[
    ("message_bytes_max", 1, 300_000),
    ("frame_bytes_max", 32 << 10, 4 << 20),
    ("first_message_bytes_max", 1 << 10, 1 << 20),
    ("fragments_max", 1_024, 1 << 20),
    // Clients have twice as long to answer, on a machine that is busy with other tests.
    ("heartbeat_ms", 1_500, 2_500),
    ("sign_in_ms", 1_000, 20_000),
    ("outbox_bytes_max", 64 << 10, 8 << 20),
    ("in_flight_max", 200, 10_000),
    ("block_bytes", 256, 1 << 20),
    ("pattern_tail_bytes", 64 << 10, 4 << 20),
    ("bare_tail_bytes", 64 << 10, 4 << 20),
    ("page_bytes_max", 1, 2 << 20),
    ("lag_bytes_max", 64 << 10, 4 << 20),
    ("pinned_bytes_max", 1 << 20, 128 << 20),
    ("pending_bytes_max", 1 << 20, 128 << 20),
    ("node_bytes_max", 1 << 20, 1 << 30),
    ("slice_sends", 1, 1_000),
    ("write_bytes", 1, 1 << 20),
    ("close_ms", 100, 5_000),
    ("headers_max", 24, 200),
    ("header_bytes_max", 1_024, 1 << 20),
    ("handshake_ms", 2_000, 10_000),
    ("http_ms", 2_000, 60_000),
];

/// Configurations that a hub has to run with.
const ACCEPTED: usize = 12;
/// Most of their time is waiting for heartbeats, and each of their clients has to answer in time.
const AT_ONCE: usize = 6;
const SEED: u64 = 0x7157_3a11;
/// Small messages that go in one WebSocket message.
const BATCH: usize = 100;

#[test]
fn a_configuration_that_check_accepts_works() {
    let mut random = Random(SEED);
    let (mut accepted, mut refused) = (Vec::new(), 0);
    while accepted.len() < ACCEPTED {
        let toml = draw(&mut random);
        let file = File::new(&toml);
        let check = tidewire("check").args(["--config", file.path()]).output().unwrap();
        let said = String::from_utf8(check.stderr).unwrap();
        if check.status.success() {
            accepted.push((file, toml));
        } else {
            refused += 1;
            // Each line says which of two limits to change, and how.
            let tells = |line: &str| line.contains("raise `") && line.contains("`limits.");
            assert!(said.lines().count() > 0 && said.lines().all(tells), "{toml}\n{said}");
        }
    }
    assert!(refused > 0, "contradictions are drawn as well");
    for together in accepted.chunks(AT_ONCE) {
        thread::scope(|scope| {
            for (file, toml) in together {
                scope.spawn(move || live(file, toml));
            }
        });
    }
}

/// Runs a hub, and everything that its clients may do.
fn live(file: &File, toml: &str) {
    let hub = Hub::start(&["--config", file.path()], &[]);
    thread::scope(|scope| {
        let address = hub.address;
        for dialect in [Dialect::Json, Dialect::Binary] {
            scope.spawn(move || idle(Peer::connect(address, dialect, 0), toml));
            scope.spawn(move || {
                publish_and_read(Peer::connect(address, dialect, 1 + dialect as u8), dialect, toml)
            });
        }
    });
    assert!(!hub.errors().contains("panicked"), "{toml}\n{}", hub.errors());
}

/// Says nothing but what heartbeats ask for, and stays.
fn idle(mut peer: Peer, toml: &str) {
    peer.subscribe("quiet");
    for _ in 0..3 {
        assert_eq!(peer.hear_any(), Heard::Heartbeat, "{toml}");
    }
}

fn publish_and_read(mut peer: Peer, dialect: Dialect, toml: &str) {
    // Each byte becomes six in JSON, and each letter of the name two.
    let largest = "\u{1}".repeat(peer.message_bytes_max);
    let quotes = "\"".repeat(200);
    let small: Vec<String> = (0..BATCH).map(|n| (n % 10).to_string()).collect();
    for (handle, kind) in [(1, "kept"), (2, "bare")] {
        let topic = format!("{kind}.{dialect:?}{quotes}");
        peer.subscribe(&topic);
        peer.open(handle, &topic);
        peer.publish(handle, 1, std::slice::from_ref(&largest));
        expect(&mut peer, std::slice::from_ref(&largest), toml);
        peer.publish(handle, 2, &[format!("{largest}x")]);
        assert_eq!(peer.hear(), Heard::Refused(Code::TooLarge), "{toml}");
        peer.publish(handle, 3, &small);
        expect(&mut peer, &small, toml);
        if kind == "kept" {
            let (mut read, mut from) = (Vec::new(), Some(Start::Earliest));
            while let Some(start) = from.take() {
                let (texts, next) = peer.page(&topic, start);
                assert!(!texts.is_empty(), "an empty page\n{toml}");
                read.extend(texts);
                from = next.map(Start::After);
            }
            assert!(read.iter().eq([&largest].into_iter().chain(&small)), "{} messages\n{toml}", read.len());
        }
    }
}

/// Waits until everything that was published is acknowledged and has come, in order.
#[track_caller]
fn expect(peer: &mut Peer, texts: &[String], toml: &str) {
    let (mut acked, mut came) = (0, Vec::new());
    while acked < texts.len() as u64 || came.len() < texts.len() {
        match peer.hear() {
            Heard::Acked(count) => acked += count,
            Heard::Messages(messages) => came.extend(messages),
            other => panic!("{other:?}\n{toml}"),
        }
    }
    assert!(acked == texts.len() as u64 && came == texts, "{acked} acked, {} came\n{toml}", came.len());
}

/// A few limits at random, small ones as often as large ones.
fn draw(random: &mut Random) -> String {
    let mut toml = String::from(
        "allow_no_origin = true\nshards = 2\n\
         [[access]]\npattern = \">\"\npublish = true\nsubscribe = true\nanonymous = true\n\
         [[topics]]\npattern = \"bare.>\"\nretention = \"none\"\n\
         [limits]\n",
    );
    for (name, low, high) in DRAWN {
        // Large messages and long waits would make up most of the test's time, were they not drawn each time.
        if ["message_bytes_max", "heartbeat_ms"].contains(name) || random.below(4) == 0 {
            let _ = writeln!(toml, "{name} = {}", random.between(*low, *high));
        }
    }
    toml
}

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    /// Every order of magnitude is as likely as any other, and the ends come more often than by chance.
    fn between(&mut self, low: u64, high: u64) -> u64 {
        match self.below(6) {
            0 => low,
            1 => high,
            _ => {
                let magnitudes = u64::from((high / low).ilog2()) + 1;
                let top = high.min(low << (1 + self.below(magnitudes)));
                low + self.below(top - low + 1)
            }
        }
    }
}
