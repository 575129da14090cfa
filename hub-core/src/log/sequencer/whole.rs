//! A batch of publishes: all of them are taken, or none.

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Seq;

use crate::clock::Millis;
use crate::letter::{Fate, KEPT_OUT, Outcome};
use crate::log::sequencer::Sequencer;
use crate::log::submission::{Beside, Numbered, Submission, Wish};
use crate::log::window::Verdict;
use crate::log::window::run::Answer;
use crate::mutant::{self, Mutant};
use crate::record::Record;

/// What a batch meets at a log, the worse the later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meets {
    /// All of it is next.
    Nothing,
    /// Something that keeps it out for now.
    Obstacle,
    /// An earlier try.
    Itself,
}

impl Meets {
    fn of(verdicts: &[Verdict]) -> Self {
        if verdicts.iter().any(is_known) {
            Self::Itself
        } else if verdicts.iter().any(|verdict| *verdict != Verdict::Next) {
            Self::Obstacle
        } else {
            Self::Nothing
        }
    }
}

impl Sequencer {
    /// Takes all publishes of a batch, or none. Each is judged as if those before it had been taken.
    pub fn submit_whole(&mut self, now: Millis, batch: &[Submission<'_>]) {
        if mutant::active(Mutant::BatchTakenInParts) {
            return batch.iter().for_each(|submission| self.submit(now, submission));
        }
        let verdicts = self.judge_whole(batch);
        match Meets::of(&verdicts) {
            // An earlier try had its answers. Where they are lost, what became of all of it is known and not where.
            Meets::Itself => self.ask_each(now, batch, Code::OutcomeForgotten),
            Meets::Obstacle => self.keep_out(batch, &verdicts),
            Meets::Nothing => self.take_whole(now, &self.conditioned_whole(now, batch)),
        }
    }

    /// Takes all publishes of a batch unless one is refused: nothing that is known of them stands against it.
    fn take_whole(&mut self, now: Millis, batch: &[Submission<'_>]) {
        let is_refused =
            |submission: &Submission<'_>| matches!(submission.wish, Wish::Refuse(_) | Wish::Fail(_));
        if batch.iter().any(is_refused) {
            self.use_up(now, batch, |wish| match wish {
                Wish::Append | Wish::Void => Wish::Refuse(Code::BatchRefused),
                refused => refused,
            });
            return;
        }
        if let Some(code) = self.keeps_out(batch) {
            return self.refuse_whole(batch, |index| match index {
                0 => Fate::Refused { code, consumed: false },
                _ => Fate::KeptOut(code),
            });
        }
        for (before, submission) in batch.iter().enumerate() {
            let beside = Beside { before, behind: batch.len() - before - 1 };
            self.place(now, submission, beside, self.outcome_of(submission));
        }
    }

    /// What the part of a batch meets that is for this log.
    pub fn meets(&mut self, part: &[Submission<'_>]) -> Meets {
        Meets::of(&self.judge_whole(part))
    }

    /// Refuses the part of a batch for this log as the whole batch is, which has met that much.
    pub fn refuse_part(&mut self, now: Millis, part: &[Submission<'_>], met: Meets, code: Code) {
        let verdicts = self.judge_whole(part);
        match Meets::of(&verdicts).max(met) {
            Meets::Itself => self.ask_each(now, part, code),
            Meets::Obstacle => self.keep_out(part, &verdicts),
            Meets::Nothing => self.use_up(now, part, |_| Wish::Refuse(code)),
        }
    }

    /// Tells of each what is known, and refuses the others for good.
    fn ask_each(&mut self, now: Millis, batch: &[Submission<'_>], code: Code) {
        for submission in batch {
            // Where its condition has failed, it is told where its key's latest is.
            let refused = submission.refused(code);
            let record = Record { ext: submission.record.ext, ..refused.record };
            self.submit(now, &Submission { record, ..refused });
        }
    }

    /// Refuses all for good. All are next: nothing else is in the way of that, so that it is never one without the other.
    fn use_up(&mut self, now: Millis, batch: &[Submission<'_>], wish: impl Fn(Wish) -> Wish) {
        for submission in batch {
            let refused = submission.wishing(wish(submission.wish));
            self.place(now, &refused, Beside::default(), self.outcome_of(submission));
        }
    }

    /// Takes none, by what was said of each.
    fn keep_out(&mut self, batch: &[Submission<'_>], verdicts: &[Verdict]) {
        self.refuse_whole(batch, |index| match verdicts.get(index) {
            Some(Verdict::Refused(code)) => Fate::Refused { code: *code, consumed: false },
            _ => Fate::KeptOut(KEPT_OUT),
        });
    }

    /// What each would meet if all before it were taken. Nothing is, when this is over.
    fn judge_whole(&mut self, batch: &[Submission<'_>]) -> Vec<Verdict> {
        let numbered = || batch.iter().filter_map(|submission| submission.numbered);
        let mut verdicts = Vec::with_capacity(batch.len());
        self.judged.clear();
        for numbered in numbered() {
            // What the first says of a window holds: those behind it would forget what only waits to be taken.
            let place = self.judged.binary_search(&numbered.window);
            let lowest = if place.is_err() { numbered.lowest } else { Seq(0) };
            if let Err(place) = place {
                self.judged.insert(place, numbered.window);
            }
            let (verdict, _) = self.judge(&Numbered { lowest, ..numbered });
            if verdict == Verdict::Next {
                self.windows.change(numbered.window, |window| window.take(Answer::Pending, 1));
            }
            verdicts.push(verdict);
        }
        for (numbered, verdict) in numbered().rev().zip(verdicts.iter().rev()) {
            if *verdict == Verdict::Next {
                self.windows.change(numbered.window, |window| window.rewind(numbered.seq));
            }
        }
        verdicts
    }

    /// Takes none, and leaves their seqs free.
    fn refuse_whole(&mut self, batch: &[Submission<'_>], fate: impl Fn(usize) -> Fate) {
        for (index, submission) in batch.iter().enumerate() {
            let Some(outcome) = self.outcome_of(submission) else { continue };
            self.tell(Outcome { fate: fate(index), ..outcome });
        }
    }
}

const fn is_known(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Seen(_) | Verdict::Refused(Code::OutcomeForgotten))
}
