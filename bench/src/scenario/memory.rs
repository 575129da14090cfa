//! What the server's own memory is for: one connection more, one topic more, one publisher's place more.

use std::time::Duration;

use anyhow::{Result, ensure};

use crate::load::Plan;
use crate::process;
use crate::scenario::{Measured, Trial, mib, what_went_wrong};

/// Two fresh servers, so that nothing of the first crowd is in the second's memory.
pub(super) fn idle(trial: Trial<'_>) -> Result<Measured> {
    let plan = trial.plan;
    let few = IDLE_FEW.min(plan.subscribers / 2);
    let few_plan = Plan { subscribers: few, topics: plan.topics.min(few), ..plan };
    let (less, _) = at_rest(Trial { plan: few_plan, ..trial })?;
    let (more, measured) = at_rest(trial)?;
    let bytes_each = (more as f64 - less as f64) / (plan.subscribers - few) as f64;
    Ok(Measured { bytes_each: Some(bytes_each), memory_mib: Some(mib(more)), ..measured })
}

fn at_rest(trial: Trial<'_>) -> Result<(u64, Measured)> {
    let (running, mut load, joins_per_second) = trial.begin()?;
    load.publish(trial.plan.topics as u64)?;
    let lost = load.drain()?;
    load.listen(REST)?;
    let measured = Measured { joins_per_second: Some(joins_per_second), ..what_went_wrong(&load, lost) };
    Ok((process::own_memory(running.pid())?, measured))
}

pub(super) fn topics(trial: Trial<'_>) -> Result<Measured> {
    let (running, mut load) = trial.start()?;
    std::thread::sleep(REST);
    let before = process::own_memory(running.pid())?;
    load.gather_publishers()?;
    load.fill(trial.plan.topics as u64)?;
    drop(load);
    std::thread::sleep(UNTIL_TIDY);
    let after = process::own_memory(running.pid())?;
    Ok(Measured {
        bytes_each: Some((after as f64 - before as f64) / trial.plan.topics as f64),
        memory_mib: Some(mib(after)),
        ..Measured::default()
    })
}

/// Three sets of publishers, one after the other; the third is measured. Whatever memory the server got for
/// connections and handles, and kept when they ended, the second set has made it get.
pub(super) fn windows(trial: Trial<'_>) -> Result<Measured> {
    let topics = trial.plan.topics;
    let (running, mut load) = trial.start()?;
    load.gather_publishers()?;
    load.fill(topics as u64)?;
    load.visit(0)?;
    std::thread::sleep(UNTIL_TIDY);
    let before = process::own_memory(running.pid())?;
    let known = load.visit(1)?;
    std::thread::sleep(UNTIL_TIDY);
    let after = process::own_memory(running.pid())?;
    ensure!(known * 100 >= topics * 99, "the server knows {known} of {topics} windows when asked again");
    Ok(Measured {
        bytes_each: Some((after as f64 - before as f64) / known as f64),
        memory_mib: Some(mib(after)),
        ..Measured::default()
    })
}

/// Long enough for what was queued to be handled, and for allocators to give back what they give back.
const REST: Duration = Duration::from_millis(1_500);
/// Long enough for whatever a server does for its topics every few seconds to have been done to all of them.
const UNTIL_TIDY: Duration = Duration::from_secs(7);
const IDLE_FEW: usize = 1_000;
