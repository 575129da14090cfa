//! Windows that outlive the hub: each knows whose it is, so that it can be stored, and is put back at the next start.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, ProducerId};

use crate::clock::Millis;
use crate::ledger::Account;
use crate::log::window::Window;
use crate::log::windows::{Kept, Stream, WindowKey, Windows};
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

/// The number of a window's producer, and whether the window outlives the hub, and was named by a commit: in as few bytes as the
/// number, since there are very many windows.
#[derive(Debug, Clone, Copy)]
pub(super) struct Whose(u32);

impl Whose {
    const LASTING: u32 = 1 << 31;
    const NAMED: u32 = 1 << 30;
    const NUMBER: u32 = Self::NAMED - 1;

    pub(super) const fn new(producer: u32, is_lasting: bool) -> Self {
        Self(producer & Self::NUMBER | if is_lasting { Self::LASTING } else { 0 })
    }

    const fn restored(producer: u32) -> Self {
        Self(producer & Self::NUMBER | Self::LASTING | Self::NAMED)
    }

    pub(super) const fn producer(self) -> u32 {
        self.0 & Self::NUMBER
    }

    /// Whether a commit has named the window, stored or not: a start may find it.
    pub(super) const fn is_named(self) -> bool {
        self.0 & Self::NAMED > 0
    }

    /// What a window takes for that beside its own bytes.
    pub(super) const fn bytes_beside(self) -> usize {
        if self.0 & Self::LASTING == 0 { 0 } else { HOME_BYTES }
    }
}

/// Windows that are kept no longer, though what is stored says otherwise: until that is stored too, their producers are not told
/// that the hub knows nothing of them. Else they would begin anew, and after a crash meet what they did before.
#[derive(Debug, Default)]
pub(super) struct Leaving {
    /// Each with its incarnation, and whether it is in the commit that is under way.
    windows: BTreeMap<(ProducerId, Arc<str>), Gone>,
}

/// What is to be stored though nothing is published.
#[derive(Debug, Default)]
pub(super) struct News {
    /// Windows, by their slots, that a higher incarnation uses now: else the next life of the hub would let the lower one go on.
    raised: BTreeSet<u32>,
    /// Whether whoever has the disk was not told yet.
    is_new: bool,
}

impl News {
    pub(super) fn raised(&mut self, slot: u32) {
        self.raised.insert(slot);
        self.is_new = true;
    }

    pub(super) const fn wake(&mut self) {
        self.is_new = true;
    }
}

#[derive(Debug)]
struct Gone {
    home: Home,
    incarnation: Incarnation,
    is_committing: bool,
}

impl Leaving {
    pub(super) fn add(&mut self, home: Home, incarnation: Incarnation) {
        let key = (home.producer.id, Arc::clone(&home.topic));
        self.windows.insert(key, Gone { home, incarnation, is_committing: false });
    }

    /// Whether a window may begin.
    ///
    /// # Errors
    /// [`Code::Overloaded`] until it is stored that the one before is gone.
    pub(super) fn check(&self, stream: &Stream<'_>) -> Result<(), Code> {
        if self.windows.is_empty() {
            return Ok(());
        }
        let key = (stream.attachment.producer.id, Arc::clone(stream.topic.text()));
        if self.windows.contains_key(&key) { Err(Code::Overloaded) } else { Ok(()) }
    }
}

impl Windows {
    /// Whether some are kept no longer, or are of a higher incarnation, which is to be stored. Told once.
    pub fn take_news(&mut self) -> bool {
        std::mem::take(&mut self.news.is_new)
    }

    /// Whether some are kept no longer, or are of a higher incarnation, which is not stored.
    #[must_use]
    pub fn have_news(&self) -> bool {
        !self.leaving.windows.is_empty() || !self.news.raised.is_empty()
    }

    /// One that is of a higher incarnation now is in the commit that is under way from now on. Should that not be stored, all are
    /// told anew.
    pub fn commit_raised(&mut self) -> Option<(&Window, Incarnation, &Home)> {
        while let Some(slot) = self.news.raised.pop_first() {
            if self.lasting_at(slot).is_some() {
                return self.lasting_at(slot);
            }
        }
        None
    }

    /// Some of those that are kept no longer are in the commit that is under way from now on.
    pub fn commit_leaving(&mut self, mut each: impl FnMut(&Home, Incarnation)) {
        for gone in self.leaving.windows.values_mut().take(LEAVING_STEP) {
            gone.is_committing = true;
            each(&gone.home, gone.incarnation);
        }
    }

    /// The commit that was under way is stored, or nothing of it is.
    pub fn end_commit(&mut self, is_stored: bool) {
        self.leaving.windows.retain(|_, gone| !(std::mem::take(&mut gone.is_committing) && is_stored));
    }

    /// A window that outlived the hub; nobody uses it yet. `false` if there is one already: then its producer is used by one
    /// fewer.
    pub fn restore(&mut self, now: Millis, account: &Arc<Account>, outlived: Outlived<'_>) -> bool {
        let Outlived { producer, incarnation, topic, window } = outlived;
        let print = self.printer.print(producer.id, topic);
        if self.index.find(&self.shelf, print).is_some() {
            return false;
        }
        let whose = Whose::restored(producer.number());
        let key = self.shelf.put(account, |_| Kept { window, print, incarnation, whose, next: 0 });
        self.homes.insert(key.slot, Home { producer, topic: Arc::clone(topic.text()) });
        self.index.insert(&mut self.shelf, print, key.slot);
        self.shelf.lay_down(now, key);
        self.make_room();
        true
    }

    /// A window that the commit names which is under way from now on, in which incarnation, and whose.
    pub fn commit(&mut self, window: WindowKey) -> Option<(&Window, Incarnation, &Home)> {
        self.shelf.get(window.key)?;
        let slot = window.key.slot;
        self.shelf.at_mut(slot)?.whose.0 |= Whose::NAMED;
        self.lasting_at(slot)
    }

    /// The same of windows that commits have named, some from a slot on. Tells also where to go on; `None` if those were the
    /// last.
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
        let kept = self.shelf.at(slot).filter(|kept| kept.whose.is_named())?;
        let home = self.homes.get(&slot)?;
        Some((&kept.window, kept.incarnation, home))
    }
}

/// Windows of which one commit says that they are kept no longer.
const LEAVING_STEP: usize = 1_024;
const HOME_BYTES: usize = 2 * size_of::<(u32, Home)>();
