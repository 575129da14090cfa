//! Work that waits for a lent thread, in turns by account: one that brings much waits for itself. And what came of it,
//! until the shard that it is for takes it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::ops::DerefMut;
use std::sync::{Arc, OnceLock};

use crate::ledger::AccountKey;
use crate::letter::Inbox;
use crate::spare::Spare as _;
use crate::sync::{Mutex, lock};

/// Work for a lent thread, and what came of it.
pub(crate) struct Errands<T, R> {
    line: Mutex<Line<T>>,
    done: Done<R>,
    /// Calls whoever lends the thread.
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
}

/// What waits.
#[derive(Debug)]
pub(crate) struct Line<T> {
    by_account: BTreeMap<AccountKey, VecDeque<T>>,
    /// Accounts with something here, in the order of their line.
    line: VecDeque<AccountKey>,
    /// Those that were passed by, and get no turn until [`Self::go_on`].
    held_back: Vec<AccountKey>,
    count: usize,
}

/// What came of it, by shard.
#[derive(Debug)]
struct Done<T>(Vec<Mutex<VecDeque<T>>>);

impl<T, R> Errands<T, R> {
    /// None yet, for so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        Self { line: Mutex::default(), done: Done::new(shards), waker: OnceLock::new() }
    }

    /// Has `waker` called whenever there is something to do. To be set once.
    pub(crate) fn on_work(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let _ = self.waker.set(waker);
    }

    /// Whether anybody lends a thread.
    pub(crate) fn are_done(&self) -> bool {
        self.waker.get().is_some()
    }

    /// What waits. Whoever adds to it has to [`Self::wake`] once it is given back.
    pub(crate) fn line(&self) -> impl DerefMut<Target = Line<T>> + '_ {
        lock(&self.line)
    }

    /// Has whoever lends the thread look.
    pub(crate) fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker();
        }
    }

    /// Leaves for a shard what came of something, and wakes the shard.
    pub(crate) fn leave(&self, shard: usize, result: R, inboxes: &[Arc<Inbox>]) {
        self.done.leave(shard, result, inboxes);
    }

    /// Takes some of what is there for a shard.
    pub(crate) fn take(&self, shard: usize, count: usize) -> Vec<R> {
        self.done.take(shard, count)
    }
}

impl<T: fmt::Debug, R> fmt::Debug for Errands<T, R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Errands").field("line", &self.line).finish_non_exhaustive()
    }
}

impl<T> Default for Line<T> {
    fn default() -> Self {
        Self { by_account: BTreeMap::new(), line: VecDeque::new(), held_back: Vec::new(), count: 0 }
    }
}

impl<T> Line<T> {
    /// How much waits, of all.
    pub(crate) const fn count(&self) -> usize {
        self.count
    }

    /// How much of one account's.
    pub(crate) fn count_of(&self, account: AccountKey) -> usize {
        self.by_account.get(&account).map_or(0, VecDeque::len)
    }

    /// Something more, behind the others of its account.
    pub(crate) fn push(&mut self, account: AccountKey, work: T) {
        self.line_of(account).push_back(work);
    }

    /// Something that is not done goes before the others of its account: of two that take long, neither would end soon. An
    /// account that was passed by was so for what stood there before, and is looked at anew.
    pub(crate) fn put_back(&mut self, account: AccountKey, work: T) {
        self.line_of(account).push_front(work);
        if let Some(place) = self.held_back.iter().position(|held_back| *held_back == account) {
            self.held_back.swap_remove(place);
            self.line.push_back(account);
        }
    }

    fn line_of(&mut self, account: AccountKey) -> &mut VecDeque<T> {
        self.count += 1;
        let theirs = self.by_account.entry(account).or_default();
        if theirs.is_empty() {
            self.line.push_back(account);
        }
        theirs
    }

    /// What comes next of the account whose turn it is, which goes to the end of the line; `passes_by` says who gets none
    /// for now.
    pub(crate) fn next(&mut self, passes_by: impl Fn(&T) -> bool) -> Option<T> {
        loop {
            let account = self.line.pop_front()?;
            let theirs = self.by_account.get_mut(&account)?;
            if theirs.front().is_some_and(&passes_by) {
                self.held_back.push(account);
                continue;
            }
            let work = theirs.pop_front();
            if theirs.is_empty() {
                self.by_account.remove(&account);
            } else {
                theirs.give_back();
                self.line.push_back(account);
            }
            self.count -= usize::from(work.is_some());
            return work;
        }
    }

    /// Takes the last of whoever has most, if that is more than so many.
    pub(crate) fn take_last_beyond(&mut self, most: usize) -> Option<T> {
        let (_, theirs) = self.by_account.iter_mut().max_by_key(|(_, theirs)| theirs.len())?;
        // One at least stays, so that the account keeps its place in the line.
        let work = if theirs.len() > most.max(1) { theirs.pop_back() } else { None };
        self.count -= usize::from(work.is_some());
        work
    }

    /// Those who were passed by get their turns again; whether there are any.
    pub(crate) fn go_on(&mut self) -> bool {
        let any = !self.held_back.is_empty();
        self.line.extend(self.held_back.drain(..));
        any
    }
}

impl<T> Done<T> {
    fn new(shards: usize) -> Self {
        Self((0..shards).map(|_| Mutex::default()).collect())
    }

    fn leave(&self, shard: usize, work: T, inboxes: &[Arc<Inbox>]) {
        let Some(done) = self.0.get(shard) else { return };
        lock(done).push_back(work);
        if inboxes[shard].nudge() {
            inboxes[shard].wake();
        }
    }

    fn take(&self, shard: usize, count: usize) -> Vec<T> {
        let Some(done) = self.0.get(shard) else { return Vec::new() };
        let mut done = lock(done);
        let count = count.min(done.len());
        let taken = done.drain(..count).collect();
        done.give_back();
        taken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accounts_take_turns_and_one_that_is_passed_by_comes_again() {
        let [much, little] = [AccountKey(1), AccountKey(2)];
        let mut line = Line::default();
        (0..3).for_each(|work| line.push(much, work));
        line.push(little, 10);
        assert_eq!((line.count(), line.count_of(much)), (4, 3));
        assert_eq!(line.next(|_| false), Some(0));
        line.put_back(much, 0);
        assert_eq!(line.next(|work| *work < 10), Some(10));
        assert_eq!(line.next(|work| *work < 10), None, "the other is passed by");
        assert_eq!(line.next(|_| false), None, "and gets no turn");
        assert!(line.go_on() && !line.go_on());
        let rest = std::iter::from_fn(|| line.next(|_| false));
        assert_eq!(rest.collect::<Vec<_>>(), [0, 1, 2]);
        assert_eq!(line.count(), 0);
    }

    #[test]
    fn lists_give_their_places_back() {
        let done = Done::new(1);
        let inboxes = [Arc::new(Inbox::new(Box::new(|| ())))];
        (0..4_096).for_each(|work| done.leave(0, work, &inboxes));
        assert_eq!(done.take(0, 4_000).len(), 4_000);
        assert!(lock(&done.0[0]).capacity() < 1_024);
        assert_eq!(done.take(0, 4_000).len(), 96);
        assert_eq!(lock(&done.0[0]).capacity(), 0);
    }
}
