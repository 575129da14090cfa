//! Segments are tidied on a real directory, beside a model of what is needed.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};
use std::{fs, io};

use proptest::prelude::*;
use tidewire_hub_core::access::Access;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, SegmentNumber};
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
use tidewire_protocol::code::Content;
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Epoch, Offset, Tag};

use crate::disk::opening::fixture::{Log, append};
use crate::disk::store::Store;
use crate::reactor::logs::DISK_LOG;
use crate::reactor::tidier::Tidier;

const SEGMENT_BYTES: u64 = 8_192;
const TOPICS: usize = 4;

/// A log, the hub's topics, and what they are to have.
struct Rig {
    log: Log,
    topics: Arc<Topics>,
    store: Store,
    tidier: Tidier,
    model: [Model; TOPICS],
    /// The last offset of all.
    last: u64,
    /// The first commit that may be needed for more than its messages.
    told_since: u64,
}

#[derive(Debug, Default, Clone)]
struct Model {
    gone: u64,
    last: u64,
    /// The bytes of each message that is kept, by its offset.
    kept: BTreeMap<u64, usize>,
}

fn empty_topics() -> Arc<Topics> {
    let keep_all = Retention::ALL;
    let rule = TopicRule { pattern: Pattern::parse(">").unwrap(), retention: keep_all, log: DISK_LOG };
    let settings = Settings { limits: Limits::default(), access: Access::open(), rules: vec![rule], boot: 0 };
    let disk = Engine::Disk(Disk::default());
    Arc::new(Topics::with_logs(settings, vec![(Epoch(1), Engine::Memory), (Epoch(2), disk)], Vec::new()))
}

impl Rig {
    fn new() -> Self {
        let mut log = Log::new();
        log.sizes.segment_bytes = SEGMENT_BYTES;
        let (store, ..) = log.start();
        let topics = empty_topics();
        let tidier = Tidier::new(Arc::clone(&topics), store.files(), SEGMENT_BYTES).unwrap();
        Self { log, topics, store, tidier, model: Default::default(), last: 0, told_since: 0 }
    }

    /// Stores a commit with messages of such lengths to these topics.
    fn publish(&mut self, messages: &[(usize, usize)]) {
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        let mut named = [false; TOPICS];
        for (topic, length) in messages {
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
                published_at: Millis(self.last),
                taken_at: Millis(0),
                content: Content::Binary,
                maybe_duplicate: false,
                tag: Tag(0),
                sender: "",
                ext: &[],
                payload: &payload,
            };
            scribe.message(&MessageRow { topic: number, prev: Offset(model.last), numbered: None, record });
            model.last = self.last;
            model.kept.insert(self.last, *length);
        }
        self.stand();
        let appended = append(&mut self.store, &body).unwrap();
        if appended.begins_segment {
            self.tell_anew();
        }
    }

    /// The topics stand as the model has them: of each the last message is there.
    fn stand(&self) {
        let mut found = Found::new(&[]);
        for (topic, model) in self.model.iter().enumerate().filter(|(_, model)| model.last > 0) {
            let (mut body, number, gone) = (Vec::new(), topic as u64 + 1, Offset(model.gone));
            let mut scribe = Scribe::new(&mut body);
            scribe.topic(&TopicRow {
                number,
                name: &format!("t.{topic}"),
                gone,
                last: gone,
                removals_gone: Offset(0),
            });
            if model.last > model.gone {
                let record =
                    Record { offset: Offset(model.last), content: Content::Binary, ..Record::default() };
                scribe.message(&MessageRow { topic: number, prev: gone, numbered: None, record });
            }
            found.see(number, &body).unwrap();
        }
        self.topics.restore(DISK_LOG, Millis(1), found);
    }

    /// Tells how all topics stand.
    fn tell_anew(&mut self) {
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
    fn keep(&mut self, topic: usize, count: usize) {
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

    /// Looks until there is nothing more to do.
    fn tidy(&mut self) {
        let mut is_more = self.tidier.look().unwrap();
        while is_more {
            is_more = self.tidier.tidy().unwrap();
        }
    }

    /// Bytes of all files, and what messages need.
    fn held(&self) -> (u64, u64) {
        let files = self.store.files().segments().unwrap();
        let needed =
            self.model.iter().flat_map(|model| model.kept.values()).map(|bytes| *bytes as u64 + 48).sum();
        (files.iter().map(|segment| segment.bytes).sum(), needed)
    }

    /// The hub ends without a word, and another begins: all that is kept is there, and no loss is told.
    fn restart(self) -> Self {
        let Self { log, store, model, last, .. } = self;
        drop(store);
        check_directory(&log, &model);
        let (store, ..) = log.start();
        let topics = empty_topics();
        let (commits, mut found) = (read(&log, &store), Found::new(&[]));
        commits.iter().for_each(|(number, body)| found.see(*number, body).unwrap());
        topics.restore(DISK_LOG, Millis(1), found);
        for (number, topic) in topics.stored_topics(DISK_LOG) {
            let model = &model[usize::try_from(number).unwrap() - 1];
            let Bounds { gone, last, .. } = topic.upgrade().unwrap().tail.stored_bounds();
            assert!(gone.0 <= model.gone && last.0 == model.last, "{number}: {gone} {last} {model:?}");
        }
        let tidier = Tidier::new(Arc::clone(&topics), store.files(), SEGMENT_BYTES).unwrap();
        let mut rig = Self { log, topics, store, tidier, model, last, told_since: 0 };
        rig.tell_anew();
        (0..TOPICS).for_each(|topic| rig.keep(topic, rig.model[topic].kept.len()));
        rig
    }
}

/// The commits that the segments hold, without opening the directory again.
fn read(log: &Log, store: &Store) -> Vec<(u64, Vec<u8>)> {
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
fn check_directory(log: &Log, model: &[Model; TOPICS]) {
    let mut opening = log.open().unwrap();
    let mut found: [BTreeMap<u64, usize>; TOPICS] = Default::default();
    let report = opening
        .scan(|_, frame| {
            for row in Rows::new(frame.body) {
                let Row::Message(row) = row.unwrap() else { continue };
                let (topic, offset) = (usize::try_from(row.topic).unwrap() - 1, row.record.offset.0);
                if offset > model[topic].gone {
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

#[test]
fn a_topic_that_keeps_for_long_does_not_hold_what_others_had() {
    let mut rig = Rig::new();
    let mut peak = 0;
    for round in 0..2_000 {
        rig.publish(&[(0, 100), (1, 100), (0, 100), (0, 100), (0, 100)]);
        rig.keep(0, 60);
        if round % 10 == 0 {
            rig.keep(1, 200);
            rig.tidy();
            let (held, needed) = rig.held();
            peak = peak.max(held.saturating_sub(needed * 5 / 2));
        }
    }
    let (held, needed) = rig.held();
    assert!(held <= needed * 3 / 2 + 3 * SEGMENT_BYTES, "{held} bytes for {needed}");
    assert!(peak <= 3 * SEGMENT_BYTES, "{peak}");
    let count = rig.store.files().segments().unwrap().len() as u64;
    assert!(count < 3 * needed / SEGMENT_BYTES + 8, "{count}");
    let mut rig = rig.restart();
    rig.publish(&[(0, 10), (1, 10)]);
    rig.restart();
}

#[test]
fn what_fell_silent_pins_no_segment() {
    let mut rig = Rig::new();
    rig.publish(&[(3, 50)]);
    for _ in 0..3_000 {
        rig.publish(&[(0, 100), (1, 30)]);
        rig.keep(0, 5);
        rig.keep(1, 5);
        rig.tidy();
    }
    assert!(rig.held().0 <= 4 * SEGMENT_BYTES, "{:?}", rig.held());
    rig.restart();
}

/// Nothing is read or written for a log of which all is needed.
#[test]
fn what_is_needed_is_left_alone() {
    let mut rig = Rig::new();
    (0..400).for_each(|_| rig.publish(&[(0, 100), (1, 100)]));
    rig.tidy();
    rig.log.drive.faults.asked();
    (0..50).for_each(|_| rig.tidy());
    assert_eq!(rig.log.drive.faults.asked(), []);
    rig.restart();
}

/// Of a segment with damage nothing is moved, until nothing of it is needed.
#[test]
fn a_damaged_segment_stays_until_its_messages_are_gone() {
    let mut rig = Rig::new();
    while rig.store.files().segments().unwrap().len() < 12 {
        rig.publish(&[(0, 100), (1, 10)]);
    }
    rig.log.change(rig.log.segment(3), |bytes| bytes[300] ^= 1);
    let damaged = fs::read(rig.log.segment(3)).unwrap();
    // It is read anew, as after a start.
    rig.tidier = Tidier::new(Arc::clone(&rig.topics), rig.store.files(), SEGMENT_BYTES).unwrap();
    rig.tidier.told(rig.told_since).unwrap();
    rig.keep(0, 5);
    rig.tidy();
    assert_eq!(fs::read(rig.log.segment(3)).unwrap(), damaged);
    let count = rig.store.files().segments().unwrap().len();
    assert!(count < 8, "{count}");
    rig.keep(1, 5);
    rig.tidy();
    assert!(!rig.log.segment(3).exists());
    rig.restart();
}

/// Each call of the system that tidying makes fails once.
#[test]
fn wherever_tidying_ends_all_that_is_needed_is_there() {
    let (mut failing, mut tidied) = (0, 0);
    loop {
        let mut rig = Rig::new();
        (0..200).for_each(|_| rig.publish(&[(0, 100), (1, 20)]));
        rig.keep(0, 20);
        let before = rig.held().0;
        rig.log.drive.faults.fail(None, "", failing, io::ErrorKind::Other);
        let mut done = rig.tidier.look();
        while let Ok(true) = done {
            done = rig.tidier.tidy();
        }
        let was_all = !rig.log.drive.faults.none_is_left();
        tidied += usize::from(rig.held().0 < before);
        // Half of the time the hub goes on.
        if failing % 2 == 0 {
            (0..3).for_each(|_| rig.tidy());
            assert!(rig.held().0 < before * 3 / 4, "{failing}: {} of {before}", rig.held().0);
        }
        rig.restart();
        if was_all {
            break;
        }
        failing += 1;
    }
    assert!(failing > 15 && tidied > 5, "{failing} {tidied}");
}

/// What is done to a log.
#[derive(Debug, Clone)]
enum Step {
    Publish(Vec<(usize, usize)>),
    Keep(usize, usize),
    Tidy,
    Restart,
}

fn step() -> impl Strategy<Value = Step> {
    let message = (0..TOPICS, prop_oneof![0..200_usize, 1_000..3_000_usize]);
    prop_oneof![
        6 => prop::collection::vec(message, 1..6).prop_map(Step::Publish),
        3 => (0..TOPICS, 0..20_usize).prop_map(|(topic, count)| Step::Keep(topic, count)),
        2 => Just(Step::Tidy),
        1 => Just(Step::Restart),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn whatever_is_done_what_is_kept_is_there(steps in prop::collection::vec(step(), 1..120)) {
        let mut rig = Rig::new();
        for step in steps {
            match step {
                Step::Publish(messages) => rig.publish(&messages),
                Step::Keep(topic, count) => rig.keep(topic, count),
                Step::Tidy => rig.tidy(),
                Step::Restart => rig = rig.restart(),
            }
        }
        rig.tidy();
        rig.restart();
    }
}

#[test]
fn what_could_not_be_read_for_a_moment_is_not_removed() {
    // Where a commit ends with a block there are but zeros behind it, as at a segment's end.
    for length in [400, 401] {
        let mut rig = Rig::new();
        (0..60).for_each(|n| rig.publish(&[(usize::from(n == 10), if n == 8 { length } else { 400 })]));
        let bytes = fs::read(rig.log.segment(1)).unwrap();
        let scan = Scan::new(rig.store.directory(), SegmentNumber(1), &bytes[..4_096], CommitNumber(0));
        assert_eq!(scan.last() == Some(Item::End { at: 4_096 }), length == 401);
        rig.tidier = Tidier::new(Arc::clone(&rig.topics), rig.store.files(), SEGMENT_BYTES).unwrap();
        rig.log.drive.faults.spoil("1.seg", 5_000);
        rig.tidier.told(rig.told_since).unwrap();
        rig.keep(0, 5);
        rig.tidy();
        rig.log.drive.faults.mend();
        rig.tidy();
        rig.restart();
    }
}
