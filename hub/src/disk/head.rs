//! `HEAD`: the last commit that was answered, and whether the hub stopped in good order, or this is a copy.
//!
//! Two slots, in different blocks of the disk, are written in turn, so that one is whole whatever happens to the other.
//! Neither is synced with each commit: the system keeps what was written when the hub ends without a word. When the
//! system does, an older one is left, which says less and nothing wrong. Only that a commit has given a copy its identity
//! is synced at once, since the log would get another.
//!
//! ```text
//! slot: "HEAD", end u32, sequence u64, boot u64, commit u64, segment u64, position u64, zeros, crc u32     64 bytes
//! ```

use std::io;
use std::path::Path;

use tidewire_hub_core::frames::{CommitNumber, DirectoryId, SegmentNumber};

use crate::disk::drive::{Drive, DriveFile};

/// What is known of the last commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Head {
    /// How it ended.
    pub(crate) end: End,
    /// How often the directory was started.
    pub(crate) boot: u64,
    /// The last that was answered; 0 if none ever was.
    pub(crate) commit: CommitNumber,
    /// Where it is.
    pub(crate) segment: SegmentNumber,
    /// Where it ends.
    pub(crate) position: u64,
    /// Counts what was written here; the higher slot is the newer.
    pub(crate) sequence: u64,
}

/// How whoever wrote it has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum End {
    /// Not yet, or without a word.
    #[default]
    Open,
    /// In good order, and nothing was written since.
    Clean,
    /// It is that of a copy, and no commit says yet which identity the log has there.
    Copied,
}

/// The file that it is written to.
#[derive(Debug)]
pub(crate) struct HeadFile {
    file: DriveFile,
    directory: DirectoryId,
    sequence: u64,
}

/// The newer of the slots that are whole, if one is.
pub(crate) fn read(drive: &Drive, path: &Path, directory: DirectoryId) -> io::Result<Option<Head>> {
    let mut bytes = Vec::new();
    match drive.read(path, &mut bytes, READ_BYTES_MAX).map(drop) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    }
    let slot = |index: usize| {
        let slot = bytes.get(index * SLOT_STEP..)?.first_chunk()?;
        // What stands in the other's place is no slot: the next would be written over the newer.
        Head::parse(slot, directory).filter(|head| slot_of(head.sequence) == index)
    };
    Ok([slot(0), slot(1)].into_iter().flatten().max_by_key(|head| head.sequence))
}

impl HeadFile {
    /// Opens it, or makes it; `last` is what was read.
    pub(crate) fn open(
        drive: &Drive,
        path: &Path,
        directory: DirectoryId,
        last: Option<Head>,
    ) -> io::Result<Self> {
        let file = drive.open(path)?;
        if file.bytes()? < FILE_BYTES {
            file.truncate(FILE_BYTES)?;
            drive.sync_folder_of(path)?;
        }
        Ok(Self { file, directory, sequence: last.map_or(0, |head| head.sequence) })
    }

    /// Writes it over the older slot.
    pub(crate) fn write(&mut self, head: &Head) -> io::Result<()> {
        let sequence = self.sequence + 1;
        let slot = Head { sequence, ..*head }.bytes(self.directory);
        self.file.write_at(&slot, (slot_of(sequence) * SLOT_STEP) as u64)?;
        self.sequence = sequence;
        Ok(())
    }

    /// What was written is on the disk.
    pub(crate) fn sync(&self) -> io::Result<()> {
        self.file.sync()
    }
}

impl Head {
    fn bytes(&self, directory: DirectoryId) -> [u8; SLOT_BYTES] {
        let mut slot = [0; SLOT_BYTES];
        slot[..4].copy_from_slice(MAGIC);
        slot[4] = self.end as u8;
        let numbers = [self.sequence, self.boot, self.commit.0, self.segment.0, self.position];
        for (place, number) in slot[8..48].chunks_exact_mut(8).zip(numbers) {
            place.copy_from_slice(&number.to_le_bytes());
        }
        let crc = checksum(directory, &slot[..60]);
        slot[60..].copy_from_slice(&crc.to_le_bytes());
        slot
    }

    fn parse(slot: &[u8; SLOT_BYTES], directory: DirectoryId) -> Option<Self> {
        let number = |at: usize| slot[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let end = [End::Open, End::Clean, End::Copied].into_iter().find(|end| *end as u8 == slot[4])?;
        let head = Self {
            end,
            sequence: number(8)?,
            boot: number(16)?,
            commit: CommitNumber(number(24)?),
            segment: SegmentNumber(number(32)?),
            position: number(40)?,
        };
        (head.bytes(directory) == *slot).then_some(head)
    }
}

/// A slot of another directory is none.
fn checksum(directory: DirectoryId, bytes: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&directory.0.to_le_bytes()), bytes)
}

const fn slot_of(sequence: u64) -> usize {
    (sequence % 2) as usize
}

const MAGIC: &[u8; 4] = b"HEAD";
const SLOT_BYTES: usize = 64;
/// A disk writes blocks of this size or smaller, and a torn one takes no other with it.
const SLOT_STEP: usize = 4_096;
const FILE_BYTES: u64 = (SLOT_STEP + SLOT_BYTES) as u64;
/// Nobody has written one as long.
const READ_BYTES_MAX: u64 = 16 * FILE_BYTES;
