//! What is done to one server, once: start it, bring the crowd, load it, and read what that cost.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use serde::Serialize;

use crate::histogram::Histogram;
use crate::load::{self, Load, Pacing, Plan};
use crate::process;
use crate::server::{Places, Running, Server};

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Scenario {
    /// Publish for a while.
    FanOut {
        /// How fast.
        pacing: Pacing,
        /// Seconds that are measured.
        seconds: f64,
    },
    /// Publish one message to each topic and be quiet, with few and with all subscribers: what does one more cost?
    Idle,
    /// Let all subscribers connect to a fresh server at once.
    Connect,
    /// Cut all connections, publish a little, and let all come back at once.
    Storm,
    /// Publish one message to each topic without subscribers: what does a topic cost?
    Topics,
}

/// What one run has shown. What does not apply is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Measured {
    /// Deliveries in the measured time.
    pub deliveries: u64,
    /// Deliveries a second.
    pub per_second: Option<f64>,
    /// The server's CPU time per delivery, in microseconds.
    pub cpu_us: Option<f64>,
    /// The server's CPU time per second.
    pub cores: Option<f64>,
    /// From when a message should have been sent to its arrival.
    pub latency: Option<Quantiles>,
    /// From when a message should have been sent to its acknowledgement.
    pub ack: Option<Quantiles>,
    /// Bytes a subscriber read per delivery.
    pub wire_bytes: Option<f64>,
    /// Deliveries owed that never came, from the first message to the last.
    pub lost: u64,
    /// Deliveries that came twice or after a later one.
    pub repeated: u64,
    /// Times that the server itself said that something is missing.
    pub gaps: u64,
    /// Subscribers connected and subscribed per second, or come back per second.
    pub joins_per_second: Option<f64>,
    /// The server's own memory per connection (with its topic, where each has one) or per topic.
    pub bytes_each: Option<f64>,
    /// The server's own memory at the end.
    pub memory_mib: Option<f64>,
    /// How much of it came after everybody had subscribed.
    pub grown_mib: Option<f64>,
    /// Deliveries that slow and stalled subscribers were behind at the end, before they were let catch up.
    pub behind: u64,
}

/// Latencies in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Quantiles {
    /// Half take at most this.
    pub p50: f64,
    /// 90 %.
    pub p90: f64,
    /// 99 %.
    pub p99: f64,
    /// 99.9 %.
    pub p999: f64,
    /// The longest.
    pub max: f64,
}

/// Runs a scenario against a fresh server.
///
/// # Errors
/// If the server does not start, refuses, or breaks its protocol.
pub fn measure(server: Server, places: &Places, plan: Plan, scenario: Scenario) -> Result<Measured> {
    load::allow_connections(plan.subscribers + plan.publishers)?;
    match scenario {
        Scenario::FanOut { pacing, seconds } => fan_out(server, places, plan, pacing, seconds),
        Scenario::Idle => idle(server, places, plan),
        Scenario::Connect => connect(server, places, plan),
        Scenario::Storm => storm(server, places, plan),
        Scenario::Topics => topics(server, places, plan),
    }
}

fn fan_out(server: Server, places: &Places, plan: Plan, pacing: Pacing, seconds: f64) -> Result<Measured> {
    let (running, mut load, joins_per_second) = begin(server, places, plan)?;
    let memory_before = process::own_memory(running.pid())?;
    load.hold_back()?;
    load.run(WARM_UP, pacing)?;
    load.start_timing();
    let before = (load.ledger.count, process::cpu_time(running.pid())?, Instant::now());
    load.run(Duration::from_secs_f64(seconds), pacing)?;
    let (cpu, time) = (process::cpu_time(running.pid())? - before.1, before.2.elapsed().as_secs_f64());
    let count = load.ledger.count;
    let mut lost = load.drain()?;
    let latency = Quantiles::of(&load.ledger.latency);
    let (memory, behind) = (process::own_memory(running.pid())?, load.behind());
    if behind > 0 {
        // Who was slow has lost nothing if all of it comes now.
        load.release()?;
        lost = load.drain()?;
    }
    let deliveries = count.deliveries - before.0.deliveries;
    ensure!(deliveries > 0, "nothing was delivered");
    let each = |total: f64| Some(total / deliveries as f64);
    Ok(Measured {
        deliveries,
        per_second: Some(deliveries as f64 / time),
        cpu_us: each(cpu.as_secs_f64() * 1e6),
        cores: Some(cpu.as_secs_f64() / time),
        latency,
        ack: load.ack_latency().and_then(Quantiles::of),
        wire_bytes: each((count.wire_bytes - before.0.wire_bytes) as f64),
        joins_per_second: Some(joins_per_second),
        memory_mib: Some(mib(memory)),
        grown_mib: Some(mib(memory) - mib(memory_before)),
        behind,
        ..what_went_wrong(&load, lost)
    })
}

/// Two fresh servers, so that nothing of the first crowd is in the second's memory.
fn idle(server: Server, places: &Places, plan: Plan) -> Result<Measured> {
    let few = IDLE_FEW.min(plan.subscribers / 2);
    let few_plan = Plan { subscribers: few, topics: plan.topics.min(few), ..plan };
    let (less, _) = memory_at_rest(server, places, few_plan)?;
    let (more, measured) = memory_at_rest(server, places, plan)?;
    let bytes_each = (more as f64 - less as f64) / (plan.subscribers - few) as f64;
    Ok(Measured { bytes_each: Some(bytes_each), memory_mib: Some(mib(more)), ..measured })
}

fn memory_at_rest(server: Server, places: &Places, plan: Plan) -> Result<(u64, Measured)> {
    let (running, mut load, joins_per_second) = begin(server, places, plan)?;
    load.publish(plan.topics as u64)?;
    let lost = load.drain()?;
    load.listen(REST)?;
    let measured = Measured { joins_per_second: Some(joins_per_second), ..what_went_wrong(&load, lost) };
    Ok((process::own_memory(running.pid())?, measured))
}

fn connect(server: Server, places: &Places, plan: Plan) -> Result<Measured> {
    let running = server.start(places)?;
    let mut load = Load::new(plan, server.dialect(), running.address)?;
    join(&running, &mut load, plan)
}

fn storm(server: Server, places: &Places, plan: Plan) -> Result<Measured> {
    let (running, mut load, _) = begin(server, places, plan)?;
    load.run(WARM_UP, Pacing::Rate(10.0))?;
    load.drain()?;
    load.cut_all();
    let resumes = server.dialect().acknowledges();
    if resumes {
        // What the others miss now is gone for good, so they are spared it.
        load.publish(STORM_MESSAGES)?;
    }
    join(&running, &mut load, plan)
}

/// Lets everybody connect at once, and waits for what they are owed.
fn join(running: &Running, load: &mut Load, plan: Plan) -> Result<Measured> {
    let before = process::cpu_time(running.pid())?;
    let took = load.gather(plan.subscribers)?;
    let lost = load.drain()?;
    let cpu = process::cpu_time(running.pid())? - before;
    Ok(Measured {
        joins_per_second: Some(plan.subscribers as f64 / took.as_secs_f64()),
        cpu_us: Some(cpu.as_secs_f64() * 1e6 / plan.subscribers as f64),
        memory_mib: Some(mib(process::own_memory(running.pid())?)),
        ..what_went_wrong(load, lost)
    })
}

fn topics(server: Server, places: &Places, plan: Plan) -> Result<Measured> {
    let running = server.start(places)?;
    std::thread::sleep(REST);
    let before = process::own_memory(running.pid())?;
    let mut load = Load::new(plan, server.dialect(), running.address)?;
    load.gather_publishers()?;
    // In steps, so that no publisher has more under way than it may.
    for _ in 0..100 {
        load.publish(plan.topics as u64 / 100)?;
        load.listen(Duration::from_millis(10))?;
    }
    drop(load);
    std::thread::sleep(UNTIL_TIDY);
    let after = process::own_memory(running.pid())?;
    Ok(Measured {
        bytes_each: Some((after as f64 - before as f64) / plan.topics as f64),
        memory_mib: Some(mib(after)),
        ..Measured::default()
    })
}

/// A fresh server with everybody connected and subscribed, and how many joined a second.
fn begin(server: Server, places: &Places, plan: Plan) -> Result<(Running, Load, f64)> {
    let running = server.start(places)?;
    let mut load = Load::new(plan, server.dialect(), running.address)?;
    let took = load.gather(plan.subscribers)?;
    load.gather_publishers()?;
    // Servers without an answer to a subscription get a moment for the last ones.
    load.listen(Duration::from_millis(200))?;
    Ok((running, load, plan.subscribers as f64 / took.as_secs_f64()))
}

fn what_went_wrong(load: &Load, lost: u64) -> Measured {
    let count = load.ledger.count;
    Measured { lost, repeated: count.repeated, gaps: count.gaps, ..Measured::default() }
}

fn mib(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

impl Quantiles {
    fn of(histogram: &Histogram) -> Option<Self> {
        let us = |share| histogram.quantile(share) as f64 / 1e3;
        (histogram.total() > 0).then(|| Self {
            p50: us(0.5),
            p90: us(0.9),
            p99: us(0.99),
            p999: us(0.999),
            max: histogram.max() as f64 / 1e3,
        })
    }
}

const WARM_UP: Duration = Duration::from_millis(800);
/// Long enough for what was queued to be handled, and for allocators to give back what they give back.
const REST: Duration = Duration::from_millis(1_500);
/// Long enough for whatever a server does for its topics every few seconds to have been done to all of them.
const UNTIL_TIDY: Duration = Duration::from_secs(7);
const IDLE_FEW: usize = 1_000;
const STORM_MESSAGES: u64 = 100;
