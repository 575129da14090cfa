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

/// Bytes that processes have written to TCP sockets with this local port and that the other side has not confirmed:
/// what the kernel holds to be sent.
///
/// # Errors
/// If the system keeps no `/proc`.
pub fn unsent_by(port: u16) -> Result<u64> {
    let path = "/proc/net/tcp";
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
    Ok(text.lines().skip(1).filter_map(|line| unsent_of(line, port)).sum())
}

/// A line's queue to be sent, if its local address has this port: `sl local remote state unsent:unread ...`.
fn unsent_of(line: &str, port: u16) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let (_, local) = fields.next()?.split_once(':')?;
    let (unsent, _) = fields.nth(2)?.split_once(':')?;
    (u16::from_str_radix(local, 16).ok()? == port).then(|| u64::from_str_radix(unsent, 16).ok())?
}

/// Linux counts in hundredths of a second, on every machine since 2.6.
const TICK_MS: u64 = 10;

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn what_nobody_reads_is_unsent() {
        let line =
            "   3: 0100007F:1F40 0100007F:D431 01 00000A00:00000010 01:00000014 00000000     0        0 17";
        assert_eq!(
            (unsent_of(line, 0x1f40), unsent_of(line, 0xd431), unsent_of("", 1)),
            (Some(0xa00), None, None)
        );
    }

    #[test]
    fn this_process_has_memory_and_a_time() {
        let pid = std::process::id();
        assert!(own_memory(pid).unwrap() > 10_000);
        assert!(cpu_time(pid).unwrap() < Duration::from_secs(3_600));
    }
}
