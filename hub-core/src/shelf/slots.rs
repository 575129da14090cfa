//! A slab in pages: it grows by one page and never moves what it holds, so that no single insertion is slow.

/// Things by number. Numbers of things that went are given out again.
#[derive(Debug)]
pub struct Slots<T> {
    pages: Vec<Vec<Slot<T>>>,
    /// The first of the free slots, each of which names the next.
    free: u32,
    len: usize,
}

#[derive(Debug)]
enum Slot<T> {
    Taken(T),
    Free(u32),
}

impl<T> Default for Slots<T> {
    fn default() -> Self {
        Self { pages: Vec::new(), free: NONE, len: 0 }
    }
}

impl<T> Slots<T> {
    /// Bytes that a thing takes here.
    pub const BYTES_EACH: usize = size_of::<Slot<T>>();

    /// How many there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.len
    }

    /// The number that the next thing gets.
    #[must_use]
    pub fn next(&self) -> u32 {
        if self.free == NONE { self.end() } else { self.free }
    }

    /// Adds a thing under the number that [`Self::next`] told.
    pub fn insert(&mut self, thing: T) -> u32 {
        let number = self.next();
        self.len += 1;
        if let Some(slot) = self.slot(number) {
            if let Slot::Free(next) = slot {
                let next = *next;
                *slot = Slot::Taken(thing);
                self.free = next;
            }
            return number;
        }
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            self.pages.push(Vec::with_capacity(PAGE));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(Slot::Taken(thing));
        }
        number
    }

    /// Takes a thing out.
    pub fn remove(&mut self, number: u32) -> Option<T> {
        let free = self.free;
        let slot = self.slot(number).filter(|slot| matches!(slot, Slot::Taken(_)))?;
        let Slot::Taken(thing) = std::mem::replace(slot, Slot::Free(free)) else { return None };
        self.free = number;
        self.len -= 1;
        Some(thing)
    }

    /// The thing of this number.
    #[must_use]
    pub fn get(&self, number: u32) -> Option<&T> {
        match self.pages.get(number as usize / PAGE)?.get(number as usize % PAGE)? {
            Slot::Taken(thing) => Some(thing),
            Slot::Free(_) => None,
        }
    }

    /// The same, to change it.
    pub fn get_mut(&mut self, number: u32) -> Option<&mut T> {
        match self.slot(number)? {
            Slot::Taken(thing) => Some(thing),
            Slot::Free(_) => None,
        }
    }

    /// One beyond the highest number ever given out.
    #[must_use]
    pub fn end(&self) -> u32 {
        let full = self.pages.len().saturating_sub(1) * PAGE;
        (full + self.pages.last().map_or(0, Vec::len)) as u32
    }

    fn slot(&mut self, number: u32) -> Option<&mut Slot<T>> {
        self.pages.get_mut(number as usize / PAGE)?.get_mut(number as usize % PAGE)
    }
}

/// The number of nothing.
pub const NONE: u32 = u32::MAX;
/// Things on a page.
const PAGE: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_given_out_again_and_things_stay_where_they_are() {
        let mut slots = Slots::default();
        for thing in 0..3 * PAGE as u32 {
            assert_eq!((slots.next(), slots.insert(thing)), (thing, thing));
        }
        assert_eq!(slots.remove(300), Some(300));
        assert_eq!(slots.remove(5), Some(5));
        assert_eq!((slots.remove(5), slots.get(5)), (None, None));
        assert_eq!(slots.get_mut(300), None);
        assert_eq!((slots.next(), slots.insert(77)), (5, 5));
        assert_eq!(slots.insert(78), 300);
        assert_eq!(slots.insert(79), 3 * PAGE as u32);
        assert_eq!((slots.get(5), slots.count()), (Some(&77), 3 * PAGE + 1));
        assert_eq!(slots.remove(u32::MAX - 1), None);
    }
}
