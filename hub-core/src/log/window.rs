//! A producer's window on a topic: which seq comes next, and how the ones before it ended.
//!
//! This is what makes a retried publish land once. It holds outcomes from the lowest seq that the producer has
//! not seen acknowledged; what lies below will not be asked for again.

use std::collections::VecDeque;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Offset, Seq};

use crate::mutant::{self, Mutant};

/// Which seqs of one (producer, topic) have been seen.
#[derive(Debug, Clone)]
pub struct Window {
    /// Where it began.
    first: Seq,
    next: Seq,
    /// Seqs below it are used up, whatever becomes of their messages.
    floor: Seq,
    /// Outcomes of the seqs just below `next`.
    answers: VecDeque<Answer>,
}

/// How a seq ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// It waits for the engine.
    Pending,
    /// It is in the log.
    Done(Offset),
    /// It was withdrawn.
    Void,
    /// It was refused for good.
    Refused(Code),
}

/// What a seq means to the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It is the next.
    Next,
    /// It was seen, and this became of it.
    Seen(Answer),
    /// It cannot be taken now.
    Refused(Code),
}

impl Window {
    /// A window that starts at the lowest seq that its producer has open.
    #[must_use]
    pub fn new(lowest: Seq) -> Self {
        let first = Seq(lowest.0.max(1));
        Self { first, next: first, floor: first, answers: VecDeque::new() }
    }

    /// Whether it has taken nothing yet, so that its producer may not have heard that it is new.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.next == self.first
    }

    /// The seq that comes next.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Forgets outcomes below `lowest`; `false` if that lies beyond what this window has seen.
    pub fn forget_below(&mut self, lowest: Seq) -> bool {
        if lowest > self.next {
            return false;
        }
        let first = self.next.0 - self.answers.len() as u64;
        let known = lowest.0.saturating_sub(first).min(self.answers.len() as u64);
        self.answers.drain(..known as usize);
        if self.answers.is_empty() {
            self.answers = VecDeque::new();
        }
        true
    }

    /// What to do with a seq.
    #[must_use]
    pub fn check(&self, seq: Seq, in_flight_max: u64) -> Verdict {
        let behind = self.next.0.saturating_sub(seq.0);
        if mutant::active(Mutant::DedupOff) && behind > 0
            || mutant::active(Mutant::SeqHoleAccepted) && seq > self.next
        {
            return Verdict::Next;
        }
        if seq > self.next {
            Verdict::Refused(Code::OutOfOrder)
        } else if behind == 0 && self.answers.len() as u64 >= in_flight_max {
            Verdict::Refused(Code::RateLimited)
        } else if behind == 0 {
            Verdict::Next
        } else {
            let index = (self.answers.len() as u64).checked_sub(behind);
            let answer = index.and_then(|index| self.answers.get(index as usize));
            answer.map_or(Verdict::Refused(Code::OutcomeForgotten), |answer| Verdict::Seen(*answer))
        }
    }

    /// Takes the next seq.
    pub fn take(&mut self, answer: Answer) {
        // Most producers at rest have one outcome open or none.
        self.answers.reserve_exact(usize::from(self.answers.is_empty()));
        self.answers.push_back(answer);
        self.next.0 += 1;
    }

    /// Says how a pending seq ended.
    pub fn answer(&mut self, seq: Seq, answer: Answer) {
        let behind = self.next.0.saturating_sub(seq.0) as usize;
        if let Some(index) = self.answers.len().checked_sub(behind)
            && let Some(slot) = self.answers.get_mut(index)
        {
            *slot = answer;
        }
    }

    /// Another incarnation goes on from here. It does not have the messages before, so it could never send
    /// them again.
    pub fn hand_over(&mut self) {
        self.floor = self.next;
    }

    /// Goes back: `seq` and all after it were not stored after all.
    pub fn rewind(&mut self, seq: Seq) {
        self.answer(seq, Answer::Refused(Code::NotStored));
        let undone = self.next.0.saturating_sub(seq.max(self.floor).0).min(self.answers.len() as u64);
        self.answers.truncate(self.answers.len() - undone as usize);
        self.next.0 -= undone;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(count: u64) -> Window {
        let mut window = Window::new(Seq(1));
        for seq in 1..=count {
            window.take(Answer::Done(Offset(seq * 10)));
        }
        window
    }

    #[test]
    fn a_seq_is_taken_once_and_in_order() {
        let window = taken(2);
        assert_eq!(window.check(Seq(3), 10), Verdict::Next);
        assert_eq!(window.check(Seq(4), 10), Verdict::Refused(Code::OutOfOrder));
        assert_eq!(window.check(Seq(2), 10), Verdict::Seen(Answer::Done(Offset(20))));
        assert_eq!(window.check(Seq(1), 10), Verdict::Seen(Answer::Done(Offset(10))));
        assert_eq!(window.check(Seq(3), 2), Verdict::Refused(Code::RateLimited));
    }

    #[test]
    fn outcomes_below_the_lowest_are_forgotten() {
        let mut window = taken(5);
        assert!(window.forget_below(Seq(4)));
        assert_eq!(window.check(Seq(3), 10), Verdict::Refused(Code::OutcomeForgotten));
        assert_eq!(window.check(Seq(4), 10), Verdict::Seen(Answer::Done(Offset(40))));
        assert!(!window.forget_below(Seq(7)));
        assert!(window.forget_below(Seq(6)));
        assert_eq!(window.check(Seq(6), 1), Verdict::Next);
    }

    #[test]
    fn a_rewound_seq_comes_again() {
        let mut window = taken(5);
        window.rewind(Seq(4));
        assert_eq!(window.next(), Seq(4));
        assert_eq!(window.check(Seq(3), 10), Verdict::Seen(Answer::Done(Offset(30))));
        window.take(Answer::Pending);
        window.answer(Seq(4), Answer::Refused(Code::TooLarge));
        assert_eq!(window.check(Seq(4), 10), Verdict::Seen(Answer::Refused(Code::TooLarge)));
    }
}
