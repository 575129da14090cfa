//! What a publish means to its producer's window: whether it comes next, and what became of it if it came before. Of a run
//! of voids that is asked part by part, as far as each has one answer: a run is never so many publishes.

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Seq;

use crate::clock::Millis;
use crate::letter::{Fate, Outcome};
use crate::log::sequencer::Sequencer;
use crate::log::sequencer::storing::again;
use crate::log::submission::{Numbered, Submission};
use crate::log::window::Verdict;
use crate::log::window::run::Answer;
use crate::log::windows::WindowKey;

impl Sequencer {
    /// Answers the first of some seqs, and all that follow it and have the same answer; tells how many these are.
    pub(super) fn submit_part(
        &mut self,
        now: Millis,
        submission: &Submission<'_>,
        numbered: &Numbered<'_>,
        rest: Outcome,
    ) -> u64 {
        let (verdict, count) = self.judge(&Numbered { seq: rest.seq, count: rest.count, ..*numbered });
        let outcome = Outcome { count, ..rest };
        match verdict {
            Verdict::Refused(code) => {
                // A forgotten outcome cannot come back: asking again would ask for ever.
                let fate = Fate::Refused { code, consumed: code == Code::OutcomeForgotten };
                self.tell(Outcome { fate, ..outcome });
            }
            Verdict::Seen(Answer::Pending) => {
                let missed = Fate::ConditionFailed(self.version_for(now, submission));
                return self.wait(numbered.window, missed, outcome);
            }
            Verdict::Seen(answer) => {
                self.metrics.duplicates.add(1);
                let durability = self.engine.durability();
                let fate = again(answer, Fate::ConditionFailed(self.version_for(now, submission)));
                self.tell(Outcome { fate, durability, ..outcome });
            }
            Verdict::Next => self.admit(now, submission, Some(outcome)),
        }
        count
    }

    /// What is told of a publish, but for its fate.
    pub(super) fn outcome(&self, submission: &Submission<'_>, numbered: &Numbered<'_>) -> Outcome {
        let Submission { origin, handle, terms, .. } = *submission;
        let durability = self.engine.agreed(terms.durability);
        let Numbered { seq, count, .. } = *numbered;
        let fate = Fate::Refused { code: Code::NotStored, consumed: false };
        Outcome { origin, handle, seq, count, log: self.index, durability, fate }
    }

    /// The same, of any that is told of: of an update that may be lost nothing is.
    pub(super) fn outcome_of(&self, submission: &Submission<'_>) -> Option<Outcome> {
        let Submission { origin, handle, terms, .. } = *submission;
        let durability = self.engine.agreed(terms.durability);
        let fate = Fate::Refused { code: Code::NotStored, consumed: false };
        let (seq, count, log) = (Seq(0), 1, self.index);
        let unnumbered = Outcome { origin, handle, seq, count, log, durability, fate };
        let numbered = submission.numbered.map(|numbered| self.outcome(submission, &numbered));
        numbered.or(submission.is_call.then_some(unnumbered))
    }

    pub(super) fn judge(&mut self, submission: &Numbered<'_>) -> (Verdict, u64) {
        let Numbered { attachment, window, seq, count, lowest } = *submission;
        if attachment.is_fenced() {
            return (Verdict::Refused(Code::Fenced), count);
        }
        let in_flight_max = self.limits.in_flight_max;
        let judged = self.windows.change(window, |window| {
            if lowest.0 > 0 && lowest <= seq {
                window.raise(lowest);
            }
            window.check(seq, count, in_flight_max)
        });
        match judged {
            Some((Verdict::Next, _)) if !self.windows.may_grow(window) => {
                (Verdict::Refused(Code::Overloaded), count)
            }
            // A window in use is dropped only when its producer has begun another: open again.
            judged => judged.unwrap_or((Verdict::Refused(Code::UnknownNumber), count)),
        }
    }

    /// A retry of what still waits is answered together with it, with what it is told if its condition has failed; of a run,
    /// as much as waits as one. Tells how much.
    fn wait(&mut self, window: WindowKey, missed: Fate, outcome: Outcome) -> u64 {
        if self.engine.is_lasting() {
            return self.wait_for_commit(window, missed, outcome);
        }
        for pending in &mut self.pending {
            if let Some((of, first, count)) = pending.numbered
                && of == window
                && (first.0..first.0 + count).contains(&outcome.seq.0)
            {
                let count = outcome.count.min(first.0 + count - outcome.seq.0);
                pending.waiters.push(Outcome { count, fate: again(pending.answer, missed), ..outcome });
                return count;
            }
        }
        outcome.count
    }
}
