//! Batches: all messages of one are in a log, side by side, or none of them is.

use std::collections::BTreeSet;

use tidewire_protocol::code::Code;

use crate::names::{KEYED, TOPICS};
use crate::oracle::fate::{Cause, Fate};
use crate::oracle::payload::expires_soon;
use crate::oracle::{Oracle, Publish, Uid};

/// Publishes of which a hub takes all or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Batch {
    /// The first.
    pub first: Uid,
    /// How many follow each other; 0 for none.
    pub count: u32,
}

/// A batch of which some is visible.
#[derive(Debug)]
pub(crate) struct Open {
    batch: Batch,
    seen: BTreeSet<Uid>,
}

impl Batch {
    /// Whether a publish is of it.
    #[must_use]
    pub fn has(self, uid: Uid) -> bool {
        uid.wrapping_sub(self.first) < self.count
    }

    fn uids(self) -> std::ops::Range<Uid> {
        self.first..self.first + self.count
    }
}

impl Oracle {
    /// A message became visible: with it, one by one, all of its batch must. Where not everything is kept, some may have
    /// gone before anybody could look; nor where one may have replaced another, or its time may be over.
    pub(super) fn check_batch(&mut self, log: usize, uid: Uid) {
        if !self.keeps_all {
            return;
        }
        let records = &self.logs[log].records;
        let offsets = records.iter().rev().take(2).map(|record| record.offset);
        let is_next = offsets.reduce(|last, before| last - before) == Some(1);
        let batch = self.publishes[uid as usize].batch;
        let is_keyed = |uid: Uid| self.publishes[uid as usize].topic == KEYED;
        if self.keyed && batch.uids().any(is_keyed) || batch.uids().any(expires_soon) {
            return;
        }
        match self.open.remove(&log) {
            None if batch.count > 1 => _ = self.open.insert(log, Open { batch, seen: [uid].into() }),
            None => {}
            Some(mut open) => {
                if !open.batch.has(uid) || !open.seen.insert(uid) || !is_next {
                    return self.object(format_args!("#{uid} became visible in the middle of {open:?}"));
                }
                if open.seen.len() < open.batch.count as usize {
                    self.open.insert(log, open);
                }
            }
        }
    }

    /// In a calm, nothing is half visible.
    pub(super) fn check_no_batch_is_open(&mut self) {
        let life = self.life(0);
        if let Some((_, open)) = self.open.iter().find(|(log, _)| life.contains(log)) {
            let what = format!("half of a batch is visible: {open:?}");
            self.object(what);
        }
    }

    /// If one of a batch is in the log, none was refused.
    pub(super) fn check_fates(&mut self, uid: Uid) {
        let batch = self.publishes[uid as usize].batch;
        let has = |fate| batch.uids().any(|uid| self.publishes[uid as usize].fate == fate);
        if has(Fate::Done) && has(Fate::Refused) {
            self.object(format_args!("#{uid} and others of {batch:?} ended apart"));
        }
    }

    /// Whether a message may go because its time is over, or that of another of its batch.
    pub(super) fn may_expire(&self, uid: Uid) -> bool {
        let batch = self.publishes[uid as usize].batch;
        expires_soon(uid) || batch.count > 0 && batch.uids().any(expires_soon)
    }

    /// What becomes of a message that fails with the others of its batch; `None` if it should not.
    pub(super) fn batch_may_fail(&self, uid: Uid, code: Code, cause: Cause) -> Option<Fate> {
        let batch = self.publishes[uid as usize].batch;
        if batch.count == 0 {
            return None;
        }
        let mut members = batch.uids().map(|uid| self.publishes[uid as usize]);
        let log_of = |of: &Publish| self.log_of[usize::from(of.topic).min(TOPICS - 1)];
        // Rules that closed its topic leave nobody to tell.
        let unknown = |of: Publish| of.fate == Fate::Failed || self.closing.may_refuse(of.topic);
        match code {
            Code::NotSupported => {
                let logs: BTreeSet<_> = members.map(|member| log_of(&member)).collect();
                (logs.len() > 1).then_some(Fate::Refused)
            }
            Code::BatchRefused => Some(if members.any(unknown) { Fate::Failed } else { Fate::Refused }),
            // Some lost their outcome: the hub forgot them, or none was stored.
            Code::OutcomeForgotten => {
                let is_known = members.any(|of| of.fate == Fate::Refused || unknown(of));
                (cause.forgets || cause.anew || is_known).then_some(Fate::Failed)
            }
            _ => None,
        }
    }
}
