//! Places that lists keep for what may come: those that many have left are given back, and few at a time never.

use std::collections::VecDeque;

/// A list with places to spare.
pub(crate) trait Spare {
    /// Gives back half of the places or more where less than a quarter is used; whether it did.
    fn give_back(&mut self) -> bool;
}

impl<T> Spare for Vec<T> {
    fn give_back(&mut self) -> bool {
        let gives = self.len() < self.capacity() / 4;
        if gives {
            self.shrink_to(2 * self.len());
        }
        gives
    }
}

impl<T> Spare for VecDeque<T> {
    fn give_back(&mut self) -> bool {
        let gives = self.len() < self.capacity() / 4;
        if gives {
            self.shrink_to(2 * self.len());
        }
        gives
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_given_back_seldom_however_many_leave() {
        let mut list: VecDeque<u64> = (0..4_096).collect();
        let given = std::iter::from_fn(|| list.pop_front().map(|_| list.give_back()));
        assert!((8..=13).contains(&given.filter(|gives| *gives).count()));
        assert_eq!(list.capacity(), 0);
    }
}
