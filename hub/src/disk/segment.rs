//! The segment that commits are written to: room is taken first, then all is written, then synced.

use std::io;
use std::path::Path;

use tidewire_hub_core::frames::{Seeds, SegmentHeader, SegmentNumber};

use crate::disk::drive::{self, DriveFile};
use crate::disk::files::Files;

/// How long segments are, and how much room is taken at a time.
#[derive(Debug, Clone, Copy)]
pub struct Sizes {
    /// A commit that would make a segment longer goes to a new one, which is as long as that commit needs. 64 MiB: long
    /// enough that a new one, which takes some syncs, is rare; short enough that the last is read and copied at once.
    pub segment_bytes: u64,
    /// Room is taken in steps of so many bytes. 4 MiB: a step, which makes the next sync write more, is rare, and little room
    /// is idle.
    pub step_bytes: u64,
}

impl Default for Sizes {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, step_bytes: 4 << 20 }
    }
}

/// A segment that is written to.
#[derive(Debug)]
pub(crate) struct Segment {
    pub(crate) number: SegmentNumber,
    pub(crate) seeds: Seeds,
    /// Where the next commit goes.
    pub(crate) end: u64,
    file: DriveFile,
    /// Up to here there is room; `None` where this file system cannot take any ahead.
    allocated: Option<u64>,
}

/// Why a commit was not written.
#[derive(Debug)]
pub(crate) enum WriteError {
    /// There is no room, and nothing was written that counts.
    Full,
    /// The system could not, so it is not known what is on the disk.
    Failed(io::Error),
}

impl Segment {
    /// Makes one with this content, or with nothing but its header; whole before it has its name.
    pub(crate) fn make(
        files: &Files,
        number: SegmentNumber,
        content: &[u8],
        sizes: &Sizes,
    ) -> io::Result<Self> {
        let new = drive::new_name(&files.path(number));
        let segment = Self::fill(files, &new, number, content, sizes)?;
        files.drive.rename(&new, &files.path(number))?;
        Ok(segment)
    }

    /// The same, but it has yet to get its name.
    pub(crate) fn fill(
        files: &Files,
        path: &Path,
        number: SegmentNumber,
        content: &[u8],
        sizes: &Sizes,
    ) -> io::Result<Self> {
        let empty = Self::of(files, files.drive.open(path)?, number);
        let filled = empty.file.truncate(0).and_then(|()| empty.filled(files, content, sizes));
        if filled.is_err() {
            // A full disk gets its room back; what stays is removed when the directory is opened.
            let _ = files.drive.remove(path);
        }
        filled
    }

    /// Writes the same over what a segment holds, and cuts off the rest: for want of room for a copy. What was on the disk
    /// is the same as what is written, but for commits that nobody was answered.
    pub(crate) fn overwrite(
        files: &Files,
        number: SegmentNumber,
        content: &[u8],
        sizes: &Sizes,
    ) -> io::Result<Self> {
        let segment = Self::go_on(files, number, content.len() as u64)?;
        segment.file.truncate(segment.end)?;
        Self { allocated: Some(segment.end), ..segment }.filled(files, content, sizes)
    }

    fn filled(mut self, files: &Files, content: &[u8], sizes: &Sizes) -> io::Result<Self> {
        let header = SegmentHeader { directory: files.directory, segment: self.number, merged: None }.bytes();
        let content = if content.len() < header.len() { &header } else { content };
        self.end = content.len() as u64;
        self.reserve(self.end, sizes)?;
        self.file.write_at(content, 0)?;
        self.file.sync()?;
        Ok(self)
    }

    /// Goes on with one that is whole up to `end`, and has zeros or nothing behind.
    pub(crate) fn go_on(files: &Files, number: SegmentNumber, end: u64) -> io::Result<Self> {
        let file = files.drive.open(&files.path(number))?;
        let allocated = Some(file.bytes()?);
        Ok(Self { end, allocated, ..Self::of(files, file, number) })
    }

    fn of(files: &Files, file: DriveFile, number: SegmentNumber) -> Self {
        let seeds = Seeds::new(files.directory, number);
        Self { number, seeds, end: 0, file, allocated: Some(0) }
    }

    /// Writes a commit, whole and on the disk, or says that it is not there.
    pub(crate) fn write(&mut self, frame: &[u8], sizes: &Sizes) -> Result<(), WriteError> {
        let end = self.end + frame.len() as u64;
        self.reserve(end, sizes).map_err(full_or_failed)?;
        if let Err(error) = self.file.write_at(frame, self.end) {
            if !drive::is_full(&error) {
                return Err(WriteError::Failed(error));
            }
            // Where room cannot be taken ahead a part may be there: a shorter commit would leave the rest of it behind itself.
            self.file.truncate(self.end).map_err(WriteError::Failed)?;
            self.allocated = self.allocated.map(|_| self.end);
            return Err(WriteError::Full);
        }
        self.file.sync().map_err(WriteError::Failed)?;
        self.end = end;
        Ok(())
    }

    /// Takes room up to this place and some more, or exactly that where there is no more.
    fn reserve(&mut self, end: u64, sizes: &Sizes) -> io::Result<()> {
        let Some(allocated) = self.allocated.filter(|allocated| *allocated < end) else { return Ok(()) };
        let ample = allocated.saturating_add(sizes.step_bytes).min(sizes.segment_bytes).max(end);
        let (taken, up_to) = match self.file.allocate(allocated, ample) {
            Err(error) if drive::is_full(&error) && ample > end => (self.file.allocate(allocated, end)?, end),
            taken => (taken?, ample),
        };
        self.allocated = taken.then_some(up_to);
        Ok(())
    }

    /// Gives back room that is not used. Where that fails there are zeros behind the last commit, which says nothing.
    pub(crate) fn finish(self) {
        let _ = self.file.truncate(self.end);
    }
}

pub(crate) fn full_or_failed(error: io::Error) -> WriteError {
    if drive::is_full(&error) { WriteError::Full } else { WriteError::Failed(error) }
}
