//! Topics that keep the latest message of each key: what was asked of each message that has one, what stands where, and what
//! the hub takes away by itself because its time is over.

use std::collections::BTreeMap;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::block;
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::Position;

use crate::names::{KEYED, SelectorIndex, audience_of};
use crate::oracle::listening::Listening;
use crate::oracle::log::{Clock, Record};
use crate::oracle::{Oracle, Uid};

/// A key, by the order in which keys came; 0 for none.
pub type Key = u32;

/// What is known of keys.
#[derive(Debug, Default)]
pub struct Keys {
    known: BTreeMap<Box<str>, Key>,
    /// What publishes have besides, of those that have something.
    wishes: BTreeMap<Uid, Wish>,
}

/// What a publish has besides its payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    /// What it is.
    pub attributes: Attributes<'static>,
    /// On which condition it lands.
    pub terms: Terms,
}

/// When somebody asked for something: what had become visible, and which time messages were given.
#[derive(Debug, Clone, Copy)]
pub struct Moment {
    epoch: Epoch,
    visible: u64,
    now: u64,
    given_ms: u64,
}

impl Moment {
    /// How far its log had become visible.
    #[must_use]
    pub const fn place(self) -> Position {
        Position { epoch: self.epoch, offset: Offset(self.visible) }
    }
}

impl Keys {
    pub(super) fn key(&mut self, name: &str) -> Key {
        if name.is_empty() {
            return 0;
        }
        let next = self.known.len() as Key + 1;
        *self.known.entry(name.into()).or_insert(next)
    }
}

impl Oracle {
    /// A publish has this besides.
    pub fn wished(&mut self, uid: Uid, wish: Wish) {
        self.keys.wishes.insert(uid, wish);
    }

    /// What a publish has besides.
    #[must_use]
    pub fn wish_of(&self, uid: Uid) -> Option<&Wish> {
        self.keys.wishes.get(&uid)
    }

    /// Whether a topic or pattern loses nothing but by its bounds, of which there are none.
    #[must_use]
    pub fn keeps(&self, selector: SelectorIndex) -> bool {
        self.keeps_all && !(self.keyed && audience_of(KEYED).contains(&selector))
    }

    /// What time it is, by the steady clock, and by that which messages are given.
    pub fn tick(&mut self, now: u64, given_ms: u64) {
        for log in self.lives.last().into_iter().flatten() {
            let Clock { given_ms: before_ms, put_back, latest, .. } = self.logs[*log].clock;
            // A hub that begins knows of earlier times only what it stored with messages.
            let put_back = if given_ms < before_ms { (now, given_ms) } else { put_back };
            let latest = latest.max((given_ms, now));
            self.logs[*log].clock = Clock { now, given_ms, put_back, latest, ..self.logs[*log].clock };
        }
    }

    /// The moment, in the log where keys are.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let log = &self.logs[self.living(usize::from(self.log_of[usize::from(KEYED)]))];
        let Clock { now, given_ms, .. } = log.clock;
        Moment { epoch: log.epoch, visible: log.visible, now, given_ms }
    }

    /// The place of a key's latest message, as far as anybody knows.
    #[must_use]
    pub fn latest_of(&self, key: &str) -> Option<Position> {
        let log = &self.logs[self.living(usize::from(self.log_of[usize::from(KEYED)]))];
        let latest = log.latest(self.keys.known.get(key).copied()?)?;
        Some(Position { epoch: log.epoch, offset: Offset(latest.offset) })
    }

    /// The publish that a message at a place is of. What the hub takes away by itself says nothing.
    #[must_use]
    pub fn uid_at(&self, epoch: Epoch, offset: u64, payload: &[u8]) -> Option<Uid> {
        if !payload.is_empty() {
            return self.identify(payload).map(|(uid, _)| uid);
        }
        let record = self.log(epoch)?;
        let uid = self.logs[record].record(Offset(offset))?.uid;
        (self.publishes[uid as usize].len == 0).then_some(uid)
    }

    /// A message that the hub itself publishes: it takes away a key whose time is over.
    pub(super) fn own_removal(
        &mut self,
        message: &block::Message<'_>,
        attributes: &Attributes<'_>,
    ) -> Option<Uid> {
        let is_own = self.keyed && message.payload.is_empty() && attributes.remove;
        is_own.then(|| self.published_by_hostile(0))
    }

    /// A message that has a key becomes visible: what it asked for holds there, and the hub takes away only what has expired.
    pub(super) fn check_key(&mut self, place: usize, record: &Record, attributes: &Attributes<'_>) {
        let log = &self.logs[place];
        let uid = record.uid;
        let wish = self.keys.wishes.get(&uid);
        if let Some(wish) = wish.filter(|wish| wish.attributes != *attributes) {
            let what = format!("#{uid} has {attributes:?} besides, and was published with {wish:?}");
            return self.object(what);
        }
        let before = log.latest(record.key);
        let from = before.map_or(0, |before| before.offset);
        if record.key == 0 || self.is_mended || log.may_lack_between(from, record.offset) {
            return;
        }
        let stands = before.filter(|before| before.stands_at(record.published_at_ms));
        if self.publishes[uid as usize].len == 0 {
            if before.is_none_or(|before| before.removes) || stands.is_some() {
                self.object(format_args!("the hub takes away {before:?} by itself: {record:?}"));
            }
            return;
        }
        let Some(Terms { if_absent, if_version, .. }) = wish.map(|wish| wish.terms) else { return };
        let version = stands.map(|stands| Position { epoch: log.epoch, offset: Offset(stands.offset) });
        if if_absent && stands.is_some() || if_version.is_some() && if_version != version {
            let what =
                format!("#{uid} landed at {record:?} on {if_absent}, {if_version:?}, behind {before:?}");
            self.object(what);
        }
    }

    /// Whether a publish may have been refused for its condition at some moment since it was asked for first, and the place
    /// of its key's latest have been what it was told; a retry is told where that was at any other.
    #[must_use]
    pub fn may_miss_condition(
        &self,
        uid: Uid,
        (current, is_retry): (Option<Position>, bool),
        since: Moment,
    ) -> bool {
        let log = &self.logs[self.living(usize::from(self.log_of[usize::from(KEYED)]))];
        let Some(Wish { attributes, terms }) = self.wish_of(uid) else { return false };
        // One that nobody has ever set is no message's.
        let key = self.keys.known.get(&*attributes.key).copied().unwrap_or_default();
        if since.epoch != log.epoch || log.may_lack_between(since.visible, log.visible) {
            return true;
        }
        let is_missed = |version: Option<Position>| match version {
            Some(_) => terms.if_absent || terms.if_version.is_some_and(|asked| Some(asked) != version),
            None => terms.if_version.is_some(),
        };
        let of_key: Vec<Record> = log.of_selector(KEYED).filter(|record| record.key == key).collect();
        let begin = of_key.partition_point(|record| record.offset <= since.visible);
        let at = |record: &Record| Position { epoch: log.epoch, offset: Offset(record.offset) };
        let (back, back_ms) = log.clock.put_back;
        let asked_ms = if back >= since.now { since.given_ms.min(back_ms) } else { since.given_ms };
        let mut stood: Vec<Option<Position>> = (begin == 0).then_some(None).into_iter().collect();
        for record in &of_key[begin.saturating_sub(1)..] {
            // What landed since stood at first.
            let since_ms = if record.offset > since.visible { record.published_at_ms } else { asked_ms };
            stood.extend(record.stands_at(since_ms).then(|| Some(at(record))));
            stood.extend((!record.stands_at(log.clock.given_ms)).then_some(None));
        }
        let in_batch = self.batch_misses(uid, is_missed(None), terms);
        if is_retry {
            let was_missed = in_batch || stood.iter().any(|version| is_missed(*version));
            // It may have been told of one that waited, and was given up later.
            let is_given_up = current.is_some_and(|current| log.record(current.offset).is_none());
            return was_missed && (is_given_up || stood.contains(&current) || in_batch && current.is_none());
        }
        in_batch && current.is_none()
            || stood.iter().any(|version| is_missed(*version) && current == *version)
    }

    /// Whether the batch of a publish itself, before it, had set the key that was to have no value, or another.
    fn batch_misses(&self, uid: Uid, misses_none: bool, terms: &Terms) -> bool {
        let batch = self.publishes[uid as usize].batch;
        let key_of = |uid: Uid| self.wish_of(uid).map(|wish| &wish.attributes);
        let before = (batch.first..uid).rev().take(batch.count as usize);
        let mut same =
            before.filter(|before| key_of(*before).map(|of| &of.key) == key_of(uid).map(|of| &of.key));
        let set_before = same.next().and_then(key_of);
        set_before.is_some_and(|before| misses_none || !before.remove && terms.if_absent)
    }

    /// The messages at these places are all that a reader gets of the topic that keeps the latest of each key.
    pub fn check_read(&mut self, offsets: &[Offset]) {
        let place = self.living(usize::from(self.log_of[usize::from(KEYED)]));
        let log = &self.logs[place];
        if !log.unshown.is_empty() {
            return;
        }
        if let Err(objection) = Listening::reads(log, offsets) {
            self.object(format_args!("whoever reads keys from the beginning is misled: {objection}"));
        }
    }

    /// In a calm, nothing stands whose time has been over for long.
    pub(super) fn check_expired(&mut self) {
        for log in self.life(0) {
            let log = &self.logs[log];
            let overdue = log.clock.given_ms.saturating_sub(REMOVED_MS);
            let kept = log.latest_of_all().find(|record| !record.removes && record.ends_ms <= overdue);
            if let Some(kept) = kept {
                return self.object(format_args!("the time of a value is over, and it stands: {kept:?}"));
            }
        }
    }
}

/// So long after its time is over a value is taken away, as long as the hub lives and takes something.
const REMOVED_MS: u64 = 20_000;
