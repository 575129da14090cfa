//! A hub begins with what its durable log held: commits are read in order, and topics, windows and names put back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Incarnation, Offset, ProducerId, Seq};

use crate::block::Entry;
use crate::clock::{Millis, NEVER};
use crate::ledger::{Account, AccountKey};
use crate::log::engine::Engine;
use crate::log::rows::reading::{Rows, Unreadable};
use crate::log::rows::{MessageRow, OutcomeRow, Row, State, TopicRow, WindowRow};
use crate::log::window::Window;
use crate::log::window::run::{Answer, Run};
use crate::log::windows::lasting::Outlived;
use crate::sync::lock;
use crate::tail::restoring::Bounds;
use crate::topic::Topic;
use crate::topics::Topics;
use crate::topics::found::Found;

/// Puts back what a durable log held.
#[derive(Debug)]
pub struct Restoring<'t> {
    topics: &'t Topics,
    log: u8,
    now: Millis,
    /// What commits before this one say counts no more, but for messages: all that stands was told since.
    since: u64,
    /// The numbers of topics that were named since.
    named: BTreeSet<u64>,
    /// By the number that rows call them; `None` if the name is another log's now.
    known: BTreeMap<u64, Option<Known>>,
    windows: BTreeMap<(ProducerId, Arc<str>), Held>,
    /// Names that went.
    gone: BTreeMap<Box<str>, Offset>,
    floor: Offset,
    /// The highest number of a topic.
    last_topic: u64,
    state: State,
    restored: Restored,
}

/// What was put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Restored {
    /// Topics.
    pub topics: u64,
    /// Messages, those that are too old among them.
    pub messages: u64,
    /// Windows of producers.
    pub windows: u64,
    /// Topics that are another log's now, and what this one had of them is left.
    pub left: u64,
}

#[derive(Debug)]
struct Known {
    topic: Arc<Topic>,
    /// Who answers for what it holds.
    account: Arc<Account>,
}

#[derive(Debug)]
struct Held {
    window: Window,
    incarnation: Incarnation,
    subject: Option<Box<str>>,
    told: u64,
}

/// A producer that rows of a commit refer to.
type Named<'a> = (ProducerId, Incarnation, Option<&'a str>);

impl Topics {
    /// Begins to put back what a durable log held, of which this was found; nobody may use the hub yet.
    pub fn restore(&self, log: u8, now: Millis, found: &Found) -> Restoring<'_> {
        Restoring {
            topics: self,
            log,
            now,
            since: found.told_since,
            named: found.topics.keys().copied().collect(),
            known: BTreeMap::new(),
            windows: BTreeMap::new(),
            gone: BTreeMap::new(),
            floor: Offset(0),
            last_topic: 0,
            state: State::default(),
            restored: Restored::default(),
        }
    }
}

impl Restoring<'_> {
    /// The commit of this number held that. Commits come in the order of their numbers.
    ///
    /// # Errors
    /// [`Unreadable`] if it is of another version. What stands before that in it is taken.
    pub fn take(&mut self, number: u64, body: &[u8]) -> Result<(), Unreadable> {
        let mut producers: Vec<Named<'_>> = Vec::new();
        let is_told_anew = number < self.since;
        for row in Rows::new(body) {
            match row? {
                Row::Topic(row) if is_told_anew && !self.named.contains(&row.number) => {
                    self.last_topic = self.last_topic.max(row.number);
                }
                Row::Message(row) if is_told_anew && !self.named.contains(&row.topic) => self.pass(&row),
                Row::Gone(..) | Row::Producer(_) | Row::Window(_) | Row::WindowGone(..) | Row::Outcome(_)
                    if is_told_anew => {}
                Row::State(state) => {
                    let State { epoch, last, given, secret } = state;
                    let (last, given) = (last.max(self.state.last), given.max(self.state.given));
                    self.state = State { epoch, last, given, secret };
                }
                Row::Topic(row) => self.topic(&row)?,
                Row::Gone(name, last) => {
                    self.gone.insert(name.into(), last);
                }
                Row::Floor(last) => self.floor = self.floor.max(last),
                Row::Producer(row) => producers.push((row.id, row.incarnation, row.subject)),
                Row::Window(row) => self.window(number, &producers, row)?,
                Row::WindowGone(producer, topic) => {
                    let (id, ..) = *place(&producers, producer)?;
                    self.windows.remove(&(id, Arc::from(topic)));
                }
                Row::Message(row) => self.message(number, &producers, &row)?,
                Row::Outcome(row) => self.outcome(number, &producers, &row)?,
                Row::KnownLoss(_) | Row::Told(_) => {}
            }
        }
        // The node may have less room than it had.
        self.topics.relieve(self.now);
        Ok(())
    }

    /// A message that nobody needs any more was there.
    fn pass(&mut self, row: &MessageRow<'_>) {
        self.state.last = self.state.last.max(row.record.offset);
        self.state.given = self.state.given.max(row.record.published_at);
    }

    fn topic(&mut self, row: &TopicRow<'_>) -> Result<(), Unreadable> {
        self.last_topic = self.last_topic.max(row.number);
        self.state.last = self.state.last.max(row.last);
        let topic = match self.known.get(&row.number) {
            Some(Some(known)) => Arc::clone(&known.topic),
            Some(None) => {
                self.floor = self.floor.max(row.last);
                return Ok(());
            }
            None => {
                let name = TopicName::parse(row.name).map_err(|_| Unreadable)?;
                let account = self.topics.ledger.account(AccountKey::of_stored(row.name));
                let topic = lock(&self.topics.names).restore(&name, &account);
                let is_ours = topic.log == self.log;
                let known = is_ours.then(|| Known { topic: Arc::clone(&topic), account });
                self.known.insert(row.number, known);
                if !is_ours {
                    // Whoever comes back once it is this log's again is told that something is gone.
                    self.floor = self.floor.max(row.last);
                    self.restored.left += 1;
                    return Ok(());
                }
                topic.stored.set_number(row.number);
                topic
            }
        };
        let TopicRow { gone, last, removals_gone, .. } = *row;
        topic.tail.restore_bounds(Bounds { gone, last, removals_gone });
        Ok(())
    }

    /// The topic of a number that rows refer to; `None` if its name is another log's now.
    fn known(&self, topic: u64) -> Result<Option<&Known>, Unreadable> {
        self.known.get(&topic).map(Option::as_ref).ok_or(Unreadable)
    }

    fn message(
        &mut self,
        number: u64,
        producers: &[Named<'_>],
        row: &MessageRow<'_>,
    ) -> Result<(), Unreadable> {
        let (record, offset) = (&row.record, row.record.offset);
        self.pass(row);
        let Some(Known { topic, account }) = self.known(row.topic)? else {
            self.floor = self.floor.max(offset);
            return Ok(());
        };
        let entry =
            Entry { offset, head: record.head(), stale_at: NEVER, topic: None, payload: record.payload };
        if topic.tail.restore(self.now, row.prev, &entry, account) {
            self.topics.heavy.add(&topic.tail);
        }
        let name = Arc::clone(topic.name.text());
        self.restored.messages += 1;
        if let Some((producer, seq, lowest)) = row.numbered.filter(|_| number >= self.since) {
            let producer = *place(producers, producer)?;
            self.answer(number, producer, &name, (seq, 1, lowest), Answer::Done(offset));
        }
        Ok(())
    }

    fn window(&mut self, number: u64, producers: &[Named<'_>], row: WindowRow<'_>) -> Result<(), Unreadable> {
        let (id, incarnation, subject) = *place(producers, row.producer)?;
        let held = Held { window: row.window, incarnation, subject: subject.map(Box::from), told: number };
        self.windows.insert((id, Arc::from(row.topic)), held);
        Ok(())
    }

    fn outcome(&mut self, number: u64, producers: &[Named<'_>], row: &OutcomeRow) -> Result<(), Unreadable> {
        let producer = *place(producers, row.of.producer)?;
        let Some(known) = self.known(row.of.topic)? else { return Ok(()) };
        let name = Arc::clone(known.topic.name.text());
        self.answer(number, producer, &name, (row.seq, row.count, row.lowest), row.answer);
        Ok(())
    }

    /// So many seqs from one on ended so.
    fn answer(
        &mut self,
        number: u64,
        (id, incarnation, subject): Named<'_>,
        topic: &Arc<str>,
        (seq, count, lowest): (Seq, u64, Seq),
        answer: Answer,
    ) {
        let held = self.windows.entry((id, Arc::clone(topic))).or_insert_with(|| Held {
            window: Window::new(seq),
            incarnation,
            subject: subject.map(Box::from),
            told: number,
        });
        held.told = number;
        held.incarnation = held.incarnation.max(incarnation);
        let window = &mut held.window;
        if lowest.0 > 0 && lowest <= seq {
            window.raise(lowest);
        }
        // What lies between was lost: nobody knows what became of it.
        if window.next() < seq {
            window.raise(seq);
        }
        // Of what its producer let go of meanwhile, how the window stood says nothing more.
        let rest = seq.0.saturating_add(count).saturating_sub(window.next().0);
        if rest > 0 {
            window.take_run(Run::of(answer).part(0, rest as u32));
        }
    }

    /// All commits were taken. What was put back may be used from now on. Tells what, and how the log stands.
    #[must_use]
    pub fn end(mut self) -> (Restored, State) {
        // Where the clock was ahead in an earlier life, time goes on slowly from there, as after any correction.
        self.topics.calendar.begin_ahead(self.now, self.state.given);
        self.put_back_names();
        self.put_back_windows();
        let mut log = self.topics.log(self.log).lock();
        log.restore_end(self.state.last, self.state.given);
        if let Engine::Disk(disk) = &mut log.engine {
            disk.last_topic = self.last_topic;
        }
        (self.restored, self.state)
    }

    fn put_back_names(&mut self) {
        let mut names = lock(&self.topics.names);
        names.restore_floor(self.log, self.floor);
        // The name may have come again under another number.
        let stands = |(number, known): (&u64, &Option<Known>)| {
            known.as_ref().is_some_and(|known| known.topic.stored.number() == Some(*number))
        };
        self.restored.topics = self.known.iter().filter(|known| stands(*known)).count() as u64;
        for (name, last) in &self.gone {
            if let Ok(name) = TopicName::parse(name) {
                names.restore_gone(&name, self.log, *last);
            }
        }
    }

    fn put_back_windows(&mut self) {
        let mut windows: Vec<_> = std::mem::take(&mut self.windows).into_iter().collect();
        // Where there are too many, those go that were used longest ago.
        windows.sort_by_key(|(_, held)| held.told);
        for ((id, topic), held) in windows {
            let Ok(name) = TopicName::parse(&topic) else { continue };
            if lock(&self.topics.names).log_of(&name) != self.log {
                continue;
            }
            let account = self.topics.ledger.account(AccountKey::of_stored(&topic));
            let restored = lock(&self.topics.producers).restore(
                &account,
                (id, held.incarnation),
                held.subject.as_deref(),
            );
            let Some(producer) = restored else { continue };
            let (number, incarnation) = (producer.number(), held.incarnation);
            let outlived = Outlived { producer, incarnation, topic: &name, window: held.window };
            let mut log = self.topics.log(self.log).lock();
            if log.windows.restore(self.now, &account, outlived) {
                self.restored.windows += 1;
                self.topics.settle(self.now, log);
            } else {
                drop(log);
                lock(&self.topics.producers).release(self.now, number);
            }
        }
    }
}

fn place<'p, 'a>(producers: &'p [Named<'a>], place: u64) -> Result<&'p Named<'a>, Unreadable> {
    let index = usize::try_from(place).ok().and_then(|place| place.checked_sub(1));
    index.and_then(|index| producers.get(index)).ok_or(Unreadable)
}
