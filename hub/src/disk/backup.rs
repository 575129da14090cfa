//! A copy of a directory, as a [`Snapshot`] has it, in a directory of its own.
//!
//! `META`, without which nobody takes it for the directory of a log, comes last, once all else is on the disk and was read
//! back. Its `HEAD` says that it is a copy, so the log has another identity where a hub begins with it: the one that was
//! copied may have gone on, and given places again that the copy gives.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use tidewire_hub_core::frames::SegmentNumber;
use tidewire_hub_core::frames::scan::Frame;

use crate::disk::drive::{self, Drive};
use crate::disk::files::Files;
use crate::disk::head::{End, Head, HeadFile};
use crate::disk::meta;
use crate::disk::opening::{HEAD, META, OpenError, REVOKED, REVOKED_BYTES_MAX, SEGMENTS};
use crate::disk::report::Report;
use crate::disk::snapshot::{self, Snapshot};
use crate::disk::survey::Survey;

/// A copy that is being made. What of it is there when it is dropped before it is whole is removed.
#[derive(Debug)]
pub struct Backup<'s> {
    of: &'s Snapshot,
    to: PathBuf,
    /// The directory was not there before.
    is_made: bool,
    files: Files,
    /// The checksums of what was read and written.
    written: Vec<(SegmentNumber, u32)>,
    head: Head,
    is_whole: bool,
}

/// Why there is no copy, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// What is copied cannot be read.
    #[error(transparent)]
    Source(#[from] OpenError),
    /// Something is where the copy is to be.
    #[error("{} is not empty: name an empty directory, or one that is not there yet", .0.display())]
    NotEmpty(PathBuf),
    /// A file is where the copy, or a directory that it lies in, is to be.
    #[error(
        "{} is no directory, lies in what is none, or is a link to what is not there: name an empty one, or one that is not \
         there yet", .0.display()
    )]
    NoDirectory(PathBuf),
    /// A copy was begun there, and did not come to its end.
    #[error(
        "{} holds a copy that was broken off, which nobody can use: remove it, or name another directory", .0.display()
    )]
    BrokenOff(PathBuf),
    /// What says which tokens were revoked is something else than a file.
    #[error(
        "{} says which tokens were revoked, and is a link, a pipe or the like: put the file back from a copy, or remove this \
         and revoke them again", .0.display()
    )]
    NoFile(PathBuf),
    /// The hub's directory holds nothing else than its files.
    #[error("{} lies in {}, which is to hold nothing but the hub's own files: name a directory elsewhere", .to.display(), .of.display())]
    Inside {
        /// Where the copy is to be.
        to: PathBuf,
        /// What is copied.
        of: PathBuf,
    },
    /// It would not fit.
    #[error("the disk of {} has {free} bytes left, and the copy takes {bytes}: make room, or name another directory", .to.display())]
    NoRoom {
        /// Where the copy is to be.
        to: PathBuf,
        /// How much it takes.
        bytes: u64,
        /// How much is left.
        free: u64,
    },
    /// It did not fit.
    #[error("the disk of {} is full: make room, or name another directory", .0.display())]
    Full(PathBuf),
    /// This user may not.
    #[error("{} may not be written by this user: change its owner or mode, or name another directory", .0.display())]
    NoPermission(PathBuf),
    /// Nobody may.
    #[error("{} is mounted read-only: mount it for writing, or name another directory", .0.display())]
    ReadOnly(PathBuf),
    /// The disk does not give back what was written.
    #[error("{} does not hold what was written to it: its disk is bad, so name a directory on another", .0.display())]
    Differs(PathBuf),
    /// The system says something else.
    #[error("{} cannot be written; what the system logged may say more", .path.display())]
    Io {
        /// What it was asked for.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

impl<'s> Backup<'s> {
    /// Makes the directory ready, which is to be empty or not there yet.
    ///
    /// # Errors
    /// See [`BackupError`]; nothing was written then.
    pub fn begin(of: &'s Snapshot, to: &Path) -> Result<Self, BackupError> {
        Self::begin_on(Drive::default(), of, to)
    }

    pub(crate) fn begin_on(drive: Drive, of: &'s Snapshot, to: &Path) -> Result<Self, BackupError> {
        let refused = |error| refusal(to, error);
        check_empty(to).map_err(refused)?;
        let there = to.ancestors().find(|folder| folder.exists()).filter(|it| !it.as_os_str().is_empty());
        let there = there.unwrap_or(Path::new("."));
        let (inside, outside) = (there.canonicalize(), of.directory.canonicalize());
        if let (Ok(inside), Ok(outside)) = (inside, outside)
            && inside.starts_with(outside)
        {
            return Err(BackupError::Inside { to: to.to_owned(), of: of.directory.clone() });
        }
        check_revoked(&of.directory)?;
        let bytes = of.bytes().map_err(|source| BackupError::Io { path: of.directory.clone(), source })?;
        if let Ok(Some(free)) = drive::free_bytes(there)
            && free < bytes
        {
            return Err(BackupError::NoRoom { to: to.to_owned(), bytes, free });
        }
        let is_made = !to.exists();
        let folder = to.join(SEGMENTS);
        // Of two that begin at the same time one finds that the other has begun.
        let made = drive.make_folder(to).and_then(|()| fs::create_dir(&folder));
        if made.is_err() && is_made {
            let _ = fs::remove_dir(to);
        }
        made.map_err(refused)?;
        let files = Files::new(drive, of.id, folder);
        let (to, written, head) = (to.to_owned(), Vec::new(), Head::default());
        Ok(Self { of, to, is_made, files, written, head, is_whole: false })
    }

    /// Copies all segments, shows each commit that is whole, and says what was missing before.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn copy(&mut self, visit: impl FnMut(SegmentNumber, Frame<'_>)) -> Result<Report, BackupError> {
        let Self { of, files, written, .. } = self;
        let unreadable = |path: &Path, error| BackupError::Source(snapshot::unreadable(path, error));
        let read = |number, bytes: &mut Vec<u8>| {
            of.read(number, bytes).map_err(|error| unreadable(&of.path(number), error))?;
            written.push((number, crc32c::crc32c(bytes)));
            let path = files.path(number);
            write(&files.drive, &path, bytes).map_err(|error| refusal(&path, error))
        };
        let present = of.present().map_err(|error| unreadable(&of.directory, error))?;
        let Survey { report, last, .. } = Survey::take(of.id, present, of.head.as_ref(), read, visit)?;
        let inside = files.path(SegmentNumber(1));
        files.drive.sync_folder_of(&inside).map_err(|error| refusal(files.folder(), error))?;
        self.head = Head { end: End::Copied, ..of.head.unwrap_or_default() };
        if let Some(last) = last.filter(|_| report.last >= self.head.commit) {
            let (segment, position) = (last.number, last.end as u64);
            self.head = Head { commit: report.last, segment, position, ..self.head };
        }
        self.put_head().map_err(|error| refusal(&self.to.join(HEAD), error))?;
        Ok(report)
    }

    fn put_head(&self) -> io::Result<()> {
        let mut file = HeadFile::open(&self.files.drive, &self.to.join(HEAD), self.of.id, None)?;
        file.write(&self.head)?;
        file.sync()
    }

    /// Reads the copy back, as a start does, and compares it with what was read before; shows each commit that is whole.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn verify(&self, visit: impl FnMut(SegmentNumber, Frame<'_>)) -> Result<Report, BackupError> {
        let Self { files, written, head, .. } = self;
        let mut read = written.iter();
        let mut differs = None;
        let reading = |number, bytes: &mut Vec<u8>| -> Result<(), BackupError> {
            files.read(number, bytes).map_err(|error| refusal(&files.path(number), error))?;
            if read.next() != Some(&(number, crc32c::crc32c(bytes))) {
                differs.get_or_insert(files.path(number));
            }
            Ok(())
        };
        let present = files.present().map_err(|error| refusal(files.folder(), error))?;
        let report = Survey::take(files.directory, present, Some(head), reading, visit)?.report;
        match differs.or_else(|| read.next().map(|(number, _)| files.path(*number))) {
            Some(path) => Err(BackupError::Differs(path)),
            None => Ok(report),
        }
    }

    /// From now on it is the directory of a log.
    ///
    /// # Errors
    /// See [`BackupError`].
    pub fn end(mut self) -> Result<(), BackupError> {
        self.copy_revoked()?;
        let (mut content, path) = (Vec::new(), self.of.directory.join(META));
        let drive = &self.files.drive;
        let read = Drive::default().read(&path, &mut content, meta::BYTES_MAX);
        read.map_err(|error| snapshot::unreadable(&path, error))?;
        let path = self.to.join(META);
        drive.put(&path, &content).map_err(|error| refusal(&path, error))?;
        self.is_whole = true;
        Ok(())
    }

    /// Which tokens were revoked: a hub that begins with the copy is not to take them again.
    fn copy_revoked(&self) -> Result<(), BackupError> {
        let (mut bytes, from, to) = (Vec::new(), self.of.directory.join(REVOKED), self.to.join(REVOKED));
        check_revoked(&self.of.directory)?;
        match Drive::default().read_itself(&from, &mut bytes, REVOKED_BYTES_MAX) {
            Ok(_) => self.files.drive.put(&to, &bytes).map_err(|error| refusal(&to, error)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(snapshot::unreadable(&from, error).into()),
        }
    }
}

impl Drop for Backup<'_> {
    fn drop(&mut self) {
        if self.is_whole {
            return;
        }
        // What cannot be removed is told when it is in the way.
        for file in [META, HEAD, REVOKED].map(|name| self.to.join(name)) {
            let _ = fs::remove_file(drive::new_name(&file));
            let _ = fs::remove_file(file);
        }
        let _ = fs::remove_dir_all(self.files.folder());
        if self.is_made {
            let _ = fs::remove_dir(&self.to);
        }
    }
}

/// Refuses what a copy would be without: of a pipe nothing might ever come, and a link may lead to what is nobody's business.
fn check_revoked(directory: &Path) -> Result<(), BackupError> {
    let path = directory.join(REVOKED);
    let is_none = fs::symlink_metadata(&path).is_ok_and(|found| !found.is_file());
    if is_none { Err(BackupError::NoFile(path)) } else { Ok(()) }
}

/// Writes a file, on the disk too; what is read of it next comes from there.
fn write(drive: &Drive, path: &Path, bytes: &[u8]) -> io::Result<()> {
    let file = drive.open(path)?;
    file.write_at(bytes, 0)?;
    file.sync()?;
    file.let_go();
    Ok(())
}

/// Refuses a directory that holds something, but for what a file system has of its own.
fn check_empty(to: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(to) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    for entry in entries {
        if entry?.file_name() != "lost+found" {
            return Err(io::ErrorKind::DirectoryNotEmpty.into());
        }
    }
    Ok(())
}

fn refusal(path: &Path, source: io::Error) -> BackupError {
    let path = path.to_owned();
    match source.kind() {
        io::ErrorKind::NotADirectory => BackupError::NoDirectory(path),
        io::ErrorKind::AlreadyExists if !path.is_dir() => BackupError::NoDirectory(path),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists => {
            let is_ours = path.join(SEGMENTS).is_dir() && !path.join(META).exists();
            if is_ours { BackupError::BrokenOff(path) } else { BackupError::NotEmpty(path) }
        }
        io::ErrorKind::PermissionDenied => BackupError::NoPermission(path),
        io::ErrorKind::ReadOnlyFilesystem => BackupError::ReadOnly(path),
        _ if drive::is_full(&source) => BackupError::Full(path),
        _ => BackupError::Io { path, source },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_hub_core::frames::{CommitNumber, FRAME_HEADER_BYTES};

    use super::*;
    use crate::disk::opening::fixture::{Commits, Log, append, commits};

    /// Copies a log into the place of another that is not there yet, and tells what was missing before.
    fn try_copy(log: &Log, to: &Log) -> Result<Report, BackupError> {
        let snapshot = Snapshot::take_on(&log.drive, &log.folder)?;
        let mut backup = Backup::begin_on(to.drive.clone(), &snapshot, &to.folder)?;
        let mut bodies = Vec::new();
        let report = backup.copy(|_, frame| bodies.push(frame.body.to_vec()))?;
        let mut read_back = Vec::new();
        backup.verify(|_, frame| read_back.push(frame.body.to_vec()))?;
        assert_eq!(bodies, read_back);
        backup.end()?;
        Ok(report)
    }

    fn copy(log: &Log) -> (Log, Report) {
        let to = Log::new();
        let report = try_copy(log, &to).unwrap();
        (to, report)
    }

    const FOUR: [&[u8]; 4] = [b"one", &[2; 200], &[3; 200], b"four"];

    #[test]
    fn a_copy_holds_what_there_was_and_begins_as_another_log() {
        let log = Log::with(&FOUR);
        let (running, ..) = log.start();
        for _ in 0..2 {
            let (to, report) = copy(&log);
            assert!(report.is_whole() && report.last == CommitNumber(4), "{report}");
            let (store, report, found) = to.start();
            assert_eq!(found, commits(1, &FOUR));
            assert!(report.is_whole() && report.is_copy && report.torn.is_none(), "{report}");
            assert!(store.boot() > running.boot() + 1_000_000, "{}", store.boot());
        }
        drop(running);
        // Of one that has ended, and of a copy.
        log.start().0.close().unwrap();
        let (to, _) = copy(&log);
        let (again, _) = copy(&to);
        assert_eq!(again.start().2, commits(1, &FOUR));
        assert!(log.open().unwrap().was_clean());
    }

    #[test]
    fn what_is_not_whole_at_the_end_is_left_out_and_what_head_does_not_know_yet_is_not() {
        let log = Log::with(&[b"one", b"two", b"three"]);
        let head = fs::read(log.folder.join("HEAD")).unwrap();
        append(&mut log.start().0, b"four").unwrap();
        let end = 64 + 4 * FRAME_HEADER_BYTES + 15;
        // As after a loss of power: HEAD is an old one, and one commit was not written to its end.
        fs::write(log.folder.join("HEAD"), head).unwrap();
        log.change(log.segment(1), |bytes| {
            bytes.truncate(end);
            bytes.extend_from_within(64..80);
        });
        let (to, report) = copy(&log);
        assert!(report.is_whole(), "{report}");
        assert_eq!(fs::metadata(to.segment(1)).unwrap().len(), end as u64);
        assert_eq!(to.start().2, commits(1, &[b"one", b"two", b"three", b"four"]));
    }

    #[test]
    fn what_is_damaged_behind_what_head_knows_is_told_and_the_rest_is_there() {
        let log = Log::with(&[b"one", b"two"]);
        let head = fs::read(log.folder.join("HEAD")).unwrap();
        let (mut store, ..) = log.start();
        for body in [&b"three"[..], b"four", &[5; 300]] {
            append(&mut store, body).unwrap();
        }
        drop(store);
        fs::write(log.folder.join("HEAD"), head).unwrap();
        log.change(log.segment(1), |bytes| bytes[64 + 3 * FRAME_HEADER_BYTES + 7] ^= 1);
        let (to, report) = copy(&log);
        assert_eq!(report.damage[0].commits_missing, CommitNumber(3)..=CommitNumber(3), "{report}");
        let (_, again, found) = to.start();
        assert_eq!(again.damage, report.damage);
        let expected: Commits = [(1, b"one".to_vec()), (2, b"two".to_vec()), (4, b"four".to_vec())].into();
        assert_eq!(found, [expected, vec![(5, vec![5; 300])]].concat());
    }

    #[test]
    fn what_was_answered_and_is_lost_stays_told_by_the_copy() {
        let log = Log::with(&[b"one", b"two", b"three"]);
        log.change(log.segment(1), |bytes| bytes.truncate(64 + 2 * FRAME_HEADER_BYTES + 6));
        let (to, report) = copy(&log);
        assert!(report.lost_answered.is_some(), "{report}");
        let (store, again, found) = to.start();
        assert_eq!((again.lost_answered, found), (report.lost_answered, commits(1, &[b"one", b"two"])));
        assert_eq!(store.next(), CommitNumber(4));
    }

    #[test]
    fn nothing_is_copied_over_something_else() {
        let log = Log::with(&FOUR);
        let (to, _) = copy(&log);
        assert!(matches!(try_copy(&log, &to), Err(BackupError::NotEmpty(_))));
        fs::remove_file(to.folder.join("META")).unwrap();
        assert!(matches!(try_copy(&log, &to), Err(BackupError::BrokenOff(_))));
        assert!(to.segment(1).exists());
        let mut inside = Log::new();
        inside.folder = log.folder.join("segments/../copies/1");
        assert!(matches!(try_copy(&log, &inside), Err(BackupError::Inside { .. })));
        assert!(!log.folder.join("copies").exists());
    }

    /// Each call of the system fails once where the copy is made: then nothing is left that is taken for a log.
    #[test]
    fn a_copy_is_whole_or_none() {
        let log = Log::with(&FOUR);
        fs::write(log.folder.join(REVOKED), "some").unwrap();
        let mut failing = 0;
        loop {
            let to = Log::new();
            to.drive.faults.fail(None, "", failing, io::ErrorKind::StorageFull);
            let copied = try_copy(&log, &to);
            if !to.drive.faults.none_is_left() {
                copied.unwrap();
                assert_eq!(to.start().2, commits(1, &FOUR));
                assert_eq!(fs::read(to.folder.join(REVOKED)).unwrap(), b"some");
                break;
            }
            assert!(matches!(copied, Err(BackupError::Full(_))), "{failing} {copied:?}");
            assert!(!to.folder.exists(), "{failing}");
            failing += 1;
        }
        assert!(failing > 15, "{failing}");
    }

    #[test]
    fn a_disk_that_gives_back_something_else_is_found_out() {
        let log = Log::with(&FOUR);
        let to = Log::new();
        let snapshot = Snapshot::take_on(&log.drive, &log.folder).unwrap();
        let mut backup = Backup::begin_on(to.drive.clone(), &snapshot, &to.folder).unwrap();
        backup.copy(|_, _| {}).unwrap();
        to.change(to.segment(2), |bytes| bytes[100] ^= 1);
        assert!(matches!(backup.verify(|_, _| {}), Err(BackupError::Differs(_))));
        drop(backup);
        assert!(!to.folder.exists());
    }
}
