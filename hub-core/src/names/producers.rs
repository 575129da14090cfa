//! Who publishes: the hub's producers and their incarnations, whatever they publish to.
//!
//! Participants hold their [`Producer`], so that whether it is fenced is one load away. One that somebody uses, as
//! a participant or by a window, is never forgotten; the rest while there is room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Incarnation, ProducerId};

use crate::clock::Millis;
use crate::ledger::{Account, Kind};
use crate::mutant::{self, Mutant};
use crate::shelf::{Key, Shelf, Shelved};

/// One publisher, in all its incarnations.
#[derive(Debug)]
pub struct Producer {
    /// Its secret identity.
    pub id: ProducerId,
    /// The highest incarnation seen.
    incarnation: AtomicU64,
    key: Key,
}

/// All producers that the hub knows.
#[derive(Debug)]
pub struct Producers {
    shelf: Shelf<Arc<Producer>>,
    by_id: BTreeMap<ProducerId, u32>,
}

impl Producer {
    /// Whether a newer incarnation was seen.
    #[must_use]
    pub fn is_fenced(&self, incarnation: Incarnation) -> bool {
        self.incarnation.load(Ordering::Acquire) > incarnation.0 && !mutant::active(Mutant::FencingOff)
    }

    /// Its number among the hub's.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.key.slot
    }
}

impl Shelved for Arc<Producer> {
    fn bytes(&self) -> usize {
        PRODUCER_BYTES
    }
}

impl Producers {
    /// None yet; of those that nobody uses about `bytes_max` are remembered.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { shelf: Shelf::new(Kind::Windows, bytes_max), by_id: BTreeMap::new() }
    }

    /// How many are known.
    #[must_use]
    pub fn count(&self) -> usize {
        self.shelf.count()
    }

    /// One more uses a producer, as this incarnation; older ones are fenced from now on.
    ///
    /// # Errors
    /// [`Code::Fenced`] if a newer one was seen.
    pub fn attach(
        &mut self,
        account: &Arc<Account>,
        id: ProducerId,
        incarnation: Incarnation,
    ) -> Result<Arc<Producer>, Code> {
        if let Some(known) = self.by_id.get(&id).and_then(|slot| self.shelf.at(*slot)) {
            let known = Arc::clone(known);
            if known.is_fenced(incarnation) {
                return Err(Code::Fenced);
            }
            known.incarnation.fetch_max(incarnation.0, Ordering::AcqRel);
            self.shelf.take_up(known.key);
            return Ok(known);
        }
        let incarnation = AtomicU64::new(incarnation.0);
        let key = self.shelf.put(account, |key| Arc::new(Producer { id, incarnation, key }));
        self.by_id.insert(id, key.slot);
        self.forget_some();
        self.shelf.get(key).cloned().ok_or(Code::Internal)
    }

    /// One more uses a producer that somebody uses.
    pub fn hold(&mut self, producer: &Producer) {
        self.shelf.take_up(producer.key);
    }

    /// One fewer uses a producer, named by its number.
    pub fn release(&mut self, now: Millis, number: u32) {
        if let Some(key) = self.shelf.key_at(number) {
            self.shelf.lay_down(now, key);
            self.forget_some();
        }
    }

    /// Forgets a few of those that nobody uses, if they are too many.
    fn forget_some(&mut self) {
        for _ in 0..STEP {
            if self.shelf.bytes_idle() <= self.shelf.bytes_max() {
                return;
            }
            let Some(gone) = self.shelf.first_to_go().and_then(|key| self.shelf.remove(key)) else { return };
            self.by_id.remove(&gone.id);
        }
    }
}

/// Forgotten at once. Each call adds one at most.
const STEP: usize = 4;
/// What the allocator and the index of names take for each, roughly, beside what is counted here.
const BESIDES: usize = 16 + 16 + (size_of::<ProducerId>() + size_of::<u32>()) * 3 / 2;
const PRODUCER_BYTES: usize = Shelf::<Arc<Producer>>::BYTES_EACH + size_of::<Producer>() + BESIDES;
