//! A log on a real directory, the topics of a hub, and a model of what these are to have.

use std::collections::BTreeMap;
use std::fs;
use std::sync::{Arc, Weak};

use tidewire_hub_core::access::Access;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::CommitNumber;
use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Disk, Engine};
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::writing::Scribe;
use tidewire_hub_core::log::rows::{MessageRow, Row, TopicRow};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::record::Record;
use tidewire_hub_core::tail::restoring::Bounds;
use tidewire_hub_core::topics::found::Found;
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::Content;
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Epoch, Offset, Tag};

use crate::disk::opening::fixture::{Log, append};
use crate::disk::store::Store;
use crate::reactor::clock::Clock;
use crate::reactor::logs::DISK_LOG;
use crate::reactor::tidier::Tidier;

pub(super) const SEGMENT_BYTES: u64 = 8_192;
pub(super) const TOPICS: usize = 4;

/// A log, the hub's topics, and what they are to have.
pub(super) struct Rig {
    pub(super) log: Log,
    pub(super) topics: Arc<Topics>,
    pub(super) store: Store,
    pub(super) tidier: Tidier,
    pub(super) model: [Model; TOPICS],
    /// The last offset of all.
    pub(super) last: u64,
    /// The first commit that may be needed for more than its messages.
    pub(super) told_since: u64,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Model {
    pub(super) gone: u64,
    pub(super) last: u64,
    /// The bytes of each message that is kept, by its offset.
    pub(super) kept: BTreeMap<u64, usize>,
    /// Those that are kept for a while, when they were published, and for how many milliseconds.
    expiring: BTreeMap<u64, (usize, u64, u64)>,
}

pub(super) fn empty_topics() -> Arc<Topics> {
    let keep_all = Retention::ALL;
    let rule = TopicRule { pattern: Pattern::parse(">").unwrap(), retention: keep_all, log: DISK_LOG };
    let settings = Settings { limits: Limits::default(), access: Access::open(), rules: vec![rule], boot: 0 };
    let disk = Engine::Disk(Disk::default());
    Arc::new(Topics::with_logs(settings, vec![(Epoch(1), Engine::Memory), (Epoch(2), disk)], Vec::new()))
}

impl Rig {
    pub(super) fn new() -> Self {
        let mut log = Log::new();
        log.sizes.segment_bytes = SEGMENT_BYTES;
        let (store, ..) = log.start();
        let topics = empty_topics();
        let tidier = Tidier::new(Arc::clone(&topics), store.files(), SEGMENT_BYTES, Clock::start()).unwrap();
        Self { log, topics, store, tidier, model: Default::default(), last: 0, told_since: 0 }
    }

    /// Stores a commit with messages of such lengths to these topics.
    pub(super) fn publish(&mut self, messages: &[(usize, usize)]) {
        let lasting = |(topic, length): &(usize, usize)| (*topic, *length, 0);
        self.publish_for(&messages.iter().map(lasting).collect::<Vec<_>>());
    }

    /// The same a second ago: those with so short a time to live have expired since.
    pub(super) fn publish_for(&mut self, messages: &[(usize, usize, u64)]) {
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        let mut named = [false; TOPICS];
        let now = self.now();
        for (topic, length, ttl_ms) in messages {
            // Where that does not matter, a time that takes few bytes.
            let published_at = if *ttl_ms == 0 { 0 } else { now - 1_000 };
            let mut ext = Vec::new();
            Attributes { ttl_ms: *ttl_ms, ..Attributes::default() }.put(&mut ext);
            self.last += 1;
            let (number, name) = (*topic as u64 + 1, format!("t.{topic}"));
            let model = &mut self.model[*topic];
            if !std::mem::replace(&mut named[*topic], true) {
                let (gone, last) = (Offset(model.gone), Offset(model.last));
                scribe.topic(&TopicRow { number, name: &name, gone, last, removals_gone: Offset(0) });
            }
            let payload = vec![b'x'; *length];
            let record = Record {
                offset: Offset(self.last),
                published_at: Millis(published_at),
                taken_at: Millis(0),
                content: Content::Binary,
                maybe_duplicate: false,
                tag: Tag(0),
                sender: "",
                ext: &ext,
                payload: &payload,
            };
            scribe.message(&MessageRow { topic: number, prev: Offset(model.last), numbered: None, record });
            model.last = self.last;
            if *ttl_ms == 0 {
                model.kept.insert(self.last, *length);
            } else {
                model.expiring.insert(self.last, (*length, published_at, *ttl_ms));
            }
        }
        self.stand();
        let appended = append(&mut self.store, &body).unwrap();
        if appended.begins_segment {
            self.tell_anew();
        }
    }

    fn now(&self) -> u64 {
        self.tidier.clock.now().0
    }

    /// Time passes, and some messages expire.
    pub(super) fn wait(&mut self, ms: u64) {
        self.tidier.clock.pass(ms);
        self.stand();
    }

    /// The topics stand as the model has them.
    pub(super) fn stand(&mut self) {
        let now = self.now();
        let mut found = Found::new(&[]).starting_at(Millis(now));
        for (topic, model) in self.model.iter_mut().enumerate().filter(|(_, model)| model.last > 0) {
            model.expiring.retain(|offset, (_, at, ttl)| *offset > model.gone && *at + *ttl > now);
            let (mut body, number) = (Vec::new(), topic as u64 + 1);
            let mut scribe = Scribe::new(&mut body);
            let (name, gone) = (format!("t.{topic}"), Offset(model.gone));
            scribe.topic(&TopicRow { number, name: &name, gone, last: gone, removals_gone: Offset(0) });
            model.write(number, &mut scribe);
            found.see(number, &body).unwrap();
        }
        self.topics.restore(DISK_LOG, Millis(now), found);
    }

    /// Tells how all topics stand.
    pub(super) fn tell_anew(&mut self) {
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        for (topic, model) in self.model.iter().enumerate().filter(|(_, model)| model.last > 0) {
            let (gone, last) = (Offset(model.gone), Offset(model.last));
            let (number, name, removals_gone) = (topic as u64 + 1, format!("t.{topic}"), Offset(0));
            scribe.topic(&TopicRow { number, name: &name, gone, last, removals_gone });
        }
        let since = self.store.next().0;
        scribe.told(since);
        append(&mut self.store, &body).unwrap();
        self.told_since = since;
        self.tidier.told(since).unwrap();
    }

    /// All of a topic but the newest so many is gone.
    pub(super) fn keep(&mut self, topic: usize, count: usize) {
        let model = &mut self.model[topic];
        while model.kept.len() > count {
            let (offset, _) = model.kept.pop_first().unwrap();
            model.gone = offset;
        }
        self.stand();
        let stored = self.topics.stored_topics(DISK_LOG);
        let model = &self.model[topic];
        if let Some(topic) = stored.get(&(topic as u64 + 1)).and_then(Weak::upgrade) {
            let (gone, last) = (Offset(model.gone), Offset(model.last));
            assert_eq!(topic.tail.stored_bounds(), Bounds { gone, last, removals_gone: Offset(0) });
        }
    }

    /// All of a topic up to there is gone.
    pub(super) fn forget(&mut self, topic: usize, upto: u64) {
        let model = &mut self.model[topic];
        model.kept.retain(|offset, _| *offset > upto);
        model.gone = model.gone.max(upto);
        self.stand();
    }

    /// Looks until there is nothing more to do.
    pub(super) fn tidy(&mut self) {
        let mut is_more = self.tidier.look().unwrap();
        while is_more {
            is_more = self.tidier.tidy().unwrap();
        }
    }

    /// Bytes of all files, and what messages need.
    pub(super) fn held(&self) -> (u64, u64) {
        let files = self.store.files().segments().unwrap();
        let kept = |model: &'_ Model| -> Vec<usize> {
            model.kept.values().copied().chain(model.expiring.values().map(|(length, ..)| *length)).collect()
        };
        let needed = self.model.iter().flat_map(kept).map(|bytes| bytes as u64 + 48).sum();
        (files.iter().map(|segment| segment.bytes).sum(), needed)
    }

    /// The hub ends without a word, and another begins: all that is kept is there, and no loss is told.
    pub(super) fn restart(self) -> Self {
        let Self { log, store, model, last, tidier, .. } = self;
        drop(store);
        check_directory(&log, &model);
        let (store, ..) = log.start();
        let topics = empty_topics();
        let now = tidier.clock.now();
        let (commits, mut found) = (read(&log, &store), Found::new(&[]).starting_at(now));
        commits.iter().for_each(|(number, body)| found.see(*number, body).unwrap());
        topics.restore(DISK_LOG, now, found);
        for (number, topic) in topics.stored_topics(DISK_LOG) {
            let model = &model[usize::try_from(number).unwrap() - 1];
            let Bounds { gone, last, .. } = topic.upgrade().unwrap().tail.stored_bounds();
            assert!(gone.0 <= model.gone && last.0 == model.last, "{number}: {gone} {last} {model:?}");
        }
        let tidier = Tidier::new(Arc::clone(&topics), store.files(), SEGMENT_BYTES, tidier.clock).unwrap();
        let mut rig = Self { log, topics, store, tidier, model, last, told_since: 0 };
        rig.tell_anew();
        (0..TOPICS).for_each(|topic| rig.keep(topic, rig.model[topic].kept.len()));
        rig
    }
}

impl Model {
    /// The messages that are kept, and the last one.
    fn write(&self, topic: u64, scribe: &mut Scribe<'_>) {
        let lasting = self.kept.iter().map(|(offset, length)| (*offset, (*length, 0, 0)));
        let mut messages: BTreeMap<_, _> = lasting.collect();
        messages.extend(&self.expiring);
        if self.last > self.gone {
            messages.entry(self.last).or_default();
        }
        let mut prev = Offset(self.gone);
        for (offset, (length, published_at, ttl_ms)) in messages {
            let (mut ext, payload) = (Vec::new(), vec![b'x'; length]);
            Attributes { ttl_ms, ..Attributes::default() }.put(&mut ext);
            let (offset, published_at) = (Offset(offset), Millis(published_at));
            let content = Content::Binary;
            let record =
                Record { offset, published_at, content, ext: &ext, payload: &payload, ..Record::default() };
            scribe.message(&MessageRow { topic, prev, numbered: None, record });
            prev = offset;
        }
    }
}

/// The commits that the segments hold, without opening the directory again.
pub(super) fn read(log: &Log, store: &Store) -> Vec<(u64, Vec<u8>)> {
    let mut commits = Vec::new();
    for segment in store.files().segments().unwrap() {
        let bytes = fs::read(log.segment(segment.number.0)).unwrap();
        let scan = Scan::new(store.directory(), segment.number, &bytes, CommitNumber(0));
        commits.extend(scan.filter_map(|item| match item {
            Item::Frame(frame) => Some((frame.number.0, frame.body.to_vec())),
            Item::Damage { .. } | Item::Torn { .. } | Item::End { .. } => None,
        }));
    }
    commits
}

/// Each message that is kept is there once, and no loss is told.
#[track_caller]
pub(super) fn check_directory(log: &Log, model: &[Model; TOPICS]) {
    let mut opening = log.open().unwrap();
    let mut found: [BTreeMap<u64, usize>; TOPICS] = Default::default();
    let report = opening
        .scan(|_, frame| {
            for row in Rows::new(frame.body) {
                let Row::Message(row) = row.unwrap() else { continue };
                let (topic, offset) = (usize::try_from(row.topic).unwrap() - 1, row.record.offset.0);
                if offset > model[topic].gone && row.record.ext.is_empty() {
                    assert_eq!(found[topic].insert(offset, row.record.payload.len()), None);
                }
            }
        })
        .unwrap();
    assert!(report.is_whole(), "{report}");
    for (found, model) in found.iter().zip(model) {
        assert_eq!(found, &model.kept);
    }
}
