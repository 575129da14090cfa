//! The thread that does for the durable log what can wait: it makes segments ahead, removes those that nobody needs, and
//! merges those of which little is needed.
//!
//! What of a segment is needed is known once it was read: which topics have messages there, and how many bytes of them. From
//! then on topics are asked what of that is gone, and a segment is read again when it is merged. So the work is in
//! proportion to what is stored; where nothing is won by it, it is bounded by the second.

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, TryRecvError};

use tidewire_hub_core::frames::{Merged, SegmentNumber};
use tidewire_hub_core::topics::Topics;
use tracing::warn;

use crate::disk::files::{Files, SegmentFile};
use crate::disk::merging::Merging;
use crate::disk::store::{Spare, SpareOrder};
use crate::reactor::clock::Clock;
use crate::reactor::logs::DISK_LOG;
use crate::reactor::tidier::choosing::{Candidate, choose, is_due};
use crate::reactor::tidier::holding::{Holding, Place};

mod holding;

mod choosing;

/// What there is to do.
#[derive(Debug)]
pub(super) enum Chore {
    /// A segment is wanted soon.
    Spare(SpareOrder),
    /// All that stands was told anew from this commit on.
    Told {
        /// Its number.
        since: u64,
    },
    /// A second has passed.
    Look,
}

/// Looks after the segments.
pub(super) struct Tidier {
    topics: Arc<Topics>,
    files: Files,
    segment_bytes: u64,
    /// What was told before this commit is needed only for its messages.
    told_since: u64,
    known: BTreeMap<SegmentNumber, Holding>,
    /// Those up to this one are read as time allows.
    old: SegmentNumber,
    /// For reading what was there at the start, or is known too vaguely.
    for_old: Allowance,
    /// For merging where it turns out that too much is needed.
    for_vain: Allowance,
    /// So many looks are passed over: topics were asked for much.
    pause: usize,
    /// Segments may be left in whose place a merged one is.
    is_untidy: bool,
    clock: Clock,
}

impl Tidier {
    pub(super) fn new(
        topics: Arc<Topics>,
        files: Files,
        segment_bytes: u64,
        clock: Clock,
    ) -> io::Result<Self> {
        let old = files.segments()?.last().map(|segment| segment.number).unwrap_or_default();
        let (for_old, for_vain) = (Allowance::default(), Allowance::default());
        Ok(Self {
            topics,
            files,
            segment_bytes,
            told_since: 0,
            known: BTreeMap::new(),
            old,
            for_old,
            for_vain,
            pause: 0,
            is_untidy: false,
            clock,
        })
    }

    /// Does what comes, until nobody has anything to do any more.
    pub(super) fn run(mut self, chores: &Receiver<Chore>, made: &Sender<Spare>) {
        let mut is_more = false;
        loop {
            let chore = if is_more { chores.try_recv() } else { chores.recv().map_err(TryRecvError::from) };
            let done = match chore {
                Ok(Chore::Spare(order)) => order.make().map(|spare| {
                    let _ = made.send(spare);
                    is_more
                }),
                Ok(Chore::Told { since }) => self.told(since),
                Ok(Chore::Look) => self.look(),
                Err(TryRecvError::Empty) => self.tidy(),
                Err(TryRecvError::Disconnected) => return,
            };
            is_more = done.unwrap_or_else(|error| {
                warn!(target: "storage", "the log's files cannot be tidied up now: {error}");
                false
            });
        }
    }

    /// All that stands was told anew.
    fn told(&mut self, since: u64) -> io::Result<bool> {
        self.told_since = since;
        self.tidy()
    }

    /// A second has passed.
    fn look(&mut self) -> io::Result<bool> {
        let max = i64::try_from(self.segment_bytes).unwrap_or(i64::MAX).saturating_mul(2);
        self.for_old.grow(max);
        self.for_vain.grow(max);
        match self.pause.checked_sub(1) {
            Some(left) => {
                self.pause = left;
                Ok(false)
            }
            None => self.tidy(),
        }
    }

    /// Removes the oldest segments as long as nothing in them is needed, then merges some if too much is held that is not. Tells
    /// whether there may be more to do.
    fn tidy(&mut self) -> io::Result<bool> {
        if std::mem::take(&mut self.is_untidy) {
            let removed = self.files.remove_replaced();
            self.is_untidy = removed.is_err();
            removed?;
        }
        let all = self.files.segments()?;
        let written_to = all.iter().position(|segment| self.files.is_written_to(segment.number));
        let (sealed, rest) = all.split_at(written_to.unwrap_or(all.len()));
        self.known.retain(|number, _| sealed.iter().any(|segment| segment.number == *number));
        self.read(sealed)?;
        self.pause = self.spans() / SPANS_ASKED;
        let mut sealed = sealed;
        while let Some((first, others)) = sealed.split_first()
            && self.may_go(first.number)
            && self.may_go_for_sure(first.number)?
        {
            self.files.remove(first.number)?;
            self.known.remove(&first.number);
            sealed = others;
        }
        let idle: u64 = rest.iter().map(|segment| segment.bytes).sum();
        self.merge_some(sealed, idle)
    }

    /// Reads segments that are not known, and again those that are known too vaguely.
    fn read(&mut self, sealed: &[SegmentFile]) -> io::Result<()> {
        let mut topics = None;
        for (index, segment) in sealed.iter().enumerate() {
            let known = self.known.get(&segment.number);
            let is_new = known.is_none() && (index == 0 || segment.number > self.old);
            let may_be = known.is_none_or(|known| known.is_vague() && known.spans() == 0);
            if !is_new && (!may_be || self.for_old.is_used_up()) {
                continue;
            }
            if !is_new {
                self.for_old.pay(segment.bytes);
            }
            let topics = topics.get_or_insert_with(|| self.topics.stored_topics(DISK_LOG));
            let (number, is_oldest, told_since) = (segment.number, index == 0, self.told_since);
            let place = Place { number, is_oldest, told_since, now: self.clock.now() };
            let read = Holding::read(&self.files, place, topics, self.spans_max(), None)?;
            self.known.insert(segment.number, read);
        }
        Ok(())
    }

    /// How many topics are remembered, over all segments.
    fn spans(&self) -> usize {
        self.known.values().map(Holding::spans).sum()
    }

    /// How many may be of one more.
    fn spans_max(&self) -> usize {
        (SPANS_MAX.saturating_sub(self.spans()) / 4).max(SPANS_MIN)
    }

    /// Whether nothing in a segment is needed.
    fn may_go(&mut self, number: SegmentNumber) -> bool {
        let (now, told_since) = (self.clock.now(), self.told_since);
        let known = self.known.get_mut(&number);
        // Of one in which no commit can be read nobody knows what it holds.
        known.is_some_and(|known| {
            let last = known.stands_for.last.0;
            last > 0 && last < told_since && known.live(now, told_since) == 0
        })
    }

    /// Of one that was not whole when it was read there may have been more, which could not be read then: it is read again.
    fn may_go_for_sure(&mut self, number: SegmentNumber) -> io::Result<bool> {
        if self.known.get(&number).is_some_and(|known| known.is_whole) {
            return Ok(true);
        }
        if self.for_old.is_used_up() {
            return Ok(false);
        }
        let place = Place { number, is_oldest: true, told_since: self.told_since, now: self.clock.now() };
        let topics = self.topics.stored_topics(DISK_LOG);
        let read = Holding::read(&self.files, place, &topics, self.spans_max(), None)?;
        self.for_old.pay(read.bytes);
        let is_unreadable = read.is_unreadable;
        self.known.insert(number, read);
        Ok(!is_unreadable && self.may_go(number))
    }

    /// Merges those of which that frees the most, if it is time to. `idle` bytes are in segments that are written to.
    fn merge_some(&mut self, sealed: &[SegmentFile], idle: u64) -> io::Result<bool> {
        let (mut before, now, told_since) = (None, self.clock.now(), self.told_since);
        let candidate = |segment: &SegmentFile| {
            let known = self.known.get_mut(&segment.number);
            let ends = known.as_ref().map(|known| (segment.number, known.stands_for.last));
            let before = std::mem::replace(&mut before, ends);
            let Some(known) = known else {
                let (bytes, live) = (segment.bytes, segment.bytes);
                return Candidate { bytes, live, may_merge: false, follows: false };
            };
            Candidate {
                bytes: segment.bytes,
                live: known.live(now, told_since),
                may_merge: known.is_whole && known.stands_for.last.0 < told_since,
                follows: before.is_some_and(|(segment, commit)| {
                    (segment.next(), commit.next()) == (known.stands_for.from, known.stands_for.first)
                }),
            }
        };
        let candidates: Vec<_> = sealed.iter().map(candidate).collect();
        let (bytes, live) = candidates
            .iter()
            .fold((idle, idle), |(bytes, live), segment| (bytes + segment.bytes, live + segment.live));
        if self.for_vain.is_overdrawn() || !is_due(bytes, live, self.segment_bytes) {
            return Ok(false);
        }
        match choose(&candidates, self.segment_bytes) {
            Some(run) => self.merge(&sealed[run.clone()], run.start == 0).map(|()| true),
            None => Ok(false),
        }
    }

    /// Merges these, the oldest or others, unless less would be freed by it than written.
    fn merge(&mut self, run: &[SegmentFile], are_oldest: bool) -> io::Result<()> {
        let (Some(first), Some(last)) = (run.first(), run.last()) else { return Ok(()) };
        let stands_for = |number| self.known.get(number).map(|known| known.stands_for);
        let (Some(begins), Some(ends)) = (stands_for(&first.number), stands_for(&last.number)) else {
            return Ok(());
        };
        let merged = Merged { from: begins.from, first: begins.first, last: ends.last };
        let bytes: u64 = run.iter().map(|segment| segment.bytes).sum();
        let (topics, now, told_since) =
            (self.topics.stored_topics(DISK_LOG), self.clock.now(), self.told_since);
        let mut merging = Merging::new(&self.files, last.number);
        let mut read = Vec::new();
        for segment in run {
            // Of what is gone nothing comes back.
            if self.known.get_mut(&segment.number).is_some_and(|known| known.live(now, told_since) == 0) {
                continue;
            }
            let (number, max) = (segment.number, self.spans_max());
            let place = Place { number, is_oldest: are_oldest, told_since, now: self.clock.now() };
            let holding = Holding::read(&self.files, place, &topics, max, Some(&mut merging))?;
            let is_whole = holding.is_whole;
            read.push((number, holding));
            if !is_whole || merging.bytes() > bytes / 2 {
                // What is known of them is right again.
                self.for_vain.pay(read.iter().map(|(_, holding)| holding.bytes).sum());
                self.known.extend(read);
                return Ok(());
            }
        }
        let (number, written) = (last.number, merging.bytes());
        run.iter().for_each(|segment| drop(self.known.remove(&segment.number)));
        if let Err(error) = self.files.merge(merging, merged) {
            self.for_vain.pay(bytes);
            (self.is_untidy, self.old) = (true, self.old.max(number));
            return Err(error);
        }
        let read = read.into_iter().map(|(_, holding)| holding).collect();
        self.know_merged(number, read, merged, written);
        Ok(())
    }

    /// What is known of a segment of so many bytes that was merged from these just now.
    fn know_merged(&mut self, number: SegmentNumber, of: Vec<Holding>, stands_for: Merged, bytes: u64) {
        let counted = (self.clock.now(), self.spans_max());
        self.known.insert(number, Holding::merged(of, stands_for, bytes, counted));
    }
}

/// How many bytes may be read of one kind; less than none where more were.
#[derive(Debug, Default)]
struct Allowance(i64);

impl Allowance {
    /// A second has passed. It comes to so much at most.
    fn grow(&mut self, max: i64) {
        self.0 = self.0.saturating_add(IDLE_BYTES).min(max.max(IDLE_BYTES));
    }

    fn pay(&mut self, bytes: u64) {
        self.0 = self.0.saturating_sub(i64::try_from(bytes).unwrap_or(i64::MAX));
    }

    const fn is_used_up(&self) -> bool {
        self.0 <= 0
    }

    const fn is_overdrawn(&self) -> bool {
        self.0 < 0
    }
}

/// So many bytes of each kind may be read a second though nothing is won by it.
const IDLE_BYTES: i64 = 4 << 20;
/// So many topics are remembered over all segments: some 16 MiB of them.
const SPANS_MAX: usize = 1 << 19;
/// So many of each segment at least.
const SPANS_MIN: usize = 1 << 10;
/// For each so many one look is passed over.
const SPANS_ASKED: usize = 1 << 16;

#[cfg(test)]
mod tests;
