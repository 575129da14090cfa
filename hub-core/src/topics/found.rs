//! What is found in a durable log before there is a hub: its commits are read in order, once, and what they say of topics,
//! windows and names is gathered, to be put back when it is known whether something is lost.
//!
//! How all stands is told anew now and then. What was said before the last time, and not since, is let go of at the end: of
//! the times before that, parts may have gone.

use std::collections::hash_map::Entry;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::RangeInclusive;

use tidewire_protocol::name::{Pattern, TopicName};
use tidewire_protocol::number::{Epoch, Offset};

use crate::clock::Millis;
use crate::log::rows::reading::{Rows, Unreadable};
use crate::log::rows::tellings::Tellings;
use crate::log::rows::{MessageRow, OutcomeRow, Row, State, TopicRow};
use crate::log::window::run::Answer;
use crate::mutant::{self, Mutant};
use crate::names::directory::TopicRule;
use crate::tail::restoring::Bounds;
use crate::topics::found::outlived::{OfCommit, Outlived};
use crate::topics::found::trace::Trace;

pub(super) mod outlived;

pub(super) mod trace;

/// What commits say.
#[derive(Debug)]
pub struct Found {
    /// How it stood at its last start; `None` if it never had one.
    pub state: Option<State>,
    /// What is known to be missing since then.
    known_losses: BTreeSet<u64>,
    /// From which commit on all that stands was told.
    tellings: Tellings,
    /// The first commit that there is.
    first: Option<u64>,
    /// Where topics are by their numbers.
    places: HashMap<u64, usize>,
    /// `None` for those of which nothing was said since all was told anew.
    pub(super) traces: Vec<Option<Trace>>,
    pub(super) windows: Outlived,
    /// Names that went, and the commits that said so.
    pub(super) gone: BTreeMap<Box<str>, (Offset, u64)>,
    pub(super) floor: Offset,
    /// The highest number of a topic.
    pub(super) last_topic: u64,
    /// The last offset, and the time that the newest message was given, by all that was read.
    pub(super) end: State,
    /// Whether topics keep only the latest of each key: by pattern, the first match counts.
    keeps_latest: Vec<(Pattern, bool)>,
    /// When the hub starts.
    now: Millis,
    /// Commits that are missing among those that were read.
    pub(super) missing: Vec<RangeInclusive<u64>>,
}

impl Found {
    /// Nothing yet, for a hub whose topics keep what these rules say.
    #[must_use]
    pub fn new(rules: &[TopicRule]) -> Self {
        let keeps_latest =
            |rule: &TopicRule| (rule.pattern.clone(), rule.retention.latest_per_key && !rule.retention.none);
        Self {
            state: None,
            known_losses: BTreeSet::new(),
            tellings: Tellings::default(),
            first: None,
            places: HashMap::new(),
            traces: Vec::new(),
            windows: Outlived::default(),
            gone: BTreeMap::new(),
            floor: Offset(0),
            last_topic: 0,
            end: State::default(),
            keeps_latest: rules.iter().map(keeps_latest).collect(),
            now: Millis(0),
            missing: Vec::new(),
        }
    }

    /// The hub starts at this time: what has expired by then is passed by.
    #[must_use]
    pub const fn starting_at(mut self, now: Millis) -> Self {
        self.now = now;
        self
    }

    /// Reads the next commit, which has this number.
    ///
    /// # Errors
    /// [`Unreadable`] if it is of another version. What stands before that in it is taken.
    pub fn see(&mut self, number: u64, body: &[u8]) -> Result<(), Unreadable> {
        self.first.get_or_insert(number);
        self.tellings.see(number);
        let mut of_commit = OfCommit::new(number);
        for row in Rows::new(body) {
            match row? {
                Row::State(state) => {
                    self.state = Some(state);
                    self.known_losses.clear();
                    self.end.last = self.end.last.max(state.last);
                    self.end.given = self.end.given.max(state.given);
                }
                Row::KnownLoss(loss) => drop(self.known_losses.insert(loss)),
                Row::Topic(row) => self.topic(number, &row)?,
                Row::Gone(name, last) => drop(self.gone.insert(name.into(), (last, number))),
                Row::Floor(last) => self.floor = self.floor.max(last),
                Row::Producer(row) => self.windows.producer(&mut of_commit, &row),
                Row::Window(row) => self.windows.tell(&of_commit, row)?,
                Row::WindowGone(producer, topic) => self.windows.take_away(&of_commit, producer, topic)?,
                Row::Message(row) => self.message(&of_commit, &row)?,
                Row::Outcome(row) => self.outcome(&of_commit, &row)?,
                Row::Told(since) => self.tellings.told(since),
                Row::Expired(row) => {
                    self.end.last = self.end.last.max(row.last);
                    self.trace(row.topic)?.pass(number, &row);
                }
            }
        }
        Ok(())
    }

    fn topic(&mut self, number: u64, row: &TopicRow<'_>) -> Result<(), Unreadable> {
        self.last_topic = self.last_topic.max(row.number);
        self.end.last = self.end.last.max(row.last);
        let place = match self.places.entry(row.number) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(new) => {
                let name = TopicName::parse(row.name).map_err(|_| Unreadable)?;
                let place = self.windows.name_of(&name);
                let rule = self.keeps_latest.iter().find(|(pattern, _)| pattern.matches(&name));
                let keeps_latest = rule.is_some_and(|(_, keeps_latest)| *keeps_latest);
                self.traces.push(Some(Trace::new(row.number, name, place, keeps_latest)));
                *new.insert(self.traces.len() - 1)
            }
        };
        if let Some(Some(trace)) = self.traces.get_mut(place) {
            trace.named = number;
            let TopicRow { gone, last, removals_gone, .. } = *row;
            trace.reach(number, Bounds { gone, last, removals_gone });
        }
        Ok(())
    }

    fn trace(&mut self, topic: u64) -> Result<&mut Trace, Unreadable> {
        let place = self.places.get(&topic).ok_or(Unreadable)?;
        self.traces.get_mut(*place).and_then(Option::as_mut).ok_or(Unreadable)
    }

    fn message(&mut self, of_commit: &OfCommit, row: &MessageRow<'_>) -> Result<(), Unreadable> {
        let offset = row.record.offset;
        self.end.last = self.end.last.max(offset);
        self.end.given = self.end.given.max(row.record.published_at);
        // Where the clock was put back since, time goes on from what was given last.
        let given = self.now.max(self.end.given);
        let trace = self.trace(row.topic)?;
        trace.take(of_commit.number, given, row.prev, &row.record);
        let name = trace.place;
        let Some((producer, seq, lowest)) = row.numbered else { return Ok(()) };
        self.windows.answer(of_commit, (producer, name), (seq, 1, lowest), Answer::Done(offset))
    }

    fn outcome(&mut self, of_commit: &OfCommit, row: &OutcomeRow) -> Result<(), Unreadable> {
        let name = self.trace(row.of.topic)?.place;
        let seqs = (row.seq, row.count, row.lowest);
        self.windows.answer(of_commit, (row.of.producer, name), seqs, row.answer)
    }

    /// The latest time that a message was given.
    #[must_use]
    pub const fn given(&self) -> Millis {
        self.end.given
    }

    /// All commits were read: what was not told again is no more.
    pub(super) fn forget(&mut self) {
        let since = self.tellings.since();
        self.windows.forget_before(since);
        self.gone.retain(|_, (_, told)| *told >= since);
        let Self { traces, places, .. } = self;
        for trace in traces.iter_mut() {
            if let Some(old) = trace.take_if(|trace| trace.named < since) {
                places.remove(&old.number);
            }
        }
    }

    /// These commits are missing among those that were read. What else is not there was let go of.
    pub fn lacks(&mut self, commits: impl IntoIterator<Item = RangeInclusive<u64>>) {
        self.missing.extend(commits);
    }

    /// The last of those commits that are missing at the beginning, if without them nobody knows how the log stood.
    #[must_use]
    pub fn lacks_up_to(&self) -> Option<u64> {
        self.first.filter(|first| *first > self.tellings.since().max(1)).map(|first| first - 1)
    }

    /// The number of that loss, to be told as known with those of the files: all that stands is told anew in several commits,
    /// and until the last of them is stored each start finds it again.
    #[must_use]
    pub fn lost_beginning(&self) -> Option<u64> {
        self.lacks_up_to().map(|last| !last)
    }

    /// The identity that the log has from now on: a new one if it begins, or if something is missing of which that was not
    /// told yet.
    #[must_use]
    pub fn epoch(&self, losses: &[u64], fresh: Epoch) -> Epoch {
        let beginning = self.lost_beginning();
        let is_new = losses.iter().chain(&beginning).any(|loss| !self.known_losses.contains(loss));
        match self.state {
            Some(state) if !is_new || mutant::active(Mutant::EpochKeptThoughLost) => state.epoch,
            _ => fresh,
        }
    }
}
