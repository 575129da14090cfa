//! Who publishes: the hub's producers, and who has each of them now, whatever they publish to.
//!
//! Each attach begins a term and ends the one before, whether it came in a higher incarnation or in the same one.
//! Participants hold their [`Attachment`], so that whether it is fenced is one load away. A producer that somebody
//! uses, as a participant or by a window, is never forgotten; the rest while there is room.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Incarnation, ProducerId};

use crate::clock::Millis;
use crate::ledger::{Account, Kind};
use crate::letter::Address;
use crate::mutant::{self, Mutant};
use crate::shelf::{Key, Shelf, Shelved};

/// One publisher, in all its incarnations.
#[derive(Debug)]
pub struct Producer {
    /// Its secret identity.
    pub id: ProducerId,
    /// Whose it is; `None` if it is theirs who have no token.
    pub subject: Option<Arc<str>>,
    /// The term that lasts.
    term: AtomicU64,
    key: Key,
}

/// A producer as one participant has it.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Which.
    pub producer: Arc<Producer>,
    /// In which incarnation.
    pub incarnation: Incarnation,
    term: u64,
}

/// Whoever wants a producer.
#[derive(Debug, Clone, Copy)]
pub struct Claim<'a> {
    /// Which.
    pub producer: ProducerId,
    /// Who that is by its token; `None` without one.
    pub subject: Option<&'a Arc<str>>,
    /// In which incarnation.
    pub incarnation: Incarnation,
    /// Whom to tell when somebody else gets it.
    pub address: Address,
    /// When its connection came.
    pub arrival: Arrival,
}

/// The order in which connections came: a number drawn before the client may say anything on it. A client that has a
/// link has given up those that came before, so what is read late from one of these takes nothing from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Arrival(pub u64);

/// All producers that the hub knows.
#[derive(Debug)]
pub struct Producers {
    shelf: Shelf<Known>,
    by_id: BTreeMap<ProducerId, u32>,
}

#[derive(Debug)]
struct Known {
    producer: Arc<Producer>,
    /// The highest incarnation seen.
    incarnation: Incarnation,
    /// Who has it; most are had by nobody.
    owner: Option<Box<Owner>>,
}

#[derive(Debug)]
struct Owner {
    address: Address,
    arrival: Arrival,
}

impl Attachment {
    /// Whether somebody else has the producer now.
    #[must_use]
    pub fn is_fenced(&self) -> bool {
        self.producer.term.load(Ordering::Acquire) > self.term && !mutant::active(Mutant::FencingOff)
    }
}

impl Producer {
    /// Its number among the hub's.
    #[must_use]
    pub fn number(&self) -> u32 {
        self.key.slot
    }
}

impl Known {
    /// Somebody wants it; gives also the former owner's address.
    fn give(
        &mut self,
        incarnation: Incarnation,
        owner: Box<Owner>,
    ) -> Result<(Attachment, Option<Address>), Code> {
        let same = self.incarnation == incarnation;
        let is_late = same && self.owner.as_ref().is_some_and(|theirs| theirs.arrival > owner.arrival);
        if self.incarnation > incarnation && !mutant::active(Mutant::FencingOff)
            || is_late && !mutant::active(Mutant::LateAttachTakes)
        {
            return Err(Code::Fenced);
        }
        self.incarnation = incarnation.max(self.incarnation);
        let moves = !same || !mutant::active(Mutant::MovedNotFenced);
        let former = self.owner.replace(owner).filter(|_| moves).map(|former| former.address);
        let producer = Arc::clone(&self.producer);
        let term = producer.term.load(Ordering::Relaxed) + u64::from(moves);
        producer.term.store(term, Ordering::Release);
        Ok((Attachment { producer, incarnation, term }, former))
    }
}

impl Shelved for Known {
    fn bytes(&self) -> usize {
        let owner = if self.owner.is_some() { OWNER_BYTES } else { 0 };
        PRODUCER_BYTES + owner + self.producer.subject.as_ref().map_or(0, |subject| subject.len())
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

    /// One more uses a producer, and has it from now on. Tells also who had it, who does not know that yet. It belongs to
    /// the subject that was first.
    ///
    /// # Errors
    /// [`Code::IdentityMismatch`] if it is another subject's, [`Code::Fenced`] if a higher incarnation was seen, or one with
    /// the same has it whose connection came later.
    pub fn attach(
        &mut self,
        account: &Arc<Account>,
        claim: Claim<'_>,
    ) -> Result<(Attachment, Option<Address>), Code> {
        let Claim { producer: id, subject, incarnation, address, arrival } = claim;
        let owner = Box::new(Owner { address, arrival });
        if let Some(key) = self.by_id.get(&id).and_then(|slot| self.shelf.key_at(*slot)) {
            let taken = self.shelf.change(key, |known| match known.producer.subject.as_ref() == subject {
                true => known.give(incarnation, owner),
                false => Err(Code::IdentityMismatch),
            });
            let taken = taken.ok_or(Code::Internal)??;
            self.shelf.take_up(key);
            return Ok(taken);
        }
        let mut made = None;
        let key = self.shelf.put(account, |key| {
            let producer = Arc::new(Producer { id, subject: subject.cloned(), term: AtomicU64::new(0), key });
            made = Some(Arc::clone(&producer));
            Known { producer, incarnation, owner: Some(owner) }
        });
        self.by_id.insert(id, key.slot);
        self.forget_some();
        let producer = made.ok_or(Code::Internal)?;
        Ok((Attachment { producer, incarnation, term: 0 }, None))
    }

    /// A producer that a window uses which outlived the hub: it is used once more.
    pub fn restore(
        &mut self,
        account: &Arc<Account>,
        (id, incarnation): (ProducerId, Incarnation),
        subject: Option<&str>,
    ) -> Option<Arc<Producer>> {
        if let Some(key) = self.by_id.get(&id).and_then(|slot| self.shelf.key_at(*slot)) {
            let producer = self.shelf.change(key, |known| {
                known.incarnation = incarnation.max(known.incarnation);
                Arc::clone(&known.producer)
            })?;
            self.shelf.take_up(key);
            return Some(producer);
        }
        let mut made = None;
        let key = self.shelf.put(account, |key| {
            let subject = subject.map(Arc::from);
            let producer = Arc::new(Producer { id, subject, term: AtomicU64::new(0), key });
            made = Some(Arc::clone(&producer));
            Known { producer, incarnation, owner: None }
        });
        self.by_id.insert(id, key.slot);
        made
    }

    /// One who had a producer, or once had, uses it no more.
    pub fn detach(&mut self, now: Millis, attachment: &Attachment) {
        let producer = &attachment.producer;
        if producer.term.load(Ordering::Relaxed) == attachment.term {
            self.shelf.change(producer.key, |known| known.owner = None);
        }
        self.release(now, producer.number());
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
            self.by_id.remove(&gone.producer.id);
        }
    }
}

/// Forgotten at once. Each call adds one at most.
const STEP: usize = 4;
/// What the allocator and the index of names take for each, roughly, beside what is counted here.
const BESIDES: usize = 16 + 16 + (size_of::<ProducerId>() + size_of::<u32>()) * 3 / 2;
const PRODUCER_BYTES: usize = Shelf::<Known>::BYTES_EACH + size_of::<Producer>() + BESIDES;
/// What being had takes.
const OWNER_BYTES: usize = size_of::<Owner>() + 8;
