//! Reads that need a look at many topics, done a step at a time by whoever lends a thread, in turns by account: one
//! that asks much waits for itself.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, OnceLock, Weak};

use tidewire_protocol::code::Code;

use crate::clock::Millis;
use crate::ledger::{Account, AccountKey, Charge, Kind};
use crate::letter::{Address, Inbox};
use crate::reading::job::{Answer, Begun, Hub, Job};
use crate::spare::Spare as _;
use crate::sync::{Mutex, lock};

/// What waits to be read, and what was read.
pub struct Reads {
    queue: Mutex<Queue>,
    answers: Vec<Mutex<VecDeque<Read>>>,
    waker: OnceLock<Box<dyn Fn() + Send + Sync>>,
    bytes_max: usize,
    unclaimed_max: usize,
}

/// Somebody who waits for what he asked. Once he lets go of it nobody reads for him any more.
pub type Asker = Arc<()>;

/// Something that was read.
#[derive(Debug)]
pub struct Read {
    /// For whom.
    pub address: Address,
    /// What.
    pub answer: Answer,
    /// What it takes, until it is handed over.
    pub charge: Charge,
}

#[derive(Debug, Default)]
struct Queue {
    by_account: BTreeMap<AccountKey, VecDeque<Waiting>>,
    /// Accounts with something in the queue, in the order of their turns.
    turns: VecDeque<AccountKey>,
    /// Those that get no turn until what was read for them is handed over.
    held_back: Vec<AccountKey>,
}

#[derive(Debug)]
struct Waiting {
    address: Address,
    asker: Weak<()>,
    account: Arc<Account>,
    job: Box<Job>,
    /// What the question takes while it waits, unless a cursor asks: that is charged for its place from the start.
    #[expect(dead_code, reason = "given back with it")]
    charge: Option<Charge>,
}

impl Reads {
    /// None yet, for so many shards. What reads keep has a bound, and what was read and not handed over.
    #[must_use]
    pub fn new(shards: usize, bytes_max: usize, unclaimed_max: usize) -> Self {
        let answers = (0..shards).map(|_| Mutex::default()).collect();
        Self { queue: Mutex::default(), answers, waker: OnceLock::new(), bytes_max, unclaimed_max }
    }

    /// Has `waker` called whenever there is something to read and there was nothing before. To be set once.
    pub fn on_work(&self, waker: Box<dyn Fn() + Send + Sync>) {
        let _ = self.waker.set(waker);
    }

    /// Asks for something; the answer comes to the address's shard, unless the asker has gone by then.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if this account has very many reads waiting, or as much is known of it as may be.
    pub fn ask(&self, address: Address, asker: &Asker, account: &Arc<Account>, job: Job) -> Result<(), Code> {
        if !job.is_of_cursor() && !account.may_be_known(WAITING_BYTES) {
            return Err(Code::Overloaded);
        }
        let mut queue = lock(&self.queue);
        let Queue { by_account, turns, .. } = &mut *queue;
        let theirs = by_account.entry(account.key()).or_default();
        if theirs.len() >= WAITING_MAX && !job.goes_on() {
            return Err(Code::Overloaded);
        }
        if theirs.is_empty() {
            turns.push_back(account.key());
        }
        let mut charge = (!job.is_of_cursor()).then(|| Charge::new(account, Kind::Reading));
        charge.iter_mut().for_each(|charge| charge.set(WAITING_BYTES));
        let (asker, account) = (Arc::downgrade(asker), Arc::clone(account));
        theirs.push_back(Waiting { address, asker, account, job: Box::new(job), charge });
        drop(queue);
        self.wake();
        Ok(())
    }

    /// Does one step of one read; `false` if there is nothing to do.
    pub fn turn(&self, now: Millis, hub: &Hub<'_>, inboxes: &[Arc<Inbox>]) -> bool {
        let Some(mut waiting) = lock(&self.queue).next(self.unclaimed_max) else { return false };
        if waiting.asker.strong_count() == 0 {
            return true;
        }
        match waiting.job.step(now, hub, &waiting.account) {
            None => lock(&self.queue).put_back(waiting),
            Some(mut answer) => {
                let Waiting { address, account, .. } = waiting;
                if !account.may_hold(Kind::Reading, 0, self.bytes_max) {
                    // What it knows of its topics is worked out anew for the next part.
                    answer.forget_merges();
                }
                let mut charge = Charge::new(&account, Kind::Unclaimed);
                charge.set(size_of::<Read>() + answer.bytes());
                let shard = address.shard as usize;
                if let Some(answers) = self.answers.get(shard) {
                    lock(answers).push_back(Read { address, answer, charge });
                    if inboxes[shard].nudge() {
                        inboxes[shard].wake();
                    }
                }
            }
        }
        true
    }

    /// Takes some of what was read for a shard. To be followed by [`Self::go_on`], when that is handed over.
    pub fn take(&self, shard: usize, count: usize) -> Vec<Read> {
        let Some(answers) = self.answers.get(shard) else { return Vec::new() };
        let mut answers = lock(answers);
        let count = count.min(answers.len());
        let taken = answers.drain(..count).collect();
        if answers.is_empty() {
            answers.shrink_to(SPARE_ANSWERS);
        }
        taken
    }

    /// Something was handed over: accounts that were held back get their turns again, and are looked at anew.
    pub fn go_on(&self) {
        let mut queue = lock(&self.queue);
        if queue.held_back.is_empty() {
            return;
        }
        let Queue { turns, held_back, .. } = &mut *queue;
        turns.extend(held_back.drain(..));
        drop(queue);
        self.wake();
    }

    fn wake(&self) {
        if let Some(waker) = self.waker.get() {
            waker();
        }
    }
}

impl Answer {
    /// Bytes that it takes. What a merge knows is charged by itself.
    fn bytes(&self) -> usize {
        match self {
            Self::Started(started) => started.capacity() * size_of::<Begun>(),
            Self::Page(page) => page.blocks.capacity() + size_of_val(&*page.after) + size_of_val(&*page.upto),
            Self::More { part, .. } => part.bytes,
        }
    }
}

impl Queue {
    /// The next job of the account whose turn it is; the account goes to the end of the line. One for which much was read
    /// that is not handed over yet is passed by: whoever reads faster than its shard has time for it would fill the memory.
    /// So is everybody where that is more than fits.
    fn next(&mut self, unclaimed_max: usize) -> Option<Waiting> {
        loop {
            let key = self.turns.pop_front()?;
            let theirs = self.by_account.get_mut(&key)?;
            let has_much = theirs.front().is_some_and(|Waiting { account, .. }| {
                account.held(Kind::Unclaimed) >= UNCLAIMED_MAX
                    || account.ledger().held(Kind::Unclaimed) >= unclaimed_max
            });
            if has_much {
                self.held_back.push(key);
                continue;
            }
            let waiting = theirs.pop_front();
            if theirs.is_empty() {
                self.by_account.remove(&key);
            } else {
                theirs.give_back();
                self.turns.push_back(key);
            }
            return waiting;
        }
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
/// What one takes while it waits: its place in the line, which doubles when it is full, the job, and who asks.
pub const WAITING_BYTES: usize = 2 * size_of::<Waiting>() + size_of::<Job>() + 32;
/// Bytes of one account that may have been read and not handed over before nothing more is read for it. A part more may be
/// under way.
const UNCLAIMED_MAX: usize = 1 << 20;
/// Answers and questions for which a list keeps its room.
const SPARE_ANSWERS: usize = 64;
