//! Where a reader stands who asked for a start, as far as that is known without a look at many topics.

use tidewire_protocol::code::{GapReason, Outcome};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::clock::Millis;
use crate::log::Log;
use crate::mutant::{self, Mutant};
use crate::topic::Topic;

/// What a reader who asked for a start gets, in one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Reading goes on after this offset.
    pub cursor: Offset,
    /// What that is, compared with what was asked for.
    pub outcome: Outcome,
    /// What is missing.
    pub gap: Option<Gap>,
    /// Losses up to here are told, or nobody asked for them.
    pub told: Offset,
}

impl Stand {
    /// After the newest message.
    #[must_use]
    pub fn live(end: Offset) -> Self {
        Self { cursor: end, outcome: Outcome::Live, gap: None, told: end }
    }

    /// Without a hole after `cursor`; what went before the reader came, up to `told`, is none of its losses.
    #[must_use]
    pub fn resumed(cursor: Offset, told: Offset) -> Self {
        Self { cursor, outcome: Outcome::Resumed, gap: None, told }
    }

    /// What is gone went with all that was known of the topic.
    pub fn was_forgotten(&mut self) {
        if let Some(gap) = self.gap.as_mut().filter(|gap| gap.reason == GapReason::Retention) {
            gap.reason = GapReason::Forgotten;
        }
    }

    /// What lies up to `gone` went since.
    pub fn lose(&mut self, log: &Log, gone: Offset) {
        let gap = Gap { epoch: log.epoch, from: self.cursor.next(), to: gone, reason: GapReason::Retention };
        let gap = self.gap.map_or(gap, |told| Gap { to: gone, ..told });
        (self.gap, self.outcome, self.cursor, self.told) = (Some(gap), Outcome::Gap, gone, gone);
    }

    /// The same in a topic that keeps the latest of each key, and remembers removals after `removals_gone`: who has read up to
    /// before that, and may have missed some, reads all anew from `gone` on. Who has read nothing has missed none.
    #[must_use]
    fn behind_removals(self, log: &Log, gone: Offset, removals_gone: Offset) -> Self {
        let told = self.told.max(removals_gone);
        if self.outcome != Outcome::Resumed || self.cursor == Offset(0) || self.cursor >= removals_gone {
            return Self { told, ..self };
        }
        let mut stand = self;
        stand.begin_anew(log, gone, removals_gone);
        Self { told, ..stand }
    }

    /// Whether a reader of pages is told of removals that are forgotten; it knows of those up to `removals`, 0 is for who wants to
    /// hear of none. Who has read nothing has missed none.
    pub fn tells_removals(&mut self, topic: Option<&Topic>, start: &Start, removals: Offset) -> bool {
        let is_asked = removals > Offset(0) && self.cursor > Offset(0) && matches!(start, Start::After(_));
        let is_told = is_asked
            && topic.is_some_and(|topic| topic.tail.keeps_latest())
            && !mutant::active(Mutant::PagesNotToldOfRemovals);
        if is_told {
            self.told = self.told.max(removals);
        }
        is_told
    }

    /// Removals were forgotten: all is read anew, from `gone` on.
    pub fn begin_anew(&mut self, log: &Log, gone: Offset, removals_gone: Offset) {
        *self = Self::gap(log, self.cursor.next(), removals_gone, GapReason::Compacted, gone);
    }

    /// Where some of what stood is gone, what else changed meanwhile is not known either.
    pub fn was_compacted(&mut self) {
        if let Some(gap) = self.gap.as_mut().filter(|gap| gap.reason == GapReason::Retention) {
            gap.reason = GapReason::Compacted;
        }
    }

    /// Some of `from..=to` is gone, reading goes on after `cursor`.
    #[must_use]
    pub fn gap(log: &Log, from: Offset, to: Offset, reason: GapReason, cursor: Offset) -> Self {
        let told = if reason == GapReason::BeyondEnd { cursor } else { to };
        let gap = Some(Gap { epoch: log.epoch, from, to, reason });
        Self { cursor, outcome: Outcome::Gap, gap, told }
    }
}

/// The start of a topic's subscriber, who is told of removals that are forgotten.
#[must_use]
pub fn of_subscriber(log: &Log, now: Millis, topic: &Topic, start: &Start) -> Stand {
    let mut stand = of_topic(log, now, Some(topic), Offset(0), start);
    let Start::After(_) = start else { return stand };
    if topic.tail.keeps_latest() {
        stand.was_compacted();
    }
    let (gone, _) = topic.tail.bounds(now);
    stand.behind_removals(log, gone, topic.tail.removals_gone())
}

/// The start of a topic's reader. `None` for the topic: the hub does not know it, or not any more, and it may have
/// had messages up to `forgotten`.
#[must_use]
pub fn of_topic(log: &Log, now: Millis, topic: Option<&Topic>, forgotten: Offset, start: &Start) -> Stand {
    let Some(topic) = topic else {
        let end = log.visible();
        return match start {
            Start::After(positions) => after(log, positions, (forgotten, end), GapReason::Forgotten),
            _ => Stand::live(end),
        };
    };
    let (gone, last) = topic.tail.bounds(now);
    match start {
        Start::Latest => Stand::live(last),
        Start::After(positions) => after(log, positions, (gone, last), GapReason::Retention),
        // Only pages start so, and those of a topic are read back from there.
        Start::Before { .. } => Stand::live(last),
        _ if !topic.tail.readable() => Stand::live(last),
        Start::Earliest => Stand::resumed(gone, gone.max(topic.tail.removals_gone())),
        Start::Last(count) => topic.tail.before_last(now, *count).map_or(Stand::live(last), |cursor| {
            Stand::resumed(cursor, cursor.max(topic.tail.removals_gone()))
        }),
        Start::SinceMs(ms) => {
            let cursor = topic.tail.before_time(now, Millis(now.0.saturating_sub(*ms)));
            Stand::resumed(cursor, cursor.max(topic.tail.removals_gone()))
        }
    }
}

/// Compares a cursor with a topic's bounds: everything up to `gone` is gone, and `last` is the newest.
fn after(log: &Log, positions: &[Position], (gone, last): (Offset, Offset), reason: GapReason) -> Stand {
    match asked(log, positions) {
        Asked::OtherEpoch => Stand::gap(log, Offset(1), gone, GapReason::EpochChanged, gone),
        Asked::BeyondEnd(asked) => Stand::gap(log, last.next(), asked, GapReason::BeyondEnd, last),
        Asked::After(cursor) if gone > cursor && !mutant::active(Mutant::GapNotTold) => {
            Stand::gap(log, cursor.next(), gone, reason, gone)
        }
        Asked::After(cursor) => Stand::resumed(cursor, cursor),
    }
}

/// The start of a pattern's reader, if it needs no look at its topics: the pattern's tail has all that is owed after
/// `cached_from`, which is nothing up to where it has `begun_at`. `end` is where the log stood before the reader joined
/// the tail.
#[must_use]
pub fn of_pattern(
    log: &Log,
    (cached_from, begun_at): (Offset, Offset),
    end: Offset,
    start: &Start,
) -> Option<Stand> {
    match start {
        Start::Latest => Some(Stand::live(end)),
        Start::After(positions) => match asked(log, positions) {
            Asked::BeyondEnd(asked) => Some(Stand::gap(log, end.next(), asked, GapReason::BeyondEnd, end)),
            Asked::After(cursor) if cursor >= cached_from => {
                let cursor = cursor.max(begun_at);
                Some(Stand::resumed(cursor, cursor))
            }
            Asked::After(_) | Asked::OtherEpoch => None,
        },
        Start::Earliest | Start::Last(_) | Start::SinceMs(_) | Start::Before { .. } => None,
    }
}

/// What positions ask of one log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asked {
    /// To go on after this offset.
    After(Offset),
    /// To go on after one that was never given out.
    BeyondEnd(Offset),
    /// They speak of another life of the log.
    OtherEpoch,
}

/// What positions ask of a log. A reader that has none has seen nothing of any.
#[must_use]
pub fn asked(log: &Log, positions: &[Position]) -> Asked {
    if positions.is_empty() {
        return Asked::After(Offset(0));
    }
    let Some(position) = positions.iter().find(|position| position.epoch == log.epoch) else {
        return Asked::OtherEpoch;
    };
    // Messages reach tails just before they count as visible, and readers may be that fast.
    if position.offset > log.visible() && position.offset > log.lock().last_visible() {
        return Asked::BeyondEnd(position.offset);
    }
    Asked::After(position.offset)
}

/// What lies below these places counts as visible from now on. Messages reach tails just before they do, and readers may be
/// that fast.
pub fn await_visible(start: &Start, logs: &[Log]) {
    let Start::Before { positions, .. } = start else { return };
    for position in positions {
        let of = logs.iter().find(|log| log.epoch == position.epoch);
        if let Some(log) = of.filter(|log| log.visible() < position.offset) {
            drop(log.lock());
        }
    }
}

/// What lies below places of one log: everything up to this. `None` if they speak of another life of it; those who have
/// none mean everything.
#[must_use]
pub fn below(log: &Log, positions: &[Position]) -> Option<Offset> {
    if positions.is_empty() {
        return Some(Offset(u64::MAX));
    }
    let position = positions.iter().find(|position| position.epoch == log.epoch)?;
    let before = if mutant::active(Mutant::PageMissesNewest) { 2 } else { 1 };
    Some(Offset(position.offset.0.saturating_sub(before)))
}

/// Where a reader stands in a log by its own word: in it, or in the one that was there before.
#[must_use]
pub fn asked_place(start: &Start, logs: &[Log], log: u8) -> Position {
    let (Start::After(positions) | Start::Before { positions, .. }) = start else {
        return Position::default();
    };
    let epoch = logs[usize::from(log)].epoch;
    let is_end = matches!(start, Start::Before { .. });
    if positions.is_empty() {
        let offset = if is_end { logs[usize::from(log)].visible() } else { Offset(0) };
        return Position { epoch, offset };
    }
    let same = positions.iter().find(|position| position.epoch == epoch);
    let is_other = |position: &&Position| logs.iter().all(|log| log.epoch != position.epoch);
    let former = || positions.get(usize::from(log)).filter(is_other);
    let Position { epoch, offset } = same.or_else(former).copied().unwrap_or_default();
    Position { epoch, offset: Offset(offset.0.saturating_sub(u64::from(is_end))) }
}
