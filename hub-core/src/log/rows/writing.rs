//! Rows are written.

use std::collections::BTreeMap;

use tidewire_protocol::number::{Incarnation, Offset, ProducerId};
use tidewire_protocol::varint::{put, put_bytes};

use crate::clock::Millis;
use crate::log::rows::{
    ExpiredRow, MessageRow, Of, OutcomeRow, ProducerRow, State, TopicRow, answer, flags, kind,
};
use crate::log::window::Window;
use crate::log::window::run::{Answer, Run};

/// Writes the rows of one commit behind what `body` holds.
#[derive(Debug)]
pub struct Scribe<'b> {
    body: &'b mut Vec<u8>,
    producers: BTreeMap<(ProducerId, Incarnation), u64>,
    offset: Offset,
    given: Millis,
}

impl<'b> Scribe<'b> {
    /// No rows yet.
    #[must_use]
    pub fn new(body: &'b mut Vec<u8>) -> Self {
        Self { body, producers: BTreeMap::new(), offset: Offset(0), given: Millis(0) }
    }

    /// Bytes so far.
    #[must_use]
    pub fn len(&self) -> usize {
        self.body.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.body.is_empty()
    }

    fn put(&mut self, value: u64) {
        put(value, self.body);
    }

    fn text(&mut self, text: &str) {
        put_bytes(text.as_bytes(), self.body);
    }

    /// How the log stands.
    pub fn state(&mut self, state: &State) {
        self.body.push(kind::STATE);
        self.put(state.epoch.0);
        self.put(state.last.0);
        self.put(state.given.0);
        self.body.extend_from_slice(&state.secret);
    }

    /// Something is missing, as is known.
    pub fn known_loss(&mut self, loss: u64) {
        self.body.push(kind::KNOWN_LOSS);
        self.put(loss);
    }

    /// How a topic stands.
    pub fn topic(&mut self, topic: &TopicRow<'_>) {
        self.body.push(kind::TOPIC);
        self.put(topic.number);
        self.text(topic.name);
        self.put(topic.gone.0);
        self.put(topic.last.0);
        self.put(topic.removals_gone.0);
    }

    /// A name went.
    pub fn gone(&mut self, name: &str, last: Offset) {
        self.body.push(kind::GONE);
        self.text(name);
        self.put(last.0);
    }

    /// The highest offset of which nothing is remembered.
    pub fn floor(&mut self, last: Offset) {
        self.body.push(kind::FLOOR);
        self.put(last.0);
    }

    /// What is not said from that commit on is forgotten.
    pub fn told(&mut self, since: u64) {
        self.body.push(kind::TOLD);
        self.put(since);
    }

    /// The place of a producer in this commit.
    pub fn producer(&mut self, producer: &ProducerRow<'_>) -> u64 {
        let place = self.producers.len() as u64 + 1;
        let known = *self.producers.entry((producer.id, producer.incarnation)).or_insert(place);
        if known == place {
            self.body.push(kind::PRODUCER);
            self.body.extend_from_slice(&producer.id.0);
            self.put(producer.incarnation.0);
            // One more than the length, so that none is told from an empty one.
            self.put(producer.subject.map_or(0, |subject| subject.len() as u64 + 1));
            self.body.extend_from_slice(producer.subject.unwrap_or_default().as_bytes());
        }
        known
    }

    fn of(&mut self, of: Of) {
        self.put(of.producer);
        self.put(of.topic);
    }

    /// How a window stands, but for what waits: that, and all behind it, is told when it is stored.
    pub fn window(&mut self, producer: u64, topic: &str, window: &Window) {
        self.body.push(kind::WINDOW);
        self.put(producer);
        self.text(topic);
        let (first, settled) = window.settled();
        self.put(first.0);
        let runs: Vec<Run> = settled.collect();
        let count: u64 = runs.iter().map(|run| u64::from(run.len())).sum();
        self.put(window.next_settled().0 - count);
        self.put(runs.len() as u64);
        for run in runs {
            self.put(run.len().into());
            self.answer(run.answer(0));
        }
    }

    /// A window is kept no longer.
    pub fn window_gone(&mut self, producer: u64, topic: &str) {
        self.body.push(kind::WINDOW_GONE);
        self.put(producer);
        self.text(topic);
    }

    fn answer(&mut self, answer: Answer) {
        match answer {
            Answer::Done(offset) => {
                self.body.push(answer::DONE);
                self.put(offset.0);
            }
            Answer::Void => self.body.push(answer::VOID),
            Answer::Refused(code) => {
                self.body.push(answer::REFUSED);
                self.put(code.number());
            }
            Answer::Forgotten | Answer::Pending => self.body.push(answer::FORGOTTEN),
        }
    }

    /// What became of seqs that no message stands for.
    pub fn outcome(&mut self, row: &OutcomeRow) {
        self.body.push(kind::OUTCOME);
        self.of(row.of);
        self.put(row.seq.0);
        self.put(row.count);
        self.put(row.lowest.0);
        self.answer(row.answer);
    }

    /// Messages that expired are left out here.
    pub fn expired(&mut self, row: &ExpiredRow) {
        self.body.push(kind::EXPIRED);
        self.put(row.topic);
        self.put(row.last.0);
        self.put(row.last.0 - row.prev.0);
        self.body.push(u8::from(row.had_keys));
    }

    /// A message. Those of one commit come in the order of their offsets.
    pub fn message(&mut self, row: &MessageRow<'_>) {
        let record = &row.record;
        self.body.push(kind::MESSAGE);
        self.put(row.topic);
        self.put(record.offset.0 - self.offset.0);
        self.put(record.offset.0 - row.prev.0);
        self.put(record.published_at.since(self.given));
        (self.offset, self.given) = (record.offset, record.published_at.max(self.given));
        self.body.push(flags(record));
        self.put(record.tag.0);
        self.text(record.sender);
        if !record.ext.is_empty() {
            put_bytes(record.ext, self.body);
        }
        put_bytes(record.payload, self.body);
        let (producer, seq, lowest) = row.numbered.unwrap_or_default();
        self.put(producer);
        if producer > 0 {
            self.put(seq.0);
            self.put(lowest.0);
        }
    }
}
