//! Takes commits, one at a time: each is on the disk before the next comes.

use std::io;
use std::path::PathBuf;

use tidewire_hub_core::frames::{self, CommitNumber, DirectoryId, SegmentNumber, TooLong};

use crate::disk::drive::DriveFile;
use crate::disk::files::Files;
use crate::disk::head::{End, Head, HeadFile};
use crate::disk::segment::{Segment, Sizes, WriteError, full_or_failed};

/// A directory that was started. It belongs to one thread; others have [`Files`].
#[derive(Debug)]
pub struct Store {
    pub(crate) files: Files,
    pub(crate) sizes: Sizes,
    pub(crate) segment: Segment,
    pub(crate) spare: Option<Segment>,
    /// The last that was to be made ahead.
    pub(crate) ordered: SegmentNumber,
    /// The number that the next segment gets.
    pub(crate) next_segment: SegmentNumber,
    pub(crate) head_file: HeadFile,
    pub(crate) head: Head,
    /// The number that the next commit gets.
    pub(crate) next: CommitNumber,
    /// Something failed, and it is not known what is on the disk.
    pub(crate) failed: bool,
    /// Nobody else opens the directory while this is open.
    pub(crate) _locks: [DriveFile; 2],
}

/// A commit that is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Appended {
    /// Its number.
    pub number: CommitNumber,
    /// Where it is.
    pub segment: SegmentNumber,
    /// Where its frame begins.
    pub at: u64,
    /// It is the first in its segment: those before get no more.
    pub begins_segment: bool,
}

/// Why a commit is not on the disk.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// It is longer than any may be.
    #[error(transparent)]
    TooLong(#[from] TooLong),
    /// There is no room. Nothing of it counts, and the next may have more luck.
    #[error("the disk is full")]
    Full,
    /// It is not known whether it is on the disk: it may be found when the directory is opened again, or not. Nothing more
    /// is written until then.
    #[error("the log could not be written: {0}")]
    Failed(#[source] io::Error),
    /// An earlier one failed, and nothing of this was written.
    #[error("the log takes nothing more since a write failed; it is to be opened anew")]
    Stopped,
}

/// What is needed to make a segment ahead.
#[derive(Debug)]
pub struct SpareOrder {
    files: Files,
    number: SegmentNumber,
    sizes: Sizes,
}

/// A segment that was made ahead. It has yet to get its name: meanwhile the store may have made one itself.
#[derive(Debug)]
pub struct Spare {
    segment: Segment,
    path: PathBuf,
}

impl Store {
    /// Writes a frame that was [begun](frames::begin), and its number with it, and waits until it is on the disk.
    ///
    /// # Errors
    /// See [`AppendError`].
    pub fn append(&mut self, frame: &mut [u8]) -> Result<Appended, AppendError> {
        if self.failed {
            return Err(AppendError::Stopped);
        }
        let number = self.next;
        // Before a segment is begun for it.
        frames::seal(frame, number, self.segment.seeds)?;
        let written = self.write(frame, number);
        self.failed = matches!(written, Err(AppendError::Failed(_)));
        let appended = written?;
        self.next = number.next();
        Ok(appended)
    }

    fn write(&mut self, frame: &mut [u8], number: CommitNumber) -> Result<Appended, AppendError> {
        let empty = frames::SEGMENT_HEADER_BYTES as u64;
        if self.segment.end > empty && self.segment.end + frame.len() as u64 > self.sizes.segment_bytes {
            self.roll().map_err(full_or_failed)?;
            frames::seal(frame, number, self.segment.seeds)?;
        }
        let (segment, at) = (self.segment.number, self.segment.end);
        self.segment.write(frame, &self.sizes)?;
        let (position, was) = (self.segment.end, self.head.end);
        self.head = Head { end: End::Open, commit: number, segment, position, ..self.head };
        self.head_file.write(&self.head).map_err(AppendError::Failed)?;
        if was == End::Copied {
            // Should the power fail, the identity that whoever is answered now learns would be another again.
            self.head_file.sync().map_err(AppendError::Failed)?;
        }
        Ok(Appended { number, segment, at, begins_segment: at == empty })
    }

    fn roll(&mut self) -> io::Result<()> {
        let next = match self.spare.take() {
            Some(segment) => segment,
            None => Segment::make(&self.files, self.next_segment, &[], &self.sizes)?,
        };
        self.next_segment = next.number.next();
        self.files.activate(next.number);
        std::mem::replace(&mut self.segment, next).finish();
        Ok(())
    }

    /// The number that the next commit gets. It is above that of each that was answered, be it lost or not.
    #[must_use]
    pub const fn next(&self) -> CommitNumber {
        self.next
    }

    /// How often the directory was started, this time included: no number comes twice.
    #[cfg(test)]
    #[must_use]
    pub const fn boot(&self) -> u64 {
        self.head.boot
    }

    /// The directory's id.
    #[must_use]
    pub const fn directory(&self) -> DirectoryId {
        self.files.directory
    }

    /// The segment that the next commit goes to, if it fits.
    #[cfg(test)]
    #[must_use]
    pub const fn segment(&self) -> SegmentNumber {
        self.segment.number
    }

    /// How long segments are.
    #[must_use]
    pub const fn segment_bytes(&self) -> u64 {
        self.sizes.segment_bytes
    }

    /// The segments, for other threads.
    #[must_use]
    pub fn files(&self) -> Files {
        self.files.clone()
    }

    /// What is to be made ahead, once for each segment: this one is half full. Another thread makes it, with
    /// [`SpareOrder::make`]; without, the commit that needs it waits for it.
    #[must_use]
    pub fn spare_order(&mut self) -> Option<SpareOrder> {
        let number = self.next_segment;
        if self.ordered == number || self.segment.end <= self.sizes.segment_bytes / 2 {
            return None;
        }
        self.ordered = number;
        Some(SpareOrder { files: self.files.clone(), number, sizes: self.sizes })
    }

    /// Takes a segment that was made ahead. One that comes too late is removed.
    ///
    /// # Errors
    /// What the system says. It is no harm: the store makes a segment when it needs one.
    pub fn keep_spare(&mut self, spare: Spare) -> io::Result<()> {
        let Spare { segment, path } = spare;
        if segment.number != self.next_segment {
            return self.files.drive.remove(&path);
        }
        self.files.drive.rename(&path, &self.files.path(segment.number))?;
        self.spare = Some(segment);
        Ok(())
    }

    /// Ends in good order, so that the next start need not copy anything. After a failure, or where no commit says yet which
    /// identity the log has, it only closes the files.
    ///
    /// # Errors
    /// What the system says; then the next start takes it for one without a word.
    pub fn close(mut self) -> io::Result<()> {
        if self.failed || self.head.end == End::Copied {
            return Ok(());
        }
        self.head_file.write(&Head { end: End::Clean, ..self.head })?;
        self.head_file.sync()
    }
}

impl SpareOrder {
    /// Makes it, on the disk too.
    ///
    /// # Errors
    /// What the system says. It is no harm: the store makes one when it needs it.
    pub fn make(self) -> io::Result<Spare> {
        let path = self.files.spare_path(self.number);
        let segment = Segment::fill(&self.files, &path, self.number, &[], &self.sizes)?;
        Ok(Spare { segment, path })
    }
}

impl From<WriteError> for AppendError {
    fn from(error: WriteError) -> Self {
        match error {
            WriteError::Full => Self::Full,
            WriteError::Failed(error) => Self::Failed(error),
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;

    use super::*;
    use crate::disk::drive::Operation;
    use crate::disk::opening::fixture::{Commits, Log, append, commits};

    const FIRST: &str = "00000000000000000001.seg";
    const SECOND: &str = "00000000000000000002.seg";

    fn asked(log: &Log) -> Vec<(Operation, String)> {
        log.drive.faults.asked()
    }

    fn of(operations: &[(Operation, &str)]) -> Vec<(Operation, String)> {
        operations.iter().map(|(operation, name)| (*operation, (*name).to_owned())).collect()
    }

    #[test]
    fn a_commit_is_synced_before_head_says_so_and_room_is_taken_before_it_is_written() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        asked(&log);
        append(&mut store, b"one").unwrap();
        let commit = [(Operation::Write, FIRST), (Operation::Sync, FIRST), (Operation::Write, "HEAD")];
        // The segment is opened by the name that it had while it was made.
        let by_name = |log: &Log| -> Vec<_> {
            let plain = |(operation, name): (Operation, String)| (operation, name.replace(".new", ""));
            asked(log).into_iter().map(plain).collect()
        };
        assert_eq!(by_name(&log), of(&commit));
        append(&mut store, &[0; 100]).unwrap();
        assert_eq!(by_name(&log), of(&[&[(Operation::Allocate, FIRST)], &commit[..]].concat()));
        append(&mut store, &[0; 100]).unwrap();
        let made = [
            (Operation::Open, SECOND),
            (Operation::Truncate, SECOND),
            (Operation::Allocate, SECOND),
            (Operation::Write, SECOND),
            (Operation::Sync, SECOND),
            (Operation::Rename, SECOND),
            (Operation::SyncFolder, SECOND),
            (Operation::Truncate, FIRST),
            (Operation::Allocate, SECOND),
            (Operation::Write, SECOND),
            (Operation::Sync, SECOND),
            (Operation::Write, "HEAD"),
        ];
        assert_eq!(by_name(&log), of(&made));
    }

    #[test]
    fn a_segment_that_is_full_is_followed_by_the_next() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        let bodies: [&[u8]; 5] = [&[1; 100], &[2; 100], &[3; 10], &[4; 1_000], &[5; 10]];
        let appended: Vec<_> = bodies.iter().map(|body| append(&mut store, body).unwrap()).collect();
        let places: Vec<_> =
            appended.iter().map(|commit| (commit.segment.0, commit.at, commit.begins_segment)).collect();
        assert_eq!(places, [(1, 64, true), (1, 188, false), (2, 64, true), (3, 64, true), (4, 64, true)]);
        let files = store.files();
        let sizes: Vec<_> = files.segments().unwrap().iter().map(|segment| segment.bytes).collect();
        assert_eq!(sizes[..3], [312, 98, 1_088]);
        let mut body = [0; 1_000];
        files.read_at(SegmentNumber(3), 88, &mut body).unwrap();
        assert_eq!(body, [4; 1_000]);
        files.read_at(SegmentNumber(3), 89, &mut body).unwrap_err();
        drop(store);
        let (_, report, found) = log.start();
        assert_eq!(found, commits(1, &bodies));
        assert!(report.is_whole() && report.segments == 4, "{report}");
    }

    /// The commit is in doubt, and nothing more is written until the directory is opened anew.
    #[test]
    fn after_a_write_or_sync_that_failed_nothing_is_taken() {
        for (operation, name) in [
            (Operation::Allocate, ".new"),
            (Operation::Write, ".new"),
            (Operation::Sync, ".new"),
            (Operation::Write, "HEAD"),
        ] {
            let log = Log::new();
            let (mut store, ..) = log.start();
            append(&mut store, b"one").unwrap();
            log.drive.faults.fail(operation, name, 0, io::ErrorKind::Other);
            let failed = append(&mut store, &[2; 200]).unwrap_err();
            assert!(matches!(failed, AppendError::Failed(_)), "{operation:?} {failed}");
            asked(&log);
            let stopped = append(&mut store, b"three").unwrap_err();
            assert!(matches!(stopped, AppendError::Stopped), "{operation:?} {stopped}");
            store.close().unwrap();
            assert_eq!(asked(&log), []);
            let (mut store, report, found) = log.start();
            assert!(report.is_whole(), "{operation:?} {report}");
            // What was whole when its sync failed may be there.
            let whole = operation == Operation::Sync || name == "HEAD";
            let bodies: [&[u8]; 2] = [b"one", &[2; 200]];
            assert_eq!(found, commits(1, &bodies[..1 + usize::from(whole)]), "{operation:?} {name}");
            assert_eq!(append(&mut store, b"next").unwrap().number.0, found.len() as u64 + 1);
        }
    }

    #[test]
    fn a_disk_that_is_full_costs_the_commit_and_no_more() {
        for (operation, name) in [
            (Operation::Allocate, "1.seg.new"),
            (Operation::Write, "1.seg.new"),
            (Operation::Open, "2.seg.new"),
            (Operation::Allocate, "2.seg.new"),
            (Operation::Write, "2.seg.new"),
            (Operation::Sync, "2.seg.new"),
            (Operation::Rename, "2.seg"),
        ] {
            let log = Log::new();
            let (mut store, ..) = log.start();
            append(&mut store, b"one").unwrap();
            let second: &[u8] = if name.starts_with('1') { &[2; 200] } else { &[2; 300] };
            // Taking room is tried twice: with some to spare, then for this commit alone.
            for kind in [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded] {
                log.drive.faults.fail(operation, name, 0, kind);
                let full = append(&mut store, second);
                if operation != Operation::Allocate || name.starts_with('1') {
                    assert!(matches!(full, Err(AppendError::Full)), "{operation:?} {full:?}");
                }
            }
            let before = store.next().0;
            assert_eq!(append(&mut store, b"short").unwrap().number.0, before);
            drop(store);
            // Nothing is left of the longer one.
            let (mut store, report, found) = log.start();
            assert!(report.is_whole() && report.torn.is_none(), "{operation:?} {report}");
            assert_eq!(found.last(), Some(&(before, b"short".to_vec())));
            assert_eq!(append(&mut store, b"next").unwrap().number.0, before + 1);
        }
    }

    #[test]
    fn the_last_room_is_used_though_there_is_none_to_spare() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        log.drive.faults.fail(Operation::Allocate, "", 0, io::ErrorKind::StorageFull);
        append(&mut store, &[1; 100]).unwrap();
        assert!(log.drive.faults.none_is_left());
        append(&mut store, b"two").unwrap();
        drop(store);
        assert_eq!(log.start().2, commits(1, &[&[1; 100], b"two"]));
    }

    #[test]
    fn a_commit_that_is_too_long_is_refused_and_the_next_is_taken() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        let mut frame = vec![0; frames::FRAME_HEADER_BYTES + frames::BODY_BYTES_MAX + 1];
        assert!(matches!(store.append(&mut frame), Err(AppendError::TooLong(_))));
        append(&mut store, b"one").unwrap();
        drop(store);
        assert_eq!(log.start().2, commits(1, &[b"one"]));
    }

    #[test]
    fn a_segment_that_was_made_ahead_is_used() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        append(&mut store, &[1; 60]).unwrap();
        assert!(store.spare_order().is_none());
        append(&mut store, &[2; 60]).unwrap();
        let order = store.spare_order().unwrap();
        assert!(store.spare_order().is_none());
        let spare = std::thread::spawn(|| order.make()).join().unwrap().unwrap();
        store.keep_spare(spare).unwrap();
        asked(&log);
        assert_eq!(append(&mut store, &[3; 200]).unwrap().segment, SegmentNumber(2));
        assert!(asked(&log).iter().all(|(operation, _)| *operation != Operation::Rename));
        let order = store.spare_order().unwrap();
        // The store needs it before it is there.
        assert_eq!(append(&mut store, &[4; 200]).unwrap().segment, SegmentNumber(3));
        store.keep_spare(order.make().unwrap()).unwrap();
        let order = store.spare_order().unwrap();
        store.keep_spare(order.make().unwrap()).unwrap();
        assert_eq!(store.files().segments().unwrap().len(), 4);
        drop(store);
        let (store, report, found) = log.start();
        assert!(report.is_whole() && report.segments == 4, "{report}");
        assert_eq!(found, commits(1, &[&[1; 60], &[2; 60], &[3; 200], &[4; 200]]));
        assert_eq!(fs::read_dir(log.folder.join("segments")).unwrap().count(), 3);
        assert_eq!(store.files().segments().unwrap().len(), 3);
    }

    #[cfg(unix)]
    #[test]
    fn the_room_that_is_left_is_told() {
        let log = Log::new();
        assert!(log.start().0.files().free_bytes().unwrap().unwrap() > 0);
    }

    /// What a hub does with a log in its life, until something fails: what was answered, and what is in doubt.
    fn live(log: &Log, life: &mut Life) {
        let Ok((mut store, report, found)) = log.try_start() else { return };
        life.check(&report, &found);
        for (index, length) in [5, 90, 200, 40, 0, 320, 10].into_iter().enumerate() {
            let body = vec![life.found.len() as u8 + index as u8; length];
            match append(&mut store, &body) {
                Ok(appended) => life.answered.push((appended.number.0, body)),
                Err(AppendError::Full | AppendError::TooLong(_) | AppendError::Stopped) => {}
                Err(AppendError::Failed(_)) => life.doubt = Some((store.next().0, body)),
            }
            if let Some(Ok(spare)) = store.spare_order().map(SpareOrder::make) {
                let _ = store.keep_spare(spare);
            }
        }
        let _ = store.close();
    }

    #[derive(Default)]
    struct Life {
        found: Commits,
        answered: Commits,
        doubt: Option<(u64, Vec<u8>)>,
    }

    impl Life {
        /// All that was answered is there, and nothing that was not written.
        #[track_caller]
        fn check(&mut self, report: &crate::disk::report::Report, found: &Commits) {
            assert!(report.damage.is_empty() && report.missing_segments.is_empty(), "{report}");
            assert_eq!(report.lost_answered, None, "{report}");
            let surfaced = self.doubt.take().filter(|doubt| found.last() == Some(doubt));
            self.answered.extend(surfaced);
            assert_eq!(found, &self.answered);
            self.found.clone_from(found);
        }
    }

    /// Each call of the system fails once, with an error and for want of room, in the life of a new log and in that of one
    /// that was there.
    #[test]
    fn whatever_call_fails_what_was_answered_is_there() {
        for error in [io::ErrorKind::Other, io::ErrorKind::StorageFull] {
            let mut failing = 0;
            loop {
                let log = Log::new();
                let mut life = Life::default();
                log.drive.faults.fail(None, "", failing, error);
                live(&log, &mut life);
                live(&log, &mut life);
                let was_all = !log.drive.faults.none_is_left();
                live(&log, &mut life);
                live(&log, &mut life);
                assert!(life.found.len() >= 7, "{failing}");
                if was_all {
                    break;
                }
                failing += 1;
            }
            assert!(failing > 50, "{failing} calls");
        }
    }
}
