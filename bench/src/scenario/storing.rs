//! What was stored: reading all of it, starting over it, and the disk that it takes.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::process;
use crate::scenario::{Measured, Trial, mib, what_went_wrong};

/// Fills the topics; then subscribers come, all at once, and read everything.
pub(super) fn replay(trial: Trial<'_>, messages: u64) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    load.fill(messages)?;
    let (before, from) = (process::cpu_time(running.pid())?, Instant::now());
    load.gather(trial.plan.subscribers)?;
    let (lost, took) = load.drain_timed(from)?;
    let cpu = (process::cpu_time(running.pid())? - before).as_secs_f64();
    let count = load.ledger.count;
    ensure!(count.deliveries > 0, "nothing was delivered");
    Ok(Measured {
        deliveries: count.deliveries,
        per_second: Some(count.deliveries as f64 / took.as_secs_f64()),
        megabytes_per_second: Some(count.wire_bytes as f64 / 1e6 / took.as_secs_f64()),
        cpu_us: Some(cpu * 1e6 / count.deliveries as f64),
        wire_bytes: Some(count.wire_bytes as f64 / count.deliveries as f64),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(&load, lost)
    })
}

/// Fills the topics, kills the server while nothing is under way, and starts it over what it has stored. Publishers
/// then ask whether they are known, so that a server that has lost everything is no fast one.
pub(super) fn reopen(trial: Trial<'_>, messages: u64) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    load.fill(messages)?;
    let (running, took) = trial.server.start_again(trial.places, running)?;
    load.move_to(running.target());
    load.gather_publishers()?;
    let lost = load.unknown() as u64;
    Ok(Measured {
        start_seconds: Some(took.as_secs_f64()),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(&load, lost)
    })
}

/// Publishes far more than the topic keeps, and looks at the disk meanwhile and when nothing more is removed.
pub(super) fn disk_window(trial: Trial<'_>, messages: u64, kept: u64) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    let folder = running.stores_in().context("this server stores nothing")?;
    load.gather_publishers()?;
    let mut peak = 0;
    for _ in 0..messages.div_ceil(LOOKED_AT_EVERY) {
        load.fill(LOOKED_AT_EVERY)?;
        peak = peak.max(disk_bytes(folder)?);
    }
    let rest = at_rest(folder)?;
    let live = (kept * trial.plan.payload_bytes as u64) as f64;
    Ok(Measured {
        disk_at_rest: Some(rest as f64 / live),
        disk_at_peak: Some(peak.max(rest) as f64 / live),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..Measured::default()
    })
}

/// What is taken of the disk once that has been the same for a while.
fn at_rest(folder: &Path) -> Result<u64> {
    let (mut bytes, mut since, from) = (disk_bytes(folder)?, Instant::now(), Instant::now());
    while since.elapsed() < UNCHANGED {
        ensure!(from.elapsed() < AT_REST_TIMEOUT, "files still change after {AT_REST_TIMEOUT:?}");
        std::thread::sleep(UNCHANGED / 30);
        let now = disk_bytes(folder)?;
        if now != bytes {
            (bytes, since) = (now, Instant::now());
        }
    }
    Ok(bytes)
}

/// What the files of a folder take of the disk, as far as the file system has given them blocks.
fn disk_bytes(folder: &Path) -> Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))? {
        let entry = entry?;
        // What was removed since it was listed takes nothing.
        let Ok(metadata) = entry.metadata() else { continue };
        bytes += match metadata.is_dir() {
            true => disk_bytes(&entry.path())?,
            false => metadata.blocks() * BLOCK_BYTES,
        };
    }
    Ok(bytes)
}

/// Messages between two looks at the disk.
const LOOKED_AT_EVERY: u64 = 20_000;
/// Longer than whatever a server does for its files every few seconds.
const UNCHANGED: Duration = Duration::from_secs(3);
const AT_REST_TIMEOUT: Duration = Duration::from_secs(60);
/// `stat` counts in these, whatever the file system's own are.
const BLOCK_BYTES: u64 = 512;
