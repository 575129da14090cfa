//! The thread that does for the durable log what can wait: it makes segments ahead, and removes those that nobody needs.

use std::collections::BTreeMap;
use std::io;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, Weak};

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, SegmentNumber};
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::topic::Topic;
use tidewire_hub_core::topics::Topics;
use tidewire_protocol::number::Offset;
use tracing::warn;

use crate::disk::files::Files;
use crate::disk::store::{Spare, SpareOrder};
use crate::reactor::logs::DISK_LOG;

/// What there is to do.
#[derive(Debug)]
pub(super) enum Chore {
    /// A segment is wanted soon.
    Spare(SpareOrder),
    /// All that stands was told anew from this commit on.
    Told {
        /// Its number.
        since: u64,
    },
    /// Time has passed.
    Look,
}

/// Looks after the segments.
pub(super) struct Tidier {
    topics: Arc<Topics>,
    files: Files,
    /// What was told before this commit is needed only for its messages.
    told_since: u64,
    oldest: Option<Oldest>,
}

/// What the oldest segment holds.
struct Oldest {
    segment: SegmentNumber,
    last_commit: u64,
    /// By the number of each topic, the offset of its last message there.
    ends: BTreeMap<u64, Offset>,
    /// Whose message is known to be needed still.
    needed_by: Option<(Weak<Topic>, Offset)>,
}

impl Tidier {
    pub(super) fn new(topics: Arc<Topics>, files: Files) -> Self {
        Self { topics, files, told_since: 0, oldest: None }
    }

    /// Does what comes, until nobody has anything to do any more.
    pub(super) fn run(mut self, chores: &Receiver<Chore>, made: &Sender<Spare>) {
        while let Ok(chore) = chores.recv() {
            let done = match chore {
                Chore::Spare(order) => order.make().map(|spare| drop(made.send(spare))),
                Chore::Told { since } => {
                    self.told_since = since;
                    self.tidy()
                }
                Chore::Look => self.tidy(),
            };
            if let Err(error) = done {
                warn!(target: "storage", "the log's files cannot be tidied up now: {error}");
            }
        }
    }

    /// Removes the oldest segments, as long as nothing in them is needed.
    fn tidy(&mut self) -> io::Result<()> {
        let told_since = self.told_since;
        while let Some(oldest) = self.oldest()? {
            if oldest.last_commit >= told_since || oldest.is_known_as_needed() {
                return Ok(());
            }
            let topics = self.topics.stored_topics(DISK_LOG);
            let Some(oldest) = &mut self.oldest else { return Ok(()) };
            oldest.needed_by = oldest.ends.iter().find_map(|(number, last)| {
                let topic = topics.get(number)?;
                is_needed(topic, *last).then(|| (Weak::clone(topic), *last))
            });
            if oldest.needed_by.is_some() {
                return Ok(());
            }
            self.files.remove(oldest.segment)?;
        }
        Ok(())
    }

    /// The oldest segment that gets no more, as far as it is known or can be read.
    fn oldest(&mut self) -> io::Result<Option<&Oldest>> {
        let first = self.files.segments()?.first().map(|segment| segment.number);
        let Some(segment) = first.filter(|first| !self.files.is_written_to(*first)) else { return Ok(None) };
        if self.oldest.as_ref().is_none_or(|oldest| oldest.segment != segment) {
            let mut bytes = Vec::new();
            self.files.read(segment, &mut bytes)?;
            let (mut last_commit, mut ends) = (0, BTreeMap::new());
            for item in Scan::new(self.files.directory(), segment, &bytes, CommitNumber(0)) {
                let Item::Frame(frame) = item else { continue };
                last_commit = frame.number.0;
                for row in Rows::new(frame.body) {
                    if let Ok(Row::Message(message)) = row {
                        ends.insert(message.topic, message.record.offset);
                    }
                }
            }
            self.oldest = Some(Oldest { segment, last_commit, ends, needed_by: None });
        }
        Ok(self.oldest.as_ref())
    }
}

impl Oldest {
    fn is_known_as_needed(&self) -> bool {
        self.needed_by.as_ref().is_some_and(|(topic, last)| is_needed(topic, *last))
    }
}

/// Whether a topic still has a message.
fn is_needed(topic: &Weak<Topic>, offset: Offset) -> bool {
    topic.upgrade().is_some_and(|topic| topic.tail.stored_bounds().0 < offset)
}
