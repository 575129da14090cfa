//! Opens what is to be a plain file: of a pipe in its place nothing might ever come, and a device may have no end.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _};
use std::path::Path;

/// What is there is not what it is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Unfit {
    /// Something else than a file.
    #[error("it is a pipe, a directory or the like, and no file")]
    NoFile,
    /// A link, where none is followed.
    #[error("it is a link, and the file itself is to be there")]
    Link,
    /// It has more than so many bytes.
    #[error("it has more than {0} bytes")]
    TooLong(u64),
}

impl Unfit {
    /// Whether this is why something failed.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl From<Unfit> for io::Error {
    fn from(unfit: Unfit) -> Self {
        Self::other(unfit)
    }
}

/// Opens it, unless something else has its name, or the name leads to that.
///
/// # Errors
/// What the system says, or that it is no file.
pub fn open(path: &Path, options: &mut OpenOptions) -> io::Result<File> {
    waiting_for_none(options, false);
    match options.open(path) {
        // What is written to has to be one before it is looked at.
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => Err(Unfit::NoFile.into()),
        opened => plain(opened?),
    }
}

/// Opens what has this name itself, to be read: no link is followed.
///
/// # Errors
/// As for [`open`].
pub fn open_itself(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true);
    waiting_for_none(&mut options, true);
    if fs::symlink_metadata(path)?.is_symlink() {
        return Err(Unfit::Link.into());
    }
    plain(options.open(path)?)
}

/// All that it holds, in a buffer that is used again, if that is so many bytes at most.
///
/// # Errors
/// What the system says, or that it is too much.
pub fn read(file: &File, bytes: &mut Vec<u8>, bytes_max: u64) -> io::Result<()> {
    bytes.clear();
    if file.metadata()?.len() > bytes_max {
        return Err(Unfit::TooLong(bytes_max).into());
    }
    // It may grow meanwhile.
    file.take(bytes_max.saturating_add(1)).read_to_end(bytes)?;
    if bytes.len() as u64 > bytes_max { Err(Unfit::TooLong(bytes_max).into()) } else { Ok(()) }
}

fn plain(file: File) -> io::Result<File> {
    if file.metadata()?.is_file() {
        return Ok(file);
    }
    Err(Unfit::NoFile.into())
}

#[cfg(unix)]
fn waiting_for_none(options: &mut OpenOptions, itself: bool) {
    use rustix::fs::OFlags;
    let flags = OFlags::NONBLOCK | if itself { OFlags::NOFOLLOW } else { OFlags::empty() };
    let flags = i32::try_from(flags.bits()).unwrap_or_default();
    std::os::unix::fs::OpenOptionsExt::custom_flags(options, flags);
}

#[cfg(not(unix))]
fn waiting_for_none(_: &mut OpenOptions, _: bool) {}
