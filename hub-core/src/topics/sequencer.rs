//! The sequencer of a log: one order for everything that is published.
//!
//! It fences, asks the producer's window, numbers, submits to the engine, and makes messages visible in
//! offset order, feeding the topic's tail and those of matching patterns. All of it happens under one lock;
//! a topic's own lock could never order a pattern's tail.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::block::Head;
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::number::{Epoch, Incarnation, Offset, ProducerId, Seq, Tag, TailNumber};

use crate::block::Entry;
use crate::clock::Millis;
use crate::engine::{Engine, Submitted};
use crate::inbox::{Fate, Inbox, Origin, Outcome};
use crate::limits::Limits;
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::topics::directory::{Directory, Topic};
use crate::window::{Answer, Verdict, Window};

/// A log and its order.
#[derive(Debug)]
pub struct Sequencer {
    /// Identity of the log.
    pub epoch: Epoch,
    /// The names in it.
    pub directory: Directory,
    /// Where it is stored.
    pub engine: Engine,
    /// Last offset given out.
    last: Offset,
    /// Last offset that is visible.
    visible: Offset,
    clock: Millis,
    pending: VecDeque<Pending>,
    pending_bytes: usize,
    producers: BTreeMap<ProducerId, Incarnation>,
    windows: Slab<Kept>,
    by_producer: BTreeMap<(ProducerId, TailNumber), usize>,
    next_generation: u32,
    /// Outcomes to leave at each shard when the lock is given back.
    told: Vec<Vec<Outcome>>,
    inboxes: Vec<Arc<Inbox>>,
    limits: Arc<Limits>,
    metrics: Arc<Metrics>,
}

/// Where a window is kept. The generation tells it from later ones in the same place.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WindowKey {
    slot: u32,
    generation: u32,
}

#[derive(Debug)]
struct Kept {
    window: Window,
    generation: u32,
    /// Open handles that use it.
    handles: u32,
    used: Millis,
    producer: ProducerId,
    topic: TailNumber,
}

/// A publish, checked by its session.
#[derive(Debug)]
pub struct Submission<'a> {
    /// Whom to tell.
    pub origin: Origin,
    /// Who publishes.
    pub producer: ProducerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its public mark.
    pub tag: Tag,
    /// Where to.
    pub topic: &'a Arc<Topic>,
    /// Its window there.
    pub window: WindowKey,
    /// Its number.
    pub seq: Seq,
    /// Lowest seq whose outcome is still wanted; 0 if unchanged.
    pub lowest: Seq,
    /// What the payload is.
    pub content: Content,
    /// See the protocol.
    pub maybe_duplicate: bool,
    /// What is to become of it.
    pub wish: Wish,
    /// The message.
    pub payload: &'a [u8],
}

/// What a publish asks for, by its session's word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Append it.
    Append,
    /// Use up its seq and append nothing.
    Void,
    /// Use up its seq: it is refused for good.
    Refuse(Code),
}

/// What `open` found.
#[derive(Debug)]
pub struct Opening {
    /// The window to publish with.
    pub window: WindowKey,
    /// The hub knew nothing of this producer on this topic.
    pub window_new: bool,
    /// The seq that comes next.
    pub next: Seq,
}

/// A publish that waits: for the engine, or for those before it.
#[derive(Debug)]
struct Pending {
    offset: Offset,
    complete: bool,
    answer: Answer,
    seq: Seq,
    window: WindowKey,
    waiters: Vec<Outcome>,
    topic: Arc<Topic>,
    published_at_ms: u64,
    content: Content,
    maybe_duplicate: bool,
    tag: Tag,
    payload: Box<[u8]>,
}

impl Sequencer {
    /// An empty log.
    #[must_use]
    pub fn new(
        epoch: Epoch,
        engine: Engine,
        directory: Directory,
        inboxes: Vec<Arc<Inbox>>,
        limits: &Arc<Limits>,
        metrics: &Arc<Metrics>,
    ) -> Self {
        Self {
            epoch,
            directory,
            engine,
            last: Offset(0),
            visible: Offset(0),
            clock: Millis(0),
            pending: VecDeque::new(),
            pending_bytes: 0,
            producers: BTreeMap::new(),
            windows: Slab::new(),
            by_producer: BTreeMap::new(),
            next_generation: 0,
            told: vec![Vec::new(); inboxes.len()],
            inboxes,
            limits: Arc::clone(limits),
            metrics: Arc::clone(metrics),
        }
    }

    /// The last offset that anybody may see.
    #[must_use]
    pub fn visible(&self) -> Offset {
        self.visible
    }

    /// Registers an incarnation of a producer; older ones are fenced from now on.
    ///
    /// # Errors
    /// [`Code::Fenced`] if a newer one was seen, [`Code::Overloaded`] if there is no room for more producers.
    pub fn fence(&mut self, producer: ProducerId, incarnation: Incarnation) -> Result<(), Code> {
        if mutant::active(Mutant::FencingOff) {
            return Ok(());
        }
        match self.producers.get_mut(&producer) {
            Some(known) if *known > incarnation => Err(Code::Fenced),
            Some(known) => {
                *known = incarnation;
                Ok(())
            }
            None => {
                if self.producers.len() >= self.limits.windows_max {
                    self.drop_idle_producers();
                }
                if self.producers.len() >= self.limits.windows_max {
                    return Err(Code::Overloaded);
                }
                self.producers.insert(producer, incarnation);
                Ok(())
            }
        }
    }

    /// Opens a producer's window on a topic at its lowest open seq.
    ///
    /// # Errors
    /// [`Code::Fenced`], or [`Code::Overloaded`] if all windows are in use.
    pub fn open(
        &mut self,
        now: Millis,
        producer: ProducerId,
        incarnation: Incarnation,
        topic: &Topic,
        lowest: Seq,
    ) -> Result<Opening, Code> {
        self.fence(producer, incarnation)?;
        let key = (producer, topic.tail.number);
        if let Some(slot) = self.by_producer.get(&key).copied() {
            let kept = &mut self.windows[slot];
            let window_new = !kept.window.forget_below(lowest);
            if window_new {
                kept.window = Window::new(lowest);
            }
            kept.handles += 1;
            kept.used = now;
            let window = WindowKey { slot: slot as u32, generation: kept.generation };
            return Ok(Opening { window, window_new, next: kept.window.next() });
        }
        if self.windows.len() >= self.limits.windows_max {
            self.drop_idle_windows(now, self.limits.windows_max / 16 + 1);
        }
        if self.windows.len() >= self.limits.windows_max {
            return Err(Code::Overloaded);
        }
        self.next_generation = self.next_generation.wrapping_add(1);
        let window = Window::new(lowest);
        let next = window.next();
        let generation = self.next_generation;
        let kept = Kept { window, generation, handles: 1, used: now, producer, topic: topic.tail.number };
        let slot = self.windows.insert(kept);
        self.by_producer.insert(key, slot);
        let window_new = !mutant::active(Mutant::WindowRestartedSilently);
        Ok(Opening { window: WindowKey { slot: slot as u32, generation }, window_new, next })
    }

    /// Gives a window back; it is kept for a later `open`.
    pub fn shut(&mut self, now: Millis, window: WindowKey) {
        if let Some(kept) = self.kept(window) {
            kept.handles = kept.handles.saturating_sub(1);
            kept.used = now;
        }
    }

    /// Takes a publish. Its outcome goes to its origin's shard with the next [`Self::deliver`].
    pub fn submit(&mut self, now: Millis, submission: &Submission<'_>) {
        let outcome = Outcome {
            origin: submission.origin,
            seq: submission.seq,
            fate: Fate::Refused { code: Code::Fenced, consumed: false },
        };
        let known = self.producers.get(&submission.producer);
        if known.is_some_and(|known| *known > submission.incarnation) && !mutant::active(Mutant::FencingOff) {
            self.tell(outcome);
            return;
        }
        match self.judge(submission) {
            Verdict::Refused(code) => {
                let fate = Fate::Refused { code, consumed: false };
                self.tell(Outcome { fate, ..outcome });
            }
            Verdict::Seen(Answer::Pending) => self.wait(submission, outcome),
            Verdict::Seen(answer) => {
                self.metrics.duplicates.add(1);
                self.tell(Outcome { fate: fate(answer, true), ..outcome });
            }
            Verdict::Next => self.admit(now, submission, outcome),
        }
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
        while self.pending.front().is_some_and(|pending| pending.complete) {
            self.reveal_at(0);
        }
    }

    /// The engine could not store the message at `offset`: it and all behind it are given up, and may be sent
    /// again. Their offsets stay unused.
    pub fn fail(&mut self, offset: Offset) {
        let Some(from) = self.pending.iter().position(|pending| pending.offset >= offset) else { return };
        let failed: Vec<_> = self.pending.drain(from..).collect();
        for pending in failed.into_iter().rev() {
            self.pending_bytes -= pending.payload.len();
            if let Some(kept) = self.kept(pending.window) {
                kept.window.rewind(pending.seq);
            }
            for waiter in pending.waiters {
                let fate = Fate::Refused { code: Code::NotStored, consumed: false };
                self.tell(Outcome { fate, ..waiter });
            }
        }
        if let Engine::Simulated(simulated) = &mut self.engine {
            simulated.forget_from(offset);
        }
    }

    /// Leaves outcomes in their shards' inboxes, and makes room if the node is full.
    pub fn deliver(&mut self) {
        for (told, inbox) in self.told.iter_mut().zip(&self.inboxes) {
            if !told.is_empty() {
                inbox.leave_outcomes(told);
            }
        }
        let held = usize::try_from(self.metrics.block_bytes.value()).unwrap_or(usize::MAX);
        if held > self.limits.node_bytes_max {
            self.directory.relieve(held - self.limits.node_bytes_max + self.limits.node_bytes_max / 16);
        }
    }

    /// Ages what has a time to live: see [`Directory::sweep`]; part 0 also drops windows unused for too long.
    pub fn sweep(&mut self, now: Millis, part: u64, parts: u64) {
        self.directory.sweep(now, part, parts);
        if part == 0 {
            let old: Vec<_> =
                self.windows.iter().filter(|(_, kept)| kept.idle_ms(now) > self.limits.window_ms).collect();
            let slots: Vec<_> = old.into_iter().map(|(slot, _)| slot).collect();
            self.drop_windows(&slots);
        }
    }

    fn judge(&mut self, submission: &Submission<'_>) -> Verdict {
        let in_flight_max = self.limits.in_flight_max;
        // A window in use is never dropped, so this is a handle of a hub that has lost it: open again.
        let Some(kept) = self.kept(submission.window) else { return Verdict::Refused(Code::UnknownNumber) };
        if submission.lowest.0 > 0 && submission.lowest <= submission.seq {
            kept.window.forget_below(submission.lowest);
        }
        kept.window.check(submission.seq, in_flight_max)
    }

    /// A retry of a publish that still waits is answered together with it.
    fn wait(&mut self, submission: &Submission<'_>, outcome: Outcome) {
        let original =
            self.pending.iter_mut().find(|p| p.window == submission.window && p.seq == submission.seq);
        if let Some(pending) = original {
            let fate = Fate::Done { offset: pending.offset, duplicate: true };
            pending.waiters.push(Outcome { fate, ..outcome });
        }
    }

    /// Numbers a publish, stores it, and shows it as soon as its turn has come.
    fn admit(&mut self, now: Millis, submission: &Submission<'_>, outcome: Outcome) {
        if self.pending_bytes + submission.payload.len() > self.limits.pending_bytes_max {
            let fate = Fate::Refused { code: Code::Overloaded, consumed: false };
            self.tell(Outcome { fate, ..outcome });
            return;
        }
        self.clock = self.clock.max(now);
        let (answer, stored) = match submission.wish {
            Wish::Append => {
                self.last.0 += 1;
                (Answer::Done(self.last), self.engine.submit(self.last))
            }
            Wish::Void => (Answer::Void, Submitted::Complete),
            Wish::Refuse(code) => (Answer::Refused(code), Submitted::Complete),
        };
        if stored == Submitted::Complete && self.pending.is_empty() {
            let (offset, time) = (self.last, self.clock.0);
            self.take(submission, answer, now);
            if let Answer::Done(_) = answer {
                let head = head(time, submission.content, submission.maybe_duplicate, submission.tag);
                self.reveal(submission.topic, offset, &head, submission.payload);
            }
            self.tell(Outcome { fate: fate(answer, false), ..outcome });
            return;
        }
        self.take(submission, Answer::Pending, now);
        self.pending_bytes += submission.payload.len();
        self.pending.push_back(Pending {
            offset: self.last,
            complete: stored == Submitted::Complete,
            answer,
            seq: submission.seq,
            window: submission.window,
            waiters: vec![Outcome { fate: fate(answer, false), ..outcome }],
            topic: Arc::clone(submission.topic),
            published_at_ms: self.clock.0,
            content: submission.content,
            maybe_duplicate: submission.maybe_duplicate,
            tag: submission.tag,
            payload: submission.payload.into(),
        });
    }

    fn take(&mut self, submission: &Submission<'_>, answer: Answer, now: Millis) {
        if let Some(kept) = self.kept(submission.window) {
            kept.window.take(answer);
            kept.used = now;
        }
    }

    /// Takes a completed publish out of the waiting ones and shows it.
    fn reveal_at(&mut self, index: usize) {
        let Some(pending) = self.pending.remove(index) else { return };
        self.pending_bytes -= pending.payload.len();
        if let Some(kept) = self.kept(pending.window) {
            kept.window.answer(pending.seq, pending.answer);
        }
        if let Answer::Done(offset) = pending.answer {
            let head = head(pending.published_at_ms, pending.content, pending.maybe_duplicate, pending.tag);
            self.reveal(&pending.topic, offset, &head, &pending.payload);
        }
        for waiter in pending.waiters {
            self.tell(waiter);
        }
    }

    /// Shows a message to everybody: the topic's tail, then those of matching patterns.
    fn reveal(&mut self, topic: &Arc<Topic>, offset: Offset, head: &Head<'static>, payload: &[u8]) {
        self.visible = self.visible.max(offset);
        self.metrics.published.add(1);
        self.metrics.published_bytes.add(payload.len() as u64);
        let inboxes = &self.inboxes;
        let entry = Entry { offset, head: *head, topic: None, payload };
        topic.tail.append(&entry, |shard| inboxes[shard].leave_tail(Arc::clone(&topic.tail)));
        topic.feed(|tail| {
            let entry = Entry { topic: Some(topic.text()), ..entry };
            tail.append(&entry, |shard| inboxes[shard].leave_tail(Arc::clone(tail)));
        });
    }

    fn tell(&mut self, outcome: Outcome) {
        if matches!(outcome.fate, Fate::Refused { .. }) {
            self.metrics.refused.add(1);
        }
        self.told[outcome.origin.shard as usize].push(outcome);
    }

    fn kept(&mut self, key: WindowKey) -> Option<&mut Kept> {
        self.windows.get_mut(key.slot as usize).filter(|kept| kept.generation == key.generation)
    }

    fn drop_idle_windows(&mut self, now: Millis, count: usize) {
        let idle = self.windows.iter().filter(|(_, kept)| kept.handles == 0);
        let mut by_age: Vec<_> = idle.map(|(slot, kept)| (kept.idle_ms(now), slot)).collect();
        by_age.sort_unstable_by_key(|(idle_ms, _)| std::cmp::Reverse(*idle_ms));
        let slots: Vec<_> = by_age.into_iter().take(count).map(|(_, slot)| slot).collect();
        self.drop_windows(&slots);
    }

    fn drop_windows(&mut self, slots: &[usize]) {
        for slot in slots {
            let kept = self.windows.remove(*slot);
            self.by_producer.remove(&(kept.producer, kept.topic));
        }
    }

    /// A producer without a window has nothing that an older incarnation could disturb.
    fn drop_idle_producers(&mut self) {
        let by_producer = &self.by_producer;
        let has_window = |producer: &ProducerId| {
            let from = (*producer, TailNumber(0));
            by_producer.range(from..).next().is_some_and(|((owner, _), _)| owner == producer)
        };
        self.producers.retain(|producer, _| has_window(producer));
    }
}

impl Kept {
    /// Milliseconds without use; 0 while a handle is open.
    fn idle_ms(&self, now: Millis) -> u64 {
        if self.handles > 0 { 0 } else { now.since(self.used) }
    }
}

fn fate(answer: Answer, duplicate: bool) -> Fate {
    match answer {
        Answer::Done(offset) => Fate::Done { offset, duplicate },
        Answer::Void | Answer::Pending => Fate::Done { offset: Offset(0), duplicate },
        Answer::Refused(code) => Fate::Refused { code, consumed: true },
    }
}

fn head(published_at_ms: u64, content: Content, maybe_duplicate: bool, tag: Tag) -> Head<'static> {
    Head { published_at_ms, content, maybe_duplicate, tag, ..Head::default() }
}
