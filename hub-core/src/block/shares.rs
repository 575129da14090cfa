//! Whose the bytes of a block are: each account is charged what it brought, and the first also what the block takes besides.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::ledger::{Account, Kind};

/// What accounts are charged for a block; given back with it.
#[derive(Debug)]
pub struct Shares {
    kind: Kind,
    first: Arc<Account>,
    /// Most blocks have none.
    others: Option<Box<Others>>,
    /// What the first is charged.
    first_bytes: usize,
    given_back: AtomicBool,
}

#[derive(Debug, Default)]
struct Others {
    /// Newest last. An account that does not stand among the last few is listed again.
    shares: Vec<(Arc<Account>, usize)>,
    /// What all of them are charged.
    bytes: usize,
}

impl Shares {
    /// Those of a block of so many bytes that is `first`'s alone.
    #[must_use]
    pub fn new(first: &Arc<Account>, kind: Kind, bytes: usize) -> Self {
        first.charge(kind, bytes);
        Self {
            kind,
            first: Arc::clone(first),
            others: None,
            first_bytes: bytes,
            given_back: AtomicBool::new(false),
        }
    }

    /// What they are charged for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// Who answers for what nobody else does.
    #[must_use]
    pub fn first(&self) -> &Arc<Account> {
        &self.first
    }

    /// Makes room for as many accounts as `other` has, and no more.
    pub fn reserve_for(&mut self, other: &Self) {
        if let Some(others) = &other.others {
            self.others.get_or_insert_default().shares.reserve_exact(others.shares.len());
        }
    }

    /// Bytes of the list itself, as it is allocated.
    #[must_use]
    pub fn list_bytes(&self) -> usize {
        self.others.as_ref().map_or(0, |others| size_of::<Others>() + others.shares.capacity() * SHARE_BYTES)
    }

    /// The block takes so many bytes now.
    pub fn set(&mut self, bytes: usize) {
        let theirs = self.others.as_ref().map_or(0, |others| others.bytes);
        let before = std::mem::replace(&mut self.first_bytes, bytes.saturating_sub(theirs));
        self.first.change(self.kind, before, self.first_bytes);
    }

    /// So many more bytes are those of `account`; what the first is charged, [`Self::set`] says when all are added.
    pub fn add(&mut self, account: &Arc<Account>, bytes: usize) {
        if Arc::ptr_eq(account, &self.first) || bytes == 0 {
            return;
        }
        let others = self.others.get_or_insert_default();
        let mut lately = others.shares.iter_mut().rev().take(LATELY);
        let more = match lately.find(|(known, _)| Arc::ptr_eq(known, account)) {
            Some((_, share)) => {
                *share += bytes;
                bytes
            }
            None => {
                others.shares.push((Arc::clone(account), bytes));
                bytes + SHARE_BYTES
            }
        };
        others.bytes += more;
        account.charge(self.kind, more);
    }

    /// Each account and what it brought, if messages take so many bytes in all.
    pub fn each(&self, messages: usize) -> impl Iterator<Item = (&Arc<Account>, usize)> {
        let others = self.others.iter().flat_map(|others| &others.shares);
        let others = others.map(|(account, bytes)| (account, *bytes));
        std::iter::once((&self.first, messages.saturating_sub(self.brought_by_others()))).chain(others)
    }

    /// None of them is charged any more. Who brought what is still known.
    pub fn give_back(&self) {
        if self.given_back.swap(true, Ordering::Relaxed) {
            return;
        }
        self.first.release(self.kind, self.first_bytes);
        for (account, bytes) in self.others.iter().flat_map(|others| &others.shares) {
            account.release(self.kind, bytes + SHARE_BYTES);
        }
    }

    fn brought_by_others(&self) -> usize {
        self.others.as_ref().map_or(0, |others| others.bytes - others.shares.len() * SHARE_BYTES)
    }
}

impl Drop for Shares {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// Whether those who hold more than `level` brought half of it or more.
pub fn is_of_many<'a>(brought: impl Iterator<Item = (&'a Arc<Account>, usize)>, level: usize) -> bool {
    let (mut all, mut of_many) = (0, 0);
    for (account, bytes) in brought {
        all += bytes;
        of_many += if account.held_in_all() > level { bytes } else { 0 };
    }
    of_many > 0 && of_many >= all - of_many
}

/// Whoever was heard among so many before is found again; a block of many has some accounts twice.
const LATELY: usize = 8;
const SHARE_BYTES: usize = size_of::<(Arc<Account>, usize)>();
