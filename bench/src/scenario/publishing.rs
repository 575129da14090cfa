//! Publish without subscribers, as fast as the server acknowledges or half as fast: what does a message cost its publisher, and
//! the server?

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::{Load, Pacing};
use crate::process;
use crate::scenario::{Measured, Quantiles, Trial, WARM_UP, mib};
use crate::server::Running;

pub(super) fn publish(trial: Trial<'_>, unanswered: u64, seconds: f64) -> Result<Measured> {
    let pacing = Pacing::Unanswered(unanswered);
    let (running, mut load) = begin(trial, pacing)?;
    measure(&running, &mut load, pacing, seconds)
}

/// First it is found how fast the server acknowledges; then for long half as much is published, whatever the server does.
pub(super) fn steady(trial: Trial<'_>, unanswered: u64, seconds: f64) -> Result<Measured> {
    let pacing = Pacing::Unanswered(unanswered);
    let (running, mut load) = begin(trial, pacing)?;
    let (before, from) = (load.answered(), Instant::now());
    load.run(SOUNDED, pacing)?;
    let most = (load.answered() - before) as f64 / from.elapsed().as_secs_f64();
    ensure!(most > 0.0, "nothing was acknowledged");
    let pacing = Pacing::Rate(most / 2.0);
    load.run(WARM_UP, pacing)?;
    measure(&running, &mut load, pacing, seconds)
}

fn begin(trial: Trial<'_>, pacing: Pacing) -> Result<(Running, Load)> {
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    // No topic is new any more when time is taken.
    load.fill(trial.plan.topics as u64)?;
    load.run(WARM_UP, pacing)?;
    Ok((running, load))
}

fn measure(running: &Running, load: &mut Load, pacing: Pacing, seconds: f64) -> Result<Measured> {
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

/// So long the rate is found.
const SOUNDED: Duration = Duration::from_secs(10);
