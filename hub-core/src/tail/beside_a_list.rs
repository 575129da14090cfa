//! A tail beside a plain list of the same messages: whatever it is asked, it says what the list says.
#![allow(clippy::unwrap_used)]

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block::Head;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Epoch, Offset, TailNumber};

use std::sync::Arc;

use crate::block::Entry;
use crate::clock::{Millis, NEVER};
use crate::ledger::Ledger;
use crate::record::Record;
use crate::tail::needed::Need;
use crate::tail::restoring::{Bounds, Outlived};
use crate::tail::{Keep, Source, Tail, Terms};

/// A message as the list has it.
#[derive(Debug, Clone, Copy)]
struct Listed {
    offset: u64,
    time_ms: u64,
    expires_ms: u64,
}

fn empty(terms: &Arc<Terms>) -> Tail {
    let source = Source::Topic(TopicName::parse("t").unwrap());
    Tail::new(TailNumber(1), 0, source, terms, Offset(0))
}

/// Numbers that come again with the seed.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }

    fn one_in(&mut self, count: u64) -> bool {
        self.below(count) == 0
    }
}

/// What a disk has.
#[derive(Debug, Clone)]
enum Stored {
    /// A message: its offset, time and attributes, and how long it is.
    Message(Listed, Vec<u8>, usize),
    /// Some behind the first up to the second have expired.
    Expired(u64, u64),
}

/// A tail and its list, at a time.
struct Pair {
    tail: Tail,
    list: Vec<Listed>,
    /// Each with the message before it.
    disk: Vec<(u64, Stored)>,
    terms: Arc<Terms>,
    keep: Keep,
    /// Messages are shorter than that.
    payload_bytes: u64,
    now: u64,
}

impl Pair {
    fn new(random: &mut Random) -> Self {
        let block_bytes = if random.one_in(2) { 900 } else { 9_000 };
        let keep = Keep {
            count: if random.one_in(2) { u64::MAX } else { 1 + random.below(40) },
            bytes: if random.one_in(2) { usize::MAX } else { 1_000 + random.below(9_000) as usize },
            age_ms: if random.one_in(2) { u64::MAX >> 1 } else { 1 + random.below(200) },
            readable: true,
            block_bytes: 100 + random.below(block_bytes) as usize,
            removals_ms: None,
            is_stored: true,
        };
        let terms =
            Terms { keep, shards: 1, heavy_bytes: usize::MAX, epoch: Epoch(1), calendar: Arc::default() };
        let terms = Arc::new(terms);
        let payload_bytes = if random.one_in(2) { 120 } else { 2_000 };
        let (tail, list, disk) = (empty(&terms), Vec::new(), Vec::new());
        Self { tail, list, disk, terms, keep, payload_bytes, now: 1 }
    }

    /// What is not needed of the oldest that are stored goes.
    fn tidy(&mut self, random: &mut Random) {
        let count = random.below(self.disk.len() as u64 + 1) as usize;
        let mut tidied: Vec<(u64, Stored)> = Vec::new();
        for (prev, stored) in self.disk.drain(..count) {
            let (last, need) = match &stored {
                Stored::Message(it, ext, _) => {
                    let (offset, published_at) = (Offset(it.offset), Millis(it.time_ms));
                    let record = Record { offset, published_at, ext, ..Record::default() };
                    (it.offset, self.tail.needs(Millis(self.now), (offset, Some(&record)), false, 0))
                }
                Stored::Expired(_, last) => {
                    (*last, self.tail.needs(Millis(self.now), (Offset(*last), None), false, 0))
                }
            };
            match (need, tidied.last_mut()) {
                (Need::Whole, _) => tidied.push((prev, stored)),
                (Need::Expired, Some((_, Stored::Expired(_, end)))) if *end >= prev => *end = last,
                (Need::Expired, _) => tidied.push((prev, Stored::Expired(prev, last))),
                (Need::Not, _) => {}
            }
        }
        self.disk.splice(..0, tidied);
    }

    /// The tail is made anew from what is stored.
    fn restart(&mut self) {
        let (now, mut outlived) = (Millis(self.now), Outlived::new(false));
        for (prev, stored) in &self.disk {
            match stored {
                Stored::Message(it, ext, len) => {
                    let (payload, published_at) = (vec![b'.'; *len], Millis(it.time_ms));
                    let offset = Offset(it.offset);
                    let record = Record { offset, published_at, ext, payload: &payload, ..Record::default() };
                    outlived.take(now, Offset(*prev), &record);
                }
                Stored::Expired(prev, last) => outlived.pass(Offset(*prev), Offset(*last), false),
            }
        }
        let (bounds, before) = (self.tail.stored_bounds(), self.settle());
        outlived.reach(bounds);
        self.tail = empty(&self.terms);
        let _ = self.tail.restore(now, outlived, &Arc::new(Ledger::default()).nobody());
        let Bounds { gone, last, .. } = self.tail.stored_bounds();
        assert_eq!(last, bounds.last);
        // What went by its bytes as blocks may go by its bytes as runs.
        let may_go = self.keep.bytes < usize::MAX;
        assert!(gone >= bounds.gone && (gone <= before || may_go), "{gone} is gone, not {before}");
    }

    fn append(&mut self, random: &mut Random, ttl_ms: u64) {
        let offset = self.list.last().map_or(0, |last| last.offset) + 1 + random.below(3);
        let mut ext = Vec::new();
        Attributes { ttl_ms, ..Attributes::default() }.put(&mut ext);
        let head = Head { published_at_ms: self.now, ext: &ext, ..Head::default() };
        let payload = vec![b'.'; random.below(self.payload_bytes) as usize];
        let entry = Entry { offset: Offset(offset), head, stale_at: NEVER, topic: None, payload: &payload };
        let account = Arc::new(Ledger::default()).nobody();
        let _ = self.tail.append(Millis(self.now), &entry, &account, |_| ());
        let expires_ms = if ttl_ms > 0 { self.now + ttl_ms } else { u64::MAX };
        let prev = self.list.last().map_or(0, |last| last.offset);
        let listed = Listed { offset, time_ms: self.now, expires_ms };
        self.list.push(listed);
        let len = payload.len();
        self.disk.push((prev, Stored::Message(listed, ext, len)));
    }

    /// Looks at it until nothing goes any more: where one bound lets go of something, another may let go of more. Tells what is
    /// gone.
    fn settle(&self) -> Offset {
        let mut gone = None;
        loop {
            let (next, last) = self.tail.bounds(Millis(self.now));
            assert_eq!(last.0, self.list.last().map_or(0, |last| last.offset));
            if gone.replace(next) == Some(next) {
                return next;
            }
        }
    }

    /// What stands behind what is gone.
    fn kept(&self, gone: Offset) -> Vec<Listed> {
        let stands = |it: &&Listed| it.offset > gone.0 && it.expires_ms > self.now;
        self.list.iter().filter(stands).copied().collect()
    }

    fn check_bounds(&self, gone: Offset, kept: &[Listed], are_lasting: bool) {
        let oldest = self.now.saturating_sub(self.keep.age_ms);
        assert!(kept.len() as u64 <= self.keep.count, "{} are kept", kept.len());
        assert!(kept.iter().all(|it| it.time_ms >= oldest), "{kept:?} from {oldest} on");
        let (now, all) = (Millis(self.now), Offset(u64::MAX));
        let bytes = self.tail.held_between(now, gone, all).bytes;
        // What goes by its bytes goes in runs and blocks, and one of these stays.
        assert!(bytes <= (self.keep.bytes as u64).saturating_add(32 << 10), "{bytes} bytes");
        let newest = self.list.len().saturating_sub(usize::try_from(self.keep.count).unwrap_or(usize::MAX));
        if are_lasting && self.keep.bytes == usize::MAX {
            let owed = self.list[newest..].iter().find(|it| it.time_ms >= oldest);
            assert!(owed.is_none_or(|it| it.offset > gone.0), "{owed:?} is gone, as all up to {gone}");
        }
    }

    fn check_counts(&self, random: &mut Random, gone: Offset, kept: &[Listed]) {
        let (now, some) = (Millis(self.now), Offset(random.below(400)));
        let upto = Offset(some.0 + random.below(100));
        let between = kept.iter().filter(|it| it.offset > some.0 && it.offset <= upto.0).count() as u64;
        assert_eq!(self.tail.held_between(now, some, upto).count, between, "in {some}..={upto}");
        let count = random.below(30);
        let wanted = count.min(kept.len() as u64);
        let before = self.tail.before_last(now, count);
        let behind = before.map(|before| kept.iter().filter(|it| it.offset > before.0).count() as u64);
        assert_eq!(behind, (wanted > 0).then_some(wanted), "behind {before:?}, of the last {count}");
        let time = random.below(self.now + 20);
        let before = self.tail.before_time(now, Millis(time)).max(gone);
        let is_right = |it: &Listed| (it.offset <= before.0) == (it.time_ms < time);
        assert!(kept.iter().all(is_right), "{before} is before {time}: {kept:?}");
        let back = self.tail.read_back(now, upto, count, usize::MAX);
        let upto = kept.iter().filter(|it| it.offset <= upto.0).count() as u64;
        let told = kept.iter().filter(|it| it.offset > back.after.0 && it.offset <= back.upto.0).count();
        assert_eq!((told as u64, back.more), (upto.min(count), upto > count), "{back:?}");
        let back = self.tail.read_back(now, back.upto, count, 1 + random.below(2_000) as usize);
        let prev = back.blocks.first().map_or(Offset(0), |first| first.prev);
        assert!(prev <= back.after, "a hole from {} to {prev}", back.after);
    }

    /// All that a reader gets who goes on from somewhere, by blocks and by what is away.
    fn check_reading(&self, random: &mut Random, gone: Offset, kept: &[Listed]) {
        let now = Millis(self.now);
        let mut cursor = gone.max(Offset(random.below(400)));
        let owed: Vec<u64> = kept.iter().map(|it| it.offset).filter(|offset| *offset > cursor.0).collect();
        let mut heard = Vec::new();
        loop {
            let found = self.tail.read_after(now, cursor, 1 + random.below(2_000) as usize);
            let next = self.tail.next_after(now, cursor);
            if found.is_away {
                let run = next.run.unwrap();
                let places = run.places().filter(|it| it.offset > cursor && it.expires_ms > self.now);
                heard.extend(places.map(|place| place.offset.0));
                cursor = run.last;
                continue;
            }
            assert!(next.run.is_none() && next.block.is_some() != found.blocks.is_empty());
            let Some(last) = found.blocks.last().map(|block| block.last) else { break };
            let mut place = cursor.max(found.begun_at);
            for block in &found.blocks {
                assert!(block.prev <= place, "a hole from {place} to {}", block.prev);
                place = block.last;
                let records = block.wire();
                let offsets = records.records().flatten().map(|record| record.offset);
                heard.extend(offsets.filter(|offset| *offset > cursor).map(|offset| offset.0));
            }
            cursor = last;
        }
        assert_eq!(heard, owed);
    }
}

#[test]
fn a_tail_says_what_a_list_of_its_messages_says() {
    for seed in 0..600 {
        let mut random = Random(seed);
        let mut pair = Pair::new(&mut random);
        let are_lasting = random.one_in(3);
        // Else each message has a time of its own.
        let steady_ttl_ms = random.one_in(3).then(|| 1 + random.below(60));
        for _ in 0..150 {
            match random.below(11) {
                0..=5 => {
                    let ttl_ms = match steady_ttl_ms {
                        _ if are_lasting => 0,
                        Some(ttl_ms) => ttl_ms,
                        None => random.below(2) * (1 + random.below(60)),
                    };
                    pair.append(&mut random, ttl_ms);
                    pair.now += u64::from(steady_ttl_ms.is_some());
                }
                6 => drop(pair.tail.shrink(Millis(pair.now + 1))),
                7 => drop(pair.tail.age(Millis(pair.now))),
                10 => {
                    pair.tidy(&mut random);
                    if random.one_in(3) {
                        pair.restart();
                    }
                }
                _ => pair.now += random.below(9),
            }
            let gone = pair.settle();
            let kept = pair.kept(gone);
            pair.check_bounds(gone, &kept, are_lasting);
            pair.check_counts(&mut random, gone, &kept);
            pair.check_reading(&mut random, gone, &kept);
        }
    }
}
