//! What the files of a durable log consist of: commits, each framed and sealed, one after another in segments.
//!
//! ```text
//! segment:  header, frame, frame, ..., zeros or nothing
//! header:   "tidewseg", format u32, segment u64, directory u128,                            64 bytes
//!           and if it is merged: its first segment u64, first commit u64, last commit u64; else zeros; crc u32
//! frame:    magic u32, body's length u32, commit's number u64, crc of body u32,              24 bytes
//!           crc of the header so far u32, body
//! ```
//!
//! Numbers are little-endian, checksums CRC-32C. Those of a frame begin with [`Seeds`]: a frame of another directory or
//! segment is never taken for one of this. A merged segment is written in the place of some that follow on each other,
//! itself among them: of their commits it holds what was needed by then. This module knows bytes only: no file, and nothing of what a body holds.

use std::fmt;

pub mod scan;

/// The id that a data directory is given when it is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct DirectoryId(pub u128);

/// The number of a segment, from 1; once somebody was answered what it holds, it is never used again in its directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct SegmentNumber(pub u64);

/// The number of a commit: from 1, without holes over all segments. 0 is before the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct CommitNumber(pub u64);

impl SegmentNumber {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl CommitNumber {
    /// The one after it.
    #[must_use]
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for SegmentNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for CommitNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// What the checksums of one segment's frames begin with.
///
/// Headers and bodies have seeds of their own, from different halves of the directory's random id: who writes what
/// looks like a frame into a message would have to guess 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seeds {
    header: u32,
    body: u32,
}

impl Seeds {
    /// Those of a segment in a directory.
    #[must_use]
    pub fn new(directory: DirectoryId, segment: SegmentNumber) -> Self {
        let id = directory.0.to_le_bytes();
        let number = segment.0.to_le_bytes();
        let seed = |half: &[u8]| crc32c::crc32c_append(crc32c::crc32c(half), &number);
        Self { header: seed(&id[..8]), body: seed(&id[8..]) }
    }
}

/// A commit's body is too long for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a commit of {bytes} bytes is more than the {BODY_BYTES_MAX} that a frame holds")]
pub struct TooLong {
    /// How long the body is.
    pub bytes: usize,
}

/// What a segment begins with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentHeader {
    /// The directory that it belongs to.
    pub directory: DirectoryId,
    /// Its number.
    pub segment: SegmentNumber,
    /// What it stands for, if it is merged.
    pub merged: Option<Merged>,
}

/// What a merged segment stands for: commits in this range that are not there are not missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Merged {
    /// The first of the segments in whose place it is; it is the last of them.
    pub from: SegmentNumber,
    /// The first commit that they held.
    pub first: CommitNumber,
    /// The last.
    pub last: CommitNumber,
}

impl SegmentHeader {
    /// As it is stored.
    #[must_use]
    pub fn bytes(&self) -> [u8; SEGMENT_HEADER_BYTES] {
        let mut header = [0; SEGMENT_HEADER_BYTES];
        header[..8].copy_from_slice(SEGMENT_MAGIC);
        header[8..12].copy_from_slice(&FORMAT.to_le_bytes());
        header[12..20].copy_from_slice(&self.segment.0.to_le_bytes());
        header[20..36].copy_from_slice(&self.directory.0.to_le_bytes());
        if let Some(Merged { from, first, last }) = self.merged {
            for (place, number) in header[36..60].chunks_exact_mut(8).zip([from.0, first.0, last.0]) {
                place.copy_from_slice(&number.to_le_bytes());
            }
        }
        let crc = crc32c::crc32c(&header[..60]);
        header[60..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    /// The directory that a segment belongs to which begins with these bytes; `None` where something else is there.
    #[must_use]
    pub fn directory_of(bytes: &[u8]) -> Option<DirectoryId> {
        let number = u64::from_le_bytes(*bytes.get(12..)?.first_chunk()?);
        let directory = DirectoryId(u128::from_le_bytes(*bytes.get(20..)?.first_chunk()?));
        Self::read(bytes, directory, SegmentNumber(number)).map(|header| header.directory)
    }

    /// That of this segment, at the beginning of its bytes; `None` where something else is there.
    #[must_use]
    pub fn read(bytes: &[u8], directory: DirectoryId, segment: SegmentNumber) -> Option<Self> {
        let stored = bytes.first_chunk::<SEGMENT_HEADER_BYTES>()?;
        let number = |at: usize| stored[at..].first_chunk().map(|bytes| u64::from_le_bytes(*bytes));
        let (from, first, last) =
            (SegmentNumber(number(36)?), CommitNumber(number(44)?), CommitNumber(number(52)?));
        let merged = (from.0 > 0).then_some(Merged { from, first, last });
        let makes_sense = merged.is_none() || (from <= segment && first.0 > 0 && first <= last);
        let header = Self { directory, segment, merged };
        (makes_sense && header.bytes() == *stored).then_some(header)
    }
}

/// Leaves room for a frame's header; the body is to be appended, then what begins here [`seal`]ed. Returns where.
pub fn begin(out: &mut Vec<u8>) -> usize {
    let at = out.len();
    out.resize(at + FRAME_HEADER_BYTES, 0);
    at
}

/// Writes the header of a frame, room for it and then its body. It may be sealed again, for another segment.
///
/// # Errors
/// The body is longer than [`BODY_BYTES_MAX`]; nothing is written.
///
/// # Panics
/// If there is no room for a header: the frame was not begun.
pub fn seal(frame: &mut [u8], number: CommitNumber, seeds: Seeds) -> Result<(), TooLong> {
    let (header, body) =
        frame.split_first_chunk_mut::<FRAME_HEADER_BYTES>().expect("a frame is begun before it is sealed");
    let length = u32::try_from(body.len()).ok().filter(|_| body.len() <= BODY_BYTES_MAX);
    let length = length.ok_or(TooLong { bytes: body.len() })?;
    *header =
        Header { number, body_bytes: length, body_crc: crc32c::crc32c_append(seeds.body, body) }.write(seeds);
    Ok(())
}

/// What a frame's header says, where its checksum holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Header {
    number: CommitNumber,
    body_bytes: u32,
    body_crc: u32,
}

impl Header {
    fn write(self, seeds: Seeds) -> [u8; FRAME_HEADER_BYTES] {
        let mut header = [0; FRAME_HEADER_BYTES];
        header[..4].copy_from_slice(&FRAME_MAGIC);
        header[4..8].copy_from_slice(&self.body_bytes.to_le_bytes());
        header[8..16].copy_from_slice(&self.number.0.to_le_bytes());
        header[16..20].copy_from_slice(&self.body_crc.to_le_bytes());
        let crc = crc32c::crc32c_append(seeds.header, &header[..20]);
        header[20..].copy_from_slice(&crc.to_le_bytes());
        header
    }

    fn read(bytes: &[u8], seeds: Seeds) -> Option<Self> {
        let header = bytes.first_chunk::<FRAME_HEADER_BYTES>()?;
        let u32_at = |at: usize| {
            header[at..].first_chunk().map(|bytes| u32::from_le_bytes(*bytes)).unwrap_or_default()
        };
        if header[..4] != FRAME_MAGIC || crc32c::crc32c_append(seeds.header, &header[..20]) != u32_at(20) {
            return None;
        }
        let number = header[8..].first_chunk().map(|bytes| CommitNumber(u64::from_le_bytes(*bytes)))?;
        let header = Self { number, body_bytes: u32_at(4), body_crc: u32_at(16) };
        (header.body_bytes() <= BODY_BYTES_MAX).then_some(header)
    }

    const fn body_bytes(self) -> usize {
        self.body_bytes as usize
    }
}

/// How segments are written; a directory with a higher one is of a later release.
pub const FORMAT: u32 = 1;
/// A segment begins with so many bytes of its own.
pub const SEGMENT_HEADER_BYTES: usize = 64;
/// What a frame takes besides its body.
pub const FRAME_HEADER_BYTES: usize = 24;
/// No commit is longer: it is written, and read, in one piece.
pub const BODY_BYTES_MAX: usize = 64 << 20;

const SEGMENT_MAGIC: &[u8; 8] = b"tidewseg";
/// No byte of it is zero, and none comes twice, so no frame begins inside of another's magic.
const FRAME_MAGIC: [u8; 4] = [0xf1, 0xd3, 0xa7, 0x4c];
