//! All files of a directory as they are at one moment, whether a hub has it or not. Nothing in it is changed, and no hub is
//! kept from it.
//!
//! Segments are opened first, and looked for once more: if each still has its name, all of them had it at one moment between,
//! and `HEAD` was read then. What is open stays what it was when segments are merged and removed. Commits go on being
//! written to the end of the last, so where the last whole one ends is found out once, and nothing behind it is read.

use std::io;
use std::path::{Path, PathBuf};

use tidewire_hub_core::frames::scan::{Frame, Item, Scan};
use tidewire_hub_core::frames::{
    CommitNumber, DirectoryId, FRAME_HEADER_BYTES, Merged, SEGMENT_HEADER_BYTES, SegmentNumber,
};

use crate::disk::drive::{self, Drive, DriveFile};
use crate::disk::files::{self, Files, SEGMENT_BYTES_MAX, SegmentFile};
use crate::disk::head::{self, Head};
use crate::disk::merging::Present;
use crate::disk::meta::{self, Meta};
use crate::disk::opening::{HEAD, META, OpenError, SEGMENTS};
use crate::disk::refusal::refusal;
use crate::disk::report::Report;
use crate::disk::survey::Survey;

/// The files of a directory as they were at one moment.
#[derive(Debug)]
pub struct Snapshot {
    pub(crate) directory: PathBuf,
    pub(crate) id: DirectoryId,
    pub(crate) head: Option<Head>,
    segments: Vec<Held>,
    /// Up to here commits are read; `None` where nobody writes.
    end: Option<Place>,
}

/// A segment that is open.
#[derive(Debug)]
struct Held {
    number: SegmentNumber,
    merged: Option<Merged>,
    file: DriveFile,
}

/// Where a commit ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    segment: SegmentNumber,
    at: usize,
}

/// What stands behind the last commit that `HEAD` names.
#[derive(Debug)]
struct Behind {
    /// Where the last of those ends that follow on it.
    end: Place,
    /// The number of the next.
    next: CommitNumber,
    /// Something whole stands behind that all the same.
    goes_on: bool,
}

impl Snapshot {
    /// Takes one of a directory that a hub has written.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn take(directory: &Path) -> Result<Self, OpenError> {
        Self::take_on(&Drive::default(), directory)
    }

    pub(crate) fn take_on(drive: &Drive, directory: &Path) -> Result<Self, OpenError> {
        let path = directory.join(META);
        let id = match meta::read(drive, &path).map_err(|error| unreadable(&path, error))? {
            Meta::Ours(id) => id,
            Meta::Absent => return Err(OpenError::NoLog(directory.to_owned())),
            Meta::Damaged => return Err(OpenError::DamagedMeta(path)),
            Meta::Newer(format) => return Err(OpenError::Newer { directory: directory.to_owned(), format }),
        };
        let files = Files::new(drive.clone(), id, directory.join(SEGMENTS));
        if files.has_strangers().map_err(|(path, error)| unreadable(&path, error))? {
            return Err(OpenError::OthersMeta(path));
        }
        for _ in 0..TRIES {
            if let Some(mut snapshot) = Self::try_take(&files, directory)? {
                let end = snapshot.look_behind().and_then(|found| snapshot.end_of(found.as_ref()));
                snapshot.end = end?;
                return Ok(snapshot);
            }
        }
        Err(OpenError::Restless(directory.to_owned()))
    }

    /// `None` if something changed meanwhile.
    fn try_take(files: &Files, directory: &Path) -> Result<Option<Self>, OpenError> {
        let refused = |error| unreadable(files.folder(), error);
        let found = files.segments_if_any().map_err(refused)?;
        // What fails here fails when they are opened.
        let _ = rlimit::increase_nofile_limit(found.len() as u64 + OWN_FILES);
        let mut segments = Vec::with_capacity(found.len());
        for SegmentFile { number, .. } in found {
            let path = files.path(number);
            match files.drive.look_into(&path) {
                Ok(file) => segments.push((number, file)),
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(unreadable(&path, error)),
            }
        }
        let path = directory.join(HEAD);
        let head =
            head::read(&files.drive, &path, files.directory).map_err(|error| unreadable(&path, error))?;
        let left = files.segments_if_any().map_err(refused)?;
        let is_same = |(number, file): &(SegmentNumber, DriveFile), left: &SegmentFile| {
            *number == left.number && file.place().ok() == drive::place_at(&files.path(left.number))
        };
        if segments.len() != left.len() || !segments.iter().zip(&left).all(|(held, left)| is_same(held, left))
        {
            return Ok(None);
        }
        let hold = |(number, file): (SegmentNumber, DriveFile)| {
            let merged = files.merged_in(number, &file);
            Ok(Held { number, merged: merged.map_err(|error| unreadable(&files.path(number), error))?, file })
        };
        let segments = segments.into_iter().map(hold).collect::<Result<_, OpenError>>()?;
        Ok(Some(Self { directory: directory.to_owned(), id: files.directory, head, segments, end: None }))
    }

    /// What stands behind the last commit that `HEAD` names; `None` where nobody knows which that is.
    fn look_behind(&self) -> Result<Option<Behind>, OpenError> {
        let Some(head) = &self.head else { return Ok(None) };
        let from = Place { segment: head.segment, at: usize::try_from(head.position).unwrap_or(usize::MAX) };
        if self.segments.iter().all(|held| held.number != from.segment || held.merged.is_some()) {
            return Ok(None);
        }
        self.behind(from, head.commit).map(Some)
    }

    /// Where the last whole commit ends, if more is being written behind it: as far as commits follow on each other. `None` where
    /// all that is there is to be read, as it stands.
    fn end_of(&self, found: Option<&Behind>) -> Result<Option<Place>, OpenError> {
        let Some(found) = found else { return Ok(None) };
        if !found.goes_on {
            return Ok(Some(found.end));
        }
        // Bytes are read one after another, while somebody may write: what is missing may have come behind the reader's back,
        // and what comes after it in front of it. Then it is there by now, since commits are written one at a time.
        let again = self.behind(found.end, CommitNumber(found.next.0 - 1))?;
        Ok((again.next > found.next).then_some(found.end))
    }

    /// Looks at what stands behind the last commit, which ends there.
    fn behind(&self, mut end: Place, last: CommitNumber) -> Result<Behind, OpenError> {
        let (mut next, mut goes_on, from) = (last.next(), false, end);
        let mut bytes = Vec::new();
        for held in self.segments.iter().filter(|held| held.number >= from.segment) {
            let read = held.file.read(&mut bytes, SEGMENT_BYTES_MAX);
            read.map_err(|error| unreadable(&self.path(held.number), error))?;
            let is_before = |at: usize| held.number == from.segment && at < from.at;
            for item in Scan::new(self.id, held.number, &bytes, CommitNumber(0)) {
                match item {
                    Item::Frame(frame) if is_before(frame.at) => {}
                    Item::Damage { to, .. } if to <= from.at && held.number == from.segment => {}
                    Item::Frame(frame) => {
                        let follows = held.number > end.segment || frame.at == end.at;
                        if !follows || frame.number != next {
                            goes_on = true;
                            return Ok(Behind { end, next, goes_on });
                        }
                        let at = frame.at + FRAME_HEADER_BYTES + frame.body.len();
                        (end, next) = (Place { segment: held.number, at }, next.next());
                    }
                    Item::Damage { .. } => goes_on = true,
                    Item::Torn { .. } | Item::End { .. } => {}
                }
            }
            if goes_on {
                break;
            }
        }
        Ok(Behind { end, next, goes_on })
    }

    /// Reads all from the first commit to the last, shows each that is whole, and says what is missing.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn scan(&self, visit: impl FnMut(SegmentNumber, Frame<'_>)) -> Result<Report, OpenError> {
        let present = self.present().map_err(|error| unreadable(&self.directory, error))?;
        let read = |number, bytes: &mut Vec<u8>| {
            self.read(number, bytes).map_err(|error| unreadable(&self.path(number), error))
        };
        Ok(Survey::take(self.id, present, self.head.as_ref(), read, visit)?.report)
    }

    /// The segments that count.
    pub(crate) fn present(&self) -> io::Result<Present> {
        let last = self.end.map_or(SegmentNumber(u64::MAX), |end| end.segment);
        let counts = self.segments.iter().filter(|held| held.number <= last);
        let merged = |number| Ok(self.held(number).and_then(|held| held.merged));
        Present::of(counts.map(|held| held.number), merged)
    }

    /// What is read of a segment.
    pub(crate) fn read(&self, number: SegmentNumber, bytes: &mut Vec<u8>) -> io::Result<()> {
        let held = self.held(number).ok_or(io::ErrorKind::NotFound)?;
        held.file.read(bytes, SEGMENT_BYTES_MAX)?;
        if let Some(end) = self.end.filter(|end| end.segment == number) {
            bytes.truncate(end.at);
        }
        Ok(())
    }

    pub(crate) fn path(&self, number: SegmentNumber) -> PathBuf {
        files::path_of(&self.directory.join(SEGMENTS), number)
    }

    fn held(&self, number: SegmentNumber) -> Option<&Held> {
        let place = self.segments.binary_search_by_key(&number, |held| held.number).ok()?;
        self.segments.get(place)
    }

    /// How many bytes a copy takes, about.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        let present = self.present()?;
        let bytes = |number| match (self.end.filter(|end| end.segment == number), self.held(number)) {
            (Some(end), _) => Ok(end.at as u64),
            (None, Some(held)) => held.file.bytes(),
            (None, None) => Ok(SEGMENT_HEADER_BYTES as u64),
        };
        present.counts.into_iter().map(|(number, _)| bytes(number)).sum()
    }
}

/// What the system says of what is only read.
pub(crate) fn unreadable(path: &Path, source: io::Error) -> OpenError {
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::NotReadable(path.to_owned()),
        _ => refusal(path, source),
    }
}

/// So often all segments are opened. Segments come, go and are merged once in a while, and opening them takes a moment.
const TRIES: usize = 100;
/// Open files beside the segments.
const OWN_FILES: u64 = 64;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
    use std::thread;

    use super::*;
    use crate::disk::merging::Merging;
    use crate::disk::opening::fixture::{Log, append};

    /// The number of a commit, as many times as makes its length odd.
    fn body(number: u64) -> Vec<u8> {
        number.to_le_bytes().repeat(1 + (number % 9) as usize)
    }

    /// Merges the first two segments, of which the last third of the commits is needed, or removes the oldest.
    fn tidy(files: &Files, round: u64) {
        let segments = files.segments().unwrap();
        let [first, second, third, ..] = segments[..] else { return };
        if files.is_written_to(third.number) {
            return;
        }
        if round.is_multiple_of(3) {
            return files.remove(first.number).unwrap();
        }
        let mut merging = Merging::new(files, second.number);
        let mut range: Option<(SegmentNumber, CommitNumber, CommitNumber)> = None;
        for segment in [first.number, second.number] {
            let mut bytes = Vec::new();
            files.read(segment, &mut bytes).unwrap();
            let scan = Scan::new(files.directory(), segment, &bytes, CommitNumber(0));
            if let Some(merged) = scan.merged() {
                let (from, begun) =
                    range.map_or((merged.from, merged.first), |(from, first, _)| (from, first));
                range = Some((from, begun, merged.last));
            }
            for item in scan {
                let Item::Frame(frame) = item else { continue };
                let (from, begun) = range.map_or((segment, frame.number), |(from, first, _)| (from, first));
                range = Some((from, begun, frame.number.max(range.map_or(frame.number, |it| it.2))));
                let is_needed = frame.number.0.is_multiple_of(3);
                let write =
                    |out: &mut Vec<u8>| out.extend_from_slice(if is_needed { frame.body } else { &[] });
                merging.add(frame.number, write).unwrap();
            }
        }
        let Some((from, first, last)) = range else { return };
        files.merge(merging, Merged { from, first, last }).unwrap();
    }

    /// Whatever fails, nobody goes on for ever.
    struct Ended<'a>(&'a AtomicBool);

    impl Drop for Ended<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

    /// One writes as fast as it can, another merges and removes; each snapshot holds all that was answered before it, as far
    /// as it is needed, and nothing is missing.
    #[test]
    fn beside_one_who_writes_and_one_who_tidies_nothing_is_missed() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        let files = store.files();
        let (answered, ends) = (AtomicU64::new(0), AtomicBool::new(false));
        let mut seen = 0;
        thread::scope(|scope| {
            scope.spawn(|| {
                while !ends.load(Ordering::Relaxed) {
                    // Tidying keeps up.
                    if files.segments().unwrap().len() > 20 {
                        thread::yield_now();
                        continue;
                    }
                    let number = store.next().0;
                    append(&mut store, &body(number)).unwrap();
                    answered.store(number, Ordering::Release);
                    if let Some(order) = store.spare_order() {
                        store.keep_spare(order.make().unwrap()).unwrap();
                    }
                }
            });
            scope.spawn(|| {
                for round in 0.. {
                    if ends.load(Ordering::Relaxed) {
                        return;
                    }
                    tidy(&files, round);
                }
            });
            let ended = Ended(&ends);
            while answered.load(Ordering::Acquire) < 3_000 || seen < 50 {
                let before = answered.load(Ordering::Acquire);
                // Where all is changed all the time, it is told so.
                let Ok(snapshot) = Snapshot::take_on(&log.drive, &log.folder) else { continue };
                let (mut last, mut numbers) = (0, Vec::new());
                let report = snapshot
                    .scan(|_, frame| {
                        assert_eq!(frame.body, body(frame.number.0));
                        last = frame.number.0;
                        numbers.push(last);
                    })
                    .unwrap();
                assert!(report.is_whole() && report.torn.is_none(), "{before}: {report}");
                assert!(last >= before && last <= answered.load(Ordering::Acquire) + 1, "{before} {last}");
                seen += 1;
            }
            drop(ended);
        });
    }

    #[test]
    fn what_stays_open_stays_what_it_was() {
        let log = Log::with(&[&[1; 200], &[2; 200], &[3; 200]]);
        let (mut store, ..) = log.start();
        let snapshot = Snapshot::take(&log.folder).unwrap();
        append(&mut store, b"later").unwrap();
        store.files().remove(SegmentNumber(1)).unwrap();
        let mut found = Vec::new();
        let report = snapshot.scan(|_, frame| found.push(frame.body.to_vec())).unwrap();
        assert!(report.is_whole(), "{report}");
        assert_eq!(found, [[1; 200], [2; 200], [3; 200]]);
        assert_eq!(Snapshot::take(&log.folder).unwrap().scan(|_, _| {}).unwrap().last, CommitNumber(4));
    }

    /// The third of four commits comes behind the back of whoever reads, or never.
    #[track_caller]
    fn check_behind_the_back(bodies: [&[u8]; 4], segment_of_third: u64, at: usize) {
        let log = Log::with(&bodies[..2]);
        let head = fs::read(log.folder.join(HEAD)).unwrap();
        let (mut store, ..) = log.start();
        bodies[2..].iter().for_each(|body| assert!(append(&mut store, body).is_ok()));
        drop(store);
        fs::write(log.folder.join(HEAD), head).unwrap();
        let path = log.segment(segment_of_third);
        let written = fs::read(&path).unwrap();
        let third = at..at + FRAME_HEADER_BYTES + bodies[2].len();
        log.change(&path, |bytes| bytes[third].fill(0));
        let files =
            Files::new(log.drive.clone(), log.open().unwrap().files().directory(), log.folder.join(SEGMENTS));
        let snapshot = Snapshot::try_take(&files, &log.folder).unwrap().unwrap();
        let found = snapshot.look_behind().unwrap().unwrap();
        assert_eq!((found.next, found.goes_on), (CommitNumber(3), true));
        assert_eq!(snapshot.end_of(Some(&found)).unwrap(), None, "it never comes, so it is missing");
        fs::write(&path, written).unwrap();
        assert_eq!(snapshot.end_of(Some(&found)).unwrap(), Some(found.end), "it came");
        let end = snapshot.look_behind().unwrap().unwrap();
        assert_eq!((end.next, end.goes_on), (CommitNumber(5), false));
    }

    #[test]
    fn what_comes_behind_a_readers_back_is_told_from_what_is_missing() {
        let second_ends = |first: usize| SEGMENT_HEADER_BYTES + 2 * FRAME_HEADER_BYTES + first + 3;
        check_behind_the_back([b"one", b"two", b"three", b"four"], 1, second_ends(3));
        // At the end of a segment, and at the beginning of one.
        check_behind_the_back([&[1; 100], b"two", &[3; 50], &[4; 200]], 1, second_ends(100));
        check_behind_the_back([&[1; 200], b"two", &[3; 100], &[4; 40]], 2, SEGMENT_HEADER_BYTES);
    }

    #[test]
    fn what_is_no_log_is_refused() {
        let log = Log::new();
        fs::create_dir_all(&log.folder).unwrap();
        assert!(matches!(Snapshot::take(&log.folder), Err(OpenError::NoLog(_))));
        fs::write(log.folder.join("META"), "something").unwrap();
        assert!(matches!(Snapshot::take(&log.folder), Err(OpenError::DamagedMeta(_))));
    }
}
