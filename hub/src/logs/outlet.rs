//! Standard error, as the hub writes to it: whoever reads it too slowly, or no longer, gets fewer lines and is told so, and no
//! thread of the hub's waits for it. Knows nothing of what lines say.

use std::io::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

/// Where each line goes, as a whole.
#[derive(Debug)]
pub(super) struct Outlet {
    /// Says how many lines were left out, as a line.
    pub(super) note: fn(u64) -> String,
}

impl Write for Outlet {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        put(&mut io::stderr().lock(), &LEFT_OUT, line, self.note)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes a line, or counts it where there is no room. Once a line was left out the next do not wait at all.
fn put(
    to: &mut (impl Write + Takes),
    left_out: &AtomicU64,
    line: &[u8],
    note: fn(u64) -> String,
) -> io::Result<usize> {
    // Whoever has what is written to is alone here.
    let missing = left_out.load(Ordering::Relaxed);
    if !to.takes(if missing == 0 { PATIENCE_MS } else { 0 }) {
        left_out.store(missing + 1, Ordering::Relaxed);
        return Ok(line.len());
    }
    if missing > 0 {
        left_out.store(0, Ordering::Relaxed);
        to.write_all(note(missing).as_bytes())?;
    }
    to.write_all(line)?;
    Ok(line.len())
}

/// What lines are written to.
trait Takes {
    /// Whether there is room for a line, or comes to be within so many milliseconds.
    fn takes(&self, patience_ms: i32) -> bool;
}

#[cfg(unix)]
impl<T: std::os::fd::AsFd> Takes for T {
    fn takes(&self, patience_ms: i32) -> bool {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::io::retry_on_intr;
        // A pipe says so only where there is room for 4,096 bytes, which lines are shorter than.
        let mut wanted = [PollFd::new(self, PollFlags::OUT)];
        let patience = Timespec { tv_sec: 0, tv_nsec: i64::from(patience_ms) * 1_000_000 };
        // What is no longer there is for whoever writes to find out; and a signal says nothing of the reader.
        retry_on_intr(|| poll(&mut wanted, Some(&patience))).is_ok_and(|ready| ready > 0)
    }
}

#[cfg(not(unix))]
impl<T> Takes for T {
    fn takes(&self, _: i32) -> bool {
        true
    }
}

/// Lines since the last one that was written.
static LEFT_OUT: AtomicU64 = AtomicU64::new(0);
/// How long a reader that is only busy may take, once.
const PATIENCE_MS: i32 = 100;

#[cfg(all(test, unix))]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;

    #[test]
    fn what_nobody_reads_is_counted_and_told_before_the_next_line() {
        let (mut reader, mut writer) = io::pipe().unwrap();
        let left_out = AtomicU64::new(0);
        let note = |count: u64| format!("{count} left out\n");
        let mut line = |text: &str| put(&mut writer, &left_out, text.as_bytes(), note).unwrap();
        let long = format!("{}\n", "x".repeat(999));
        for _ in 0..100 {
            assert_eq!(line(&long), 1_000);
        }
        let missing = left_out.load(Ordering::Relaxed);
        // What a pipe holds is the system's, and some give a user who has many of them a page.
        assert!((1..100).contains(&missing), "{missing}");
        let mut read = vec![0; (100 - missing as usize) * 1_000];
        reader.read_exact(&mut read).unwrap();
        line("the next\n");
        line("one more\n");
        drop(writer);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, format!("{missing} left out\nthe next\none more\n"));
    }

    #[test]
    fn whoever_has_gone_is_written_to_and_not_waited_for() {
        let (reader, mut writer) = io::pipe().unwrap();
        drop(reader);
        let failed = put(&mut writer, &AtomicU64::new(0), b"a line\n", |_| String::new());
        assert_eq!(failed.unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    }
}
