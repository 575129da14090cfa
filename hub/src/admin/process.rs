//! What the system says of this process. Counting open files costs a walk over all of them, so that it is done beside
//! the requests and seldom.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct Process {
    files: Mutex<Option<(Instant, usize)>>,
}

impl Process {
    /// How many files the process had open some seconds ago; `None` where the system does not say.
    pub(super) async fn open_files(self: &Arc<Self>) -> Option<usize> {
        let known = *self.files.lock().unwrap_or_else(PoisonError::into_inner);
        match known {
            Some((at, count)) if at.elapsed() < KEPT => Some(count),
            Some((_, count)) => {
                // Whoever asks next gets the new one.
                self.keep(count);
                drop(self.count());
                Some(count)
            }
            None => self.count().await.ok().flatten(),
        }
    }

    fn count(self: &Arc<Self>) -> tokio::task::JoinHandle<Option<usize>> {
        let process = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            // One of them is the folder that is being read.
            let count = std::fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1);
            process.keep(count);
            Some(count)
        })
    }

    fn keep(&self, count: usize) {
        *self.files.lock().unwrap_or_else(PoisonError::into_inner) = Some((Instant::now(), count));
    }
}

/// Bytes of memory that the process has.
pub(super) fn resident_bytes() -> Option<u64> {
    resident_bytes_in(&std::fs::read_to_string("/proc/self/status").ok()?)
}

/// The line `VmRSS:  1234 kB` of `/proc/self/status`.
fn resident_bytes_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kilobytes * 1_024)
}

/// How long a count of open files is good for.
const KEPT: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read_in_bytes() {
        let status = "Name:\ttidewire\nVmRSS:\t    1234 kB\nThreads:\t3\n";
        assert_eq!(resident_bytes_in(status), Some(1_234 * 1_024));
        assert_eq!(resident_bytes_in(""), None);
    }
}
