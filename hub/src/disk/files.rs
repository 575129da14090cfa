//! The segments as files, for threads beside the one that commits: which there are, reading and removing them, and how much
//! room is left.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_hub_core::frames::{DirectoryId, Merged, SEGMENT_HEADER_BYTES, SegmentHeader, SegmentNumber};

use crate::disk::drive::{self, Drive, DriveFile};
use crate::plain_file::Unfit;

/// The segments of a directory.
#[derive(Debug, Clone)]
pub struct Files {
    pub(crate) drive: Drive,
    pub(crate) directory: DirectoryId,
    folder: PathBuf,
    /// What the system calls that.
    place: Option<(u64, u64)>,
    /// The segment that commits go to, and those behind it, are not removed.
    active: Arc<AtomicU64>,
}

/// A segment's file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFile {
    /// Its number.
    pub number: SegmentNumber,
    /// How long it is, with room that was taken ahead.
    pub bytes: u64,
}

impl Files {
    pub(crate) fn new(drive: Drive, directory: DirectoryId, folder: PathBuf) -> Self {
        let place = drive::place_at(&folder);
        Self { drive, directory, folder, place, active: Arc::default() }
    }

    /// The id with which [`tidewire_hub_core::frames::scan::Scan`] reads a segment of this directory.
    #[must_use]
    pub const fn directory(&self) -> DirectoryId {
        self.directory
    }

    /// All segments, the oldest first.
    ///
    /// # Errors
    /// What the system says.
    pub fn segments(&self) -> io::Result<Vec<SegmentFile>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let Some(number) = number_of(&entry.file_name().to_string_lossy()) else { continue };
            match entry.metadata() {
                Ok(metadata) => found.push(SegmentFile { number, bytes: metadata.len() }),
                // It was removed meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        found.sort_unstable_by_key(|segment| segment.number);
        Ok(found)
    }

    /// The same; none where their folder is not there yet, as a first start may leave it that was broken off. Not for whoever
    /// has the directory: from there somebody has removed it.
    ///
    /// # Errors
    /// What the system says.
    pub(crate) fn segments_if_any(&self) -> io::Result<Vec<SegmentFile>> {
        match self.segments() {
            // A link to what is not there is something else.
            Err(error)
                if error.kind() == io::ErrorKind::NotFound && fs::symlink_metadata(&self.folder).is_err() =>
            {
                Ok(Vec::new())
            }
            found => found,
        }
    }

    /// All bytes of a segment, in a buffer that is used again.
    ///
    /// # Errors
    /// What the system says.
    pub fn read(&self, segment: SegmentNumber, bytes: &mut Vec<u8>) -> io::Result<()> {
        self.read_noting(segment, bytes).map(drop)
    }

    /// All that a segment holds, in a buffer that is used again, and whether some of it cannot be read now.
    ///
    /// # Errors
    /// What the system says.
    pub fn read_noting(&self, segment: SegmentNumber, bytes: &mut Vec<u8>) -> io::Result<bool> {
        self.drive.read(&self.path(segment), bytes, SEGMENT_BYTES_MAX)
    }

    /// Fills a buffer with what a segment holds from this place on. Who reads a part of a frame checks it by what stands in it.
    ///
    /// # Errors
    /// What the system says, and that the segment is shorter.
    pub fn read_at(&self, segment: SegmentNumber, at: u64, bytes: &mut [u8]) -> io::Result<()> {
        self.drive.read_at(&self.path(segment), bytes, at)
    }

    /// The same on a bad disk: where it cannot be read there are zeros. Whether there are such places.
    ///
    /// # Errors
    /// As for [`Self::read_at`].
    pub fn read_around(&self, segment: SegmentNumber, at: u64, bytes: &mut [u8]) -> io::Result<bool> {
        self.drive.read_around(&self.path(segment), bytes, at)
    }

    /// How long a segment is, with room that was taken ahead.
    ///
    /// # Errors
    /// What the system says.
    pub fn bytes_of(&self, segment: SegmentNumber) -> io::Result<u64> {
        fs::metadata(self.path(segment)).map(|metadata| metadata.len())
    }

    /// What a segment stands for, if it is merged and its header says so.
    ///
    /// # Errors
    /// What the system says.
    pub fn merged(&self, segment: SegmentNumber) -> io::Result<Option<Merged>> {
        self.merged_in(segment, &self.drive.look_into(&self.path(segment))?)
    }

    /// The same of a segment that is open.
    pub(crate) fn merged_in(&self, segment: SegmentNumber, file: &DriveFile) -> io::Result<Option<Merged>> {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        match file.read_at(&mut header, 0) {
            Ok(()) => {
                Ok(SegmentHeader::read(&header, self.directory, segment).and_then(|header| header.merged))
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a segment, on the disk too. Not for the thread that commits: it waits for the disk.
    ///
    /// # Errors
    /// What the system says, and that commits still go to it.
    pub fn remove(&self, segment: SegmentNumber) -> io::Result<()> {
        if self.is_written_to(segment) {
            return Err(io::Error::new(io::ErrorKind::ResourceBusy, "commits still go to this segment"));
        }
        self.drive.remove(&self.path(segment))
    }

    /// Whether commits go to this segment, or will.
    #[must_use]
    pub fn is_written_to(&self, segment: SegmentNumber) -> bool {
        segment.0 >= self.active.load(Ordering::Acquire)
    }

    /// Whether a segment is there that belongs to another directory.
    ///
    /// # Errors
    /// What the system says, and of which path.
    pub(crate) fn has_strangers(&self) -> Result<bool, (PathBuf, io::Error)> {
        for segment in self.segments_if_any().map_err(|error| (self.folder.clone(), error))? {
            let mut header = [0; SEGMENT_HEADER_BYTES];
            if segment.bytes < header.len() as u64 {
                continue;
            }
            match self.read_at(segment.number, 0, &mut header) {
                // It was removed meanwhile, or is none: whoever reads it says so.
                Err(error) if error.kind() == io::ErrorKind::NotFound || Unfit::of(&error).is_some() => {
                    continue;
                }
                read => read.map_err(|error| (self.path(segment.number), error))?,
            }
            if SegmentHeader::directory_of(&header).is_some_and(|directory| directory != self.directory) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether the folder is still the one that was opened: somebody may have removed it, or mounted something else there.
    #[must_use]
    pub fn are_there(&self) -> bool {
        drive::place_at(&self.folder) == self.place
    }

    /// Keeps a segment under another name, for whoever wants to look into it, before it is written anew.
    pub(crate) fn set_aside(&self, segment: SegmentNumber) {
        // What fails here fails where it matters, or not at all.
        let _ = fs::hard_link(self.path(segment), self.aside_path(segment));
    }

    /// Keeps one of which nothing is left under that name alone.
    pub(crate) fn move_aside(&self, segment: SegmentNumber) -> io::Result<()> {
        self.drive.rename(&self.path(segment), &self.aside_path(segment))
    }

    /// Keeps it no longer, before that same file is written over: it would not be as it was found.
    pub(crate) fn leave_aside(&self, segment: SegmentNumber) -> io::Result<()> {
        let aside = self.aside_path(segment);
        let place = drive::place_at(&aside);
        if place.is_some() && place == drive::place_at(&self.path(segment)) {
            self.drive.remove(&aside)?;
        }
        Ok(())
    }

    /// How much room the disk has left for this user; `None` where the system does not tell.
    ///
    /// # Errors
    /// What the system says.
    pub fn free_bytes(&self) -> io::Result<Option<u64>> {
        drive::free_bytes(&self.folder)
    }

    pub(crate) fn path(&self, segment: SegmentNumber) -> PathBuf {
        path_of(&self.folder, segment)
    }

    /// Where a segment is made ahead, apart from where the store makes one that it needs at once.
    pub(crate) fn spare_path(&self, segment: SegmentNumber) -> PathBuf {
        drive::new_name(&self.folder.join(format!("spare-{segment:020}{ENDING}")))
    }

    /// Where a merged segment is written, until it takes the place of those that it stands for.
    pub(crate) fn merged_path(&self, segment: SegmentNumber) -> PathBuf {
        drive::new_name(&self.folder.join(format!("merged-{segment:020}{ENDING}")))
    }

    fn aside_path(&self, segment: SegmentNumber) -> PathBuf {
        let mut aside = self.path(segment);
        aside.as_mut_os_string().push(".lost");
        aside
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn activate(&self, segment: SegmentNumber) {
        self.active.store(segment.0, Ordering::Release);
    }

    /// Removes what was not made to its end.
    pub(crate) fn remove_unfinished(&self) -> io::Result<()> {
        for entry in fs::read_dir(&self.folder)? {
            let path = entry?.path();
            if path.to_string_lossy().ends_with(&format!("{ENDING}{}", drive::NEW)) {
                self.drive.remove(&path)?;
            }
        }
        Ok(())
    }
}

/// Where a segment is in a folder.
pub(crate) fn path_of(folder: &Path, segment: SegmentNumber) -> PathBuf {
    folder.join(format!("{segment:020}{ENDING}"))
}

fn number_of(name: &str) -> Option<SegmentNumber> {
    let digits = name.strip_suffix(ENDING).filter(|digits| digits.len() == 20)?;
    let number = digits.bytes().all(|digit| digit.is_ascii_digit()).then(|| digits.parse().ok())??;
    Some(SegmentNumber(number))
}

const ENDING: &str = ".seg";
/// None is as long: 64 MiB, or what one commit takes, which is little more at most.
pub(crate) const SEGMENT_BYTES_MAX: u64 = 256 << 20;
