//! What is done to one server, once: start it, bring the crowd, load it, and read what that cost.

use std::time::Duration;

use anyhow::Result;
use serde::Serialize;

use crate::dialect::Dialect;
use crate::histogram::Histogram;
use crate::load::{self, Load, Pacing, Plan};
use crate::server::{Places, Running, Server};

mod asking;
mod fan_out;
mod joining;
mod memory;
mod patterns;
mod probing;
mod publishing;
mod storing;
mod tokens;

/// Who is tried, and how it is spoken to.
#[derive(Debug, Clone, Copy)]
pub struct Trial<'a> {
    /// The server.
    pub server: Server,
    /// What is spoken to it.
    pub dialect: Dialect,
    /// Who takes part.
    pub plan: Plan,
    /// Where programs are.
    pub places: &'a Places,
}

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
    /// Let publishers use up one number in each topic and go: what does the memory of a publisher's place cost?
    Windows,
    /// Publish without subscribers, as fast as the server acknowledges.
    Publish {
        /// Messages that are unanswered at most.
        unanswered: u64,
        /// Seconds that are measured.
        seconds: f64,
    },
    /// Publish without subscribers for long, at half of the rate at which the server acknowledges.
    Steady {
        /// Messages that are unanswered at most while that rate is found.
        unanswered: u64,
        /// Seconds that are measured.
        seconds: f64,
    },
    /// Publish by HTTP, on connections that are kept, each as fast as it is answered.
    Ask {
        /// Seconds that are measured.
        seconds: f64,
    },
    /// Publish one message to each topic; then subscribers of all of them come, so many a second.
    JoinPattern {
        /// How many a second.
        per_second: f64,
        /// Measure not how they come but how they come back, having missed a little.
        again: bool,
    },
    /// Publish so many messages to each topic; then subscribers ask for all of it.
    CatchUp {
        /// Messages to each topic.
        messages_each: u64,
    },
    /// Publish so many messages; then subscribers come and read them all.
    Replay {
        /// Messages to all topics together.
        messages: u64,
    },
    /// Publish so many messages, kill the server and start it over what it has stored.
    Reopen {
        /// Messages to all topics together.
        messages: u64,
    },
    /// Publish many more messages than topics keep: what does that take of the disk?
    DiskWindow {
        /// Messages.
        messages: u64,
        /// How many of them are kept.
        kept: u64,
    },
    /// Let all subscribers bring their next token before that ends which they have signed in with.
    Renew,
    /// Let everybody subscribe and rest, while the plan's intruders, if it has any, bring forged tokens.
    Rest {
        /// Seconds that are measured.
        seconds: f64,
    },
}

/// What one run has shown. What does not apply is absent.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Measured {
    /// Deliveries in the measured time.
    pub deliveries: u64,
    /// Deliveries a second.
    pub per_second: Option<f64>,
    /// The server's CPU time per delivery, in microseconds, or per join, publish or token where those are measured.
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
    /// Why the first connection was lost, where one may be.
    pub first_loss: Option<String>,
    /// Subscribers connected and subscribed per second, or come back per second.
    pub joins_per_second: Option<f64>,
    /// Messages acknowledged per second, where that is what is measured.
    pub publishes_per_second: Option<f64>,
    /// Forged tokens refused per second, where those are brought.
    pub refusals_per_second: Option<f64>,
    /// Millions of bytes that subscribers read per second, where that is what is measured.
    pub megabytes_per_second: Option<f64>,
    /// Seconds from the start of a server over what it has stored until it listened.
    pub start_seconds: Option<f64>,
    /// What stored messages take of the disk when nothing goes on, in multiples of the payloads that are kept.
    pub disk_at_rest: Option<f64>,
    /// The same, the most while they were published.
    pub disk_at_peak: Option<f64>,
    /// The server's own memory per connection (with its topic, where each has one), per topic or per window.
    pub bytes_each: Option<f64>,
    /// The server's own memory at the end.
    pub memory_mib: Option<f64>,
    /// How much of it came after everybody had subscribed.
    pub grown_mib: Option<f64>,
    /// Deliveries that slow and stalled subscribers were behind at the end, before they were let catch up.
    pub behind: u64,
    /// KiB that the kernel held then to be sent to each of these.
    pub kernel_kib_each: Option<f64>,
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
pub fn measure(trial: Trial<'_>, scenario: Scenario) -> Result<Measured> {
    load::allow_connections(trial.plan.connections())?;
    match scenario {
        Scenario::FanOut { pacing, seconds } => fan_out::fan_out(trial, pacing, seconds),
        Scenario::Idle => memory::idle(trial),
        Scenario::Connect => joining::connect(trial),
        Scenario::Storm => joining::storm(trial),
        Scenario::Topics => memory::topics(trial),
        Scenario::Windows => memory::windows(trial),
        Scenario::Publish { unanswered, seconds } => publishing::publish(trial, unanswered, seconds),
        Scenario::Steady { unanswered, seconds } => publishing::steady(trial, unanswered, seconds),
        Scenario::Ask { seconds } => asking::publish(trial, seconds),
        Scenario::JoinPattern { per_second, again } => patterns::join(trial, per_second, again),
        Scenario::CatchUp { messages_each } => patterns::catch_up(trial, messages_each),
        Scenario::Replay { messages } => storing::replay(trial, messages),
        Scenario::Reopen { messages } => storing::reopen(trial, messages),
        Scenario::DiskWindow { messages, kept } => storing::disk_window(trial, messages, kept),
        Scenario::Renew => tokens::renew(trial),
        Scenario::Rest { seconds } => tokens::rest(trial, seconds),
    }
}

impl Trial<'_> {
    /// A fresh server, and a load that has connected nobody yet.
    fn start(self) -> Result<(Running, Load)> {
        let running = self.server.start(self.places)?;
        let load = Load::new(self.plan, self.dialect, running.target())?;
        Ok((running, load))
    }

    /// A fresh server with everybody connected and subscribed, and how many joined a second.
    fn begin(self) -> Result<(Running, Load, f64)> {
        let (running, mut load) = self.start()?;
        let took = load.gather(self.plan.subscribers)?;
        load.gather_publishers()?;
        // Servers without an answer to a subscription get a moment for the last ones.
        load.listen(Duration::from_millis(200))?;
        Ok((running, load, self.plan.subscribers as f64 / took.as_secs_f64()))
    }
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
