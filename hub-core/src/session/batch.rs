//! Publishes of one read, gathered so that the log is locked once for all of them.

use std::ops::Range;
use std::sync::Arc;

use tidewire_protocol::client_frame::Publish;
use tidewire_protocol::number::{Incarnation, ProducerId, Tag};

use crate::clock::Millis;
use crate::inbox::Origin;
use crate::topics::Topics;
use crate::topics::directory::Topic;
use crate::topics::producers::WindowKey;
use crate::topics::submission::{Submission, Wish};

/// Publishes, checked and not yet submitted.
#[derive(Debug, Default)]
pub struct Batch {
    items: Vec<Item>,
    payloads: Vec<u8>,
}

/// Who publishes where.
#[derive(Debug, Clone)]
pub struct Source {
    /// Whom to tell.
    pub origin: Origin,
    /// The participant's secret identity.
    pub producer: ProducerId,
    /// Its incarnation.
    pub incarnation: Incarnation,
    /// Its public mark.
    pub tag: Tag,
    /// The topic.
    pub topic: Arc<Topic>,
    /// The participant's window there.
    pub window: WindowKey,
}

#[derive(Debug)]
struct Item {
    source: Source,
    publish: Publish<'static>,
    wish: Wish,
    payload: Range<usize>,
}

impl Batch {
    /// Adds a publish.
    pub fn add(&mut self, source: Source, publish: &Publish<'_>, wish: Wish) {
        let start = self.payloads.len();
        if wish == Wish::Append {
            self.payloads.extend_from_slice(&publish.payload);
        }
        let head = Publish {
            handle: publish.handle,
            seq: publish.seq,
            lowest: publish.lowest,
            content: publish.content,
            maybe_duplicate: publish.maybe_duplicate,
            void: publish.void,
            payload: (&[][..]).into(),
            tag: publish.tag,
            count: publish.count,
        };
        self.items.push(Item { source, publish: head, wish, payload: start..self.payloads.len() });
    }

    /// Submits all of them.
    pub fn publish(&mut self, now: Millis, topics: &Topics) {
        if self.items.is_empty() {
            return;
        }
        let payloads = &self.payloads;
        topics.publish(now, self.items.iter().map(|item| item.submission(payloads)));
        self.items.clear();
        self.payloads.clear();
        // One huge read must not hold its memory for ever.
        self.payloads.shrink_to(KEPT_BYTES);
        self.items.shrink_to(KEPT_ITEMS);
    }
}

impl Item {
    fn submission<'a>(&'a self, payloads: &'a [u8]) -> Submission<'a> {
        Submission {
            origin: self.source.origin,
            producer: self.source.producer,
            incarnation: self.source.incarnation,
            tag: self.source.tag,
            topic: &self.source.topic,
            window: self.source.window,
            seq: self.publish.seq,
            lowest: self.publish.lowest,
            content: self.publish.content,
            maybe_duplicate: self.publish.maybe_duplicate,
            wish: self.wish,
            payload: &payloads[self.payload.clone()],
        }
    }
}

const KEPT_BYTES: usize = 256 << 10;
const KEPT_ITEMS: usize = 1_024;
