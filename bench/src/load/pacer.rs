//! When the next message is due.

/// How fast to publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pacing {
    /// So many a second, over all topics, whatever the server does.
    Rate(f64),
    /// As fast as the server goes: a message is under way until, counted over all, every subscriber has one more.
    InFlight(u64),
}

/// One stretch of publishing.
#[derive(Debug)]
pub(super) struct Pacer {
    pacing: Pacing,
    from_ns: u64,
    sent: u64,
    /// Published since the number in flight was last counted.
    fresh: u64,
    deliveries: u64,
    moved_ns: u64,
}

impl Pacer {
    pub(super) const fn new(pacing: Pacing, now_ns: u64) -> Self {
        Self { pacing, from_ns: now_ns, sent: 0, fresh: 0, deliveries: 0, moved_ns: now_ns }
    }

    /// When the next message should be sent, if that is not later than now.
    pub(super) fn due(&mut self, now_ns: u64, in_flight: u64) -> Option<u64> {
        let due_ns = match self.pacing {
            Pacing::Rate(_) => self.at(self.sent),
            Pacing::InFlight(most) if in_flight + self.fresh < most => now_ns,
            Pacing::InFlight(_) => u64::MAX,
        };
        if due_ns > now_ns {
            self.fresh = 0;
            return None;
        }
        self.sent += 1;
        self.fresh += 1;
        Some(due_ns)
    }

    /// The message that `due` gave last was not sent.
    pub(super) const fn take_back(&mut self) {
        self.sent -= 1;
        self.fresh = 0;
    }

    /// When to look again.
    pub(super) fn next_ns(&self, now_ns: u64) -> u64 {
        match self.pacing {
            Pacing::Rate(_) => self.at(self.sent),
            // Deliveries wake the loop.
            Pacing::InFlight(_) => now_ns + STUCK_NS / 10,
        }
    }

    /// Whether a window has waited for its deliveries too long.
    pub(super) const fn is_stuck(&mut self, now_ns: u64, deliveries: u64) -> bool {
        if deliveries != self.deliveries {
            self.deliveries = deliveries;
            self.moved_ns = now_ns;
        }
        let stuck = matches!(self.pacing, Pacing::InFlight(_)) && now_ns - self.moved_ns > STUCK_NS;
        if stuck {
            self.moved_ns = now_ns;
        }
        stuck
    }

    fn at(&self, message: u64) -> u64 {
        match self.pacing {
            Pacing::Rate(per_second) => self.from_ns + (message as f64 * 1e9 / per_second) as u64,
            Pacing::InFlight(_) => self.from_ns,
        }
    }
}

const STUCK_NS: u64 = 500_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_asks_for_what_was_missed() {
        let mut pacer = Pacer::new(Pacing::Rate(1_000.0), 0);
        let due: Vec<_> = std::iter::from_fn(|| pacer.due(3_500_000, 0)).collect();
        assert_eq!(due, [0, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(pacer.next_ns(3_500_000), 4_000_000);
    }

    #[test]
    fn a_window_is_filled_and_no_more() {
        let mut pacer = Pacer::new(Pacing::InFlight(64), 0);
        assert_eq!(std::iter::from_fn(|| pacer.due(5, 60)).count(), 4);
        assert_eq!(std::iter::from_fn(|| pacer.due(6, 63)).count(), 1);
        assert_eq!(pacer.due(7, 64), None);
    }

    #[test]
    fn a_window_without_deliveries_is_stuck() {
        let mut pacer = Pacer::new(Pacing::InFlight(64), 0);
        assert!(!pacer.is_stuck(1, 10));
        assert!(!pacer.is_stuck(STUCK_NS, 10));
        assert!(pacer.is_stuck(STUCK_NS + 2, 10));
    }
}
