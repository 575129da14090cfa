//! A commit is written again without what nobody needs: once all that stands was told anew behind it, that is its messages
//! that are kept.

use std::collections::BTreeMap;

use tidewire_protocol::number::Offset;

use crate::log::rows::reading::{Rows, Unreadable};
use crate::log::rows::writing::Scribe;
use crate::log::rows::{MessageRow, Row, TopicRow};
use crate::record::Record;

/// A message that was written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its topic's number.
    pub topic: u64,
    /// Its offset.
    pub offset: Offset,
    /// How many bytes it takes, and its topic's name where that stands before it.
    pub bytes: usize,
}

/// Writes those messages of a commit behind what `out` holds that are needed, by their topics' numbers and themselves; in
/// front of a topic's first its name, with bounds that say nothing: bounds only ever rise. Tells which.
///
/// Windows, producers, names that went and how the log stands are left out: whoever calls this knows that they were told
/// anew.
///
/// # Errors
/// [`Unreadable`] if the commit is of another version; nothing is written then.
pub fn tidy(
    body: &[u8],
    out: &mut Vec<u8>,
    is_needed: impl FnMut(u64, &Record<'_>) -> bool,
) -> Result<Vec<Kept>, Unreadable> {
    let before = out.len();
    let kept = write(body, &mut Scribe::new(out), is_needed);
    if kept.is_err() {
        out.truncate(before);
    }
    kept
}

fn write(
    body: &[u8],
    scribe: &mut Scribe<'_>,
    mut is_needed: impl FnMut(u64, &Record<'_>) -> bool,
) -> Result<Vec<Kept>, Unreadable> {
    let mut kept = Vec::new();
    // By number; no name once it is written.
    let mut names: BTreeMap<u64, Option<&str>> = BTreeMap::new();
    for row in Rows::new(body) {
        match row? {
            Row::Topic(row) => {
                names.entry(row.number).or_insert(Some(row.name));
            }
            Row::Message(row) => {
                let name = names.get_mut(&row.topic).ok_or(Unreadable)?;
                let (topic, offset) = (row.topic, row.record.offset);
                if !is_needed(topic, &row.record) {
                    continue;
                }
                let before = scribe.len();
                if let Some(name) = name.take() {
                    let (number, none) = (topic, Offset(0));
                    scribe.topic(&TopicRow { number, name, gone: none, last: none, removals_gone: none });
                }
                scribe.message(&MessageRow { numbered: None, ..row });
                kept.push(Kept { topic, offset, bytes: scribe.len() - before });
            }
            Row::State(_)
            | Row::KnownLoss(_)
            | Row::Gone(..)
            | Row::Floor(_)
            | Row::Producer(_)
            | Row::Window(_)
            | Row::WindowGone(..)
            | Row::Outcome(_)
            | Row::Told(_) => {}
        }
    }
    Ok(kept)
}
