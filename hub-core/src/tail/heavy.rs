//! The tails that hold most, so that room can be made without a look at all of them.

use std::sync::{Arc, Weak};

use crate::ledger::Kind;
use crate::sync::{Mutex, lock};
use crate::tail::{Source, Tail};

/// Tails that hold a notable part of what the node may hold; there cannot be very many of them.
#[derive(Debug, Default)]
pub struct Heavy {
    tails: Mutex<Vec<Weak<Tail>>>,
}

impl Heavy {
    /// A tail has become heavy.
    pub fn add(&self, tail: &Arc<Tail>) {
        lock(&self.tails).push(Arc::downgrade(tail));
    }

    /// Frees about so many bytes, if they can be found here: what can be made again goes first, then what a pattern's
    /// topics hold too, then the older half of the heaviest topics, but of accounts that hold no more than `may_keep`.
    pub fn relieve(&self, excess: usize, may_keep: usize) {
        let mut weighed = self.weigh();
        let mut freed: usize = weighed.iter().map(|(_, tail)| tail.drop_derived()).sum();
        weighed.sort_by_key(|(bytes, tail)| {
            (matches!(tail.source, Source::Topic(_)), std::cmp::Reverse(*bytes))
        });
        let patterns = weighed.partition_point(|(_, tail)| matches!(tail.source, Source::Pattern(_)));
        for (_, tail) in &weighed[..patterns] {
            if freed >= excess {
                return;
            }
            freed += tail.halve();
        }
        let mut topics = std::collections::BinaryHeap::new();
        let holds_too_much =
            |tail: &Tail| tail.owner().is_some_and(|owner| owner.held(Kind::Messages) > may_keep);
        let of_many = weighed[patterns..].iter().enumerate().filter(|(_, (_, tail))| holds_too_much(tail));
        topics.extend(of_many.map(|(at, (bytes, _))| (*bytes, at)));
        for _ in 0..HALVINGS_MAX {
            let Some((bytes, at)) = topics.pop().filter(|_| freed < excess) else { return };
            let tail = &weighed[patterns + at].1;
            if !holds_too_much(tail) {
                continue;
            }
            let halved = tail.halve();
            freed += halved;
            if halved > 0 {
                topics.push((bytes.saturating_sub(halved), at));
            }
        }
    }

    /// Those that are still heavy, with their bytes.
    fn weigh(&self) -> Vec<(usize, Arc<Tail>)> {
        let mut weighed = Vec::new();
        lock(&self.tails).retain(|tail| {
            let Some(tail) = tail.upgrade() else { return false };
            let bytes = tail.heavy_bytes();
            weighed.extend(bytes.map(|bytes| (bytes, tail)));
            bytes.is_some()
        });
        weighed
    }
}

/// Bounds the work that making room adds to one publish.
const HALVINGS_MAX: usize = 64;
