//! Where a reader stands: starts turned into positions, pages of history, and patterns' messages merged.

use std::sync::Arc;

use tidewire_protocol::block as wire;
use tidewire_protocol::code::{GapReason, Outcome};
use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::{Offset, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::block::{Block, Entry, Open};
use crate::clock::Millis;
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::topics::directory::Topic;
use crate::topics::sequencer::Sequencer;

/// What a reader who asked for a start gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stand {
    /// Reading goes on after this offset.
    pub cursor: Offset,
    /// What that is, compared with what was asked for.
    pub outcome: Outcome,
    /// What is missing.
    pub gap: Option<Gap>,
}

/// Messages of several topics in offset order.
#[derive(Debug)]
pub struct Merged {
    /// The messages; `None` if there are none.
    pub block: Option<Block>,
    /// Everything up to here is in it.
    pub upto: Offset,
    /// Something up to here is gone.
    pub gone: Offset,
}

/// Resolves a start against a log.
#[must_use]
pub fn stand(log: &Sequencer, now: Millis, selector: &Selector, start: &Start) -> Stand {
    let topics = log.directory.select(selector);
    let end = match selector {
        Selector::Topic(_) => topics.first().map_or(log.visible(), |topic| topic.tail.bounds(now).1),
        Selector::Pattern(_) => log.visible(),
    };
    let live = Stand { cursor: end, outcome: Outcome::Live, gap: None };
    let resumed = |cursor| go_on(log, now, selector, &topics, cursor);
    let readable: Vec<_> = topics.iter().filter(|topic| topic.tail.readable()).collect();
    match start {
        Start::Latest => live,
        Start::After(positions) => resume(log, now, selector, &topics, end, positions),
        _ if readable.is_empty() => live,
        Start::Earliest => {
            let gone = |topic: &&Arc<Topic>| topic.tail.bounds(now).0;
            resumed(readable.iter().map(gone).min().unwrap_or(end))
        }
        Start::Last(count) => {
            let count = usize::try_from(*count).unwrap_or(usize::MAX).min(LAST_MAX);
            let mut newest: Vec<_> =
                readable.iter().flat_map(|topic| topic.tail.newest(now, count)).collect();
            newest.sort_unstable_by(|a, b| b.cmp(a));
            let first = newest.get(..count.min(newest.len())).and_then(<[_]>::last);
            first.map_or(live, |first| resumed(Offset(first.0 - 1)))
        }
        Start::SinceMs(ms) => {
            let time = Millis(now.0.saturating_sub(*ms));
            let before = |topic: &&Arc<Topic>| topic.tail.before_time(now, time);
            resumed(readable.iter().map(before).min().unwrap_or(end))
        }
    }
}

/// Compares a cursor with what is kept.
fn resume(
    log: &Sequencer,
    now: Millis,
    selector: &Selector,
    topics: &[Arc<Topic>],
    end: Offset,
    positions: &[Position],
) -> Stand {
    let gap = |from: u64, to: Offset, reason| Some(Gap { epoch: log.epoch, from: Offset(from), to, reason });
    let Some(position) = positions.iter().find(|position| position.epoch == log.epoch) else {
        // Nothing is known of the old log; what the new one keeps follows.
        let lost = go_on(log, now, selector, topics, Offset(0)).gap.map_or(Offset(0), |gap| gap.to);
        let cursor = topics.iter().map(|topic| topic.tail.bounds(now).0).min().unwrap_or(lost);
        return Stand { cursor, outcome: Outcome::Gap, gap: gap(1, lost, GapReason::EpochChanged) };
    };
    let asked = position.offset;
    if asked > log.visible() {
        return Stand {
            cursor: end,
            outcome: Outcome::Gap,
            gap: gap(end.0 + 1, asked, GapReason::BeyondEnd),
        };
    }
    go_on(log, now, selector, topics, asked)
}

/// Goes on after `cursor`: without a hole, or with a gap that says how far messages may be missing. Topics of a
/// pattern lose their messages each at its own time, so one may have lost some that lie behind the oldest of all.
fn go_on(log: &Sequencer, now: Millis, selector: &Selector, topics: &[Arc<Topic>], cursor: Offset) -> Stand {
    let gone = topics.iter().map(|topic| topic.tail.bounds(now).0).max().unwrap_or(Offset(0));
    // A topic that is known tells its own losses; one that is not, or may not be, could be a forgotten one.
    let one_topic = matches!(selector, Selector::Topic(_));
    let forgotten = if one_topic && !topics.is_empty() { Offset(0) } else { log.directory.forgotten() };
    let lost = gone.max(forgotten);
    if lost <= cursor || mutant::active(Mutant::GapNotTold) {
        return Stand { cursor, outcome: Outcome::Resumed, gap: None };
    }
    let reason = if gone >= forgotten { GapReason::Retention } else { GapReason::Forgotten };
    // One topic has nothing left before `lost`; of several, the others' messages still follow.
    let after = if one_topic { lost } else { cursor };
    let gap = Gap { epoch: log.epoch, from: Offset(cursor.0 + 1), to: lost, reason };
    Stand { cursor: after, outcome: Outcome::Gap, gap: Some(gap) }
}

/// Merges the messages that a pattern's topics hold after `cursor` into one block, up to `bytes_max`.
#[must_use]
pub fn merge(
    log: &Sequencer,
    now: Millis,
    pattern: &Pattern,
    tail: TailNumber,
    cursor: Offset,
    bytes_max: usize,
    metrics: &Arc<Metrics>,
) -> Merged {
    let mut upto = log.visible();
    let mut gone = log.directory.forgotten();
    let mut sources = Vec::new();
    for topic in log.directory.matching(pattern) {
        let found = topic.tail.read_after(now, cursor, bytes_max);
        gone = gone.max(found.gone);
        match found.blocks.last() {
            Some(last) if last.last < found.last => upto = upto.min(last.last),
            Some(_) | None => {}
        }
        sources.push((topic, found.blocks));
    }
    let mut messages: Vec<(&Arc<Topic>, wire::Message<'_>)> = Vec::new();
    for (topic, blocks) in &sources {
        let all = blocks.iter().flat_map(|block| block.wire().messages().flatten());
        messages.extend(all.filter(|m| m.offset > cursor && m.offset <= upto).map(|m| (*topic, m)));
    }
    messages.sort_unstable_by_key(|(_, message)| message.offset);
    let mut open = Open::default();
    let mut last = cursor;
    for (topic, message) in messages {
        if !open.is_empty() && open.len() + message.payload.len() > bytes_max {
            upto = last;
            break;
        }
        let head = wire::Head {
            published_at_ms: message.published_at_ms,
            content: message.content,
            maybe_duplicate: message.maybe_duplicate,
            tag: message.tag,
            sender: message.sender.unwrap_or_default(),
            ..wire::Head::default()
        };
        let topic = Some(topic.name.text());
        let entry = Entry { offset: message.offset, head, topic, payload: message.payload };
        open.append(cursor, &entry);
        last = message.offset;
    }
    let block = (!open.is_empty()).then(|| open.seal(tail, metrics));
    Merged { block, upto: upto.max(cursor), gone }
}

/// How many messages "the last N" may mean.
const LAST_MAX: usize = 10_000;
