//! Pages by call: whether one is what its logs have there.

use tidewire_protocol::code::GapReason;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::names::{SelectorIndex, TOPICS};
use crate::oracle::listening::Objection;
use crate::oracle::log::{Log, Record};
use crate::oracle::{Oracle, Uid};

/// A page as it was asked for.
#[derive(Debug, Clone)]
pub struct Sought {
    /// Of what.
    pub selector: SelectorIndex,
    /// From where.
    pub start: Start,
    /// How many messages at most; 0 for as many as fit.
    pub limit: u64,
    /// How far each of its logs had become visible by then.
    pub visible: Vec<u64>,
}

/// A page as it is told.
#[derive(Debug, Clone)]
pub struct Page {
    /// Behind which places it begins.
    pub after: Vec<Position>,
    /// Up to where it is complete.
    pub upto: Vec<Position>,
    /// What is missing before it.
    pub gap: Option<Gap>,
    /// Whether there is more.
    pub more: bool,
    /// Its messages.
    pub messages: Vec<(Epoch, Offset, Option<Uid>)>,
}

impl Oracle {
    /// A page that reads on is told.
    ///
    /// # Errors
    /// What does not fit.
    pub fn page_fits(&self, sought: &Sought, page: &Page) -> Result<(), Objection> {
        let slots = self.logs_of(sought.selector);
        if page.after.len() != slots.len() || page.upto.len() != slots.len() {
            return Err(format!("a page of {} places in {slots:?}", page.after.len()));
        }
        let of_none = |epoch| page.upto.iter().all(|place| place.epoch != epoch);
        if page.messages.iter().any(|(epoch, ..)| of_none(*epoch)) {
            return Err("a message of a log that it does not speak of".into());
        }
        for (at, slot) in slots.enumerate() {
            let (after, upto) = (page.after[at], page.upto[at]);
            let log = &self.logs[self.living(slot)];
            if self.stays(sought, page, (after, upto), log) {
                continue;
            }
            if after.epoch != log.epoch || upto.epoch != log.epoch || upto.offset < after.offset {
                return Err(format!("log {slot} from {after} to {upto}"));
            }
            self.begins_right(sought, page, log, after.offset)?;
            self.holds_all(sought, page, log, (after.offset, upto.offset, sought.visible[at]))?;
        }
        Ok(())
    }

    /// A page tells one gap. Where others of its logs are new, that is told next: until then it stays in their former lives.
    fn stays(&self, sought: &Sought, page: &Page, (after, upto): (Position, Position), log: &Log) -> bool {
        let Start::After(asked) = &sought.start else { return false };
        let tells_another = page.gap.is_some_and(|gap| gap.epoch != after.epoch);
        tells_another && page.more && after == upto && after.epoch != log.epoch && asked.contains(&after)
    }

    /// Behind which place it begins in a log, as that was asked for.
    fn begins_right(&self, sought: &Sought, page: &Page, log: &Log, after: Offset) -> Result<(), Objection> {
        let gap = page.gap.filter(|gap| gap.epoch == log.epoch);
        let asked = match &sought.start {
            Start::After(places) => places.iter().find(|place| place.epoch == log.epoch),
            Start::Earliest if self.keeps(sought.selector) && after > Offset(0) => {
                let own = log.by_selector[usize::from(sought.selector)].first();
                let first = own.map(|index| &log.records[*index as usize]);
                let skips = first.is_some_and(|first| first.offset <= after.0 && !self.is_bare_record(first));
                let skips = skips && !log.may_have_expired(sought.selector, after);
                return if skips { Err(format!("the earliest is behind {after}")) } else { Ok(()) };
            }
            _ => return Ok(()),
        };
        let is_moved = asked.is_none_or(|asked| asked.offset != after);
        let has_cause = match (gap.map(|gap| gap.reason), page.gap) {
            (Some(GapReason::EpochChanged), _) => asked.is_none(),
            (Some(GapReason::BeyondEnd), _) => asked.is_some_and(|asked| asked.offset > after),
            (Some(GapReason::Retention | GapReason::Forgotten), _) => !self.keeps(sought.selector),
            (Some(GapReason::TooSlow | GapReason::Compacted | GapReason::Unknown), _) => false,
            // The gap of another log stands for this one too.
            (None, Some(_)) => true,
            (None, None) => !is_moved,
        };
        if has_cause { Ok(()) } else { Err(format!("it begins behind {after}, and asked was {asked:?}")) }
    }

    fn is_bare_record(&self, record: &Record) -> bool {
        self.publishes[record.uid as usize].bare
    }

    /// Whether it holds what a log has between two places, and up to what was visible if there is no more.
    fn holds_all(
        &self,
        sought: &Sought,
        page: &Page,
        log: &Log,
        (after, upto, visible): (Offset, Offset, u64),
    ) -> Result<(), Objection> {
        let own: Vec<_> = page.messages.iter().filter(|(epoch, ..)| *epoch == log.epoch).collect();
        if own.windows(2).any(|pair| pair[0].1 >= pair[1].1) {
            return Err(format!("out of order: {own:?}"));
        }
        for (_, offset, uid) in &own {
            let record = log.record(*offset);
            let is_known = record.is_some_and(|record| Some(record.uid) == *uid);
            let is_within = *offset > after && *offset <= upto;
            if !is_within || !is_known && (record.is_some() || !log.has_unseen) {
                return Err(format!("message {offset} is not the log's: {record:?}"));
            }
        }
        let is_pattern = usize::from(sought.selector) >= TOPICS;
        let gap = page.gap.filter(|gap| gap.epoch == log.epoch);
        let is_gone = |offset: u64| gap.is_some_and(|gap| (gap.from.0..=gap.to.0).contains(&offset));
        // Topics of a pattern lose what they held each at its own time.
        let may_lack = |record: &Record| {
            self.is_bare_record(record)
                || is_gone(record.offset)
                || log.may_go(record)
                || is_pattern && !self.keeps_all
        };
        let mut records =
            log.by_selector[usize::from(sought.selector)].iter().map(|index| &log.records[*index as usize]);
        let is_owed = |record: &&Record| {
            let is_between = record.offset > after.0 && record.offset <= upto.0.min(visible);
            let is_behind = !page.more && record.offset > upto.0 && record.offset <= visible;
            (is_between || is_behind) && own.iter().all(|(_, offset, _)| offset.0 != record.offset)
        };
        let lacking = records.find(|record| is_owed(record) && !may_lack(record));
        lacking.map_or(Ok(()), |record| Err(format!("it lacks {record:?}")))
    }
}
