//! What is known of a segment: which topics have messages there that are needed, and about how many bytes of them.

use std::collections::BTreeMap;
use std::io;
use std::num::NonZeroU64;
use std::sync::{Arc, Weak};

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::scan::{Frame, Item, Scan};
use tidewire_hub_core::frames::{CommitNumber, FRAME_HEADER_BYTES, Merged, SegmentNumber};
use tidewire_hub_core::log::rows::tidying::{Kept, Tidying};
use tidewire_hub_core::record::Record;
use tidewire_hub_core::tail::needed::Need;
use tidewire_hub_core::topic::Topic;
use tidewire_protocol::number::Offset;

use crate::disk::files::Files;
use crate::disk::merging::Merging;

/// A segment that gets no more.
#[derive(Debug)]
pub(super) struct Holding {
    /// How long its file is.
    pub(super) bytes: u64,
    /// The segments and commits that it stands for.
    pub(super) stands_for: Merged,
    /// Nothing of it is missing, and all can be read.
    pub(super) is_whole: bool,
    /// The disk refused some of it, which may be needed, and may be read another time.
    pub(super) is_unreadable: bool,
    /// What is not remembered by topic is counted as needed until it is read again.
    rest_bytes: u64,
    spans: Vec<Span>,
}

/// The messages of a topic.
#[derive(Debug)]
struct Span {
    topic: Weak<Topic>,
    first: Offset,
    last: Offset,
    /// What they would take if they were written again.
    bytes: u64,
    /// What those take beside them that say what has expired.
    expired_bytes: u64,
    /// What their topic kept of them when `bytes` were counted, if some of them expire.
    kept_bytes: Option<NonZeroU64>,
    /// Others of the topic that come later make some of them unneeded.
    keeps_latest: bool,
}

/// Topics by their numbers.
pub(super) type Topics = BTreeMap<u64, Weak<Topic>>;

/// Which segment is read, and where it stands.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) number: SegmentNumber,
    /// No other holds anything older, or all that do are read with it.
    pub(super) is_oldest: bool,
    /// All that stands was told anew since this commit.
    pub(super) told_since: u64,
    /// What has expired by then is not needed.
    pub(super) now: Millis,
}

/// A segment is read.
struct Reading<'t, 'b> {
    topics: &'t Topics,
    tidying: Tidying<'b>,
    /// Those that have messages here: what of them is gone, if there is such a topic, and what is not.
    seen: BTreeMap<u64, Option<(Offset, Span)>>,
    /// The first and the last of them.
    commits: Option<(CommitNumber, CommitNumber)>,
    /// How many there are.
    count: u64,
    is_whole: bool,
    place: Place,
}

impl Holding {
    /// Reads a segment, and writes what is needed of it where it is to be merged. It remembers so many topics at most.
    /// All that have messages here are to be among the `topics`, but those that went. Whether it is the oldest decides what of
    /// removed keys is needed.
    pub(super) fn read(
        files: &Files,
        place: Place,
        topics: &Topics,
        spans_max: usize,
        mut merging: Option<&mut Merging>,
    ) -> io::Result<Self> {
        let mut bytes = Vec::new();
        let number = place.number;
        let is_unreadable = files.read_noting(number, &mut bytes)?;
        let (seen, commits, count, is_whole) = (BTreeMap::new(), None, 0, true);
        let tidying = Tidying::default();
        let mut reading = Reading { topics, tidying, seen, commits, count, is_whole, place };
        let scan = Scan::new(files.directory(), number, &bytes, CommitNumber(0));
        let merged = scan.merged();
        let mut out = Vec::new();
        let mut items = scan.peekable();
        while let Some(item) = items.next() {
            let is_last = !matches!(items.peek(), Some(Item::Frame(_)));
            match item {
                Item::Frame(frame) => match &mut merging {
                    Some(merging) => {
                        let added = merging.add(frame.number, |out| reading.frame(&frame, is_last, out));
                        reading.is_whole &= added.is_ok();
                    }
                    None => {
                        out.clear();
                        reading.frame(&frame, is_last, &mut out);
                    }
                },
                Item::Damage { .. } | Item::Torn { .. } => reading.is_whole = false,
                Item::End { at } => reading.is_whole &= at > 0,
            }
        }
        let (first, last) = reading.commits.unwrap_or_default();
        let holds_all = last.0 > 0 && last.0 - first.0 + 1 == reading.count;
        reading.is_whole &= merged.is_some() || holds_all;
        let stands_for = merged.unwrap_or(Merged { from: number, first, last });
        let mut holding = Self {
            bytes: bytes.len() as u64,
            stands_for,
            is_whole: reading.is_whole && !is_unreadable,
            is_unreadable,
            rest_bytes: 0,
            spans: reading
                .seen
                .into_values()
                .flatten()
                .map(|(_, span)| span.weighed(place.now))
                .filter(|it| it.bytes + it.expired_bytes > 0)
                .collect(),
        };
        holding.forget_beyond(spans_max);
        Ok(holding)
    }

    /// What a segment holds that was merged from these just now.
    pub(super) fn merged(
        of: Vec<Self>,
        stands_for: Merged,
        bytes: u64,
        (now, spans_max): (Millis, usize),
    ) -> Self {
        let rest_bytes = of.iter().map(|holding| holding.rest_bytes).sum();
        let mut spans: Vec<_> = of.into_iter().flat_map(|holding| holding.spans).collect();
        spans.sort_by_key(|span| span.topic.as_ptr() as usize);
        spans.dedup_by(|later, span| {
            let is_same = Weak::ptr_eq(&span.topic, &later.topic);
            if is_same {
                (span.first, span.last) = (span.first.min(later.first), span.last.max(later.last));
                span.bytes += later.bytes;
                span.expired_bytes += later.expired_bytes;
                span.kept_bytes = span.kept_bytes.or(later.kept_bytes);
            }
            is_same
        });
        let spans = spans.into_iter().map(|span| span.weighed(now)).collect();
        let mut merged = Self { bytes, stands_for, is_whole: true, is_unreadable: false, rest_bytes, spans };
        merged.forget_beyond(spans_max);
        merged
    }

    /// Remembers only so many topics, those of which it holds the most.
    fn forget_beyond(&mut self, spans_max: usize) {
        if self.spans.len() > spans_max {
            let bytes = |span: &Span| span.bytes + span.expired_bytes;
            self.spans.sort_by_key(|span| std::cmp::Reverse(bytes(span)));
            self.rest_bytes += self.spans.drain(spans_max..).map(|span| bytes(&span)).sum::<u64>();
        }
        self.spans.shrink_to_fit();
    }

    /// How many topics it remembers.
    pub(super) const fn spans(&self) -> usize {
        self.spans.len()
    }

    /// More may be gone than is known by topic.
    pub(super) const fn is_vague(&self) -> bool {
        self.rest_bytes > 0
    }

    /// About how much of it is needed; what is not is forgotten. Where a part of a topic's messages is gone, they count as if
    /// they lay evenly between the first and the last. All that stands was told anew since a commit.
    pub(super) fn live(&mut self, now: Millis, told_since: u64) -> u64 {
        let mut live = self.rest_bytes;
        self.spans.retain_mut(|span| {
            let Some(topic) = span.topic.upgrade() else { return false };
            let gone = topic.tail.stored_gone(told_since);
            if span.keeps_latest {
                // A removal may be needed that nobody remembers: while that is open, not all goes.
                let kept = topic.tail.kept_bytes(now, span.first, span.last).max(1);
                live += if gone < span.last { kept.min(span.bytes) } else { 0 };
                return gone < span.last;
            }
            if gone >= span.first && gone < span.last {
                span.begin_behind(gone);
            }
            live += if gone < span.last { span.left(now, &topic) } else { 0 };
            gone < span.last
        });
        live
    }
}

impl<'b> Reading<'_, 'b> {
    fn frame(&mut self, frame: &Frame<'b>, is_last: bool, out: &mut Vec<u8>) {
        let first = self.commits.map_or(frame.number, |(first, _)| first);
        self.commits = Some((first, frame.number));
        self.count += 1;
        let Self { topics, tidying, seen, is_whole, place, .. } = self;
        let kept = tidying.tidy(frame.body, is_last, out, |topic, offset, record| {
            let known =
                seen.entry(topic).or_insert_with(|| Span::none(topics.get(&topic)?, place.told_since));
            let known = known.as_ref().filter(|(gone, _)| *gone < offset);
            known.map_or(Need::Not, |(_, span)| span.needs((offset, record), *place))
        });
        *is_whole &= kept.is_ok();
        let mut header = FRAME_HEADER_BYTES;
        for kept in kept.into_iter().flatten() {
            if let Some(Some((_, span))) = seen.get_mut(&kept.topic) {
                span.add(&kept, (kept.bytes + std::mem::take(&mut header)) as u64);
            }
        }
    }
}

impl Span {
    /// What of a topic is gone, and no message of it.
    fn none(topic: &Weak<Topic>, told_since: u64) -> Option<(Offset, Self)> {
        let known = topic.upgrade()?;
        let (gone, keeps_latest) = (known.tail.stored_gone(told_since), known.tail.keeps_latest());
        let topic = Weak::clone(topic);
        let (bytes, expired_bytes, kept_bytes) = (0, 0, None);
        let (first, last) = (Offset(u64::MAX), Offset(0));
        Some((gone, Self { topic, first, last, bytes, expired_bytes, kept_bytes, keeps_latest }))
    }

    /// What is needed of a message that is not gone by its topic's bounds, or of what has expired up to there.
    fn needs(
        &self,
        message: (Offset, Option<&Record<'_>>),
        Place { is_oldest, told_since, now, .. }: Place,
    ) -> Need {
        let Some(topic) = self.topic.upgrade() else { return Need::Not };
        match message.1 {
            // Nothing but its topic's bounds lets go of it: publishers need not wait for the tail meanwhile.
            Some(record) if record.ext.is_empty() && !self.keeps_latest => Need::Whole,
            Some(_) | None => topic.tail.needs(now, message, is_oldest, told_since),
        }
    }

    fn add(&mut self, kept: &Kept, bytes: u64) {
        (self.first, self.last) = (self.first.min(kept.offset), self.last.max(kept.offset));
        if kept.is_message {
            self.bytes += bytes;
            if kept.expires && !self.keeps_latest {
                // How much that is becomes known once all are read.
                self.kept_bytes = Some(NonZeroU64::MIN);
            }
        } else {
            self.expired_bytes += bytes;
        }
    }

    /// All its bytes are counted now, of which its topic keeps some.
    fn weighed(mut self, now: Millis) -> Self {
        if self.kept_bytes.is_some() {
            let kept = |topic: Arc<Topic>| topic.tail.kept_bytes(now, self.first, self.last);
            self.kept_bytes = NonZeroU64::new(self.topic.upgrade().map_or(0, kept).max(1));
        }
        self
    }

    /// What lies up to there is gone.
    fn begin_behind(&mut self, gone: Offset) {
        let (all, left) = (self.last.0 - self.first.0 + 1, self.last.0 - gone.0);
        self.bytes = part(self.bytes, left, all).max(1);
        self.kept_bytes =
            self.kept_bytes.and_then(|kept| NonZeroU64::new(part(kept.get(), left, all).max(1)));
        self.first = gone.next();
    }

    /// About how much of it is needed, if not all is gone: of messages that expire as much as their topic still keeps, and that
    /// some have expired.
    fn left(&self, now: Millis, topic: &Topic) -> u64 {
        let left = self.kept_bytes.map_or(self.bytes, |before| {
            let kept = topic.tail.kept_bytes(now, self.first, self.last).min(before.get());
            part(self.bytes, kept, before.get())
        });
        (left + self.expired_bytes).max(1)
    }
}

/// So many of these bytes as `left` is of `all`, which is not 0.
fn part(bytes: u64, left: u64, all: u64) -> u64 {
    u64::try_from(u128::from(bytes) * u128::from(left) / u128::from(all)).unwrap_or(bytes)
}
