//! The one kind of time the pure code knows: milliseconds, given from outside.

/// Milliseconds of the shell's steady clock: it begins with the milliseconds since 1970 and goes on evenly, whatever the
/// system's clock is corrected by. What is given to messages is a time of its [`Calendar`](crate::calendar::Calendar).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Millis(pub u64);

/// A time that does not come.
pub const NEVER: Millis = Millis(u64::MAX);

impl Millis {
    /// This time and `ms` milliseconds.
    #[must_use]
    pub const fn plus(self, ms: u64) -> Self {
        Self(self.0.saturating_add(ms))
    }

    /// Milliseconds from `earlier` to this time; 0 if it is not earlier.
    #[must_use]
    pub const fn since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}
