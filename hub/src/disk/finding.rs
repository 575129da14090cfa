//! Finds messages in the segments by their offsets, for readers of what is not in memory: a log's offsets rise from commit to
//! commit, so of each segment it is enough to know now and then which offset stands where.
//!
//! Segments are removed and merged meanwhile. What is known of them may be old: then something is not found, and it is looked
//! for anew. What is found is right in any case, since each commit is checked.

use std::collections::BTreeMap;
use std::io;

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{
    CommitNumber, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentNumber,
};
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::reading::fetch::Fetch;
use tidewire_protocol::number::Offset;

use crate::disk::files::Files;

/// Finds messages.
#[derive(Debug)]
pub struct Finder {
    files: Files,
    /// The segments that count, the oldest first.
    segments: Vec<SegmentNumber>,
    guides: BTreeMap<SegmentNumber, Guide>,
    bytes: Vec<u8>,
}

/// What stands where in a segment.
#[derive(Debug)]
struct Guide {
    /// Offsets, and where the commits begin whose first they are.
    marks: Vec<(Offset, u64)>,
    /// Up to here it was gone through.
    end: u64,
}

/// A part of a segment.
#[derive(Debug, Clone, Copy)]
struct Window {
    segment: SegmentNumber,
    from: u64,
    to: u64,
    /// What stands there lies before this offset.
    before: Offset,
}

impl Finder {
    /// Knows nothing yet.
    #[must_use]
    pub const fn new(files: Files) -> Self {
        Self { files, segments: Vec::new(), guides: BTreeMap::new(), bytes: Vec::new() }
    }

    /// Reads what is wanted, as far as it is there.
    ///
    /// # Errors
    /// What the system says. Some may have been read.
    pub fn find(&mut self, fetch: &mut Fetch) -> io::Result<()> {
        let mut looked = self.look(fetch);
        let mut is_same = false;
        for _ in 0..LOOKS_MAX {
            if looked.is_ok() && (is_same || fetch.missing().is_none()) {
                return Ok(());
            }
            // A segment was merged or removed since it was looked at, or a new one was begun.
            self.segments = self.listed()?;
            self.guides.clear();
            looked = self.look(fetch);
            is_same = self.segments == self.listed()?;
        }
        looked
    }

    fn listed(&self) -> io::Result<Vec<SegmentNumber>> {
        Ok(self.files.present()?.counts.into_iter().map(|(number, _)| number).collect())
    }

    fn look(&mut self, fetch: &mut Fetch) -> io::Result<()> {
        if self.segments.is_empty() {
            self.segments = self.listed()?;
        }
        if self.guides.len() > GUIDES_MAX {
            self.guides.clear();
        }
        let mut from = Offset(0);
        while let Some(wanted) = fetch.next_missing(from) {
            let Some(window) = self.window(wanted)? else {
                from = wanted.next();
                continue;
            };
            self.read(window.segment, window.from, window.to)?;
            let scan = Scan::new(self.files.directory(), window.segment, &self.bytes, CommitNumber(0));
            for item in scan {
                if let Item::Frame(frame) = item {
                    fetch.see(frame.body);
                }
            }
            from = window.before.max(wanted.next());
        }
        Ok(())
    }

    /// Where a message stands, if it is there.
    fn window(&mut self, wanted: Offset) -> io::Result<Option<Window>> {
        let (mut low, mut high, mut found) = (0, self.segments.len(), None);
        while low < high {
            let mut middle = low + (high - low) / 2;
            let first = loop {
                match self.first(self.segments[middle])? {
                    // One without messages is as if it were not there.
                    None if middle + 1 < high => middle += 1,
                    first => break first,
                }
            };
            match first {
                Some(first) if first <= wanted => (found, low) = (Some(middle), middle + 1),
                Some(_) | None => high = low + (high - low) / 2,
            }
        }
        let Some(segment) = found.map(|index| self.segments[index]) else { return Ok(None) };
        let guide =
            self.guide(segment, |guide| guide.marks.last().is_some_and(|(last, _)| *last > wanted))?;
        let at = guide.marks.partition_point(|(offset, _)| *offset <= wanted);
        let next = guide.marks.get(at).copied();
        let Some((_, from)) = at.checked_sub(1).map(|at| guide.marks[at]) else { return Ok(None) };
        let (before, to) = next.unwrap_or((Offset(0), guide.end));
        Ok(Some(Window { segment, from, to, before }))
    }

    /// The first message of a segment.
    fn first(&mut self, segment: SegmentNumber) -> io::Result<Option<Offset>> {
        let guide = self.guide(segment, |guide| !guide.marks.is_empty())?;
        Ok(guide.marks.first().map(|(offset, _)| *offset))
    }

    /// What is known of a segment once it was gone through so far that this is enough, or to its end.
    fn guide(&mut self, segment: SegmentNumber, is_enough: impl Fn(&Guide) -> bool) -> io::Result<&Guide> {
        let begin = SEGMENT_HEADER_BYTES as u64;
        let mut guide = self.guides.remove(&segment).unwrap_or(Guide { marks: Vec::new(), end: begin });
        let mut step = STEP_BYTES;
        let bytes = self.files.bytes_of(segment)?;
        while !is_enough(&guide) && guide.end < bytes {
            let to = bytes.min(guide.end + step);
            self.read(segment, guide.end, to)?;
            let (from, before) = (guide.end, guide.end);
            for item in Scan::new(self.files.directory(), segment, &self.bytes, CommitNumber(0)) {
                let Item::Frame(frame) = item else { continue };
                let at = from + (frame.at - SEGMENT_HEADER_BYTES) as u64;
                guide.pass(at, frame.body);
            }
            if guide.end > before {
                step = STEP_BYTES;
            } else if to < bytes && self.bytes[SEGMENT_HEADER_BYTES..].iter().any(|byte| *byte != 0) {
                step *= 8;
            } else {
                break;
            }
        }
        Ok(self.guides.entry(segment).or_insert(guide))
    }

    /// Reads a part of a segment, behind a header as that has one.
    fn read(&mut self, segment: SegmentNumber, from: u64, to: u64) -> io::Result<()> {
        let header = SegmentHeader { directory: self.files.directory(), segment, merged: None };
        self.bytes.clear();
        self.bytes.extend_from_slice(&header.bytes());
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        self.bytes.resize(SEGMENT_HEADER_BYTES + len, 0);
        self.files.read_at(segment, from, &mut self.bytes[SEGMENT_HEADER_BYTES..])
    }
}

impl Guide {
    /// A commit stands here.
    fn pass(&mut self, at: u64, body: &[u8]) {
        self.end = at + (FRAME_HEADER_BYTES + body.len()) as u64;
        let is_due = self.marks.last().is_none_or(|(_, last)| at >= last + WINDOW_BYTES);
        let first = |row: Row<'_>| match row {
            Row::Message(message) => Some(message.record.offset),
            _ => None,
        };
        if is_due && let Some(offset) = Rows::new(body).map_while(Result::ok).find_map(first) {
            self.marks.push((offset, at));
        }
    }
}

/// So often it is looked anew, while other segments come and go.
const LOOKS_MAX: usize = 8;
/// A segment is gone through in such steps.
const STEP_BYTES: u64 = 1 << 20;
/// So much is read for one message at least; and for each so many bytes 16 are kept in memory.
const WINDOW_BYTES: u64 = 64 << 10;
/// Segments of which it is known what stands where: 64 MiB of memory for 256 GiB of them.
const GUIDES_MAX: usize = 4_096;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_hub_core::log::rows::writing::Scribe;
    use tidewire_hub_core::log::rows::{MessageRow, TopicRow};
    use tidewire_hub_core::record::Record;
    use tidewire_protocol::code::Content;

    use super::*;
    use crate::disk::merging::Merging;
    use crate::disk::opening::fixture::{Log, append};
    use tidewire_hub_core::frames::Merged;

    /// Messages of these offsets in one commit.
    fn commit(offsets: &[u64]) -> Vec<u8> {
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        let (gone, last, removals_gone) = (Offset(0), Offset(0), Offset(0));
        scribe.topic(&TopicRow { number: 1, name: "t", gone, last, removals_gone });
        for offset in offsets {
            let payload = vec![b'x'; 40];
            let (offset, content) = (Offset(*offset), Content::Binary);
            let record = Record { offset, content, payload: &payload, ..Record::default() };
            scribe.message(&MessageRow { topic: 1, prev: Offset(0), numbered: None, record });
        }
        body
    }

    fn missing(finder: &mut Finder, offsets: &[u64]) -> Option<u64> {
        let mut fetch = Fetch::new(0, offsets.iter().map(|offset| Offset(*offset)).collect());
        finder.find(&mut fetch).unwrap();
        fetch.missing().map(|offset| offset.0)
    }

    #[test]
    fn each_message_is_found_wherever_it_is_and_whatever_was_begun_since() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        let mut finder = Finder::new(store.files());
        for number in 0..30 {
            append(&mut store, &commit(&[number * 10 + 3, number * 10 + 5])).unwrap();
            assert_eq!(missing(&mut finder, &[number * 10 + 3, number * 10 + 5]), None, "{number}");
        }
        assert!(store.files().segments().unwrap().len() > 10);
        let all: Vec<_> = (0..30).flat_map(|number| [number * 10 + 3, number * 10 + 5]).collect();
        assert_eq!(missing(&mut finder, &all), None);
        assert_eq!(missing(&mut finder, &[3, 4, 13]), Some(4));
        assert_eq!(missing(&mut finder, &[2]), Some(2));
        assert_eq!(missing(&mut finder, &[13, 300]), Some(300));
    }

    #[test]
    fn what_was_merged_or_removed_since_it_was_looked_at_is_looked_for_anew() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        for number in 1..=20 {
            append(&mut store, &commit(&[number])).unwrap();
        }
        let files = store.files();
        let mut finder = Finder::new(files.clone());
        let all: Vec<_> = (1..=20).collect();
        assert_eq!(missing(&mut finder, &all), None);
        let per_segment = {
            let mut bytes = Vec::new();
            files.read(SegmentNumber(1), &mut bytes).unwrap();
            let scan = Scan::new(files.directory(), SegmentNumber(1), &bytes, CommitNumber(0));
            scan.filter(|item| matches!(item, Item::Frame(_))).count() as u64
        };
        let last = 3 * per_segment;
        let mut merging = Merging::new(&files, SegmentNumber(3));
        for number in 2..=last {
            merging.add(CommitNumber(number), |out| out.extend_from_slice(&commit(&[number]))).unwrap();
        }
        let merged = Merged { from: SegmentNumber(1), first: CommitNumber(1), last: CommitNumber(last) };
        files.merge(merging, merged).unwrap();
        assert_eq!(missing(&mut finder, &all[1..]), None);
        assert_eq!(missing(&mut finder, &all), Some(1));
        files.remove(SegmentNumber(3)).unwrap();
        assert_eq!(missing(&mut finder, &[last]), Some(last));
        assert_eq!(missing(&mut finder, &[last + 1, 20]), None);
    }
}
