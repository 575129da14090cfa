//! Who has read what. Receipts may come before the notes that they are for: they are topics of their own.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

/// A note's place, which is its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct NoteKey {
    pub epoch: u64,
    pub offset: u64,
}

/// The readers of every note.
#[derive(Debug, Default)]
pub(crate) struct Readers(BTreeMap<NoteKey, BTreeSet<String>>);

impl Readers {
    /// Notes a reader; gives how many there are now. One who reads twice counts once.
    pub(crate) fn add(&mut self, note: NoteKey, reader: String) -> usize {
        let readers = self.0.entry(note).or_default();
        readers.insert(reader);
        readers.len()
    }

    pub(crate) fn count(&self, note: NoteKey) -> usize {
        self.0.get(&note).map_or(0, BTreeSet::len)
    }
}
