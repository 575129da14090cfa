//! What one listener was promised and told, and what that means for what it must hear next.

use tidewire_client_core::output::Message;
use tidewire_protocol::code::{GapReason, Outcome, WhenSlow};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::names::{SelectorIndex, TOPICS};
use crate::oracle::{Log, Publish, Uid};

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
    /// Lives of the log, and records of its selector, when it began.
    pub began: (usize, usize),
    /// Whether it takes only a few messages at a time, and so may need long for many.
    pub bounded: bool,
    /// When it last got a message.
    pub heard_ms: u64,
    /// Where it stands: log, and offset of the last message.
    pub place: Option<(usize, u64)>,
    /// Next among the records of its selector.
    next: usize,
    /// Offsets from..=to that it was told are gone.
    excused: Vec<(u64, u64)>,
    /// It asked for what is kept: up to here topics owe it nothing that keep nothing.
    bare_upto: u64,
    /// Whether it has ended.
    pub ended: bool,
}

/// Why something does not fit.
pub type Objection = String;

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
            began: (0, 0),
            bounded: false,
            heard_ms: 0,
            place: None,
            next: 0,
            excused: Vec::new(),
            bare_upto: 0,
            ended: false,
        }
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
        let [position] = positions else { return Err("ready without a place".into()) };
        if self.place.is_some() {
            return Err("ready twice".into());
        }
        let Some(log) = logs.iter().rposition(|log| log.epoch == position.epoch) else {
            return Err("ready in a log that never was".into());
        };
        let known = &logs[log];
        if position.offset.0 > known.visible {
            return Err(format!("ready at {}, beyond {}", position.offset, known.visible));
        }
        if (outcome == Outcome::Gap) != gap.is_some() {
            return Err(format!("ready with {outcome} and {gap:?}"));
        }
        let mut cursor = position.offset.0;
        if let Some(gap) = gap {
            cursor = self.gap_at_start(gap, *position, keeps_all)?;
        } else {
            match (&self.start, outcome) {
                (Start::After(asked), Outcome::Resumed) => match asked.first() {
                    Some(asked) if asked.epoch == position.epoch => cursor = asked.offset.0,
                    Some(_) | None => return Err("resumed in another log than asked".into()),
                },
                (Start::Earliest, _) if keeps_all => cursor = 0,
                (Start::Earliest | Start::Last(_) | Start::SinceMs(_), Outcome::Resumed | Outcome::Live) => {
                    self.check_reach(now, log, known, cursor, keeps_all)?;
                }
                (Start::Latest, Outcome::Live) => self.check_latest(log, known, cursor)?,
                (_, outcome) => return Err(format!("ready with {outcome}")),
            }
        }
        if matches!(self.start, Start::Earliest | Start::Last(_) | Start::SinceMs(_)) {
            self.bare_upto = known.visible;
            if !keeps_all && usize::from(self.selector) >= TOPICS {
                // Topics had lost some each at its own time, before anybody asked for what is left.
                self.excused.push((0, known.visible));
            }
        }
        self.stand(log, cursor, known);
        Ok(())
    }

    /// "Latest" is not before what was there when it was asked for.
    fn check_latest(&self, log: usize, known: &Log, cursor: u64) -> Result<(), Objection> {
        let (began_log, began_count) = self.began;
        let own = &known.by_selector[usize::from(self.selector)];
        if began_log == log
            && let Some(last) = began_count.checked_sub(1).and_then(|last| own.get(last))
            && known.records[*last as usize].offset > cursor
        {
            return Err(format!("live at {cursor}, before what there was when it asked"));
        }
        Ok(())
    }

    /// "The last N" and "since" reach back far enough, where nothing is ever dropped.
    fn check_reach(
        &self,
        now: u64,
        log: usize,
        known: &Log,
        cursor: u64,
        keeps_all: bool,
    ) -> Result<(), Objection> {
        if !keeps_all {
            return Ok(());
        }
        let own = &known.by_selector[usize::from(self.selector)];
        let before = own.partition_point(|index| known.records[*index as usize].offset <= cursor);
        match self.start {
            Start::Last(count) => {
                let given = (own.len() - before) as u64;
                if before > 0 && given < count {
                    return Err(format!("last {count} gives {given} although there are more"));
                }
                let at_start = if self.began.0 == log { self.began.1 as u64 } else { 0 };
                if (before as u64) < at_start.saturating_sub(count) {
                    return Err(format!("last {count} begins after only {before} of {at_start}"));
                }
            }
            Start::SinceMs(ms) => {
                let newest_skipped = before.checked_sub(1).map(|last| own[last] as usize);
                if let Some(skipped) = newest_skipped
                    && known.records[skipped].published_at_ms >= now - ms
                {
                    return Err(format!("since {ms} ms skips what is newer"));
                }
            }
            Start::Latest | Start::Earliest | Start::After(_) => {}
        }
        Ok(())
    }

    /// A gap at the very start. Gives where the listener stands.
    fn gap_at_start(&mut self, gap: Gap, position: Position, keeps_all: bool) -> Result<u64, Objection> {
        let asked = match &self.start {
            Start::After(asked) => asked.first().copied().unwrap_or_default(),
            // Topics of a pattern lose what they held each at its own time.
            Start::Earliest | Start::Last(_) | Start::SinceMs(_) => position,
            Start::Latest => return Err("a gap where nothing was asked for".into()),
        };
        let same_log = asked.epoch == position.epoch;
        self.excused.push((gap.from.0, gap.to.0));
        match gap.reason {
            GapReason::EpochChanged if !same_log && gap.from == Offset(1) => Ok(0),
            GapReason::BeyondEnd if same_log && asked.offset > position.offset => Ok(position.offset.0),
            GapReason::Retention | GapReason::Forgotten if same_log && !keeps_all => Ok(asked.offset.0),
            GapReason::EpochChanged
            | GapReason::BeyondEnd
            | GapReason::Retention
            | GapReason::Forgotten
            | GapReason::TooSlow
            | GapReason::Unknown => Err(format!("ready with {gap:?}")),
        }
    }

    /// It is told that messages are gone.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn gap(&mut self, gap: Gap, logs: &[Log], keeps_all: bool) -> Result<(), Objection> {
        let Some((log, _)) = self.place else { return Err("a gap before it was ready".into()) };
        let Some(of) = logs.iter().rposition(|log| log.epoch == gap.epoch) else {
            return Err("a gap in a log that never was".into());
        };
        if gap.to.0 > logs[of].visible {
            return Err(format!("a gap up to {}, beyond {}", gap.to, logs[of].visible));
        }
        match gap.reason {
            GapReason::EpochChanged if of > log => {
                self.excused.clear();
                self.bare_upto = 0;
                self.stand(of, 0, &logs[of]);
            }
            GapReason::Retention | GapReason::Forgotten if of == log && !keeps_all => {}
            GapReason::TooSlow if of == log && self.when_slow == WhenSlow::Gap => {}
            GapReason::EpochChanged
            | GapReason::Retention
            | GapReason::Forgotten
            | GapReason::BeyondEnd
            | GapReason::TooSlow
            | GapReason::Unknown => return Err(format!("a gap that has no cause: {gap:?}")),
        }
        self.excused.push((gap.from.0, gap.to.0));
        Ok(())
    }

    /// It gets a message.
    ///
    /// # Errors
    /// Why that cannot be.
    pub fn message(
        &mut self,
        message: &Message,
        uid: Option<Uid>,
        logs: &[Log],
        publishes: &[Publish],
    ) -> Result<(), Objection> {
        let Some((log, cursor)) = self.place else { return Err("a message before it was ready".into()) };
        if self.ended {
            return Err("a message after its end".into());
        }
        let known = &logs[log];
        let offset = message.offset.0;
        if message.epoch != known.epoch {
            return Err("a message of another log, without a gap".into());
        }
        if offset <= cursor {
            return Err(format!("a message seen before, or out of order: {offset} after {cursor}"));
        }
        let own = &known.by_selector[usize::from(self.selector)];
        loop {
            let Some(index) = own.get(self.next) else {
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
            self.next += 1;
            if record.offset == offset {
                if Some(record.uid) != uid
                    || record.published_at_ms != message.published_at_ms
                    || record.maybe_duplicate != message.maybe_duplicate
                {
                    return Err(format!("another message than the log's: {record:?}"));
                }
                break;
            }
            if !self.is_excused(record.offset, record.uid, publishes) {
                return Err(format!("a hole that no gap covers: {record:?}"));
            }
        }
        self.place = Some((log, offset));
        self.excused.retain(|(_, to)| *to > offset);
        Ok(())
    }

    /// What it should have by now and has not.
    #[must_use]
    pub fn lacks(&self, now: u64, logs: &[Log], publishes: &[Publish]) -> Option<Objection> {
        let reads_on = now - self.heard_ms < READS_ON_MS;
        if self.ended || reads_on {
            return None;
        }
        let Some((log, _)) = self.place else { return Some("it never was ready".into()) };
        if log + 1 != logs.len() {
            return Some("it was not told of the new log".into());
        }
        let known = &logs[log];
        let rest = &known.by_selector[usize::from(self.selector)][self.next..];
        let records = rest.iter().map(|index| &known.records[*index as usize]);
        let mut lacking = records.filter(|record| !self.is_excused(record.offset, record.uid, publishes));
        lacking.next().map(|record| format!("it never got {record:?}"))
    }

    fn is_excused(&self, offset: u64, uid: Uid, publishes: &[Publish]) -> bool {
        let publish = &publishes[uid as usize];
        let own = !self.echo && publish.actor == self.actor;
        let bare = publish.bare && offset <= self.bare_upto;
        own || bare || self.excused.iter().any(|(from, to)| (*from..=*to).contains(&offset))
    }

    fn stand(&mut self, log: usize, cursor: u64, known: &Log) {
        self.place = Some((log, cursor));
        let own = &known.by_selector[usize::from(self.selector)];
        self.next = own.partition_point(|index| known.records[*index as usize].offset <= cursor);
    }
}

/// A listener that got something so lately is on its way: pages may be small, and reads slow.
const READS_ON_MS: u64 = 1_000;
