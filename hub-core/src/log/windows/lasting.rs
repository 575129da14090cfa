//! Windows that outlive the hub: each knows whose it is, so that it can be stored, and is put back at the next start.

use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Incarnation;

use crate::clock::Millis;
use crate::ledger::Account;
use crate::log::window::Window;
use crate::log::windows::{Kept, WindowKey, Windows};
use crate::names::producers::Producer;

/// Whose a window is, and where: what tells it from others where it is stored.
#[derive(Debug, Clone)]
pub struct Home {
    /// Whose.
    pub producer: Arc<Producer>,
    /// On which topic.
    pub topic: Arc<str>,
}

/// A window that outlived the hub.
#[derive(Debug)]
pub struct Outlived<'a> {
    /// Whose, which is used once more for it.
    pub producer: Arc<Producer>,
    /// Its last incarnation.
    pub incarnation: Incarnation,
    /// On which topic.
    pub topic: &'a TopicName,
    /// How it stands.
    pub window: Window,
}

/// The number of a window's producer, and whether the window outlives the hub: in as few bytes as the number, since there
/// are very many windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose(u32);

impl Whose {
    const LASTING: u32 = 1 << 31;

    pub(super) const fn new(producer: u32, is_lasting: bool) -> Self {
        Self(producer & !Self::LASTING | if is_lasting { Self::LASTING } else { 0 })
    }

    pub(super) const fn producer(self) -> u32 {
        self.0 & !Self::LASTING
    }

    /// What a window takes for that beside its own bytes.
    pub(super) const fn bytes_beside(self) -> usize {
        if self.0 & Self::LASTING == 0 { 0 } else { HOME_BYTES }
    }
}

impl Windows {
    /// A window that outlived the hub; nobody uses it yet. `false` if there is one already: then its producer is used by one
    /// fewer.
    pub fn restore(&mut self, now: Millis, account: &Arc<Account>, outlived: Outlived<'_>) -> bool {
        let Outlived { producer, incarnation, topic, window } = outlived;
        let print = self.printer.print(producer.id, topic);
        if self.index.find(&self.shelf, print).is_some() {
            return false;
        }
        let whose = Whose::new(producer.number(), true);
        let key = self.shelf.put(account, |_| Kept { window, print, incarnation, whose, next: 0 });
        self.homes.insert(key.slot, Home { producer, topic: Arc::clone(topic.text()) });
        self.index.insert(&mut self.shelf, print, key.slot);
        self.shelf.lay_down(now, key);
        self.make_room();
        true
    }

    /// A window that outlives the hub, in which incarnation, and whose.
    #[must_use]
    pub fn lasting(&self, window: WindowKey) -> Option<(&Window, Incarnation, &Home)> {
        self.shelf.get(window.key)?;
        self.lasting_at(window.key.slot)
    }

    /// The same, of some windows from a slot on. Tells also where to go on; `None` if those were the last.
    pub fn lasting_from(
        &self,
        slot: u32,
        count: u32,
    ) -> (impl Iterator<Item = (&Window, Incarnation, &Home)>, Option<u32>) {
        let end = self.shelf.end().min(slot.saturating_add(count));
        let some = (slot..end).filter_map(|slot| self.lasting_at(slot));
        (some, Some(end).filter(|end| *end < self.shelf.end()))
    }

    fn lasting_at(&self, slot: u32) -> Option<(&Window, Incarnation, &Home)> {
        let (kept, home) = (self.shelf.at(slot)?, self.homes.get(&slot)?);
        Some((&kept.window, kept.incarnation, home))
    }
}

const HOME_BYTES: usize = 2 * size_of::<(u32, Home)>();
