//! All topics of a hub, shared by its shards: what is published goes to a log, what is read comes from tails or, where
//! that takes longer, by [`Reads`].
//!
//! Locks: names, then a log, then a topic's list of the tails that it feeds, then the list of heavy tails, then a tail,
//! then who keeps a block, then an inbox, and the calendar or the ledger's accounts last; that of agents' names alone; never two of a kind. The producers' lock is taken with none
//! of these, so after a log's only once that is given back.

use std::fmt;
use std::ops::DerefMut;
use std::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{Arc, OnceLock};

use tidewire_protocol::code::Code;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Epoch;

use crate::access::caller::KeyNumber;
use crate::access::{Access, Granted, InForce};
use crate::agents::Agents;
use crate::calendar::Calendar;
use crate::clock::Millis;
use crate::credentials::Credentials;
use crate::credentials::revocations::{About, Revocation};
use crate::ledger::{Account, Ledger};
use crate::letter::{Address, Inbox};
use crate::limits::Limits;
use crate::limits::rates::Rates;
use crate::log::Log;
use crate::log::engine::Engine;
use crate::log::sequencer::Sequencer;
use crate::log::windows::{Opening, Stream, WindowKey};
use crate::metrics::Metrics;
use crate::names::directory::{Directory, TopicRule};
use crate::names::producers::Producers;
#[cfg(feature = "mutants")]
use crate::reading::fetch::Fetch;
use crate::reading::job::{Hub, Job};
#[cfg(feature = "mutants")]
use crate::reading::question::Answer;
use crate::reading::question::Ask;
use crate::reading::reads::{Asker, Reads};
use crate::sync::{Mutex, lock};
use crate::tail::heavy::Heavy;
use crate::topic::Topic;

pub mod durable;

pub mod restoring;

pub mod found;

pub mod joining;

pub mod listing;

mod attending;

mod paging;

mod publishing;

mod room;

/// What a hub is set up with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Every bound.
    pub limits: Limits,
    /// Who may do what. By default nobody may do anything.
    pub access: Access,
    /// What topics keep.
    pub rules: Vec<TopicRule>,
    /// How often the hub was started before over what its logs have stored: a log that outlives it has messages with tags that
    /// earlier ones gave, and none of those is given again.
    pub boot: u32,
}

/// The topics of a hub.
pub struct Topics {
    producers: Mutex<Producers>,
    names: Mutex<Directory>,
    logs: Vec<Log>,
    reads: Reads,
    credentials: Credentials,
    heavy: Arc<Heavy>,
    access: InForce,
    /// The last look for room found too little: until the next sweep, or until there are so many bytes, nobody looks again.
    looks_again_at: AtomicUsize,
    /// Bytes of messages that there were when the node was found full; a number that none reaches while it is not.
    full_with: AtomicUsize,
    limits: Arc<Limits>,
    rates: Rates,
    metrics: Arc<Metrics>,
    ledger: Arc<Ledger>,
    calendar: Arc<Calendar>,
    agents: Agents,
    /// Of copies that are charged to those who wait for them, and not as messages.
    copies: Arc<Account>,
    inboxes: Vec<Arc<Inbox>>,
    /// Has whoever has the disk look for a commit.
    writer: OnceLock<Box<dyn Fn() + Send + Sync>>,
    next_tag: AtomicU64,
    next_arrival: AtomicU64,
}

impl fmt::Debug for Topics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Topics").field("logs", &self.logs).finish_non_exhaustive()
    }
}

impl Topics {
    /// An empty hub with one log. `epoch` must be random, or the same as before only if nothing was lost.
    #[must_use]
    pub fn new(settings: Settings, epoch: Epoch, engine: Engine, inboxes: Vec<Arc<Inbox>>) -> Self {
        Self::with_logs(settings, vec![(epoch, engine)], inboxes)
    }

    /// An empty hub with several logs: those that rules name, from 0 on.
    #[must_use]
    pub fn with_logs(settings: Settings, logs: Vec<(Epoch, Engine)>, inboxes: Vec<Arc<Inbox>>) -> Self {
        let limits = Arc::new(settings.limits);
        let rates = Rates::of(&limits);
        let metrics = Arc::new(Metrics::default());
        let ledger = Arc::new(Ledger::new(limits.known_bytes_max()));
        let heavy = Arc::new(Heavy::new(&ledger, &limits));
        let calendar = Arc::new(Calendar::default());
        let kept: Vec<_> = logs.iter().map(|(epoch, engine)| (*epoch, engine.is_lasting())).collect();
        let names =
            Directory::new(settings.rules, &kept, inboxes.len(), &limits, &metrics, &ledger, &calendar);
        let log = |(index, log): (u8, (Epoch, Engine))| {
            Log::new(Sequencer::new(index, log, inboxes.clone(), &heavy, &limits, &metrics))
        };
        Self {
            producers: Mutex::new(Producers::new(limits.producers_fit())),
            names: Mutex::new(names),
            logs: (0..).zip(logs).map(log).collect(),
            reads: Reads::new(inboxes.len(), limits.reading_bytes_max, limits.unclaimed_fit()),
            credentials: Credentials::new(inboxes.clone(), &ledger),
            heavy,
            access: InForce::new(settings.access),
            looks_again_at: AtomicUsize::new(0),
            full_with: AtomicUsize::new(usize::MAX),
            limits,
            rates,
            metrics,
            ledger,
            calendar,
            agents: Agents::default(),
            copies: Arc::new(Ledger::default()).nobody(),
            inboxes,
            writer: OnceLock::new(),
            next_tag: AtomicU64::new((u64::from(settings.boot) << BOOT_SHIFT) % TAGS + 1),
            next_arrival: AtomicU64::new(1),
        }
    }

    /// A log, by the number that outcomes name.
    #[must_use]
    pub fn log(&self, index: u8) -> &Log {
        &self.logs[usize::from(index)]
    }

    /// How many logs there are.
    #[must_use]
    pub fn logs(&self) -> usize {
        self.logs.len()
    }

    /// Who may do what.
    #[must_use]
    pub fn access(&self) -> &InForce {
        &self.access
    }

    /// From now on other rules hold. What they do not allow ends: each shard lets go of its connections' subscriptions, and
    /// whoever uses a handle has it asked for anew.
    pub fn change_access(&self, access: Access) {
        self.access.change(access);
        self.wake_all();
    }

    /// From now on only tokens are taken that were signed with one of these keys. Bearers of others are sent away.
    pub fn keep_keys(&self, keys: impl IntoIterator<Item = KeyNumber>) {
        self.credentials.standing().keep_keys(keys);
        self.wake_all();
    }

    /// Takes tokens back before they end. Their bearers are sent away, and nobody signs in by them any more, as long as this hub
    /// runs.
    ///
    /// # Errors
    /// [`Code::TooLarge`] for a name that no token should have, [`Code::LimitReached`] if very many are kept.
    pub fn revoke(&self, now: Millis, revocation: Revocation) -> Result<(), Code> {
        self.credentials.standing().revoke(now, revocation)?;
        self.wake_all();
        Ok(())
    }

    /// Ends what [`revoke`](Self::revoke) began, if there is such a revocation, and where a time is named if it is by that; whether it did. Who was
    /// sent away may sign in again.
    pub fn give_back(&self, now: Millis, about: &About, issued_before: Option<u64>) -> bool {
        self.credentials.standing().give_back(now, about, issued_before)
    }

    fn wake_all(&self) {
        for inbox in self.inboxes.iter().filter(|inbox| inbox.nudge()) {
            inbox.wake();
        }
    }

    /// Every bound.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
    }

    /// How fast clients may publish now, whatever the limits said at the start.
    pub fn rates(&self) -> &Rates {
        &self.rates
    }

    /// What is counted.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// What memory is held by.
    #[must_use]
    pub fn ledger(&self) -> &Arc<Ledger> {
        &self.ledger
    }

    /// Which time messages are given.
    #[must_use]
    pub fn calendar(&self) -> &Calendar {
        &self.calendar
    }

    /// What clients call themselves.
    #[must_use]
    pub fn agents(&self) -> &Agents {
        &self.agents
    }

    /// Reads that take longer.
    #[must_use]
    pub fn reads(&self) -> &Reads {
        &self.reads
    }

    /// Tokens that wait to be checked.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// Opens a topic for publishing. Takes up nothing, but that a window that is there stays until it is shut.
    ///
    /// # Errors
    /// [`Code::Fenced`], or [`Code::Overloaded`] if the account keeps too many windows.
    pub fn open(&self, now: Millis, stream: Stream<'_>) -> Result<Opening, Code> {
        let index = lock(&self.names).log_of(stream.topic);
        let mut log = self.log(index).lock();
        let opening = log.windows.open(stream);
        self.settle(now, log);
        opening
    }

    /// The topic of a name that may be published to, by somebody who begins to.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if there is no room for one more.
    pub fn topic(&self, name: &Granted<TopicName>, account: &Arc<Account>) -> Result<Arc<Topic>, Code> {
        lock(&self.names).topic(name, account).ok_or(Code::Overloaded)
    }

    /// Begins to publish: the topic, and a window there unless one is given, are there from now on.
    ///
    /// # Errors
    /// Those of [`Self::open`], or [`Code::Overloaded`] if there is no room for one more topic.
    pub fn begin(
        &self,
        now: Millis,
        account: &Arc<Account>,
        stream: Stream<'_>,
        window: Option<WindowKey>,
    ) -> Result<(Arc<Topic>, WindowKey), Code> {
        let topic = self.topic(stream.topic, account)?;
        if let Some(window) = window {
            return Ok((topic, window));
        }
        let producer = &stream.attachment.producer;
        lock(&self.producers).hold(producer);
        let mut log = self.log(topic.log).lock();
        let begun = log.windows.begin(account, stream);
        self.settle(now, log);
        if !matches!(begun, Ok((_, true))) {
            lock(&self.producers).release(now, producer.number());
        }
        begun.map(|(window, _)| (topic, window))
    }

    /// Gives windows back.
    pub fn shut(&self, now: Millis, windows: impl IntoIterator<Item = WindowKey>) {
        let mut windows = windows.into_iter().peekable();
        while let Some(first) = windows.peek() {
            let index = first.log;
            let mut log = self.log(index).lock();
            for _ in 0..SHUT_STEP {
                let Some(window) = windows.next_if(|window| window.log == index) else { break };
                log.windows.shut(now, window);
            }
            self.settle(now, log);
        }
    }

    /// Asks for what takes a look at many topics.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if very many reads of this account wait.
    pub fn read(
        &self,
        address: Address,
        asker: &Asker,
        account: &Arc<Account>,
        ask: Ask,
    ) -> Result<(), Code> {
        self.reads.ask(address, asker, account, Job::new(ask))
    }

    /// Does one step of a read that was asked for; `false` if there is none.
    pub fn read_on(&self, now: Millis) -> bool {
        self.reads.turn(now, &self.hub(), &self.inboxes)
    }

    /// Reads what takes a look at many topics, whatever else waits to be read: for the simulation's oracle, which must not
    /// do the work of others.
    #[cfg(feature = "mutants")]
    #[must_use]
    pub fn read_at_once(
        &self,
        now: Millis,
        account: &Arc<Account>,
        ask: Ask,
        mut read: impl FnMut(&mut Fetch),
    ) -> Answer {
        let mut job = Job::new(ask);
        loop {
            if let Some(answer) = job.step(now, &self.hub(), account) {
                return answer;
            }
            if let Some(mut wanted) = job.take_wanted() {
                read(&mut wanted);
                job.bring(wanted);
            }
        }
    }

    fn hub(&self) -> Hub<'_> {
        Hub { logs: &self.logs, names: &self.names, limits: &self.limits, copies: &self.copies }
    }

    /// Lets the engine of a simulated log complete or fail what it holds.
    pub fn with_log<T>(&self, index: u8, act: impl FnOnce(&mut Sequencer) -> T) -> T {
        let mut log = self.log(index).lock();
        let result = act(&mut log);
        let wakes = log.deliver();
        self.settle(log.clock(), log);
        wakes.wake(&self.inboxes);
        result
    }

    /// Gives the log's lock back, then the producers of windows that went.
    fn settle(&self, now: Millis, mut log: impl DerefMut<Target = Sequencer>) {
        let released = log.windows.take_released();
        let wants_commit = log.wants_commit();
        drop(log);
        if wants_commit {
            self.wake_writer();
        }
        if !released.is_empty() {
            let mut producers = lock(&self.producers);
            for number in released {
                producers.release(now, number);
            }
        }
    }
}

/// So many tags a hub gives at most before it is started again.
const BOOT_SHIFT: u32 = 32;
/// And so many that all of them give: what JSON can tell.
const TAGS: u64 = 1 << 53;
/// Windows given back in one hold of the lock: bounds how long publishing waits.
const SHUT_STEP: usize = 256;
