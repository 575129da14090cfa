//! Files that hold something small, such as a key: written whole or not at all, and one that goes on and on is not read to its end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::Path;

use crate::plain_file;

/// What a file holds, if that is so many bytes at most.
///
/// # Errors
/// What the system says, or that it is too much.
pub fn content(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read(&File::open(path)?, bytes_max)
}

/// The same of what the hub keeps itself: of a pipe in its place nothing might ever come.
///
/// # Errors
/// What the system says, or that it is too much, or no file.
pub fn kept(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read(&plain_file::open(path, OpenOptions::new().read(true))?, bytes_max)
}

/// The same of what has this name itself: no link is followed.
///
/// # Errors
/// As for [`kept`].
pub fn kept_itself(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    read(&plain_file::open_itself(path)?, bytes_max)
}

fn read(file: &File, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    plain_file::read(file, &mut content, bytes_max)?;
    Ok(content)
}

/// Puts a file in the place of another, which only the hub's own user can read: who reads meanwhile sees one of them whole.
///
/// # Errors
/// What the system says.
pub fn put(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut new = path.to_owned();
    new.as_mut_os_string().push(".new");
    let mut file = create(&new)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    // The name is as durable as its folder.
    #[cfg(unix)]
    if let Some(folder) = path.parent() {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

/// A new file that only the hub's own user can read, in the place of one that is left there.
///
/// # Errors
/// What the system says.
pub fn create(path: &Path) -> io::Result<File> {
    // One that is left of a hub that ended may have been made by somebody else.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}
