//! Publishes by call: what became of each try, and that all tries with one key are one.

use tidewire_protocol::number::{Epoch, Offset};

use crate::oracle::fate::Fate;
use crate::oracle::{Oracle, Publish, Uid};

/// Where a message is, as a caller is told.
#[derive(Debug, Clone, Copy)]
pub struct Placed {
    /// In which log.
    pub epoch: Epoch,
    /// Where there.
    pub offset: Offset,
    /// Whether an earlier try brought it there.
    pub is_duplicate: bool,
}

impl Oracle {
    /// A message of a call becomes visible: once, and in the order of its call, as long as the hub knows of its key.
    pub(super) fn check_called(&mut self, uid: Uid, publish: &Publish) {
        if publish.seen > 0 && !self.forgets {
            self.object(format_args!("#{uid} was called for, and is in the log twice: {publish:?}"));
        }
        if publish.fate == Fate::Refused {
            self.object(format_args!("#{uid} was called for, refused, and became visible"));
        }
        let shown = self.shown.entry((publish.actor, publish.party, publish.topic)).or_default();
        let (counter, before) = (publish.counter, *shown);
        *shown = before.max(counter);
        if counter <= before && !self.forgets {
            self.object(format_args!("#{uid}, number {counter} of its call, comes after {before}"));
        }
    }

    /// A try of a call is told where one of its messages is.
    pub fn call_placed(&mut self, uid: Uid, placed: Placed) {
        let known = self.log(placed.epoch).map(|log| &self.logs[log]);
        let stored = known.and_then(|log| log.record(placed.offset));
        let is_unseen = known.is_some_and(|log| log.may_have_had(placed.offset));
        if stored.is_none_or(|record| record.uid != uid) && !(stored.is_none() && is_unseen) {
            self.object(format_args!("#{uid} is told to be at {placed:?}, and there is {stored:?}"));
        }
        let publish = &mut self.publishes[uid as usize];
        let before = std::mem::replace(&mut publish.fate, Fate::Done);
        if before == Fate::Done && !placed.is_duplicate && !self.forgets {
            self.object(format_args!("#{uid} is told twice to be new: {placed:?}"));
        }
        if before == Fate::Refused {
            self.object(format_args!("#{uid} was refused, and is told to be at {placed:?}"));
        }
    }

    /// A call has failed for good: whether it is in the log is known only of one that was never taken.
    pub fn call_failed(&mut self, uid: Uid, is_known: bool) {
        let publish = &mut self.publishes[uid as usize];
        if publish.fate == Fate::Waiting {
            publish.fate = if is_known { Fate::Refused } else { Fate::Failed };
        }
        let Publish { seen, fate, .. } = *publish;
        if fate == Fate::Refused && seen > 0 {
            self.object(format_args!("#{uid} was called for, is refused and is in the log"));
        }
    }
}

/// The actor of all that was called for.
pub const CALLERS: usize = usize::MAX - 1;
