//! What the commits of a log say that is not gone by what they say themselves.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::fmt::Write as _;

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::log::rows::legible::Legible;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::tellings::Tellings;
use tidewire_hub_core::log::rows::{MessageRow, Row, TopicRow};
use tidewire_protocol::number::{Offset, ProducerId};

use crate::command::printing::plain;

/// The producer at a place in a commit.
fn place_of(producers: &[ProducerId], place: u64) -> Option<ProducerId> {
    let index = usize::try_from(place).ok()?.checked_sub(1)?;
    producers.get(index).copied()
}

/// What commits say that is not gone by what they say themselves.
#[derive(Debug, Default)]
pub(super) struct Counted {
    /// The last offset.
    pub(super) last: Offset,
    /// The time that the newest message was given.
    pub(super) given: Millis,
    /// By their numbers.
    topics: BTreeMap<u64, Topic>,
    /// Which commit has said something of it last.
    windows: BTreeMap<(ProducerId, String), u64>,
    tellings: Tellings,
    /// Whether a start can read all this.
    pub(super) legible: Legible,
}

#[derive(Debug, Default)]
struct Topic {
    name: String,
    gone: Offset,
    told: u64,
    messages: u64,
    bytes: u64,
}

impl Counted {
    /// How topics and windows stand.
    pub(super) fn see(&mut self, frame: &Frame<'_>) {
        let number = frame.number.0;
        self.tellings.see(number);
        self.legible.see(number, frame.body);
        let mut producers = Vec::new();
        for row in Rows::new(frame.body).map_while(Result::ok) {
            match row {
                Row::Topic(row) => self.topic(number, &row),
                Row::Message(row) => {
                    self.last = self.last.max(row.record.offset);
                    self.given = self.given.max(row.record.published_at);
                    let Some(topic) = self.topics.get_mut(&row.topic) else { continue };
                    topic.told = number;
                    if let Some((producer, ..)) = row.numbered {
                        let name = topic.name.clone();
                        self.window(number, &producers, producer, name);
                    }
                }
                Row::Producer(row) => producers.push(row.id),
                Row::WindowGone(producer, topic) => {
                    if let Some(id) = place_of(&producers, producer) {
                        self.windows.remove(&(id, topic.to_owned()));
                    }
                }
                Row::Window(row) => self.window(number, &producers, row.producer, row.topic.to_owned()),
                Row::Outcome(row) => {
                    let Some(topic) = self.topics.get_mut(&row.of.topic) else { continue };
                    topic.told = number;
                    let name = topic.name.clone();
                    self.window(number, &producers, row.of.producer, name);
                }
                Row::Told(since) => self.tellings.told(since),
                Row::State(state) => {
                    self.last = self.last.max(state.last);
                    self.given = self.given.max(state.given);
                }
                Row::Expired(row) => self.last = self.last.max(row.last),
                Row::KnownLoss(_) | Row::Gone(..) | Row::Floor(_) => {}
            }
        }
    }

    fn topic(&mut self, number: u64, row: &TopicRow<'_>) {
        let topic = self.topics.entry(row.number).or_default();
        row.name.clone_into(&mut topic.name);
        (topic.gone, topic.told) = (topic.gone.max(row.gone), number);
    }

    fn window(&mut self, number: u64, producers: &[ProducerId], place: u64, topic: String) {
        if let Some(id) = place_of(producers, place) {
            self.windows.insert((id, topic), number);
        }
    }

    /// What was not told again is no more.
    pub(super) fn forget(&mut self) {
        let since = self.tellings.since();
        self.topics.retain(|_, topic| topic.told >= since);
        self.windows.retain(|_, told| *told >= since);
    }

    /// Counts the messages that are left.
    pub(super) fn count(&mut self, frame: &Frame<'_>) {
        for row in Rows::new(frame.body).map_while(Result::ok) {
            if let Row::Message(MessageRow { topic, record, .. }) = row
                && let Some(topic) = self.topics.get_mut(&topic).filter(|topic| record.offset > topic.gone)
            {
                topic.messages += 1;
                topic.bytes += (record.len() + record.sender.len()) as u64;
            }
        }
    }

    /// The topic of a message, if that is not gone.
    pub(super) fn kept(&self, topic: u64, offset: Offset) -> Option<&str> {
        let topic = self.topics.get(&topic).filter(|topic| offset > topic.gone)?;
        Some(&topic.name)
    }

    /// How much is kept, and of which topics the most.
    pub(super) fn tell(&self, told: &mut String, top: usize) {
        let messages: u64 = self.topics.values().map(|topic| topic.messages).sum();
        let bytes: u64 = self.topics.values().map(|topic| topic.bytes).sum();
        let _ = writeln!(told, "topics: {}", self.topics.len());
        let _ = writeln!(told, "messages that are kept: {messages}, with {bytes} bytes");
        let _ = writeln!(told, "windows of producers: {}", self.windows.len());
        let mut topics: Vec<&Topic> = self.topics.values().collect();
        topics.sort_by_key(|topic| Reverse((topic.bytes, topic.messages)));
        for Topic { name, messages, bytes, .. } in topics.into_iter().take(top) {
            let _ = writeln!(told, "  {}: {messages} messages, {bytes} bytes", plain(name));
        }
    }
}
