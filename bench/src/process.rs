//! What the operating system says about a process: the CPU it used and the memory that is its own.

use std::fs;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// User and system time that a process has used so far, all its threads together.
///
/// # Errors
/// If the process is gone, or the system keeps no `/proc`.
pub fn cpu_time(pid: u32) -> Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    // The second field is the program's name in brackets, and may hold spaces.
    let (_, fields) = text.rsplit_once(')').with_context(|| format!("{path} is not understood"))?;
    let mut ticks = fields.split_ascii_whitespace().skip(11).take(2).map(str::parse::<u64>);
    match (ticks.next(), ticks.next()) {
        (Some(Ok(user)), Some(Ok(system))) => Ok(Duration::from_millis((user + system) * TICK_MS)),
        _ => anyhow::bail!("{path} is not understood"),
    }
}

/// Bytes of memory that a process has touched and shares with no file: its user-space memory.
///
/// # Errors
/// If the process is gone, or the system keeps no `/proc`.
pub fn own_memory(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("{path} does not name RssAnon"))? << 10)
}

/// Linux counts in hundredths of a second, on every machine since 2.6.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn this_process_has_memory_and_a_time() {
        let pid = std::process::id();
        assert!(own_memory(pid).unwrap() > 10_000);
        assert!(cpu_time(pid).unwrap() < Duration::from_secs(3_600));
    }
}
