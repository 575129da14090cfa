//! Whether there is room for publishes to wait.

use tidewire_protocol::code::Code;

use crate::ledger::Kind;
use crate::log::sequencer::Sequencer;
use crate::log::submission::{Submission, Wish};

impl Sequencer {
    /// Why publishes cannot be taken now, if so.
    pub(super) fn keeps_out(&self, submissions: &[Submission<'_>]) -> Option<Code> {
        let mut wishes = submissions.iter().map(|submission| submission.wish);
        if let Some(code) = wishes.find_map(|wish| self.engine.refuses(wish == Wish::Append)) {
            return Some(code);
        }
        let appended = || submissions.iter().filter(|submission| submission.wish == Wish::Append);
        let bytes: usize = appended().map(|submission| submission.record.payload.len()).sum();
        // A batch may be larger than that by itself, but no more than one frame.
        let fits_alone = submissions.len() > 1 && self.pending_bytes == 0;
        let is_much = !fits_alone && self.pending_bytes + bytes > self.limits.pending_bytes_max;
        let waits_too_much =
            self.engine.is_lasting() && !fits_alone && self.waits_too_much(submissions, bytes);
        let is_kept_out = appended().next().is_some() && is_much
            || waits_too_much
            || appended().any(|submission| submission.account.is_restricted());
        is_kept_out.then_some(Code::Overloaded)
    }

    /// Whether as much would wait as may not, in all or of one account, which leaves room for others.
    fn waits_too_much(&self, submissions: &[Submission<'_>], bytes: usize) -> bool {
        let max = self.limits.pending_bytes_max;
        self.pending.len() + submissions.len() > PENDING_MAX
            || submissions.iter().any(|submission| !submission.account.may_hold(Kind::Staged, bytes, max))
    }
}

/// Publishes that wait for a commit at once.
const PENDING_MAX: usize = 32_768;
