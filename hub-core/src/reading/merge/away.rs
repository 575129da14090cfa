//! What of a merge is on the disk only: which messages its next part takes, and how they come into it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::Arc;

use tidewire_protocol::number::Offset;

use crate::block::Entry;
use crate::clock::{Millis, NEVER};
use crate::reading::fetch::Fetch;
use crate::reading::gather::HEAD_BYTES;
use crate::reading::merge::{Filling, Merge, Source};
use crate::reading::most::Most;
use crate::tail::Tail;
use crate::tail::away::{Place, Run};

/// A source as it will stand.
struct Ahead {
    place: u32,
    before: Offset,
    run: Arc<Run>,
}

impl Merge {
    /// The next messages that are away, in order: as many as a part of so much takes, about.
    pub fn wanted(&mut self, now: Millis, most: Most) -> Vec<Offset> {
        let (mut wanted, mut bytes, mut taken) = (Vec::new(), 0, Vec::new());
        let most = Most { bytes: most.bytes.max(1), messages: most.messages.clamp(1, WANTED_MAX) };
        let mut ahead: Vec<Ahead> = Vec::new();
        // Those that are looked at more than once, by what they have next.
        let mut again: BinaryHeap<Reverse<(Offset, u32)>> = BinaryHeap::new();
        while bytes < most.bytes && wanted.len() < most.messages && taken.len() < TAKEN_MAX {
            let (new, old) = (self.next.peek().copied(), again.peek().copied());
            let is_new = match (new, old) {
                (Some(new), Some(old)) => new > old,
                (new, _) => new.is_some(),
            };
            let at = if is_new {
                let Some(Reverse((due, place))) = self.next.pop() else { break };
                taken.push(Reverse((due, place)));
                if due > self.upto {
                    break;
                }
                let source = &self.sources[place as usize];
                let found = source.tail.next_after(now, source.before);
                let Some(run) = found.run.filter(|_| found.gone <= source.before) else { continue };
                ahead.push(Ahead { place, before: source.before, run });
                ahead.len() - 1
            } else {
                let Some(Reverse((due, at))) = again.pop() else { break };
                if due > self.upto {
                    break;
                }
                at as usize
            };
            let other = |heap: &BinaryHeap<Reverse<(Offset, u32)>>| heap.peek().map(|Reverse((due, _))| *due);
            let end = [other(&self.next), other(&again)].into_iter().flatten().min();
            let end = end.unwrap_or(Offset(u64::MAX)).min(self.upto.next());
            let next = &mut ahead[at];
            let tail = &self.sources[next.place as usize].tail;
            let left = most.without(bytes, wanted.len());
            bytes += next.take((end, tail.given_ms(now)), left, &mut wanted);
            if let Some(due) = next.go_on(now, tail) {
                again.push(Reverse((due, at as u32)));
            }
        }
        self.next.extend(taken);
        wanted
    }

    /// What was wanted was read from the disk.
    pub fn bring(&mut self, fetched: Fetch) {
        self.fetched = fetched;
        self.charge.set(self.bytes());
    }
}

impl Ahead {
    /// Wants its messages before `end`, but one at least, as far as they are no more than are `left` and have not expired. Tells
    /// their bytes, about.
    fn take(&mut self, (end, given_ms): (Offset, u64), left: Most, wanted: &mut Vec<Offset>) -> usize {
        let (before, each) = (wanted.len(), self.run.bytes_each() + HEAD_BYTES);
        let most = before + left.messages.min(left.bytes.div_ceil(each));
        let behind = self.before;
        let mut first = true;
        for Place { offset, expires_ms, .. } in self.run.places().filter(|place| place.offset > behind) {
            if wanted.len() == most || !std::mem::take(&mut first) && offset >= end {
                break;
            }
            self.before = offset;
            if expires_ms > given_ms {
                wanted.push(offset);
            }
        }
        (wanted.len() - before) * each
    }

    /// What it has next, if that is away too.
    fn go_on(&mut self, now: Millis, tail: &Tail) -> Option<Offset> {
        if self.run.last <= self.before {
            self.run = tail.next_after(now, self.before).run?;
        }
        self.run.places().map(|place| place.offset).find(|offset| *offset > self.before)
    }
}

impl Source {
    /// Reads on in messages that are away, up to `end`; whether there is room for more. `None` if one was not read from the disk,
    /// or could not be: that says nothing of whether it is there.
    pub(super) fn run_away(
        &mut self,
        run: &Run,
        end: Offset,
        (fetched, given_ms): (&Fetch, u64),
        filling: &mut Filling<'_>,
    ) -> Option<bool> {
        let before = self.before;
        let rest = run.places().skip_while(|place| place.offset <= before);
        for Place { offset, expires_ms, .. } in rest.take_while(|place| place.offset < end) {
            if expires_ms <= given_ms {
                self.before = offset;
                continue;
            }
            if filling.is_full() {
                return Some(false);
            }
            let Some(record) = fetched.get(offset)? else {
                // The disk does not have it, though nobody let go of it: a tail has no holes. All that lacks is told at once.
                let behind = run.places().map(|place| place.offset).skip_while(|behind| *behind < offset);
                let lacking = behind.take_while(|behind| matches!(fetched.get(*behind), Some(None)));
                self.tail.lose(lacking.last().unwrap_or(offset));
                return Some(true);
            };
            let head = record.head();
            let entry = Entry { offset, head, stale_at: NEVER, topic: None, payload: record.payload };
            if !filling.add(&self.tail, &entry) {
                return Some(false);
            }
            self.before = offset;
        }
        Some(true)
    }
}

/// Messages that are read from the disk at once, at most.
const WANTED_MAX: usize = 16_384;
/// Topics that are looked at for one part, at most.
const TAKEN_MAX: usize = 16_384;
