//! Whether what a commit says of those before it may be believed: how all stands is told anew in several, of which any may be
//! missing by now.

use crate::mutant::{self, Mutant};

/// The commits that were read, one after another.
#[derive(Debug, Default)]
pub struct Tellings {
    /// The last.
    last: u64,
    /// None is missing from this one on.
    whole_from: u64,
    /// All that stands was told from this one on; 0 before that was done once.
    since: u64,
}

impl Tellings {
    /// The commit of this number is read next.
    pub fn see(&mut self, number: u64) {
        if number != self.last + 1 {
            self.whole_from = number;
        }
        self.last = number;
    }

    /// It says that all which stands was told in the commits from `since` on; whether all of these were read. One that was
    /// deleted is needed no more because all was told once more later, and of one that is lost nobody knows what it told: what
    /// was said before stands until then.
    #[must_use]
    pub fn is_whole(&mut self, since: u64) -> bool {
        let is_whole = since >= self.whole_from || mutant::active(Mutant::BrokenTellingBelieved);
        if is_whole {
            self.since = self.since.max(since);
        }
        is_whole
    }

    /// All that stands was told from this commit on; 0 before that was done once.
    #[must_use]
    pub const fn since(&self) -> u64 {
        self.since
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_in_commits_of_which_one_is_missing_is_not_believed() {
        let mut tellings = Tellings::default();
        for (number, since, is_whole) in
            [(1, 1, true), (2, 1, true), (4, 3, false), (5, 2, false), (6, 5, true)]
        {
            tellings.see(number);
            assert_eq!(tellings.is_whole(since), is_whole, "{number}");
        }
        assert_eq!(tellings.since(), 5);
        let mut tellings = Tellings::default();
        tellings.see(7);
        assert!(!tellings.is_whole(6));
        assert!(tellings.is_whole(7));
    }
}
