//! How often something may happen: ten seconds' worth at once, and then as it fills up again.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock::Millis;

/// A pace that several threads may keep together.
#[derive(Debug, Default)]
pub struct Pace {
    /// When all of the allowance is there again, in microseconds.
    full_at: AtomicU64,
}

/// The allowance is used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not before {retry_after_ms} ms have passed")]
pub struct Exhausted {
    /// When there is some again.
    pub retry_after_ms: u64,
}

impl Pace {
    /// Takes one from the allowance; 0 a second stands for no limit.
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn take_one(&self, now: Millis, per_second: u64) -> Result<(), Exhausted> {
        self.take(now, per_second, 1)
    }

    /// Asks for one, and takes none; 0 a second stands for no limit. If nobody else takes from it, one can be taken then.
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn ask(&self, now: Millis, per_second: u64) -> Result<(), Exhausted> {
        if per_second == 0 {
            return Ok(());
        }
        let (now, each) = (now.0.saturating_mul(1_000), each(per_second));
        fits(self.full_at.load(Ordering::Relaxed), now, each)
    }

    /// Takes so many at once, as soon as there is one: all that are more are owed, and none comes before they are there.
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn take(&self, now: Millis, per_second: u64, count: u64) -> Result<(), Exhausted> {
        if per_second == 0 || count == 0 {
            return Ok(());
        }
        let (now, each) = (now.0.saturating_mul(1_000), each(per_second));
        let after = |full_at: u64| fits(full_at, now, each).ok().map(|()| full_at.max(now) + each * count);
        match self.full_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, after) {
            Ok(_) => Ok(()),
            Err(full_at) => fits(full_at, now, each),
        }
    }
}

/// Whether there is one.
fn fits(full_at: u64, now: u64, each: u64) -> Result<(), Exhausted> {
    let early = (full_at.max(now) + each).saturating_sub(now + 10 * SECOND);
    if early == 0 { Ok(()) } else { Err(Exhausted { retry_after_ms: early / 1_000 + 1 }) }
}

/// Microseconds for one.
fn each(per_second: u64) -> u64 {
    (SECOND / per_second).max(1)
}

const SECOND: u64 = 1_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ten_seconds_worth_at_once_and_then_as_it_fills_up() {
        let pace = Pace::default();
        let mut now = Millis(1_000_000);
        let taken = |now| (0..).take_while(|_| pace.take_one(now, 3).is_ok()).count();
        assert_eq!(taken(now), 30);
        let Err(Exhausted { retry_after_ms }) = pace.take_one(now, 3) else { unreachable!("it is used up") };
        now = now.plus(retry_after_ms);
        assert_eq!(taken(now), 1, "after {retry_after_ms} ms");
        assert_eq!(taken(now.plus(2_000)), 6);
        assert_eq!(taken(now.plus(60_000)), 30);
        assert_eq!(pace.take_one(now.plus(60_000), 0), Ok(()));
    }

    #[test]
    fn who_asks_is_told_the_same_and_takes_none() {
        let (pace, now) = (Pace::default(), Millis(1_000_000));
        for _ in 0..30 {
            assert_eq!((pace.ask(now, 3), pace.ask(now, 3), pace.take_one(now, 3)), (Ok(()), Ok(()), Ok(())));
        }
        assert_eq!(pace.ask(now, 3), pace.take_one(now, 3));
        assert!(pace.ask(now, 3).is_err());
        assert_eq!(pace.ask(now, 0), Ok(()));
    }

    #[test]
    fn more_than_there_is_is_owed() {
        let (pace, now) = (Pace::default(), Millis(1_000_000));
        assert_eq!(pace.take(now, 10, 1_000), Ok(()), "a hundred are there");
        assert_eq!(pace.take_one(now, 10), Err(Exhausted { retry_after_ms: 90_101 }));
        assert_eq!(pace.take(now.plus(90_101), 10, 2), Ok(()));
        assert!(pace.take_one(now.plus(90_101), 10).is_err());
    }
}
