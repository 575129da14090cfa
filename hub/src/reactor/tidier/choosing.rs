//! Which segments are worth to be merged: where what is written is no more than what is freed by it.

use std::ops::Range;

use tidewire_hub_core::frames::SEGMENT_HEADER_BYTES;

/// What is known of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Candidate {
    /// How long it is.
    pub(super) bytes: u64,
    /// How much of it is needed.
    pub(super) live: u64,
    /// It is whole, gets no more, and nothing but its messages is needed of it.
    pub(super) may_merge: bool,
    /// No segment is missing between the one before and this.
    pub(super) follows: bool,
}

/// Segments in a row.
#[derive(Debug, Clone, Copy, Default)]
struct Sum {
    bytes: u64,
    live: u64,
}

impl Sum {
    const fn with(self, segment: &Candidate) -> Self {
        Self { bytes: self.bytes + segment.bytes, live: self.live + segment.live }
    }

    const fn written(self) -> u64 {
        self.live + SEGMENT_HEADER_BYTES as u64
    }

    const fn frees(self) -> u64 {
        self.bytes.saturating_sub(self.written())
    }
}

/// Whether so much is held beside what is needed that it is time to do something.
pub(super) const fn is_due(bytes: u64, live: u64, segment_bytes: u64) -> bool {
    bytes > live + live / 4 + 2 * segment_bytes
}

/// The segments that follow on each other, of all, of which merging frees the most; none if each would write more than that.
pub(super) fn choose(all: &[Candidate], segment_bytes: u64) -> Option<Range<usize>> {
    let mut best: Option<(u64, Range<usize>)> = None;
    let mut at = 0;
    while at < all.len() {
        let first = Sum::default().with(&all[at]);
        if !all[at].may_merge || first.frees() < first.written() {
            at += 1;
            continue;
        }
        let (run, sum) = run(all, at, first, segment_bytes);
        at = run.end;
        if best.as_ref().is_none_or(|(frees, _)| *frees < sum.frees()) {
            best = Some((sum.frees(), run));
        }
    }
    best.map(|(_, run)| run)
}

/// With one that is worth it, its neighbours: those that are worth it themselves, and short ones, of which otherwise more and
/// more would be left. Such a one is no longer than what is written anyway, so that each byte is written few times.
fn run(all: &[Candidate], at: usize, mut sum: Sum, segment_bytes: u64) -> (Range<usize>, Sum) {
    let joins = |sum: Sum, segment: &Candidate| {
        let both = sum.with(segment);
        let alone = Sum::default().with(segment);
        let is_short = segment.bytes <= sum.written().max(segment_bytes / SHORT);
        let fits = both.written() <= segment_bytes && both.frees() >= both.written();
        let joins = segment.may_merge && fits && (is_short || alone.frees() >= alone.written());
        joins.then_some(both)
    };
    let mut run = at..at + 1;
    while let Some(segment) = all.get(run.end).filter(|segment| segment.follows && run.len() < RUN_MAX)
        && let Some(both) = joins(sum, segment)
    {
        (sum, run.end) = (both, run.end + 1);
    }
    while run.start > 0
        && all[run.start].follows
        && run.len() < RUN_MAX
        && let Some(both) = joins(sum, &all[run.start - 1])
    {
        (sum, run.start) = (both, run.start - 1);
    }
    (run, sum)
}

/// A segment of that part of the usual length is short.
const SHORT: u64 = 16;
/// No more are merged at once: whoever else wants something of the thread waits so long.
const RUN_MAX: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    /// Of segments of these bytes, of which so many are needed; 0 stands for one that may not be merged.
    #[track_caller]
    fn check(all: &[(u64, u64)], expected: &[usize]) {
        let candidate = |(bytes, live): &(u64, u64)| Candidate {
            bytes: *bytes,
            live: *live,
            may_merge: *bytes > 0,
            follows: true,
        };
        let all: Vec<_> = all.iter().map(candidate).collect();
        assert_eq!(choose(&all, 100_000).into_iter().flatten().collect::<Vec<_>>(), expected);
    }

    #[test]
    fn what_frees_less_than_it_writes_is_left_alone() {
        check(&[], &[]);
        check(&[(100_000, 100_000), (100_000, 60_000)], &[]);
        check(&[(100_000, 50_000)], &[]);
        check(&[(100_000, 49_900)], &[0]);
        check(&[(64, 0)], &[]);
    }

    #[test]
    fn those_that_follow_on_each_other_are_merged_while_all_fits_into_one() {
        check(&[(100_000, 40_000), (100_000, 30_000), (100_000, 40_000)], &[0, 1]);
        check(&[(100_000, 90_000), (100_000, 0), (100_000, 0), (100_000, 10_000)], &[1, 2, 3]);
        check(&[(0, 0), (100_000, 20_000), (0, 0), (100_000, 10_000)], &[3]);
    }

    #[test]
    fn short_ones_go_with_their_neighbours() {
        check(&[(5_000, 5_000), (100_000, 10_000), (64, 0)], &[0, 1, 2]);
        check(&[(20_000, 20_000), (100_000, 10_000)], &[1]);
        check(&[(20_000, 20_000), (100_000, 25_000)], &[0, 1]);
    }

    #[test]
    fn nothing_is_merged_over_what_is_missing() {
        let segment = Candidate { bytes: 100_000, live: 0, may_merge: true, follows: true };
        let behind = Candidate { follows: false, ..segment };
        assert_eq!(choose(&[segment, segment, behind], 100_000), Some(0..2));
        assert_eq!(choose(&[segment, behind, segment, segment], 100_000), Some(1..4));
    }

    #[test]
    fn a_quarter_of_what_is_needed_and_two_segments_may_lie_idle() {
        assert!(!is_due(200_000, 0, 100_000) && is_due(200_001, 0, 100_000));
        assert!(!is_due(1_200_000, 800_000, 100_000) && is_due(1_200_001, 800_000, 100_000));
    }

    /// In a window that goes on, a tenth of which is kept for ever, each byte is written again few times.
    #[test]
    fn work_is_in_proportion_to_what_is_stored() {
        let (mut all, mut written, mut stored) = (Vec::<Candidate>::new(), 0, 0);
        for _ in 0..1_000 {
            all.push(Candidate { bytes: 100_000, live: 10_000, may_merge: true, follows: true });
            stored += 100_000;
            while let Some(run) = choose(&all, 100_000) {
                let live = all[run.clone()].iter().map(|segment| segment.live).sum();
                written += live + 64;
                all.splice(run, [Candidate { bytes: live + 64, live, may_merge: true, follows: true }]);
            }
        }
        assert!(written < stored / 2, "{written} of {stored}");
        let held: u64 = all.iter().map(|segment| segment.bytes).sum();
        assert!(held < 10_100_000 && all.len() < 200, "{held} in {}", all.len());
    }
}
