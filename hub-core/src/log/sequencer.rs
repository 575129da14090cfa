//! The sequencer of a log: one order for everything that is published.
//!
//! It fences, asks the producer's window, numbers, submits to the engine, and makes messages visible in
//! offset order, feeding the topic's tail and those of matching patterns. All of it happens under one lock;
//! a topic's own lock could never order a pattern's tail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Epoch, Offset, Seq};

use crate::block::Entry;
use crate::clock::{Millis, NEVER};
use crate::ledger::{Account, AccountKey};
use crate::letter::{Fate, Inbox, Outcome, Wakes};
use crate::limits::Limits;
use crate::log::engine::{Engine, Submitted};
use crate::log::feed::Feed;
use crate::log::sequencer::conditions::Before;
use crate::log::submission::{Beside, Pending, Submission, Wish};
use crate::log::window::run::Answer;
use crate::log::windows::{WindowKey, Windows};
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::record::Record;
use crate::tail::Tail;
use crate::tail::heavy::Heavy;
use crate::topic::Topic;

pub mod conditions;

mod judging;

pub mod storing;

mod room;

pub mod whole;

/// A log and its order.
#[derive(Debug)]
pub struct Sequencer {
    /// Identity of the log.
    pub epoch: Epoch,
    /// Its place among the hub's logs.
    index: u8,
    /// Which patterns get whose messages.
    pub feed: Feed,
    /// Who has published what.
    pub windows: Windows,
    /// Where it is stored.
    pub engine: Engine,
    /// Last offset given out.
    last: Offset,
    /// Last offset that is visible.
    visible: Arc<AtomicU64>,
    clock: Millis,
    /// The time that its newest message was given.
    given: Millis,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    /// Serials of those that wait and that a producer numbers, by window and first seq; only where many wait by design.
    waiting: BTreeMap<(WindowKey, Seq), u64>,
    /// How many of each account wait; only there.
    waiting_of: BTreeMap<AccountKey, usize>,
    /// How many ever waited.
    serials: u64,
    /// Whether whoever has the disk is to look.
    wants_commit: bool,
    /// Windows that the batch which was judged last has, in their order: kept, so that no batch makes a list of its own.
    judged: Vec<WindowKey>,
    /// Outcomes to leave at each shard when the lock is given back.
    told: Vec<Vec<Outcome>>,
    /// Shards to wake then.
    wakes: Wakes,
    inboxes: Vec<Arc<Inbox>>,
    heavy: Arc<Heavy>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

impl Sequencer {
    /// An empty log.
    #[must_use]
    pub fn new(
        index: u8,
        (epoch, engine): (Epoch, Engine),
        inboxes: Vec<Arc<Inbox>>,
        heavy: &Arc<Heavy>,
        limits: &Arc<Limits>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let is_lasting = engine.is_lasting();
        Self {
            epoch,
            index,
            feed: Feed::default(),
            engine,
            last: Offset(0),
            visible: Arc::default(),
            clock: Millis(0),
            given: Millis(0),
            pending: VecDeque::new(),
            pending_bytes: 0,
            waiting: BTreeMap::new(),
            waiting_of: BTreeMap::new(),
            serials: 0,
            wants_commit: false,
            judged: Vec::new(),
            windows: Windows::new(index, is_lasting, limits),
            told: vec![Vec::new(); inboxes.len()],
            wakes: Wakes::default(),
            inboxes,
            heavy: Arc::clone(heavy),
            limits: Arc::clone(limits),
            metrics: Arc::clone(metrics),
        }
    }

    /// The last offset that anybody may see, for those who do not hold the lock.
    #[must_use]
    pub fn visible(&self) -> &Arc<AtomicU64> {
        &self.visible
    }

    /// The last offset that anybody may see.
    #[must_use]
    pub fn last_visible(&self) -> Offset {
        Offset(self.visible.load(Ordering::Acquire))
    }

    /// The latest time that it knows of.
    #[must_use]
    pub fn clock(&self) -> Millis {
        self.clock
    }

    /// Takes a publish. Its outcome goes to its origin's shard with the next [`Self::deliver`].
    pub fn submit(&mut self, now: Millis, submission: &Submission<'_>) {
        let Some(numbered) = submission.numbered else {
            return self.admit(now, submission, self.outcome_of(submission));
        };
        let mut rest = self.outcome(submission, &numbered);
        // A run of voids may be for seqs of which much is known: each part that has one answer is told by itself.
        let much_is_told = self.told[rest.origin.shard as usize].len() >= TOLD_MANY;
        for _ in 0..if much_is_told { 1 } else { PARTS_MAX } {
            let count = self.submit_part(now, submission, &numbered, rest);
            (rest.seq.0, rest.count) = (rest.seq.0 + count, rest.count - count);
            if rest.count == 0 {
                return;
            }
        }
        self.tell(Outcome { fate: Fate::Refused { code: Code::Overloaded, consumed: false }, ..rest });
    }

    /// The engine has stored the message at `offset`.
    pub fn complete(&mut self, offset: Offset) {
        if let Some(pending) =
            self.pending.iter_mut().find(|pending| pending.offset == offset && !pending.complete)
        {
            pending.complete = true;
        }
        if mutant::active(Mutant::VisibleOutOfOrder) {
            while let Some(index) = self.pending.iter().position(|pending| pending.complete) {
                self.reveal_at(index);
            }
        }
        loop {
            let ready = self.ready();
            if ready == 0 {
                return;
            }
            for _ in 0..ready {
                self.reveal_at(0);
            }
        }
    }

    /// How many of those that wait may be shown together: the first, or its whole batch.
    fn ready(&self) -> usize {
        let count = self.pending.front().map_or(0, |first| first.beside.behind + 1);
        if self.pending.iter().take(count).all(|pending| pending.complete) { count } else { 0 }
    }

    /// The engine could not store the message at `offset`: it and all behind it are given up, and may be sent
    /// again. Their offsets stay unused.
    pub fn fail(&mut self, offset: Offset) {
        let Some(from) = self.pending.iter().position(|pending| pending.offset >= offset) else { return };
        let from = from - self.pending[from].beside.before;
        let offset = offset.min(self.pending[from].offset);
        self.give_up_from(from);
        if let Engine::Simulated(simulated) = &mut self.engine {
            simulated.forget_from(offset);
        }
    }

    /// Gives up what waits from an index on.
    fn give_up_from(&mut self, from: usize) {
        let failed: Vec<_> = self.pending.drain(from..).collect();
        for pending in failed.into_iter().rev() {
            self.release(&pending);
            if let Answer::Done(offset) = pending.answer {
                pending.topic.tail.unstage(offset, pending.record.record().ext);
            }
            if let Some((window, seq, _)) = pending.numbered {
                self.windows.change(window, |window| window.rewind(seq));
                self.windows.shut(self.clock, window);
            } else if pending.waiters.is_empty() {
                self.metrics.updates_dropped.add(Code::NotStored.number(), 1);
            }
            for waiter in pending.waiters {
                let fate = Fate::Refused { code: Code::NotStored, consumed: false };
                self.tell(Outcome { fate, ..waiter });
            }
        }
    }

    /// Leaves outcomes in their shards' inboxes. Tells which shards have to be woken when the lock is given back.
    pub fn deliver(&mut self) -> Wakes {
        for (shard, (told, inbox)) in self.told.iter_mut().zip(&self.inboxes).enumerate() {
            if !told.is_empty() && inbox.leave_outcomes(told) {
                self.wakes.note(shard);
            }
        }
        std::mem::take(&mut self.wakes)
    }

    /// Ages some of what has a time to live: see [`Windows::sweep`].
    pub fn sweep(&mut self, now: Millis) {
        self.windows.sweep(now);
    }

    /// Places a publish, if there is room for it: what only uses up its seq needs none. An update that may be lost has nobody to be told its outcome.
    fn admit(&mut self, now: Millis, submission: &Submission<'_>, outcome: Option<Outcome>) {
        let submission = &self.conditioned(now, submission, &Before::default());
        if let (Wish::Refuse(code), None) = (submission.wish, outcome) {
            self.metrics.updates_dropped.add(code.number(), 1);
            return;
        }
        if let Some(code) = self.keeps_out(std::slice::from_ref(submission)) {
            let fate = Fate::Refused { code, consumed: false };
            match outcome {
                Some(outcome) => self.tell(Outcome { fate, ..outcome }),
                None => self.metrics.updates_dropped.add(code.number(), 1),
            }
            return;
        }
        self.place(now, submission, Beside::default(), outcome);
    }

    /// Numbers a publish, stores it, and shows it as soon as its turn has come.
    fn place(&mut self, now: Millis, submission: &Submission<'_>, beside: Beside, outcome: Option<Outcome>) {
        self.clock = self.clock.max(now);
        let (answer, stored) = match submission.wish {
            Wish::Append => {
                self.last.0 += 1;
                (Answer::Done(self.last), self.engine.submit(self.last))
            }
            Wish::Void => (Answer::Void, self.engine.submit_outcome()),
            Wish::Refuse(code) => (Answer::Refused(code), self.engine.submit_outcome()),
            Wish::Fail(_) => (Answer::Refused(Code::ConditionFailed), self.engine.submit_outcome()),
        };
        self.given = submission.topic.tail.time_after(self.given, self.clock);
        let (offset, published_at, taken_at) = (self.last, self.given, self.clock);
        let record = Record { offset, published_at, taken_at, ..submission.record };
        let numbered =
            submission.numbered.zip(outcome).map(|(numbered, o)| (numbered.window, o.seq, o.count));
        let mut outcome = outcome.map(|outcome| Outcome {
            fate: match submission.wish {
                Wish::Fail(current) => Fate::ConditionFailed(current),
                Wish::Append | Wish::Void | Wish::Refuse(_) => fate(answer, false),
            },
            count: if mutant::active(Mutant::RunAnsweredAsOne) { 1 } else { outcome.count },
            ..outcome
        });
        if stored == Submitted::Complete && self.pending.is_empty() {
            if let Some((window, _, count)) = numbered {
                self.windows.change(window, |window| window.take(answer, count));
            }
            if let Answer::Done(_) = answer {
                self.reveal(submission.topic, &record, submission.account);
            }
            outcome.into_iter().for_each(|outcome| self.tell(outcome));
            return;
        }
        if let Some((window, _, count)) = numbered {
            self.windows.change(window, |window| window.take(Answer::Pending, count));
            self.windows.take_up(window);
        }
        let durability = self.engine.durability();
        let told_early =
            outcome.take_if(|outcome| outcome.durability != durability && self.may_be_early(answer));
        self.serials += 1;
        let pending = Pending {
            serial: self.serials,
            lowest: submission.numbered.map(|numbered| numbered.lowest).unwrap_or_default(),
            offset: self.last,
            beside,
            complete: stored == Submitted::Complete,
            answer,
            numbered,
            waiters: outcome.into_iter().map(|outcome| Outcome { durability, ..outcome }).collect(),
            account: Arc::clone(submission.account),
            topic: Arc::clone(submission.topic),
            record: record.into(),
        };
        if let Answer::Done(offset) = answer {
            pending.topic.tail.stage(offset, published_at, submission.record.ext);
        }
        self.hold(&pending);
        self.pending.push_back(pending);
        told_early.into_iter().for_each(|outcome| self.tell(outcome));
        self.wants_commit = true;
    }

    /// Takes a completed publish out of the waiting ones and shows it. Tells how many bytes were copied for that.
    fn reveal_at(&mut self, index: usize) -> usize {
        let Some(pending) = self.pending.remove(index) else { return 0 };
        let mut copied = 0;
        self.release(&pending);
        if let Some((window, seq, count)) = pending.numbered {
            self.windows.change(window, |window| window.answer(seq, count, pending.answer));
            self.windows.shut(self.clock, window);
        }
        if let Answer::Done(_) = pending.answer {
            copied = self.reveal(&pending.topic, &pending.record.record(), &pending.account);
        }
        for waiter in pending.waiters {
            self.tell(waiter);
        }
        copied
    }

    /// Shows a message to everybody: the topic's tail, then those of matching patterns. Tells how many bytes that copied.
    fn reveal(&mut self, topic: &Arc<Topic>, record: &Record<'_>, account: &Arc<Account>) -> usize {
        let Record { offset, payload, taken_at, .. } = *record;
        let len = record.len();
        self.metrics.published.add(1);
        self.metrics.published_bytes.add(payload.len() as u64);
        let (inboxes, wakes, heavy, patterns) = (&self.inboxes, &mut self.wakes, &self.heavy, &self.feed);
        let (doubles, patterns_count) = (&heavy.doubles, patterns.len());
        let mut leave = |shard: usize, tail: &Tail| {
            if inboxes[shard].leave_tail(tail.number) {
                wakes.note(shard);
            }
        };
        let entry = Entry { offset, head: record.head(), stale_at: NEVER, topic: None, payload };
        if topic.tail.append(taken_at, &entry, account, |shard| leave(shard, &topic.tail)) {
            heavy.add(&topic.tail);
        }
        let stale_at = taken_at.plus(topic.tail.age_ms());
        let entry = Entry { stale_at, topic: Some(topic.name.text()), ..entry };
        let mut room = FED_BYTES_MAX;
        topic.feed(
            patterns.generation(),
            |name| patterns.matching(name),
            |tails| {
                for tail in tails {
                    if len > room || doubles.crowd_out(tail, patterns_count) {
                        tail.pass_by(offset, |shard| leave(shard, tail));
                        continue;
                    }
                    room -= len;
                    if tail.append(taken_at, &entry, doubles.account(), |shard| leave(shard, tail)) {
                        heavy.add(tail);
                    }
                }
            },
        );
        // Only now, since whoever reads without the lock takes everything up to here to be in the tails.
        self.visible.fetch_max(offset.0, Ordering::Release);
        FED_BYTES_MAX - room + len
    }

    fn tell(&mut self, outcome: Outcome) {
        self.told[outcome.origin.shard as usize].push(outcome);
    }
}

fn fate(answer: Answer, duplicate: bool) -> Fate {
    match answer {
        Answer::Done(offset) => Fate::Done { offset, duplicate },
        Answer::Void | Answer::Pending => Fate::Done { offset: Offset(0), duplicate },
        Answer::Refused(code) => Fate::Refused { code, consumed: true },
        Answer::Forgotten => Fate::Refused { code: Code::OutcomeForgotten, consumed: true },
    }
}

/// Bytes of one message that are copied into tails of patterns; beyond, whoever listens reads it from its topic.
const FED_BYTES_MAX: usize = 1 << 20;
/// Parts of a run of voids that are answered; whoever asks for more goes on where these end.
const PARTS_MAX: usize = 8;
/// Where so many outcomes wait to be delivered at once, a run gets one answer: it must not ask for many in few bytes.
const TOLD_MANY: usize = 1_024;
