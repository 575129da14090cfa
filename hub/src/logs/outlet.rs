//! Standard error, as the hub writes to it: a thread of its own does that, for which no other waits. Whoever reads it too
//! slowly, or no longer, gets fewer lines and is told so. Knows nothing of what lines say.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Duration;

/// Where each line goes, as a whole.
#[derive(Debug, Clone)]
pub(super) struct Outlet {
    lines: Sender<Said>,
    waiting: Arc<Waiting>,
}

/// What waits to be written.
#[derive(Debug, Default)]
struct Waiting {
    bytes: AtomicUsize,
    /// Lines since the last one that was taken.
    left_out: AtomicU64,
}

#[derive(Debug)]
enum Said {
    /// So many were left out before this line.
    Line { left_out: u64, line: Vec<u8> },
    /// All before this is to be written, and then that is to be told.
    Mark(Sender<()>),
}

impl Outlet {
    /// Begins to write. `note` says how many lines were left out, as a line.
    pub(super) fn begin(to: impl Write + Send + 'static, note: fn(u64) -> String) -> io::Result<Self> {
        let (lines, said) = mpsc::channel();
        let waiting = Arc::<Waiting>::default();
        let taken = Arc::clone(&waiting);
        thread::Builder::new().name("logs".into()).spawn(move || write(to, &said, &taken, note))?;
        Ok(Self { lines, waiting })
    }

    /// Waits until all is written that was told so far, but not for long; whether it is.
    pub(super) fn flush(&self) -> bool {
        let (done, is_done) = mpsc::channel();
        self.lines.send(Said::Mark(done)).is_ok() && is_done.recv_timeout(PATIENCE).is_ok()
    }
}

impl Write for Outlet {
    /// Takes a line, or counts it where too much waits.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Waiting { bytes, left_out } = &*self.waiting;
        let weight = line.len() + LINE_BYTES;
        if bytes.fetch_add(weight, Ordering::Relaxed) + weight > WAITING_BYTES_MAX {
            bytes.fetch_sub(weight, Ordering::Relaxed);
            left_out.fetch_add(1, Ordering::Relaxed);
        } else {
            let left_out = left_out.swap(0, Ordering::Relaxed);
            // There is nobody to be told that it is written no more.
            let _ = self.lines.send(Said::Line { left_out, line: line.to_vec() });
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is said until nobody is left to say anything. A closed standard error is no reason to stop.
fn write(mut to: impl Write, said: &Receiver<Said>, waiting: &Waiting, note: fn(u64) -> String) {
    for said in said {
        match said {
            Said::Line { left_out, line } => {
                if left_out > 0 {
                    let _ = to.write_all(note(left_out).as_bytes());
                }
                let _ = to.write_all(&line);
                waiting.bytes.fetch_sub(line.len() + LINE_BYTES, Ordering::Relaxed);
            }
            Said::Mark(done) => drop(done.send(())),
        }
    }
}

/// Bytes of lines that may wait.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// What a line takes beside its text, about.
const LINE_BYTES: usize = 64;
/// How long the hub's end waits for whoever reads.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::io::Read as _;

    const LINES: usize = 1_000;

    fn note(count: u64) -> String {
        format!("{count} left out\n")
    }

    #[test]
    fn what_nobody_reads_is_counted_and_told_before_the_next_line() {
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::begin(writer, note).unwrap();
        // Longer than what a pipe takes at once.
        let long = format!("{}\n", "x".repeat(9_999));
        for _ in 0..LINES {
            assert_eq!(outlet.write(long.as_bytes()).unwrap(), 10_000);
        }
        let missing = outlet.waiting.left_out.load(Ordering::Relaxed);
        assert!((1..LINES as u64).contains(&missing), "{missing}");
        assert!(outlet.waiting.bytes.load(Ordering::Relaxed) <= WAITING_BYTES_MAX);
        assert!(!outlet.flush(), "nobody reads");
        let mut read = vec![0; (LINES - missing as usize) * 10_000];
        reader.read_exact(&mut read).unwrap();
        outlet.write_all(b"the next\n").unwrap();
        outlet.write_all(b"one more\n").unwrap();
        assert!(outlet.flush());
        drop(outlet);
        let mut rest = String::new();
        reader.read_to_string(&mut rest).unwrap();
        assert_eq!(rest, format!("{missing} left out\nthe next\none more\n"));
    }

    #[test]
    fn whoever_has_gone_is_not_waited_for() {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut outlet = Outlet::begin(writer, note).unwrap();
        for _ in 0..LINES {
            outlet.write_all(&[b'x'; 1_000]).unwrap();
            assert!(outlet.flush());
        }
        assert_eq!(outlet.waiting.left_out.load(Ordering::Relaxed), 0);
    }
}
