//! What one message costs inside the hub, step by step: `cargo bench -p tidewire-bench`.
#![allow(clippy::unwrap_used, missing_docs)]

use std::borrow::Cow;
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use tidewire_hub_core::access::Access;
use tidewire_hub_core::block::Entry;
use tidewire_hub_core::clock::{Millis, NEVER};
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Ledger};
use tidewire_hub_core::letter::Inbox;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::Engine;
use tidewire_hub_core::log::feed::Feed;
use tidewire_hub_core::shard::Shard;
use tidewire_hub_core::shard::wire::{ConnectionId, Sent, Wire};
use tidewire_hub_core::tail::{Keep, Source, Tail, Terms};
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::block::{self, Block, Head};
use tidewire_protocol::client_frame::{Batch, ClientFrame, Hello, Open, Publish, Subscribe};
use tidewire_protocol::code::Content;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Epoch, Handle, Offset, ProducerId, Request, Seq, TailNumber};

const PAYLOAD: [u8; 128] = [b'.'; 128];
const BATCH: u64 = 100;
const NOW: Millis = Millis(1_700_000_000_000);

criterion_group!(all, codec, append, walk, batches, patterns);
criterion_main!(all);

fn codec(c: &mut Criterion) {
    let publish = publish(1);
    let mut bytes = Vec::new();
    ClientFrame::Publish(publish.clone()).put(&mut bytes);
    c.bench_function("codec: read a publish of 128 B", |b| {
        b.iter(|| ClientFrame::take(&mut black_box(bytes.as_slice())).unwrap());
    });
    let mut out = Vec::new();
    c.bench_function("codec: write a publish of 128 B", |b| {
        b.iter(|| {
            out.clear();
            black_box(&publish).put(&mut out);
        });
    });
    let mut records = Vec::new();
    for offset in 1..=100 {
        let head = Head { prev: Offset(offset - 1), offset: Offset(offset), ..Head::default() };
        block::put_message(&head, &PAYLOAD, &mut records);
    }
    let block = Block { records: &records, ..Block::default() };
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Elements(100));
    group.bench_function("read a block of 100 messages", |b| {
        b.iter(|| black_box(&block).messages().map(|message| message.unwrap().payload.len()).sum::<usize>());
    });
    group.finish();
}

fn append(c: &mut Criterion) {
    let tail = tail(1);
    let account = Arc::new(Ledger::default()).account(AccountKey(1));
    let mut offset = 0;
    c.bench_function("append: one message of 128 B to a tail", |b| {
        b.iter(|| {
            offset += 1;
            let head = Head { published_at_ms: NOW.0, content: Content::Binary, ..Head::default() };
            let offset = Offset(offset);
            let entry = Entry { offset, head, stale_at: NEVER, topic: None, payload: &PAYLOAD };
            let _ = tail.append(NOW, &entry, &account, |_| ());
        });
    });
}

/// One publish and its way to every subscriber, with sockets that take everything and cost nothing.
fn walk(c: &mut Criterion) {
    let mut group = c.benchmark_group("walk");
    for subscribers in [1, 100, 10_000] {
        let mut hub = Hub::new();
        for _ in 0..subscribers {
            let id = hub.connect(ProducerId::default());
            hub.say(id, &subscribe());
        }
        let publisher = hub.connect(ProducerId([1; 16]));
        hub.say(publisher, &open());
        let mut seq = 0;
        group.throughput(Throughput::Elements(subscribers));
        group.bench_function(BenchmarkId::new("one publish to cursors", subscribers), |b| {
            b.iter_batched(
                || {
                    seq += 1;
                    masked(&ClientFrame::Publish(publish(seq)))
                },
                |mut bytes| hub.hear(publisher, &mut bytes),
                BatchSize::SmallInput,
            );
        });
        assert!(hub.sockets.sends > subscribers * seq, "every subscriber got every message");
    }
    group.finish();
}

/// A hundred publishes of one WebSocket message to one subscriber, each for itself and all or none.
fn batches(c: &mut Criterion) {
    let mut group = c.benchmark_group("a hundred publishes");
    group.throughput(Throughput::Elements(BATCH));
    for is_batch in [false, true] {
        let mut hub = Hub::new();
        let subscriber = hub.connect(ProducerId::default());
        hub.say(subscriber, &subscribe());
        let publisher = hub.connect(ProducerId([1; 16]));
        hub.say(publisher, &open());
        let mut seq = 0;
        group.bench_function(if is_batch { "all or none" } else { "each for itself" }, |b| {
            b.iter_batched(
                || {
                    let mut payload = Vec::new();
                    if is_batch {
                        Batch { count: BATCH }.put(&mut payload);
                    }
                    (1..=BATCH).for_each(|place| publish(seq + place).put(&mut payload));
                    seq += BATCH;
                    framed(&payload)
                },
                |mut bytes| hub.hear(publisher, &mut bytes),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}

fn patterns(c: &mut Criterion) {
    let mut group = c.benchmark_group("patterns that match a topic, among");
    for count in [1_000, 10_000, 100_000] {
        let mut patterns = Feed::default();
        for number in 0..count {
            let name = match number % 4 {
                0 => format!("shop{number}.orders.*"),
                1 => format!("shop{}.>", number - 1),
                2 => format!("*.orders.item{number}"),
                _ => format!("shop{}.*.item{}", number - 3, number - 1),
            };
            patterns.insert(&name, Arc::new(tail(number + 1)));
        }
        let middle = count / 2;
        let topic = format!("shop{middle}.orders.item{}", middle + 2);
        assert_eq!(patterns.matching(&topic).len(), 4, "{topic}");
        group.bench_function(BenchmarkId::from_parameter(count), |b| {
            b.iter(|| patterns.matching(black_box(&topic)));
        });
    }
    group.finish();
}

fn tail(number: u64) -> Tail {
    let keep = Keep {
        is_stored: false,
        count: u64::MAX,
        bytes: 16 << 20,
        age_ms: u64::MAX,
        readable: true,
        block_bytes: 16 << 10,
        removals_ms: None,
    };
    let (heavy_bytes, epoch, calendar) = (usize::MAX, Epoch(1), Arc::default());
    let terms = Arc::new(Terms { keep, shards: 1, heavy_bytes, epoch, calendar });
    let name = TopicName::parse("bench").expect("a topic's name");
    Tail::new(TailNumber(number), 0, Source::Topic(name), &terms, Offset(0))
}

fn publish(seq: u64) -> Publish<'static> {
    Publish {
        handle: Handle(1),
        seq: Seq(seq),
        lowest: Seq(seq),
        content: Content::Binary,
        payload: Cow::Borrowed(&PAYLOAD),
        ..Publish::default()
    }
}

fn subscribe() -> ClientFrame<'static> {
    let name = Cow::Borrowed("bench");
    ClientFrame::Subscribe(Subscribe { request: Request(1), name, ..Subscribe::default() })
}

fn open() -> ClientFrame<'static> {
    let topic = Cow::Borrowed("bench");
    ClientFrame::Open(Open { handle: Handle(1), topic, lowest: Seq(1), ..Open::default() })
}

/// A WebSocket frame with a mask of zeros.
fn masked(frame: &ClientFrame<'_>) -> Vec<u8> {
    let mut payload = Vec::new();
    frame.put(&mut payload);
    framed(&payload)
}

fn framed(payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x82];
    match payload.len() {
        len @ 0..126 => bytes.push(0x80 | len as u8),
        len => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(len as u16).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(payload);
    bytes
}

/// One shard over sockets that take everything.
struct Hub {
    shard: Shard,
    sockets: Sockets,
}

#[derive(Default)]
struct Sockets {
    sends: u64,
}

impl Wire for Sockets {
    fn send(&mut self, _: ConnectionId, parts: &[&[u8]]) -> Sent {
        self.sends += 1;
        Sent::Bytes(parts.iter().map(|part| part.len()).sum())
    }

    fn close(&mut self, _: ConnectionId) {}
}

impl Hub {
    fn new() -> Self {
        let inbox = Arc::new(Inbox::new(Box::new(|| ())));
        let settings =
            Settings { limits: Limits::default(), access: Access::open(), rules: Vec::new(), boot: 0 };
        let topics = Arc::new(Topics::new(settings, Epoch(1), Engine::Memory, vec![Arc::clone(&inbox)]));
        Self { shard: Shard::new(NOW, 0, topics, inbox), sockets: Sockets::default() }
    }

    fn connect(&mut self, producer: ProducerId) -> ConnectionId {
        let id = self.shard.accept(NOW, Dialect::Binary, AccountKey(1));
        self.say(id, &ClientFrame::Hello(Hello { producer, ..Hello::default() }));
        id
    }

    fn say(&mut self, id: ConnectionId, frame: &ClientFrame<'_>) {
        self.hear(id, &mut masked(frame));
    }

    fn hear(&mut self, id: ConnectionId, bytes: &mut [u8]) {
        self.shard.received(NOW, id, bytes, &mut self.sockets);
        while self.shard.turn(NOW, &mut self.sockets) {}
    }
}
