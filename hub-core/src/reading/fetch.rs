//! What is read from the disk: messages by their offsets, which are a log's own, so that no more need be known to find them.
//!
//! Whoever has the disk looks up where their commits are, and shows these.

use tidewire_protocol::number::Offset;

use crate::log::rows::Row;
use crate::log::rows::reading::Rows;
use crate::record::{OwnRecord, Record};

/// Messages that are wanted, and those of them that were found.
#[derive(Debug, Default)]
pub struct Fetch {
    /// The log that has them.
    pub log: u8,
    /// The wanted, in order.
    offsets: Vec<Offset>,
    /// By their place among the wanted.
    found: Vec<Option<OwnRecord>>,
    bytes: usize,
}

impl Fetch {
    /// These messages are wanted, in order.
    #[must_use]
    pub fn new(log: u8, offsets: Vec<Offset>) -> Self {
        let found = vec![None; offsets.len()];
        Self { log, offsets, found, bytes: 0 }
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
            let found = &mut self.found[place];
            if found.is_none() {
                self.bytes += size_of::<OwnRecord>() + row.record.len();
                *found = Some(row.record.into());
            }
        }
    }

    /// The first from there on that was not found.
    #[must_use]
    pub fn next_missing(&self, from: Offset) -> Option<Offset> {
        let begin = self.offsets.partition_point(|offset| *offset < from);
        let place = self.found[begin..].iter().position(Option::is_none)?;
        Some(self.offsets[begin + place])
    }

    /// The first that was not found.
    #[must_use]
    pub fn missing(&self) -> Option<Offset> {
        self.found.iter().position(Option::is_none).map(|place| self.offsets[place])
    }

    /// Bytes that it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes + self.offsets.capacity() * (size_of::<Offset>() + size_of::<Option<OwnRecord>>())
    }

    /// A message, if it was wanted: the inner `None` if it was not found.
    pub(super) fn get(&self, offset: Offset) -> Option<Option<Record<'_>>> {
        let place = self.offsets.binary_search(&offset).ok()?;
        Some(self.found[place].as_ref().map(OwnRecord::record))
    }
}
