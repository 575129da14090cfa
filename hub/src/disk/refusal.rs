//! Why a directory is not opened, read or started, in sentences that say what to do.

use std::io;
use std::path::{Path, PathBuf};

use tidewire_hub_core::frames::FORMAT;

use crate::disk::drive;
use crate::plain_file::Unfit;

/// Why a directory is not opened or started, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("{} is in use by another hub: stop that one, or name another directory", .0.display())]
    InUse(PathBuf),
    /// A later release wrote it.
    #[error(
        "{} was written by a later release (format {format}; this one knows up to {FORMAT}): start that release, \
         or name another directory", .directory.display()
    )]
    Newer {
        /// Which.
        directory: PathBuf,
        /// How its files are written.
        format: u32,
    },
    /// It holds something, and no `META`.
    #[error(
        "{} holds other files and no META, so it is not the directory of a log: name an empty directory, or put its META \
         back from a backup", .0.display()
    )]
    NotOurs(PathBuf),
    /// Somebody wants to look at it, and it has no `META`.
    #[error("{} is not the directory of a log: it has no META", .0.display())]
    NoLog(PathBuf),
    /// Its `META` is none.
    #[error(
        "{} is damaged, and without it no commit can be read: put it back from a backup, or move its directory away to begin \
         with an empty log", .0.display()
    )]
    DamagedMeta(PathBuf),
    /// Its `META` is that of another directory.
    #[error(
        "{} is that of another directory, and with it nothing of what is here can be read: put back the one that was here, \
         and all files of one backup together", .0.display()
    )]
    OthersMeta(PathBuf),
    /// What is there, or above it, is something else.
    #[error(
        "{} is no directory, lies in what is none, or is a link to what is not there: name a directory, or one that is not \
         there yet", .0.display()
    )]
    NoDirectory(PathBuf),
    /// This user may not.
    #[error(
        "{} may not be read and written by this user: change its owner or mode, or name another directory", .0.display()
    )]
    NoPermission(PathBuf),
    /// This user may not even read it.
    #[error("{} may not be read by this user: run this as the hub's user, or as root", .0.display())]
    NotReadable(PathBuf),
    /// Its segments change faster than they are opened.
    #[error("{} changes faster than its files are opened: try again", .0.display())]
    Restless(PathBuf),
    /// Nobody may.
    #[error("{} is mounted read-only: mount it for writing, or name another directory", .0.display())]
    ReadOnly(PathBuf),
    /// There is no room for a first segment, or where none can be written over for a copy of the last.
    #[error("the disk of {} is full: make room for some 100 MB, and start again", .0.display())]
    Full(PathBuf),
    /// In the place of a file of the log is something else.
    #[error("{} is no file of a log: {why}; put back the one that was there", .path.display())]
    NoFile {
        /// Where.
        path: PathBuf,
        /// What it is.
        why: Unfit,
    },
    /// The system says something else.
    #[error("{} cannot be opened; what the system logged may say more", .path.display())]
    Io {
        /// What it was asked for.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
}

/// What the system says of a path, as whoever opens a directory is told.
pub(crate) fn refusal(path: &Path, source: io::Error) -> OpenError {
    let path = path.to_owned();
    if let Some(why) = Unfit::of(&source) {
        return OpenError::NoFile { path, why };
    }
    match source.kind() {
        io::ErrorKind::PermissionDenied => OpenError::NoPermission(path),
        io::ErrorKind::ReadOnlyFilesystem => OpenError::ReadOnly(path),
        _ if drive::is_full(&source) => OpenError::Full(path),
        _ => OpenError::Io { path, source },
    }
}
