//! Where the window of a producer on a topic is: a hash table that grows by one bucket at a time, so that no single
//! insertion is slow, and whose chains run through the windows themselves.

use std::hash::{BuildHasher, Hasher, RandomState};

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::ProducerId;

use crate::shelf::slots::NONE;

/// What stands for a producer and a topic. Two that differ have the same with a chance of 2^-128, and nobody
/// can look for them: the keys are this process's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Print([u64; 2]);

/// Makes [`Print`]s. Random, but nothing depends on how: places are found by them and never listed.
#[derive(Debug, Default)]
pub struct Printer {
    states: [RandomState; 2],
}

/// What runs in chains.
pub trait Chains {
    /// The print of what is in a slot, and the slot that comes next in its chain.
    fn link(&self, slot: u32) -> Option<(Print, u32)>;
    /// Sets which slot comes next.
    fn set_next(&mut self, slot: u32, next: u32);
}

/// The first slot of each chain.
#[derive(Debug)]
pub struct Index {
    heads: Vec<u32>,
    count: usize,
}

impl Printer {
    /// What stands for a producer and a topic.
    #[must_use]
    pub fn print(&self, producer: ProducerId, topic: &TopicName) -> Print {
        Print([0, 1].map(|half: usize| {
            let mut hasher = self.states[half].build_hasher();
            hasher.write_usize(half);
            hasher.write(&producer.0);
            hasher.write(topic.as_str().as_bytes());
            hasher.finish()
        }))
    }
}

impl Default for Index {
    fn default() -> Self {
        Self { heads: vec![NONE], count: 0 }
    }
}

impl Index {
    /// Bytes that it takes for each, at most.
    pub const BYTES_EACH: usize = 2 * size_of::<u32>();

    /// The slot of what has this print.
    #[must_use]
    pub fn find(&self, chains: &impl Chains, print: Print) -> Option<u32> {
        let mut slot = self.heads[self.bucket(print)];
        while let Some((found, next)) = chains.link(slot) {
            if found == print {
                return Some(slot);
            }
            slot = next;
        }
        None
    }

    /// Adds what is in a slot.
    pub fn insert(&mut self, chains: &mut impl Chains, print: Print, slot: u32) {
        self.count += 1;
        if self.count > self.heads.len() {
            self.split(chains);
        }
        let bucket = self.bucket(print);
        chains.set_next(slot, self.heads[bucket]);
        self.heads[bucket] = slot;
    }

    /// Takes out what is in a slot.
    pub fn remove(&mut self, chains: &mut impl Chains, print: Print, slot: u32) {
        let bucket = self.bucket(print);
        let after = chains.link(slot).map_or(NONE, |(_, next)| next);
        let mut at = self.heads[bucket];
        if at == slot {
            self.heads[bucket] = after;
            self.count -= 1;
            return;
        }
        while let Some((_, next)) = chains.link(at) {
            if next == slot {
                chains.set_next(at, after);
                self.count -= 1;
                return;
            }
            at = next;
        }
    }

    /// The bucket of a print: by as many bits as there are buckets for, or by one fewer.
    fn bucket(&self, print: Print) -> usize {
        let mask = self.heads.len().next_power_of_two() - 1;
        let bucket = print.0[0] as usize & mask;
        if bucket < self.heads.len() { bucket } else { bucket & (mask >> 1) }
    }

    /// Adds a bucket, to which some of just one other belongs.
    fn split(&mut self, chains: &mut impl Chains) {
        let new = self.heads.len();
        let old = new - new.next_power_of_two() / if new.is_power_of_two() { 1 } else { 2 };
        self.heads.push(NONE);
        let mut slot = std::mem::replace(&mut self.heads[old], NONE);
        while let Some((print, next)) = chains.link(slot) {
            let bucket = self.bucket(print);
            chains.set_next(slot, self.heads[bucket]);
            self.heads[bucket] = slot;
            slot = next;
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    impl Chains for Vec<(Print, u32)> {
        fn link(&self, slot: u32) -> Option<(Print, u32)> {
            self.get(slot as usize).copied()
        }

        fn set_next(&mut self, slot: u32, next: u32) {
            self[slot as usize].1 = next;
        }
    }

    proptest! {
        #[test]
        fn what_is_put_in_is_found_until_it_is_taken_out(acts in prop::collection::vec((any::<bool>(), 0..500u64), 1..800)) {
            let (mut index, mut chains, mut known) = (Index::default(), Vec::new(), BTreeMap::new());
            // Few low bits, so that chains are long.
            let print = |n: u64| Print([n % 37 * 64 + n / 37, n]);
            for (add, n) in acts {
                match known.get(&n) {
                    None if add => {
                        let slot = chains.len() as u32;
                        chains.push((print(n), NONE));
                        index.insert(&mut chains, print(n), slot);
                        known.insert(n, slot);
                    }
                    Some(slot) if !add => {
                        index.remove(&mut chains, print(n), *slot);
                        known.remove(&n);
                    }
                    _ => {}
                }
            }
            for n in 0..500 {
                prop_assert_eq!(index.find(&chains, print(n)), known.get(&n).copied());
            }
            prop_assert_eq!(index.count, known.len());
        }
    }

    #[test]
    fn prints_differ_by_producer_and_by_topic() {
        let printer = Printer::default();
        let print =
            |producer, topic| printer.print(ProducerId([producer; 16]), &TopicName::parse(topic).unwrap());
        assert_eq!(print(1, "a"), print(1, "a"));
        assert!(print(1, "a") != print(2, "a") && print(1, "a") != print(1, "b"));
        assert!(print(1, "a").0[0] != print(1, "a").0[1]);
    }
}
