//! What one second of the machine comes to: counters that only grow, read twice.

use std::time::Instant;

use anyhow::Context as _;
use serde::Serialize;

use crate::demo::proc::{self, Flow, Memory, Work};

/// A second of this machine, as the demo's page reads it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Sample {
    /// Counts samples from 1, so that a page can see for itself that none is missing.
    n: u64,
    /// Share of all cores that was busy, 0 to 1.
    cpu: f64,
    memory: Memory,
    disk: Disk,
    network: Network,
}

/// Bytes per second to and from disks.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Disk {
    read: u64,
    written: u64,
}

/// Bytes per second over all interfaces.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Network {
    received: u64,
    sent: u64,
}

/// Remembers the last reading.
#[derive(Debug)]
pub(crate) struct Meter {
    before: Reading,
    samples: u64,
}

#[derive(Debug)]
struct Reading {
    at: Instant,
    work: Work,
    disk: Flow,
    network: Flow,
}

impl Meter {
    /// Takes the first reading.
    ///
    /// # Errors
    /// If this system has no `/proc` that says what is needed.
    pub(crate) fn start() -> anyhow::Result<Self> {
        Ok(Self { before: Reading::take()?, samples: 0 })
    }

    /// What happened since the last call.
    ///
    /// # Errors
    /// As for [`Self::start`].
    pub(crate) fn sample(&mut self) -> anyhow::Result<Sample> {
        let now = Reading::take()?;
        let memory = proc::memory().context("/proc/meminfo")?;
        let before = std::mem::replace(&mut self.before, now);
        self.samples += 1;
        Ok(sample(self.samples, &before, &self.before, memory))
    }
}

impl Reading {
    fn take() -> anyhow::Result<Self> {
        Ok(Self {
            at: Instant::now(),
            work: proc::work().context("/proc/stat")?,
            // Systems without disks or network of their own are machines too.
            disk: proc::disk().unwrap_or_default(),
            network: proc::network().unwrap_or_default(),
        })
    }
}

fn sample(n: u64, before: &Reading, now: &Reading, memory: Memory) -> Sample {
    let seconds = now.at.duration_since(before.at).as_secs_f64();
    let per_second = |before: u64, now: u64| {
        // A device that went away takes its count with it.
        let rate = now.saturating_sub(before) as f64 / seconds;
        if rate.is_finite() { rate as u64 } else { 0 }
    };
    let all = now.work.all.saturating_sub(before.work.all);
    let busy = now.work.busy.saturating_sub(before.work.busy);
    let cpu = if all == 0 { 0.0 } else { busy as f64 / all as f64 };
    Sample {
        n,
        // Ten-thousandths are finer than the counters.
        cpu: (cpu * 10_000.0).round() / 10_000.0,
        memory,
        disk: Disk {
            read: per_second(before.disk.incoming, now.disk.incoming),
            written: per_second(before.disk.outgoing, now.disk.outgoing),
        },
        network: Network {
            received: per_second(before.network.incoming, now.network.incoming),
            sent: per_second(before.network.outgoing, now.network.outgoing),
        },
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::time::Duration;

    use super::*;

    fn reading(at: Instant, busy: u64, all: u64, bytes: u64) -> Reading {
        let flow = Flow { incoming: bytes, outgoing: 2 * bytes };
        Reading { at, work: Work { busy, all }, disk: flow, network: flow }
    }

    #[test]
    fn counters_become_rates() {
        let start = Instant::now();
        let before = reading(start, 100, 1_000, 5_000);
        let now = reading(start + Duration::from_secs(2), 150, 1_200, 6_000);
        let json = serde_json::to_string(&sample(7, &before, &now, Memory { used: 1, total: 2 })).unwrap();
        let expected = r#"{"n":7,"cpu":0.25,"memory":{"used":1,"total":2},"disk":{"read":500,"written":1000},"network":{"received":500,"sent":1000}}"#;
        assert_eq!(json, expected);
    }

    #[test]
    fn counters_that_stand_still_or_go_back_are_no_work() {
        let start = Instant::now();
        let before = reading(start, 100, 1_000, 5_000);
        let now = reading(start, 100, 1_000, 0);
        let sample = sample(1, &before, &now, Memory { used: 1, total: 2 });
        assert_eq!((sample.cpu, sample.disk.read, sample.network.sent), (0.0, 0, 0));
    }
}
