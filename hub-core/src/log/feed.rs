//! Which patterns get a topic's messages, in one log.

use std::sync::Arc;

use crate::tail::Tail;
use crate::trie::Trie;

/// The tails of all patterns that somebody listens to.
#[derive(Debug, Default)]
pub struct Feed {
    tails: Trie<Arc<Tail>>,
    count: usize,
    generation: u64,
}

impl Feed {
    /// Changes whenever a pattern comes or goes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// How many patterns there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Adds a pattern.
    pub fn insert(&mut self, pattern: &str, tail: Arc<Tail>) {
        self.count += usize::from(self.tails.insert(pattern, tail).is_none());
        self.generation += 1;
    }

    /// Takes a pattern away, unless it has another tail by now.
    pub fn remove(&mut self, pattern: &str, tail: &Arc<Tail>) {
        if self.tails.get(pattern).is_some_and(|known| Arc::ptr_eq(known, tail)) {
            self.tails.remove(pattern);
            self.count -= 1;
            self.generation += 1;
        }
    }

    /// The tails of all patterns that match a topic.
    #[must_use]
    pub fn matching(&self, topic: &str) -> Vec<Arc<Tail>> {
        let mut found = Vec::new();
        self.tails.matching(topic, &mut |tail| found.push(Arc::clone(tail)));
        found
    }
}
