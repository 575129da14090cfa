//! What is read from the disk: messages by their offsets, which are a log's own, so that no more need be known to find them.
//!
//! Whoever has the disk looks up where their commits are, and shows these.

use tidewire_protocol::number::Offset;

use crate::log::rows::Row;
use crate::log::rows::reading::Rows;
use crate::mutant::{self, Mutant};
use crate::record::{OwnRecord, Record};

/// Messages that are wanted, and those of them that were found.
#[derive(Debug, Default)]
pub struct Fetch {
    /// The log that has them.
    pub log: u8,
    /// The wanted, in order.
    offsets: Vec<Offset>,
    /// By their place among the wanted. Nothing before the first was seen: many wait for the disk, and it reads for one.
    found: Vec<Found>,
    bytes: usize,
}

/// What is known of a message.
#[derive(Debug, Clone, Default)]
enum Found {
    /// The disk does not have it, as far as it was read.
    #[default]
    Nothing,
    Record(OwnRecord),
    /// Nobody knows, since the disk could not be read.
    Unread,
}

impl Fetch {
    /// These messages are wanted, in order.
    #[must_use]
    pub const fn new(log: u8, offsets: Vec<Offset>) -> Self {
        Self { log, offsets, found: Vec::new(), bytes: 0 }
    }

    /// The wanted, in order.
    #[must_use]
    pub fn offsets(&self) -> &[Offset] {
        &self.offsets
    }

    /// Takes what is wanted of a commit.
    pub fn see(&mut self, body: &[u8]) {
        for row in Rows::new(body).map_while(Result::ok) {
            let Row::Message(row) = row else { continue };
            let Ok(place) = self.offsets.binary_search(&row.record.offset) else { continue };
            self.found.resize_with(self.offsets.len(), Found::default);
            if self.is_missing(place) {
                let record = OwnRecord::from(row.record);
                self.bytes += bytes_of(&record);
                self.found[place] = Found::Record(record);
            }
        }
    }

    /// From there on nothing was looked for in this turn: nobody knows of those, and who wants them asks anew.
    pub fn cut(&mut self, from: Offset) {
        let place = self.offsets.partition_point(|offset| *offset < from);
        self.offsets.truncate(place);
        for found in self.found.drain(place.min(self.found.len())..) {
            if let Found::Record(record) = found {
                self.bytes -= bytes_of(&record);
            }
        }
    }

    /// Some of the disk could not be read, so that what was not found may be there.
    pub fn doubt(&mut self) {
        if mutant::active(Mutant::UnreadTakenAsGone) {
            return;
        }
        self.found.resize_with(self.offsets.len(), Found::default);
        let missing = self.found.iter_mut().filter(|found| matches!(found, Found::Nothing));
        missing.for_each(|found| *found = Found::Unread);
    }

    /// Whether the disk could not be read for the first of them, so that nothing can go on with the others.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.found.first(), Some(Found::Unread))
    }

    fn is_missing(&self, place: usize) -> bool {
        !matches!(self.found.get(place), Some(Found::Record(_)))
    }

    /// The first from there on that was not found.
    #[must_use]
    pub fn next_missing(&self, from: Offset) -> Option<Offset> {
        let begin = self.offsets.partition_point(|offset| *offset < from);
        (begin..self.offsets.len()).find(|place| self.is_missing(*place)).map(|place| self.offsets[place])
    }

    /// The first that was not found.
    #[must_use]
    pub fn missing(&self) -> Option<Offset> {
        self.next_missing(Offset(0))
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let places = self.offsets.capacity() * size_of::<Offset>();
        self.bytes + places + self.found.capacity() * size_of::<Found>()
    }

    /// A message, if it was wanted and the disk was read for it: the inner `None` if it is not there.
    pub(super) fn get(&self, offset: Offset) -> Option<Option<Record<'_>>> {
        match self.found.get(self.offsets.binary_search(&offset).ok()?) {
            Some(Found::Record(record)) => Some(Some(record.record())),
            Some(Found::Nothing) | None => Some(None),
            Some(Found::Unread) => None,
        }
    }
}

/// What a message takes.
fn bytes_of(record: &OwnRecord) -> usize {
    size_of::<OwnRecord>() + record.record().len()
}
