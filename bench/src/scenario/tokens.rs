//! Tokens while the hub goes on: all bring their next one, or somebody floods it with forged ones. What do others notice?

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::load::{Load, Renewing};
use crate::process;
use crate::scenario::probing::{PROBES_PER_SECOND, calm_cpu_per_second};
use crate::scenario::{Measured, Quantiles, Trial, mib, what_went_wrong};

/// Everybody's token ends at about the same time, and everybody brings the next one before that. Who is not there any
/// more behind that is lost.
pub(super) fn renew(trial: Trial<'_>) -> Result<Measured> {
    let (running, mut load, joins_per_second) = trial.begin()?;
    load.begin_probe(PROBES_PER_SECOND)?;
    let (planned, renewing) = (Instant::now(), load.begin_renewals()?);
    let calm = calm_cpu_per_second(&running, &mut load)?;
    load.listen(renewing.begins.saturating_sub(planned.elapsed()))?;
    load.start_timing();
    let (before, from) = (process::cpu_time(running.pid())?, Instant::now());
    await_renewals(trial, &mut load, renewing, planned)?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before, from.elapsed());
    let (renewed, ack) = (load.renewed(), load.ack_latency().and_then(Quantiles::of));
    ensure!(renewed > 0, "nobody's next token is taken: {}", load.first_loss().unwrap_or_default());
    load.listen((renewing.ends + CUT_OFF_WITHIN).saturating_sub(planned.elapsed()))?;
    // Whoever is still there gets it.
    load.publish(1)?;
    let lost = load.drain()?;
    Ok(Measured {
        cpu_us: Some(beyond(calm, cpu, time) * 1e6 / renewed as f64),
        cores: Some(cpu.as_secs_f64() / time.as_secs_f64()),
        ack,
        joins_per_second: Some(joins_per_second),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        first_loss: load.first_loss(),
        ..what_went_wrong(&load, lost)
    })
}

/// Reads until all have brought theirs, or should have.
fn await_renewals(trial: Trial<'_>, load: &mut Load, renewing: Renewing, planned: Instant) -> Result<()> {
    while load.renewed() < trial.plan.subscribers && planned.elapsed() < renewing.ends {
        load.listen(LOOK_EVERY)?;
    }
    Ok(())
}

/// Nobody does anything for a while but the plan's intruders, if it has any, who bring forged tokens.
pub(super) fn rest(trial: Trial<'_>, seconds: f64) -> Result<Measured> {
    let (running, mut load, joins_per_second) = trial.begin()?;
    load.begin_probe(PROBES_PER_SECOND)?;
    let calm = calm_cpu_per_second(&running, &mut load)?;
    load.begin_flood()?;
    load.listen(SETTLE)?;
    load.start_timing();
    let before = (load.refused(), process::cpu_time(running.pid())?, Instant::now());
    load.listen(Duration::from_secs_f64(seconds))?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed());
    let refused = Some((load.refused() - before.0) as f64).filter(|_| trial.plan.intruders > 0);
    ensure!(refused != Some(0.0), "nobody's forged token is refused");
    Ok(Measured {
        joins_per_second: Some(joins_per_second).filter(|_| trial.plan.subscribers > 0),
        refusals_per_second: refused.map(|refused| refused / time.as_secs_f64()),
        cpu_us: refused.map(|refused| beyond(calm, cpu, time) * 1e6 / refused),
        cores: Some(cpu.as_secs_f64() / time.as_secs_f64()),
        ack: load.ack_latency().and_then(Quantiles::of),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(&load, 0)
    })
}

/// The CPU seconds that went into more than the probe.
fn beyond(calm_per_second: f64, cpu: Duration, time: Duration) -> f64 {
    (cpu.as_secs_f64() - calm_per_second * time.as_secs_f64()).max(0.0)
}

/// A hub closes within a second behind a token's end; another one for a machine that has much to do.
const CUT_OFF_WITHIN: Duration = Duration::from_secs(2);
const LOOK_EVERY: Duration = Duration::from_millis(50);
const SETTLE: Duration = Duration::from_millis(500);
