//! File systems of the suite's own, where this user may mount some.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::page::Folder;

/// A file system that is mounted.
pub(crate) struct Mount {
    at: PathBuf,
    /// What is mounted, and how.
    args: Vec<String>,
}

impl Mount {
    /// An ext4 file system in a file of this folder, and so large.
    pub(crate) fn ext4(folder: &Folder, bytes: u64) -> Result<Self, String> {
        let image = folder.0.join("disk");
        fs::File::create(&image).and_then(|file| file.set_len(bytes)).map_err(|error| error.to_string())?;
        let image = image.to_str().unwrap().to_owned();
        run("mkfs.ext4", &["-q".into(), "-F".into(), image.clone()])?;
        Self::new(folder, vec!["-o".into(), "loop".into(), image])
    }

    /// One in memory, and so large.
    pub(crate) fn memory(folder: &Folder, bytes: u64) -> Result<Self, String> {
        Self::new(
            folder,
            vec!["-t".into(), "tmpfs".into(), "-o".into(), format!("size={bytes}"), "none".into()],
        )
    }

    fn new(folder: &Folder, args: Vec<String>) -> Result<Self, String> {
        let at = folder.0.join("mounted");
        fs::create_dir_all(&at).map_err(|error| error.to_string())?;
        let mount = Self { at, args };
        mount.again()?;
        Ok(mount)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.at
    }

    /// As if the power failed now: nothing gets to the disk any more, neither what waits nor the journal.
    pub(crate) fn cut_power(&self) -> Result<(), String> {
        let path = self.at.to_str().unwrap().to_owned();
        run("perl", &["-e".into(), SHUT_DOWN.into(), path])
    }

    /// Unmounts it; nobody uses it any more.
    pub(crate) fn leave(&self) -> Result<(), String> {
        run("umount", &[self.at.to_str().unwrap().to_owned()])
    }

    /// Mounts it again.
    pub(crate) fn again(&self) -> Result<(), String> {
        let at = self.at.to_str().unwrap().to_owned();
        run("mount", &[&self.args[..], &[at]].concat())
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        // Also where a hub still has files there.
        let _ = run("umount", &["-l".into(), self.at.to_str().unwrap().to_owned()]);
    }
}

/// Runs a program; what it said if that failed.
pub(crate) fn run(program: &str, args: &[String]) -> Result<(), String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    Err(format!("{program}: {}", String::from_utf8_lossy(&output.stderr).trim()))
}

/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`, of Linux's `fs/ext4/ext4.h`.
const SHUT_DOWN: &str =
    r#"open(F, "<", $ARGV[0]) or die $!; $how = pack("L", 2); ioctl(F, 0x8004587d, $how) or die $!"#;
