//! Readers that keep a block alive, because a frame of it is half written to them. What is held for nobody else is charged
//! to them, once however many they are: the block when its tail has let go of it, and other encodings, which could be
//! dropped but for them.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

use crate::block::Block;
use crate::ledger::{Account, AccountKey, Charge, Kind};
use crate::sync::lock;

/// A reader keeps a block.
#[derive(Debug)]
pub struct Pin {
    block: Arc<Block>,
    reader: Reader,
}

/// Who keeps a block, and what they are charged.
#[derive(Debug, Default)]
pub struct Pins {
    readers: BTreeMap<ReaderKey, (Arc<Account>, u32)>,
    /// No tail holds the block.
    let_go: bool,
    /// Bytes of other encodings that are charged here.
    derived: usize,
    /// To the first of the readers.
    charge: Option<(ReaderKey, Charge)>,
    /// Bytes that are nobody's: a walk or a read holds the block for a moment.
    loose: usize,
}

#[derive(Debug, Clone)]
struct Reader {
    account: Arc<Account>,
    is_parting: bool,
}

/// Those who were told to go come last.
type ReaderKey = (bool, AccountKey);

impl Pin {
    /// From now on somebody of this account keeps the block.
    #[must_use]
    pub fn new(block: Arc<Block>, account: &Arc<Account>) -> Self {
        let reader = Reader { account: Arc::clone(account), is_parting: false };
        block.with_pins(|pins| pins.add(&reader));
        Self { block, reader }
    }

    /// The block.
    #[must_use]
    pub fn block(&self) -> &Arc<Block> {
        &self.block
    }

    /// The reader was told to go, and may take the rest of the frame until it must.
    pub fn part(&mut self) {
        let before = self.reader.clone();
        self.reader.is_parting = true;
        self.block.with_pins(|pins| {
            pins.add(&self.reader);
            pins.remove(&before);
        });
    }
}

impl Drop for Pin {
    fn drop(&mut self) {
        self.block.with_pins(|pins| pins.remove(&self.reader));
    }
}

impl Reader {
    fn key(&self) -> ReaderKey {
        (self.is_parting, self.account.key())
    }
}

impl Pins {
    fn add(&mut self, reader: &Reader) {
        self.readers.entry(reader.key()).or_insert_with(|| (Arc::clone(&reader.account), 0)).1 += 1;
    }

    fn remove(&mut self, reader: &Reader) {
        if let Some((_, count)) = self.readers.get_mut(&reader.key()) {
            *count -= 1;
            if *count == 0 {
                self.readers.remove(&reader.key());
            }
        }
    }

    /// Nobody keeps the block but its tail.
    fn is_idle(&self) -> bool {
        self.readers.is_empty() && !self.let_go
    }

    /// Charges what is held of `block` for readers alone to the first of them.
    fn settle(&mut self, block: &Block) {
        let publisher = block.first_account();
        let derived = if self.is_idle() { 0 } else { block.derived_bytes() };
        publisher.change(Kind::Derived, derived, std::mem::replace(&mut self.derived, derived));
        let bytes = derived + if self.let_go { block.size() } else { 0 };
        let payer = self.readers.first_key_value();
        let loose = if payer.is_none() { bytes } else { 0 };
        publisher.ledger().charge(Kind::Messages, loose);
        publisher.ledger().release(Kind::Messages, std::mem::replace(&mut self.loose, loose));
        match (payer, &mut self.charge) {
            (Some((key, _)), Some((known, charge))) if key == known => charge.set(bytes),
            (Some((key, (account, _))), slot) => {
                // First, so that it never counts twice.
                *slot = None;
                let mut charge = Charge::new(account, if key.0 { Kind::Parting } else { Kind::Pinned });
                charge.set(bytes);
                *slot = Some((*key, charge));
            }
            (None, slot) => *slot = None,
        }
    }
}

impl Block {
    /// Its tail holds it no longer, though others do: those who brought it are charged no more.
    pub fn let_go(&self) {
        self.with_pins(|pins| pins.let_go = true);
        self.shares.give_back();
    }

    /// Who is charged for readers, and how many bytes.
    #[must_use]
    pub fn pinned(&self) -> Option<(Arc<Account>, usize)> {
        let pins = lock(&self.pins);
        let (_, charge) = pins.as_ref()?.charge.as_ref()?;
        Some((Arc::clone(charge.account()), charge.bytes()))
    }

    /// Another encoding was made, which may be for readers.
    pub(super) fn settle_derived(&self) {
        if let Some(pins) = lock(&self.pins).as_mut() {
            pins.settle(self);
        }
    }

    /// It goes: whoever is charged for readers is so no more.
    pub(super) fn drop_pins(&mut self) {
        let pins = self.pins.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(mut pins) = pins {
            pins.let_go = false;
            pins.settle(self);
        }
    }

    fn with_pins(&self, change: impl FnOnce(&mut Pins)) {
        let mut slot = lock(&self.pins);
        let pins = slot.get_or_insert_default();
        change(pins);
        pins.settle(self);
        if pins.is_idle() {
            *slot = None;
        }
    }
}
