//! The load generator: one thread that subscribes, publishes, reads and books, driven by one clock.
//!
//! Publishers wait in a poll of their own, which is looked at between small batches of the crowd's events, so that
//! an answer is timed when it comes and not when ten thousand subscribers have been served.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::dialect::{Dialect, Wants};
use crate::histogram::Histogram;
use crate::ledger::Ledger;

mod crowd;
mod link;
mod pacer;
mod publishers;

use crowd::Crowd;
use link::Distance;
use pacer::Pacer;
pub use pacer::Pacing;
use publishers::Publishers;

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Connections that subscribe, one subscription each; spread evenly over the topics.
    pub subscribers: usize,
    /// Topics that are published to in turn.
    pub topics: usize,
    /// Connections that publish.
    pub publishers: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// Subscribers ask for all topics by a pattern.
    pub every_topic: bool,
    /// Every so many-th subscriber uses the JSON encoding; 0 for none.
    pub json_every: usize,
    /// Subscribers that read nothing once they have subscribed. Only with one topic, like the next.
    pub stalled: usize,
    /// Subscribers that read far less than is published.
    pub slow: usize,
}

/// One run's connections and what they have seen.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    address: SocketAddr,
    crowd: Crowd,
    publishers: Publishers,
    /// What has arrived.
    pub ledger: Ledger,
    started: Instant,
    written_off: u64,
}

impl Load {
    /// A load for the server at `address`; nothing is connected yet.
    ///
    /// # Errors
    /// If the operating system gives no poll.
    pub fn new(plan: Plan, dialect: Dialect, address: SocketAddr) -> Result<Self> {
        let publishers = Publishers::new(&plan, dialect)?;
        let crowd = Crowd::new(dialect)?;
        crowd.wake_for(publishers.fd())?;
        Ok(Self {
            ledger: Ledger::new(plan.subscribers, plan.publishers),
            crowd,
            publishers,
            plan,
            address,
            started: Instant::now(),
            written_off: 0,
        })
    }

    /// Brings the crowd up to `subscribers` and waits until each has its subscription confirmed. Returns how long
    /// it took.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn gather(&mut self, subscribers: usize) -> Result<Duration> {
        let from = Instant::now();
        for index in self.crowd.len()..subscribers {
            let wants = match self.plan.every_topic {
                true => Wants::EveryTopic,
                false => Wants::Topic((index % self.plan.topics) as u32),
            };
            let json = self.plan.json_every != 0 && index % self.plan.json_every == 0;
            let far = index < self.plan.held_back();
            let distance = if far { Distance::Afar } else { Distance::Here };
            self.crowd.invite(wants, distance, json);
        }
        self.crowd.connect(self.address, &mut self.ledger)?;
        Ok(from.elapsed())
    }

    /// Connects the publishers and waits until all may publish.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn gather_publishers(&mut self) -> Result<()> {
        self.publishers.connect(self.address)
    }

    /// From here on the stalled subscribers of the plan read nothing, and its slow ones little.
    ///
    /// # Errors
    /// If their sockets cannot be taken out of the poll.
    pub fn hold_back(&mut self) -> Result<()> {
        self.ledger.held_back = self.plan.held_back();
        self.crowd.hold_back(self.plan.stalled, self.plan.slow, self.now_ns())
    }

    /// Stalled and slow subscribers read like everybody again, and are waited for.
    ///
    /// # Errors
    /// If their sockets cannot be put back into the poll.
    pub fn release(&mut self) -> Result<()> {
        self.ledger.held_back = 0;
        self.crowd.release()
    }

    /// Deliveries that the stalled and slow ones are behind.
    #[must_use]
    pub fn behind(&self) -> u64 {
        self.publishers.published * self.ledger.held_back as u64 - self.ledger.count.held_back
    }

    /// Cuts every subscriber's connection at once, without a word.
    pub fn cut_all(&mut self) {
        self.crowd.cut_all();
    }

    /// Reads what comes for a while and publishes nothing.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn listen(&mut self, time: Duration) -> Result<()> {
        self.drive(time, None)
    }

    /// Publishes and reads for a while.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn run(&mut self, time: Duration, pacing: Pacing) -> Result<()> {
        self.drive(time, Some(Pacer::new(pacing, self.now_ns())))
    }

    /// Publishes `messages` at once.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn publish(&mut self, messages: u64) -> Result<()> {
        let now_ns = self.now_ns();
        for _ in 0..messages {
            self.publishers.publish(now_ns);
        }
        self.publishers.flush()
    }

    /// Reads until everything published has arrived or nothing has come for a while. Returns how many deliveries
    /// are missing.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn drain(&mut self) -> Result<u64> {
        let mut before = self.ledger.count.deliveries;
        let mut quiet_since = Instant::now();
        while self.missing() > 0 && quiet_since.elapsed() < QUIET {
            self.listen(Duration::from_millis(20))?;
            if self.ledger.count.deliveries != before {
                before = self.ledger.count.deliveries;
                quiet_since = Instant::now();
            }
        }
        Ok(self.missing())
    }

    /// Times deliveries from here on, and acknowledgements.
    pub fn start_timing(&mut self) {
        self.ledger.latency = Histogram::default();
        // Timing each of a thousand copies of one message tells no more than timing sixty.
        self.ledger.time_every = self.plan.subscribers.div_ceil(64).max(1);
        // Subscribers of one topic are numbered in steps of the topics; an odd step visits all of them.
        self.ledger.time_every |= 1;
        self.publishers.ack_latency = Some(Histogram::default());
    }

    /// Times of acknowledgements, where the server gives them.
    #[must_use]
    pub fn ack_latency(&self) -> Option<&Histogram> {
        self.publishers.ack_latency.as_ref().filter(|latency| latency.total() > 0)
    }

    /// Messages published so far.
    #[must_use]
    pub const fn published(&self) -> u64 {
        self.publishers.published
    }

    fn drive(&mut self, time: Duration, mut pacer: Option<Pacer>) -> Result<()> {
        let end = self.now_ns() + time.as_nanos() as u64;
        loop {
            let now_ns = self.now_ns();
            if now_ns >= end {
                return Ok(());
            }
            let wake_ns = match &mut pacer {
                Some(pacer) => self.publish_due(pacer, now_ns)?.min(end),
                None => end,
            };
            let wake_ns = wake_ns.min(self.crowd.sip(now_ns, &mut self.ledger)?);
            self.publishers.turn(self.started)?;
            // The kernel's poll counts milliseconds: what is due earlier is waited for by looking again.
            let wait = Duration::from_millis(wake_ns.saturating_sub(self.now_ns()) / 1_000_000);
            if wait.is_zero() {
                std::thread::yield_now();
            }
            self.crowd.turn(wait, self.started, &mut self.ledger)?;
        }
    }

    /// Publishes what is due; returns when to come again.
    fn publish_due(&mut self, pacer: &mut Pacer, now_ns: u64) -> Result<u64> {
        let mut in_flight = self.missing().div_ceil(self.audience().max(1));
        if pacer.is_stuck(now_ns, self.ledger.count.deliveries) {
            // The server dropped messages; a window that waits for them would wait for ever.
            self.written_off += self.missing();
        }
        while let Some(due_ns) = pacer.due(now_ns, in_flight)
            && self.publishers.may_publish()
        {
            self.publishers.publish(due_ns);
            pacer.sent();
            in_flight += 1;
        }
        self.publishers.flush()?;
        Ok(pacer.next_ns(now_ns))
    }

    /// Deliveries that are owed and have not come, without those to subscribers that are held back.
    fn missing(&self) -> u64 {
        let count = &self.ledger.count;
        let came =
            if self.ledger.held_back > 0 { count.deliveries - count.held_back } else { count.deliveries };
        (self.publishers.published * self.audience()).saturating_sub(came + self.written_off)
    }

    /// Subscribers that one message goes to, without those that are held back.
    const fn audience(&self) -> u64 {
        let reading = self.plan.subscribers - self.ledger.held_back;
        let topics = if self.plan.every_topic { 1 } else { self.plan.topics };
        (reading / topics) as u64
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
    }
}

impl Plan {
    /// One topic, one publisher, 128 bytes.
    #[must_use]
    pub const fn one_topic(subscribers: usize) -> Self {
        Self {
            subscribers,
            topics: 1,
            publishers: 1,
            payload_bytes: 128,
            every_topic: false,
            json_every: 0,
            stalled: 0,
            slow: 0,
        }
    }

    /// Subscribers that read little or nothing.
    const fn held_back(&self) -> usize {
        self.stalled + self.slow
    }
}

/// Lets this process hold `connections` sockets.
///
/// # Errors
/// If the operating system's hard limit is lower.
pub fn allow_connections(connections: usize) -> Result<()> {
    let wanted = connections as u64 + 100;
    let got = rlimit::increase_nofile_limit(wanted)?;
    ensure!(got >= wanted, "{wanted} open files are needed and {got} allowed: raise `ulimit -n`");
    Ok(())
}

/// Without a delivery for so long, the rest is not coming.
const QUIET: Duration = Duration::from_secs(2);
