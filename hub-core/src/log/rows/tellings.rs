//! From which commit on all that stands was told, as far as that may be believed: it is told in several commits, of which one
//! may be lost.

/// The commits that were read, one after another, and what they say of how all stands.
#[derive(Debug, Default)]
pub struct Tellings {
    /// The last commit.
    last: u64,
    /// None is missing from this one on.
    whole_from: u64,
    /// All that stands was told from this one on, and whether none of those that told it is missing.
    told: (u64, bool),
}

impl Tellings {
    /// The commit of this number is read next.
    pub fn see(&mut self, number: u64) {
        if number != self.last + 1 {
            self.whole_from = number;
        }
        self.last = number;
    }

    /// It says that all which stands was told in the commits from `since` on.
    pub fn told(&mut self, since: u64) {
        if since >= self.told.0 {
            self.told = (since, since >= self.whole_from);
        }
    }

    /// All that stands was told from this commit on; 0 if that was never done, or is lost in part. Of what was said before, only
    /// messages are needed, once all commits are read: of all tellings but the last, parts may have gone since.
    #[must_use]
    pub const fn since(&self) -> u64 {
        if self.told.1 { self.told.0 } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_told_in_commits_of_which_one_is_lost_is_not_believed() {
        let cases = [
            (&[(1, 1), (2, 2)][..], 2),
            (&[(1, 1), (2, 1), (4, 3)], 0),
            (&[(1, 1), (3, 2), (4, 4)], 4),
            (&[(1, 1), (4, 4), (7, 4)], 0),
            (&[(7, 6)], 0),
            (&[(7, 7)], 7),
            (&[], 0),
        ];
        for (told, since) in cases {
            let mut tellings = Tellings::default();
            for (number, since) in told {
                tellings.see(*number);
                tellings.told(*since);
            }
            assert_eq!(tellings.since(), since, "{told:?}");
        }
    }
}
