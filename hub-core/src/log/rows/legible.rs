//! Whether a start can read what commits say, for whoever looks at a log without putting it back: as
//! [`Found`](crate::topics::found::Found) judges, which would hold what it reads.

use std::collections::HashSet;

use tidewire_protocol::name::TopicName;

use crate::log::rows::Row;
use crate::log::rows::reading::{Rows, Unreadable};

/// Commits that were read, one after another.
#[derive(Debug, Default)]
pub struct Legible {
    /// Topics that were named.
    topics: HashSet<u64>,
    /// The first that no start can read, and how many behind it.
    illegible: Option<(u64, u64)>,
}

impl Legible {
    /// Reads the next commit, which has this number; whether a start can.
    pub fn see(&mut self, number: u64, body: &[u8]) -> bool {
        let read = self.read(body);
        if read.is_err() {
            let others = self.illegible.map_or(0, |(_, others)| others + 1);
            self.illegible = Some((self.illegible.map_or(number, |(first, _)| first), others));
        }
        read.is_ok()
    }

    /// The first commit that no start can read, where each ends, and how many behind it.
    #[must_use]
    pub const fn illegible(&self) -> Option<(u64, u64)> {
        self.illegible
    }

    fn read(&mut self, body: &[u8]) -> Result<(), Unreadable> {
        for row in Rows::new(body) {
            let topic = match row? {
                Row::Topic(row) => {
                    if !self.topics.contains(&row.number) {
                        TopicName::parse(row.name).map_err(|_| Unreadable)?;
                        self.topics.insert(row.number);
                    }
                    continue;
                }
                Row::Message(row) => row.topic,
                Row::Outcome(row) => row.of.topic,
                Row::Expired(row) => row.topic,
                Row::State(_) | Row::KnownLoss(_) | Row::Gone(..) | Row::Floor(_) | Row::Told(_) => continue,
                Row::Producer(_) | Row::Window(_) | Row::WindowGone(..) => continue,
            };
            self.topics.get(&topic).ok_or(Unreadable)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_protocol::code::Content;
    use tidewire_protocol::number::{Incarnation, Offset, ProducerId, Seq};

    use super::*;
    use crate::log::rows::writing::Scribe;
    use crate::log::rows::{ExpiredRow, MessageRow, Of, OutcomeRow, ProducerRow, TopicRow};
    use crate::log::window::run::Answer;
    use crate::record::Record;
    use crate::topics::found::Found;

    fn commit(topic: u64, offset: u64) -> Vec<u8> {
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        let (gone, last, removals_gone) = (Offset(0), Offset(0), Offset(0));
        scribe.topic(&TopicRow { number: topic, name: "a.topic", gone, last, removals_gone });
        scribe.producer(&ProducerRow { id: ProducerId([7; 16]), incarnation: Incarnation(1), subject: None });
        let record =
            Record { offset: Offset(offset), content: Content::Text, payload: b"x", ..Record::default() };
        let numbered = Some((1, Seq(offset), Seq(1)));
        scribe.message(&MessageRow { topic, prev: Offset(0), numbered, record });
        let of = Of { producer: 1, topic };
        let answer = Answer::Void;
        scribe.outcome(&OutcomeRow { of, seq: Seq(offset + 1), count: 1, lowest: Seq(1), answer });
        let (prev, last) = (Offset(offset), Offset(offset + 1));
        scribe.expired(&ExpiredRow { topic, prev, last, had_keys: false });
        scribe.window_gone(1, "a.topic");
        body
    }

    /// Each byte is changed to each other value: whatever a commit says then, both judge it alike, and the one behind it.
    #[test]
    fn it_judges_as_a_start_does() {
        let (whole, next) = (commit(1, 5), commit(1, 6));
        let (mut good, mut bad) = (0, 0);
        for at in 0..whole.len() {
            for value in 0..=u8::MAX {
                let mut body = whole.clone();
                body[at] = value;
                let (mut legible, mut found) = (Legible::default(), Found::new(&[]));
                let first = found.see(1, &body).is_ok();
                assert_eq!(legible.see(1, &body), first, "{at}: {value}");
                assert_eq!(legible.illegible(), (!first).then_some((1, 0)));
                assert_eq!(legible.see(2, &next), found.see(2, &next).is_ok(), "{at}: {value}");
                if first { good += 1 } else { bad += 1 }
            }
        }
        assert!(good > 1_000 && bad > 1_000, "{good} {bad}");
    }
}
