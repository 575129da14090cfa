//! Publish for a while to subscribers, some of which may read slowly or not at all.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::Pacing;
use crate::process;
use crate::scenario::{Measured, Quantiles, Trial, WARM_UP, mib, what_went_wrong};

pub(super) fn fan_out(trial: Trial<'_>, pacing: Pacing, seconds: f64) -> Result<Measured> {
    let (running, mut load, joins_per_second) = trial.begin()?;
    let memory_before = process::own_memory(running.pid())?;
    load.hold_back()?;
    load.run(WARM_UP, pacing)?;
    load.start_timing();
    let before = (load.ledger.count, process::cpu_time(running.pid())?, Instant::now());
    load.run(Duration::from_secs_f64(seconds), pacing)?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed().as_secs_f64());
    let count = load.ledger.count;
    let mut lost = load.drain()?;
    let latency = Quantiles::of(&load.ledger.latency);
    let (memory, behind) = (process::own_memory(running.pid())?, load.behind());
    let mut kernel_kib_each = None;
    if behind > 0 {
        let unsent = process::unsent_by(running.address.port())?;
        kernel_kib_each = Some(unsent as f64 / 1024.0 / trial.plan.held_back() as f64);
        // Who was slow has lost nothing if all of it comes now.
        load.release()?;
        lost = load.drain()?;
    }
    let deliveries = count.deliveries - before.0.deliveries;
    ensure!(deliveries > 0, "nothing was delivered");
    let each = |total: f64| Some(total / deliveries as f64);
    Ok(Measured {
        deliveries,
        per_second: Some(deliveries as f64 / time),
        cpu_us: each(cpu.as_secs_f64() * 1e6),
        cores: Some(cpu.as_secs_f64() / time),
        latency,
        ack: load.ack_latency().and_then(Quantiles::of),
        wire_bytes: each((count.wire_bytes - before.0.wire_bytes) as f64),
        joins_per_second: Some(joins_per_second),
        memory_mib: Some(mib(memory)),
        grown_mib: Some(mib(memory) - mib(memory_before)),
        behind,
        kernel_kib_each,
        ..what_went_wrong(&load, lost)
    })
}
