//! Reads that need a look at many topics, done a step at a time by whoever lends a thread, in turns by account: one
//! that asks much waits for itself.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use tidewire_protocol::code::Code;

use crate::clock::Millis;
use crate::errands::Errands;
use crate::ledger::{Account, Charge, Kind, Ledger};
use crate::letter::{Address, Inbox};
use crate::reading::fetch::Fetch;
use crate::reading::job::{Hub, Job};
use crate::reading::question::{Answer, Begun};
use crate::sync::{Mutex, lock};

/// What waits to be read, and what was read.
#[derive(Debug)]
pub struct Reads {
    errands: Errands<Waiting, Read>,
    /// Those that wait for the disk.
    fetches: Errands<Fetching, ()>,
    /// Those for which the disk could not be read, and when that is tried again.
    later: Mutex<Vec<(Millis, Waiting)>>,
    bytes_max: usize,
    unclaimed_max: usize,
    /// Reads that have begun and are not done.
    under_way: AtomicUsize,
}

/// Somebody who waits for what he asked. Once he lets go of it nobody reads for him any more.
pub type Asker = Arc<()>;

/// A read that waits for the disk.
#[derive(Debug)]
pub struct Fetching {
    /// What is to be read from it.
    pub fetch: Fetch,
    waiting: Waiting,
}

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

#[derive(Debug)]
struct Waiting {
    address: Address,
    asker: Weak<()>,
    account: Arc<Account>,
    job: Box<Job>,
    /// Whether it counts as under way.
    is_counted: bool,
    /// How often the disk could not be read for it.
    tries: u32,
    /// What the question takes while it waits, unless a cursor asks: that is charged for its place from the start.
    #[expect(dead_code, reason = "given back with it")]
    charge: Option<Charge>,
}

impl Reads {
    /// None yet, for so many shards. What reads keep has a bound, and what was read and not handed over.
    #[must_use]
    pub fn new(shards: usize, bytes_max: usize, unclaimed_max: usize) -> Self {
        let (errands, fetches) = (Errands::new(shards), Errands::new(0));
        let (later, under_way) = (Mutex::default(), AtomicUsize::new(0));
        Self { errands, fetches, later, bytes_max, unclaimed_max, under_way }
    }

    /// Has `waker` called whenever there is something to read. To be set once.
    pub fn on_work(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.errands.on_work(waker);
    }

    /// Has `waker` called whenever something is to be read from the disk. To be set once.
    pub fn on_fetch(&self, waker: Box<dyn Fn() + Send + Sync>) {
        self.fetches.on_work(waker);
    }

    /// What is to be read from the disk next, for whoever has it. To be given back with what was found.
    pub fn next_fetch(&self) -> Option<Fetching> {
        loop {
            let fetching = self.fetches.line().next(|_| false)?;
            if fetching.waiting.asker.strong_count() > 0 {
                return Some(fetching);
            }
            self.is_done(fetching.waiting);
        }
    }

    /// Something was read from the disk, as far as it is there, and as a turn is long: what else is wanted is asked for anew,
    /// behind the others. Where it could not be read nothing is lost: a page is given up
    /// after some tries, and whoever is subscribed waits.
    pub fn fetched(&self, now: Millis, fetching: Fetching) {
        let Fetching { fetch, mut waiting } = fetching;
        if fetch.is_in_doubt() {
            waiting.tries += 1;
            if waiting.job.is_of_cursor() || waiting.tries < TRIES {
                let pause_ms = PAUSE_MS << waiting.tries.min(PAUSES_DOUBLE);
                self.uncount(&mut waiting);
                lock(&self.later).push((now.plus(pause_ms), waiting));
                return;
            }
            waiting.job.give_up();
        } else {
            // Nothing may come of a turn, as long as only the way to it is looked for.
            if !fetch.offsets().is_empty() {
                waiting.tries = 0;
            }
            waiting.job.bring(fetch);
        }
        self.errands.line().put_back(waiting.account.key(), waiting);
        self.errands.wake();
    }

    /// Those for which the disk could not be read look anew at what they want of it. To be called a few times a second.
    pub fn try_again(&self, now: Millis) {
        let due: Vec<_> = lock(&self.later).extract_if(.., |(at, _)| *at <= now).collect();
        if due.is_empty() {
            return;
        }
        let mut line = self.errands.line();
        due.into_iter().for_each(|(_, waiting)| line.put_back(waiting.account.key(), waiting));
        drop(line);
        self.errands.wake();
    }

    /// Asks for something; the answer comes to the address's shard, unless the asker has gone by then.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if this account has very many reads waiting, or as much is known of it as may be.
    pub fn ask(&self, address: Address, asker: &Asker, account: &Arc<Account>, job: Job) -> Result<(), Code> {
        if !job.is_of_cursor() && !account.may_be_known(WAITING_BYTES) {
            return Err(Code::Overloaded);
        }
        let mut line = self.errands.line();
        if line.count_of(account.key()) >= WAITING_MAX && !job.goes_on() {
            return Err(Code::Overloaded);
        }
        let mut charge = (!job.is_of_cursor()).then(|| Charge::new(account, Kind::Reading));
        charge.iter_mut().for_each(|charge| charge.set(WAITING_BYTES));
        let (asker, key, account) = (Arc::downgrade(asker), account.key(), Arc::clone(account));
        line.push(
            key,
            Waiting { address, asker, account, job: Box::new(job), is_counted: false, tries: 0, charge },
        );
        drop(line);
        self.errands.wake();
        Ok(())
    }

    /// Does one step of one read; `false` if there is nothing to do.
    pub fn turn(&self, now: Millis, hub: &Hub<'_>, inboxes: &[Arc<Inbox>]) -> bool {
        // One for which much was read that is not handed over yet is passed by: whoever reads faster than its shard has time
        // for it would fill the memory. So is everybody where that is more than fits.
        let has_much = |Waiting { account, job, .. }: &Waiting| {
            account.held(Kind::Unclaimed) >= UNCLAIMED_MAX
                || account.ledger().held(Kind::Unclaimed) >= self.unclaimed_max
                || !job.knows_its_topics() && !self.may_begin(account.ledger())
        };
        let Some(mut waiting) = self.errands.line().next(has_much) else { return false };
        if waiting.asker.strong_count() == 0 {
            self.is_done(waiting);
            return true;
        }
        if !std::mem::replace(&mut waiting.is_counted, true) {
            self.under_way.fetch_add(1, Ordering::Relaxed);
        }
        match waiting.job.step(now, hub, &waiting.account) {
            None => {
                let key = waiting.account.key();
                match waiting.job.take_wanted() {
                    Some(fetch) => {
                        self.fetches.line().push(key, Fetching { fetch, waiting });
                        self.fetches.wake();
                    }
                    None => self.errands.line().put_back(key, waiting),
                }
            }
            Some(mut answer) => {
                let (address, account) = (waiting.address, Arc::clone(&waiting.account));
                if !account.may_hold(Kind::Reading, 0, self.bytes_max) {
                    // What it knows of its topics is worked out anew for the next part.
                    answer.forget_merges();
                }
                let mut charge = Charge::new(&account, Kind::Unclaimed);
                charge.set(size_of::<Read>() + answer.bytes());
                self.errands.leave(address.shard as usize, Read { address, answer, charge }, inboxes);
                self.is_done(waiting);
            }
        }
        true
    }

    /// Whether one more read may begin beside so many others: what all of them come to know of their topics, about as much
    /// as the hub does if they ask for all there are, is to fit.
    fn may_begin(&self, ledger: &Ledger) -> bool {
        // With the line locked: whoever ends one meanwhile looks for those who are held back after this.
        let others = self.under_way.load(Ordering::Relaxed);
        let most = (others + 1).saturating_mul(ledger.held(Kind::Names));
        others == 0 || most <= self.bytes_max && ledger.held(Kind::Reading) < self.bytes_max
    }

    /// Nothing more of it is read: others may begin.
    fn is_done(&self, mut waiting: Waiting) {
        self.uncount(&mut waiting);
    }

    /// It does not count as under way any more.
    fn uncount(&self, waiting: &mut Waiting) {
        if std::mem::take(&mut waiting.is_counted) {
            self.under_way.fetch_sub(1, Ordering::Relaxed);
            self.go_on();
        }
    }

    /// Takes some of what was read for a shard. To be followed by [`Self::go_on`], when that is handed over.
    pub fn take(&self, shard: usize, count: usize) -> Vec<Read> {
        self.errands.take(shard, count)
    }

    /// Something was handed over: accounts that were held back get their turns again, and are looked at anew.
    pub fn go_on(&self) {
        let any = self.errands.line().go_on();
        if any {
            self.errands.wake();
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
            Self::Unread => 0,
        }
    }
}

/// So often the disk is to be read for a page,
const TRIES: u32 = 5;
/// first after twice so many milliseconds, then after twice as many as before,
const PAUSE_MS: u64 = 100;
/// so often.
const PAUSES_DOUBLE: u32 = 5;
/// Reads of one account that may wait; cursors that catch up are not counted out.
const WAITING_MAX: usize = 4_096;
/// What one takes while it waits: its place in the line, which doubles when it is full, the job, and who asks.
pub const WAITING_BYTES: usize = 2 * size_of::<Waiting>() + size_of::<Job>() + 32;
/// Bytes of one account that may have been read and not handed over before nothing more is read for it. A part more may be
/// under way.
const UNCLAIMED_MAX: usize = 1 << 20;
