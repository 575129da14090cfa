//! Timers of many connections: a hashed wheel, one entry each, coarse on purpose.

use crate::clock::Millis;

/// Keys (a place and the number of its timer) that come due, in slots of equal width.
#[derive(Debug)]
pub struct Wheel {
    slots: Vec<Vec<(u32, u32)>>,
    width_ms: u64,
    /// Number of the first slot not yet emptied, counted from 1970.
    next: u64,
}

impl Wheel {
    /// A wheel of 64 slots of `width_ms` each.
    #[must_use]
    pub fn new(now: Millis, width_ms: u64) -> Self {
        Self { slots: vec![Vec::new(); SLOTS as usize], width_ms, next: now.0 / width_ms }
    }

    /// Has `key` come due at `at` or up to a slot later; sooner if `at` is beyond the wheel's turn, so that
    /// whoever takes it must look at its own deadline and insert it again.
    pub fn insert(&mut self, key: (u32, u32), at: Millis) {
        let slot = (at.0 / self.width_ms).clamp(self.next, self.next + SLOTS - 1);
        self.slots[(slot % SLOTS) as usize].push(key);
    }

    /// How many keys it has, those among them that mean nothing any more.
    #[must_use]
    pub fn count(&self) -> usize {
        self.slots.iter().map(Vec::len).sum()
    }

    /// When the wheel wants to be turned next.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        Millis((self.next + 1) * self.width_ms)
    }

    /// Takes the keys whose time has come.
    pub fn turn(&mut self, now: Millis, due: &mut Vec<(u32, u32)>) {
        let last = (now.0 / self.width_ms).min(self.next + SLOTS);
        while self.next < last {
            due.append(&mut self.slots[(self.next % SLOTS) as usize]);
            self.next += 1;
        }
        // After a sleep longer than a whole turn all slots are empty; go on from now.
        self.next = self.next.max(now.0 / self.width_ms);
    }
}

const SLOTS: u64 = 64;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_due_once_and_never_early() {
        let mut wheel = Wheel::new(Millis(10_000), 1_000);
        wheel.insert((1, 0), Millis(12_500));
        wheel.insert((2, 0), Millis(10_000));
        wheel.insert((3, 0), Millis(9_000_000));
        let mut seen = Vec::new();
        let mut due = Vec::new();
        for now in (10_000..90_000).step_by(500) {
            wheel.turn(Millis(now), &mut due);
            seen.extend(due.drain(..).map(|(key, _)| (key, now)));
        }
        assert!(seen.contains(&(2, 11_000)), "{seen:?}");
        assert!(seen.contains(&(1, 13_000)), "{seen:?}");
        // Beyond the wheel's reach: handed back early, to be inserted again.
        assert_eq!(seen.iter().filter(|(key, _)| *key == 3).count(), 1);
        assert_eq!(seen.len(), 3);
    }
}
