//! A durable log over the end of a hub: what was seen of it is there again, in its place, and what its producers were told
//! stays so. What is there besides was stored, and nobody had seen it.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_hub_core::log::window::Window;
use tidewire_hub_core::log::window::run::Run;
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block;
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Offset, ProducerId, Tag};

use crate::names::{KEYED, NAMES, TOPICS, TopicIndex};
use crate::oracle::Oracle;
use crate::oracle::log::Record;

/// A message that a log holds.
#[derive(Debug)]
pub struct Held {
    offset: Offset,
    published_at_ms: u64,
    maybe_duplicate: bool,
    tag: Tag,
    topic: Option<String>,
    ext: Vec<u8>,
    payload: Vec<u8>,
}

/// How a hub that ended had its durable log.
#[derive(Debug, Default)]
pub struct Stand {
    /// Up to where each topic was gone.
    pub gone: [u64; TOPICS],
    /// What was known of producers.
    pub windows: BTreeMap<(ProducerId, String), Answers>,
}

/// What a window says of seqs, but for those that wait.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Answers {
    /// Where it began.
    first: u64,
    /// The seq that comes next.
    next: u64,
    /// Answers of those before it that may be asked for, each alone.
    runs: Vec<Run>,
}

impl From<&Window> for Answers {
    fn from(window: &Window) -> Self {
        let (first, runs) = window.settled();
        let alone = runs.flat_map(|run| (0..run.len()).map(move |place| run.part(place, 1)));
        Self { first: first.0, next: window.next_settled().0, runs: alone.collect() }
    }
}

impl Answers {
    /// The answer of a seq, if that is known.
    fn of(&self, seq: u64) -> Option<Run> {
        let behind = usize::try_from(self.next.checked_sub(seq)?).ok()?;
        self.runs.get(self.runs.len().checked_sub(behind)?).copied()
    }

    /// What it has forgotten or answers otherwise than before.
    fn differs_from(&self, before: &Self) -> Option<String> {
        if self.next < before.next {
            return Some(format!("{} comes next, and before {}", self.next, before.next));
        }
        if before.first < self.first && self.first < before.next {
            return Some(format!("it begins with {}, and before with {}", self.first, before.first));
        }
        let begin = before.next - before.runs.len() as u64;
        (begin..before.next).find_map(|seq| {
            let (now, then) = (self.of(seq)?, before.of(seq)?);
            (now != then).then(|| format!("of {seq} it says {now:?}, and before {then:?}"))
        })
    }
}

impl From<&block::Message<'_>> for Held {
    fn from(message: &block::Message<'_>) -> Self {
        let block::Message { offset, published_at_ms, maybe_duplicate, tag, topic, ext, payload, .. } =
            *message;
        let (topic, ext, payload) = (topic.map(str::to_owned), ext.to_vec(), payload.to_vec());
        Self { offset, published_at_ms, maybe_duplicate, tag, topic, ext, payload }
    }
}

impl Held {
    fn message(&self) -> block::Message<'_> {
        let Self { offset, published_at_ms, maybe_duplicate, tag, .. } = *self;
        let (topic, content, sender) = (self.topic.as_deref(), Content::Binary, None);
        let (ext, payload) = (&*self.ext, &*self.payload);
        block::Message { offset, published_at_ms, content, maybe_duplicate, tag, sender, topic, ext, payload }
    }
}

impl Oracle {
    /// The durable log of a hub that begins holds this. It has lost nothing if its epoch is the former one's.
    pub fn restored(
        &mut self,
        now: u64,
        log: usize,
        former: Option<usize>,
        (held, visible): (&[Held], Offset),
        stand: &Stand,
    ) {
        let place = self.living(log);
        if former == Some(place) {
            self.check_nothing_is_lost(place, held, stand);
        } else {
            self.carry_over(place, former, held);
        }
        let seen = self.logs[place].visible;
        let restored = held.iter().filter(|message| message.offset.0 > seen).count() as u64;
        if (self.keyed || !self.keeps_all) && visible.0 > seen + restored {
            self.logs[place].unshown.push((seen + 1, visible.0));
        }
        self.is_mended = former.is_some() && former != Some(place);
        for message in held {
            if message.offset.0 > seen {
                let former = former.filter(|former| *former != place);
                if former.is_some_and(|former| self.is_carried_over(now, (former, place), message)) {
                    continue;
                }
                self.shown(now, log, None, &message.message());
            } else {
                self.check_held(place, message);
            }
        }
        self.is_mended = false;
        self.reached(log, visible.0);
        self.check_keys_held(place, held);
    }

    fn check_held(&mut self, place: usize, message: &Held) {
        let uid = self.uid_at(self.logs[place].epoch, message.offset.0, &message.payload);
        let log = &self.logs[place];
        let record = log.record(message.offset);
        let fits = record.is_some_and(|record| {
            Some(record.uid) == uid
                && record.published_at_ms == message.published_at_ms
                && record.maybe_duplicate == message.maybe_duplicate
        });
        if !fits && (record.is_some() || !log.may_have_had(message.offset)) {
            self.object(format_args!(
                "the hub begins with #{uid:?} at {}, where there was {record:?}",
                message.offset
            ));
        }
    }

    /// All that was visible is there, but for what had gone or goes by its age or for want of room; and of each topic the newest.
    fn check_nothing_is_lost(&mut self, place: usize, held: &[Held], stand: &Stand) {
        let there: BTreeSet<u64> = held.iter().map(|message| message.offset.0).collect();
        for (topic, name) in NAMES[..TOPICS].iter().enumerate() {
            if self.bare[topic] || self.keyed && topic == usize::from(KEYED) {
                continue;
            }
            let log = &self.logs[place];
            let own: Vec<Record> =
                log.by_selector[topic].iter().map(|index| log.records[*index as usize]).collect();
            let first = own.iter().position(|record| there.contains(&record.offset)).unwrap_or(own.len());
            let is_unseen =
                |message: &&Held| message.topic.as_deref() == Some(*name) && message.offset.0 > log.visible;
            let count = own.len() + held.iter().filter(is_unseen).count();
            let kept = count.saturating_sub(self.kept_counts[topic].unwrap_or(0) as usize);
            let lost = own.iter().enumerate().find(|(index, record)| {
                let is_behind = *index > first;
                let is_owed = *index >= kept && record.offset > stand.gone[topic];
                (is_behind || is_owed) && !there.contains(&record.offset) && !log.may_go(record)
            });
            if let Some((_, record)) = lost {
                let gone = stand.gone[topic];
                return self.object(format_args!(
                    "the hub begins without {record:?} of topic {topic}, gone up to {gone}"
                ));
            }
        }
    }

    /// Of keys each has the value that it had, or none, and nothing of it that was replaced has come back.
    fn check_keys_held(&mut self, place: usize, held: &[Held]) {
        let log = &self.logs[place];
        if !log.unshown.is_empty() {
            return;
        }
        let there: BTreeSet<u64> = held.iter().map(|message| message.offset.0).collect();
        let mut own = log.of_selector(KEYED).filter(|record| record.key > 0);
        let has_come_back = |record: &Record| {
            let latest = log.latest(record.key).filter(|latest| !there.contains(&latest.offset));
            there.contains(&record.offset)
                && latest.is_some_and(|latest| !latest.stands_at(log.clock.given_ms))
        };
        let lost = |record: &Record| !log.may_go(record) && !there.contains(&record.offset);
        let wrong = own.find(|record| has_come_back(record) || lost(record));
        drop(own);
        if let Some(record) = wrong {
            let latest = log.latest(record.key);
            self.object(format_args!("the hub begins and has lost or found again {record:?}: {latest:?}"));
        }
    }

    /// Something was lost: the log is another one now, which begins with what is left.
    fn carry_over(&mut self, place: usize, former: Option<usize>, held: &[Held]) {
        let Some(former) = former else { return };
        let index = self.logs[place].index;
        let of_log = |topic: TopicIndex| {
            self.log_of.get(usize::from(topic)).is_some_and(|of| usize::from(*of) == index)
        };
        self.shown.retain(|(_, _, topic), _| !of_log(*topic));
        self.open.remove(&former);
        let kept: BTreeSet<u64> = held.iter().map(|message| message.offset.0).collect();
        for record in &self.logs[former].records {
            if !kept.contains(&record.offset) {
                let publish = &mut self.publishes[record.uid as usize];
                publish.seen = publish.seen.saturating_sub(1);
            }
        }
    }

    /// What the former log had shown is in this one too, and is no second time.
    fn is_carried_over(&mut self, now: u64, (former, place): (usize, usize), message: &Held) -> bool {
        let Some((uid, publish)) = self.identify(&message.payload) else { return false };
        // It may have come and gone there before anybody saw it.
        if publish.seen == 0 && !self.logs[former].may_have_had(message.offset) {
            return false;
        }
        let attributes = Attributes::take(&message.ext).unwrap_or_default();
        let record = self.record_of((now, None), (uid, publish.topic), &message.message(), &attributes);
        let record = Record { taken_ms: None, ..record };
        self.landed.insert((place, uid));
        self.logs[place].push(record, publish.topic);
        true
    }

    /// What the hub that has ended had told producers, the one that begins tells as well.
    pub fn windows_restored(&mut self, before: &Stand, after: &Stand) {
        for (key, answers) in &before.windows {
            // Of one that moved up to where its producer goes on nothing was told since, and may never be.
            if answers.next == answers.first || answers.runs.is_empty() {
                continue;
            }
            let objection = match after.windows.get(key) {
                Some(restored) => restored.differs_from(answers),
                None if self.forgets => None,
                None => Some(format!(
                    "it is lost; {} were there, {} are",
                    before.windows.len(),
                    after.windows.len()
                )),
            };
            if let Some(objection) = objection {
                return self.object(format_args!("the window {key:?} after a restart: {objection}"));
            }
        }
    }
}
