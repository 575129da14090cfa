//! The tails that hold most, so that room can be made without a look at all of them.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::sync::{Arc, Weak};

use crate::clock::{Millis, NEVER};
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::sync::{Mutex, lock};
use crate::tail::of_pattern::Doubles;
use crate::tail::{Source, Tail};

/// Tails that hold a notable part of what the node may hold; there cannot be very many of them.
#[derive(Debug)]
pub struct Heavy {
    tails: Mutex<Vec<Weak<Tail>>>,
    /// What those of patterns hold, heavy or not.
    pub doubles: Doubles,
}

/// Those of them that are heavy still, heaviest first.
#[derive(Debug, Default)]
pub struct Weighed {
    patterns: Vec<(usize, Arc<Tail>)>,
    topics: Vec<(usize, Arc<Tail>)>,
}

impl Heavy {
    /// None yet.
    #[must_use]
    pub fn new(ledger: &Arc<Ledger>, limits: &Limits) -> Self {
        let doubles = Doubles::new(ledger, limits.doubles_bytes_max());
        Self { tails: Mutex::default(), doubles }
    }

    /// A tail has become heavy.
    pub fn add(&self, tail: &Arc<Tail>) {
        lock(&self.tails).push(Arc::downgrade(tail));
    }

    /// Those that are still heavy.
    #[must_use]
    pub fn weigh(&self) -> Weighed {
        let mut weighed = Weighed::default();
        lock(&self.tails).retain(|tail| {
            let Some(tail) = tail.upgrade() else { return false };
            let Some(bytes) = tail.heavy_bytes() else { return false };
            match tail.source {
                Source::Pattern(_) => weighed.patterns.push((bytes, tail)),
                Source::Topic(_) => weighed.topics.push((bytes, tail)),
            }
            true
        });
        weighed.patterns.sort_unstable_by_key(|(bytes, _)| Reverse(*bytes));
        weighed
    }
}

impl Weighed {
    /// Frees about so many bytes, if they can be found here: of what can be made again, then of what topics hold too.
    pub fn relieve_doubles(&self, excess: usize) {
        let all = self.patterns.iter().chain(&self.topics);
        let mut freed: usize = all.map(|(_, tail)| tail.drop_derived()).sum();
        // Each loses the older half before any loses the other.
        for let_go in [|tail: &Tail| tail.shrink(NEVER), Tail::clear] {
            for (_, tail) in &self.patterns {
                if freed >= excess {
                    return;
                }
                freed += let_go(tail);
            }
        }
    }

    /// Frees about so many bytes, if they can be found here, of the heaviest topics that accounts filled which hold
    /// more than `level`, and of what came until `settled`.
    pub fn relieve_topics(&self, settled: Millis, excess: usize, level: usize) {
        let of_many = self.topics.iter().enumerate().filter(|(_, (_, tail))| tail.is_of_many(level));
        let mut heaviest: BinaryHeap<_> = of_many.map(|(at, (bytes, _))| (*bytes, at)).collect();
        let mut freed = 0;
        for _ in 0..HALVINGS_MAX {
            let Some((bytes, at)) = heaviest.pop().filter(|_| freed < excess) else { return };
            let tail = &self.topics[at].1;
            if !tail.is_of_many(level) {
                continue;
            }
            let halved = tail.shrink(settled);
            freed += halved;
            if halved > 0 {
                heaviest.push((bytes.saturating_sub(halved), at));
            }
        }
    }
}

/// Bounds the work that making room adds to one publish.
const HALVINGS_MAX: usize = 64;
