//! Pages that need no look at many topics: a topic's, and where a pattern's messages end.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Selector, TopicName};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Position, Start};

use crate::clock::Millis;
use crate::log::Log;
use crate::reading::job::of_topic::{Paged, page};
use crate::reading::most::Most;
use crate::reading::question::PageRead;
use crate::sync::lock;
use crate::topic::Topic;
use crate::topics::Topics;

impl Topics {
    /// Reads a page of history; `None` if that takes a look at many topics, or at the disk: ask [`Self::read`]. Whoever knows of
    /// removals up to a place is told of others that are forgotten; 0 is for those who want to hear of none.
    #[must_use]
    pub fn page(
        &self,
        now: Millis,
        selector: &Selector,
        start: &Start,
        removals: Offset,
        most: Most,
    ) -> Option<PageRead> {
        match selector {
            Selector::Topic(name) if *start == Start::Last(0) => Some(self.topic_end(now, name)),
            Selector::Topic(name) => {
                let (log, topic, forgotten) = self.look_up(name);
                let topic = (topic.as_deref(), forgotten);
                match page(log, now, topic, start, removals, most) {
                    Paged::Here(page) => Some(page),
                    Paged::Away(_) => None,
                }
            }
            Selector::Pattern(_) if *start == Start::Latest => {
                let ends: Vec<_> = self.logs.iter().map(|log| log.position(log.visible())).collect();
                Some(PageRead { after: ends.clone(), upto: ends, ..PageRead::default() })
            }
            Selector::Pattern(_) => None,
        }
    }

    /// Where the latest message of a key is that is seen; `None` if it has no value.
    ///
    /// # Errors
    /// [`Code::NotSupported`] of a pattern, and of a topic that does not keep the latest of each key.
    pub fn latest(&self, now: Millis, selector: &Selector, key: &str) -> Result<Option<Position>, Code> {
        let Selector::Topic(name) = selector else { return Err(Code::NotSupported) };
        let (log, topic, _) = self.look_up(name);
        match topic {
            None => Ok(None),
            Some(topic) if !topic.tail.keeps_latest() => Err(Code::NotSupported),
            Some(topic) => Ok(topic.tail.seen_version(now, key).map(|offset| log.position(offset))),
        }
    }

    /// No messages, but where the last one is that is kept.
    fn topic_end(&self, now: Millis, name: &TopicName) -> PageRead {
        let (log, topic, _) = self.look_up(name);
        let kept = topic.filter(|topic| topic.tail.readable()).map(|topic| topic.tail.ends(now));
        let last = kept.filter(|(gone, kept, _)| gone < kept).map_or(Offset(0), |(_, kept, _)| kept);
        let place = vec![log.position(last)];
        PageRead { after: place.clone(), upto: place, ..PageRead::default() }
    }

    /// Where a topic is, what there is of it, and how far it is gone if that is nothing.
    fn look_up(&self, name: &TopicName) -> (&Log, Option<Arc<Topic>>, Offset) {
        let names = lock(&self.names);
        let index = names.log_of(name);
        (self.log(index), names.find(name).cloned(), names.gone(name, index))
    }
}
