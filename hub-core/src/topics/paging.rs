//! Pages that need no look at many topics: a topic's, and where a pattern's messages end.

use std::sync::Arc;

use tidewire_protocol::block::{Block, put_on_page};
use tidewire_protocol::code::GapReason;
use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};

use crate::clock::Millis;
use crate::log::Log;
use crate::mutant::{self, Mutant};
use crate::reading::job::PageRead;
use crate::reading::start::{self, Stand};
use crate::sync::lock;
use crate::tail::reading_back::Back;
use crate::topic::Topic;
use crate::topics::Topics;

impl Topics {
    /// Reads a page of history; `None` if that takes a look at many topics: ask [`Self::read`].
    #[must_use]
    pub fn page(
        &self,
        now: Millis,
        selector: &Selector,
        start: &Start,
        bytes_max: usize,
    ) -> Option<PageRead> {
        match selector {
            Selector::Topic(name) => Some(match start {
                Start::Before { last, positions } => {
                    self.topic_page_below(now, name, positions, *last, bytes_max)
                }
                Start::Last(0) => self.topic_end(now, name),
                start => self.topic_page(now, name, start, bytes_max),
            }),
            Selector::Pattern(_) if *start == Start::Latest => {
                let ends: Vec<_> = self.logs.iter().map(|log| log.position(log.visible())).collect();
                Some(PageRead { after: ends.clone(), upto: ends, ..PageRead::default() })
            }
            Selector::Pattern(_) => None,
        }
    }

    /// No messages, but where the last one is that is kept.
    fn topic_end(&self, now: Millis, name: &TopicName) -> PageRead {
        let (log, topic, _) = self.look_up(name);
        let kept = topic.filter(|topic| topic.tail.readable()).map(|topic| topic.tail.bounds(now));
        let last = kept.filter(|(gone, last)| gone < last).map_or(Offset(0), |(_, last)| last);
        let place = vec![log.position(last)];
        PageRead { after: place.clone(), upto: place, ..PageRead::default() }
    }

    fn topic_page(&self, now: Millis, name: &TopicName, start: &Start, bytes_max: usize) -> PageRead {
        let (log, topic, forgotten) = self.look_up(name);
        let mut stand = start::of_topic(log, now, topic.as_deref(), forgotten, start);
        let read = |stand: &Stand| {
            let tail = &topic.as_ref()?.tail;
            Some(tail.read_after(now, stand.cursor, bytes_max))
        };
        let mut found = read(&stand);
        // What went between the two looks would be missing without a word: from where the rest begins it is looked for anew.
        while let Some(gone) =
            found.as_ref().map(|found| found.cached_from).filter(|gone| *gone > stand.cursor)
        {
            stand.lose(log, gone);
            found = read(&stand);
        }
        let mut page =
            PageRead { after: vec![log.position(stand.cursor)], gap: stand.gap, ..PageRead::default() };
        let mut upto = stand.cursor;
        if let Some(found) = found {
            let mut scratch = Vec::new();
            for block in &found.blocks {
                put_on_page(&block.wire(), &mut scratch, &mut page.blocks);
            }
            upto = found.blocks.last().map_or(stand.cursor, |block| block.last);
            page.more = upto < found.last;
        }
        page.upto = vec![log.position(upto)];
        page
    }

    /// Whatever its bound in bytes, the page ends where it was asked to: what does not fit are the oldest.
    fn topic_page_below(
        &self,
        now: Millis,
        name: &TopicName,
        positions: &[Position],
        last: u64,
        bytes_max: usize,
    ) -> PageRead {
        let (log, topic, forgotten) = self.look_up(name);
        let Some(upto) = start::below(log, positions) else {
            let begin = vec![log.position(Offset(0))];
            let is_kept = topic.is_none_or(|topic| topic.tail.readable());
            let (from, to, reason) = (Offset(1), Offset(0), GapReason::EpochChanged);
            let gap = is_kept.then_some(Gap { epoch: log.epoch, from, to, reason });
            return PageRead { after: begin.clone(), upto: begin, gap, ..PageRead::default() };
        };
        let (back, reason) = match &topic {
            None => {
                let upto = upto.min(log.visible());
                (Back { upto, gone: forgotten, ..Back::default() }, GapReason::Forgotten)
            }
            Some(topic) if topic.tail.readable() => {
                (topic.tail.read_back(now, upto, last, bytes_max), GapReason::Retention)
            }
            Some(topic) => {
                let (_, last) = topic.tail.bounds(now);
                (Back { upto: upto.min(last), ..Back::default() }, GapReason::Retention)
            }
        };
        let (from, to) = (Offset(1), back.gone.min(back.upto));
        let is_lacking = !back.more && to >= from && !mutant::active(Mutant::GapNotTold);
        let gap = is_lacking.then_some(Gap { epoch: log.epoch, from, to, reason });
        let (mut blocks, mut scratch) = (Vec::new(), Vec::new());
        for block in &back.blocks {
            put_on_page(&up_to(&block.wire(), back.upto), &mut scratch, &mut blocks);
        }
        let (after, upto) = (vec![log.position(back.after)], vec![log.position(back.upto)]);
        PageRead { after, upto, gap, blocks, more: back.more }
    }

    /// Where a topic is, what there is of it, and how far it is gone if that is nothing.
    fn look_up(&self, name: &TopicName) -> (&Log, Option<Arc<Topic>>, Offset) {
        let names = lock(&self.names);
        let index = names.log_of(name);
        (self.log(index), names.find(name).cloned(), names.gone(name, index))
    }
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
