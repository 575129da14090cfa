//! Which topics there are, some at a time, and what each keeps.

use std::sync::Arc;

use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Position;

use crate::access::Granted;
use crate::clock::Millis;
use crate::names::directory::Listed;
use crate::sync::lock;
use crate::topic::Topic;
use crate::topics::Topics;
use crate::trie::Progress;

/// What is known of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// Its name.
    pub name: TopicName,
    /// Behind its newest message.
    pub position: Position,
    /// Messages that it keeps.
    pub messages: u64,
    /// Bytes of these, or a few more.
    pub bytes: u64,
}

impl Topics {
    /// What is known of the next topics that may be read, and how far that has come. Looks at about so many `names`.
    #[must_use]
    pub fn list(
        &self,
        now: Millis,
        what: &Granted<Selector>,
        progress: &Progress,
        names: usize,
    ) -> (Vec<Known>, Progress) {
        let mut listed = Listed::default();
        let progress = match &**what {
            Selector::Topic(name) => {
                listed.topics.extend(lock(&self.names).find(name).cloned());
                Progress::Done
            }
            Selector::Pattern(pattern) => lock(&self.names).list(pattern, progress, names, &mut listed),
        };
        // Of one that is only listened to nothing is known.
        let known = listed.topics.iter().map(|topic| known(now, topic));
        (known.filter(|known| known.position.offset > Offset(0)).collect(), progress)
    }
}

fn known(now: Millis, topic: &Arc<Topic>) -> Known {
    let (gone, last) = topic.tail.bounds(now);
    let kept = topic.tail.held_between(now, gone, last);
    let position = topic.tail.position(last);
    Known { name: topic.name.clone(), position, messages: kept.count, bytes: kept.bytes }
}
