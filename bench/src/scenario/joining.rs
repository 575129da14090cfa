//! Let everybody connect at once, the first time or again.

use anyhow::Result;

use crate::load::{Load, Pacing};
use crate::process;
use crate::scenario::{Measured, Trial, WARM_UP, mib, what_went_wrong};
use crate::server::Running;

pub(super) fn connect(trial: Trial<'_>) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    join(trial, &running, &mut load)
}

pub(super) fn storm(trial: Trial<'_>) -> Result<Measured> {
    let (running, mut load, _) = trial.begin()?;
    load.run(WARM_UP, Pacing::Rate(10.0))?;
    load.drain()?;
    load.cut_all();
    if trial.dialect.resumes() {
        // What the others miss now is gone for good, so they are spared it.
        load.publish(STORM_MESSAGES)?;
    }
    join(trial, &running, &mut load)
}

/// Lets everybody connect, and waits for what they are owed.
fn join(trial: Trial<'_>, running: &Running, load: &mut Load) -> Result<Measured> {
    let subscribers = trial.plan.subscribers;
    let before = process::cpu_time(running.pid())?;
    let took = load.gather(subscribers)?;
    let lost = load.drain()?;
    let cpu = process::cpu_time(running.pid())? - before;
    Ok(Measured {
        joins_per_second: Some(subscribers as f64 / took.as_secs_f64()),
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / subscribers as f64),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(load, lost)
    })
}

const STORM_MESSAGES: u64 = 100;
