//! Publishes of one read, gathered so that the log is locked once for all of them.

use std::ops::Range;
use std::sync::Arc;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{Publish, Send, Terms};
use tidewire_protocol::code::Content;
use tidewire_protocol::number::{Handle, Offset, Seq, Tag};

use crate::clock::Millis;
use crate::ledger::Account;
use crate::letter::Address;
use crate::log::submission::{Numbered, Submission, Wish};
use crate::log::windows::WindowKey;
use crate::names::producers::Attachment;
use crate::record::Record;
use crate::topic::Topic;
use crate::topics::Topics;

/// Publishes of one connection, checked and not yet submitted.
#[derive(Debug, Default)]
pub struct Gathered {
    sources: Vec<Source>,
    items: Vec<Item>,
    payloads: Vec<u8>,
    /// Where those begin that are taken all or none and of which more are to come.
    open: Option<usize>,
}

/// Who publishes where.
#[derive(Debug)]
pub struct Source {
    /// Whom to tell.
    pub origin: Address,
    /// The number that it publishes with.
    pub handle: Handle,
    /// Who publishes, in which window; `None` for updates that may be lost.
    pub numbered: Option<(Attachment, WindowKey)>,
    /// Its public mark.
    pub tag: Tag,
    /// Who it is by its token.
    pub sender: Option<Arc<str>>,
    /// Who answers for what it takes.
    pub account: Arc<Account>,
    /// The topic.
    pub topic: Arc<Topic>,
}

#[derive(Debug)]
struct Item {
    source: usize,
    seq: Seq,
    count: u64,
    lowest: Seq,
    wish: Wish,
    terms: Terms,
    /// All but the attributes and the payload.
    record: Record<'static>,
    ext: Range<usize>,
    payload: Range<usize>,
    /// So many from this one on are taken all or none.
    whole: usize,
}

impl Gathered {
    /// Whether the last publish came by the handle with this address.
    #[must_use]
    pub fn continues(&self, origin: Address, numbered: bool) -> bool {
        let same = |source: &Source| source.origin == origin && source.numbered.is_some() == numbered;
        self.sources.last().is_some_and(same)
    }

    /// What is added from here on comes from there.
    pub fn from(&mut self, source: Source) {
        self.sources.push(source);
    }

    /// What is added from here on is taken all or none.
    pub const fn open_whole(&mut self) {
        self.open = Some(self.items.len());
    }

    /// All that are taken all or none are here.
    pub fn close_whole(&mut self) {
        let Some(first) = self.open.take() else { return };
        let count = self.items.len() - first;
        if let Some(item) = self.items.get_mut(first) {
            item.whole = count;
        }
    }

    /// Takes back those that were to be taken all or none, if there are some.
    pub fn take_back(&mut self) -> Vec<(Handle, Seq)> {
        let first = self.open.unwrap_or(self.items.len());
        if let Some(item) = self.items.get(first) {
            self.payloads.truncate(item.ext.start);
        }
        let sources = &self.sources;
        self.items.drain(first..).map(|item| (sources[item.source].handle, item.seq)).collect()
    }

    /// Adds a publish of the source that was named last, which bears its tag unless another is given.
    pub fn add(&mut self, publish: &Publish<'_>, tag: Option<Tag>, wish: Wish) {
        let message = (wish == Wish::Append).then_some((&publish.attributes, &*publish.payload));
        let record = self.unplaced(publish.content, publish.maybe_duplicate);
        let record = Record { tag: tag.unwrap_or(record.tag), ..record };
        let seqs = (publish.seq, publish.count.max(1), publish.lowest);
        let terms = if wish == Wish::Append { publish.terms } else { Terms::default() };
        self.push(seqs, (wish, terms), record, message);
    }

    /// Adds an update of the source that was named last.
    pub fn add_update(&mut self, update: &Send<'_>) {
        let record = self.unplaced(update.content, false);
        let message = Some((&update.attributes, &*update.payload));
        self.push((Seq(0), 1, Seq(0)), (Wish::Append, Terms::default()), record, message);
    }

    /// A message as its publisher gives it; the log adds its place and time.
    fn unplaced(&self, content: Content, maybe_duplicate: bool) -> Record<'static> {
        Record {
            offset: Offset(0),
            published_at: Millis(0),
            taken_at: Millis(0),
            content,
            maybe_duplicate,
            tag: self.sources.last().map(|source| source.tag).unwrap_or_default(),
            sender: "",
            ext: &[],
            payload: &[],
        }
    }

    fn push(
        &mut self,
        (seq, count, lowest): (Seq, u64, Seq),
        (wish, terms): (Wish, Terms),
        record: Record<'static>,
        message: Option<(&Attributes<'_>, &[u8])>,
    ) {
        if self.sources.is_empty() {
            return;
        }
        let start = self.payloads.len();
        if let Some((attributes, _)) = message {
            attributes.put(&mut self.payloads);
        }
        let ext = start..self.payloads.len();
        self.payloads.extend_from_slice(message.map_or(&[], |(_, payload)| payload));
        let payload = ext.end..self.payloads.len();
        self.items.push(Item {
            source: self.sources.len() - 1,
            seq,
            count,
            lowest,
            wish,
            terms,
            record,
            ext,
            payload,
            whole: 1,
        });
    }

    /// Submits all of them.
    pub fn publish(&mut self, now: Millis, topics: &Topics) {
        // A connection that breaks off in the middle of a batch has published nothing of it.
        self.take_back();
        self.open = None;
        if !self.items.is_empty() {
            topics.publish(now, self.items.iter().map(|item| self.submission(item)));
        }
        // Also what nothing came of: the next to publish here is somebody else, and may have the same numbers.
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
        let numbered = source.numbered.as_ref().map(|(attachment, window)| Numbered {
            attachment,
            window: *window,
            seq: item.seq,
            count: item.count,
            lowest: item.lowest,
        });
        Submission {
            origin: source.origin,
            handle: source.handle,
            account: &source.account,
            topic: &source.topic,
            numbered,
            is_call: false,
            wish: item.wish,
            whole: item.whole,
            terms: item.terms,
            record: Record {
                sender: source.sender.as_deref().unwrap_or_default(),
                ext: &self.payloads[item.ext.clone()],
                payload: &self.payloads[item.payload.clone()],
                ..item.record
            },
        }
    }
}

const KEPT_BYTES: usize = 256 << 10;
const KEPT_ITEMS: usize = 1_024;
