//! Topics that keep the latest message of each key: whoever reads one from the beginning, or goes on from anywhere, has in the
//! end what is true, and no more is held than that takes.

use std::collections::BTreeMap;

use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::reading::most::Most;
use tidewire_hub_core::reading::question::PageRead;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{Batch, ClientFrame, Publish, Send, Terms};
use tidewire_protocol::code::{Code, GapReason, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Subscribed};
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Epoch, Handle, Offset, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::durable::Lasting;
use crate::rig::*;
use crate::updates::open_for_updates;

fn latest() -> Vec<TopicRule> {
    vec![rule("map.>", Retention { latest_per_key: true, ..ALL }), rule(">", ALL)]
}

fn small() -> Limits {
    // Nobody is silent for too long.
    Limits { block_bytes: 200, heartbeat_ms: 1 << 40, ..Limits::default() }
}

/// Sets a key, or removes it.
fn set(seq: u64, key: &str, value: Option<&str>) -> ClientFrame<'static> {
    set_if(seq, key, value, Terms::default())
}

fn set_if(seq: u64, key: &str, value: Option<&str>, terms: Terms) -> ClientFrame<'static> {
    let attributes =
        Attributes { key: key.to_owned().into(), remove: value.is_none(), ..Attributes::default() };
    let payload = value.unwrap_or_default().as_bytes().to_vec().into();
    let (handle, seq) = (Handle(1), Seq(seq));
    ClientFrame::Publish(Publish {
        handle,
        seq,
        lowest: seq,
        payload,
        attributes,
        terms,
        ..Publish::default()
    })
}

fn for_a_while(seq: u64, key: &str, value: &str, ttl_ms: u64) -> ClientFrame<'static> {
    let ClientFrame::Publish(publish) = set(seq, key, Some(value)) else { unreachable!() };
    let attributes = Attributes { ttl_ms, ..publish.attributes.clone() };
    ClientFrame::Publish(Publish { attributes, ..publish })
}

/// What a reader knows, by what it heard.
#[derive(Debug, Clone, Default, PartialEq)]
struct Mirror {
    entries: BTreeMap<String, String>,
    cursor: Offset,
    /// So many messages it has heard.
    heard: usize,
    gaps: Vec<GapReason>,
}

impl Mirror {
    /// Hears on, as a client does: it drops what lies at or below its cursor, and begins anew when it is told to.
    fn hear(&mut self, hub: &mut Hub, reader: ConnectionId) {
        let bytes = std::mem::take(hub.sockets.written.entry(reader).or_default());
        let mut rest = &bytes[..];
        while let Some((opcode, mut frames)) = websocket_message(&mut rest) {
            assert_eq!(opcode, 2, "closed");
            while !frames.is_empty() {
                self.take(&HubFrame::take(&mut frames).unwrap().unwrap());
            }
        }
        // The beginning of one that goes on when there is room.
        hub.sockets.written.insert(reader, rest.to_vec());
    }

    fn take(&mut self, frame: &HubFrame<'_>) {
        {
            match frame {
                HubFrame::Subscribed(Subscribed { positions, gap, .. }) => {
                    self.lose(gap.map(|gap| gap.reason));
                    self.cursor = positions[0].offset;
                }
                HubFrame::Missing(Missing { gap, after, .. }) => {
                    self.lose(gap.map(|gap| gap.reason));
                    self.cursor = *after;
                }
                HubFrame::Block(block) => {
                    assert!(block.prev <= self.cursor, "a hole before {}", block.prev);
                    for message in block.messages() {
                        let message = message.unwrap();
                        if message.offset <= self.cursor {
                            continue;
                        }
                        self.cursor = message.offset;
                        self.heard += 1;
                        let attributes = message.attributes().unwrap();
                        if attributes.remove {
                            self.entries.remove(&*attributes.key);
                        } else {
                            let value = String::from_utf8(message.payload.to_vec()).unwrap();
                            self.entries.insert(attributes.key.into_owned(), value);
                        }
                    }
                }
                _ => {}
            }
        }
    }

    fn lose(&mut self, reason: Option<GapReason>) {
        self.gaps.extend(reason);
        if reason == Some(GapReason::Compacted) {
            self.entries.clear();
        }
    }

    /// What one knows who begins there.
    fn from(hub: &mut Hub, start: Start) -> Self {
        let (reader, mut mirror) = (hub.client(9), Self::default());
        hub.subscribe(reader, "map.a", start, WhenSlow::CatchUp);
        mirror.hear(hub, reader);
        mirror
    }

    /// What one knows who goes on there.
    fn go_on(&self, hub: &mut Hub) -> Self {
        let (reader, mut mirror) = (hub.client(9), self.clone());
        let after = Start::After(vec![Position { epoch: hub.topics.log(0).epoch, offset: self.cursor }]);
        hub.subscribe(reader, "map.a", after, WhenSlow::CatchUp);
        mirror.hear(hub, reader);
        mirror
    }
}

/// Numbers that look like chance.
struct Dice(u64);

impl Dice {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % n
    }
}

#[test]
fn whoever_reads_from_anywhere_knows_in_the_end_what_is_true() {
    for seed in 0..12 {
        let mut dice = Dice(seed);
        let mut hub = Hub::new(small(), latest());
        let (writer, live) = (hub.client(1), hub.client(2));
        hub.open(writer, "map.a");
        hub.subscribe(live, "map.a", Start::Earliest, WhenSlow::CatchUp);
        let (mut at_once, mut truth, mut former) = (Mirror::default(), BTreeMap::new(), Vec::new());
        let is_heard_at_once = seed % 2 == 0;
        for seq in 1..=600 {
            let key = format!("key{}", dice.below(12));
            let value = (dice.below(5) > 0).then(|| "v".repeat(dice.below(30) as usize) + &seq.to_string());
            hub.say(writer, &[set(seq, &key, value.as_deref())]);
            match value {
                Some(value) => truth.insert(key, value),
                None => truth.remove(&key),
            };
            if is_heard_at_once {
                at_once.hear(&mut hub, live);
                assert_eq!(at_once.entries, truth);
            }
            if dice.below(10) == 0 {
                former.push(Mirror::from(&mut hub, Start::Earliest));
                assert_eq!(former.last().unwrap().entries, truth);
            }
            if dice.below(40) == 0 {
                hub.now = hub.now.plus(6_000);
                hub.work();
            }
        }
        for mirror in former {
            let now = mirror.go_on(&mut hub);
            assert_eq!((now.entries, now.gaps), (truth.clone(), vec![]), "seed {seed}");
        }
    }
}

#[test]
fn what_was_replaced_is_not_held_for_long() {
    for is_heard in [false, true] {
        let mut hub = Hub::new(limits(|limits| limits.block_bytes = 2_000), latest());
        let (writer, live) = (hub.client(1), hub.client(2));
        hub.open(writer, "map.a");
        if is_heard {
            hub.subscribe(live, "map.a", Start::Earliest, WhenSlow::CatchUp);
        }
        let value = "v".repeat(100);
        for seq in 1..=20_000_u64 {
            hub.say(writer, &[set(seq, &format!("key{}", seq * 7 % 100), Some(&value))]);
            hub.heard(live);
        }
        // A hundred keys of some 120 bytes, and as much again for what is known of each.
        let held = hub.topics.ledger().held(Kind::Latest);
        assert!(held < 110_000, "{held} bytes, heard: {is_heard}");
        let mirror = Mirror::from(&mut hub, Start::Earliest);
        assert_eq!(mirror.entries.len(), 100);
        assert!(mirror.heard < 350, "{} messages for 100 keys", mirror.heard);
    }
}

#[test]
fn who_was_away_for_longer_than_removals_are_remembered_reads_all_anew() {
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    (1..=10).for_each(|seq| hub.say(writer, &[set(seq, &format!("key{seq}"), Some("one"))]));
    let away = Mirror::from(&mut hub, Start::Earliest);
    hub.say(writer, &[set(11, "key3", None), set(12, "key5", Some("two"))]);
    let knows = Mirror::from(&mut hub, Start::Earliest);
    let age = |hub: &mut Hub, ms| {
        hub.now = hub.now.plus(ms);
        (0..40).for_each(|_| {
            hub.now = hub.now.plus(5_000);
            hub.work();
        });
    };
    age(&mut hub, Limits::default().removals_ms / 2);
    let soon = away.go_on(&mut hub);
    assert_eq!((soon.gaps.len(), soon.entries.len()), (0, 9), "it is told of the removal");
    age(&mut hub, Limits::default().removals_ms / 2);
    let late = away.go_on(&mut hub);
    assert_eq!((late.gaps, late.entries.len()), (vec![GapReason::Compacted], 9));
    assert_eq!(late.entries["key5"], "two");
    let knew = knows.go_on(&mut hub);
    assert_eq!((knew.gaps.len(), knew.entries.len()), (0, 9), "who has heard of it lacks nothing");
    let new = Mirror::from(&mut hub, Start::Earliest);
    assert_eq!((new.gaps.len(), new.entries.len(), new.heard), (0, 9, 9), "nor does who begins");
    // A pattern's reader is told as well, and goes on.
    let reader = hub.client(8);
    hub.subscribe(reader, "map.*", after(away.cursor.0), WhenSlow::CatchUp);
    let heard = hub.heard(reader);
    assert_eq!(
        heard[0],
        Heard::Subscribed(tidewire_protocol::code::Outcome::Gap, 10, Some((11, 11, GapReason::Retention)))
    );
}

impl Hub {
    /// A page of one message at least, of one who knows of forgotten removals up to `removals`.
    fn page_behind(&self, start: &Start, removals: Offset) -> PageRead {
        let topic = Selector::parse("map.a").unwrap();
        self.topics.page(self.now, &topic, start, removals, Most::bytes(1)).unwrap()
    }
}

/// Ten keys, of which one is removed and one set anew.
fn map_with_a_removal(hub: &mut Hub) {
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    let value = "v".repeat(300);
    (1..=9).for_each(|seq| hub.say(writer, &[set(seq, &format!("key{seq}"), Some(&value))]));
    hub.say(writer, &[set(10, "key1", None), set(11, "key2", Some("two"))]);
}

/// Each page would begin where the one before did.
#[test]
fn who_reads_page_by_page_comes_to_the_end_though_removals_are_forgotten() {
    let soon = Limits { removals_ms: 1_000, ..small() };
    for tells in [false, true] {
        let mut hub = Hub::new(soon.clone(), latest());
        map_with_a_removal(&mut hub);
        // What gathers for a block is looked at once somebody has read it.
        let _ = hub.page_behind(&Start::Earliest, Offset(0));
        hub.wait(60_000);
        let (mut start, mut removals, mut pages) = (Start::Earliest, Offset(u64::from(tells)), 0);
        loop {
            let page = hub.page_behind(&start, removals);
            assert_eq!(page.gap, None);
            pages += 1;
            assert!(pages < 12, "it goes round in circles at {start:?}");
            if !page.more {
                break;
            }
            (start, removals) = (Start::After(page.upto), page.removals);
            assert_eq!(removals, Offset(if tells { 10 } else { 0 }), "what to say next");
        }
        assert!(pages > 3, "{pages} pages");
    }
}

#[test]
fn who_reads_pages_so_slowly_that_removals_are_forgotten_begins_anew() {
    let soon = Limits { removals_ms: 1_000, ..small() };
    let mut hub = Hub::new(soon, latest());
    map_with_a_removal(&mut hub);
    let first = hub.page_behind(&Start::Earliest, Offset(1));
    assert_eq!((first.gap, first.removals, first.more), (None, Offset(0), true));
    hub.wait(60_000);
    let on = Start::After(first.upto);
    let anew = hub.page_behind(&on, first.removals.max(Offset(1)));
    let gap = anew.gap.expect("key1 may be known to it");
    assert_eq!((gap.reason, gap.to, anew.removals), (GapReason::Compacted, Offset(10), Offset(10)));
    assert!(anew.after[0].offset < gap.from && !anew.blocks.is_empty(), "{anew:?}");
    assert_eq!(hub.page_behind(&on, Offset(10)).gap, None, "it knows of that");
    assert_eq!(hub.page_behind(&on, Offset(0)).gap, None, "it does not want to know");
    assert_eq!(hub.page_behind(&Start::Earliest, Offset(1)).gap, None, "it has nothing yet");
}

/// Whoever reads meanwhile would begin anew at each of them, and might never come to the end.
#[test]
fn what_is_forgotten_in_a_round_is_told_at_its_beginning() {
    let soon = Limits { removals_ms: 1_000, ..small() };
    let mut hub = Hub::new(soon, latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    let value = "v".repeat(300);
    (1..=400).for_each(|seq| hub.say(writer, &[set(seq, &format!("key{seq}"), Some(&value))]));
    (401..=800).for_each(|seq| hub.say(writer, &[set(seq, &format!("key{}", seq - 400), None)]));
    let forgotten = |hub: &Hub| hub.page_behind(&Start::Earliest, Offset(1)).removals;
    let mut told = vec![forgotten(&hub)];
    for _ in 0..60 {
        hub.wait(1_000);
        told.push(forgotten(&hub));
    }
    told.dedup();
    assert!(told.len() <= 3 && told.last() == Some(&Offset(800)), "{told:?}");
}

/// A reader that lags is told in the middle, too.
#[test]
fn who_reads_so_slowly_that_removals_are_forgotten_begins_anew() {
    let soon = Limits { removals_ms: 1_000, ..small() };
    let mut hub = Hub::new(soon, latest());
    let (writer, slow) = (hub.client(1), hub.client(2));
    hub.open(writer, "map.a");
    let value = "v".repeat(500);
    (1..=20).for_each(|seq| hub.say(writer, &[set(seq, &format!("key{seq}"), Some(&value))]));
    let mut mirror = Mirror::default();
    hub.room(slow, 3_000);
    hub.subscribe(slow, "map.a", Start::Earliest, WhenSlow::CatchUp);
    mirror.hear(&mut hub, slow);
    assert!((1..20).contains(&mirror.entries.len()));
    hub.say(writer, &[set(21, "key1", None), set(22, "key2", Some("two"))]);
    hub.wait(30_000);
    hub.room(slow, usize::MAX);
    mirror.hear(&mut hub, slow);
    assert_eq!(mirror.gaps, [GapReason::Compacted]);
    assert_eq!(mirror.entries.len(), 19);
    assert_eq!(mirror.entries["key2"], "two");
}

#[test]
fn the_latest_of_a_key_is_told_of_topics_that_keep_it_once_it_is_seen() {
    let mut lasting = Lasting::new(small(), latest());
    let writer = lasting.client("map.a");
    let at = |lasting: &Lasting, name: &str, key: &str| {
        lasting.hub.topics.latest(lasting.hub.now, &Selector::parse(name).unwrap(), key)
    };
    let place = |offset| Ok(Some(Position { epoch: EPOCH, offset: Offset(offset) }));
    assert_eq!(at(&lasting, "map.a", "k"), Ok(None));
    lasting
        .hub
        .say(writer, &[set(1, "k", Some("one")), set(2, "l", Some("other")), set(3, "k", Some("two"))]);
    assert_eq!(at(&lasting, "map.a", "k"), Ok(None), "nobody has seen it");
    lasting.store();
    assert_eq!((at(&lasting, "map.a", "k"), at(&lasting, "map.a", "l")), (place(3), place(2)));
    lasting.hub.say(writer, &[set(4, "k", None)]);
    lasting.store();
    assert_eq!((at(&lasting, "map.a", "k"), at(&lasting, "map.a", "l")), (Ok(None), place(2)));
    assert_eq!(at(&lasting, "map.*", "k"), Err(Code::NotSupported));
    let writer = lasting.client("t");
    lasting.hub.say(writer, &[set(1, "k", Some("one"))]);
    lasting.store();
    assert_eq!(at(&lasting, "t", "k"), Err(Code::NotSupported));
}

#[test]
fn a_condition_holds_or_tells_where_the_latest_is() {
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    let absent = Terms { if_absent: true, ..Terms::default() };
    let version = |offset| {
        let position = Position { epoch: EPOCH, offset: Offset(offset) };
        Terms { if_version: Some(position), ..Terms::default() }
    };
    let other_epoch = Terms { if_version: Some(Position { epoch: Epoch(99), offset: Offset(1) }), ..absent };
    let other_epoch = Terms { if_absent: false, ..other_epoch };
    hub.say(
        writer,
        &[
            set_if(1, "a", Some("one"), absent),
            set_if(2, "a", Some("no"), absent),
            set_if(3, "a", Some("two"), version(1)),
            set_if(4, "a", Some("no"), version(1)),
            set_if(5, "a", Some("no"), other_epoch),
            set_if(6, "b", Some("no"), version(1)),
            set_if(7, "a", None, version(2)),
            set_if(8, "a", Some("no"), version(2)),
            set_if(9, "a", Some("three"), absent),
            set_if(9, "a", Some("three"), absent),
            set_if(2, "a", Some("no"), absent),
        ],
    );
    let told = outcomes(&mut hub, writer);
    let failed = |seq, current: u64| (seq, Some(Code::ConditionFailed), current);
    let done = |seq, offset: u64| (seq, None, offset);
    assert_eq!(
        told,
        [
            done(1, 1),
            failed(2, 1),
            done(3, 2),
            failed(4, 2),
            failed(5, 2),
            failed(6, 0),
            done(7, 3),
            failed(8, 0),
            done(9, 4),
            done(9, 4),
            // A retry is told again that it failed, and where the latest is by now.
            (2, Some(Code::OutcomeForgotten), 0),
        ]
    );
    assert_eq!(Mirror::from(&mut hub, Start::Earliest).entries["a"], "three");
}

/// What became of publishes: the seq, the code if it was refused, and the place, or that of the latest.
fn outcomes(hub: &mut Hub, id: ConnectionId) -> Vec<(u64, Option<Code>, u64)> {
    let told = hub.heard_as(
        id,
        |code| panic!("closed with {code}"),
        |frame| match frame {
            HubFrame::Acked(acked) => {
                (0..acked.count).map(|n| (acked.seq.0 + n, None, acked.offset.0 + n)).collect()
            }
            HubFrame::Refused(refused) => {
                let current = refused.current.map_or(0, |current| current.offset.0);
                vec![(refused.seq.0, Some(refused.code), current)]
            }
            other => panic!("{other:?}"),
        },
    );
    told.concat()
}

#[test]
fn only_topics_that_keep_the_latest_take_conditions_and_these_only_keys() {
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "a.b");
    let absent = Terms { if_absent: true, ..Terms::default() };
    hub.say(
        writer,
        &[set_if(1, "a", Some("one"), absent), set(2, "a", Some("one")), set_if(3, "", Some(""), absent)],
    );
    let told = [(1, Some(Code::NotSupported), 0), (2, None, 1), (3, Some(Code::BadMessage), 0)];
    assert_eq!(outcomes(&mut hub, writer), told);
    let writer = hub.client(2);
    hub.open(writer, "map.a");
    hub.say(writer, &[set(1, "", Some("no key")), set(2, "a", Some("one")), open_for_updates(7, "map.a")]);
    let keyed = Attributes { key: "b".into(), ..Attributes::default() };
    let send = |attributes| {
        ClientFrame::Send(Send { handle: Handle(7), payload: b"m"[..].into(), attributes, ..Send::default() })
    };
    hub.say(writer, &[send(Attributes::default()), send(keyed)]);
    assert_eq!(outcomes(&mut hub, writer), [(1, Some(Code::BadMessage), 0), (2, None, 2)]);
    assert_eq!(Mirror::from(&mut hub, Start::Earliest).entries.len(), 2);
    assert_eq!(hub.topics.metrics().updates_dropped.value(), 1);
}

#[test]
fn each_of_a_batch_is_judged_as_if_those_before_it_had_been_taken() {
    let absent = Terms { if_absent: true, ..Terms::default() };
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    let batch = |hub: &mut Hub, frames: Vec<ClientFrame<'static>>| {
        let mut all = vec![ClientFrame::Batch(Batch { count: frames.len() as u64 })];
        all.extend(frames);
        hub.say(writer, &all);
        outcomes(hub, writer)
    };
    let twice = vec![set_if(1, "a", Some("one"), absent), set_if(2, "a", Some("two"), absent)];
    let told = [(1, Some(Code::BatchRefused), 0), (2, Some(Code::ConditionFailed), 0)];
    assert_eq!(batch(&mut hub, twice), told);
    let anew =
        vec![set_if(3, "a", Some("one"), absent), set(4, "a", None), set_if(5, "a", Some("two"), absent)];
    assert_eq!(batch(&mut hub, anew), [(3, None, 1), (4, None, 2), (5, None, 3)]);
}

#[test]
fn a_condition_sees_what_waits_for_the_disk_and_is_told_with_it() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    let absent = Terms { if_absent: true, ..Terms::default() };
    lasting.hub.say(id, &[set_if(1, "a", Some("one"), absent), set_if(2, "a", Some("two"), absent)]);
    assert_eq!(lasting.hub.heard(id), [], "a refusal is told when what beat it is stored");
    lasting.store();
    assert_eq!(outcomes(&mut lasting.hub, id), [(1, None, 1), (2, Some(Code::ConditionFailed), 1)]);
    let mut lasting = lasting.restart_with(latest());
    let id = lasting.client("map.a");
    lasting.hub.say(id, &[set_if(2, "a", Some("two"), absent), set_if(3, "a", Some("three"), absent)]);
    lasting.store();
    let told = [(2, Some(Code::ConditionFailed), 1), (3, Some(Code::ConditionFailed), 1)];
    assert_eq!(outcomes(&mut lasting.hub, id), told);
}

#[test]
fn a_retry_that_comes_while_its_refusal_waits_is_told_where_the_latest_is_too() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    let absent = Terms { if_absent: true, ..Terms::default() };
    let first = [set_if(1, "a", Some("one"), absent), set_if(2, "a", Some("two"), absent)];
    lasting.hub.say(id, &first);
    lasting.hub.say(id, &first[1..]);
    lasting.store();
    let failed = |seq| (seq, Some(Code::ConditionFailed), 1);
    assert_eq!(outcomes(&mut lasting.hub, id), [(1, None, 1), failed(2), failed(2)]);
    let batch = [
        ClientFrame::Batch(Batch { count: 2 }),
        set(3, "b", Some("one")),
        set_if(4, "a", Some("two"), absent),
    ];
    for _ in 0..2 {
        lasting.hub.say(id, &batch);
        lasting.store();
        assert_eq!(outcomes(&mut lasting.hub, id), [(3, Some(Code::BatchRefused), 0), failed(4)]);
    }
}

#[test]
fn what_was_replaced_goes_from_the_disk_and_nothing_that_was_removed_comes_back() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    let mut truth = BTreeMap::new();
    for seq in 1..=300_u64 {
        let (key, value) = (format!("key{}", seq * 7 % 10), (seq % 3 > 0).then(|| seq.to_string()));
        lasting.hub.say(id, &[set(seq, &key, value.as_deref())]);
        match value {
            Some(value) => truth.insert(key, value),
            None => truth.remove(&key),
        };
        if seq % 20 == 0 {
            lasting.store();
            lasting.hub.heard(id);
        }
    }
    lasting.tell_anew();
    let away = Mirror::from(&mut lasting.hub, Start::Earliest);
    let (before, after) = lasting.tidy();
    assert!(after * 4 < before, "{after} of {before} bytes");
    let mut lasting = lasting.restart_with(latest());
    assert_eq!(Mirror::from(&mut lasting.hub, Start::Earliest).entries, truth);
    assert_eq!(away.go_on(&mut lasting.hub).gaps, []);
    // Nobody remembers removals any more.
    lasting.hub.now = lasting.hub.now.plus(Limits::default().removals_ms);
    for _ in 0..40 {
        lasting.hub.now = lasting.hub.now.plus(5_000);
        lasting.hub.work();
    }
    lasting.tell_anew();
    lasting.tidy();
    let mut lasting = lasting.restart_with(latest());
    let anew = Mirror::from(&mut lasting.hub, Start::Earliest);
    assert_eq!((anew.entries, anew.heard), (truth.clone(), truth.len()));
    let behind = Mirror { cursor: Offset(5), ..Mirror::default() }.go_on(&mut lasting.hub);
    assert_eq!((behind.entries, behind.gaps), (truth, vec![GapReason::Compacted]));
}

#[test]
fn a_value_whose_time_is_over_is_removed_for_all_to_hear() {
    for is_durable in [false, true] {
        let mut lasting = Lasting::new(small(), latest());
        if !is_durable {
            lasting.hub = Hub::new(small(), latest());
        }
        let id = lasting.client("map.a");
        let live = lasting.hub.client(2);
        lasting.hub.subscribe(live, "map.a", Start::Earliest, WhenSlow::CatchUp);
        lasting.hub.say(
            id,
            &[
                for_a_while(1, "a", "one", 1_000),
                set(2, "b", Some("two")),
                for_a_while(3, "c", "three", 1_000),
            ],
        );
        lasting.hub.say(id, &[set(4, "c", Some("stays"))]);
        lasting.store();
        lasting.hub.heard(id);
        let mut mirror = Mirror::default();
        mirror.hear(&mut lasting.hub, live);
        assert_eq!(mirror.entries.len(), 3);
        lasting.hub.now = lasting.hub.now.plus(1_000);
        let absent = Terms { if_absent: true, ..Terms::default() };
        lasting.hub.say(id, &[set_if(5, "a", Some("again"), absent), set(6, "a", None)]);
        lasting.hub.say(id, &[for_a_while(7, "d", "four", 10)]);
        lasting.store();
        for _ in 0..3 {
            lasting.hub.now = lasting.hub.now.plus(5_000);
            lasting.hub.work();
            lasting.store();
        }
        mirror.hear(&mut lasting.hub, live);
        let wanted = [("b", "two"), ("c", "stays")].map(|(key, value)| (key.to_owned(), value.to_owned()));
        assert_eq!(mirror.entries, BTreeMap::from(wanted), "durable: {is_durable}");
        // Offsets 1 to 7 were published; one more removes the last.
        assert_eq!(mirror.cursor, Offset(8));
    }
}

#[test]
fn what_a_value_has_replaced_does_not_stand_again_when_its_time_is_over() {
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    hub.say(writer, &[set(1, "a", Some("one")), for_a_while(2, "a", "two", 1_000)]);
    hub.now = hub.now.plus(1_000);
    let mut mirror = Mirror::from(&mut hub, Start::Earliest);
    assert_ne!(mirror.entries.get("a").map(String::as_str), Some("one"));
    hub.wait(5_000);
    mirror = mirror.go_on(&mut hub);
    assert_eq!(mirror.entries.len(), 0);
}

#[test]
fn a_page_ends_where_its_topic_does_though_the_newest_has_expired() {
    let mut hub = Hub::new(small(), vec![rule(">", ALL)]);
    let writer = hub.client(1);
    hub.open(writer, "t");
    hub.say(writer, &[set(1, "a", Some("one")), for_a_while(2, "a", "two", 1_000)]);
    hub.now = hub.now.plus(1_000);
    let topic = Selector::parse("t").unwrap();
    for start in [Start::Earliest, after(1), after(2), Start::Last(1)] {
        let page = hub.topics.page(hub.now, &topic, &start, Offset(0), Most::bytes(1_000)).unwrap();
        assert_eq!((page.more, page.upto[0].offset), (false, Offset(2)), "from {start:?}");
    }
    // Whoever asks where the end is waits for no message that never comes.
    let end = hub.topics.page(hub.now, &topic, &Start::Last(0), Offset(0), Most::bytes(1_000)).unwrap();
    assert_eq!(end.upto[0].offset, Offset(1));
}

#[test]
fn a_condition_sees_that_the_time_of_what_waits_for_the_disk_is_over() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    lasting.hub.say(id, &[for_a_while(1, "a", "one", 1_000)]);
    lasting.hub.now = lasting.hub.now.plus(1_000);
    let absent = Terms { if_absent: true, ..Terms::default() };
    lasting.hub.say(id, &[set_if(2, "a", Some("two"), absent)]);
    lasting.store();
    assert_eq!(outcomes(&mut lasting.hub, id), [(1, None, 1), (2, None, 2)]);
}

#[test]
fn who_is_too_slow_for_all_gets_the_latest() {
    let mut hub = Hub::new(small(), latest());
    let (writer, slow) = (hub.client(1), hub.client(2));
    hub.open(writer, "map.a");
    hub.subscribe(slow, "a.b", Start::Latest, WhenSlow::Latest);
    assert_eq!(hub.heard(slow), [Heard::Failed(Code::NotSupported)]);
    hub.subscribe(slow, "map.*", Start::Latest, WhenSlow::Latest);
    assert_eq!(hub.heard(slow), [Heard::Failed(Code::NotSupported)]);
    hub.subscribe(slow, "map.a", Start::Latest, WhenSlow::Latest);
    let mut mirror = Mirror::default();
    mirror.hear(&mut hub, slow);
    hub.room(slow, 0);
    let value = "v".repeat(300);
    for seq in 1..=40 {
        hub.say(writer, &[set(seq, &format!("key{}", seq % 4), Some(&format!("{value}{seq}")))]);
    }
    hub.room(slow, usize::MAX);
    mirror.hear(&mut hub, slow);
    assert_eq!(mirror.entries.len(), 4);
    assert!(mirror.entries["key0"].ends_with("40"));
    assert!(mirror.heard <= 6, "{} messages", mirror.heard);
}

#[test]
fn who_sets_ever_more_keys_gets_half_of_what_is_left_and_takes_nothing_from_others() {
    let limits = Limits { node_bytes_max: 4 << 20, ..small() };
    let mut hub = Hub::new(limits.clone(), latest());
    let (greedy, other) = (hub.client(1), hub.client(2));
    hub.open(greedy, "map.a");
    let value = "v".repeat(1_000);
    let mut taken = 0;
    for seq in 1..=4_000_u64 {
        hub.say(greedy, &[set(taken + 1, &format!("key{seq}"), Some(&value))]);
        taken += u64::from(outcomes(&mut hub, greedy)[0].1.is_none());
    }
    let held = hub.topics.ledger().held(Kind::Latest);
    assert!(taken > 250 && held <= limits.node_bytes_max / 8 + 4_096, "{taken} keys, {held} bytes");
    // Whoever is full can take away, and set again what it has.
    hub.say(greedy, &[set(taken + 1, "key1", None)]);
    assert_eq!(outcomes(&mut hub, greedy)[0].1, None);
    hub.open(other, "a.b");
    hub.publish(other, 1, b"goes on");
    assert_eq!(hub.heard(other), [Heard::Acked(1, 1)]);
    assert_eq!(Mirror::from(&mut hub, Start::Earliest).entries.len() as u64, taken - 1);
}

#[test]
fn very_many_values_that_expire_at_once_go_in_steps() {
    let mut hub = Hub::new(small(), latest());
    let writer = hub.client(1);
    hub.open(writer, "map.a");
    for seq in 1..=10_000_u64 {
        hub.say(writer, &[for_a_while(seq, &format!("key{seq}"), "v", 1_000_000)]);
    }
    hub.now = hub.now.plus(1_000_000);
    let mut rounds = 0;
    while hub.topics.metrics().published.value() < 20_000 {
        rounds += 1;
        hub.wait(5_000);
        assert!(rounds < 5, "{} published", hub.topics.metrics().published.value());
    }
    assert_eq!(Mirror::from(&mut hub, Start::Earliest).entries.len(), 0);
}

/// Time passes, and topics are looked at again and again.
fn sweep_often(lasting: &mut Lasting) {
    for _ in 0..40 {
        lasting.hub.now = lasting.hub.now.plus(5_000);
        lasting.hub.work();
    }
}

#[test]
fn removals_that_were_forgotten_are_told_after_a_start_though_they_were_merged_away_before_that_was_told() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    lasting.hub.say(id, &[set(1, "a", Some("1")), set(2, "b", Some("2"))]);
    lasting.store();
    lasting.hub.heard(id);
    let away = Mirror::from(&mut lasting.hub, Start::Earliest);
    lasting.hub.say(id, &[set(3, "a", None)]);
    lasting.store();
    lasting.tell_anew();
    lasting.hub.now = lasting.hub.now.plus(Limits::default().removals_ms);
    sweep_often(&mut lasting);
    assert_eq!(away.go_on(&mut lasting.hub).gaps, [GapReason::Compacted]);
    lasting.tidy();
    let mut lasting = lasting.restart_with(latest());
    // The removal is there again, or that it went is told.
    let entries = away.go_on(&mut lasting.hub).entries;
    assert_eq!(entries.keys().collect::<Vec<_>>(), ["b"]);
    // Once it was told anew, it is on the disk no more.
    sweep_often(&mut lasting);
    lasting.tell_anew();
    lasting.tidy();
    let mut lasting = lasting.restart_with(latest());
    let back = away.go_on(&mut lasting.hub);
    assert_eq!(back.entries.keys().collect::<Vec<_>>(), ["b"]);
    assert_eq!(back.gaps, [GapReason::Compacted]);
    assert_eq!(Mirror::from(&mut lasting.hub, Start::Earliest).heard, 1);
}

#[test]
fn entries_that_went_by_their_age_are_told_after_a_start_though_they_were_merged_away_before_that_was_told() {
    let of_age = Retention { latest_per_key: true, age_ms: Some(1_000_000), ..ALL };
    let rules = || vec![rule("map.>", of_age), rule(">", ALL)];
    let mut lasting = Lasting::new(small(), rules());
    let id = lasting.client("map.a");
    lasting.hub.say(id, &[set(1, "a", Some("1"))]);
    lasting.store();
    lasting.hub.heard(id);
    let away = Mirror::from(&mut lasting.hub, Start::Earliest);
    lasting.hub.say(id, &[set(2, "b", Some("2"))]);
    lasting.store();
    lasting.hub.now = lasting.hub.now.plus(600_000);
    lasting.hub.say(id, &[set(3, "c", Some("3"))]);
    lasting.store();
    lasting.tell_anew();
    lasting.hub.now = lasting.hub.now.plus(600_000);
    sweep_often(&mut lasting);
    let before = away.go_on(&mut lasting.hub);
    assert_eq!(before.gaps, [GapReason::Compacted]);
    lasting.tidy();
    let mut lasting = lasting.restart_with(rules());
    let back = away.go_on(&mut lasting.hub);
    assert_eq!((back.entries, back.gaps), (before.entries, before.gaps));
}

/// What is gone is kept on the disk until that is told, and with it what removed it.
#[test]
fn what_was_removed_does_not_come_back_where_the_beginning_is_gone_and_that_is_not_told_yet() {
    let mut lasting = Lasting::new(small(), latest());
    let id = lasting.client("map.a");
    lasting.hub.say(id, &[set(1, "a", Some("1")), set(2, "a", None)]);
    lasting.store();
    lasting.hub.heard(id);
    let bounds = |lasting: &Lasting| {
        let topics = lasting.hub.topics.stored_topics(0);
        topics.values().next().unwrap().upgrade().unwrap().tail.stored_bounds()
    };
    let go_on = |lasting: &mut Lasting| {
        let _ = Mirror::from(&mut lasting.hub, Start::Earliest);
        lasting.hub.now = lasting.hub.now.plus(Limits::default().removals_ms / 4);
        for _ in 0..40 {
            lasting.hub.now = lasting.hub.now.plus(5_000);
            lasting.hub.work();
        }
        lasting.store();
    };
    for _ in 0..20 {
        if bounds(&lasting).removals_gone > Offset(0) {
            break;
        }
        go_on(&mut lasting);
    }
    lasting.tell_anew();
    lasting.hub.say(id, &[set(3, "b", Some("2"))]);
    lasting.store();
    lasting.hub.heard(id);
    for _ in 0..8 {
        go_on(&mut lasting);
    }
    let before = Mirror::from(&mut lasting.hub, Start::Earliest);
    lasting.tidy();
    let mut lasting = lasting.restart_with(latest());
    let after = Mirror::from(&mut lasting.hub, Start::Earliest);
    assert_eq!(before.entries, after.entries);
    assert_eq!(after.entries.len(), 1);
}

/// What somebody knows who comes after a place, and goes again.
fn passes_by(hub: &mut Hub, mut mirror: Mirror, start: Start) -> Mirror {
    let reader = hub.client(9);
    hub.subscribe(reader, "map.a", start, WhenSlow::CatchUp);
    mirror.hear(hub, reader);
    hub.shard.gone(hub.now, reader);
    hub.work();
    mirror
}

/// Nothing but what is told says that something of it went: there are no holes where each key has one message.
#[test]
fn what_went_of_a_map_is_told_after_a_start_though_its_name_went_too() {
    for (age_ms, tells) in [(None, false), (None, true), (Some(1_000_000), false), (Some(1_000_000), true)] {
        let of_keys = Retention { latest_per_key: true, age_ms, ..ALL };
        let rules = || vec![rule("map.>", of_keys), rule(">", ALL)];
        let mut lasting = Lasting::new(small(), rules());
        let id = lasting.client("map.a");
        lasting.hub.say(id, &[set(1, "a", Some("1"))]);
        lasting.store();
        lasting.hub.heard(id);
        let away = passes_by(&mut lasting.hub, Mirror::default(), Start::Earliest);
        let rest = match age_ms {
            Some(_) => vec![set(2, "b", Some("2"))],
            None => vec![set(2, "a", None), set(3, "b", Some(&"x".repeat(600))), set(4, "b", None)],
        };
        lasting.hub.say(id, &rest);
        lasting.store();
        lasting.hub.heard(id);
        lasting.tell_anew();
        lasting.hub.shard.gone(lasting.hub.now, id);
        for round in 0..8 {
            if round < 2 && age_ms.is_none() {
                passes_by(&mut lasting.hub, Mirror::default(), Start::Earliest);
            }
            lasting.hub.now = lasting.hub.now.plus(Limits::default().removals_ms);
            sweep_often(&mut lasting);
            if round == 5 && tells {
                lasting.tell_anew();
            }
        }
        assert_eq!(
            lasting.hub.topics.metrics().topics.value(),
            u64::from(!tells),
            "its name goes once that is told"
        );
        lasting.tidy();
        let mut lasting = lasting.restart_with(rules());
        let epoch = lasting.hub.topics.log(0).epoch;
        let after = Start::After(vec![Position { epoch, offset: away.cursor }]);
        let back = passes_by(&mut lasting.hub, away, after);
        assert!(
            !back.gaps.is_empty() || age_ms.is_none() && back.entries.is_empty(),
            "{age_ms:?} {tells} {back:?}"
        );
    }
}
