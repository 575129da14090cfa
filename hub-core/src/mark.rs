//! Which shards have cursors on a tail, and which of them have yet to look at it again.

use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// One tail's marks, a pair for each shard.
///
/// A publisher appends, then [`Marks::raise`]s; a shard [`Mark::take`]s, then looks. Taking swaps: a plain
/// store could be ordered after the look and wipe out a mark raised in between (`loom` finds that).
#[derive(Debug)]
pub struct Marks(Box<[Mark]>);

/// What one shard has to do with one tail.
#[derive(Debug, Default)]
pub struct Mark {
    cursors: AtomicU32,
    dirty: AtomicBool,
}

impl Marks {
    /// Clean marks for so many shards.
    #[must_use]
    pub fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Mark::default()).collect())
    }

    /// The mark of one shard.
    #[must_use]
    pub fn of(&self, shard: usize) -> &Mark {
        &self.0[shard]
    }

    /// Marks the tail for each shard that has cursors on it, and calls `wake` for those not marked yet.
    pub fn raise(&self, mut wake: impl FnMut(usize)) {
        for (shard, mark) in self.0.iter().enumerate() {
            if mark.cursors.load(Ordering::Acquire) > 0 && !mark.dirty.swap(true, Ordering::AcqRel) {
                wake(shard);
            }
        }
    }

    /// Whether any shard has a cursor here.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.0.iter().any(|mark| mark.cursors.load(Ordering::Acquire) > 0)
    }
}

impl Mark {
    /// One more cursor. Must happen under the tail's lock, together with deciding where the cursor stands.
    pub fn join(&self) {
        self.cursors.fetch_add(1, Ordering::AcqRel);
    }

    /// One cursor fewer.
    pub fn leave(&self) {
        self.cursors.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes the mark; what was appended before it was raised is visible to a look that follows.
    pub fn take(&self) {
        self.dirty.swap(false, Ordering::AcqRel);
    }
}
