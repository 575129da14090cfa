//! What is going to happen, in order of time; at one time, in an order of chance.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

/// Events to come.
#[derive(Debug)]
pub struct Queue<E> {
    heap: BinaryHeap<Item<E>>,
    count: u64,
}

#[derive(Debug)]
struct Item<E> {
    /// Time, then chance, then age: no two are equal, so a seed fixes the order.
    key: (u64, u32, u64),
    event: E,
}

impl<E> Queue<E> {
    /// Nothing to come.
    #[must_use]
    pub fn new() -> Self {
        Self { heap: BinaryHeap::new(), count: 0 }
    }

    /// Adds an event; among those of one millisecond, `chance` decides.
    pub fn push(&mut self, at: u64, chance: u32, event: E) {
        self.count += 1;
        self.heap.push(Item { key: (at, chance, self.count), event });
    }

    /// Takes the next event, unless it comes after `until`.
    pub fn pop(&mut self, until: u64) -> Option<(u64, E)> {
        if self.heap.peek()?.key.0 > until {
            return None;
        }
        self.heap.pop().map(|item| (item.key.0, item.event))
    }

    /// How many events there have been.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count
    }
}

impl<E> Default for Queue<E> {
    fn default() -> Self {
        Self::new()
    }
}

/// The heap's greatest is the event that comes first.
impl<E> Ord for Item<E> {
    fn cmp(&self, other: &Self) -> Ordering {
        other.key.cmp(&self.key)
    }
}

impl<E> PartialOrd for Item<E> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl<E> PartialEq for Item<E> {
    fn eq(&self, other: &Self) -> bool {
        self.key == other.key
    }
}

impl<E> Eq for Item<E> {}
