//! What becomes visible is its publisher's to publish.

use crate::oracle::calls::CALLERS;
use crate::oracle::fate::Fate;
use crate::oracle::log::Record;
use crate::oracle::{Oracle, Publish, Uid};

impl Oracle {
    /// Lands once unless marked, in its publisher's order, and not from a fenced publisher.
    pub(crate) fn check_publisher(&mut self, record: &Record, publish: &Publish) {
        let uid = record.uid;
        if publish.fate == Fate::Hostile {
            if publish.seen > 0 {
                self.object(format_args!("#{uid} of a hostile client was sent once and is in the log twice"));
            }
            return;
        }
        if publish.actor == CALLERS {
            return self.check_called(uid, publish);
        }
        if publish.seen > 0 && !record.maybe_duplicate {
            self.object(format_args!("#{uid} is in the log twice, unmarked: {record:?} {publish:?}"));
        }
        match publish.fate {
            Fate::Waiting | Fate::Failed | Fate::Hostile => {}
            Fate::Done | Fate::Withdrawn | Fate::Refused => {
                self.object(format_args!("#{uid} became visible after its outcome: {publish:?}"));
            }
        }
        let shown = self.shown.entry((publish.actor, publish.party, publish.topic)).or_default();
        let before = *shown;
        *shown = before.max(publish.counter);
        if publish.counter <= before && !record.maybe_duplicate {
            self.object(format_args!(
                "#{uid}, number {} of its publisher, comes after {before}",
                publish.counter
            ));
        }
        if let Some((incarnation, since)) = self.attached.get(&publish.producer).copied()
            && incarnation > publish.incarnation
            && record.taken_ms.is_some_and(|taken| taken > since)
        {
            self.object(format_args!("#{uid} is of incarnation {}, fenced at {since}", publish.incarnation));
        }
    }

    /// Each attach has a tag of its own, and ends the ones before.
    pub(crate) fn check_tag(&mut self, log: usize, uid: Uid, publish: &Publish, tag: u64) {
        if publish.fate == Fate::Hostile {
            return;
        }
        let before = self.tags.insert((log, publish.producer), tag).unwrap_or_default();
        if tag < before {
            self.object(format_args!("#{uid} bears tag {tag}, whose bearer went elsewhere as {before}"));
        }
    }
}
