//! Standard error, as the hub writes to it: a thread of its own does that, for which others wait a moment at most, and only if all
//! before was read. Whoever reads too slowly, or no longer, gets fewer lines and is told so. Knows nothing of what lines say.

use std::io::{self, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
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
    /// Somebody has waited for room in vain since all was written.
    is_slow: AtomicBool,
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
    /// Takes a line, or counts it where too much waits. Once a line was left out the next do not wait at all, until all before
    /// is written.
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let Waiting { bytes, left_out, is_slow } = &*self.waiting;
        let weight = line.len() + LINE_BYTES;
        let has_room = || {
            let before = bytes.fetch_add(weight, Ordering::Relaxed);
            let has_room = before == 0 || before + weight <= WAITING_BYTES_MAX;
            if !has_room {
                bytes.fetch_sub(weight, Ordering::Relaxed);
            }
            has_room
        };
        let mut patience = if is_slow.load(Ordering::Relaxed) { 0 } else { PATIENCE_STEPS };
        while !has_room() {
            if patience == 0 {
                is_slow.store(true, Ordering::Relaxed);
                left_out.fetch_add(1, Ordering::Relaxed);
                return Ok(line.len());
            }
            patience -= 1;
            thread::sleep(STEP);
        }
        let left_out = left_out.swap(0, Ordering::Relaxed);
        // There is nobody to be told that it is written no more.
        let _ = self.lines.send(Said::Line { left_out, line: line.to_vec() });
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Writes what is said until nobody is left to say anything.
fn write(mut to: impl Write, said: &Receiver<Said>, waiting: &Waiting, note: fn(u64) -> String) {
    for said in said {
        match said {
            Said::Line { left_out, line } => {
                if left_out > 0 {
                    put(&mut to, note(left_out).as_bytes());
                }
                put(&mut to, &line);
                let weight = line.len() + LINE_BYTES;
                if waiting.bytes.fetch_sub(weight, Ordering::Relaxed) == weight {
                    waiting.is_slow.store(false, Ordering::Relaxed);
                }
            }
            Said::Mark(done) => drop(done.send(())),
        }
    }
}

/// Writes all of it, however long that takes. Whoever shares standard error may have told the system not to wait; and that it is
/// closed is no reason to stop.
fn put(to: &mut impl Write, mut bytes: &[u8]) {
    while !bytes.is_empty() {
        match to.write(bytes) {
            Ok(0) => return,
            Ok(written) => bytes = bytes.get(written..).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => thread::sleep(STEP),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}

/// Bytes of lines that may wait.
const WAITING_BYTES_MAX: usize = 256 << 10;
/// What a line takes beside its text, about.
const LINE_BYTES: usize = 64;
/// How long whoever tells something waits for room, once: a reader may only be busy.
const PATIENCE_STEPS: u32 = 125;
const STEP: Duration = Duration::from_millis(2);
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
        assert!(outlet.waiting.bytes.load(Ordering::Relaxed) <= WAITING_BYTES_MAX);
        assert!(!outlet.flush(), "nobody reads");
        let reader = thread::spawn(move || {
            let mut read = String::new();
            reader.read_to_string(&mut read).map(|_| read)
        });
        assert!((0..100).any(|_| outlet.flush()), "it is read");
        outlet.write_all(b"the next\n").unwrap();
        outlet.write_all(b"one more\n").unwrap();
        assert!(outlet.flush());
        drop(outlet);
        let read = reader.join().unwrap().unwrap();
        assert!(read.ends_with("the next\none more\n"));
        let (mut written, mut missing) = (0, 0);
        for line in read.lines() {
            match line.strip_suffix(" left out") {
                Some(count) => missing += count.parse::<usize>().unwrap(),
                None => written += usize::from(line.len() == 9_999),
            }
        }
        // What a pipe takes is the system's, and what waits is bounded.
        assert!(missing > LINES / 2 && written + missing == LINES, "{written} {missing}");
    }

    /// Takes a few bytes at a time, and now and then none.
    struct Grudging(Sender<Vec<u8>>, usize);

    impl Write for Grudging {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.1 += 1;
            if self.1.is_multiple_of(3) {
                return Err(io::ErrorKind::WouldBlock.into());
            }
            let some = &bytes[..bytes.len().min(7)];
            self.0.send(some.to_vec()).map_err(|_| io::ErrorKind::BrokenPipe)?;
            Ok(some.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_line_is_whole_where_the_system_was_told_not_to_wait() {
        let (to, from) = mpsc::channel();
        let mut outlet = Outlet::begin(Grudging(to, 0), note).unwrap();
        for line in ["the first line\n", "and one more\n"] {
            outlet.write_all(line.as_bytes()).unwrap();
        }
        assert!(outlet.flush());
        drop(outlet);
        assert_eq!(from.iter().flatten().collect::<Vec<_>>(), b"the first line\nand one more\n");
    }

    #[test]
    fn whoever_tells_much_at_once_waits_a_little_and_loses_nothing() {
        let mut outlet = Outlet::begin(io::sink(), note).unwrap();
        for _ in 0..20 * LINES {
            outlet.write_all(&[b'x'; 1_000]).unwrap();
        }
        assert_eq!(outlet.waiting.left_out.load(Ordering::Relaxed), 0);
        assert!(!outlet.waiting.is_slow.load(Ordering::Relaxed));
    }

    #[test]
    fn the_longest_line_is_taken_where_nothing_waits() {
        let mut outlet = Outlet::begin(io::sink(), note).unwrap();
        for _ in 0..3 {
            outlet.write_all(&[b'x'; 2 * WAITING_BYTES_MAX]).unwrap();
            assert!((0..100).any(|_| outlet.flush()));
        }
        assert_eq!(outlet.waiting.left_out.load(Ordering::Relaxed), 0);
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
