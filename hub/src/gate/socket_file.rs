//! A socket in the file system: made where nobody answers, and taken away with the hub.

use std::fs::{self, Metadata, Permissions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::os::unix::net::UnixStream as StdUnixStream;
use std::path::{Path, PathBuf};

use tokio::net::{TcpStream, UnixListener, UnixStream};

/// The file, which goes when this is dropped, unless it is another's by then.
#[derive(Debug)]
pub struct SocketFile {
    path: PathBuf,
    id: Id,
}

/// What tells a file from another of the same name.
type Id = (u64, u64);

/// Listens at a path to whom `mode` allows to connect. What a hub has left there that is gone is replaced.
pub(super) fn listen(path: &Path, mode: Option<u32>) -> io::Result<(UnixListener, SocketFile)> {
    clear(path)?;
    let listener = UnixListener::bind(path)?;
    let file = SocketFile { path: path.into(), id: id(&fs::symlink_metadata(path)?) };
    if let Some(mode) = mode {
        fs::set_permissions(path, Permissions::from_mode(mode))?;
    }
    Ok((listener, file))
}

/// Takes a socket away at which nobody answers.
fn clear(path: &Path) -> io::Result<()> {
    let found = match fs::symlink_metadata(path) {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !found.file_type().is_socket() {
        return Err(io::Error::other("there is a file, which is no socket, and is left alone"));
    }
    match StdUnixStream::connect(path) {
        Ok(_) => Err(io::Error::new(io::ErrorKind::AddrInUse, "somebody answers there")),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) => Err(error),
    }
}

/// The same socket for those who know connections of TCP only: all that they do to it (read, write, look ahead, shut down)
/// the system does to any. Nobody asks it for addresses.
pub(super) fn as_tcp(stream: UnixStream) -> io::Result<TcpStream> {
    let stream = OwnedFd::from(stream.into_std()?);
    TcpStream::from_std(stream.into())
}

fn id(found: &Metadata) -> Id {
    (found.dev(), found.ino())
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if fs::symlink_metadata(&self.path).is_ok_and(|found| id(&found) == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}
