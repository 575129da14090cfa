//! What subscriptions, and reads that nobody has taken yet, take of the hub's memory is charged.
//!
//! A binary of its own with one test, because the allocator that counts is everybody's.
#![allow(clippy::unwrap_used, clippy::panic)]

use peak_alloc::PeakAlloc;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, History, Publish, Subscribe};
use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{Handle, NUMBER_MAX, Request, Seq};
use tidewire_protocol::position::Start;

use crate::rig::{Hub, bytes_of, hello, keep_all, open_as, publish_on};

#[allow(dead_code, unreachable_pub, reason = "others use the rest")]
#[path = "it/rig.rs"]
mod rig;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const ATTACKER: u128 = 3;
const NEIGHBOUR: u128 = 4;

#[test]
fn what_connections_make_the_hub_hold_is_charged_as_it_is_allocated() {
    // The first of each takes what is taken once.
    subscriptions(2, &|number| format!("t{number}"));
    for (connections, shared) in [(1, false), (1, true), (60, true), (10, false)] {
        subscriptions(connections, &|number| format!("t{}", if shared { number % 1_000 } else { number }));
    }
    subscriptions(20, &|number| format!("t{}.*", number % 100));
    reads_of_patterns(true);
    reads_of_patterns(false);
    reads_of_many_addresses();
    runs_of_voids();
}

fn client_of(hub: &mut Hub, account: u128) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(account));
    hub.say(id, &[hello(account as u8, 1)]);
    id
}

fn subscribe(names: &[String], from: &Start) -> Vec<u8> {
    let mut frames = Vec::new();
    for name in names {
        let (request, name) = (Request(1), name.as_str().into());
        let frame = Subscribe { request, name, from: from.clone(), when_slow: WhenSlow::CatchUp };
        frames.push(ClientFrame::Subscribe(frame));
    }
    bytes_of(&frames)
}

/// So many connections, with a thousand subscriptions each to what `name` says, or a hundred if these are patterns; then
/// most of these go, then all.
fn subscriptions(connections: u64, name: &dyn Fn(u64) -> String) {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let each = if name(0).ends_with('*') { 100 } else { 1_000 };
    let ids: Vec<_> = (0..connections).map(|_| client_of(&mut hub, ATTACKER)).collect();
    hub.sockets.written.clear();
    let (before, charged_before) = (MEMORY.current_usage(), hub.topics.ledger().total());
    for (id, first) in ids.iter().zip((0..).step_by(each)) {
        let names: Vec<_> = (first..first + each as u64).map(name).collect();
        hub.send(*id, 2, &subscribe(&names, &Start::Latest));
        hub.sockets.written.clear();
    }
    let count = connections * each as u64;
    assert_eq!(hub.topics.metrics().subscriptions.value(), count);
    let allocated = MEMORY.current_usage() - before;
    let charged = hub.topics.ledger().total() - charged_before;
    let what = format!("{allocated} bytes for {connections} with {each} like {}: {charged}", name(0));
    assert!(allocated <= charged + charged / 20 + 4_096, "not all is charged: {what}");
    // Of a pattern's cursor also the question that it may ask is charged.
    let times = if each == 100 { 4 } else { 2 };
    assert!(charged <= times * allocated, "much more is charged: {what}");
    for id in &ids {
        hub.shard.gone(hub.now, *id);
    }
    hub.work();
    assert_eq!(hub.held(Kind::Subscriptions), 0);
}

/// A thousand cursors of patterns over long messages, for which the reader reads while no shard has time. Then all
/// connections go, or all but one.
fn reads_of_patterns(stays: bool) {
    const LONG: usize = 200_000;
    let mut hub = Hub::new(Limits::default(), keep_all());
    let writer = client_of(&mut hub, NEIGHBOUR);
    hub.say(writer, &[open_as(1, 0, "a.b.c.d.e.f.g")]);
    for seq in 1..=10 {
        hub.say(writer, &[publish_on(1, seq, &vec![b'x'; LONG])]);
    }
    let ids: Vec<_> = (0..20).map(|_| client_of(&mut hub, ATTACKER)).collect();
    for id in &ids {
        hub.sockets.room.insert(*id, 20_000);
        let token = |bits: usize, at: usize| if bits >> at & 1 == 1 { "*" } else { &"abcdef"[at..=at] };
        let name = |bits: usize| (0..6).map(|at| token(bits, at)).collect::<Vec<_>>().join(".") + ".>";
        let names: Vec<_> = (1..51).map(name).collect();
        hub.deliver(*id, 2, &subscribe(&names, &Start::Earliest));
    }
    hub.sockets.written.clear();
    let (before, charged_before) = (MEMORY.current_usage(), hub.topics.ledger().total());
    // Now it is known where they start, and each asks for what comes then.
    while hub.topics.read_on(hub.now) {}
    for _ in 0..10_000 {
        hub.shard.turn(hub.now, &mut hub.sockets);
    }
    while hub.topics.read_on(hub.now) {}
    let unclaimed = hub.held(Kind::Unclaimed);
    assert!(unclaimed > LONG && unclaimed < (1 << 20) + 2 * LONG, "{unclaimed} bytes are read for nobody");
    let allocated = MEMORY.current_usage() - before;
    let charged = hub.topics.ledger().total() - charged_before;
    assert!(allocated <= charged + charged / 10 + 200_000, "{allocated} bytes are held, {charged} charged");

    let page =
        History { request: Request(1), name: "a.>".into(), from: Start::Earliest, ..History::default() };
    hub.deliver(writer, 2, &bytes_of(&[ClientFrame::History(page)]));
    while hub.topics.read_on(hub.now) {}
    let theirs = hub.topics.ledger().account(AccountKey(NEIGHBOUR)).held(Kind::Unclaimed);
    assert!(theirs > LONG, "others are read for");

    let stays = usize::from(stays);
    for id in &ids[stays..] {
        hub.shard.gone(hub.now, *id);
    }
    for id in &ids[..stays] {
        hub.sockets.room.insert(*id, usize::MAX);
        hub.shard.writable(*id);
    }
    let mut steps = 0;
    while hub.shard.turn(hub.now, &mut hub.sockets) || hub.topics.read_on(hub.now) {
        assert!(hub.held(Kind::Unclaimed) < (1 << 20) + 4 * LONG);
        steps += 1;
    }
    assert!(steps < 3_000 + 5_000 * stays, "{steps} steps");
    for id in &ids[..stays] {
        let written = hub.sockets.written[id].len();
        assert!(written > 50 * 10 * LONG, "who stays gets all, and not {written} bytes");
        hub.shard.gone(hub.now, *id);
    }
    hub.work();
    assert_eq!((hub.held(Kind::Reading), hub.held(Kind::Subscriptions)), (0, 0));
    assert_eq!((hub.held(Kind::Unclaimed), hub.held(Kind::Unread)), (0, 0));
}

/// Many addresses, each with less than one may have: together they have no more than fits, and all get what they asked for.
fn reads_of_many_addresses() {
    const LONG: usize = 100_000;
    let mut hub = Hub::new(Limits { node_bytes_max: 64 << 20, ..Limits::default() }, keep_all());
    let writer = client_of(&mut hub, NEIGHBOUR);
    hub.say(writer, &[open_as(1, 0, "a.b")]);
    for seq in 1..=4 {
        hub.say(writer, &[publish_on(1, seq, &vec![b'x'; LONG])]);
    }
    let ids: Vec<_> = (0..60).map(|address| client_of(&mut hub, 100 + address)).collect();
    hub.sockets.written.clear();
    for id in &ids {
        let page = History {
            request: Request(1),
            name: "a.>".into(),
            from: Start::Earliest,
            bytes_max: 1 << 20,
            ..History::default()
        };
        hub.deliver(*id, 2, &bytes_of(&[ClientFrame::History(page)]));
    }
    let fit = hub.topics.limits().unclaimed_fit();
    while hub.topics.read_on(hub.now) {
        assert!(hub.held(Kind::Unclaimed) < fit + 8 * LONG, "{} bytes of {fit}", hub.held(Kind::Unclaimed));
    }
    assert!(hub.held(Kind::Unclaimed) >= fit);
    while hub.shard.turn(hub.now, &mut hub.sockets) || hub.topics.read_on(hub.now) {}
    assert!(ids.iter().all(|id| hub.sockets.written.get(id).is_some_and(|written| written.len() > LONG)));
}

/// Five thousand runs of voids in one read, each over seqs that have an answer each: what the hub holds of that while it
/// answers is a small multiple of what it read.
fn runs_of_voids() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (id, other) = (client_of(&mut hub, ATTACKER), client_of(&mut hub, NEIGHBOUR));
    hub.say(id, &[open_as(1, 0, "t")]);
    hub.say(other, &[open_as(1, 0, "u")]);
    let publish = |seq, void, count| {
        let (handle, seq) = (Handle(1), Seq(seq));
        ClientFrame::Publish(Publish { handle, seq, void, count, ..Publish::default() })
    };
    for seq in 1..=20 {
        hub.say(id, &[publish(seq, false, 0)]);
        hub.say(other, &[publish_on(1, seq, b"m")]);
    }
    let frames: Vec<_> = (0..5_000).map(|_| publish(1, true, NUMBER_MAX)).collect();
    let bytes = bytes_of(&frames);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    hub.send(id, 2, &bytes);
    let peak = MEMORY.peak_usage() - before;
    assert!(peak < 50 * bytes.len(), "{peak} bytes for {} of runs", bytes.len());
    hub.sockets.written.clear();
    hub.shard.gone(hub.now, id);
    hub.work();
}
