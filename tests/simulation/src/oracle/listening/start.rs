//! Where a listener starts in one log, and whether that is what it asked for.

use tidewire_protocol::code::{GapReason, Outcome};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::names::TOPICS;
use crate::oracle::listening::{Listening, Objection, Place};
use crate::oracle::log::Log;

impl Listening {
    /// It is told its place in one log.
    #[expect(clippy::too_many_arguments)]
    pub(super) fn ready_in(
        &self,
        now: u64,
        outcome: Outcome,
        slot: usize,
        position: Position,
        gap: Option<Gap>,
        logs: &[Log],
        keeps_all: bool,
    ) -> Result<Place, Objection> {
        let asked = self.asked(slot, position, logs);
        if outcome == Outcome::Gap && gap.is_none() && matches!(self.start, Start::After(_)) {
            // The gap is another log's. If this one is new too, it is told so next.
            let Some(asked) = asked else { return Ok(Place::default()) };
            let Some(log) = logs.iter().rposition(|log| log.epoch == asked.epoch) else {
                return Err("asked in a log that never was".into());
            };
            return Ok(self.stand(log, asked.offset.0, &logs[log]));
        }
        let Some(log) = logs.iter().rposition(|log| log.epoch == position.epoch) else {
            return Err("ready in a log that never was".into());
        };
        let known = &logs[log];
        if known.index != slot {
            return Err(format!("ready in log {} at the place of log {slot}", known.index));
        }
        if position.offset.0 > known.visible {
            return Err(format!("ready at {}, beyond {}", position.offset, known.visible));
        }
        let mut cursor = position.offset.0;
        let mut excused = Vec::new();
        if let Some(gap) = gap {
            if gap.reason == GapReason::Compacted && self.may_begin_anew(gap, known) {
                return Ok(self.stand(log, 0, known));
            }
            let keeps_all = keeps_all && !known.may_have_expired(self.selector, gap.to);
            cursor = self.gap_at_start(gap, asked, position, keeps_all)?;
            excused.push((gap.from.0, gap.to.0));
        } else {
            match (&self.start, outcome) {
                (Start::After(_), Outcome::Resumed) => match asked {
                    Some(asked) if asked.epoch == position.epoch => cursor = asked.offset.0,
                    Some(_) | None => return Err("resumed in another log than asked".into()),
                },
                (Start::Earliest, _) if keeps_all => cursor = 0,
                (Start::SinceMs(_), _) if keeps_all => self.check_reach(now, known, cursor)?,
                // Of the last, those of all logs are so many.
                (Start::Earliest | Start::Last(_) | Start::SinceMs(_), _) => {}
                (Start::Latest, Outcome::Live) => self.check_latest(log, known, cursor)?,
                (_, outcome) => return Err(format!("ready with {outcome}")),
            }
        }
        let mut place = Place { excused, ..self.stand(log, cursor, known) };
        if matches!(self.start, Start::Earliest | Start::Last(_) | Start::SinceMs(_)) {
            place.bare_upto = known.visible;
            if !keeps_all && usize::from(self.selector) >= TOPICS {
                // Topics had lost some each at its own time, before anybody asked for what is left.
                place.excused.push((0, known.visible));
            }
        }
        Ok(place)
    }

    /// The place that it asked for in a log: in the one where it stands now, or in that one's former life.
    fn asked(&self, slot: usize, position: Position, logs: &[Log]) -> Option<Position> {
        let Start::After(asked) = &self.start else { return None };
        let is_former = |asked: &&Position| {
            logs.iter().rev().find(|log| log.epoch == asked.epoch).is_some_and(|log| log.index == slot)
        };
        let same = asked.iter().find(|asked| asked.epoch == position.epoch);
        same.or_else(|| asked.iter().find(is_former)).copied()
    }

    /// "Latest" is not before what was there when it was asked for.
    fn check_latest(&self, log: usize, known: &Log, cursor: u64) -> Result<(), Objection> {
        let own = &known.by_selector[usize::from(self.selector)];
        if let Some(last) = self.count_at_start(log).checked_sub(1).and_then(|last| own.get(last))
            && known.records[*last as usize].offset > cursor
        {
            return Err(format!("live at {cursor}, before what there was when it asked"));
        }
        Ok(())
    }

    /// How many records of its selector a log had when it began.
    fn count_at_start(&self, log: usize) -> usize {
        self.began.iter().find(|(began, _)| *began == log).map_or(0, |(_, count)| *count)
    }

    /// "Since" reaches back far enough, where nothing is ever dropped.
    fn check_reach(&self, now: u64, known: &Log, cursor: u64) -> Result<(), Objection> {
        let Start::SinceMs(ms) = self.start else { return Ok(()) };
        let own = &known.by_selector[usize::from(self.selector)];
        let before = own.partition_point(|index| known.records[*index as usize].offset <= cursor);
        let newest_skipped = before.checked_sub(1).map(|last| own[last] as usize);
        if let Some(skipped) = newest_skipped
            && known.records[skipped].taken_ms.is_some_and(|taken| taken >= now - ms)
        {
            return Err(format!("since {ms} ms skips what is newer"));
        }
        Ok(())
    }

    /// "The last N" are so many in all, where nothing is ever dropped, and none that was passed over is newer than one of
    /// them.
    pub(super) fn check_last(&self, count: u64, places: &[Place], logs: &[Log]) -> Result<(), Objection> {
        let (mut given, mut before, mut at_start) = (0, 0, 0);
        let (mut newest_before, mut oldest_given) = (0, u64::MAX);
        for place in places {
            let Some(log) = place.log else { return Ok(()) };
            let known = &logs[log];
            let own = &known.by_selector[usize::from(self.selector)];
            let (passed, rest) = own.split_at(place.next);
            let time = |index: &u32| known.records[*index as usize].published_at_ms;
            // Those whose time is over count for nothing.
            let stays = |index: &&u32| !known.may_go(&known.records[**index as usize]);
            let newest = passed.iter().rev().find(stays);
            newest_before = newest.map_or(newest_before, |last| newest_before.max(time(last)));
            let of_start = self.count_at_start(log);
            // What came to be seen later is given whatever its time.
            let first = rest.iter().find(stays).filter(|_| place.next < of_start);
            oldest_given = first.map_or(oldest_given, |first| oldest_given.min(time(first)));
            (given, before) = (given + rest.len() as u64, before + passed.len() as u64);
            at_start += own.iter().take(of_start).filter(stays).count() as u64;
        }
        if before > 0 && given < count {
            return Err(format!("last {count} gives {given} although there are more"));
        }
        if before < at_start.saturating_sub(count) {
            return Err(format!("last {count} begins after only {before} of {at_start}"));
        }
        if newest_before > oldest_given {
            return Err(format!("last {count} passes over {newest_before} and gives {oldest_given}"));
        }
        Ok(())
    }

    /// A gap at the very start. Gives where the listener stands.
    fn gap_at_start(
        &self,
        gap: Gap,
        asked: Option<Position>,
        position: Position,
        keeps_all: bool,
    ) -> Result<u64, Objection> {
        let asked = match &self.start {
            Start::After(_) => asked.unwrap_or_default(),
            // Topics of a pattern lose what they held each at its own time.
            Start::Earliest | Start::Last(_) | Start::SinceMs(_) => position,
            Start::Latest | Start::Before { .. } => {
                return Err("a gap where nothing was asked for".into());
            }
        };
        let same_log = asked.epoch == position.epoch;
        match gap.reason {
            GapReason::EpochChanged if !same_log && gap.from == Offset(1) => Ok(0),
            GapReason::BeyondEnd if same_log && asked.offset > position.offset => Ok(position.offset.0),
            GapReason::Retention | GapReason::Forgotten if same_log && !keeps_all => Ok(asked.offset.0),
            GapReason::EpochChanged
            | GapReason::BeyondEnd
            | GapReason::Retention
            | GapReason::Forgotten
            | GapReason::TooSlow
            | GapReason::Compacted
            | GapReason::Unknown => Err(format!("ready with {gap:?}")),
        }
    }
}
