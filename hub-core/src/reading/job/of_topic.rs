//! Reads of one topic: pages, at once where all of them is here; and what comes after a cursor, where that is on the disk only.

use std::sync::Arc;

use tidewire_protocol::block::{Block, put_on_page};
use tidewire_protocol::code::GapReason;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Offset, TailNumber};
use tidewire_protocol::position::{Gap, Start};

use crate::block;
use crate::clock::Millis;
use crate::ledger::{Account, Charge, Kind};
use crate::log::Log;
use crate::mutant::{self, Mutant};
use crate::reading::gather::Found;
use crate::reading::job::{Hub, Job, Stage};
use crate::reading::merge::{Form, Merge};
use crate::reading::most::Most;
use crate::reading::question::{Answer, Ask, More, PageRead, Whose};
use crate::reading::start::{self, Stand};
use crate::sync::lock;
use crate::tail::reading_back::Back;
use crate::tail::{self, Tail};
use crate::topic::Topic;

/// A page of a topic.
#[derive(Debug)]
pub enum Paged {
    /// As it is told.
    Here(PageRead),
    /// Some of it is on the disk only.
    Away(Plan),
}

/// A page of a topic that is to be read.
#[derive(Debug)]
pub struct Plan {
    tail: Arc<Tail>,
    after: Offset,
    /// It ends there at the latest.
    upto: Offset,
    gap: Option<Gap>,
    /// It begins at a place that was named, so that whatever is missing behind that is told.
    is_owed: bool,
    /// Whether there is more, whatever fits; `None` if that is what does not fit.
    more: Option<bool>,
    most: Most,
}

/// A page of a topic, as it is read.
#[derive(Debug)]
pub(super) struct Paging {
    plan: Plan,
    log: u8,
    pub(super) merge: Box<Merge>,
    blocks: Vec<u8>,
}

/// A page of a topic of a log, which the hub does not know if there is none: it may have had messages up to some place. Who
/// asks knows of forgotten removals up to another.
#[must_use]
pub fn page(
    log: &Log,
    now: Millis,
    topic: (Option<&Topic>, Offset),
    start: &Start,
    removals: Offset,
    most: Most,
) -> Paged {
    match start {
        Start::Before { .. } => page_below(log, now, topic, start, most.bytes),
        start => page_from(log, now, topic, start, removals, most),
    }
}

fn page_from(
    log: &Log,
    now: Millis,
    (topic, forgotten): (Option<&Topic>, Offset),
    start: &Start,
    removals: Offset,
    most: Most,
) -> Paged {
    let mut stand = start::of_topic(log, now, topic, forgotten, start);
    let is_told = stand.tells_removals(topic, start, removals);
    let read = |stand: &Stand| Some(topic?.tail.read_after(now, stand.cursor, most.bytes));
    let mut found = read(&stand);
    // What went between the two looks would be missing without a word: from where the rest begins it is looked for anew.
    while let Some(tail::Found { cached_from, removals_gone, .. }) = found {
        if cached_from > stand.cursor {
            stand.lose(log, cached_from);
        } else if is_told && stand.gap.is_none() && removals_gone > stand.told {
            stand.begin_anew(log, cached_from, removals_gone);
        } else {
            break;
        }
        found = read(&stand);
    }
    if is_told {
        stand.was_compacted();
    }
    let begun_at = found.as_ref().map_or(Offset(0), |found| found.begun_at);
    let (after, gap) = (stand.cursor.max(begun_at), stand.gap);
    if let (Some(found), Some(topic)) = (&found, topic)
        && found.is_away
    {
        let (tail, upto) = (Arc::clone(&topic.tail), found.last);
        let is_owed = matches!(start, Start::After(_));
        return Paged::Away(Plan { tail, after, upto, gap, is_owed, more: None, most });
    }
    let mut page = PageRead { after: vec![log.position(after)], gap, ..PageRead::default() };
    if removals > Offset(0) {
        page.removals = found.as_ref().map_or(Offset(0), |found| found.removals_gone);
    }
    let upto = found.map_or(after, |found| page.put(&found, after, most.messages));
    page.upto = vec![log.position(upto)];
    Paged::Here(page)
}

impl PageRead {
    /// Puts on a page what was found after a place, but no more than so many messages; gives up to where it is complete.
    fn put(&mut self, found: &tail::Found, after: Offset, mut left: usize) -> Offset {
        let (mut upto, mut taken, mut scratch) = (after, 0, Vec::new());
        for block in &found.blocks {
            if let Some(end) = end_within(block, upto, &mut left) {
                let part = up_to(&block.wire(), end);
                if !part.records.is_empty() {
                    put_on_page(&part, &mut scratch, &mut self.blocks);
                }
                self.more = true;
                return end;
            }
            put_on_page(&block.wire(), &mut scratch, &mut self.blocks);
            (upto, taken) = (block.last, taken + block.size() as u64);
        }
        // Where nothing is left behind the last of them, what came there has expired, or was replaced.
        self.more = taken < found.behind_bytes;
        if self.more { upto } else { found.last.max(after) }
    }
}

/// The last message after a place that a block may have on a page, if it has more of them than are `left`. Counts those that it
/// has.
fn end_within(block: &block::Block, after: Offset, left: &mut usize) -> Option<Offset> {
    if block.first > after && block.count as usize <= *left {
        *left -= block.count as usize;
        return None;
    }
    let mut end = after;
    for record in block.wire().records().flatten().filter(|record| record.offset > after) {
        if *left == 0 {
            return Some(end);
        }
        *left -= 1;
        end = record.offset;
    }
    None
}

/// Whatever its bound in bytes, the page ends where it was asked to: what does not fit are the oldest.
fn page_below(
    log: &Log,
    now: Millis,
    (topic, forgotten): (Option<&Topic>, Offset),
    start: &Start,
    bytes_max: usize,
) -> Paged {
    let Start::Before { last, positions } = start else { return Paged::Here(PageRead::default()) };
    let Some(upto) = start::below(log, positions) else {
        let begin = vec![log.position(Offset(0))];
        let is_kept = topic.is_none_or(|topic| topic.tail.readable());
        let (from, to, reason) = (Offset(1), Offset(0), GapReason::EpochChanged);
        let gap = is_kept.then_some(Gap { epoch: log.epoch, from, to, reason });
        return Paged::Here(PageRead { after: begin.clone(), upto: begin, gap, ..PageRead::default() });
    };
    let (back, reason) = match topic {
        None => {
            let upto = upto.min(log.visible());
            (Back { upto, gone: forgotten, ..Back::default() }, GapReason::Forgotten)
        }
        Some(topic) if topic.tail.readable() => {
            (topic.tail.read_back(now, upto, *last, bytes_max), GapReason::Retention)
        }
        Some(topic) => {
            let (_, last) = topic.tail.bounds(now);
            (Back { upto: upto.min(last), ..Back::default() }, GapReason::Retention)
        }
    };
    let (from, to) = (Offset(1), back.gone.min(back.upto));
    let is_lacking = !back.more && to >= from && !mutant::active(Mutant::GapNotTold);
    let gap = is_lacking.then_some(Gap { epoch: log.epoch, from, to, reason });
    if let (true, Some(topic)) = (back.is_away, topic) {
        let (tail, Back { after, upto, more, .. }) = (Arc::clone(&topic.tail), back);
        let (is_owed, more, most) = (true, Some(more), Most::ALL);
        return Paged::Away(Plan { tail, after, upto, gap, is_owed, more, most });
    }
    let (mut blocks, mut scratch) = (Vec::new(), Vec::new());
    for block in &back.blocks {
        put_on_page(&up_to(&block.wire(), back.upto), &mut scratch, &mut blocks);
    }
    let (after, upto) = (vec![log.position(back.after)], vec![log.position(back.upto)]);
    Paged::Here(PageRead { after, upto, gap, blocks, more: back.more, ..PageRead::default() })
}

impl Job {
    /// A topic is asked about.
    pub(super) fn begin_of_topic(
        &mut self,
        now: Millis,
        hub: &Hub<'_>,
        account: &Arc<Account>,
    ) -> Option<Answer> {
        match &self.ask {
            Ask::More(More { whose: Whose::Topic(tail), cursor, log, .. }) => {
                let (log, cursor, (_, upto)) = (*log, *cursor, tail.away_bounds(now));
                // What is gone of that is told by the merge, which goes on behind it.
                let found = Found::of_topic(tail, cursor, upto);
                let merge = Merge::new(found, cursor, Offset(0), Charge::new(account, Kind::Reading));
                self.stage = Stage::Placing(log, Stand::resumed(cursor, cursor), Box::new(merge));
                None
            }
            Ask::Page { selector: Selector::Topic(name), start, most } => {
                let (index, topic, forgotten) = {
                    let names = lock(hub.names);
                    let index = names.log_of(name);
                    (index, names.find(name).cloned(), names.gone(name, index))
                };
                let log = &hub.logs[usize::from(index)];
                match page(log, now, (topic.as_deref(), forgotten), start, Offset(0), *most) {
                    Paged::Here(page) => Some(Answer::Page(page)),
                    Paged::Away(plan) => {
                        let found = Found::of_topic(&plan.tail, plan.after, plan.upto);
                        let charge = Charge::new(account, Kind::Reading);
                        let mut merge = Box::new(Merge::new(found, plan.after, Offset(0), charge));
                        merge.place(now);
                        let paging = Paging { plan, log: index, merge, blocks: Vec::new() };
                        self.stage = Stage::OfTopic(Box::new(paging));
                        None
                    }
                }
            }
            Ask::Start { .. } | Ask::More(_) | Ask::Page { .. } => None,
        }
    }

    /// Reads on in a page of a topic.
    pub(super) fn page_of_topic(
        &mut self,
        now: Millis,
        hub: &Hub<'_>,
        mut paging: Box<Paging>,
    ) -> Option<Answer> {
        let Paging { plan, log, merge, blocks } = &mut *paging;
        let form = Form {
            tail: TailNumber(0),
            log: 0,
            most: plan.most,
            named: false,
            block_bytes: hub.limits.block_bytes,
            account: hub.copies,
        };
        let part = merge.read(now, &form);
        if part.is_away {
            self.wanted = self.wants(now, hub, *log, merge).map(Box::new);
            self.stage = Stage::OfTopic(paging);
            return None;
        }
        if let Some(lost) = part.lost {
            // It went while this was read. A page has no holes.
            plan.lose(lost);
            blocks.clear();
        }
        let mut scratch = Vec::new();
        for block in &part.blocks {
            put_on_page(&block.wire(), &mut scratch, blocks);
        }
        if !part.done && (plan.ends_below() || blocks.is_empty()) {
            self.stage = Stage::OfTopic(paging);
            return None;
        }
        let log = &hub.logs[usize::from(*log)];
        // Of a page that has come to nothing meanwhile, and nothing is kept before it, there is nothing to go on below.
        let after = if plan.more == Some(false) && blocks.is_empty() { Offset(0) } else { plan.after };
        let upto = if plan.ends_below() { plan.upto } else { part.upto.max(after) };
        Some(Answer::Page(PageRead {
            after: vec![log.position(after)],
            upto: vec![log.position(upto)],
            gap: plan.gap,
            blocks: std::mem::take(blocks),
            more: plan.more.unwrap_or(upto != plan.upto),
            ..PageRead::default()
        }))
    }
}

impl Plan {
    /// Whether it is a page that ends below a place: what does not fit are the oldest.
    const fn ends_below(&self) -> bool {
        self.more.is_some()
    }

    /// What lies up to there went since.
    fn lose(&mut self, lost: Offset) {
        let (epoch, reason) = (self.tail.epoch(), GapReason::Retention);
        let (from, to) = if self.ends_below() {
            (self.more, self.after) = (Some(false), lost.min(self.upto));
            (Offset(1), self.after)
        } else {
            (std::mem::replace(&mut self.after, lost).next(), lost)
        };
        if self.is_owed && !mutant::active(Mutant::GapNotTold) {
            let gap = Gap { epoch, from, to, reason };
            self.gap = Some(self.gap.map_or(gap, |told| Gap { to, ..told }));
        }
    }
}

/// The log that a topic's tail is of.
pub(super) fn of_tail(tail: &Tail, logs: &[Log]) -> u8 {
    let place = logs.iter().position(|log| log.epoch == tail.epoch());
    place.and_then(|place| u8::try_from(place).ok()).unwrap_or(0)
}

/// The messages of a topic's block up to a place.
fn up_to<'a>(block: &Block<'a>, upto: Offset) -> Block<'a> {
    let mut records = block.records();
    let mut left = records.rest_bytes();
    while let Some(Ok(record)) = records.next()
        && record.offset <= upto
    {
        left = records.rest_bytes();
    }
    let end = block.records.len() - left;
    Block { records: block.records.get(..end).unwrap_or_default(), ..block.clone() }
}
