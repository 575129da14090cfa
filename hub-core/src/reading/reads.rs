//! Reads that need a look at many topics, done a step at a time by whoever lends a thread, in turns by account: one
//! that asks much waits for itself.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock};

use tidewire_protocol::code::Code;

use crate::clock::Millis;
use crate::ledger::{Account, AccountKey, Kind};
use crate::letter::{Address, Inbox};
use crate::reading::job::{Answer, Hub, Job};
use crate::sync::{Mutex, lock};

/// What waits to be read, and what was read.
pub struct Reads {
    queue: Mutex<Queue>,
    answers: Vec<Mutex<Vec<(Address, Answer)>>>,
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Queue {
    by_account: BTreeMap<AccountKey, VecDeque<Waiting>>,
    /// Accounts with something in the queue, in the order of their turns.
    turns: VecDeque<AccountKey>,
}

#[derive(Debug)]
struct Waiting {
    address: Address,
    account: Arc<Account>,
    job: Box<Job>,
}

impl Reads {
    /// None yet, for so many shards.
    #[must_use]
    pub fn new(shards: usize, bytes_max: usize) -> Self {
        let answers = (0..shards).map(|_| Mutex::default()).collect();
        Self { queue: Mutex::default(), answers, waker: OnceLock::new(), bytes_max }
    }

    /// Has `waker` called whenever there is something to read and there was nothing before. To be set once.
    pub fn on_work(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let _ = self.waker.set(waker);
    }

    /// Asks for something; the answer comes to the address's shard.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if this account has very many reads waiting.
    pub fn ask(&self, address: Address, account: &Arc<Account>, job: Job) -> Result<(), Code> {
        let mut queue = lock(&self.queue);
        let Queue { by_account, turns } = &mut *queue;
        let theirs = by_account.entry(account.key()).or_default();
        if theirs.len() >= WAITING_MAX && !job.goes_on() {
            return Err(Code::Overloaded);
        }
        if theirs.is_empty() {
            turns.push_back(account.key());
        }
        theirs.push_back(Waiting { address, account: Arc::clone(account), job: Box::new(job) });
        drop(queue);
        if let Some(waker) = self.waker.get() {
            waker();
        }
        Ok(())
    }

    /// Does one step of one read; `false` if there is nothing to do.
    pub fn turn(&self, now: Millis, hub: &Hub<'_>, inboxes: &[Arc<Inbox>]) -> bool {
        let Some(mut waiting) = lock(&self.queue).next() else { return false };
        let answer = waiting.job.step(now, hub, &waiting.account);
        let Waiting { address, account, job } = waiting;
        match answer {
            None => lock(&self.queue).put_back(Waiting { address, account, job }),
            Some(mut answer) => {
                if !account.may_hold(Kind::Reading, 0, self.bytes_max) {
                    // What it knows of its topics is worked out anew for the next part.
                    answer.forget_merges();
                }
                let shard = address.shard as usize;
                if let Some(answers) = self.answers.get(shard) {
                    lock(answers).push((address, answer));
                    if inboxes[shard].nudge() {
                        inboxes[shard].wake();
                    }
                }
            }
        }
        true
    }

    /// Takes what was read for a shard.
    pub fn take(&self, shard: usize) -> Vec<(Address, Answer)> {
        self.answers.get(shard).map_or_else(Vec::new, |answers| std::mem::take(&mut *lock(answers)))
    }
}

impl Queue {
    /// The next job of the account whose turn it is; the account goes to the end of the line.
    fn next(&mut self) -> Option<Waiting> {
        let key = self.turns.pop_front()?;
        let theirs = self.by_account.get_mut(&key)?;
        let waiting = theirs.pop_front();
        if theirs.is_empty() {
            self.by_account.remove(&key);
        } else {
            self.turns.push_back(key);
        }
        waiting
    }

    /// A job that is not done goes before the others of its account: of two listings under way, neither would end soon.
    fn put_back(&mut self, waiting: Waiting) {
        let key = waiting.account.key();
        let theirs = self.by_account.entry(key).or_default();
        if theirs.is_empty() {
            self.turns.push_back(key);
        }
        theirs.push_front(waiting);
    }
}

impl fmt::Debug for Reads {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reads").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// Reads of one account that may wait; cursors that catch up are not counted out.
const WAITING_MAX: usize = 4_096;
