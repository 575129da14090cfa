//! Subscribers of all topics: what one costs that comes, comes back or reads everything, and what others notice.

use std::time::Instant;

use anyhow::{Result, ensure};

use crate::load::Load;
use crate::process;
use crate::scenario::probing::{PROBES_PER_SECOND, calm_cpu_per_second};
use crate::scenario::{Measured, Quantiles, Trial, mib, what_went_wrong};
use crate::server::Running;

/// Everybody comes, so many a second; with `again`, that is only prepared, and how they come back is measured.
pub(super) fn join(trial: Trial<'_>, per_second: f64, again: bool) -> Result<Measured> {
    let subscribers = trial.plan.subscribers;
    let (running, mut load) = filled(trial, 1)?;
    load.write_off();
    if again {
        load.gather(subscribers)?;
        load.publish(MISSED_FIRST)?;
        load.drain()?;
        load.cut_all();
        load.publish(MISSED)?;
    }
    let calm = calm_cpu_per_second(&running, &mut load)?;
    load.start_timing();
    let (before, from) = (process::cpu_time(running.pid())?, Instant::now());
    let took = load.gather_slowly(subscribers, per_second)?;
    let lost = load.drain()?;
    let cpu = (process::cpu_time(running.pid())? - before).as_secs_f64();
    let joining = (cpu - calm * from.elapsed().as_secs_f64()).max(0.0);
    Ok(Measured {
        cpu_us: Some(joining * 1e6 / subscribers as f64),
        ack: load.ack_latency().and_then(Quantiles::of),
        joins_per_second: Some(subscribers as f64 / took.as_secs_f64()),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(&load, lost)
    })
}

/// Everybody asks for everything at once.
pub(super) fn catch_up(trial: Trial<'_>, messages_each: u64) -> Result<Measured> {
    let (running, mut load) = filled(trial, messages_each)?;
    let calm = calm_cpu_per_second(&running, &mut load)?;
    load.start_timing();
    let (before, from) = (process::cpu_time(running.pid())?, Instant::now());
    load.gather_slowly(trial.plan.subscribers, AT_ONCE)?;
    let (lost, took) = load.drain_timed(from)?;
    let cpu = (process::cpu_time(running.pid())? - before).as_secs_f64();
    let count = load.ledger.count;
    ensure!(count.deliveries > 0, "nothing was delivered");
    Ok(Measured {
        deliveries: count.deliveries,
        per_second: Some(count.deliveries as f64 / took.as_secs_f64()),
        megabytes_per_second: Some(count.wire_bytes as f64 / 1e6 / took.as_secs_f64()),
        cpu_us: Some((cpu - calm * took.as_secs_f64()) * 1e6 / count.deliveries as f64),
        wire_bytes: Some(count.wire_bytes as f64 / count.deliveries as f64),
        ack: load.ack_latency().and_then(Quantiles::of),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(&load, lost)
    })
}

/// A fresh server whose topics hold so many messages each, with a probe beside them.
fn filled(trial: Trial<'_>, messages_each: u64) -> Result<(Running, Load)> {
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    load.fill(trial.plan.topics as u64 * messages_each)?;
    load.begin_probe(PROBES_PER_SECOND)?;
    Ok((running, load))
}

const AT_ONCE: f64 = 1e6;
/// What they have had when they are cut off, so that they come back with a place in the log.
const MISSED_FIRST: u64 = 10;
/// What they then miss.
const MISSED: u64 = 100;
