//! What is true: every message that was published, every one that became visible, and what each listener was
//! told. It sees more than any client may, and objects to the first thing that does not fit.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block;
use tidewire_protocol::number::{Epoch, Offset};

use crate::names::{FOREIGN, KEYED, SelectorIndex, TOPICS, TopicIndex, topic_named};
use crate::oracle::asking::Asking;
use crate::oracle::batches::{Batch, Open};
use crate::oracle::closing::Closing;
use crate::oracle::fate::Fate;
use crate::oracle::keys::Keys;
use crate::oracle::listening::{Heard, Listening};
use crate::oracle::log::{Log, Record};
use crate::oracle::places::Places;
use crate::oracle::timekeeping::Timekeeping;
use crate::setup::Setup;

pub mod asking;

pub mod calls;

pub mod restoring;

pub mod pages;

pub mod keys;

pub mod listening;

pub mod log;
pub mod timekeeping;

pub mod closing;

mod outcomes;

pub mod batches;

pub mod fate;
pub mod payload;

mod places;

mod publishers;

/// A publish, by its place in the oracle's list: what its payload says.
pub type Uid = u32;

/// Everything that is known to be true.
#[derive(Debug, Default)]
pub struct Oracle {
    /// Every log that ever was.
    pub logs: Vec<Log>,
    /// Which of them each life of the hub had: a durable one may be in several lives.
    pub lives: Vec<Vec<usize>>,
    /// How many the hub has.
    pub logs_each: usize,
    /// The log of each topic, by its place among them.
    pub log_of: [u8; TOPICS],
    /// Every publish that an outbox took.
    pub publishes: Vec<Publish>,
    /// Every listener.
    pub listeners: Vec<Listening>,
    /// Questions that are not answered yet, by their place among the listeners.
    pub questions: BTreeMap<usize, Asking>,
    /// Which of a life's logs is durable.
    pub durable: Option<usize>,
    /// Whether the hub keeps everything.
    pub keeps_all: bool,
    /// Whether the hub may forget what a publisher did that is away.
    pub forgets: bool,
    /// Whether a topic keeps the latest of each key.
    pub keyed: bool,
    /// For so long it is remembered that a key was removed.
    removals_ms: u64,
    /// A log is put back from which something is missing: what came behind that may not fit.
    is_mended: bool,
    /// What is known of keys.
    keys: Keys,
    /// Topics that keep nothing to be asked for.
    pub bare: [bool; TOPICS],
    /// So many messages each topic keeps for sure; none where that depends on more than their number.
    pub kept_counts: [Option<u64>; TOPICS],
    /// Topics that rules closed.
    pub closing: Closing,
    /// Incarnations that were signed in by this life: (producer, highest incarnation, time).
    attached: BTreeMap<u64, (u64, u64)>,
    /// The lowest one of each producer.
    first: BTreeMap<u64, u64>,
    /// The tag of what became visible last, by (log, producer).
    tags: BTreeMap<(usize, u64), u64>,
    /// Highest counter shown by (client, party, topic).
    shown: BTreeMap<(usize, u32, TopicIndex), u32>,
    /// Which seqs messages go out under.
    places: Places,
    /// By log, the batch of which more must become visible at once.
    open: BTreeMap<usize, Open>,
    /// What is in a durable log, by the log.
    landed: BTreeSet<(usize, Uid)>,
    /// The first thing that did not fit.
    violation: Option<String>,
    /// The system's clock.
    pub time: Timekeeping,
    /// Messages given to listeners.
    pub heard: u64,
}

/// A publish.
#[derive(Debug, Clone, Copy)]
pub struct Publish {
    /// Whose.
    pub actor: usize,
    /// As which of its parties.
    pub party: u32,
    /// The publisher's identity.
    pub producer: u64,
    /// And incarnation.
    pub incarnation: u64,
    /// Where to.
    pub topic: TopicIndex,
    /// Its number among the party's publishes to that topic, from 1.
    pub counter: u32,
    /// What it was published with, all or none.
    pub batch: Batch,
    /// Whether that topic keeps nothing to be asked for.
    pub bare: bool,
    /// Bytes of its payload.
    pub len: u32,
    /// What its publisher was told.
    pub fate: Fate,
    /// How often it became visible.
    pub seen: u32,
}

impl Oracle {
    /// One that knows nothing yet.
    #[must_use]
    pub fn new(setup: &Setup) -> Self {
        let Setup { keeps_all, keyed, forgets, logs: logs_each, durable, .. } = *setup;
        let removals_ms = setup.hub.limits.removals_ms;
        let (bare, log_of, kept_counts) = (setup.bare(), setup.log_of(), setup.kept_counts());
        let durable = durable.map(usize::from);
        Self {
            keeps_all,
            keyed,
            removals_ms,
            forgets,
            durable,
            bare,
            kept_counts,
            logs_each,
            log_of,
            ..Self::default()
        }
    }

    /// The first thing that did not fit.
    #[must_use]
    pub fn violation(&self) -> Option<&str> {
        self.violation.as_deref()
    }

    /// Objects. Only the first objection counts: the rest may follow from it.
    pub fn object(&mut self, what: impl fmt::Display) {
        if self.violation.is_none() {
            self.violation = Some(what.to_string());
        }
    }

    /// The hub begins a life, with logs of these identities.
    pub fn begin_life(&mut self, epochs: &[Epoch]) {
        self.attached.clear();
        self.first.clear();
        let mut life = Vec::new();
        for (index, epoch) in epochs.iter().enumerate() {
            let kept = self.logs.iter().position(|log| self.durable == Some(index) && log.epoch == *epoch);
            life.push(kept.unwrap_or(self.logs.len()));
            if kept.is_none() {
                self.logs.push(Log::new(index, *epoch, (self.keyed, self.removals_ms)));
            }
        }
        self.lives.push(life);
    }

    /// The logs of the life that was `back` lives ago; none if there was none.
    #[must_use]
    pub fn life(&self, back: usize) -> Vec<usize> {
        let life = self.lives.len().checked_sub(back + 1).map(|life| &self.lives[life]);
        life.cloned().unwrap_or_default()
    }

    /// Whether the log of a publish has become another since the first of its kind.
    #[must_use]
    pub fn began_anew(&self, uid: Uid) -> bool {
        let topic = usize::from(self.publishes[uid as usize].topic);
        let its = self.log_of.get(topic).copied().map_or(0, usize::from);
        self.logs.iter().filter(|log| log.index == its).count() > 1
    }

    /// The place of one of the logs that live.
    #[must_use]
    pub(crate) fn living(&self, log: usize) -> usize {
        self.lives.last().map_or(log, |life| life[log])
    }

    /// Which of the logs of a life a selector's messages are in: a topic's in one, a pattern's in all.
    #[must_use]
    pub fn logs_of(&self, selector: SelectorIndex) -> Range<usize> {
        match self.log_of.get(usize::from(selector)) {
            Some(log) => usize::from(*log)..usize::from(*log) + 1,
            None => 0..self.logs_each,
        }
    }

    /// The place of a log.
    #[must_use]
    pub fn log(&self, epoch: Epoch) -> Option<usize> {
        self.logs.iter().rposition(|log| log.epoch == epoch)
    }

    /// An outbox has taken a message; its payload is that of the answer.
    pub fn published(&mut self, publish: Publish) -> Uid {
        let bare = self.is_bare(publish.topic);
        self.publishes.push(Publish { bare, ..publish });
        self.publishes.len() as Uid - 1
    }

    fn is_bare(&self, topic: TopicIndex) -> bool {
        self.bare.get(usize::from(topic)).copied().unwrap_or(false)
    }

    /// One who keeps no rule may have published; what comes of it is its own affair, but it lands once at most.
    pub fn published_by_hostile(&mut self, len: u32) -> Uid {
        self.published(Publish {
            actor: usize::MAX,
            party: 0,
            producer: 0,
            incarnation: 0,
            topic: FOREIGN,
            counter: 0,
            batch: Batch::default(),
            bare: false,
            len,
            fate: Fate::Hostile,
            seen: 0,
        })
    }

    /// A client was welcomed with this incarnation of its producer: older ones are fenced from now on.
    pub fn attached(&mut self, now: u64, producer: u64, incarnation: u64) {
        let first = self.first.entry(producer).or_insert(incarnation);
        *first = incarnation.min(*first);
        let known = self.attached.entry(producer).or_insert((incarnation, now));
        // An older one may hear its welcome late.
        if known.0 < incarnation {
            *known = (incarnation, now);
        }
    }

    /// A message became visible in one of the logs that live. When it was taken is known unless that may be long ago.
    pub fn shown(&mut self, now: u64, log: usize, taken_ms: Option<u64>, message: &block::Message<'_>) {
        let attributes = message.attributes().unwrap_or_default();
        let own = self.own_removal(message, &attributes);
        let own = own.map(|uid| (uid, self.publishes[uid as usize]));
        let Some((uid, mut publish)) = own.or_else(|| self.identify(message.payload)) else {
            return self.object(format_args!("the payload at offset {} was never published", message.offset));
        };
        if publish.fate == Fate::Hostile {
            // Where it went is known only now.
            publish.topic = message.topic.and_then(topic_named).unwrap_or(FOREIGN);
            self.publishes[uid as usize].topic = publish.topic;
            self.publishes[uid as usize].bare = self.is_bare(publish.topic);
        } else if message.topic.and_then(topic_named) != Some(publish.topic) {
            self.object(format_args!("#{uid} is in topic {:?}, not {}", message.topic, publish.topic));
        }
        let record = self.record_of((now, taken_ms), (uid, publish.topic), message, &attributes);
        self.check_publisher(&record, &publish);
        if self.log_of.get(usize::from(publish.topic)).is_some_and(|of| usize::from(*of) != log) {
            self.object(format_args!("#{uid} of topic {} is in log {log}", publish.topic));
        }
        let place = self.living(log);
        self.check_tag(place, uid, &publish, message.tag.0);
        if self.durable == Some(log) && !self.landed.insert((place, uid)) && !self.forgets {
            self.object(format_args!("#{uid} is in the durable log twice: {record:?} {publish:?}"));
        }
        self.check_key(place, &record, &attributes);
        let log = &mut self.logs[place];
        if let Err(objection) = self.time.check(&record, log.records.last()) {
            return self.object(objection);
        }
        let visible = log.visible;
        if record.offset <= visible {
            return self.object(format_args!("offset {} became visible after {visible}", record.offset));
        }
        log.push(record, publish.topic);
        self.publishes[uid as usize].seen += 1;
        self.check_batch(place, uid);
    }

    fn record_of(
        &mut self,
        (now, taken_ms): (u64, Option<u64>),
        (uid, topic): (Uid, TopicIndex),
        message: &block::Message<'_>,
        attributes: &Attributes<'_>,
    ) -> Record {
        let block::Message { published_at_ms, maybe_duplicate, .. } = *message;
        let key = if self.keyed && topic == KEYED { self.keys.key(&attributes.key) } else { 0 };
        let ttl_ms = Some(attributes.ttl_ms).filter(|ttl_ms| *ttl_ms > 0);
        Record {
            offset: message.offset.0,
            uid,
            published_at_ms,
            taken_ms: self.time.taken_ms(taken_ms, published_at_ms),
            shown_ms: now,
            maybe_duplicate,
            key,
            removes: key > 0 && attributes.remove,
            ends_ms: ttl_ms.map_or(u64::MAX, |ttl_ms| published_at_ms.saturating_add(ttl_ms)),
        }
    }

    /// What became visible between two places is read only now, without what was replaced since.
    pub fn reads_back(&mut self, log: usize, cursor: Offset, upto: Offset) {
        let place = self.living(log);
        self.logs[place].missed.push((cursor.0 + 1, upto.0));
    }

    /// Some of what became visible, up to an offset, was dropped before the oracle could look.
    pub fn missed_some(&mut self, log: usize, upto: Offset) {
        let place = self.living(log);
        let log = &mut self.logs[place];
        log.has_unseen = true;
        log.visible = log.visible.max(upto.0);
    }

    /// So far it has become visible, of which the last may have been among what was dropped.
    pub fn reached(&mut self, log: usize, offset: u64) {
        let place = self.living(log);
        self.logs[place].visible = self.logs[place].visible.max(offset);
    }

    /// A listener gets a message.
    pub fn heard(&mut self, now: u64, listener: usize, message: &Heard, payload: &[u8]) {
        self.heard += 1;
        self.listeners[listener].heard_ms = now;
        let uid = self.uid_at(message.epoch, message.offset.0, payload);
        let record = self.log(message.epoch).and_then(|log| self.logs[log].record(message.offset));
        if let Some(Record { uid, taken_ms: Some(taken_ms), .. }) = record
            && self.closing.hides(self.publishes[uid as usize].topic, taken_ms)
        {
            self.object(format_args!("listener {listener} hears #{uid} of a topic that is closed"));
        }
        let Self { listeners, logs, publishes, .. } = self;
        if let Err(objection) = listeners[listener].message(message, uid, logs, publishes) {
            let listening = &self.listeners[listener];
            let what = format!("listener {listener}: {objection}\n  {message:?}\n  {listening:?}");
            self.object(what);
        }
    }

    /// A client still gets messages: some may be its own, or known to those who share their flow and wait in it.
    pub fn reads_on(&mut self, now: u64, actor: usize) {
        let theirs = self.listeners.iter_mut().filter(|listening| listening.actor == actor);
        theirs.for_each(|listening| listening.heard_ms = now);
    }

    /// What listeners must have when all is calm. Tells the first who does not.
    pub fn check_calm(&mut self, now: u64) {
        if let Some((listener, asking)) = self.questions.first_key_value() {
            let what = format!("question {listener} is not answered in calm: {asking:?}");
            self.object(what);
        }
        let life = self.life(0);
        self.check_no_batch_is_open();
        self.check_expired();
        let Self { listeners, logs, publishes, .. } = self;
        let late = listeners.iter().enumerate().find_map(|(index, listening)| {
            let objection = listening.lacks(now, logs, &life, publishes)?;
            Some(format!("listener {index} in calm: {objection}\n  {listening:?}"))
        });
        if let Some(late) = late {
            self.object(late);
        }
    }

    /// The publish of this payload, if it is that of one, byte for byte.
    fn identify(&self, payload: &[u8]) -> Option<(Uid, Publish)> {
        let uid = payload::uid_of(payload)?;
        let publish = *self.publishes.get(uid as usize)?;
        let whole = payload.len() == publish.len as usize && payload::is_whole(payload, uid);
        whole.then_some((uid, publish))
    }
}
