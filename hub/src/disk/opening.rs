//! Opens a directory, reads all of it once, and starts it. Until it is started nothing in it is changed, but that an empty one
//! gets its `META`.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use tidewire_hub_core::frames::scan::Frame;
use tidewire_hub_core::frames::{DirectoryId, SegmentNumber};

use crate::disk::drive::{self, Drive, DriveFile};
use crate::disk::files::Files;
use crate::disk::head::{self, End, Head, HeadFile};
use crate::disk::meta::{self, Meta};
pub use crate::disk::refusal::OpenError;
use crate::disk::refusal::refusal;
use crate::disk::report::Report;
use crate::disk::segment::Segment;
pub use crate::disk::segment::Sizes;
use crate::disk::store::Store;
use crate::disk::survey::{LastSegment, Survey};

/// A directory that nobody else has, before it is started.
#[derive(Debug)]
pub struct Opening {
    directory: PathBuf,
    files: Files,
    sizes: Sizes,
    head: Option<Head>,
    survey: Option<Survey>,
    /// What the start's number is where `HEAD` is lost.
    boot_without_head: u64,
    locks: [DriveFile; 2],
}

impl Opening {
    /// Takes a directory for this process alone. One that is not there is made, and one that is empty becomes ours.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: &Path, sizes: Sizes) -> Result<Self, OpenError> {
        Self::open_on(Drive::default(), directory, sizes)
    }

    pub(crate) fn open_on(drive: Drive, directory: &Path, sizes: Sizes) -> Result<Self, OpenError> {
        make_folder(&drive, directory)?;
        let path = directory.join(META);
        if !path.exists() && !is_free(directory)? {
            return Err(OpenError::NotOurs(directory.to_owned()));
        }
        let lock = take_lock(&drive, directory)?;
        let id = identify(&drive, directory, &path)?;
        let folder = directory.join(SEGMENTS);
        make_folder(&drive, &folder)?;
        let head_path = directory.join(HEAD);
        let head = head::read(&drive, &head_path, id).map_err(|error| refusal(&head_path, error))?;
        // What is missing under its name is not looked for in another's.
        let meta_lock = take(&drive, directory, &path)?;
        let files = Files::new(drive, id, folder);
        if files.has_strangers().map_err(|(path, error)| refusal(&path, error))? {
            return Err(OpenError::OthersMeta(path));
        }
        let boot_without_head = boot_without_head();
        let directory = directory.to_owned();
        Ok(Self { directory, files, sizes, head, survey: None, boot_without_head, locks: [lock, meta_lock] })
    }

    /// Whether the hub that had it before stopped in good order, or none ever had.
    #[cfg(test)]
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.head.is_some_and(|head| head.end == End::Clean)
    }

    /// How often it was started, once it is: no number comes twice. To be asked once it was scanned.
    #[must_use]
    pub fn boot(&self) -> u64 {
        let is_empty = self.survey.as_ref().is_none_or(|survey| survey.report.segments == 0);
        let without_head = if is_empty { 1 } else { self.boot_without_head };
        // What was copied may have been started often since.
        let of_copy = |head: Head| if head.end == End::Copied { self.boot_without_head } else { 0 };
        self.head.map_or(without_head, |head| head.boot.saturating_add(1).max(of_copy(head)))
    }

    /// The segments that there are.
    #[must_use]
    pub const fn files(&self) -> &Files {
        &self.files
    }

    /// Reads all segments from the first commit to the last, shows each commit that is whole, and says what is missing. It
    /// holds up to two segments in memory.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn scan(&mut self, visit: impl FnMut(SegmentNumber, Frame<'_>)) -> Result<Report, OpenError> {
        let survey = Survey::of(&self.files, self.head.as_ref(), visit)?;
        let report = survey.report.clone();
        self.survey = Some(survey);
        Ok(report)
    }

    /// Makes it ready for commits. What is not whole at the end of the last segment is cut off. If the stop before was not
    /// in good order, or nobody knows, that segment is written anew first: after a sync that failed, what the system shows
    /// of it may not be on the disk.
    ///
    /// # Errors
    /// See [`OpenError`]; a directory that was not [scanned](Self::scan) is scanned now.
    pub fn start(mut self) -> Result<Store, OpenError> {
        if self.survey.is_none() {
            self.scan(|_, _| {})?;
        }
        let directory = self.directory.clone();
        self.started().map_err(|error| refusal(&directory, error))
    }

    fn started(self) -> io::Result<Store> {
        let boot = self.boot();
        let Self { directory, files, sizes, head: before, survey, locks, .. } = self;
        let Survey { report, last, empty, replaced } = survey.unwrap_or_default();
        // Kept until a commit says which identity the log has from now on: a start may end before that.
        let end = if report.wants_identity() { End::Copied } else { End::Open };
        let mut head = Head { end, boot, ..before.unwrap_or_default() };
        let mut head_file = HeadFile::open(&files.drive, &directory.join(HEAD), files.directory, before)?;
        head_file.write(&head)?;
        head_file.sync()?;
        files.remove_unfinished()?;
        // What was answered there is gone, so that commits go on behind it and its number is not given again.
        let lost = report.lost_answered.map_or(SegmentNumber(0), |_| head.segment);
        for number in replaced {
            files.drive.remove(&files.path(number))?;
        }
        for number in empty {
            if number <= lost { files.move_aside(number) } else { files.drive.remove(&files.path(number)) }?;
        }
        let used = last.as_ref().map_or(SegmentNumber(0), |last| last.number).max(lost);
        let gone_on = match &last {
            Some(last) if !last.is_merged => Some(go_on(&files, before, last, &report, &sizes)?),
            _ => None,
        };
        let (segment, next_segment) = match gone_on.filter(|segment| segment.number == used) {
            Some(segment) => (segment, used.next()),
            None => (Segment::make(&files, used.next(), &[], &sizes)?, used.next().next()),
        };
        files.activate(segment.number);
        if report.last >= head.commit {
            // One that nobody was answered, but is whole, is served from now on.
            head = Head { commit: report.last, segment: segment.number, position: segment.end, ..head };
        }
        // Over the other slot too, so that none is left that says that the stop was clean.
        head_file.write(&head)?;
        head_file.sync()?;
        Ok(Store {
            files,
            sizes,
            segment,
            spare: None,
            ordered: SegmentNumber(0),
            next_segment,
            head_file,
            head,
            next: report.last.max(head.commit).next(),
            failed: false,
            _locks: locks,
        })
    }
}

/// The last segment as it is, if it is as the stop before left it in good order; else a copy of what was read of it.
fn go_on(
    files: &Files,
    before: Option<Head>,
    last: &LastSegment,
    report: &Report,
    sizes: &Sizes,
) -> io::Result<Segment> {
    let end = last.end as u64;
    let left =
        before.filter(|head| head.end == End::Clean && head.segment == last.number && head.position == end);
    if left.is_some() && report.torn.is_none() {
        return Segment::go_on(files, last.number, end);
    }
    let whole = &last.bytes[..last.end];
    if report.lost_answered.is_some() {
        files.set_aside(last.number);
    }
    match Segment::make(files, last.number, whole, sizes) {
        // What fills the disk may be removed once the hub is there again.
        Err(error) if drive::is_full(&error) => {
            files.leave_aside(last.number)?;
            Segment::overwrite(files, last.number, whole, sizes)
        }
        made => made,
    }
}

fn make_folder(drive: &Drive, folder: &Path) -> Result<(), OpenError> {
    drive.make_folder(folder).map_err(|error| match error.kind() {
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory => {
            OpenError::NoDirectory(folder.to_owned())
        }
        _ => refusal(folder, error),
    })
}

fn take_lock(drive: &Drive, directory: &Path) -> Result<DriveFile, OpenError> {
    take(drive, directory, &directory.join(LOCK))
}

/// Takes a file of a directory for this process alone: `LOCK` first, since it is there before all others, and then `META`, which
/// nobody removes by mistake and goes on.
fn take(drive: &Drive, directory: &Path, path: &Path) -> Result<DriveFile, OpenError> {
    let lock = drive.open(path).map_err(|error| refusal(path, error))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(fs::TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(fs::TryLockError::Error(error)) => Err(refusal(path, error)),
    }
}

/// The directory's id; an empty one gets one.
fn identify(drive: &Drive, directory: &Path, path: &Path) -> Result<DirectoryId, OpenError> {
    let refused = |error| refusal(path, error);
    match meta::read(drive, path).map_err(refused)? {
        Meta::Ours(id) => Ok(id),
        Meta::Absent => meta::create(drive, path).map_err(refused),
        Meta::Damaged => Err(OpenError::DamagedMeta(path.to_owned())),
        Meta::Newer(format) => Err(OpenError::Newer { directory: directory.to_owned(), format }),
    }
}

/// Whether a log may begin there: nothing is there but what an opening that did not come to its end has left, and what a file
/// system has of its own, or not even the directory.
///
/// # Errors
/// The directory cannot be read.
pub fn is_free(directory: &Path) -> Result<bool, OpenError> {
    let unfinished = drive::new_name(Path::new(META));
    let is_ours = |name: &OsStr| name == LOCK || name == unfinished.as_os_str() || name == "lost+found";
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(true),
        Err(error) => return Err(refusal(directory, error)),
    };
    for entry in entries {
        if !is_ours(&entry.map_err(|error| refusal(directory, error))?.file_name()) {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Where `HEAD` is lost nobody knows how often it was started. No directory is started more than once a second on
/// average, so the time is above all that were.
fn boot_without_head() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(1, |time| time.as_secs())
}

pub(crate) const LOCK: &str = "LOCK";
pub(crate) const META: &str = "META";
pub(crate) const HEAD: &str = "HEAD";
pub(crate) const SEGMENTS: &str = "segments";
/// Which tokens were revoked.
pub(crate) const REVOKED: &str = "REVOKED";
/// More than all names take that are kept at once.
pub(crate) const REVOKED_BYTES_MAX: u64 = 64 << 20;

/// A log in a folder of its own, as the tests of all files use it.
#[cfg(test)]
pub(crate) mod fixture {
    #![allow(clippy::unwrap_used)]

    use std::sync::atomic::{AtomicU32, Ordering};

    use tidewire_hub_core::frames;

    use super::*;
    use crate::disk::store::{AppendError, Appended};

    pub(crate) type Commits = Vec<(u64, Vec<u8>)>;

    pub(crate) struct Log {
        pub(crate) folder: PathBuf,
        pub(crate) drive: Drive,
        pub(crate) sizes: Sizes,
    }

    impl Log {
        /// Its segments hold some 260 bytes of commits.
        pub(crate) fn new() -> Self {
            static NUMBER: AtomicU32 = AtomicU32::new(0);
            let number = NUMBER.fetch_add(1, Ordering::Relaxed);
            // In memory where that can be: thousands of syncs take their time.
            let memory = Some(PathBuf::from("/dev/shm")).filter(|folder| folder.is_dir());
            let folder = memory.unwrap_or_else(std::env::temp_dir);
            let folder = folder.join(format!("tidewire-disk-{}-{number}", std::process::id()));
            let _ = fs::remove_dir_all(&folder);
            Self { folder, drive: Drive::default(), sizes: Sizes { segment_bytes: 324, step_bytes: 128 } }
        }

        pub(crate) fn open(&self) -> Result<Opening, OpenError> {
            Opening::open_on(self.drive.clone(), &self.folder, self.sizes)
        }

        /// Opened, read and started.
        pub(crate) fn try_start(&self) -> Result<(Store, Report, Commits), OpenError> {
            let mut opening = self.open()?;
            let mut commits = Vec::new();
            let report = opening.scan(|_, frame| commits.push((frame.number.0, frame.body.to_vec())))?;
            Ok((opening.start()?, report, commits))
        }

        #[track_caller]
        pub(crate) fn start(&self) -> (Store, Report, Commits) {
            self.try_start().unwrap()
        }

        /// A log with these commits, and the hub ended without a word.
        pub(crate) fn with(bodies: &[&[u8]]) -> Self {
            let log = Self::new();
            let (mut store, ..) = log.start();
            for body in bodies {
                append(&mut store, body).unwrap();
            }
            log
        }

        pub(crate) fn segment(&self, number: u64) -> PathBuf {
            self.folder.join(format!("segments/{number:020}.seg"))
        }

        /// Changes what a file holds.
        pub(crate) fn change(&self, path: impl AsRef<Path>, change: impl FnOnce(&mut Vec<u8>)) {
            let path = self.folder.join(path);
            let mut bytes = fs::read(&path).unwrap();
            change(&mut bytes);
            fs::write(&path, bytes).unwrap();
        }
    }

    impl Drop for Log {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }

    pub(crate) fn append(store: &mut Store, body: &[u8]) -> Result<Appended, AppendError> {
        let mut frame = Vec::new();
        frames::begin(&mut frame);
        frame.extend_from_slice(body);
        store.append(&mut frame)
    }

    pub(crate) fn commits(from: u64, bodies: &[&[u8]]) -> Commits {
        (from..).zip(bodies.iter().map(|body| body.to_vec())).collect()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_hub_core::frames::{CommitNumber, FRAME_HEADER_BYTES, SEGMENT_HEADER_BYTES};

    use super::fixture::{Commits, Log, append, commits};
    use super::*;
    use crate::disk::drive::Operation;
    use crate::disk::report::{Damage, LostAnswered, MissingSegments, Torn};

    const THREE: [&[u8]; 3] = [b"one", b"two", b"the third of them"];

    /// Where each of these frames begins in the first segment, and where the last ends.
    fn places(bodies: &[&[u8]]) -> Vec<usize> {
        let mut at = vec![SEGMENT_HEADER_BYTES];
        at.extend(bodies.iter().scan(SEGMENT_HEADER_BYTES, |at, body| {
            *at += FRAME_HEADER_BYTES + body.len();
            Some(*at)
        }));
        at
    }

    fn range(from: u64, to: u64) -> std::ops::RangeInclusive<CommitNumber> {
        CommitNumber(from)..=CommitNumber(to)
    }

    #[test]
    fn a_directory_is_made_and_each_start_has_a_number() {
        let log = Log::new();
        let opening = log.open().unwrap();
        assert!(!opening.was_clean());
        let mut store = opening.start().unwrap();
        assert_eq!((store.boot(), store.next()), (1, CommitNumber(1)));
        append(&mut store, b"one").unwrap();
        store.close().unwrap();
        #[cfg(unix)]
        {
            let mode =
                std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&log.folder).unwrap().permissions());
            assert_eq!(mode & 0o777, 0o700);
        }
        for boot in 2..5 {
            assert!(log.open().unwrap().was_clean());
            let (store, report, found) = log.start();
            assert_eq!(found, commits(1, &[b"one"]));
            assert_eq!((store.boot(), store.next()), (boot, CommitNumber(2)));
            assert!(report.is_whole() && report.torn.is_none(), "{report}");
            store.close().unwrap();
        }
        drop(log.start());
        assert!(!log.open().unwrap().was_clean());
        assert_eq!(log.start().0.boot(), 6);
    }

    #[test]
    fn what_is_in_use_is_not_opened() {
        let log = Log::with(&THREE);
        let first = log.open().unwrap();
        let refused = log.open().unwrap_err();
        assert!(matches!(refused, OpenError::InUse(_)), "{refused}");
        let store = first.start().unwrap();
        assert!(matches!(log.open().unwrap_err(), OpenError::InUse(_)));
        drop(store);
        log.open().unwrap();
    }

    #[test]
    fn what_is_not_ours_is_left_alone() {
        let log = Log::new();
        fs::create_dir_all(log.folder.join("lost+found")).unwrap();
        fs::write(log.folder.join("thesis.txt"), "years of work").unwrap();
        let refused = log.open().unwrap_err();
        assert!(matches!(refused, OpenError::NotOurs(_)), "{refused}");
        assert_eq!(fs::read_dir(&log.folder).unwrap().count(), 2);
        fs::remove_file(log.folder.join("thesis.txt")).unwrap();
        log.open().unwrap();
        fs::remove_file(log.folder.join("META")).unwrap();
        assert!(matches!(log.open().unwrap_err(), OpenError::NotOurs(_)));
    }

    #[test]
    fn meta_is_refused_at_every_flipped_bit_and_cut() {
        let log = Log::with(&THREE);
        let meta = fs::read(log.folder.join("META")).unwrap();
        let flips = (0..meta.len() * 8).map(|bit| {
            let mut bytes = meta.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            bytes
        });
        for bytes in flips.chain((0..meta.len()).map(|cut| meta[..cut].to_vec())) {
            fs::write(log.folder.join("META"), &bytes).unwrap();
            let refused = log.open().unwrap_err();
            assert!(matches!(refused, OpenError::DamagedMeta(_)), "{refused} {bytes:?}");
        }
        fs::write(log.folder.join("META"), &meta).unwrap();
        assert_eq!(log.start().2, commits(1, &THREE));
    }

    #[test]
    fn what_a_later_release_wrote_is_refused() {
        let log = Log::with(&THREE);
        log.change("META", |meta| {
            meta[8] = 2;
            meta.truncate(30);
            let crc = crc32c::crc32c(meta);
            meta.extend_from_slice(&crc.to_le_bytes());
        });
        let refused = log.open().unwrap_err();
        assert!(matches!(refused, OpenError::Newer { format: 2, .. }), "{refused}");
    }

    #[test]
    fn what_the_system_does_not_allow_is_told_apart() {
        let check = |error, fits: fn(&OpenError) -> bool| {
            for name in ["LOCK", "META", "HEAD"] {
                let log = Log::with(&THREE);
                log.drive.faults.fail(None, name, 0, error);
                let refused = log.try_start().unwrap_err();
                assert!(fits(&refused), "{refused}");
                assert_eq!(log.start().2, commits(1, &THREE));
            }
        };
        check(io::ErrorKind::PermissionDenied, |error| matches!(error, OpenError::NoPermission(_)));
        check(io::ErrorKind::ReadOnlyFilesystem, |error| matches!(error, OpenError::ReadOnly(_)));
        check(io::ErrorKind::StorageFull, |error| matches!(error, OpenError::Full(_)));
        check(io::ErrorKind::Other, |error| matches!(error, OpenError::Io { .. }));
    }

    #[test]
    fn every_flipped_byte_of_head_costs_one_slot_and_nothing_else() {
        let log = Log::with(&THREE);
        let head = fs::read(log.folder.join("HEAD")).unwrap();
        let slots = (0..64).chain(4_096..4_160);
        for at in slots {
            let mut bytes = head.clone();
            bytes[at] ^= 0x10;
            fs::write(log.folder.join("HEAD"), &bytes).unwrap();
            let mut opening = log.open().unwrap();
            assert!(!opening.was_clean(), "{at}");
            let report = opening.scan(|_, _| {}).unwrap();
            assert!(report.is_whole() && report.commits == 3, "{at} {report}");
            assert_eq!(opening.start().unwrap().boot(), 2, "{at}");
        }
    }

    #[test]
    fn a_clean_stop_is_not_believed_of_an_older_slot() {
        let log = Log::with(&THREE);
        log.start().0.close().unwrap();
        assert!(log.open().unwrap().was_clean());
        for commit in 0..3_u64 {
            let (mut store, ..) = log.start();
            for _ in 0..commit {
                append(&mut store, b"x").unwrap();
            }
            drop(store);
            let head = fs::read(log.folder.join("HEAD")).unwrap();
            for slot in [0, 4_096] {
                log.change("HEAD", |bytes| bytes[slot + 9] ^= 1);
                assert!(!log.open().unwrap().was_clean(), "{commit} {slot}");
                fs::write(log.folder.join("HEAD"), &head).unwrap();
            }
            log.start().0.close().unwrap();
        }
    }

    #[test]
    fn without_head_the_start_is_an_unclean_one_with_a_higher_number() {
        let ways: [fn(&Log); 4] = [
            |log| fs::remove_file(log.folder.join("HEAD")).unwrap(),
            |log| log.change("HEAD", |head| head.truncate(10)),
            |log| log.change("HEAD", |head| head.fill(0)),
            |log| log.change("HEAD", |head| [8, 4_104].into_iter().for_each(|at| head[at] ^= 1)),
        ];
        for way in ways {
            let log = Log::with(&THREE);
            log.start().0.close().unwrap();
            way(&log);
            assert!(!log.open().unwrap().was_clean());
            let (store, report, found) = log.start();
            assert!(report.head_lost && report.to_string().contains("HEAD is missing"), "{report}");
            assert_eq!(found, commits(1, &THREE));
            let boot = store.boot();
            assert!(boot > 1_000_000_000, "{boot}");
            store.close().unwrap();
            let (store, report, _) = log.start();
            assert!(report.is_whole() && store.boot() == boot + 1, "{report}");
        }
    }

    #[test]
    fn that_the_log_wants_another_identity_is_remembered_until_a_commit_has_it() {
        let log = Log::with(&THREE);
        fs::remove_file(log.folder.join("HEAD")).unwrap();
        for _ in 0..3 {
            let (store, report, _) = log.start();
            assert!(report.wants_identity(), "{report}");
            // A hub that ends before its first commit, in whatever order.
            store.close().unwrap();
            assert!(!log.open().unwrap().was_clean());
            drop(log.start());
        }
        append(&mut log.start().0, b"state").unwrap();
        let (store, report, _) = log.start();
        assert!(!report.wants_identity() && report.is_whole(), "{report}");
        store.close().unwrap();
        assert!(log.open().unwrap().was_clean());
    }

    #[test]
    fn a_commit_that_has_the_identity_is_known_though_the_power_fails() {
        let log = Log::with(&THREE);
        let path = log.folder.join("HEAD");
        fs::remove_file(&path).unwrap();
        let (mut store, report, _) = log.start();
        assert!(report.wants_identity(), "{report}");
        let (mut on_disk, mut syncs) = (fs::read(&path).unwrap(), 0);
        log.drive.faults.asked();
        for _ in 0..5 {
            append(&mut store, b"answered").unwrap();
            if log.drive.faults.asked().contains(&(Operation::Sync, "HEAD".to_owned())) {
                (on_disk, syncs) = (fs::read(&path).unwrap(), syncs + 1);
            }
        }
        drop(store);
        fs::write(&path, on_disk).unwrap();
        let (_, report, _) = log.start();
        assert!(!report.wants_identity() && report.is_whole(), "{report}");
        assert_eq!(syncs, 1);
    }

    #[test]
    fn the_last_segment_is_copied_after_an_unclean_stop_only() {
        let log = Log::with(&THREE);
        let copied = || {
            let segment = (Operation::Rename, "00000000000000000001.seg".to_owned());
            log.drive.faults.asked().contains(&segment)
        };
        copied();
        let (store, ..) = log.start();
        assert!(copied());
        store.close().unwrap();
        let (store, ..) = log.start();
        assert!(!copied());
        drop(store);
        log.start().0.close().unwrap();
        assert!(copied());
        // Somebody put another file there.
        log.change(log.segment(1), |bytes| bytes.truncate(places(&THREE)[2]));
        log.start();
        assert!(copied());
    }

    /// A commit that was in doubt, and is there after all, is served from then on.
    #[test]
    fn what_surfaced_at_a_start_is_missed_later() {
        let log = Log::with(&THREE[..1]);
        log.drive.faults.fail(Operation::Sync, ".seg.new", 1, io::ErrorKind::Other);
        append(&mut log.start().0, THREE[1]).unwrap_err();
        assert_eq!(log.start().2, commits(1, &THREE[..2]));
        log.change(log.segment(1), |bytes| bytes.truncate(places(&THREE)[1]));
        let lost = LostAnswered { answered: CommitNumber(2), found: CommitNumber(1) };
        assert_eq!(log.start().1.lost_answered, Some(lost));
    }

    #[test]
    fn a_full_disk_is_started_from() {
        let at = places(&THREE);
        for cut in [10, at[2], at[3] - 1, at[3]] {
            let log = Log::with(&THREE);
            log.change(log.segment(1), |bytes| bytes.truncate(cut));
            fs::remove_file(log.folder.join("HEAD")).unwrap();
            log.drive.faults.fail(Operation::Write, ".seg.new", 0, io::ErrorKind::StorageFull);
            log.drive.faults.asked();
            let (store, _, found) = log.start();
            let over = (Operation::Write, "00000000000000000001.seg".to_owned());
            assert!(log.drive.faults.asked().contains(&over));
            store.close().unwrap();
            let (mut store, report, again) = log.start();
            assert!(report.is_whole() && report.torn.is_none(), "{cut} {report}");
            assert_eq!(again, found);
            append(&mut store, b"next").unwrap();
            drop(store);
            assert_eq!(log.start().2[found.len()..], commits(found.len() as u64 + 1, &[b"next"]));
        }
    }

    /// What is set aside is what was found, whatever comes later: on a full disk there is none rather than another.
    #[test]
    fn what_is_set_aside_stays_as_it_was_found() {
        for (is_full, is_there) in [(false, false), (true, false), (true, true)] {
            let log = Log::with(&THREE);
            let aside = log.folder.join("segments/00000000000000000001.seg.lost");
            log.change(log.segment(1), |bytes| bytes[places(&THREE)[2] + 30] ^= 1);
            let found =
                if is_there { b"of an earlier loss".to_vec() } else { fs::read(log.segment(1)).unwrap() };
            if is_there {
                fs::write(&aside, &found).unwrap();
            }
            if is_full {
                log.drive.faults.fail(Operation::Write, "1.seg.new", 0, io::ErrorKind::StorageFull);
            }
            let (mut store, report, _) = log.start();
            assert!(report.lost_answered.is_some() && log.drive.faults.none_is_left(), "{report}");
            append(&mut store, b"of a later life").unwrap();
            let kept = (is_there || !is_full).then_some(found);
            assert_eq!(fs::read(&aside).ok(), kept, "{is_full} {is_there}");
        }
    }

    /// The bytes that were read are served, whatever the system would show of the file by then.
    #[test]
    fn what_is_copied_is_what_was_read() {
        let log = Log::with(&THREE);
        let mut opening = log.open().unwrap();
        opening.scan(|_, _| {}).unwrap();
        log.change(log.segment(1), |bytes| bytes.fill(7));
        opening.start().unwrap();
        assert_eq!(log.start().2, commits(1, &THREE));
    }

    /// A commit that nobody was answered, cut at each of its bytes, with zeros behind it or not; then a shorter one takes its
    /// place, and nothing of the first comes back.
    #[test]
    fn a_torn_commit_is_cut_off_and_never_comes_back() {
        let at = places(&THREE);
        for cut in at[2]..at[3] {
            for zeros in [0, 100] {
                let log = Log::with(&THREE[..2]);
                let head = fs::read(log.folder.join("HEAD")).unwrap();
                append(&mut log.start().0, THREE[2]).unwrap();
                log.change(log.segment(1), |bytes| {
                    bytes.truncate(cut);
                    bytes.resize(cut + zeros, 0);
                });
                fs::write(log.folder.join("HEAD"), &head).unwrap();
                let (mut store, report, found) = log.start();
                assert_eq!(found, commits(1, &THREE[..2]));
                assert!(report.is_whole(), "{report}");
                let torn = Torn { segment: SegmentNumber(1), from: at[2] as u64, to: cut as u64 };
                match report.torn {
                    // Zeros at the end of what is left are no bytes that were written.
                    Some(found) => assert!(found.from == torn.from && found.to <= torn.to, "{report}"),
                    None => assert_eq!(cut, at[2]),
                }
                assert_eq!(append(&mut store, b"3").unwrap().number, CommitNumber(3));
                drop(store);
                let (_, report, found) = log.start();
                assert_eq!(found, commits(1, &[THREE[0], THREE[1], b"3"]));
                assert!(report.is_whole() && report.torn.is_none(), "{report}");
            }
        }
    }

    #[test]
    fn the_end_of_what_was_answered_is_missed() {
        let at = places(&THREE);
        let ways: [fn(&mut Vec<u8>, usize); 3] = [
            |bytes, end| bytes.truncate(end),
            |bytes, end| bytes[end..].fill(0),
            |bytes, end| bytes[end + 5] ^= 1,
        ];
        for way in ways {
            let log = Log::with(&THREE);
            log.change(log.segment(1), |bytes| way(bytes, at[2]));
            let (mut store, report, found) = log.start();
            assert_eq!(found, commits(1, &THREE[..2]));
            let lost = LostAnswered { answered: CommitNumber(3), found: CommitNumber(2) };
            assert_eq!(report.lost_answered, Some(lost));
            assert!(
                report.to_string().contains("somebody was told that it was stored: commit 3."),
                "{report}"
            );
            // Its number is not given again, and it stays told.
            assert_eq!(append(&mut store, b"four").unwrap().number, CommitNumber(4));
            drop(store);
            let (_, report, found) = log.start();
            assert_eq!(found[2..], commits(4, &[b"four"]));
            let from = at[2] as u64;
            let damage = Damage { segment: SegmentNumber(1), from, to: from, commits_missing: range(3, 3) };
            assert_eq!((&report.damage[..], report.lost_answered), (&[damage][..], None));
        }
    }

    /// Ten commits over four segments.
    fn ten() -> (Log, Vec<Vec<u8>>) {
        let bodies: Vec<_> = (1..=10).map(|number| vec![number; 60]).collect();
        let log = Log::with(&bodies.iter().map(Vec::as_slice).collect::<Vec<_>>());
        assert!(log.segment(4).exists() && !log.segment(5).exists());
        (log, bodies)
    }

    fn without(bodies: &[Vec<u8>], missing: std::ops::RangeInclusive<u64>) -> Commits {
        (1..).zip(bodies.iter().cloned()).filter(|(number, _)| !missing.contains(number)).collect()
    }

    #[test]
    fn segments_that_are_missing_are_told_with_their_commits() {
        let (log, bodies) = ten();
        fs::remove_file(log.segment(2)).unwrap();
        fs::remove_file(log.segment(3)).unwrap();
        let (store, report, found) = log.start();
        assert_eq!(found, without(&bodies, 4..=9));
        let segments = SegmentNumber(2)..=SegmentNumber(3);
        let missing = MissingSegments { segments, commits_missing: range(4, 9) };
        assert_eq!(report.missing_segments, [missing]);
        let line = "Segments 2 to 3 are not there. Missing with them: commits 4 to 9.";
        assert!(report.to_string().contains(line), "{report}");
        assert!(report.damage.is_empty(), "{report}");
        drop(store);

        let (log, bodies) = ten();
        fs::remove_file(log.segment(4)).unwrap();
        let (mut store, report, found) = log.start();
        assert_eq!(found, without(&bodies, 10..=10));
        let segments = SegmentNumber(4)..=SegmentNumber(4);
        let missing = MissingSegments { segments, commits_missing: range(1, 0) };
        assert_eq!(report.missing_segments, [missing]);
        let lost = LostAnswered { answered: CommitNumber(10), found: CommitNumber(9) };
        assert_eq!(report.lost_answered, Some(lost));
        // The number of the segment that may come back is not used again.
        let appended = append(&mut store, &[0; 60]).unwrap();
        assert_eq!((appended.segment, appended.number), (SegmentNumber(5), CommitNumber(11)));
    }

    /// Nothing is left of the last segment, or not even its file, or the one before ends in no whole commit besides.
    #[test]
    fn a_last_segment_that_holds_nothing_costs_the_identity_once_and_its_number_is_not_given_again() {
        let ways: [fn(&Log); 6] = [
            |log| log.change(log.segment(4), |bytes| bytes.fill(0)),
            |log| log.change(log.segment(4), |bytes| bytes.truncate(64)),
            |log| log.change(log.segment(4), Vec::clear),
            |log| fs::remove_file(log.segment(4)).unwrap(),
            |log| {
                [3, 4].into_iter().for_each(|number| log.change(log.segment(number), |bytes| bytes.fill(0)))
            },
            |log| {
                log.change(log.segment(4), |bytes| bytes.fill(0));
                log.change(log.segment(3), |bytes| *bytes.last_mut().unwrap() ^= 1);
            },
        ];
        for (way, change) in ways.into_iter().enumerate() {
            // A start that is killed before its first commit, and one more before a segment is full.
            for (killed, restarted) in [(false, false), (true, false), (false, true)] {
                let (log, _) = ten();
                change(&log);
                let file = fs::read(log.segment(4)).ok();
                let (mut store, report, found) = log.start();
                assert!(report.lost_answered.is_some(), "{report}");
                let aside = log.folder.join("segments/00000000000000000004.seg.lost");
                assert_eq!(fs::read(aside).ok(), file, "{way}");
                if killed {
                    drop(store);
                    store = log.start().0;
                }
                let mut known = report.losses();
                let mut added = Vec::new();
                for body in [&[11; 60][..], &[12; 200], &[13; 200]] {
                    added.push(append(&mut store, body).unwrap());
                    if restarted {
                        drop(store);
                        let (anew, report, _) = log.start();
                        let losses = report.losses();
                        assert!(losses.iter().all(|loss| known.contains(loss)), "{way} {known:?}\n{report}");
                        (store, known) = (anew, losses);
                    }
                }
                let segments: Vec<_> = added.iter().map(|appended| appended.segment.0).collect();
                assert_eq!(segments, [5, 6, 7], "{way}");
                drop(store);
                let (_, report, again) = log.start();
                assert_eq!(again.len(), found.len() + 3, "{report}");
                assert!(report.losses().iter().all(|loss| known.contains(loss)), "{way} {known:?}\n{report}");
            }
        }
    }

    #[test]
    fn the_oldest_segments_may_go() {
        let (log, bodies) = ten();
        let (store, ..) = log.start();
        store.files().remove(SegmentNumber(1)).unwrap();
        store.files().remove(SegmentNumber(2)).unwrap();
        store.files().remove(SegmentNumber(4)).unwrap_err();
        drop(store);
        let (store, report, found) = log.start();
        assert_eq!(found, without(&bodies, 1..=6));
        assert!(report.is_whole(), "{report}");
        assert_eq!(store.next(), CommitNumber(11));
    }

    /// Whatever is lost, and whatever goes before it on purpose later.
    #[test]
    fn a_loss_is_known_when_what_was_before_it_is_removed() {
        let (log, _) = ten();
        let segments: Vec<_> = (1..=4).map(|number| fs::read(log.segment(number)).unwrap()).collect();
        let head = fs::read(log.folder.join("HEAD")).unwrap();
        let mut told = 0;
        for (hit, bytes) in (1_u64..).zip(&segments) {
            for flipped in (0..bytes.len()).step_by(7) {
                log.change(log.segment(hit), |bytes| bytes[flipped] ^= 0x20);
                let (mut store, report, _) = log.start();
                let mut known = report.known_losses();
                append(&mut store, b"state").unwrap();
                drop(store);
                for removed in 0..hit {
                    if removed > 0 {
                        fs::remove_file(log.segment(removed)).unwrap();
                    }
                    let (_, report, _) = log.start();
                    let losses = report.losses();
                    assert!(
                        losses.iter().all(|loss| known.contains(loss)),
                        "{hit} {flipped} {removed}\n{report}"
                    );
                    known = report.known_losses();
                    told += losses.len();
                }
                let _ = fs::remove_dir_all(log.folder.join("segments"));
                fs::create_dir(log.folder.join("segments")).unwrap();
                fs::write(log.folder.join("HEAD"), &head).unwrap();
                for (number, bytes) in (1..).zip(&segments) {
                    fs::write(log.segment(number), bytes).unwrap();
                }
            }
        }
        assert!(told > 100, "{told}");
    }

    #[test]
    fn every_flipped_byte_of_a_segment_costs_its_commit_and_stays_told() {
        let (log, bodies) = ten();
        let segment = fs::read(log.segment(2)).unwrap();
        let at = places(&[[0; 60].as_slice(); 3]);
        assert_eq!(segment.len(), at[3]);
        for flipped in (0..segment.len()).step_by(3) {
            log.change(log.segment(2), |bytes| bytes[flipped] ^= 0x20);
            let hit = at.iter().rposition(|at| *at <= flipped).map(|index| index as u64 + 4);
            let missing = hit.map_or(range(1, 0), |hit| range(hit, hit));
            for _ in 0..2 {
                let (_, report, found) = log.start();
                assert_eq!(found, without(&bodies, missing.start().0..=missing.end().0), "{flipped}");
                assert_eq!(report.damage.len(), 1, "{report}");
                assert_eq!(report.damage[0].segment, SegmentNumber(2));
                if hit.is_some() {
                    assert_eq!(report.damage[0].commits_missing, missing, "{flipped} {report}");
                }
            }
            fs::write(log.segment(2), &segment).unwrap();
        }
    }

    #[test]
    fn a_segment_of_another_place_holds_nothing() {
        let (log, bodies) = ten();
        let (other, _) = ten();
        // One of another directory says that a wrong META was put here, or a wrong segment: nothing is begun on that.
        let segment = fs::read(log.segment(2)).unwrap();
        fs::copy(other.segment(2), log.segment(2)).unwrap();
        assert!(matches!(log.try_start(), Err(OpenError::OthersMeta(_))));
        fs::write(log.segment(2), &segment).unwrap();
        let meta = fs::read(log.folder.join("META")).unwrap();
        fs::copy(other.folder.join("META"), log.folder.join("META")).unwrap();
        assert!(matches!(log.try_start(), Err(OpenError::OthersMeta(_))));
        fs::write(log.folder.join("META"), &meta).unwrap();
        assert_eq!(log.start().2, without(&bodies, 11..=11));
        fs::copy(log.segment(1), log.segment(2)).unwrap();
        let (_, report, found) = log.start();
        assert_eq!(found, without(&bodies, 4..=6));
        assert_eq!(report.damage[0].commits_missing, range(4, 6));
        fs::copy(other.folder.join("HEAD"), log.folder.join("HEAD")).unwrap();
        assert!(log.start().1.head_lost);
    }

    #[test]
    fn what_was_not_made_to_its_end_is_removed() {
        let (log, bodies) = ten();
        for name in ["00000000000000000005.seg.new", "spare-00000000000000000006.seg.new"] {
            fs::write(log.folder.join("segments").join(name), "half").unwrap();
        }
        let (_, report, found) = log.start();
        assert_eq!(found, without(&bodies, 11..=11));
        assert!(report.is_whole(), "{report}");
        assert_eq!(fs::read_dir(log.folder.join("segments")).unwrap().count(), 4);
    }
}
