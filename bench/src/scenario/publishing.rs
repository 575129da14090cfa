//! Publish without subscribers, as fast as the server acknowledges: what do many topics cost their publisher?

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::Pacing;
use crate::process;
use crate::scenario::{Measured, Trial, WARM_UP, mib};

pub(super) fn publish(trial: Trial<'_>, seconds: f64) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    // No topic is new any more when time is taken.
    load.fill(trial.plan.topics as u64)?;
    load.run(WARM_UP, PACING)?;
    let before = (load.answered(), process::cpu_time(running.pid())?, Instant::now());
    load.run(Duration::from_secs_f64(seconds), PACING)?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed().as_secs_f64());
    let answered = (load.answered() - before.0) as f64;
    Ok(Measured {
        publishes_per_second: Some(answered / time),
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / answered),
        cores: Some(cpu.as_secs_f64() / time),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..Measured::default()
    })
}

const PACING: Pacing = Pacing::Unanswered(1_000);
