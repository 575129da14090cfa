//! Looks at a directory that no hub has, and changes nothing in it.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::Path;

use tidewire_hub_core::frames::SegmentNumber;
use tidewire_hub_core::frames::scan::Frame;

use crate::disk::drive::Drive;
use crate::disk::files::Files;
use crate::disk::head::{self, Head};
use crate::disk::meta::{self, Meta};
use crate::disk::opening::{HEAD, LOCK, META, OpenError, SEGMENTS};
use crate::disk::refusal::refusal;
use crate::disk::report::Report;
use crate::disk::survey::Survey;
use crate::plain_file;

/// A directory that is only read. No hub can start over it meanwhile.
#[derive(Debug)]
pub struct Looking {
    files: Files,
    head: Option<Head>,
    _locks: [Option<File>; 2],
}

impl Looking {
    /// Looks at a directory that a hub has written.
    ///
    /// # Errors
    /// See [`OpenError`]; one that a hub has is in use.
    pub fn at(directory: &Path) -> Result<Self, OpenError> {
        let drive = Drive::default();
        let path = directory.join(META);
        let id = match meta::read(&drive, &path).map_err(|error| refusal(&path, error))? {
            Meta::Ours(id) => id,
            Meta::Absent => return Err(OpenError::NoLog(directory.to_owned())),
            Meta::Damaged => return Err(OpenError::DamagedMeta(path)),
            Meta::Newer(format) => return Err(OpenError::Newer { directory: directory.to_owned(), format }),
        };
        let locks = [share_lock(directory, LOCK)?, share_lock(directory, META)?];
        let head_path = directory.join(HEAD);
        let head = head::read(&drive, &head_path, id).map_err(|error| refusal(&head_path, error))?;
        let files = Files::new(drive, id, directory.join(SEGMENTS));
        if files.has_strangers().map_err(|(path, error)| refusal(&path, error))? {
            return Err(OpenError::OthersMeta(path));
        }
        Ok(Self { files, head, _locks: locks })
    }

    /// Reads all segments from the first commit to the last, shows each commit that is whole, and says what is missing.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn scan(&self, visit: impl FnMut(SegmentNumber, Frame<'_>)) -> Result<Report, OpenError> {
        Ok(Survey::of(&self.files, self.head.as_ref(), visit)?.report)
    }
}

/// Keeps hubs away, beside others that only look. A copy may have no lock, and nobody has that.
fn share_lock(directory: &Path, file: &str) -> Result<Option<File>, OpenError> {
    let path = directory.join(file);
    let lock = match plain_file::open(&path, OpenOptions::new().read(true)) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(refusal(&path, error)),
    };
    match lock.try_lock_shared() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(refusal(&path, error)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::{fs, iter};

    use super::*;
    use crate::disk::opening::fixture::Log;

    /// What all files of a directory hold.
    fn content(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
        let mut found = BTreeMap::new();
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => found.extend(content(&path)),
                false => found.extend(iter::once((path.clone(), fs::read(&path).unwrap()))),
            }
        }
        found
    }

    #[test]
    fn what_is_looked_at_is_not_changed() {
        let log = Log::with(&[b"one", b"two", &[3; 400]]);
        log.change(log.segment(1), |bytes| bytes.extend_from_slice(b"torn"));
        fs::remove_file(log.folder.join("LOCK")).unwrap();
        let before = content(&log.folder);
        let mut bodies = Vec::new();
        let report =
            Looking::at(&log.folder).unwrap().scan(|_, frame| bodies.push(frame.body.to_vec())).unwrap();
        assert_eq!(bodies, [b"one".to_vec(), b"two".to_vec(), vec![3; 400]]);
        assert_eq!(report.damage.len(), 1, "{report}");
        assert_eq!(content(&log.folder), before);
    }

    #[test]
    fn what_a_hub_has_is_not_looked_at_and_what_is_looked_at_is_not_started() {
        let log = Log::with(&[b"one"]);
        let (store, ..) = log.start();
        assert!(matches!(Looking::at(&log.folder).unwrap_err(), OpenError::InUse(_)));
        drop(store);
        let both = [Looking::at(&log.folder).unwrap(), Looking::at(&log.folder).unwrap()];
        assert!(matches!(log.open().unwrap_err(), OpenError::InUse(_)));
        drop(both);
        log.open().unwrap();
    }

    #[test]
    fn what_is_no_log_is_left_alone() {
        let log = Log::new();
        for error in [Looking::at(&log.folder).unwrap_err(), {
            fs::create_dir_all(&log.folder).unwrap();
            Looking::at(&log.folder).unwrap_err()
        }] {
            assert!(matches!(error, OpenError::NoLog(_)), "{error}");
        }
        assert_eq!(fs::read_dir(&log.folder).unwrap().count(), 0);
    }
}
