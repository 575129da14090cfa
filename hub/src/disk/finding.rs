//! Finds messages in the segments by their offsets, for readers of what is not in memory: a log's offsets rise from commit to
//! commit, so of each segment it is enough to know now and then which offset stands where.
//!
//! Segments are removed and merged meanwhile. What is known of them may be old: then something is not found, and it is looked
//! for anew. What is found is right in any case, since each commit is checked.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use tidewire_hub_core::frames::scan::{Item, Scan};
use tidewire_hub_core::frames::{
    CommitNumber, FRAME_HEADER_BYTES, Merged, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentNumber,
};
use tidewire_hub_core::log::rows::Row;
use tidewire_hub_core::log::rows::reading::Rows;
use tidewire_hub_core::reading::fetch::Fetch;
use tidewire_protocol::number::Offset;

use crate::disk::drive::is_bad_block;
use crate::disk::files::Files;

/// Finds messages.
#[derive(Debug)]
pub struct Finder {
    files: Files,
    /// The segments that count, the oldest first.
    segments: Vec<Listed>,
    guides: BTreeMap<SegmentNumber, Guide>,
    bytes: Vec<u8>,
    /// What the system said first that it cannot, in this look.
    failed: Option<io::Error>,
    /// Segments that are not read any more in this look.
    unread: BTreeSet<SegmentNumber>,
    /// So many bytes more may be read in this turn.
    left: u64,
    /// The turn ended before it was known where something stands.
    is_cut: bool,
}

/// A segment as it was when it was listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Listed {
    number: SegmentNumber,
    merged: Option<Merged>,
    bytes: u64,
}

/// What stands where in a segment.
#[derive(Debug)]
struct Guide {
    /// Offsets, and where the commits begin whose first they are.
    marks: Vec<(Offset, u64)>,
    /// Up to here it was gone through.
    end: u64,
    /// Nothing comes behind that.
    is_done: bool,
    /// Some of it could not be read.
    has_holes: bool,
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
        Self {
            files,
            segments: Vec::new(),
            guides: BTreeMap::new(),
            bytes: Vec::new(),
            failed: None,
            unread: BTreeSet::new(),
            left: 0,
            is_cut: false,
        }
    }

    /// Reads what is wanted, as far as it is there, and as a turn is long: the rest is not wanted any more then, and may be all
    /// of it, while what is known of the segments grows. What is not found then is not there, unless this fails.
    ///
    /// # Errors
    /// What the system says. The rest was read, and what is missing is in doubt.
    pub fn find(&mut self, fetch: &mut Fetch) -> io::Result<()> {
        self.find_some(fetch).inspect_err(|_| fetch.doubt())
    }

    fn find_some(&mut self, fetch: &mut Fetch) -> io::Result<()> {
        if self.segments.last().is_none_or(|last| !self.files.is_written_to(last.number)) {
            self.list()?;
        }
        let mut looked = self.look(fetch, TURN_BYTES);
        let mut is_same = false;
        for _ in 0..LOOKS_MAX {
            if fetch.missing().is_none() {
                return Ok(());
            }
            if is_same {
                return looked;
            }
            // A segment was merged or removed since it was looked at. Or it is not there: that is only said by one that was gone
            // through anew.
            self.list()?;
            self.forget_around(fetch);
            let listed = self.segments.clone();
            // At once, however long that is: by the next turn nobody would know that it was begun.
            looked = self.look(fetch, u64::MAX);
            self.list()?;
            is_same = self.segments == listed;
        }
        if fetch.missing().is_none() { Ok(()) } else { Err(io::Error::other("segments come and go")) }
    }

    /// Lists the segments, and keeps what is known of those that are as they were.
    fn list(&mut self) -> io::Result<()> {
        let merged = self.files.present()?.counts;
        let bytes: BTreeMap<_, _> =
            self.files.segments()?.into_iter().map(|segment| (segment.number, segment.bytes)).collect();
        let listed = merged
            .into_iter()
            .filter_map(|(number, merged)| Some(Listed { number, merged, bytes: *bytes.get(&number)? }));
        let former = std::mem::replace(&mut self.segments, listed.collect());
        // One that is written to only grows.
        let is_same = |one: &Listed, other: &Listed| {
            one.merged == other.merged && (one.merged.is_none() || one.bytes == other.bytes)
        };
        let find = |number: SegmentNumber, among: &[Listed]| {
            among.iter().find(|listed| listed.number == number).copied()
        };
        self.guides.retain(|number, _| match (find(*number, &former), find(*number, &self.segments)) {
            (Some(former), Some(listed)) => is_same(&former, &listed),
            (None, _) | (_, None) => false,
        });
        if let Some(guide) = former.last().and_then(|last| self.guides.get_mut(&last.number)) {
            guide.is_done = false;
        }
        Ok(())
    }

    /// Forgets what is known of those segments where something is missing.
    fn forget_around(&mut self, fetch: &Fetch) {
        let (mut places, mut from) = (BTreeSet::new(), Offset(0));
        while let Some(missing) = fetch.next_missing(from) {
            places.extend(self.place(missing));
            from = missing.next();
        }
        for place in places {
            self.guides.remove(&self.segments[place].number);
        }
    }

    fn look(&mut self, fetch: &mut Fetch, bytes_max: u64) -> io::Result<()> {
        (self.failed, self.unread) = (None, BTreeSet::new());
        (self.left, self.is_cut) = (bytes_max, false);
        self.guides.retain(|_, guide| !guide.has_holes);
        if self.guides.len() > GUIDES_MAX {
            self.guides.clear();
        }
        // More may have been written since.
        if let Some(guide) = self.segments.last().and_then(|last| self.guides.get_mut(&last.number)) {
            guide.is_done = false;
        }
        let mut from = Offset(0);
        while let Some(wanted) = fetch.next_missing(from) {
            let window = self.window(wanted);
            if self.is_cut {
                fetch.cut(wanted);
                break;
            }
            let Some(window) = window else {
                from = wanted.next();
                continue;
            };
            self.spend(window.to - window.from);
            if self.read(window.segment, window.from, window.to).is_some() {
                let directory = self.files.directory();
                for item in Scan::new(directory, window.segment, &self.bytes, CommitNumber(0)) {
                    if let Item::Frame(frame) = item {
                        fetch.see(frame.body);
                    }
                }
            }
            from = window.before.max(wanted.next());
            if self.left == 0 {
                fetch.next_missing(from).into_iter().for_each(|next| fetch.cut(next));
            }
        }
        self.failed.take().map_or(Ok(()), Err)
    }

    /// In which segment a message stands, if it is there.
    fn place(&mut self, wanted: Offset) -> Option<usize> {
        let (mut low, mut high, mut found) = (0, self.segments.len(), None);
        while low < high {
            let mut middle = low + (high - low) / 2;
            let first = loop {
                match self.first(middle) {
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
        found
    }

    /// Where a message stands, if it is there.
    fn window(&mut self, wanted: Offset) -> Option<Window> {
        let place = self.place(wanted)?;
        let segment = self.segments[place].number;
        let is_enough = |guide: &Guide| guide.marks.last().is_some_and(|(last, _)| *last > wanted);
        let guide = self.guide(segment, is_enough)?;
        let at = guide.marks.partition_point(|(offset, _)| *offset <= wanted);
        let (next, end) = (guide.marks.get(at).copied(), guide.end);
        let (_, from) = guide.marks[at.checked_sub(1)?];
        let (before, to) = next.unwrap_or_else(|| (self.first_behind(place), end));
        Some(Window { segment, from, to, before })
    }

    /// The first message of a segment.
    fn first(&mut self, place: usize) -> Option<Offset> {
        let segment = self.segments[place].number;
        let guide = self.guide(segment, |guide| !guide.marks.is_empty())?;
        guide.marks.first().map(|(offset, _)| *offset)
    }

    /// The first message behind a segment; the largest number if there is none.
    fn first_behind(&mut self, place: usize) -> Offset {
        let first = (place + 1..self.segments.len()).find_map(|place| self.first(place));
        first.unwrap_or(Offset(u64::MAX))
    }

    /// What is known of a segment once it was gone through so far that this is enough, or to its end; `None` if it cannot be
    /// read, or not in this turn.
    fn guide(&mut self, segment: SegmentNumber, is_enough: impl Fn(&Guide) -> bool) -> Option<&Guide> {
        let mut guide = self.guides.remove(&segment).unwrap_or_else(Guide::new);
        let mut step = STEP_BYTES;
        let mut is_read = true;
        while is_read && !guide.is_done && !is_enough(&guide) {
            // In the midst of a commit the next turn would begin it anew, and where there are holes, the whole segment.
            if self.left == 0 && step == STEP_BYTES && !guide.has_holes {
                self.is_cut = true;
                is_read = false;
                break;
            }
            let Some(bytes) = self.bytes_of(segment) else {
                is_read = false;
                break;
            };
            let to = bytes.min(guide.end.saturating_add(step));
            let Some(has_holes) = self.read(segment, guide.end, to) else {
                is_read = false;
                break;
            };
            guide.has_holes |= has_holes;
            if !guide.has_holes {
                self.spend(to - guide.end);
            }
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
                guide.is_done = true;
            }
        }
        let guide = self.guides.entry(segment).or_insert(guide);
        is_read.then_some(guide)
    }

    /// Something was read in this turn: that takes its time, however short it is.
    const fn spend(&mut self, bytes: u64) {
        let spent = if bytes > SHORT_BYTES { bytes } else { SHORT_BYTES };
        self.left = self.left.saturating_sub(spent);
    }

    fn bytes_of(&mut self, segment: SegmentNumber) -> Option<u64> {
        let bytes = self.files.bytes_of(segment);
        bytes.map_err(|error| self.leave(segment, error)).ok()
    }

    /// Reads a part of a segment, behind a header as that has one, and tells whether that has holes; `None` if it cannot be read.
    fn read(&mut self, segment: SegmentNumber, from: u64, to: u64) -> Option<bool> {
        if self.unread.contains(&segment) {
            return None;
        }
        let header = SegmentHeader { directory: self.files.directory(), segment, merged: None };
        self.bytes.clear();
        self.bytes.extend_from_slice(&header.bytes());
        let len = usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX);
        self.bytes.resize(SEGMENT_HEADER_BYTES + len, 0);
        let bytes = &mut self.bytes[SEGMENT_HEADER_BYTES..];
        let read = match self.files.read_at(segment, from, bytes) {
            Err(error) if is_bad_block(&error) => {
                self.failed.get_or_insert(error);
                self.files.read_around(segment, from, bytes)
            }
            read => read.map(|()| false),
        };
        read.map_err(|error| self.leave(segment, error)).ok()
    }

    /// A segment cannot be read: nothing is said of what it has.
    fn leave(&mut self, segment: SegmentNumber, error: io::Error) {
        self.failed.get_or_insert(error);
        self.unread.insert(segment);
    }
}

impl Guide {
    const fn new() -> Self {
        Self { marks: Vec::new(), end: SEGMENT_HEADER_BYTES as u64, is_done: false, has_holes: false }
    }

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
/// So much is read for one asker before others have their turns, about: some milliseconds. A commit is read whole.
const TURN_BYTES: u64 = 4 << 20;
/// Less than that takes no less time to be read.
const SHORT_BYTES: u64 = 4 << 10;
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
    use crate::disk::drive::Operation;
    use crate::disk::merging::Merging;
    use crate::disk::opening::fixture::{Log, append};

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

    /// A log of one segment with so many commits of a message each, some 120 bytes long, and who finds them there.
    fn long(count: u64) -> (Log, Finder) {
        let mut log = Log::new();
        (log.sizes.segment_bytes, log.sizes.step_bytes) = (1 << 20, 1 << 20);
        let (mut store, ..) = log.start();
        for number in 1..=count {
            append(&mut store, &commit(&[number])).unwrap();
        }
        let finder = Finder::new(store.files());
        (log, finder)
    }

    #[test]
    fn what_cannot_be_read_for_a_while_is_in_doubt_and_not_missing() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        for number in 1..=20 {
            append(&mut store, &commit(&[number])).unwrap();
        }
        let all: Vec<_> = (1..=20).map(Offset).collect();
        // Whatever it is that fails, the first time that somebody looks or later on.
        for failing in 0..40 {
            for knows in [false, true] {
                let mut finder = Finder::new(store.files());
                if knows {
                    finder.find(&mut Fetch::new(0, all.clone())).unwrap();
                }
                log.drive.faults.fail(None, ".seg", failing, io::ErrorKind::Other);
                let mut fetch = Fetch::new(0, all.clone());
                let found = finder.find(&mut fetch);
                assert_eq!(found.is_err(), fetch.missing().is_some(), "{failing}");
                assert_eq!(fetch.is_in_doubt(), fetch.missing() == Some(Offset(1)), "{failing}");
                log.drive.faults.none_is_left();
                assert_eq!(missing(&mut finder, &(1..=20).collect::<Vec<_>>()), None, "{failing}");
            }
        }
    }

    #[test]
    fn around_a_bad_block_all_is_found() {
        let (log, mut finder) = long(2_000);
        let all: Vec<_> = (1..=2_000).map(Offset).collect();
        for knows in [false, true] {
            if knows {
                log.drive.faults.mend();
                finder.find(&mut Fetch::new(0, all.clone())).unwrap();
            }
            log.drive.faults.spoil("1.seg", 100_000);
            let mut fetch = Fetch::new(0, all.clone());
            finder.find(&mut fetch).unwrap_err();
            let lacking = all.iter().filter(|offset| fetch.next_missing(**offset) == Some(**offset)).count();
            assert!((1..100).contains(&lacking), "{lacking} of 2,000");
            assert!(!fetch.is_in_doubt(), "those before it can be told");
        }
        log.drive.faults.mend();
        assert_eq!(missing(&mut finder, &(1..=2_000).collect::<Vec<_>>()), None);
    }

    #[test]
    fn a_part_of_a_segment_is_read_once_for_all_that_is_wanted_there() {
        let (log, mut finder) = long(2_000);
        let reads = |finder: &mut Finder, offsets: &[u64]| {
            log.drive.faults.asked();
            let missing = missing(finder, offsets);
            let asked = log.drive.faults.asked();
            (missing, asked.iter().filter(|(operation, _)| *operation == Operation::Read).count())
        };
        let all: Vec<_> = (1..=2_000).collect();
        assert_eq!(missing(&mut finder, &all), None);
        let (missing, count) = reads(&mut finder, &all);
        assert_eq!(missing, None);
        assert!(count < 10, "{count} reads of 64 KiB for 230 KB");
        let behind: Vec<_> = (2_001..=4_000).collect();
        let (missing, count) = reads(&mut finder, &behind);
        assert_eq!(missing, Some(2_001));
        assert!(count < 10, "{count} reads for what is not there");
    }

    /// A log of so many commits, each a small message and one of so many bytes behind it, and who finds them there.
    fn sparse(count: u64, bytes: usize) -> (Log, Finder) {
        let mut log = Log::new();
        (log.sizes.segment_bytes, log.sizes.step_bytes) = (8 << 20, 1 << 20);
        let (mut store, ..) = log.start();
        for number in 1..=count {
            let mut body = commit(&[number * 2]);
            let mut scribe = Scribe::new(&mut body);
            let payload = vec![b'x'; bytes];
            let (offset, content) = (Offset(number * 2 + 1), Content::Binary);
            let record = Record { offset, content, payload: &payload, ..Record::default() };
            scribe.message(&MessageRow { topic: 1, prev: Offset(0), numbered: None, record });
            append(&mut store, &body).unwrap();
        }
        let finder = Finder::new(store.files());
        log.drive.faults.bytes();
        (log, finder)
    }

    /// What is read for the small ones, turn by turn: how many bytes, and how many were found. Which of them were not found at all.
    fn turns(log: &Log, finder: &mut Finder, mut wanted: Vec<u64>) -> (Vec<(u64, usize)>, Vec<u64>) {
        let (mut turns, mut lacking) = (Vec::new(), Vec::new());
        while !wanted.is_empty() {
            let mut fetch = Fetch::new(0, wanted.iter().map(|offset| Offset(*offset)).collect());
            let found = finder.find(&mut fetch);
            assert!(found.is_ok() || fetch.offsets().is_empty() || fetch.missing().is_some());
            let looked: Vec<_> = fetch.offsets().iter().map(|offset| offset.0).collect();
            assert_eq!(looked, wanted[..looked.len()]);
            let missing = |offset: &&u64| fetch.next_missing(Offset(**offset)) == Some(Offset(**offset));
            lacking.extend(looked.iter().filter(missing));
            turns.push((log.drive.faults.bytes(), looked.len()));
            wanted.drain(..looked.len());
            assert!(turns.len() < 500, "it comes to an end: {turns:?}");
        }
        (turns, lacking)
    }

    fn smalls(count: u64) -> Vec<u64> {
        (1..=count).map(|number| number * 2).collect()
    }

    #[test]
    fn a_turn_reads_so_many_bytes_and_the_next_goes_on() {
        let (log, mut finder) = sparse(50, 300_000);
        // The last step to one, and the one itself, may be beyond.
        let most = TURN_BYTES + STEP_BYTES + 310_000;
        for knows in [false, true] {
            let (turns, lacking) = turns(&log, &mut finder, smalls(50));
            assert_eq!(lacking, [0; 0]);
            assert!(turns.iter().all(|(bytes, _)| *bytes <= most), "{turns:?}");
            if knows {
                assert!(turns.iter().all(|(_, found)| *found > 0), "each brings some: {turns:?}");
                assert!(turns.len() < 6, "and no fewer than fit: {turns:?}");
            }
        }
        let mut finder = Finder { segments: Vec::new(), guides: BTreeMap::new(), ..finder };
        let (turns, lacking) = turns(&log, &mut finder, vec![100]);
        assert_eq!(lacking, [0; 0]);
        assert!(turns.iter().all(|(bytes, _)| *bytes <= most), "finding one is bounded too: {turns:?}");
    }

    #[test]
    fn what_is_longer_than_a_turn_is_found_in_one() {
        let (log, mut finder) = sparse(2, TURN_BYTES as usize * 2);
        for _ in 0..2 {
            assert_eq!(turns(&log, &mut finder, smalls(2)).1, [0; 0]);
        }
    }

    #[test]
    fn around_a_bad_block_all_is_found_in_turns_too() {
        for bad in [70, 3 << 20, 6 << 20] {
            for name in ["1.seg", "2.seg"] {
                let (log, mut finder) = sparse(50, 300_000);
                log.drive.faults.spoil(name, bad);
                let (_, lacking) = turns(&log, &mut finder, smalls(50));
                assert!((1..=3).contains(&lacking.len()), "{lacking:?} at {bad} of {name}");
                log.drive.faults.mend();
                assert_eq!(turns(&log, &mut finder, smalls(50)).1, [0; 0]);
            }
        }
    }
}
