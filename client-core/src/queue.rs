//! A queue in one vector: as the standard one, without the wrap-around whose code weighs on the wasm client.

use alloc::vec::Vec;

/// Items in order; what leaves at the front leaves a hole that is closed now and then.
#[derive(Debug)]
pub(crate) struct Queue<T> {
    items: Vec<T>,
    /// Place of the front: what is before it has left.
    first: usize,
}

impl<T> Queue<T> {
    /// An empty one.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { items: Vec::new(), first: 0 }
    }

    /// The items, front to back.
    #[must_use]
    pub(crate) fn items(&self) -> &[T] {
        self.items.get(self.first..).unwrap_or_default()
    }

    /// The items, front to back.
    #[must_use]
    pub(crate) fn items_mut(&mut self) -> &mut [T] {
        self.items.get_mut(self.first..).unwrap_or_default()
    }

    /// Puts an item behind the others.
    pub(crate) fn push(&mut self, item: T) {
        self.items.push(item);
    }

    /// Takes out the item at this place, counted from the front. The fewer ones move: those before it, or those behind.
    pub(crate) fn remove(&mut self, index: usize) {
        if index > self.items().len() / 2 {
            self.close(self.first + index, self.first + index + 1);
            return;
        }
        for index in (self.first..self.first + index).rev() {
            self.items.swap(index, index + 1);
        }
        self.pop(1);
    }

    /// Lets the first `count` go. Moves the others only once more have left than stay.
    pub(crate) fn pop(&mut self, count: usize) {
        self.first += count;
        if self.first * 2 >= self.items.len() {
            self.close(0, self.first);
            self.first = 0;
        }
    }

    /// Lets all go.
    pub(crate) fn clear(&mut self) {
        self.pop(self.items().len());
    }

    fn close(&mut self, start: usize, end: usize) {
        for index in end..self.items.len() {
            self.items.swap(index - (end - start), index);
        }
        self.items.truncate(self.items.len() - (end - start));
    }
}
