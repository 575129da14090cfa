//! The outcomes that a window keeps: one run in place, more in a box of their own.

use std::collections::VecDeque;

use crate::log::window::run::{Answer, Run};
use crate::spare::Spare as _;

/// Outcomes of consecutive seqs, as runs.
#[derive(Debug, PartialEq, Eq)]
pub enum Runs {
    /// One, or an empty one.
    One(Run),
    /// Several.
    Many(Box<Many>),
}

/// Several runs, none of them empty.
#[derive(Debug, PartialEq, Eq)]
pub struct Many {
    runs: VecDeque<Run>,
    /// How many seqs they stand for.
    len: u64,
}

impl Default for Runs {
    fn default() -> Self {
        Self::One(Run::EMPTY)
    }
}

impl Runs {
    /// How many seqs they stand for.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::One(run) => run.len().into(),
            Self::Many(many) => many.len,
        }
    }

    /// Whether they stand for none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Each of them, the oldest first.
    pub fn iter(&self) -> impl Iterator<Item = Run> {
        let (one, many) = match self {
            Self::One(run) => (Some(*run).filter(|run| !run.is_empty()), None),
            Self::Many(many) => (None, Some(many.runs.iter().copied())),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    /// Bytes beyond those in place.
    #[must_use]
    pub fn bytes_beyond(&self) -> usize {
        match self {
            Self::One(_) => 0,
            Self::Many(many) => size_of::<Many>() + many.runs.capacity() * size_of::<Run>(),
        }
    }

    /// The answer `behind` seqs before the end, and how many from there on go on as it says.
    #[must_use]
    pub fn from_end(&self, behind: u64) -> Option<(Answer, u64)> {
        let (run, index) = match self {
            Self::One(run) => {
                let index = u64::from(run.len()).checked_sub(behind).filter(|_| behind > 0)?;
                (run, index as u32)
            }
            Self::Many(many) => many.find(behind).map(|(at, index)| (&many.runs[at], index))?,
        };
        Some((run.answer(index), (run.len() - index).into()))
    }

    /// Adds a run behind the others.
    pub fn push(&mut self, next: Run) {
        match self {
            Self::One(run) => match run.with(next) {
                Some(both) => *run = both,
                None => self.with_many(|many| many.push(next)),
            },
            Self::Many(many) => many.push(next),
        }
    }

    /// Sets the answer to `count` that are alike, from `behind` seqs before the end on, as far as they are still here.
    pub fn set_from_end(&mut self, behind: u64, count: u64, answer: Answer) {
        let (gone, behind) = (behind.saturating_sub(self.len()), behind.min(self.len()));
        let count = count.saturating_sub(gone);
        if let Self::One(run) = self
            && u64::from(run.len()) == count
            && behind == count
        {
            *run = Run::of(answer).part(0, count as u32);
        } else if count > 0 && self.from_end(behind).is_some_and(|(known, _)| known != answer) {
            self.with_many(|many| many.set(behind, count, answer));
        }
    }

    /// Drops up to `count` from the first on.
    pub fn drop_first(&mut self, count: u64) {
        match self {
            Self::One(run) => {
                let count = count.min(run.len().into()) as u32;
                *run = if count == run.len() { Run::EMPTY } else { run.part(count, run.len() - count) };
            }
            Self::Many(_) if count == 0 => {}
            Self::Many(_) => self.with_many(|many| many.drop_first(count)),
        }
    }

    /// Drops up to `count` from the end; tells how many.
    pub fn drop_last(&mut self, count: u64) -> u64 {
        self.with_many(|many| many.drop_last(count))
    }

    /// Changes them as many, and goes back to one where that says all.
    fn with_many<R>(&mut self, change: impl FnOnce(&mut Many) -> R) -> R {
        let mut many = match std::mem::take(self) {
            Self::One(run) => Box::new(Many::from(run)),
            Self::Many(many) => many,
        };
        let result = change(&mut many);
        *self = if many.runs.len() <= 1 {
            Self::One(many.runs.front().copied().unwrap_or(Run::EMPTY))
        } else {
            Self::Many(many)
        };
        result
    }
}

impl From<Run> for Many {
    fn from(run: Run) -> Self {
        let runs: VecDeque<Run> = (!run.is_empty()).then_some(run).into_iter().collect();
        Self { len: run.len().into(), runs }
    }
}

impl Many {
    fn push(&mut self, next: Run) {
        self.len += u64::from(next.len());
        match self.runs.back_mut() {
            Some(last) => match last.with(next) {
                Some(both) => *last = both,
                None => self.runs.push_back(next),
            },
            None => self.runs.push_back(next),
        }
    }

    /// Which run holds what is `behind` seqs before the end, and where in it.
    fn find(&self, behind: u64) -> Option<(usize, u32)> {
        let mut left = behind;
        for (at, run) in self.runs.iter().enumerate().rev() {
            let len = u64::from(run.len());
            if left > 0 && left <= len {
                return Some((at, (len - left) as u32));
            }
            left = left.saturating_sub(len);
        }
        None
    }

    fn set(&mut self, behind: u64, count: u64, answer: Answer) {
        let Some((at, index)) = self.find(behind) else { return };
        let run = self.runs[at];
        let count = count.min(u64::from(run.len() - index)) as u32;
        let (before, rest) = (run.part(0, index), index + count);
        let after = run.part(rest, run.len() - rest);
        self.runs[at] = Run::of(answer).part(0, count);
        if !after.is_empty() {
            self.runs.insert(at + 1, after);
        }
        if !before.is_empty() {
            self.runs.insert(at, before);
        }
        // Neighbours that have come to be alike become one, the later pair first.
        let at = at + usize::from(!before.is_empty());
        for left in [Some(at), at.checked_sub(1)].into_iter().flatten() {
            let Some(next) = self.runs.get(left + 1) else { continue };
            if let Some(both) = self.runs[left].with(*next) {
                self.runs[left] = both;
                self.runs.remove(left + 1);
            }
        }
    }

    fn drop_first(&mut self, count: u64) {
        let mut left = count.min(self.len);
        self.len -= left;
        while let Some(run) = self.runs.front_mut().filter(|_| left > 0) {
            let taken = left.min(run.len().into()) as u32;
            *run = run.part(taken, run.len() - taken);
            if run.is_empty() {
                self.runs.pop_front();
            }
            left -= u64::from(taken);
        }
        self.runs.give_back();
    }

    fn drop_last(&mut self, count: u64) -> u64 {
        let count = count.min(self.len);
        let mut left = count;
        self.len -= count;
        while let Some(run) = self.runs.back_mut().filter(|_| left > 0) {
            let taken = left.min(run.len().into()) as u32;
            *run = run.part(0, run.len() - taken);
            if run.is_empty() {
                self.runs.pop_back();
            }
            left -= u64::from(taken);
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use tidewire_protocol::number::Offset;

    fn answers() -> impl Strategy<Value = Answer> {
        prop_oneof![
            Just(Answer::Pending),
            (1..6u64).prop_map(|offset| Answer::Done(Offset(offset))),
            Just(Answer::Void),
        ]
    }

    proptest! {
        /// Runs say what a plain list of answers says.
        #[test]
        fn runs_are_a_list_of_answers(acts in prop::collection::vec((0..5u8, 1..12u64, answers()), 1..80)) {
            let (mut runs, mut list) = (Runs::default(), Vec::new());
            for (act, n, answer) in acts {
                match act {
                    0 | 1 => {
                        // Of a run of messages each has an offset of its own.
                        let count = if matches!(answer, Answer::Done(_)) { 1 } else { n as usize };
                        runs.push(Run::of(answer).part(0, count as u32));
                        list.extend(std::iter::repeat_n(answer, count));
                    }
                    // What is answered never waits again.
                    2 if answer != Answer::Pending => {
                        let behind = n.min(list.len() as u64);
                        let alike = runs.from_end(behind).map_or(0, |(_, alike)| alike);
                        let count = if matches!(answer, Answer::Done(_)) { alike.min(1) } else { alike };
                        runs.set_from_end(behind, count, answer);
                        let first = list.len() - behind as usize;
                        list[first..first + count as usize].fill(answer);
                    }
                    3 => {
                        runs.drop_first(n);
                        let n = list.len().min(n as usize);
                        list.drain(..n);
                    }
                    2 => {}
                    // Only what waits is ever dropped from the end.
                    _ => {
                        let waiting = list.iter().rev().take_while(|a| **a == Answer::Pending).count();
                        let n = waiting.min(n as usize);
                        let dropped = runs.drop_last(n as u64);
                        prop_assert_eq!(dropped as usize, n);
                        list.truncate(list.len() - dropped as usize);
                    }
                }
                prop_assert_eq!(runs.len(), list.len() as u64);
                for behind in 0..list.len() + 2 {
                    let index = list.len().checked_sub(behind).filter(|_| behind > 0);
                    let answer = runs.from_end(behind as u64).map(|(answer, _)| answer);
                    prop_assert_eq!(answer, index.map(|index| list[index]));
                }
            }
        }
    }
}
