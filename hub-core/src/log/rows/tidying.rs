//! A commit is written again without what nobody needs: once all that stands was told anew behind it, that is its messages
//! that are kept.
//!
//! What has expired goes out of the middle of a topic, where others that are kept stand before it. A topic has no holes, so a
//! row says in its place that nothing is missing: one for all that follow on each other in the commits that are written again
//! together.

use std::collections::BTreeMap;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::number::Offset;

use crate::log::rows::reading::{Rows, Unreadable};
use crate::log::rows::writing::Scribe;
use crate::log::rows::{ExpiredRow, MessageRow, Row, TopicRow};
use crate::record::Record;
use crate::tail::needed::Need;

/// What was written again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kept {
    /// Its topic's number.
    pub topic: u64,
    /// The message's offset, or the last of those that have expired.
    pub offset: Offset,
    /// How many bytes it takes, and its topic's name where that stands before it.
    pub bytes: usize,
    /// Whether it is a message, and none that stands for those that have expired.
    pub is_message: bool,
    /// The message expires some time.
    pub expires: bool,
}

/// Commits that are written again one after another.
#[derive(Debug, Default)]
pub struct Tidying<'b> {
    /// By the topic's number: what has expired and was not written yet.
    expired: BTreeMap<u64, (&'b str, ExpiredRow)>,
}

/// A commit while it is written.
struct Writing<'b, 's, 'o> {
    scribe: &'s mut Scribe<'o>,
    /// By number, and whether it is written.
    names: BTreeMap<u64, (&'b str, bool)>,
    kept: Vec<Kept>,
}

/// Writes a commit that stands by itself; see [`Tidying::tidy`].
///
/// # Errors
/// [`Unreadable`] if the commit is of another version; nothing is written then.
pub fn tidy(
    body: &[u8],
    out: &mut Vec<u8>,
    need: impl FnMut(u64, Offset, Option<&Record<'_>>) -> Need,
) -> Result<Vec<Kept>, Unreadable> {
    Tidying::default().tidy(body, true, out, need)
}

impl<'b> Tidying<'b> {
    /// Writes those messages of the next commit behind what `out` holds that are needed, by their topics' numbers, offsets, and
    /// themselves; `None` stands for those up to there that have expired already. In front of a topic's first stands its name,
    /// with bounds that say nothing: bounds only ever rise. Tells which. With the last commit all has to be written.
    ///
    /// Windows, producers, names that went and how the log stands are left out: whoever calls this knows that they were told
    /// anew.
    ///
    /// # Errors
    /// [`Unreadable`] if the commit is of another version; nothing is written then.
    pub fn tidy(
        &mut self,
        body: &'b [u8],
        is_last: bool,
        out: &mut Vec<u8>,
        need: impl FnMut(u64, Offset, Option<&Record<'_>>) -> Need,
    ) -> Result<Vec<Kept>, Unreadable> {
        let before = out.len();
        let mut scribe = Scribe::new(out);
        let mut writing = Writing { scribe: &mut scribe, names: BTreeMap::new(), kept: Vec::new() };
        let read = self.read(body, &mut writing, need);
        if is_last {
            let rest = std::mem::take(&mut self.expired);
            rest.into_values().for_each(|(name, row)| writing.expired(name, &row));
        }
        let kept = writing.kept;
        if read.is_err() {
            out.truncate(before);
        }
        read.map(|()| kept)
    }

    fn read(
        &mut self,
        body: &'b [u8],
        writing: &mut Writing<'b, '_, '_>,
        mut need: impl FnMut(u64, Offset, Option<&Record<'_>>) -> Need,
    ) -> Result<(), Unreadable> {
        for row in Rows::new(body) {
            match row? {
                Row::Topic(row) => {
                    writing.names.entry(row.number).or_insert((row.name, false));
                }
                Row::Message(row) => {
                    let (topic, prev, last) = (row.topic, row.prev, row.record.offset);
                    let (name, _) = *writing.names.get(&topic).ok_or(Unreadable)?;
                    match need(topic, last, Some(&row.record)) {
                        Need::Not => {}
                        Need::Expired => {
                            let had_keys =
                                !Attributes::take(row.record.ext).unwrap_or_default().key.is_empty();
                            self.pass(name, ExpiredRow { topic, prev, last, had_keys }, writing);
                        }
                        Need::Whole => {
                            if let Some((name, row)) = self.expired.remove(&topic) {
                                writing.expired(name, &row);
                            }
                            writing.message(name, &row);
                        }
                    }
                }
                Row::Expired(row) => {
                    let (name, _) = *writing.names.get(&row.topic).ok_or(Unreadable)?;
                    if need(row.topic, row.last, None) != Need::Not {
                        self.pass(name, row, writing);
                    }
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
        Ok(())
    }

    /// Some messages have expired. Where something is missing before them, that is to be seen still.
    fn pass(&mut self, name: &'b str, row: ExpiredRow, writing: &mut Writing<'b, '_, '_>) {
        let (_, known) = self.expired.entry(row.topic).or_insert((name, row));
        if row.prev > known.last {
            writing.expired(name, &std::mem::replace(known, row));
        }
        (known.last, known.had_keys) = (known.last.max(row.last), known.had_keys || row.had_keys);
    }
}

impl<'b> Writing<'b, '_, '_> {
    /// Writes a topic's name, unless it is there.
    fn topic(&mut self, number: u64, name: &'b str) {
        let (name, is_written) = self.names.entry(number).or_insert((name, false));
        if !std::mem::replace(is_written, true) {
            let none = Offset(0);
            self.scribe.topic(&TopicRow { number, name, gone: none, last: none, removals_gone: none });
        }
    }

    fn message(&mut self, name: &'b str, row: &MessageRow<'_>) {
        let (before, topic, offset) = (self.scribe.len(), row.topic, row.record.offset);
        self.topic(topic, name);
        self.scribe.message(&MessageRow { numbered: None, ..*row });
        let bytes = self.scribe.len() - before;
        let expires = Attributes::take(row.record.ext).is_ok_and(|attributes| attributes.ttl_ms > 0);
        self.kept.push(Kept { topic, offset, bytes, is_message: true, expires });
    }

    fn expired(&mut self, name: &'b str, row: &ExpiredRow) {
        let (before, topic, offset) = (self.scribe.len(), row.topic, row.last);
        self.topic(topic, name);
        self.scribe.expired(row);
        let bytes = self.scribe.len() - before;
        self.kept.push(Kept { topic, offset, bytes, is_message: false, expires: false });
    }
}
