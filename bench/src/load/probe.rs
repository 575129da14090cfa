//! One publisher beside the load, whose acknowledgements tell how well the server looks after others.

use std::os::fd::RawFd;
use std::time::Instant;

use anyhow::Result;

use crate::dialect::Dialect;
use crate::histogram::Histogram;
use crate::load::pacer::{Pacer, Pacing};
use crate::load::publishers::Publishers;
use crate::load::wire::Target;

/// The publisher, and when it publishes next.
#[derive(Debug)]
pub(super) struct Probe {
    publishers: Publishers,
    pacer: Pacer,
}

impl Probe {
    /// Connects and waits until it may publish.
    pub(super) fn connect(dialect: Dialect, target: &Target, per_second: f64, now_ns: u64) -> Result<Self> {
        let mut publishers = Publishers::elsewhere(dialect)?;
        publishers.connect(target)?;
        Ok(Self { publishers, pacer: Pacer::new(Pacing::Random(per_second), now_ns) })
    }

    pub(super) fn fd(&self) -> RawFd {
        self.publishers.fd()
    }

    /// Publishes what is due and hears what was answered; returns when to come again.
    pub(super) fn turn(&mut self, now_ns: u64, clock: Instant) -> Result<u64> {
        while let Some(due_ns) = self.pacer.due(now_ns, 0)
            && self.publishers.may_publish()
        {
            self.publishers.publish(due_ns);
            self.pacer.sent();
        }
        self.publishers.flush()?;
        self.publishers.turn(clock)?;
        Ok(self.pacer.next_ns(now_ns))
    }

    pub(super) fn start_timing(&mut self) {
        self.publishers.ack_latency = Some(Histogram::default());
    }

    pub(super) const fn ack_latency(&self) -> Option<&Histogram> {
        self.publishers.ack_latency.as_ref()
    }
}
