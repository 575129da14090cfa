//! All topics of a hub, shared by its shards: names, the sequencer, what is read and written.

use std::ops::DerefMut;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::block::{Block as WireBlock, put_on_page};
use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::name::{Pattern, Selector};
use tidewire_protocol::number::{Epoch, Incarnation, Offset, ProducerId, Tag, TailNumber};
use tidewire_protocol::position::{Position, Start};

use crate::access::{Access, Granted};
use crate::clock::Millis;
use crate::engine::Engine;
use crate::inbox::Inbox;
use crate::ledger::{Account, Ledger};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::sync::{Mutex, lock};
use crate::tail::Tail;
use crate::topics::directory::{Directory, Topic, TopicRule};
use crate::topics::producers::{Producer, Producers};
use crate::topics::reading::{Merged, Stand};
use crate::topics::sequencer::Sequencer;
use crate::topics::submission::Submission;
use crate::topics::windows::{Opening, Stream, WindowKey};

pub mod reading;

pub mod sequencer;

pub mod producers;

pub mod windows;

pub mod submission;

pub mod directory;

pub mod patterns;

/// What a hub is set up with.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Every bound.
    pub limits: Limits,
    /// Who may do what. By default nobody may do anything.
    pub access: Access,
    /// What topics keep.
    pub rules: Vec<TopicRule>,
}

/// The topics of a hub.
#[derive(Debug)]
pub struct Topics {
    /// Locked before the log, never while it is.
    producers: Mutex<Producers>,
    log: Mutex<Sequencer>,
    epoch: Epoch,
    durability: Durability,
    access: Access,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
    ledger: Arc<Ledger>,
    next_tag: AtomicU64,
}

/// A subscription as the topics see it.
#[derive(Debug)]
pub struct Joined {
    /// Where its messages come from.
    pub tail: Arc<Tail>,
    /// Where it starts.
    pub stand: Stand,
}

/// A page of history.
#[derive(Debug)]
pub struct PageRead {
    /// Where it starts.
    pub stand: Stand,
    /// Bodies of blocks, each behind its length.
    pub blocks: Vec<u8>,
    /// The page is complete up to here.
    pub upto: Offset,
    /// Whether there was more.
    pub more: bool,
}

impl Topics {
    /// An empty hub. `epoch` must be random, or the same as before only if nothing was lost.
    #[must_use]
    pub fn new(settings: Settings, epoch: Epoch, engine: Engine, inboxes: Vec<Arc<Inbox>>) -> Self {
        let limits = Arc::new(settings.limits);
        let metrics = Arc::new(Metrics::default());
        let durability = engine.durability();
        let directory = Directory::new(settings.rules, inboxes.len(), &limits, &metrics);
        let log = Sequencer::new(epoch, engine, directory, inboxes, &limits, &metrics);
        Self {
            producers: Mutex::new(Producers::new(limits.producers_bytes_max)),
            log: Mutex::new(log),
            epoch,
            durability,
            access: settings.access,
            limits,
            metrics,
            ledger: Arc::default(),
            next_tag: AtomicU64::new(1),
        }
    }

    /// Identity of the log.
    #[must_use]
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// What an acknowledgement means.
    #[must_use]
    pub fn durability(&self) -> Durability {
        self.durability
    }

    /// Who may do what.
    #[must_use]
    pub fn access(&self) -> &Access {
        &self.access
    }

    /// Every bound.
    #[must_use]
    pub fn limits(&self) -> &Arc<Limits> {
        &self.limits
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

    /// A place in this log.
    #[must_use]
    pub fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// Registers a participant: fences older incarnations of its producer, if it has one, and gives it a public tag.
    ///
    /// # Errors
    /// [`Code::Fenced`] if a newer incarnation was seen.
    pub fn attach(
        &self,
        account: &Arc<Account>,
        producer: ProducerId,
        incarnation: Incarnation,
    ) -> Result<(Option<Arc<Producer>>, Tag), Code> {
        let named = producer != ProducerId::default();
        let attach = || lock(&self.producers).attach(account, producer, incarnation);
        let producer = named.then(attach).transpose()?;
        Ok((producer, Tag(self.next_tag.fetch_add(1, Ordering::Relaxed))))
    }

    /// A participant of this producer is gone.
    pub fn detach(&self, now: Millis, producer: &Producer) {
        lock(&self.producers).release(now, producer.number());
    }

    /// Opens a topic for publishing. Takes up nothing, but that a window that is there stays until it is shut.
    ///
    /// # Errors
    /// [`Code::Fenced`], or [`Code::Overloaded`] if the account keeps too many windows.
    pub fn open(&self, now: Millis, stream: Stream<'_>) -> Result<Opening, Code> {
        let mut log = lock(&self.log);
        let opening = log.windows.open(stream);
        self.settle(now, log);
        opening
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
        lock(&self.producers).hold(stream.producer);
        let mut log = lock(&self.log);
        let begun = match (log.directory.topic(stream.topic), window) {
            (None, _) => Err(Code::Overloaded),
            (Some(topic), Some(window)) => Ok((topic, window, false)),
            (Some(topic), None) => {
                let begun = log.windows.begin(account, stream);
                begun.map(|(window, is_new)| (topic, window, is_new))
            }
        };
        self.settle(now, log);
        if !matches!(begun, Ok((_, _, true))) {
            lock(&self.producers).release(now, stream.producer.number());
        }
        begun.map(|(topic, window, _)| (topic, window))
    }

    /// Gives windows back.
    pub fn shut(&self, now: Millis, windows: impl IntoIterator<Item = WindowKey>) {
        let mut windows = windows.into_iter().peekable();
        while windows.peek().is_some() {
            let mut log = lock(&self.log);
            for window in windows.by_ref().take(SHUT_STEP) {
                log.windows.shut(now, window);
            }
            self.settle(now, log);
        }
    }

    /// Publishes. Outcomes come to the inboxes of their origins' shards.
    pub fn publish<'a>(&self, now: Millis, submissions: impl IntoIterator<Item = Submission<'a>>) {
        let mut log = lock(&self.log);
        for submission in submissions {
            log.submit(now, &submission);
        }
        log.deliver();
        self.settle(now, log);
    }

    /// Begins a subscription: where it starts is decided, and the cursor counted, with nothing in between.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if there is no room for one more topic.
    pub fn join(
        &self,
        now: Millis,
        shard: usize,
        selector: &Granted<Selector>,
        start: &Start,
    ) -> Result<Joined, Code> {
        let mut log = lock(&self.log);
        let stand = reading::stand(&log, now, selector, start);
        let end = log.visible();
        let tail = match &**selector {
            Selector::Topic(name) => Arc::clone(&log.directory.topic(name).ok_or(Code::Overloaded)?.tail),
            Selector::Pattern(pattern) => log.directory.pattern(pattern, end),
        };
        tail.join(shard);
        Ok(Joined { tail, stand })
    }

    /// Reads a page of history.
    #[must_use]
    pub fn page(
        &self,
        now: Millis,
        selector: &Granted<Selector>,
        start: &Start,
        bytes_max: usize,
    ) -> PageRead {
        let log = lock(&self.log);
        let stand = reading::stand(&log, now, selector, start);
        let mut page = PageRead { stand, blocks: Vec::new(), upto: stand.cursor, more: false };
        let mut scratch = Vec::new();
        match &**selector {
            Selector::Topic(name) => {
                let Some(topic) = log.directory.find(name) else { return page };
                let found = topic.tail.read_after(now, stand.cursor, bytes_max);
                for block in &found.blocks {
                    put_on_page(&block.wire(), &mut scratch, &mut page.blocks);
                }
                page.upto = found.blocks.last().map_or(stand.cursor, |block| block.last);
                page.more = page.upto < found.last;
            }
            Selector::Pattern(pattern) => {
                let number = TailNumber(0);
                let merged =
                    reading::merge(&log, now, pattern, number, stand.cursor, bytes_max, &self.metrics);
                if let Some(block) = &merged.block {
                    put_on_page(&WireBlock { tail: number, ..block.wire() }, &mut scratch, &mut page.blocks);
                }
                page.upto = merged.upto;
                page.more = merged.upto < log.visible();
            }
        }
        page
    }

    /// Merges what a pattern's topics hold after `cursor`: what its own tail no longer has.
    #[must_use]
    pub fn merge(
        &self,
        now: Millis,
        pattern: &Pattern,
        tail: TailNumber,
        cursor: Offset,
        bytes_max: usize,
    ) -> Merged {
        reading::merge(&lock(&self.log), now, pattern, tail, cursor, bytes_max, &self.metrics)
    }

    /// Drops some of what is too old. To be called a few times a second.
    pub fn sweep(&self, now: Millis) {
        let mut log = lock(&self.log);
        log.sweep(now);
        self.settle(now, log);
    }

    /// Lets the engine of a simulated log complete or fail what it holds.
    pub fn with_log<T>(&self, act: impl FnOnce(&mut Sequencer) -> T) -> T {
        let mut log = lock(&self.log);
        let result = act(&mut log);
        log.deliver();
        self.settle(log.clock(), log);
        result
    }

    /// Gives the log's lock back, then the producers of windows that went.
    fn settle(&self, now: Millis, mut log: impl DerefMut<Target = Sequencer>) {
        let released = log.windows.take_released();
        drop(log);
        if !released.is_empty() {
            let mut producers = lock(&self.producers);
            for number in released {
                producers.release(now, number);
            }
        }
    }
}

/// Windows given back in one hold of the lock: bounds how long publishing waits.
const SHUT_STEP: usize = 256;
