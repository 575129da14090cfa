//! Files and folders as the store uses them: the one place where the system is asked, and where a test makes it fail.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Seek as _};
use std::path::Path;

use crate::plain_file;

/// The system's files; in tests also what is to fail of them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Drive {
    #[cfg(test)]
    pub(crate) faults: faults::Faults,
}

/// What is asked of the system.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    Open,
    Read,
    Allocate,
    Write,
    Truncate,
    Sync,
    SyncFolder,
    Rename,
    Remove,
}

/// A file that is open: for reading, and unless it is only looked at, for writing.
#[derive(Debug)]
pub(crate) struct DriveFile {
    file: File,
    drive: Drive,
    /// What it is called, without its folder.
    #[cfg(test)]
    name: String,
}

impl Drive {
    /// A file that only the hub's user can read; it is made if it is not there.
    pub(crate) fn open(&self, path: &Path) -> io::Result<DriveFile> {
        self.ask(Operation::Open, path)?;
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = plain_file::open(path, &mut options)?;
        Ok(DriveFile {
            file,
            drive: self.clone(),
            #[cfg(test)]
            name: faults::name(path),
        })
    }

    /// A file that is there, only to be read. It stays what it is, whatever becomes of its name.
    pub(crate) fn look_into(&self, path: &Path) -> io::Result<DriveFile> {
        let file = to_read(path)?;
        Ok(DriveFile {
            file,
            drive: self.clone(),
            #[cfg(test)]
            name: faults::name(path),
        })
    }

    /// All that a file holds, if that is so much at most, in a buffer that is used again: where it cannot be read there are
    /// zeros. Whether there are such places.
    pub(crate) fn read(&self, path: &Path, bytes: &mut Vec<u8>, bytes_max: u64) -> io::Result<bool> {
        self.ask(Operation::Read, path)?;
        let file = to_read(path)?;
        let any = read_all(&file, bytes, bytes_max)?;
        #[cfg(test)]
        let any = any | read_around(bytes, |block, at| self.read_from(&file, path, block, at))?;
        Ok(any)
    }

    /// The same, of what has this name itself: no link is followed.
    pub(crate) fn read_itself(&self, path: &Path, bytes: &mut Vec<u8>, bytes_max: u64) -> io::Result<bool> {
        self.ask(Operation::Read, path)?;
        read_all(&plain_file::open_itself(path)?, bytes, bytes_max)
    }

    /// Fills a buffer with what a file holds from this place on.
    pub(crate) fn read_at(&self, path: &Path, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.ask(Operation::Read, path)?;
        self.read_from(&to_read(path)?, path, bytes, at)
    }

    /// The same on a bad disk: where it cannot be read there are zeros. Whether there are such places.
    pub(crate) fn read_around(&self, path: &Path, bytes: &mut [u8], at: u64) -> io::Result<bool> {
        let file = to_read(path)?;
        read_around(bytes, |block, offset| self.read_from(&file, path, block, at + offset))
    }

    #[cfg_attr(not(test), allow(clippy::unused_self))]
    fn read_from(&self, file: &File, path: &Path, bytes: &mut [u8], at: u64) -> io::Result<()> {
        #[cfg(test)]
        self.faults.ask_for_bytes(&faults::name(path), at, bytes.len())?;
        let _ = path;
        read_exact_at(file, bytes, at)
    }

    /// A file with this content under this name, whole or not at all, and on the disk.
    pub(crate) fn put(&self, path: &Path, content: &[u8]) -> io::Result<()> {
        let new = new_name(path);
        let file = self.open(&new)?;
        file.truncate(0)?;
        file.write_at(content, 0)?;
        file.sync()?;
        self.rename(&new, path)
    }

    /// Gives a file the place of another, or of none; on the disk.
    pub(crate) fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.ask(Operation::Rename, to)?;
        fs::rename(from, to)?;
        self.sync_folder_of(to)
    }

    /// Removes a file; on the disk.
    pub(crate) fn remove(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::Remove, path)?;
        fs::remove_file(path)?;
        self.sync_folder_of(path)
    }

    /// Makes a folder that only the hub's user can read, and those above it; on the disk.
    pub(crate) fn make_folder(&self, path: &Path) -> io::Result<()> {
        if path.is_dir() {
            return Ok(());
        }
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        let made: Vec<_> = path.ancestors().take_while(|folder| !folder.is_dir()).collect();
        builder.recursive(true).create(path)?;
        made.into_iter()
            .filter(|folder| !folder.as_os_str().is_empty())
            .try_for_each(|it| self.sync_folder_of(it))
    }

    /// The names that a folder has on disk are what they are now.
    pub(crate) fn sync_folder_of(&self, path: &Path) -> io::Result<()> {
        self.ask(Operation::SyncFolder, path)?;
        #[cfg(unix)]
        if let Some(folder) = path.parent() {
            let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
            File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn ask(&self, operation: Operation, path: &Path) -> io::Result<()> {
        #[cfg(test)]
        self.faults.ask(operation, &faults::name(path))?;
        let _ = (operation, path);
        Ok(())
    }
}

fn to_read(path: &Path) -> io::Result<File> {
    plain_file::open(path, OpenOptions::new().read(true))
}

fn read_all(mut file: &File, bytes: &mut Vec<u8>, bytes_max: u64) -> io::Result<bool> {
    file.rewind()?;
    match plain_file::read(file, bytes, bytes_max) {
        Err(error) if is_bad_block(&error) => {
            let length = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX);
            bytes.clear();
            bytes.resize(length, 0);
            read_around(bytes, |block, at| read_exact_at(file, block, at))
        }
        read => read.map(|()| false),
    }
}

/// Fills a buffer with what can be read on a bad disk, block by block and by their places in it: where it cannot, there are
/// zeros, which are damage like any other. Whether there are such places.
fn read_around(bytes: &mut [u8], mut read: impl FnMut(&mut [u8], u64) -> io::Result<()>) -> io::Result<bool> {
    let mut any = false;
    for (index, block) in bytes.chunks_mut(BLOCK_BYTES).enumerate() {
        match read(block, (index * BLOCK_BYTES) as u64) {
            Err(error) if is_bad_block(&error) => {
                block.fill(0);
                any = true;
            }
            read => read?,
        }
    }
    Ok(any)
}

/// Whether the disk cannot read there.
pub(crate) fn is_bad_block(error: &io::Error) -> bool {
    error.raw_os_error() == Some(INPUT_OUTPUT)
}

/// What the system says where a disk cannot read.
const INPUT_OUTPUT: i32 = 5;
/// Disks fail by so many bytes at least.
const BLOCK_BYTES: usize = 4_096;

impl DriveFile {
    /// How long it is.
    pub(crate) fn bytes(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }

    /// All that it holds, if that is so much at most, in a buffer that is used again.
    pub(crate) fn read(&self, bytes: &mut Vec<u8>, bytes_max: u64) -> io::Result<()> {
        self.ask(Operation::Read)?;
        read_all(&self.file, bytes, bytes_max).map(drop)
    }

    /// Fills a buffer with what it holds from this place on.
    pub(crate) fn read_at(&self, bytes: &mut [u8], at: u64) -> io::Result<()> {
        self.ask(Operation::Read)?;
        read_exact_at(&self.file, bytes, at)
    }

    /// Which file it is: another that gets its name is not the same.
    pub(crate) fn place(&self) -> io::Result<(u64, u64)> {
        self.file.metadata().map(|metadata| place_of(&metadata))
    }

    /// Has what is read of it next come from the disk, where the system can do that.
    pub(crate) fn let_go(&self) {
        #[cfg(target_os = "linux")]
        let _ = rustix::fs::fadvise(&self.file, 0, None, rustix::fs::Advice::DontNeed);
    }

    /// Takes it for this process alone, as long as it is open.
    pub(crate) fn try_lock(&self) -> Result<(), fs::TryLockError> {
        self.file.try_lock()
    }

    /// Writes all of it, from this place on.
    pub(crate) fn write_at(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        if let Err(error) = self.ask(Operation::Write) {
            // A write that fails has written something.
            write_all_at(&self.file, &bytes[..bytes.len() / 2], at)?;
            return Err(error);
        }
        write_all_at(&self.file, bytes, at)
    }

    /// Takes room on the disk from one place to another, so that writing there needs none; `false` where this file system
    /// cannot. What is new reads as zeros.
    pub(crate) fn allocate(&self, from: u64, to: u64) -> io::Result<bool> {
        self.ask(Operation::Allocate)?;
        allocate(&self.file, from, to)
    }

    /// Cuts it off at this place, or fills it with zeros up to there.
    pub(crate) fn truncate(&self, bytes: u64) -> io::Result<()> {
        self.ask(Operation::Truncate)?;
        self.file.set_len(bytes)
    }

    /// What was written is on the disk, and how long the file is.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.ask(Operation::Sync)?;
        self.file.sync_data()
    }

    #[cfg_attr(not(test), allow(clippy::unused_self, clippy::unnecessary_wraps))]
    fn ask(&self, operation: Operation) -> io::Result<()> {
        #[cfg(test)]
        self.drive.faults.ask(operation, &self.name)?;
        let _ = (operation, &self.drive);
        Ok(())
    }
}

/// Device and number of what is at a path; `None` if nothing is.
pub(crate) fn place_at(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| place_of(&metadata))
}

#[cfg(unix)]
fn place_of(metadata: &fs::Metadata) -> (u64, u64) {
    use std::os::unix::fs::MetadataExt as _;
    (metadata.dev(), metadata.ino())
}

#[cfg(not(unix))]
fn place_of(metadata: &fs::Metadata) -> (u64, u64) {
    (0, metadata.len())
}

/// What a file is called until it is whole.
pub(crate) fn new_name(path: &Path) -> std::path::PathBuf {
    let mut new = path.to_owned();
    new.as_mut_os_string().push(NEW);
    new
}

/// Whether there was no room, on the disk or of what this user may take.
pub(crate) fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

/// How much room a folder's disk has left for this user; `None` where the system does not tell.
#[cfg(unix)]
pub(crate) fn free_bytes(path: &Path) -> io::Result<Option<u64>> {
    let found = rustix::fs::statvfs(path)?;
    Ok(Some(found.f_bavail.saturating_mul(found.f_frsize)))
}

#[cfg(not(unix))]
pub(crate) fn free_bytes(_: &Path) -> io::Result<Option<u64>> {
    Ok(None)
}

#[cfg(unix)]
fn allocate(file: &File, from: u64, to: u64) -> io::Result<bool> {
    use rustix::io::Errno;
    let flags = rustix::fs::FallocateFlags::empty();
    loop {
        return match rustix::fs::fallocate(file, flags, from, to.saturating_sub(from)) {
            Ok(()) => Ok(true),
            Err(Errno::INTR) => continue,
            Err(Errno::OPNOTSUPP | Errno::NOSYS | Errno::INVAL) => Ok(false),
            Err(error) => Err(error.into()),
        };
    }
}

#[cfg(not(unix))]
fn allocate(_: &File, _: u64, _: u64) -> io::Result<bool> {
    Ok(false)
}

#[cfg(unix)]
use std::os::unix::fs::FileExt;

#[cfg(unix)]
fn write_all_at(file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    file.write_all_at(bytes, at)
}

#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    file.read_exact_at(bytes, at)
}

#[cfg(not(unix))]
fn write_all_at(mut file: &File, bytes: &[u8], at: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    io::Write::write_all(&mut file, bytes)
}

#[cfg(not(unix))]
fn read_exact_at(mut file: &File, bytes: &mut [u8], at: u64) -> io::Result<()> {
    io::Seek::seek(&mut file, io::SeekFrom::Start(at))?;
    io::Read::read_exact(&mut file, bytes)
}

/// What is left under such a name was never whole.
pub(crate) const NEW: &str = ".new";

#[cfg(test)]
pub(crate) mod faults {
    #![allow(clippy::unwrap_used)]

    use std::sync::{Arc, Mutex};

    use super::*;

    /// What is to fail, and what was asked so far.
    #[derive(Debug, Clone, Default)]
    pub(crate) struct Faults(Arc<Mutex<Plan>>);

    #[derive(Debug, Default)]
    struct Plan {
        asked: Vec<(Operation, String)>,
        fault: Option<Fault>,
        /// A place in the files of this name that cannot be read.
        bad_place: Option<(&'static str, u64)>,
        /// Bytes that were asked for.
        bytes: u64,
    }

    #[derive(Debug)]
    struct Fault {
        /// Of any kind, if none is named.
        operation: Option<Operation>,
        /// How the file's name ends.
        name: &'static str,
        /// So many more go well.
        passes: usize,
        error: io::ErrorKind,
    }

    impl Faults {
        /// Of the next such operations so many go well and one fails.
        pub(crate) fn fail(
            &self,
            operation: impl Into<Option<Operation>>,
            name: &'static str,
            passes: usize,
            error: io::ErrorKind,
        ) {
            self.0.lock().unwrap().fault = Some(Fault { operation: operation.into(), name, passes, error });
        }

        /// This place cannot be read in files of this name.
        pub(crate) fn spoil(&self, name: &'static str, at: u64) {
            self.0.lock().unwrap().bad_place = Some((name, at));
        }

        /// All can be read again.
        pub(crate) fn mend(&self) {
            self.0.lock().unwrap().bad_place = None;
        }

        pub(crate) fn ask_for_bytes(&self, name: &str, at: u64, len: usize) -> io::Result<()> {
            let mut plan = self.0.lock().unwrap();
            plan.bytes += len as u64;
            let is_bad = plan
                .bad_place
                .is_some_and(|(bad, place)| name.ends_with(bad) && (at..at + len as u64).contains(&place));
            if is_bad { Err(io::Error::from_raw_os_error(INPUT_OUTPUT)) } else { Ok(()) }
        }

        /// Nothing is to fail any more; whether something still was.
        pub(crate) fn none_is_left(&self) -> bool {
            self.0.lock().unwrap().fault.take().is_none()
        }

        /// What was asked since this was asked last.
        pub(crate) fn asked(&self) -> Vec<(Operation, String)> {
            std::mem::take(&mut self.0.lock().unwrap().asked)
        }

        /// How many bytes of parts of files were asked for since this was asked last.
        pub(crate) fn bytes(&self) -> u64 {
            std::mem::take(&mut self.0.lock().unwrap().bytes)
        }

        pub(crate) fn ask(&self, operation: Operation, name: &str) -> io::Result<()> {
            let mut plan = self.0.lock().unwrap();
            plan.asked.push((operation, name.to_owned()));
            let fits = |fault: &&mut Fault| {
                fault.operation.is_none_or(|due| due == operation) && name.ends_with(fault.name)
            };
            let Some(fault) = plan.fault.as_mut().filter(fits) else { return Ok(()) };
            let Some(passes) = fault.passes.checked_sub(1) else {
                let error = fault.error.into();
                plan.fault = None;
                return Err(error);
            };
            fault.passes = passes;
            Ok(())
        }
    }

    pub(crate) fn name(path: &Path) -> String {
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    }
}
