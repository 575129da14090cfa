//! What kind of file system a directory is on.

use std::path::Path;

/// Whether it is, or would be if it were made, on a file system that is in memory: what is synced there is gone with the system.
#[cfg(target_os = "linux")]
#[must_use]
pub fn is_in_memory(directory: &Path) -> bool {
    let there = directory.ancestors().find(|folder| folder.exists()).filter(|it| !it.as_os_str().is_empty());
    let found = rustix::fs::statfs(there.unwrap_or(Path::new(".")));
    // The field is signed on some machines, and of 32 bits on others.
    found.is_ok_and(|found| IN_MEMORY.contains(&(found.f_type as u32)))
}

/// Nobody knows elsewhere.
#[cfg(not(target_os = "linux"))]
#[must_use]
pub fn is_in_memory(_: &Path) -> bool {
    false
}

/// `tmpfs`, which also `/dev/shm` and most `/run` are, `ramfs` and `hugetlbfs`, as Linux numbers them.
#[cfg(target_os = "linux")]
const IN_MEMORY: [u32; 3] = [0x0102_1994, 0x8584_58f6, 0x9584_58f6];
