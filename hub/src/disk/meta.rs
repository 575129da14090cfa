//! `META`: how a directory's files are written, and its id. Written once, whole or not at all.
//!
//! ```text
//! "tidewlog", format u32, 0 u32, id u128, crc u32
//! ```
//!
//! In every format it begins with the first two, and ends with a checksum of all before it.

use std::io;
use std::path::Path;

use tidewire_hub_core::frames::{DirectoryId, FORMAT};

use crate::disk::drive::Drive;

/// What is found of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Meta {
    Absent,
    Damaged,
    /// A later release wrote it.
    Newer(u32),
    Ours(DirectoryId),
}

/// What a directory's `META` says.
pub(crate) fn read(drive: &Drive, path: &Path) -> io::Result<Meta> {
    let mut bytes = Vec::new();
    match drive.read(path, &mut bytes, BYTES_MAX) {
        Ok(_) => Ok(parse(&bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Meta::Absent),
        Err(error) => Err(error),
    }
}

/// Writes one with a new id.
pub(crate) fn create(drive: &Drive, path: &Path) -> io::Result<DirectoryId> {
    let mut id = [0; 16];
    getrandom::fill(&mut id).map_err(io::Error::other)?;
    let mut bytes = MAGIC.to_vec();
    bytes.extend_from_slice(&FORMAT.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    bytes.extend_from_slice(&id);
    bytes.extend_from_slice(&crc32c::crc32c(&bytes).to_le_bytes());
    drive.put(path, &bytes)?;
    Ok(DirectoryId(u128::from_le_bytes(id)))
}

fn parse(bytes: &[u8]) -> Meta {
    let Some((content, crc)) = bytes.split_last_chunk() else { return Meta::Damaged };
    if crc32c::crc32c(content) != u32::from_le_bytes(*crc) {
        return Meta::Damaged;
    }
    let Some((format, rest)) = content.strip_prefix(MAGIC).and_then(<[u8]>::split_first_chunk) else {
        return Meta::Damaged;
    };
    let format = u32::from_le_bytes(*format);
    if format > FORMAT {
        return Meta::Newer(format);
    }
    match rest.split_first_chunk::<4>().map(|(_, id)| <[u8; 16]>::try_from(id)) {
        Some(Ok(id)) if format == FORMAT => Meta::Ours(DirectoryId(u128::from_le_bytes(id))),
        _ => Meta::Damaged,
    }
}

const MAGIC: &[u8; 8] = b"tidewlog";
/// None is as long, in whatever format.
pub(crate) const BYTES_MAX: u64 = 4_096;
