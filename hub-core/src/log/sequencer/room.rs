//! Whether there is room for publishes to wait, and in a commit.

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::Code;

use crate::frames::BODY_BYTES_MAX;
use crate::ledger::Kind;
use crate::log::sequencer::Sequencer;
use crate::log::submission::{Pending, Submission, Wish};

impl Sequencer {
    /// Whether no commit holds so many publishes with so many bytes of messages, which are stored together: never, so that
    /// nobody is to try again.
    pub(super) fn is_beyond_a_commit(&self, count: usize, bytes: usize) -> bool {
        self.engine.is_lasting() && stored_bytes(count, bytes) > BODY_BYTES_MAX - OWN_BYTES
    }

    /// Why publishes cannot be taken now, if so.
    pub(super) fn keeps_out(&self, submissions: &[Submission<'_>]) -> Option<Code> {
        let mut wishes = submissions.iter().map(|submission| submission.wish);
        if let Some(code) = wishes.find_map(|wish| self.engine.refuses(wish == Wish::Append)) {
            return Some(code);
        }
        let appended = || submissions.iter().filter(|submission| submission.wish == Wish::Append);
        let bytes: usize = appended().map(|submission| submission.record.len()).sum();
        // A batch may be larger than that by itself, but no more than one frame.
        let fits_alone = submissions.len() > 1 && self.pending_bytes == 0;
        let is_much = !fits_alone && self.pending_bytes + bytes > self.limits.pending_bytes_max;
        let waits_too_much =
            self.engine.is_lasting() && !fits_alone && self.waits_too_much(submissions, bytes);
        let is_kept_out = appended().next().is_some() && is_much
            || waits_too_much
            || appended().any(|submission| submission.account.is_restricted() || !self.may_keep(submission));
        is_kept_out.then_some(Code::Overloaded)
    }

    /// Whether an account may keep a message as the latest of its key, if its topic keeps those: as many bytes as are left for
    /// others. Keys that it has can be removed for ever.
    fn may_keep(&self, submission: &Submission<'_>) -> bool {
        let (tail, record) = (&submission.topic.tail, &submission.record);
        if !tail.keeps_latest() {
            return true;
        }
        let attributes = Attributes::take(record.ext).unwrap_or_default();
        if attributes.remove && record.payload.is_empty() && tail.knows(&attributes.key) {
            return true;
        }
        submission.account.may_hold(Kind::Latest, submission.record.len(), self.limits.latest_fit())
    }

    /// Whether more would wait than may, of one account: as many, and as many bytes, as are left for others.
    fn waits_too_much(&self, submissions: &[Submission<'_>], bytes: usize) -> bool {
        let (max, count) = (self.limits.pending_bytes_max, submissions.len());
        let left = PENDING_MAX.saturating_sub(self.pending.len());
        submissions.iter().any(|submission| {
            let account = submission.account;
            let theirs = self.waiting_of.get(&account.key()).copied().unwrap_or_default();
            theirs + count > left || !account.may_hold(Kind::Staged, bytes, max)
        })
    }

    /// A publish waits from now on.
    pub(super) fn hold(&mut self, pending: &Pending) {
        self.pending_bytes += pending.message_len();
        pending.account.charge(Kind::Staged, pending.bytes());
        if !self.engine.is_lasting() {
            return;
        }
        *self.waiting_of.entry(pending.account.key()).or_default() += 1;
        if let Some((window, seq, _)) = pending.numbered {
            self.waiting.insert((window, seq), pending.serial);
        }
    }

    /// What waited does so no more.
    pub(super) fn release(&mut self, pending: &Pending) {
        self.pending_bytes -= pending.message_len();
        pending.account.release(Kind::Staged, pending.bytes());
        if !self.engine.is_lasting() {
            return;
        }
        let key = pending.account.key();
        if let Some(count) = self.waiting_of.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                self.waiting_of.remove(&key);
            }
        }
        if let Some((window, seq, _)) = pending.numbered {
            self.waiting.remove(&(window, seq));
        }
    }
}

/// Bytes that publishes take in a commit, at most.
const fn stored_bytes(count: usize, bytes: usize) -> usize {
    bytes.saturating_add(count * BESIDE_BYTES)
}

/// Whether a commit that has so many bytes by now holds what is to be stored together, too. What was taken in fits one of its
/// own, beside the little that the log always says.
pub(super) fn fits<'a>(body_bytes: usize, together: impl Iterator<Item = &'a Pending>) -> bool {
    let (count, bytes) = together.fold((0, 0), |(count, bytes), it| (count + 1, bytes + it.message_len()));
    body_bytes <= OWN_BYTES || body_bytes + stored_bytes(count, bytes) <= BODY_BYTES_MAX
}

/// Bytes of a commit that say how the log stands, where that is no more than it has to be.
const OWN_BYTES: usize = 16 << 10;
/// Bytes of a commit beyond which it says no more of windows that nothing was published by: a largest message that waits fits it
/// all the same.
pub(super) const NEWS_BYTES_MAX: usize = OWN_BYTES / 2;
/// Bytes that stand beside a message at most: its topic and its producer, twice, who sent it, and numbers.
const BESIDE_BYTES: usize = 1_280;
/// Publishes that wait for a commit at once.
const PENDING_MAX: usize = 32_768;
