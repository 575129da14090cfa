//! A probe beside what is measured, and what it costs the server itself.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::load::Load;
use crate::process;
use crate::server::Running;

/// The CPU time that the server needs each second for a probe alone that has begun.
pub(super) fn calm_cpu_per_second(running: &Running, load: &mut Load) -> Result<f64> {
    load.listen(SETTLE)?;
    let (before, from) = (process::cpu_time(running.pid())?, Instant::now());
    load.listen(CALM)?;
    let cpu = process::cpu_time(running.pid())? - before;
    Ok(cpu.as_secs_f64() / from.elapsed().as_secs_f64())
}

/// Every two milliseconds or so, somebody else's publish meets what is going on.
pub(super) const PROBES_PER_SECOND: f64 = 500.0;
const SETTLE: Duration = Duration::from_millis(500);
const CALM: Duration = Duration::from_secs(1);
