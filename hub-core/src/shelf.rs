//! Things that are kept while there is room, each charged to the account that caused it. What is in use stays; of
//! the rest the oldest of the account that holds most goes first. Nothing here looks at more than it must change.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU32;
use std::sync::Arc;

use crate::clock::Millis;
use crate::ledger::{Account, AccountKey, Kind};
use crate::shelf::slots::{NONE, Slots};

pub mod slots;

/// What can be kept here.
pub trait Shelved {
    /// Bytes that it takes, all told.
    fn bytes(&self) -> usize;
}

/// The things, and whose they are.
#[derive(Debug)]
pub struct Shelf<T> {
    entries: Slots<Entry<T>>,
    owners: Slots<Owner>,
    by_account: BTreeMap<AccountKey, u32>,
    /// Owners of something idle, by the bytes that they hold.
    ranked: BTreeSet<(usize, u32)>,
    kind: Kind,
    bytes_max: usize,
    bytes: usize,
    /// Of those, bytes of what is in use.
    bytes_in_use: usize,
    next_generation: NonZeroU32,
    /// The owner that is swept next.
    swept_to: u32,
}

/// Where a thing is kept. The generation tells it from later ones in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The place.
    pub slot: u32,
    generation: NonZeroU32,
}

#[derive(Debug)]
struct Entry<T> {
    item: T,
    generation: NonZeroU32,
    owner: u32,
    /// How many use it. While nobody does it stands in its owner's line between these two.
    uses: u32,
    older: u32,
    newer: u32,
    /// When it was last used, in whole seconds.
    used_s: u32,
}

#[derive(Debug)]
struct Owner {
    account: Arc<Account>,
    bytes: usize,
    bytes_in_use: usize,
    /// Ends of the line of what is idle.
    oldest: u32,
    newest: u32,
}

impl<T: Shelved> Shelf<T> {
    /// Bytes of an entry without what the thing holds elsewhere.
    pub const BYTES_EACH: usize = Slots::<Entry<T>>::BYTES_EACH;

    /// An empty shelf that holds about `bytes_max`.
    #[must_use]
    pub fn new(kind: Kind, bytes_max: usize) -> Self {
        Self {
            entries: Slots::default(),
            owners: Slots::default(),
            by_account: BTreeMap::new(),
            ranked: BTreeSet::new(),
            kind,
            bytes_max,
            bytes: 0,
            bytes_in_use: 0,
            next_generation: NonZeroU32::MIN,
            swept_to: 0,
        }
    }

    /// How many things there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.entries.count()
    }

    /// Bytes of all.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Bytes of what nobody uses.
    #[must_use]
    pub fn bytes_idle(&self) -> usize {
        self.bytes - self.bytes_in_use
    }

    /// Bytes beyond which idle things go.
    #[must_use]
    pub fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// Whether an account may have `more` bytes in use: as many as are left for others. So one account gets half
    /// of all at most, and however many take what they can, the next finds something.
    #[must_use]
    pub fn may_use(&self, account: &Account, more: usize) -> bool {
        let owner = self.by_account.get(&account.key()).and_then(|owner| self.owners.get(*owner));
        let theirs = owner.map_or(0, |owner| owner.bytes_in_use);
        theirs + more <= self.bytes_max.saturating_sub(self.bytes_in_use) && account.may_be_known(more)
    }

    /// Beyond all slots that were ever taken.
    #[must_use]
    pub fn end(&self) -> u32 {
        self.entries.end()
    }

    /// Puts a thing here that is in use once.
    pub fn put(&mut self, account: &Arc<Account>, make: impl FnOnce(Key) -> T) -> Key {
        self.next_generation = self.next_generation.checked_add(1).unwrap_or(NonZeroU32::MIN);
        let key = Key { slot: self.entries.next(), generation: self.next_generation };
        let item = make(key);
        let bytes = item.bytes();
        let owner = self.owner(account);
        let (older, newer) = (NONE, NONE);
        self.entries.insert(Entry {
            item,
            generation: key.generation,
            owner,
            uses: 1,
            older,
            newer,
            used_s: 0,
        });
        self.hold(owner, bytes as isize, bytes as isize);
        key
    }

    /// The thing of a key, if it is still here.
    #[must_use]
    pub fn get(&self, key: Key) -> Option<&T> {
        self.entry(key).map(|entry| &entry.item)
    }

    /// The thing in a slot.
    #[must_use]
    pub fn at(&self, slot: u32) -> Option<&T> {
        self.entries.get(slot).map(|entry| &entry.item)
    }

    /// The same, to change something that takes no bytes.
    pub fn at_mut(&mut self, slot: u32) -> Option<&mut T> {
        self.entries.get_mut(slot).map(|entry| &mut entry.item)
    }

    /// The key of what is in a slot.
    #[must_use]
    pub fn key_at(&self, slot: u32) -> Option<Key> {
        self.entries.get(slot).map(|entry| Key { slot, generation: entry.generation })
    }

    /// Whose a thing is.
    #[must_use]
    pub fn account(&self, key: Key) -> Option<&Arc<Account>> {
        let owner = self.entry(key)?.owner;
        self.owners.get(owner).map(|owner| &owner.account)
    }

    /// Whether somebody uses it.
    #[must_use]
    pub fn is_in_use(&self, key: Key) -> bool {
        self.entry(key).is_some_and(|entry| entry.uses > 0)
    }

    /// Changes a thing, and the charge with it.
    pub fn change<R>(&mut self, key: Key, change: impl FnOnce(&mut T) -> R) -> Option<R> {
        let entry = self.entries.get_mut(key.slot).filter(|entry| entry.generation == key.generation)?;
        let before = entry.item.bytes();
        let result = change(&mut entry.item);
        let (owner, in_use) = (entry.owner, entry.uses > 0);
        let more = entry.item.bytes() as isize - before as isize;
        if more != 0 {
            self.hold(owner, more, if in_use { more } else { 0 });
        }
        Some(result)
    }

    /// One more uses it.
    pub fn take_up(&mut self, key: Key) {
        let Some(entry) = self.entry_mut(key) else { return };
        entry.uses += 1;
        if entry.uses == 1 {
            let (owner, bytes) = (entry.owner, entry.item.bytes() as isize);
            self.leave_line(key.slot);
            self.hold(owner, 0, bytes);
        }
    }

    /// One fewer uses it; tells whether that was the last.
    pub fn lay_down(&mut self, now: Millis, key: Key) -> bool {
        let Some(entry) = self.entry_mut(key).filter(|entry| entry.uses > 0) else { return false };
        entry.uses -= 1;
        if entry.uses > 0 {
            return false;
        }
        entry.used_s = seconds(now);
        let (owner, bytes) = (entry.owner, entry.item.bytes() as isize);
        self.join_line(key.slot, owner);
        self.hold(owner, 0, -bytes);
        true
    }

    /// Takes a thing away, in use or not.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        let entry = self.entry(key)?;
        let (owner, bytes, in_use) = (entry.owner, entry.item.bytes() as isize, entry.uses > 0);
        if !in_use {
            self.leave_line(key.slot);
        }
        let entry = self.entries.remove(key.slot)?;
        self.hold(owner, -bytes, if in_use { -bytes } else { 0 });
        Some(entry.item)
    }

    /// The oldest idle thing of the account that holds most of those that have one.
    #[must_use]
    pub fn first_to_go(&self) -> Option<Key> {
        let (_, owner) = self.ranked.last()?;
        self.key_at(self.owners.get(*owner)?.oldest)
    }

    /// Looks at one account, going on where the last call ended, for a thing that was idle for longer than `ms`.
    pub fn next_expired(&mut self, now: Millis, ms: u64) -> Option<Key> {
        let oldest = self.owners.get(self.swept_to).map_or(NONE, |owner| owner.oldest);
        let entry = self.entries.get(oldest);
        if entry.is_some_and(|entry| u64::from(seconds(now).saturating_sub(entry.used_s)) * 1_000 > ms) {
            return self.key_at(oldest);
        }
        self.swept_to = if self.swept_to < self.owners.end() { self.swept_to + 1 } else { 0 };
        None
    }

    fn entry(&self, key: Key) -> Option<&Entry<T>> {
        self.entries.get(key.slot).filter(|entry| entry.generation == key.generation)
    }

    fn entry_mut(&mut self, key: Key) -> Option<&mut Entry<T>> {
        self.entries.get_mut(key.slot).filter(|entry| entry.generation == key.generation)
    }

    /// The account's number here, given if it has none.
    fn owner(&mut self, account: &Arc<Account>) -> u32 {
        let owners = &mut self.owners;
        *self.by_account.entry(account.key()).or_insert_with(|| {
            let account = Arc::clone(account);
            owners.insert(Owner { account, bytes: 0, bytes_in_use: 0, oldest: NONE, newest: NONE })
        })
    }

    /// An owner holds so many bytes more, or fewer, and so many more in use. One that holds nothing goes.
    fn hold(&mut self, number: u32, more: isize, more_in_use: isize) {
        let Some(owner) = self.owners.get_mut(number) else { return };
        if let Some(rank) = owner.rank(number) {
            self.ranked.remove(&rank);
        }
        let before = owner.bytes;
        owner.bytes = owner.bytes.saturating_add_signed(more);
        owner.bytes_in_use = owner.bytes_in_use.saturating_add_signed(more_in_use);
        owner.account.change(self.kind, before, owner.bytes);
        self.bytes = self.bytes.saturating_add_signed(more);
        self.bytes_in_use = self.bytes_in_use.saturating_add_signed(more_in_use);
        if owner.bytes == 0 {
            self.by_account.remove(&owner.account.key());
            self.owners.remove(number);
        } else if let Some(rank) = owner.rank(number) {
            self.ranked.insert(rank);
        }
    }

    /// Puts what is idle now behind what was idle before.
    fn join_line(&mut self, slot: u32, number: u32) {
        let Some(owner) = self.owners.get_mut(number) else { return };
        let before = owner.rank(number);
        let newest = std::mem::replace(&mut owner.newest, slot);
        if newest == NONE {
            owner.oldest = slot;
        }
        self.rank(before, number);
        if let Some(entry) = self.entries.get_mut(newest) {
            entry.newer = slot;
        }
        if let Some(entry) = self.entries.get_mut(slot) {
            (entry.older, entry.newer) = (newest, NONE);
        }
    }

    fn leave_line(&mut self, slot: u32) {
        let Some(entry) = self.entries.get_mut(slot) else { return };
        let (number, older, newer) = (entry.owner, entry.older, entry.newer);
        (entry.older, entry.newer) = (NONE, NONE);
        if let Some(entry) = self.entries.get_mut(older) {
            entry.newer = newer;
        }
        if let Some(entry) = self.entries.get_mut(newer) {
            entry.older = older;
        }
        let Some(owner) = self.owners.get_mut(number) else { return };
        let before = owner.rank(number);
        if owner.oldest == slot {
            owner.oldest = newer;
        }
        if owner.newest == slot {
            owner.newest = older;
        }
        self.rank(before, number);
    }

    /// Ranks an owner anew that was ranked thus before.
    fn rank(&mut self, before: Option<(usize, u32)>, number: u32) {
        let after = self.owners.get(number).and_then(|owner| owner.rank(number));
        if before != after {
            before.map(|rank| self.ranked.remove(&rank));
            self.ranked.extend(after);
        }
    }
}

impl Owner {
    /// Where it stands among those that could give something up.
    fn rank(&self, number: u32) -> Option<(usize, u32)> {
        (self.oldest != NONE).then_some((self.bytes, number))
    }
}

fn seconds(time: Millis) -> u32 {
    (time.0 / 1_000) as u32
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::ledger::Ledger;
    use proptest::prelude::*;

    impl Shelved for usize {
        fn bytes(&self) -> usize {
            *self
        }
    }

    fn account(ledger: &Arc<Ledger>, key: u128) -> Arc<Account> {
        ledger.account(AccountKey(key))
    }

    #[test]
    fn the_oldest_idle_of_the_account_that_holds_most_goes_first() {
        let ledger = Arc::new(Ledger::default());
        let mut shelf = Shelf::new(Kind::Windows, 1_000);
        let put = |shelf: &mut Shelf<usize>, of, bytes| shelf.put(&account(&ledger, of), |_| bytes);
        let (a, b, c) = (put(&mut shelf, 1, 10), put(&mut shelf, 1, 20), put(&mut shelf, 2, 15));
        assert_eq!(shelf.first_to_go(), None, "all are in use");
        for (second, key) in [(1, b), (2, a), (3, c)] {
            assert!(shelf.lay_down(Millis(second * 1_000), key));
        }
        assert_eq!(shelf.first_to_go(), Some(b));
        shelf.take_up(b);
        assert_eq!(shelf.first_to_go(), Some(a));
        assert_eq!(shelf.remove(a), Some(10));
        assert_eq!(shelf.first_to_go(), Some(c), "what the other holds is in use");
        assert_eq!((shelf.bytes(), shelf.bytes_idle(), ledger.held(Kind::Windows)), (35, 15, 35));
        assert_eq!((shelf.remove(b), shelf.remove(c), shelf.remove(c)), (Some(20), Some(15), None));
        assert_eq!((shelf.count(), ledger.total()), (0, 0));
    }

    #[test]
    fn however_many_take_what_they_can_the_next_finds_something() {
        let ledger = Arc::new(Ledger::default());
        let mut shelf = Shelf::new(Kind::Windows, 1_000);
        for of in 1..=5 {
            let account = account(&ledger, of);
            let mut got = 0;
            while shelf.may_use(&account, 1) {
                shelf.put(&account, |_| 1);
                got += 1;
            }
            assert!(got > 0 && got <= 500, "{got}");
        }
        assert!(shelf.bytes() < 1_000);
    }

    #[test]
    fn what_was_idle_for_too_long_is_found_account_by_account() {
        let ledger = Arc::new(Ledger::default());
        let mut shelf = Shelf::new(Kind::Windows, 1_000);
        let keys: Vec<Key> = (1..=3).map(|of| shelf.put(&account(&ledger, of), |_| 1)).collect();
        shelf.lay_down(Millis(1_000), keys[0]);
        shelf.lay_down(Millis(9_000), keys[2]);
        let mut found = Vec::new();
        for _ in 0..10 {
            if let Some(key) = shelf.next_expired(Millis(10_000), 5_000) {
                found.push(shelf.remove(key).unwrap());
            }
        }
        assert_eq!((found.len(), shelf.count()), (1, 2));
    }

    proptest! {
        /// Whatever is done, the sums are those of what is there.
        #[test]
        fn sums_follow_what_is_there(acts in prop::collection::vec((0..6u8, any::<prop::sample::Index>(), 1..50usize), 1..200)) {
            let ledger = Arc::new(Ledger::default());
            let mut shelf = Shelf::<usize>::new(Kind::Windows, 1_000);
            let mut all: Vec<(Key, usize, u32, usize)> = Vec::new();
            for (step, (act, which, size)) in acts.into_iter().enumerate() {
                let now = Millis(step as u64 * 1_000);
                if act == 0 || all.is_empty() {
                    let of = size % 4;
                    all.push((shelf.put(&account(&ledger, of as u128), |_| size), size, 1, of));
                    continue;
                }
                let at = which.index(all.len());
                let (key, bytes, uses, _) = &mut all[at];
                match act {
                    1 => { shelf.take_up(*key); *uses += 1; }
                    2 => { let last = shelf.lay_down(now, *key); prop_assert_eq!(last, *uses == 1); *uses = uses.saturating_sub(1); }
                    3 => { shelf.change(*key, |item| *item = size); *bytes = size; }
                    4 => { prop_assert_eq!(shelf.remove(*key), Some(*bytes)); all.remove(at); }
                    _ => if let Some(key) = shelf.first_to_go() {
                        let of = all.iter().find(|one| one.0 == key).unwrap().3;
                        let holds = |of: usize| all.iter().filter(|one| one.3 == of).map(|one| one.1).sum::<usize>();
                        let idle = all.iter().filter(|one| one.2 == 0).map(|one| holds(one.3)).max();
                        prop_assert_eq!(idle, Some(holds(of)));
                        prop_assert!(!shelf.is_in_use(key));
                    }
                }
                let idle: usize = all.iter().filter(|one| one.2 == 0).map(|one| one.1).sum();
                let bytes: usize = all.iter().map(|one| one.1).sum();
                prop_assert_eq!((shelf.bytes(), shelf.bytes_idle(), ledger.total()), (bytes, idle, bytes));
                prop_assert_eq!(shelf.first_to_go().is_some(), all.iter().any(|one| one.2 == 0));
            }
        }
    }
}
