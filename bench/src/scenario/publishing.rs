//! Publish without subscribers, as fast as the server acknowledges: what does a message cost its publisher, and the server?

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::Pacing;
use crate::process;
use crate::scenario::{Measured, Quantiles, Trial, WARM_UP, mib};

pub(super) fn publish(trial: Trial<'_>, unanswered: u64, seconds: f64) -> Result<Measured> {
    let pacing = Pacing::Unanswered(unanswered);
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    // No topic is new any more when time is taken.
    load.fill(trial.plan.topics as u64)?;
    load.run(WARM_UP, pacing)?;
    load.start_timing();
    let before = (load.answered(), process::cpu_time(running.pid())?, Instant::now());
    load.run(Duration::from_secs_f64(seconds), pacing)?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed().as_secs_f64());
    let answered = (load.answered() - before.0) as f64;
    ensure!(answered > 0.0, "nothing was acknowledged");
    Ok(Measured {
        publishes_per_second: Some(answered / time),
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / answered),
        cores: Some(cpu.as_secs_f64() / time),
        ack: load.ack_latency().and_then(Quantiles::of),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..Measured::default()
    })
}
