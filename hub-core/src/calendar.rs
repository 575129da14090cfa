//! Which time messages are given: the system's, corrections of its clock among them, though it never goes back. Timers
//! and what topics keep go by the steady clock that [`Millis`] counts, and which no correction moves.
//!
//! Where the system's clock was put back, the given time goes on slowly until the system's has come up to it, instead of
//! standing still: so each given time belongs to one steady time, but for a few milliseconds.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{PoisonError, RwLock};

use crate::clock::Millis;
use crate::mutant::{self, Mutant};

/// Steady time to the time that messages are given. The same until the first correction, and free of cost.
#[derive(Debug, Default)]
pub struct Calendar {
    corrected: AtomicBool,
    course: RwLock<Course>,
}

/// How the given time went, and how it goes on.
#[derive(Debug, Default)]
struct Course {
    /// Oldest first; none before the first correction.
    legs: VecDeque<Leg>,
    /// How far the system's clock is ahead of the steady one, by the last correction.
    ahead_ms: i64,
    /// From when on that holds.
    since: Millis,
}

/// A stretch on which the given time goes evenly.
#[derive(Debug, Clone, Copy)]
struct Leg {
    from: Millis,
    /// The time that is given then.
    given: Millis,
    /// Steady milliseconds for each that is given.
    pace: u64,
}

impl Calendar {
    /// The time that is given to what is published at a steady time. What it says of the past it never takes back.
    #[must_use]
    pub fn at(&self, steady: Millis) -> Millis {
        if !self.corrected.load(Ordering::Acquire) {
            return steady;
        }
        self.course.read().unwrap_or_else(PoisonError::into_inner).at(steady)
    }

    /// Messages were given times up to `given` before the first correction, which may be ahead of `now`: then it goes on slowly
    /// from there until the system's clock has come up to it. To be called before anybody asks.
    pub fn begin_ahead(&self, now: Millis, given: Millis) {
        if given <= now {
            return;
        }
        let mut course = self.course.write().unwrap_or_else(PoisonError::into_inner);
        if course.legs.is_empty() {
            course.legs.push_back(Leg { from: Millis(0), given: Millis(0), pace: 1 });
            course.go_slowly(now, given, now);
            course.since = now;
            self.corrected.store(true, Ordering::Release);
        }
    }

    /// The system's clock says `system` now. If that was corrected, the given time follows from a moment later on; tells
    /// by how many milliseconds.
    pub fn follow(&self, now: Millis, system: Millis) -> Option<i64> {
        let ahead_ms = i64::try_from(i128::from(system.0) - i128::from(now.0)).ok()?;
        let is_as_known =
            |course: &Course| now < course.since || ahead_ms.abs_diff(course.ahead_ms) <= TOLERATED_MS;
        if is_as_known(&self.course.read().unwrap_or_else(PoisonError::into_inner)) {
            return None;
        }
        let mut course = self.course.write().unwrap_or_else(PoisonError::into_inner);
        if is_as_known(&course) {
            return None;
        }
        let by_ms = ahead_ms.saturating_sub(course.ahead_ms);
        course.turn(now.plus(LEAD_MS), ahead_ms);
        self.corrected.store(true, Ordering::Release);
        Some(by_ms)
    }
}

impl Course {
    fn at(&self, steady: Millis) -> Millis {
        let begun = self.legs.partition_point(|leg| leg.from <= steady);
        self.legs.get(begun.saturating_sub(1)).map_or(steady, |leg| leg.at(steady))
    }

    /// From a time on `given` is given, and then slowly more, until `due`, which is what the system's clock says then, has come
    /// up to it.
    fn go_slowly(&mut self, from: Millis, given: Millis, due: Millis) {
        let early_ms = given.since(due);
        let pace = pace(early_ms);
        let wait_ms = early_ms.saturating_mul(pace).div_ceil(pace - 1);
        self.legs.push_back(Leg { from, given, pace });
        self.legs.push_back(Leg { from: from.plus(wait_ms), given: due.plus(wait_ms), pace: 1 });
    }

    /// From a time on that is still to come, the system's clock is so far ahead.
    fn turn(&mut self, from: Millis, ahead_ms: i64) {
        let given = self.at(from);
        let due = Millis(from.0.saturating_add_signed(ahead_ms));
        if self.legs.is_empty() {
            self.legs.push_back(Leg { from: Millis(0), given: Millis(0), pace: 1 });
        }
        while self.legs.back().is_some_and(|leg| leg.from >= from) {
            self.legs.pop_back();
        }
        let early_ms = given.since(due);
        if early_ms == 0 || mutant::active(Mutant::TimeGoesBack) {
            self.legs.push_back(Leg { from, given: due, pace: 1 });
        } else {
            self.go_slowly(from, given, due);
        }
        while self.legs.len() > LEGS_MAX {
            self.legs.pop_front();
        }
        (self.ahead_ms, self.since) = (ahead_ms, from);
    }
}

/// So many times as long as it should a time to live takes while the time that is given is so far ahead of the system's.
#[must_use]
pub const fn pace(ahead_ms: u64) -> u64 {
    if ahead_ms > FAR_MS { FAR_PACE } else { SLOW_PACE }
}

impl Leg {
    /// The oldest leg that is known reaches back for ever.
    fn at(&self, steady: Millis) -> Millis {
        if steady < self.from {
            return Millis(self.given.0.saturating_sub(self.from.since(steady)));
        }
        self.given.plus(steady.since(self.from) / self.pace)
    }
}

/// Clocks that differ by less are one: the difference changes the order of nothing, and is seen by nobody.
const TOLERATED_MS: u64 = 500;
/// A correction holds from so much later on, so that it is the same for all threads, whichever moment each is at.
const LEAD_MS: u64 = 1_000;
/// So much slower the given time goes until the system's clock has come up to it.
const SLOW_PACE: u64 = 16;
/// Where it is ahead by more, coming up takes longer than most messages live: then it is better wrong for longer, since a time to
/// live goes by it, and takes so many times as long.
const FAR_MS: u64 = 3_600_000;
/// So much slower it goes then.
const FAR_PACE: u64 = 2;
/// Corrections are forgotten one by one beyond some five hundred, as if the clock had been as wrong before.
const LEGS_MAX: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR_MS: i64 = 3_600_000;
    const NOW: Millis = Millis(1_700_000_000_000);

    fn system(now: Millis, ahead_ms: i64) -> Millis {
        Millis(now.0.saturating_add_signed(ahead_ms))
    }

    /// What is given some milliseconds after a correction, as milliseconds after it by the steady clock.
    #[track_caller]
    fn check(ahead_ms: i64, given: &[(u64, i64)]) {
        let calendar = Calendar::default();
        let told = calendar.follow(NOW, system(NOW, ahead_ms));
        assert_eq!(told, Some(ahead_ms).filter(|ahead| ahead.unsigned_abs() > TOLERATED_MS));
        assert_eq!(calendar.follow(NOW.plus(5_000), system(NOW.plus(5_000), ahead_ms)), None, "told once");
        for (after, expected) in given {
            let given = calendar.at(NOW.plus(*after));
            assert_eq!(given.0 as i64 - NOW.0 as i64, *expected, "{after} ms after {ahead_ms}");
        }
    }

    #[test]
    fn the_given_time_follows_ahead_and_goes_slowly_where_the_clock_went_back() {
        check(0, &[(0, 0), (9_000, 9_000)]);
        check(400, &[(9_000, 9_000)]);
        check(HOUR_MS, &[(0, 0), (999, 999), (1_000, 1_000 + HOUR_MS), (9_000, 9_000 + HOUR_MS)]);
        let slow = |after| (after, 1_000 + (after as i64 - 1_000) / 16);
        check(
            -15_000,
            &[(999, 999), slow(1_000), slow(1_100), slow(17_000), (17_001, 2_001), (90_000, 75_000)],
        );
    }

    proptest! {
        #[test]
        fn whatever_is_corrected_time_never_goes_back_the_past_stays_and_the_clock_is_followed(
            steps in proptest::collection::vec((0u64..100_000, -HOUR_MS..HOUR_MS), 1..60),
        ) {
            let calendar = Calendar::default();
            let (mut now, mut past, mut ahead_ms) = (NOW, Vec::new(), 0);
            for (wait_ms, ahead) in steps {
                for _ in 0..3 {
                    past.push((now, calendar.at(now)));
                    now = now.plus(wait_ms / 3);
                }
                ahead_ms = ahead;
                calendar.follow(now, system(now, ahead));
            }
            for pair in past.windows(2) {
                prop_assert!(pair[0].1 <= pair[1].1, "{pair:?}");
            }
            for (time, given) in past {
                prop_assert_eq!(calendar.at(time), given);
            }
            for _ in 0..2 {
                now = now.plus(LEAD_MS);
                calendar.follow(now, system(now, ahead_ms));
            }
            now = now.plus(5 * HOUR_MS as u64);
            prop_assert!(calendar.at(now).0.abs_diff(system(now, ahead_ms).0) <= TOLERATED_MS);
        }
    }

    #[test]
    fn a_hub_that_finds_times_ahead_of_its_own_goes_on_slowly_from_there() {
        let calendar = Calendar::default();
        let day_ms = 24 * HOUR_MS as u64;
        calendar.begin_ahead(NOW, NOW.plus(day_ms));
        assert_eq!(calendar.at(Millis(NOW.0 - 1)), Millis(NOW.0 - 1));
        assert_eq!(calendar.at(NOW), NOW.plus(day_ms));
        assert_eq!(
            calendar.at(NOW.plus(16_000)),
            NOW.plus(day_ms + 8_000),
            "nothing lives for more than twice its time"
        );
        assert_eq!(calendar.at(NOW.plus(2 * day_ms)), NOW.plus(2 * day_ms));
        let near = Calendar::default();
        near.begin_ahead(NOW, NOW.plus(60_000));
        assert_eq!(near.at(NOW.plus(16_000)), NOW.plus(61_000), "it is soon as it should be");
        assert_eq!(near.at(NOW.plus(64_000)), NOW.plus(64_000));
        // What is kept for a minute goes after a minute, whatever time it was given.
        assert!(calendar.at(NOW.plus(60_000 - 60_000)) >= NOW.plus(day_ms));
        let calendar = Calendar::default();
        calendar.begin_ahead(NOW, NOW);
        assert_eq!(calendar.at(NOW), NOW);
    }

    #[test]
    fn very_many_corrections_take_bounded_room() {
        let calendar = Calendar::default();
        let mut now = NOW;
        for turn in 0..3_000i64 {
            now = now.plus(2_000);
            calendar.follow(now, system(now, turn % 2 * 1_000));
        }
        let legs = calendar.course.read().map(|course| course.legs.len()).unwrap_or_default();
        assert!((500..=LEGS_MAX).contains(&legs), "{legs} legs");
        assert!(calendar.at(Millis(0)) < calendar.at(NOW) && calendar.at(NOW) < calendar.at(now));
    }
}
