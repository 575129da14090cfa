//! The few numbers of Linux's `/proc` that the demo shows. What they mean: proc(5).

use std::path::Path;
use std::{fs, io};

use serde::Serialize;

/// Time that the cores have worked, and all their time, in ticks since the machine started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    pub(crate) busy: u64,
    pub(crate) all: u64,
}

/// Bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    pub(crate) used: u64,
    pub(crate) total: u64,
}

/// Bytes since the machine started: read and written, or received and sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Flow {
    pub(crate) incoming: u64,
    pub(crate) outgoing: u64,
}

/// Reads `/proc/stat`.
pub(crate) fn work() -> io::Result<Work> {
    parse_work(&fs::read_to_string("/proc/stat")?).ok_or_else(unknown_form)
}

/// Reads `/proc/meminfo`.
pub(crate) fn memory() -> io::Result<Memory> {
    parse_memory(&fs::read_to_string("/proc/meminfo")?).ok_or_else(unknown_form)
}

/// Reads `/proc/diskstats`.
pub(crate) fn disk() -> io::Result<Flow> {
    // Partitions are not listed there, so nothing is counted twice.
    let is_whole = |name: &str| Path::new("/sys/block").join(name).exists();
    Ok(parse_disk(&fs::read_to_string("/proc/diskstats")?, is_whole))
}

/// Reads `/proc/net/dev`.
pub(crate) fn network() -> io::Result<Flow> {
    Ok(parse_network(&fs::read_to_string("/proc/net/dev")?))
}

fn parse_work(text: &str) -> Option<Work> {
    let line = text.lines().find_map(|line| line.strip_prefix("cpu "))?;
    // What follows the first eight is time of guests, which is in them already.
    let ticks = line.split_whitespace().take(8).map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [_, _, _, idle, waiting, ..] = ticks.as_slice() else { return None };
    let all = ticks.iter().sum();
    Some(Work { busy: all - idle - waiting, all })
}

fn parse_memory(text: &str) -> Option<Memory> {
    let bytes = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse::<u64>().ok().map(|kibibytes| kibibytes * 1_024)
    };
    let total = bytes("MemTotal:")?;
    Some(Memory { used: total.saturating_sub(bytes("MemAvailable:")?), total })
}

fn parse_disk(text: &str, is_whole: impl Fn(&str) -> bool) -> Flow {
    let mut flow = Flow::default();
    for line in text.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [_, _, name, _, _, read, _, _, _, written, ..] = words.as_slice() else { continue };
        // These pass on to other devices, which are counted, or to memory.
        let is_virtual = ["dm-", "loop", "md", "ram", "zram"].iter().any(|prefix| name.starts_with(prefix));
        if is_virtual || !is_whole(name) {
            continue;
        }
        flow.incoming += read.parse::<u64>().map_or(0, |sectors| sectors * SECTOR);
        flow.outgoing += written.parse::<u64>().map_or(0, |sectors| sectors * SECTOR);
    }
    flow
}

/// Loopback counts: on a machine of one's own the demo's traffic is there.
fn parse_network(text: &str) -> Flow {
    let mut flow = Flow::default();
    for counts in text.lines().filter_map(|line| line.split_once(':')).map(|(_, counts)| counts) {
        let counts: Vec<u64> = counts.split_whitespace().filter_map(|count| count.parse().ok()).collect();
        let [received, _, _, _, _, _, _, _, sent, ..] = counts.as_slice() else { continue };
        flow.incoming += received;
        flow.outgoing += sent;
    }
    flow
}

fn unknown_form() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "not in the form that this program knows")
}

/// `/proc/diskstats` counts in these, whatever the device's own sectors are.
const SECTOR: u64 = 512;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_are_not_counted_twice_and_waiting_is_no_work() {
        let text = "cpu  10 20 30 400 50 1 2 3 1000 1000\ncpu0 1 1 1 1 1 1 1 1 1 1\n";
        assert_eq!(parse_work(text), Some(Work { busy: 66, all: 516 }));
        assert_eq!(parse_work("cpu  1 2\n"), None);
        assert_eq!(parse_work(""), None);
    }

    #[test]
    fn memory_that_can_be_had_is_not_used() {
        let text = "MemTotal:  1000 kB\nMemFree:  10 kB\nMemAvailable:  600 kB\n";
        assert_eq!(parse_memory(text), Some(Memory { used: 409_600, total: 1_024_000 }));
        assert_eq!(parse_memory("MemTotal: 1000 kB\n"), None);
    }

    #[test]
    fn whole_disks_are_counted_once() {
        let text = " 254 0 vda 1 0 10 0 2 0 20 0 0 0 0\n 254 1 vda1 1 0 10 0 2 0 20 0 0 0 0\n 7 0 loop0 1 0 10 0 2 0 20 0 0 0 0\n";
        assert_eq!(parse_disk(text, |name| name != "vda1"), Flow { incoming: 5_120, outgoing: 10_240 });
    }

    #[test]
    fn all_interfaces_count() {
        let text = "Inter-| Receive | Transmit\n face |bytes |bytes\n    lo: 5 1 0 0 0 0 0 0 7 1 0 0 0 0 0 0\n  eth0:10 1 0 0 0 0 0 0 20 1 0 0 0 0 0 0\n";
        assert_eq!(parse_network(text), Flow { incoming: 15, outgoing: 27 });
    }
}
