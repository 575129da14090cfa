//! The load generator: one thread that subscribes, publishes, reads and books, driven by one clock.
//!
//! Publishers wait in a poll of their own, which is looked at between small batches of the crowd's events, so that
//! an answer is timed when it comes and not when ten thousand subscribers have been served.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::dialect::{Dialect, Wants};
use crate::histogram::Histogram;
use crate::ledger::Ledger;

mod asking;
mod crowd;
mod flood;
mod link;
mod pacer;
mod plan;
mod probe;
mod publishers;
mod random;
mod renewals;
mod returning;
mod wire;

pub use asking::Askers;
use crowd::Crowd;
use flood::Flood;
use link::Distance;
use pacer::Pacer;
pub use pacer::Pacing;
pub use plan::{Asks, Plan};
use probe::Probe;
use publishers::{Publishers, Voids};
use renewals::Renewals;
pub use renewals::Renewing;
pub use wire::Target;

/// One run's connections and what they have seen.
#[derive(Debug)]
pub struct Load {
    plan: Plan,
    target: Target,
    crowd: Crowd,
    publishers: Publishers,
    probe: Option<Probe>,
    flood: Option<Flood>,
    renewals: Renewals,
    /// What has arrived.
    pub ledger: Ledger,
    started: Instant,
    written_off: u64,
}

impl Load {
    /// A load for a server; nothing is connected yet.
    ///
    /// # Errors
    /// If the operating system gives no poll.
    pub fn new(plan: Plan, dialect: Dialect, target: Target) -> Result<Self> {
        let publishers = Publishers::new(&plan, dialect)?;
        let crowd = Crowd::new(dialect)?;
        crowd.wake_for(publishers.fd())?;
        Ok(Self {
            ledger: Ledger::new(plan.subscribers, plan.publishers),
            crowd,
            publishers,
            probe: None,
            flood: None,
            renewals: Renewals::default(),
            plan,
            target,
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
        self.invite(subscribers)?;
        let from = Instant::now();
        self.crowd.connect(&self.target, self.started, &mut self.ledger)?;
        let took = from.elapsed();
        let all_signed_in = self.plan.token_seconds == 0 || self.crowd.terms().all(|term| term.is_some());
        ensure!(all_signed_in, "the server lets somebody in as if there were no token");
        Ok(took)
    }

    /// The same, but so many a second, while the probe goes on.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn gather_slowly(&mut self, subscribers: usize, per_second: f64) -> Result<Duration> {
        self.invite(subscribers)?;
        let from = Instant::now();
        let apart = Duration::from_secs_f64(1.0 / per_second);
        for (place, index) in (1..).zip(self.crowd.absent()) {
            self.crowd.connect_one(index, &self.target)?;
            self.listen((apart * place).saturating_sub(from.elapsed()))?;
        }
        while !self.crowd.all_ready() {
            ensure!(from.elapsed() < GATHER_TIMEOUT, "not all have joined after {GATHER_TIMEOUT:?}");
            self.listen(Duration::from_millis(5))?;
        }
        Ok(from.elapsed())
    }

    /// Nobody's clock runs yet: tokens are made here.
    fn invite(&mut self, subscribers: usize) -> Result<()> {
        for index in self.crowd.len()..subscribers {
            let wants = match self.plan.asks {
                Asks::OneTopic => Wants::Topic((index % self.plan.topics) as u32),
                Asks::EveryTopic => Wants::EveryTopic,
                Asks::EverythingKept => Wants::EverythingKept,
                Asks::AllOfTopic => Wants::AllOfTopic((index % self.plan.topics) as u32),
            };
            let json = self.plan.json_every != 0 && index % self.plan.json_every == 0;
            let far = index < self.plan.held_back();
            let distance = if far { Distance::Afar } else { Distance::Here };
            self.crowd.invite(wants, distance, json, self.token(index)?);
        }
        Ok(())
    }

    fn token(&self, subscriber: usize) -> Result<Box<str>> {
        if self.plan.token_seconds == 0 {
            return Ok(Box::default());
        }
        let signer = self.target.signer.as_ref().context("this server takes no tokens")?;
        signer.token(subscriber, self.plan.token_seconds)
    }

    /// Connects the publishers and waits until all may publish.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn gather_publishers(&mut self) -> Result<()> {
        self.publishers.connect(&self.target)
    }

    /// Lets publishers of their own, as many as the plan has, use up one number in each topic and go; returns how
    /// many of those numbers the server still knows when they ask again. `visit` tells their identities apart.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn visit(&mut self, visit: usize) -> Result<usize> {
        Voids::of(&self.plan, self.publishers.dialect(), visit)?.visit(&self.target)
    }

    /// From here on one more publisher tells how long its acknowledgements take, on a topic that nobody reads, so
    /// many a second at random instants: how well the server looks after others.
    ///
    /// # Errors
    /// If the server refuses or is silent too long.
    pub fn begin_probe(&mut self, per_second: f64) -> Result<()> {
        let probe = Probe::connect(self.publishers.dialect(), &self.target, per_second, self.now_ns())?;
        self.crowd.wake_for(probe.fd())?;
        self.probe = Some(probe);
        Ok(())
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

    /// Publishes `messages` as fast as they are acknowledged, and waits for that.
    ///
    /// # Errors
    /// If a connection fails, or the server falls silent.
    pub fn fill(&mut self, messages: u64) -> Result<()> {
        let until = self.publishers.published + messages;
        let (mut answered, mut quiet_since) = (self.publishers.answered(), Instant::now());
        while self.publishers.answered() < until {
            let room = FILLING.saturating_sub(self.publishers.unanswered());
            self.publish(room.min(until - self.publishers.published))?;
            self.listen(Duration::from_millis(1))?;
            if self.publishers.answered() != answered {
                (answered, quiet_since) = (self.publishers.answered(), Instant::now());
            }
            ensure!(quiet_since.elapsed() < QUIET, "publishes are not acknowledged");
        }
        Ok(())
    }

    /// What was published so far is owed to nobody.
    pub fn write_off(&mut self) {
        self.written_off += self.missing();
    }

    /// Reads until everything published has arrived or nothing has come for a while. Returns how many deliveries
    /// are missing.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn drain(&mut self) -> Result<u64> {
        Ok(self.drain_timed(Instant::now())?.0)
    }

    /// The same, and the time from `from` to the last delivery.
    ///
    /// # Errors
    /// If a connection fails.
    pub fn drain_timed(&mut self, from: Instant) -> Result<(u64, Duration)> {
        let mut before = self.ledger.count.deliveries;
        let mut last = Instant::now();
        while self.missing() > 0 && last.elapsed() < QUIET {
            self.listen(DRAIN_STEP)?;
            if self.ledger.count.deliveries != before {
                before = self.ledger.count.deliveries;
                last = Instant::now();
            }
        }
        Ok((self.missing(), last - from))
    }

    /// Times deliveries from here on, and acknowledgements.
    pub fn start_timing(&mut self) {
        self.ledger.latency = Histogram::default();
        // Timing each of a thousand copies of one message tells no more than timing sixty.
        self.ledger.time_every = self.plan.subscribers.div_ceil(64).max(1);
        // Subscribers of one topic are numbered in steps of the topics; an odd step visits all of them.
        self.ledger.time_every |= 1;
        self.publishers.ack_latency = Some(Histogram::default());
        if let Some(probe) = &mut self.probe {
            probe.start_timing();
        }
    }

    /// Times of acknowledgements, where the server gives them; with a probe, of the probe's.
    #[must_use]
    pub fn ack_latency(&self) -> Option<&Histogram> {
        let of_all = self.publishers.ack_latency.as_ref();
        self.probe.as_ref().map_or(of_all, Probe::ack_latency).filter(|latency| latency.total() > 0)
    }

    /// Messages published so far.
    #[must_use]
    pub const fn published(&self) -> u64 {
        self.publishers.published
    }

    /// Messages acknowledged so far.
    #[must_use]
    pub fn answered(&self) -> u64 {
        self.publishers.answered()
    }

    fn drive(&mut self, time: Duration, mut pacer: Option<Pacer>) -> Result<()> {
        let end = self.now_ns() + time.as_nanos() as u64;
        loop {
            // Answers first: they may be what the next message waits for.
            self.publishers.turn(self.started)?;
            let now_ns = self.now_ns();
            if now_ns >= end {
                return Ok(());
            }
            let wake_ns = match &mut pacer {
                Some(pacer) => self.publish_due(pacer, now_ns)?.min(end),
                None => end,
            };
            let mut wake_ns = wake_ns.min(self.crowd.sip(now_ns, &mut self.ledger)?).min(self.renew(now_ns));
            if let Some(probe) = &mut self.probe {
                wake_ns = wake_ns.min(probe.turn(now_ns, self.started)?);
            }
            if let Some(flood) = &mut self.flood
                && flood.turn()?
            {
                wake_ns = now_ns;
            }
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
        let mut in_flight = match pacer.pacing() {
            Pacing::Unanswered(_) => self.publishers.unanswered(),
            _ => self.missing().div_ceil(self.audience().max(1)),
        };
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
    fn audience(&self) -> u64 {
        let reading = self.plan.subscribers - self.ledger.held_back;
        let topics = if self.plan.asks.is_of_one_topic() { self.plan.topics } else { 1 };
        (reading / topics) as u64
    }

    fn now_ns(&self) -> u64 {
        self.started.elapsed().as_nanos() as u64
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
const DRAIN_STEP: Duration = Duration::from_millis(5);
/// Messages that wait for their acknowledgement while topics are filled.
const FILLING: u64 = 1_000;
const GATHER_TIMEOUT: Duration = Duration::from_secs(120);
