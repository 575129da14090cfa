//! A batch of publishes: all of them are taken, or none.

use std::collections::BTreeSet;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Seq;

use crate::clock::Millis;
use crate::letter::{Fate, Outcome};
use crate::log::sequencer::Sequencer;
use crate::log::submission::{Beside, Numbered, Submission, Wish};
use crate::log::window::Verdict;
use crate::log::window::run::Answer;
use crate::mutant::{self, Mutant};

impl Sequencer {
    /// Takes all publishes of a batch, or none. Each is judged as if those before it had been taken.
    pub fn submit_whole(&mut self, now: Millis, batch: &[Submission<'_>]) {
        if mutant::active(Mutant::BatchTakenInParts) {
            return batch.iter().for_each(|submission| self.submit(now, submission));
        }
        let verdicts = self.judge_whole(batch);
        if verdicts.iter().any(is_known) {
            // An earlier try had its answers. Where they are lost, what became of all of it is known and not where.
            let wish = Wish::Refuse(Code::OutcomeForgotten);
            batch.iter().for_each(|submission| self.submit(now, &Submission { wish, ..*submission }));
        } else if verdicts.iter().any(|verdict| *verdict != Verdict::Next) {
            self.refuse_whole(batch, |index| match verdicts.get(index) {
                Some(Verdict::Refused(code)) => *code,
                _ => Code::NotStored,
            });
        } else if batch.iter().any(|submission| matches!(submission.wish, Wish::Refuse(_))) {
            for submission in batch {
                let wish = match submission.wish {
                    Wish::Append | Wish::Void => Wish::Refuse(Code::BatchRefused),
                    Wish::Refuse(_) => submission.wish,
                };
                self.submit(now, &Submission { wish, ..*submission });
            }
        } else if self.has_no_room(batch) {
            self.refuse_whole(batch, |_| Code::Overloaded);
        } else {
            for (before, submission) in batch.iter().enumerate() {
                let beside = Beside { before, behind: batch.len() - before - 1 };
                let outcome = submission.numbered.map(|numbered| self.outcome(submission, &numbered));
                self.place(now, submission, beside, outcome);
            }
        }
    }

    /// What each would meet if all before it were taken. Nothing is, when this is over.
    fn judge_whole(&mut self, batch: &[Submission<'_>]) -> Vec<Verdict> {
        let numbered: Vec<_> = batch.iter().filter_map(|submission| submission.numbered).collect();
        let mut verdicts = Vec::with_capacity(numbered.len());
        let mut windows = BTreeSet::new();
        for numbered in &numbered {
            // What the first says of a window holds: those behind it would forget what only waits to be taken.
            let is_first = windows.insert(numbered.window);
            let lowest = if is_first { numbered.lowest } else { Seq(0) };
            let (verdict, _) = self.judge(&Numbered { lowest, ..*numbered });
            if verdict == Verdict::Next {
                self.windows.change(numbered.window, |window| window.take(Answer::Pending, 1));
            }
            verdicts.push(verdict);
        }
        for (numbered, verdict) in numbered.iter().zip(&verdicts).rev() {
            if *verdict == Verdict::Next {
                self.windows.change(numbered.window, |window| window.rewind(numbered.seq));
            }
        }
        verdicts
    }

    /// Takes none, and leaves their seqs free.
    fn refuse_whole(&mut self, batch: &[Submission<'_>], code: impl Fn(usize) -> Code) {
        for (index, submission) in batch.iter().enumerate() {
            let Some(numbered) = submission.numbered else { continue };
            let fate = Fate::Refused { code: code(index), consumed: false };
            self.tell(Outcome { fate, ..self.outcome(submission, &numbered) });
        }
    }
}

const fn is_known(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Seen(_) | Verdict::Refused(Code::OutcomeForgotten))
}
