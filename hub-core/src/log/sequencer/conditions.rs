//! Publishes that hang on the latest message of their key, and keys whose values expire: only in topics that keep the latest
//! of each.

use std::collections::BTreeMap;
use std::sync::Arc;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::number::{Handle, Offset, TailNumber};

use crate::clock::Millis;
use crate::letter::Address;
use crate::log::sequencer::Sequencer;
use crate::log::submission::{Beside, Submission, Wish};
use crate::mutant::{self, Mutant};
use crate::record::Record;
use crate::topic::Topic;

/// Keys that a batch has set before, and whether it has removed them.
pub(super) type Before = BTreeMap<(TailNumber, Box<str>), bool>;

impl Sequencer {
    /// A publish, or if what it asks for does not hold, its refusal.
    pub(super) fn conditioned<'a>(
        &self,
        now: Millis,
        submission: &Submission<'a>,
        before: &Before,
    ) -> Submission<'a> {
        let Submission { topic, terms, record, wish, .. } = *submission;
        let keeps_latest = topic.tail.keeps_latest();
        if wish == Wish::Append && self.is_beyond_a_commit(1, record.len()) {
            return submission.refused(Code::TooLarge);
        }
        if wish != Wish::Append || !keeps_latest && terms.are_unconditional() {
            return *submission;
        }
        if !keeps_latest {
            return submission.refused(Code::NotSupported);
        }
        let attributes = Attributes::take(record.ext).unwrap_or_default();
        if attributes.key.is_empty() {
            return submission.refused(Code::BadMessage);
        }
        if terms.are_unconditional() {
            return *submission;
        }
        let set_before = before.get(&(topic.tail.number, Box::from(&*attributes.key)));
        let version = match set_before {
            Some(false) => Some(self.last.next()),
            Some(true) => None,
            None => topic.tail.version(self.clock.max(now), &attributes.key),
        };
        let is_version = terms.if_version.is_none_or(|asked| {
            set_before.is_none() && asked.epoch == self.epoch && version == Some(asked.offset)
        });
        if is_version && !(terms.if_absent && version.is_some()) {
            return *submission;
        }
        // What the batch itself would have set is nowhere yet.
        let current = version.filter(|_| set_before.is_none()).unwrap_or_default();
        submission.wishing(Wish::Fail(current))
    }

    /// A batch of which each is judged as if those before it had been taken.
    pub(super) fn conditioned_whole<'a>(&self, now: Millis, batch: &[Submission<'a>]) -> Vec<Submission<'a>> {
        let mut before = Before::new();
        let mut judged = Vec::with_capacity(batch.len());
        let (mut bytes, mut is_beyond) = (0, false);
        for (count, submission) in (1..).zip(batch) {
            bytes += submission.record.len();
            judged.push(if !is_beyond && self.is_beyond_a_commit(count, bytes) {
                is_beyond = true;
                submission.refused(Code::TooLarge)
            } else {
                self.conditioned(now, submission, &before)
            });
            if submission.topic.tail.keeps_latest() && !mutant::active(Mutant::ConditionsJudgedApart) {
                let attributes = Attributes::take(submission.record.ext).unwrap_or_default();
                before.insert((submission.topic.tail.number, (&*attributes.key).into()), attributes.remove);
            }
        }
        judged
    }

    /// The latest message of a publish's key; 0 if it has no value.
    pub(super) fn version_for(&self, now: Millis, submission: &Submission<'_>) -> Offset {
        let attributes = Attributes::take(submission.record.ext).unwrap_or_default();
        submission.topic.tail.version(self.clock.max(now), &attributes.key).unwrap_or_default()
    }

    /// Removes some keys of a topic whose values have expired. Those who follow it hear of it as of any removal. Tells how many.
    pub fn remove_expired(&mut self, now: Millis, topic: &Arc<Topic>) -> usize {
        let mut removed = 0;
        for expired in topic.tail.expired_keys(self.clock.max(now), EXPIRED_AT_ONCE) {
            let mut ext = Vec::new();
            Attributes { key: (&*expired.key).into(), remove: true, ..Attributes::default() }.put(&mut ext);
            let submission = Submission {
                origin: NOBODY,
                handle: Handle(0),
                account: &expired.account,
                topic,
                numbered: None,
                is_call: false,
                wish: Wish::Append,
                whole: 1,
                terms: Terms::default(),
                record: Record { content: Content::Json, ext: &ext, ..Record::default() },
            };
            if self.keeps_out(std::slice::from_ref(&submission)).is_some() {
                break;
            }
            self.place(now, &submission, Beside::default(), None);
            removed += 1;
        }
        removed
    }
}

/// So many in one hold of the lock: bounds how long publishing waits.
pub const EXPIRED_AT_ONCE: usize = 64;
/// Nobody is told.
const NOBODY: Address = Address { shard: 0, slot: 0, generation: 0, serial: crate::letter::Serial(0) };
