//! The outputs that the shell has not polled yet.

use alloc::vec::Vec;

use crate::output::{Event, ListenerId, Message, Output};

/// A queue of outputs, which is emptied whole before it is filled again.
#[derive(Debug)]
pub(crate) struct Outputs {
    queue: Vec<Output>,
    /// Place of the next one.
    next: usize,
}

impl Outputs {
    /// None.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self { queue: Vec::new(), next: 0 }
    }

    /// Appends one. Not inlined: it is said in many places.
    #[inline(never)]
    pub(crate) fn push(&mut self, output: Output) {
        self.queue.push(output);
    }

    /// Appends something that the application hears of.
    #[inline(never)]
    pub(crate) fn tell(&mut self, event: Event) {
        self.push(Output::Event(event));
    }

    /// The next one.
    pub(crate) fn pop(&mut self) -> Option<Output> {
        let Some(next) = self.queue.get_mut(self.next) else {
            self.queue.clear();
            self.next = 0;
            return None;
        };
        self.next += 1;
        Some(core::mem::replace(next, Output::OpenLink))
    }

    /// Takes away all that a listener has not heard yet.
    pub(crate) fn forget(&mut self, id: ListenerId) {
        let mut kept = self.next;
        for index in self.next..self.queue.len() {
            if !is_of(&self.queue[index], id) {
                self.queue.swap(kept, index);
                kept += 1;
            }
        }
        self.queue.truncate(kept);
    }
}

/// Whether something is said to this listener.
fn is_of(output: &Output, id: ListenerId) -> bool {
    let Output::Event(event) = output else { return false };
    match event {
        Event::Message(Message { listener, .. })
        | Event::Ready { listener, .. }
        | Event::Refused { listener, .. }
        | Event::Page { listener, .. }
        | Event::CaughtUp { listener }
        | Event::Gap { listener, .. } => *listener == id,
        Event::Status(_) | Event::Published(_) | Event::Failed { .. } => false,
        Event::Detached { .. } | Event::Goodbye { .. } => false,
        Event::Said { .. } | Event::Echoed { .. } => false,
        Event::Settled { .. } | Event::Unsendable { .. } => false,
    }
}
