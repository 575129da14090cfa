//! A producer's window on a topic: which seq comes next, and how the ones before it ended.
//!
//! This is what makes a retried publish land once. It holds outcomes from the lowest seq that the producer has
//! not seen acknowledged; what lies below will not be asked for again. Outcomes are kept as runs, and a window at
//! rest, which has one run or none, takes nothing beyond its own few bytes.

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Seq;

use crate::log::window::run::{Answer, Run};
use crate::log::window::runs::Runs;
use crate::mutant::{self, Mutant};

pub mod runs;

pub mod run;

/// Which seqs of one (producer, topic) have been seen.
#[derive(Debug, PartialEq, Eq)]
pub struct Window {
    /// Where it began.
    first: Seq,
    next: Seq,
    /// Outcomes of the seqs just below `next`.
    runs: Runs,
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
        Self { first, next: first, runs: Runs::default() }
    }

    /// Whether it has taken nothing yet, so that its producer may not have heard that it is new.
    #[must_use]
    pub fn is_new(&self) -> bool {
        self.next == self.first
    }

    /// Whether it has seen all that its producer ever published to the topic.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.first == Seq(1)
    }

    /// The seq that it began with.
    #[must_use]
    pub fn first(&self) -> Seq {
        self.first
    }

    /// The seq that comes next.
    #[must_use]
    pub fn next(&self) -> Seq {
        self.next
    }

    /// Bytes that it takes beyond its own.
    #[must_use]
    pub fn bytes_beyond(&self) -> usize {
        self.runs.bytes_beyond()
    }

    /// Forgets outcomes below `lowest`; `false` if that lies beyond what this window has seen.
    pub fn forget_below(&mut self, lowest: Seq) -> bool {
        if lowest > self.next {
            return false;
        }
        let first = self.next.0 - self.runs.len();
        self.runs.drop_first(lowest.0.saturating_sub(first));
        true
    }

    /// Its producer wants nothing of what lies below `lowest`, and never will, whether that was seen or not.
    pub fn raise(&mut self, lowest: Seq) {
        if !self.forget_below(lowest) {
            *self = Self::new(lowest);
        }
    }

    /// What to do with `count` seqs, from one on; and of how many of them that is true.
    #[must_use]
    pub fn check(&self, seq: Seq, count: u64, in_flight_max: u64) -> (Verdict, u64) {
        let behind = self.next.0.saturating_sub(seq.0);
        let room = in_flight_max.saturating_sub(self.runs.len());
        if mutant::active(Mutant::DedupOff) && behind > 0
            || mutant::active(Mutant::SeqHoleAccepted) && seq > self.next
        {
            return (Verdict::Next, count.min(room.max(1)));
        }
        if seq > self.next {
            (Verdict::Refused(Code::OutOfOrder), count)
        } else if behind == 0 && room == 0 {
            (Verdict::Refused(Code::RateLimited), count)
        } else if behind == 0 {
            (Verdict::Next, count.min(room))
        } else {
            let forgotten = behind.saturating_sub(self.runs.len());
            let (answer, alike) = self.runs.from_end(behind).unwrap_or((Answer::Forgotten, forgotten));
            let verdict = match answer {
                Answer::Forgotten => Verdict::Refused(Code::OutcomeForgotten),
                answer => Verdict::Seen(answer),
            };
            (verdict, count.min(alike))
        }
    }

    /// Takes the next `count` seqs.
    pub fn take(&mut self, answer: Answer, count: u64) {
        self.runs.push(Run::of(answer).part(0, count as u32));
        self.next.0 += count;
    }

    /// Says how `count` pending seqs ended, from one on.
    pub fn answer(&mut self, seq: Seq, count: u64, answer: Answer) {
        self.runs.set_from_end(self.next.0.saturating_sub(seq.0), count, answer);
    }

    /// A window that was stored: where it began, and the seq of the first outcome that [`Self::take_run`] gives back.
    #[must_use]
    pub fn restored(first: Seq, begin: Seq) -> Self {
        Self { first, next: begin, runs: Runs::default() }
    }

    /// Gives back outcomes of the next seqs.
    pub fn take_run(&mut self, run: Run) {
        self.next.0 = self.next.0.saturating_add(run.len().into());
        self.runs.push(run);
    }

    /// Where it began, and the outcomes before the first that waits.
    pub fn settled(&self) -> (Seq, impl Iterator<Item = Run>) {
        (self.first, self.runs.iter().take_while(|run| !matches!(run, Run::Pending(_))))
    }

    /// The first seq that waits, or else the one that comes next.
    #[must_use]
    pub fn next_settled(&self) -> Seq {
        let settled: u64 = self.settled().1.map(|run| u64::from(run.len())).sum();
        Seq(self.next.0 - (self.runs.len() - settled))
    }

    /// Goes back: `seq` and all after it were not stored after all.
    pub fn rewind(&mut self, seq: Seq) {
        self.next.0 -= self.runs.drop_last(self.next.0.saturating_sub(seq.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tidewire_protocol::number::Offset;

    fn taken(count: u64) -> Window {
        let mut window = Window::new(Seq(1));
        for seq in 1..=count {
            window.take(Answer::Done(Offset(seq * 10)), 1);
        }
        window
    }

    #[test]
    fn a_seq_is_taken_once_and_in_order() {
        let window = taken(2);
        assert_eq!(window.check(Seq(3), 1, 10).0, Verdict::Next);
        assert_eq!(window.check(Seq(4), 1, 10).0, Verdict::Refused(Code::OutOfOrder));
        assert_eq!(window.check(Seq(2), 1, 10).0, Verdict::Seen(Answer::Done(Offset(20))));
        assert_eq!(window.check(Seq(1), 1, 10).0, Verdict::Seen(Answer::Done(Offset(10))));
        assert_eq!(window.check(Seq(3), 1, 2).0, Verdict::Refused(Code::RateLimited));
    }

    #[test]
    fn outcomes_below_the_lowest_are_forgotten() {
        let mut window = taken(5);
        assert!(window.forget_below(Seq(4)));
        assert_eq!(window.check(Seq(3), 1, 10).0, Verdict::Refused(Code::OutcomeForgotten));
        assert_eq!(window.check(Seq(4), 1, 10).0, Verdict::Seen(Answer::Done(Offset(40))));
        assert!(!window.forget_below(Seq(7)));
        assert!(window.forget_below(Seq(6)));
        assert_eq!(window.check(Seq(6), 1, 1).0, Verdict::Next);
        window.take(Answer::Forgotten, 1);
        assert_eq!(window.check(Seq(6), 1, 10).0, Verdict::Refused(Code::OutcomeForgotten));
    }

    #[test]
    fn a_rewound_seq_comes_again() {
        let mut window = taken(5);
        window.rewind(Seq(4));
        assert_eq!(window.next(), Seq(4));
        assert_eq!(window.check(Seq(3), 1, 10).0, Verdict::Seen(Answer::Done(Offset(30))));
        window.take(Answer::Pending, 1);
        window.answer(Seq(4), 1, Answer::Refused(Code::TooLarge));
        assert_eq!(window.check(Seq(4), 1, 10).0, Verdict::Seen(Answer::Refused(Code::TooLarge)));
    }

    #[test]
    fn who_wants_nothing_below_a_seq_that_never_came_goes_on_there() {
        let mut window = taken(3);
        (0..3).for_each(|_| window.take(Answer::Pending, 1));
        // The log fails to store what the former owner sent, and the next one has not got it.
        (4..=6).rev().for_each(|seq| window.rewind(Seq(seq)));
        assert_eq!(window.check(Seq(7), 1, 10).0, Verdict::Refused(Code::OutOfOrder));
        window.raise(Seq(7));
        assert_eq!(window.check(Seq(7), 1, 10).0, Verdict::Next);
        assert_eq!(window.check(Seq(6), 1, 10).0, Verdict::Refused(Code::OutcomeForgotten));
        assert!(!window.is_whole());
        window.take(Answer::Pending, 1);
        // What waits of those before says nothing of this.
        window.answer(Seq(3), 1, Answer::Void);
        window.rewind(Seq(7));
        assert_eq!(window.next(), Seq(7));
    }

    #[test]
    fn a_run_is_judged_in_parts_that_have_the_same_answer() {
        let mut window = taken(2);
        window.take(Answer::Pending, 3);
        window.take(Answer::Void, 2);
        let parts = |from, count| {
            let (mut at, mut left, mut parts) = (from, count, Vec::new());
            while left > 0 {
                let (verdict, count) = window.check(Seq(at), left, 10);
                parts.push((verdict, count));
                (at, left) = (at + count, left - count);
            }
            parts
        };
        let [first, second] = [10, 20].map(|offset| Verdict::Seen(Answer::Done(Offset(offset))));
        let [pending, void] = [Answer::Pending, Answer::Void].map(Verdict::Seen);
        assert_eq!(parts(1, 4), [(first, 1), (second, 1), (pending, 2)]);
        assert_eq!(
            parts(4, 9),
            [(pending, 2), (void, 2), (Verdict::Next, 3), (Verdict::Refused(Code::OutOfOrder), 2)]
        );
        assert_eq!(window.check(Seq(8), 1 << 53, 7), (Verdict::Refused(Code::RateLimited), 1 << 53));
        window.forget_below(Seq(4));
        assert_eq!(window.check(Seq(1), 9, 10), (Verdict::Refused(Code::OutcomeForgotten), 3));
        // What waits is answered as one, also what of it nobody asks for any more.
        window.answer(Seq(3), 3, Answer::Refused(Code::Forbidden));
        assert_eq!(window.check(Seq(4), 9, 10), (Verdict::Seen(Answer::Refused(Code::Forbidden)), 2));
        window.answer(Seq(4), 2, Answer::Void);
        assert_eq!(window.check(Seq(4), 9, 10), (void, 4));
        assert_eq!(window.bytes_beyond(), 0, "one run");
    }

    #[test]
    fn a_window_at_rest_takes_nothing_beyond_its_own_bytes() {
        let mut window = Window::new(Seq(1));
        (0..500).for_each(|_| window.take(Answer::Pending, 1));
        assert_eq!(window.bytes_beyond(), 0, "one run");
        (1..=500).for_each(|seq| window.answer(Seq(seq), 1, Answer::Done(Offset(seq * 10))));
        assert!((500 * 16..3_000 * 16).contains(&window.bytes_beyond()), "{} bytes", window.bytes_beyond());
        window.forget_below(Seq(500));
        assert_eq!(window.bytes_beyond(), 0);
        assert_eq!(window.check(Seq(500), 1, 10).0, Verdict::Seen(Answer::Done(Offset(5_000))));
        assert_eq!(size_of::<Window>(), 32);
    }
}
