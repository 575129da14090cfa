//! Messages that come from elsewhere are written behind what a log holds, while no hub has it: under new offsets, as its
//! next commits. Nothing else of the log changes.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

use crate::clock::Millis;
use crate::log::rows::reading::{Rows, Unreadable};
use crate::log::rows::tellings::Tellings;
use crate::log::rows::writing::Scribe;
use crate::log::rows::{MessageRow, Row, State, TopicRow};
use crate::record::Record;

/// A log that messages are put into.
#[derive(Debug, Default)]
pub struct Importing {
    last: Offset,
    given: Millis,
    topics: BTreeMap<Box<str>, Standing>,
    /// Names that went: where they stood.
    gone: BTreeMap<Box<str>, (Offset, u64)>,
    floor: Offset,
    last_topic: u64,
    tellings: Tellings,
    /// Topics that the commit under way has named, by their numbers.
    named: BTreeSet<u64>,
}

/// How a topic stands.
#[derive(Debug, Clone, Copy)]
struct Standing {
    number: u64,
    gone: Offset,
    last: Offset,
    removals_gone: Offset,
    /// The commit that named it last.
    told: u64,
}

/// Where a message was put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Put {
    /// Its offset.
    pub offset: Offset,
    /// The time that it was given is later than its own: the log had that already.
    pub is_later: bool,
}

impl Importing {
    /// The log holds this commit. They come in the order of their numbers.
    ///
    /// # Errors
    /// [`Unreadable`] if it is of another version.
    pub fn see(&mut self, number: u64, body: &[u8]) -> Result<(), Unreadable> {
        self.tellings.see(number);
        let mut names: BTreeMap<u64, &str> = BTreeMap::new();
        for row in Rows::new(body) {
            match row? {
                Row::State(state) => {
                    self.last = self.last.max(state.last);
                    self.given = self.given.max(state.given);
                }
                Row::Topic(row) => {
                    names.insert(row.number, row.name);
                    self.topic(number, &row);
                }
                Row::Message(row) => {
                    self.last = self.last.max(row.record.offset);
                    self.given = self.given.max(row.record.published_at);
                    let name = names.get(&row.topic).ok_or(Unreadable)?;
                    if let Some(topic) = self.topics.get_mut(*name) {
                        topic.last = topic.last.max(row.record.offset);
                    }
                }
                Row::Expired(row) => {
                    self.last = self.last.max(row.last);
                    let name = names.get(&row.topic).ok_or(Unreadable)?;
                    if let Some(topic) = self.topics.get_mut(*name) {
                        topic.last = topic.last.max(row.last);
                    }
                }
                Row::Gone(name, last) => {
                    self.gone.insert(name.into(), (last, number));
                }
                Row::Floor(last) => self.floor = self.floor.max(last),
                Row::Told(since) => self.tellings.told(since),
                Row::KnownLoss(_)
                | Row::Producer(_)
                | Row::Window(_)
                | Row::WindowGone(..)
                | Row::Outcome(_) => {}
            }
        }
        Ok(())
    }

    fn topic(&mut self, told: u64, row: &TopicRow<'_>) {
        self.last = self.last.max(row.last);
        self.last_topic = self.last_topic.max(row.number);
        let TopicRow { number, gone, last, removals_gone, .. } = *row;
        let standing = Standing { number, gone, last, removals_gone, told };
        let known = self.topics.entry(row.name.into()).or_insert(standing);
        *known = Standing {
            // A name that went and came again has another number.
            number: known.number.max(number),
            gone: known.gone.max(gone),
            last: known.last.max(last),
            removals_gone: known.removals_gone.max(removals_gone),
            told,
        };
    }

    /// The last offset that the log has given.
    #[must_use]
    pub const fn last(&self) -> Offset {
        self.last
    }

    /// All commits were seen. Begins the first of its own: the log has this identity from now on, and told what is missing.
    pub fn begin(&mut self, scribe: &mut Scribe<'_>, state: State, known_losses: &[u64]) {
        let since = self.tellings.since();
        self.topics.retain(|_, topic| topic.told >= since);
        self.gone.retain(|_, (_, told)| *told >= since);
        scribe.state(&State { last: self.last, given: self.given, ..state });
        known_losses.iter().for_each(|loss| scribe.known_loss(*loss));
    }

    /// The commit under way is closed, and what comes goes into another.
    pub fn end_commit(&mut self) {
        self.named.clear();
    }

    /// Writes a message into the commit under way. Its own time is kept unless the log has a later one already.
    pub fn put(&mut self, scribe: &mut Scribe<'_>, topic: &TopicName, record: &Record<'_>) -> Put {
        let offset = Offset(self.last.0 + 1);
        let given = self.given.max(record.published_at);
        let (names, floor, last_topic) = (&self.gone, self.floor, &mut self.last_topic);
        let standing = self.topics.entry(topic.as_str().into()).or_insert_with(|| {
            *last_topic += 1;
            let last = names.get(topic.as_str()).map_or(floor, |(last, _)| *last);
            Standing { number: *last_topic, gone: last, last, removals_gone: Offset(0), told: u64::MAX }
        });
        let Standing { number, gone, last: prev, removals_gone, .. } = *standing;
        if self.named.insert(number) {
            scribe.topic(&TopicRow { number, name: topic.as_str(), gone, last: prev, removals_gone });
        }
        let is_later = given > record.published_at;
        let record = Record { offset, published_at: given, ..*record };
        scribe.message(&MessageRow { topic: number, prev, numbered: None, record });
        (standing.last, self.last, self.given) = (offset, offset, given);
        Put { offset, is_later }
    }
}
