//! What one listener was promised and told, and what that means for what it must hear next.

use std::ops::Range;

use tidewire_client_core::output::Message;
use tidewire_protocol::code::{GapReason, Outcome, WhenSlow};
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::names::{KEYED, SelectorIndex};
use crate::oracle::listening::mirror::Mirror;
use crate::oracle::log::{Log, Record};
use crate::oracle::{Publish, Uid};

mod start;

mod standing;

mod mirror;

/// A message as a listener gets it.
#[derive(Debug, Clone, Copy)]
pub struct Heard {
    /// In which log.
    pub epoch: Epoch,
    /// Where there.
    pub offset: Offset,
    /// The time that it has.
    pub published_at_ms: u64,
    /// Whether it is marked.
    pub maybe_duplicate: bool,
}

/// A listener, as it must be.
#[derive(Debug)]
pub struct Listening {
    /// Whose.
    pub actor: usize,
    /// To what.
    pub selector: SelectorIndex,
    /// From where.
    pub start: Start,
    /// Whether it hears what its own client publishes.
    pub echo: bool,
    /// Whether some listener of its client and name asked to skip when slow.
    pub when_slow: WhenSlow,
    /// The logs that lived when it began, and records of its selector in each.
    pub began: Vec<(usize, usize)>,
    /// In which of the logs of a life its messages are.
    pub logs: Range<usize>,
    /// Whether it takes only a few messages at a time, and so may need long for many.
    pub bounded: bool,
    /// When it last got a message.
    pub heard_ms: u64,
    /// Where it stands, in each of its logs; nowhere until it was told.
    places: Vec<Place>,
    /// Whether it has ended.
    pub ended: bool,
    /// It wants to hear when it has all that there was: in which logs, and how many records of its selector in each.
    pub wants_end: Option<Vec<(usize, usize)>>,
}

/// Where a listener stands in one of its logs.
#[derive(Debug, Default)]
struct Place {
    /// Which log, of which life; none if it was never told of any.
    log: Option<usize>,
    /// Offset of the last message.
    cursor: u64,
    /// Next among the records of its selector.
    next: usize,
    /// Offsets from..=to that it was told are gone.
    excused: Vec<(u64, u64)>,
    /// It asked for what is kept: up to here topics owe it nothing that keep nothing.
    bare_upto: u64,
    /// What it makes of keys, where it listens to a topic that keeps the latest of each, and was not told to skip any.
    mirror: Option<Mirror>,
}

/// Why something does not fit.
pub type Objection = String;

impl From<&Message> for Heard {
    fn from(message: &Message) -> Self {
        let Message { epoch, offset, published_at_ms, maybe_duplicate, .. } = *message;
        Self { epoch, offset, published_at_ms, maybe_duplicate }
    }
}

impl Listening {
    /// One that has been told nothing.
    #[must_use]
    pub fn new(actor: usize, selector: SelectorIndex, start: Start, echo: bool, when_slow: WhenSlow) -> Self {
        Self {
            actor,
            selector,
            start,
            echo,
            when_slow,
            began: Vec::new(),
            logs: 0..1,
            bounded: false,
            heard_ms: 0,
            places: Vec::new(),
            ended: false,
            wants_end: None,
        }
    }

    /// Whether it was told its place.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        !self.places.is_empty()
    }

    /// It is told its place.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn ready(
        &mut self,
        now: u64,
        outcome: Outcome,
        positions: &[Position],
        gap: Option<Gap>,
        logs: &[Log],
        keeps_all: bool,
    ) -> Result<(), Objection> {
        if positions.len() != self.logs.len() {
            return Err(format!("ready with {} places in {:?}", positions.len(), self.logs));
        }
        if self.is_ready() {
            return Err("ready twice".into());
        }
        if (outcome == Outcome::Gap) != gap.is_some() {
            return Err(format!("ready with {outcome} and {gap:?}"));
        }
        if gap.is_some_and(|gap| positions.iter().all(|position| position.epoch != gap.epoch)) {
            return Err(format!("ready with a gap in another log: {gap:?}"));
        }
        let (mut places, slots) = (Vec::new(), self.logs.clone());
        for (slot, position) in slots.zip(positions) {
            let gap = gap.filter(|gap| gap.epoch == position.epoch);
            let place = self.ready_in(now, outcome, slot, *position, gap, logs, keeps_all)?;
            places.push(place);
        }
        if let (Start::Last(count), None, true) = (&self.start, gap, keeps_all) {
            self.check_last(*count, &places, logs)?;
        }
        self.places = places;
        Ok(())
    }

    /// It is told that messages are gone.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn gap(&mut self, gap: Gap, logs: &[Log], keeps_all: bool) -> Result<(), Objection> {
        if !self.is_ready() {
            return Err("a gap before it was ready".into());
        }
        let Some(of) = logs.iter().rposition(|log| log.epoch == gap.epoch) else {
            return Err("a gap in a log that never was".into());
        };
        if gap.to.0 > logs[of].visible {
            return Err(format!("a gap up to {}, beyond {}", gap.to, logs[of].visible));
        }
        let slot = self.logs.clone().position(|slot| slot == logs[of].index);
        let Some(slot) = slot else { return Err(format!("a gap in the log of others: {gap:?}")) };
        let log = self.places[slot].log;
        match gap.reason {
            GapReason::EpochChanged if Some(of) > log => self.places[slot] = self.stand(of, 0, &logs[of]),
            GapReason::Compacted if Some(of) == log && self.may_begin_anew(gap, &logs[of]) => {
                self.places[slot] = self.stand(of, 0, &logs[of]);
                return Ok(());
            }
            GapReason::Retention | GapReason::Forgotten
                if Some(of) == log && (!keeps_all || logs[of].may_have_expired(self.selector, gap.to)) => {}
            GapReason::TooSlow if Some(of) == log && self.when_slow == WhenSlow::Gap => {
                self.places[slot].mirror = None;
            }
            GapReason::EpochChanged
            | GapReason::Retention
            | GapReason::Forgotten
            | GapReason::BeyondEnd
            | GapReason::TooSlow
            | GapReason::Compacted
            | GapReason::Unknown => return Err(format!("a gap that has no cause: {gap:?}")),
        }
        self.places[slot].excused.push((gap.from.0, gap.to.0));
        Ok(())
    }

    /// It gets a message.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn message(
        &mut self,
        message: &Heard,
        uid: Option<Uid>,
        logs: &[Log],
        publishes: &[Publish],
    ) -> Result<(), Objection> {
        if !self.is_ready() {
            return Err("a message before it was ready".into());
        }
        if self.ended {
            return Err("a message after its end".into());
        }
        let is_of = |place: &Place| place.log.is_some_and(|log| logs[log].epoch == message.epoch);
        let Some(slot) = self.places.iter().position(is_of) else {
            return Err("a message of another log, without a gap".into());
        };
        let Place { log: Some(log), cursor, mut next, .. } = self.places[slot] else { return Ok(()) };
        let known = &logs[log];
        let offset = message.offset.0;
        if offset <= cursor {
            return Err(format!("a message seen before, or out of order: {offset} after {cursor}"));
        }
        let own = &known.by_selector[usize::from(self.selector)];
        loop {
            let Some(index) = own.get(next) else {
                return if known.has_unseen {
                    Ok(())
                } else {
                    Err("a message that is not in its log".into())
                };
            };
            let record = &known.records[*index as usize];
            if record.offset > offset {
                return if known.has_unseen {
                    Ok(())
                } else {
                    Err("a message that is not in its log".into())
                };
            }
            next += 1;
            if record.offset == offset {
                if Some(record.uid) != uid
                    || record.published_at_ms != message.published_at_ms
                    || record.maybe_duplicate != message.maybe_duplicate
                {
                    return Err(format!("another message than the log's: {record:?}"));
                }
                break;
            }
            if !self.is_excused(&self.places[slot], record, known, publishes) {
                return Err(format!("a hole that no gap covers: {record:?}"));
            }
        }
        let place = &mut self.places[slot];
        (place.cursor, place.next) = (offset, next);
        if let (Some(mirror), Some(record)) = (&mut place.mirror, known.record(message.offset)) {
            mirror.hear(&record);
        }
        place.excused.retain(|(_, to)| *to > offset);
        Ok(())
    }

    /// It is told that it has all that there was when it asked. What a hub no longer has by the time it answers, a listener
    /// may be told of later.
    ///
    /// # Errors
    /// What it has not.
    pub fn caught_up(
        &mut self,
        logs: &[Log],
        publishes: &[Publish],
        keeps_all: bool,
    ) -> Result<(), Objection> {
        let Some(ends) = self.wants_end.take() else {
            return Err("caught up, which it did not ask for".into());
        };
        if !self.is_ready() || self.ended {
            return Err("caught up before it was ready, or after its end".into());
        }
        for (log, count) in ends.into_iter().filter(|_| keeps_all) {
            let Some(place) = self.places.iter().find(|place| place.log == Some(log)) else { continue };
            let (known, own) = (&logs[log], &logs[log].by_selector[usize::from(self.selector)]);
            let owed = own.get(place.next..count).unwrap_or_default();
            // Topics that keep nothing have nothing that there was.
            let kept = |index: &&u32| !publishes[known.records[**index as usize].uid as usize].bare;
            let owed: Vec<u32> = owed.iter().filter(kept).copied().collect();
            if let Some(record) = self.first_lacking(place, &owed, known, publishes) {
                return Err(format!("caught up without {record:?}"));
            }
        }
        Ok(())
    }

    /// It reads these from the beginning.
    pub(super) fn reads(log: &Log, offsets: &[Offset]) -> Result<(), Objection> {
        let mut mirror = Mirror::begin(log, 0, false);
        offsets.iter().filter_map(|offset| log.record(*offset)).for_each(|record| mirror.hear(&record));
        mirror.check_anew(log)
    }

    /// What it should have by now and has not.
    #[must_use]
    pub fn lacks(&self, now: u64, logs: &[Log], life: &[usize], publishes: &[Publish]) -> Option<Objection> {
        let reads_on = now - self.heard_ms < READS_ON_MS;
        if self.ended || reads_on {
            return None;
        }
        if !self.is_ready() {
            return Some("it never was ready".into());
        }
        if self.wants_end.is_some() {
            return Some("it never heard that it has caught up".into());
        }
        self.places.iter().find_map(|place| {
            let Some(log) = place.log.filter(|log| life.contains(log)) else {
                return Some("it was not told of the new log".into());
            };
            let known = &logs[log];
            let rest = &known.by_selector[usize::from(self.selector)][place.next..];
            let record = self.first_lacking(place, rest, known, publishes);
            let lacks = record.map(|record| format!("it never got {record:?}"));
            lacks.or_else(|| place.mirror.as_ref()?.check(known).err())
        })
    }

    /// The first of some of a log's records that it is owed.
    fn first_lacking<'a>(
        &self,
        place: &Place,
        of: &[u32],
        log: &'a Log,
        publishes: &[Publish],
    ) -> Option<&'a Record> {
        let mut records = of.iter().map(|index| &log.records[*index as usize]);
        records.find(|record| !self.is_excused(place, record, log, publishes))
    }

    fn is_excused(&self, place: &Place, record: &Record, log: &Log, publishes: &[Publish]) -> bool {
        let Record { offset, uid, .. } = *record;
        let publish = &publishes[uid as usize];
        let own = !self.echo && publish.actor == self.actor;
        let bare = publish.bare && offset <= place.bare_upto;
        own || bare
            || log.may_go(record)
            || place.excused.iter().any(|(from, to)| (*from..=*to).contains(&offset))
    }

    fn stand(&self, log: usize, cursor: u64, known: &Log) -> Place {
        let own = &known.by_selector[usize::from(self.selector)];
        let next = own.partition_point(|index| known.records[*index as usize].offset <= cursor);
        let knows_all = cursor > 0 && matches!(self.start, Start::After(_));
        let is_keyed = known.clock.keeps_latest && self.selector == KEYED;
        let mirror = is_keyed.then(|| Mirror::begin(known, cursor, knows_all));
        Place { log: Some(log), cursor, next, mirror, ..Place::default() }
    }

    /// Whether it may be told to drop all that it knows: of keys, whose removal may be forgotten.
    fn may_begin_anew(&self, gap: Gap, log: &Log) -> bool {
        let removal = log.record(gap.to);
        let is_forgotten = removal.map_or(log.may_have_had(gap.to), |removal| log.may_be_forgotten(&removal));
        self.selector == KEYED && log.clock.keeps_latest && is_forgotten
    }
}

/// A listener that got something so lately is on its way: pages may be small, and reads slow.
const READS_ON_MS: u64 = 1_000;
