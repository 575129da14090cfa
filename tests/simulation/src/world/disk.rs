//! The disk of a durable log: segments as bytes, how much of each is safe, and what a crash leaves of them.
//!
//! It knows commits as bytes, and which messages stand in which segment; nothing of the hub.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hasher};
use std::sync::OnceLock;

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{
    CommitNumber, DirectoryId, SEGMENT_HEADER_BYTES, Seeds, SegmentHeader, SegmentNumber, begin, seal,
};
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::log::rows::tidying::tidy;
use tidewire_hub_core::mutant::{Mutant, active};
use tidewire_hub_core::names::directory::TopicRule;
use tidewire_hub_core::reading::fetch::Fetch;
use tidewire_hub_core::tail::needed::Need;
use tidewire_hub_core::topics::found::Found as State;

use tidewire_protocol::number::Offset;

use crate::random::Random;

mod merging;

/// What outlives every hub of a world.
#[derive(Debug)]
pub struct Disk {
    directory: DirectoryId,
    segments: BTreeMap<SegmentNumber, Segment>,
    newest: SegmentNumber,
    head: Head,
    /// How often it was opened.
    pub boot: u32,
    /// The number of the next commit.
    pub next: CommitNumber,
    /// Whether bytes that were safe were ever changed.
    pub is_damaged: bool,
    /// What was to be written as each commit, in short.
    written: BTreeMap<CommitNumber, u64>,
    /// What rows call topics.
    names: BTreeMap<u64, String>,
}

#[derive(Debug, Default)]
struct Segment {
    bytes: Vec<u8>,
    /// Of these so many are on the disk for sure.
    synced: usize,
    /// The number of the first commit that it may hold.
    begun_at: CommitNumber,
    last: CommitNumber,
    /// The highest offset of each topic's messages.
    reach: BTreeMap<String, u64>,
    /// The lowest and the highest offset of all.
    span: Option<(u64, u64)>,
    /// Its commits with their messages only, once somebody has read it as it stands, and the offsets of these.
    messages: OnceLock<Vec<Messages>>,
}

/// The first offset of a commit's messages and the last, and them.
type Messages = (u64, u64, Vec<u8>);

/// The last commit that was answered, as the file says that, and as the disk has it for sure.
#[derive(Debug, Clone, Copy, Default)]
struct Head {
    said: CommitNumber,
    synced: CommitNumber,
}

/// How a hub ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Crash {
    /// The process dies; what it wrote stays written.
    Killed,
    /// The machine loses its power: of what was not synced anything may stay.
    PowerLoss,
}

/// What an opening finds.
#[derive(Debug, Default)]
pub struct Found {
    /// The commits, in order.
    pub commits: Vec<(CommitNumber, Vec<u8>)>,
    /// What is lost that somebody may have been told of, each time by the same number.
    pub losses: Vec<u64>,
    /// A commit that is another than was to be written, if there is one.
    pub misread: Option<CommitNumber>,
}

impl Found {
    /// What the commits say of the log that a hub finds which starts then. Tells which could not be read, if one could not.
    #[must_use]
    pub fn state(&self, rules: &[TopicRule], now: Millis) -> (State, Option<CommitNumber>) {
        let (mut state, mut misread) = (State::new(rules).starting_at(now), None);
        for (number, body) in &self.commits {
            // Whoever takes what is cut as far as it goes finds nothing odd in where it ends.
            if state.see(number.0, body).is_err() && !active(Mutant::CommitTakenInPart) {
                misread.get_or_insert(*number);
            }
        }
        (state, misread)
    }
}

impl Disk {
    /// An empty one.
    #[must_use]
    pub fn new(random: &mut Random) -> Self {
        Self {
            directory: DirectoryId(u128::from(random.number()) << 64 | u128::from(random.number())),
            segments: BTreeMap::new(),
            newest: SegmentNumber(0),
            head: Head::default(),
            boot: 0,
            next: CommitNumber(1),
            is_damaged: false,
            written: BTreeMap::new(),
            names: BTreeMap::new(),
        }
    }

    /// Reads all there is, makes safe what was read of the last segment, and begins a new one.
    pub fn open(&mut self) -> Found {
        let mut found = Found::default();
        let mut last = CommitNumber(0);
        let mut before: Option<SegmentNumber> = None;
        let mut torn: Option<(SegmentNumber, usize)> = None;
        let mut is_damaged = false;
        self.names.clear();
        let numbers: Vec<SegmentNumber> = self.segments.keys().copied().collect();
        for number in numbers {
            let Some(mut segment) = self.segments.remove(&number) else { continue };
            let is_next = before.map_or(number == SegmentNumber(1), |before| before.next() == number);
            let (mut is_first, mut holds_something) = (true, false);
            segment.reach.clear();
            for item in Scan::new(self.directory, number, &segment.bytes, last) {
                if !matches!(item, Item::End { .. }) && !holds_something {
                    holds_something = true;
                    // Commits went on only behind what was whole.
                    is_damaged |= torn.take().is_some();
                }
                match item {
                    Item::Frame(frame) => {
                        // Whole segments may have been deleted.
                        if is_next || !is_first || is_damaged {
                            found.losses.extend(loss(last, frame.number));
                        }
                        (is_first, is_damaged) = (false, false);
                        (last, segment.last) = (frame.number, frame.number);
                        note(&mut self.names, &mut segment.reach, &mut segment.span, frame.body);
                        if self.written.get(&frame.number) != Some(&digest(frame.body)) {
                            found.misread.get_or_insert(frame.number);
                        }
                        found.commits.push((frame.number, frame.body.to_vec()));
                    }
                    Item::Damage { .. } => is_damaged = true,
                    Item::Torn { from, .. } => torn = Some((number, from)),
                    Item::End { .. } => {}
                }
            }
            // Behind one that holds nothing nobody knows which of those before it were deleted.
            before = if holds_something { Some(number) } else { before };
            self.segments.insert(number, segment);
        }
        if let Some((number, from)) = torn
            && let Some(segment) = self.segments.get_mut(&number)
        {
            segment.bytes.truncate(from);
            segment.messages.take();
        }
        found.losses.extend(loss(last, self.head.said.next()));
        self.start(last);
        found
    }

    /// What was read is written anew, so that it is safe.
    fn start(&mut self, last: CommitNumber) {
        for segment in self.segments.values_mut() {
            segment.synced = segment.bytes.len();
        }
        self.boot += 1;
        self.next = last.max(self.head.said).next();
        let said = last.max(self.head.said);
        self.head = Head { said, synced: said };
        self.begin_segment();
    }

    /// Begins a new segment, which is there for sure.
    pub fn begin_segment(&mut self) {
        self.newest = self.newest.next();
        let bytes =
            SegmentHeader { directory: self.directory, segment: self.newest, merged: None }.bytes().to_vec();
        let synced = bytes.len();
        let begun_at = self.next;
        self.segments.insert(self.newest, Segment { bytes, synced, begun_at, ..Segment::default() });
    }

    /// Whether the newest segment holds so many bytes, and some commits: what tells how all stands may be longer than that.
    #[must_use]
    pub fn is_full(&self, bytes: usize) -> bool {
        let newest = self.segments.get(&self.newest);
        newest.is_some_and(|it| it.bytes.len() >= bytes && self.next.0 >= it.begun_at.0 + COMMITS_EACH)
    }

    /// The next commit as it is to be written.
    ///
    /// # Panics
    /// If it is longer than any.
    #[must_use]
    pub fn frame(&mut self, body: &[u8]) -> Vec<u8> {
        self.written.insert(self.next, digest(body));
        let mut frame = Vec::with_capacity(body.len() + 32);
        let at = begin(&mut frame);
        frame.extend_from_slice(body);
        let seeds = Seeds::new(self.directory, self.newest);
        seal(&mut frame[at..], self.next, seeds).expect("commits are bounded");
        frame
    }

    /// Writes some bytes, which are not safe yet.
    pub fn write(&mut self, bytes: &[u8]) {
        if let Some(newest) = self.segments.get_mut(&self.newest) {
            newest.bytes.extend_from_slice(bytes);
            newest.messages.take();
        }
    }

    /// What was written since the last sync is cut off again.
    pub fn cut_back(&mut self) {
        if let Some(newest) = self.segments.get_mut(&self.newest) {
            newest.bytes.truncate(newest.synced);
            newest.messages.take();
        }
    }

    /// What was written is safe, if it landed. A sync that failed may have landed.
    pub fn sync(&mut self, has_landed: bool) {
        if let Some(newest) = self.segments.get_mut(&self.newest)
            && has_landed
        {
            newest.synced = newest.bytes.len();
        }
    }

    /// The commit that was synced is about to be answered.
    pub fn answer(&mut self, body: &[u8]) {
        let Self { segments, names, newest, .. } = self;
        if let Some(newest) = segments.get_mut(newest) {
            newest.last = self.next;
            note(names, &mut newest.reach, &mut newest.span, body);
        }
        self.head.said = self.next;
        self.next = self.next.next();
    }

    /// The hub stops in good order.
    pub fn close(&mut self) {
        self.head.synced = self.head.said;
    }

    /// A hub ends in the middle of whatever it did.
    pub fn crash(&mut self, crash: Crash, random: &mut Random) {
        if crash == Crash::Killed {
            return;
        }
        self.head.said = CommitNumber(random.between(self.head.synced.0, self.head.said.0));
        for segment in self.segments.values_mut() {
            segment.messages.take();
            let unsafe_bytes = segment.bytes.len() - segment.synced;
            let kept = segment.synced + random.below(unsafe_bytes as u64 + 1) as usize;
            match random.below(4) {
                0 => segment.bytes.truncate(segment.synced),
                1 => segment.bytes.truncate(kept),
                2 => segment.bytes[kept..].fill(0),
                _ => {
                    for byte in &mut segment.bytes[kept..] {
                        *byte = if random.one_in(2) { random.number() as u8 } else { *byte };
                    }
                }
            }
        }
    }

    /// Some bytes that were safe are not what they were.
    pub fn damage(&mut self, random: &mut Random) {
        let numbers: Vec<_> = self.segments.keys().copied().collect();
        let Some(segment) = self.segments.get_mut(random.pick(&numbers)) else { return };
        segment.messages.take();
        let at = random.below(segment.synced as u64) as usize;
        let count = random.magnitude(1, 200) as usize;
        let until = (at + count).min(segment.synced);
        segment.bytes[at..until].iter_mut().for_each(|byte| *byte ^= random.between(1, 255) as u8);
        self.is_damaged = true;
    }

    /// The segments as they are at a moment, the newest first: whoever reads them so misses what is merged into one that he has
    /// read already.
    #[must_use]
    pub fn list(&self) -> Vec<SegmentNumber> {
        self.segments.keys().rev().copied().collect()
    }

    /// Whether a segment is worth to be read for what is still missing.
    #[must_use]
    pub fn may_have(&self, segment: SegmentNumber, fetch: &Fetch) -> bool {
        let span = self.segments.get(&segment).and_then(|segment| segment.span);
        span.is_some_and(|(first, last)| {
            fetch.next_missing(Offset(first)).is_some_and(|missing| missing.0 <= last)
        })
    }

    /// Takes what is wanted of one segment, if that is still there.
    pub fn read(&self, segment: SegmentNumber, fetch: &mut Fetch) {
        if !self.may_have(segment, fetch) {
            return;
        }
        let Some(found) = self.segments.get(&segment) else { return };
        let commits = found.messages.get_or_init(|| {
            let mut commits = Vec::new();
            for item in Scan::new(self.directory, segment, &found.bytes, CommitNumber(0)) {
                let mut body = Vec::new();
                if let Item::Frame(frame) = item
                    && let Ok(kept) = tidy(frame.body, &mut body, |_, _, _| Need::Whole)
                    && let mut messages = kept.iter().filter(|kept| kept.is_message)
                    && let Some(first) = messages.next()
                {
                    let last = messages.next_back().unwrap_or(first);
                    commits.push((first.offset.0, last.offset.0, body));
                }
            }
            commits
        });
        for (first, last, body) in commits {
            if fetch.next_missing(Offset(*first)).is_some_and(|missing| missing.0 <= *last) {
                fetch.see(body);
            }
        }
    }

    /// How many segments there are, and their bytes.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        let bytes = |segment: &Segment| segment.bytes.len().saturating_sub(SEGMENT_HEADER_BYTES);
        (self.segments.len(), self.segments.values().map(bytes).sum())
    }
}

/// Commits that a segment holds at least, as long as no hub ends.
const COMMITS_EACH: u64 = 4;

fn digest(body: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write(body);
    hasher.finish()
}

/// What is lost between two commits, if something is.
fn loss(last: CommitNumber, next: CommitNumber) -> Option<u64> {
    (next > last.next()).then_some(last.0 << 32 | next.0)
}

/// Notes which messages a commit holds.
fn note(
    names: &mut BTreeMap<u64, String>,
    reach: &mut BTreeMap<String, u64>,
    span: &mut Option<(u64, u64)>,
    body: &[u8],
) {
    for row in Rows::new(body).flatten() {
        match row {
            Row::Topic(topic) => _ = names.insert(topic.number, topic.name.to_owned()),
            Row::Message(message) => {
                let offset = message.record.offset.0;
                let (first, last) = span.unwrap_or((offset, offset));
                *span = Some((first.min(offset), last.max(offset)));
                let name = names.get(&message.topic).cloned().unwrap_or_default();
                let last = reach.entry(name).or_default();
                *last = message.record.offset.0.max(*last);
            }
            Row::Expired(row) => {
                let last = reach.entry(names.get(&row.topic).cloned().unwrap_or_default()).or_default();
                *last = row.last.0.max(*last);
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
}
