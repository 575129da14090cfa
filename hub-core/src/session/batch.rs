//! Publishes of one read, gathered so that the log is locked once for all of them.

use std::ops::Range;
use std::sync::Arc;

use tidewire_protocol::client_frame::Publish;
use tidewire_protocol::number::{Handle, Incarnation, Seq, Tag};

use crate::clock::Millis;
use crate::letter::Address;
use crate::log::submission::{Submission, Wish};
use crate::log::windows::WindowKey;
use crate::names::producers::Producer;
use crate::record::Record;
use crate::topic::Topic;
use crate::topics::Topics;

/// Publishes of one connection, checked and not yet submitted.
#[derive(Debug, Default)]
pub struct Batch {
    sources: Vec<Source>,
    items: Vec<Item>,
    payloads: Vec<u8>,
}

/// Who publishes where.
#[derive(Debug)]
pub struct Source {
    /// Whom to tell.
    pub origin: Address,
    /// The number that it publishes with.
    pub handle: Handle,
    /// Who publishes.
    pub producer: Arc<Producer>,
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
    source: usize,
    seq: Seq,
    lowest: Seq,
    wish: Wish,
    /// All but the payload.
    record: Record<'static>,
    payload: Range<usize>,
}

impl Batch {
    /// Whether the last publish came by this handle. Handles do not change while there are publishes here.
    #[must_use]
    pub fn continues(&self, handle: Handle) -> bool {
        self.sources.last().is_some_and(|source| source.handle == handle)
    }

    /// What is added from here on comes from there.
    pub fn from(&mut self, source: Source) {
        self.sources.push(source);
    }

    /// Adds a publish of the source that was named last.
    pub fn add(&mut self, publish: &Publish<'_>, wish: Wish) {
        let Some(source) = self.sources.last() else { return };
        let start = self.payloads.len();
        if wish == Wish::Append {
            self.payloads.extend_from_slice(&publish.payload);
        }
        let (content, maybe_duplicate, tag) = (publish.content, publish.maybe_duplicate, source.tag);
        self.items.push(Item {
            source: self.sources.len() - 1,
            seq: publish.seq,
            lowest: publish.lowest,
            wish,
            record: Record { content, maybe_duplicate, tag, ..Record::default() },
            payload: start..self.payloads.len(),
        });
    }

    /// Submits all of them.
    pub fn publish(&mut self, now: Millis, topics: &Topics) {
        if self.items.is_empty() {
            return;
        }
        topics.publish(now, self.items.iter().map(|item| self.submission(item)));
        self.sources.clear();
        self.items.clear();
        self.payloads.clear();
        // One huge read must not hold its memory for ever.
        self.payloads.shrink_to(KEPT_BYTES);
        self.items.shrink_to(KEPT_ITEMS);
        self.sources.shrink_to(KEPT_ITEMS);
    }

    fn submission<'a>(&'a self, item: &'a Item) -> Submission<'a> {
        let source = &self.sources[item.source];
        Submission {
            origin: source.origin,
            handle: source.handle,
            producer: &source.producer,
            incarnation: source.incarnation,
            topic: &source.topic,
            window: source.window,
            seq: item.seq,
            lowest: item.lowest,
            wish: item.wish,
            record: Record { payload: &self.payloads[item.payload.clone()], ..item.record },
        }
    }
}

const KEPT_BYTES: usize = 256 << 10;
const KEPT_ITEMS: usize = 1_024;
