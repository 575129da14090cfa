//! Files that hold something small, such as a key: one that goes on and on is not read to its end.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// What a file holds, if that is so many bytes at most.
///
/// # Errors
/// What the system says, or that it is too much.
pub fn content(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    File::open(path)?.take(bytes_max + 1).read_to_end(&mut content)?;
    if content.len() as u64 > bytes_max {
        return Err(io::Error::other(format!("it has more than {bytes_max} bytes")));
    }
    Ok(content)
}
