//! Publish by HTTP without subscribers, each connection as fast as it is answered.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use crate::histogram::Histogram;
use crate::load::Askers;
use crate::process;
use crate::scenario::{Measured, Quantiles, Trial, WARM_UP};

pub(super) fn publish(trial: Trial<'_>, seconds: f64) -> Result<Measured> {
    let path = trial.server.publish_path().context("this server takes no publish by HTTP")?;
    let running = trial.server.start(trial.places)?;
    let (bytes, count) = (trial.plan.payload_bytes, trial.plan.publishers);
    let mut askers = Askers::connect(running.address, path, bytes, count)?;
    askers.run(WARM_UP)?;
    askers.took = Histogram::default();
    let before = (askers.answered, process::cpu_time(running.pid())?, Instant::now());
    askers.run(Duration::from_secs_f64(seconds))?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed().as_secs_f64());
    let answered = (askers.answered - before.0) as f64;
    Ok(Measured {
        publishes_per_second: Some(answered / time),
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / answered),
        cores: Some(cpu.as_secs_f64() / time),
        ack: Quantiles::of(&askers.took),
        ..Measured::default()
    })
}
