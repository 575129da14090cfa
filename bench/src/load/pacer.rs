//! When the next message is due.

use crate::load::random::Random;

/// How fast to publish.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pacing {
    /// So many a second, over all topics, whatever the server does; one like the other.
    Rate(f64),
    /// So many a second on average, at instants that know nothing of each other, as if many people published. They
    /// are the same in every run.
    Random(f64),
    /// As fast as the server goes: a message is under way until, counted over all, every subscriber has one more.
    InFlight(u64),
    /// As fast as the server acknowledges: so many messages are unanswered at most.
    Unanswered(u64),
}

/// One stretch of publishing.
#[derive(Debug)]
pub(super) struct Pacer {
    pacing: Pacing,
    /// When the next message is due, where a rate says so.
    next_ns: f64,
    random: Random,
    deliveries: u64,
    moved_ns: u64,
}

impl Pacer {
    pub(super) const fn new(pacing: Pacing, now_ns: u64) -> Self {
        Self { pacing, next_ns: now_ns as f64, random: Random::new(), deliveries: 0, moved_ns: now_ns }
    }

    pub(super) const fn pacing(&self) -> Pacing {
        self.pacing
    }

    /// When the next message should be sent, if that is not later than now.
    pub(super) fn due(&self, now_ns: u64, in_flight: u64) -> Option<u64> {
        let due_ns = match self.pacing {
            Pacing::Rate(_) | Pacing::Random(_) => self.next_ns as u64,
            Pacing::InFlight(most) | Pacing::Unanswered(most) if in_flight < most => now_ns,
            Pacing::InFlight(_) | Pacing::Unanswered(_) => return None,
        };
        (due_ns <= now_ns).then_some(due_ns)
    }

    /// The message that was due is sent.
    pub(super) fn sent(&mut self) {
        self.next_ns += match self.pacing {
            Pacing::Rate(per_second) => 1e9 / per_second,
            Pacing::Random(per_second) => -self.random.share().ln() * 1e9 / per_second,
            Pacing::InFlight(_) | Pacing::Unanswered(_) => 0.0,
        };
    }

    /// When to look again.
    pub(super) const fn next_ns(&self, now_ns: u64) -> u64 {
        match self.pacing {
            Pacing::Rate(_) | Pacing::Random(_) => self.next_ns as u64,
            // Deliveries and answers wake the loop.
            Pacing::InFlight(_) | Pacing::Unanswered(_) => now_ns + STUCK_NS / 10,
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
}

const STUCK_NS: u64 = 500_000_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn all_due(pacer: &mut Pacer, now_ns: u64) -> Vec<u64> {
        std::iter::from_fn(|| pacer.due(now_ns, 0).inspect(|_| pacer.sent())).collect()
    }

    #[test]
    fn a_rate_asks_for_what_was_missed() {
        let mut pacer = Pacer::new(Pacing::Rate(1_000.0), 0);
        assert_eq!(all_due(&mut pacer, 3_500_000), [0, 1_000_000, 2_000_000, 3_000_000]);
        assert_eq!(pacer.next_ns(3_500_000), 4_000_000);
    }

    #[test]
    fn random_instants_keep_the_rate_and_are_the_same_each_time() {
        let due = all_due(&mut Pacer::new(Pacing::Random(1_000.0), 0), 100_000_000_000);
        assert!((99_000..101_000).contains(&due.len()), "{}", due.len());
        let near = due.windows(2).filter(|pair| pair[1] - pair[0] < 1_000_000).count();
        assert!((62_000..65_000).contains(&near), "1 - 1/e of all gaps are below the mean: {near}");
        assert_eq!(all_due(&mut Pacer::new(Pacing::Random(1_000.0), 0), 100_000_000_000), due);
    }

    #[test]
    fn a_window_is_filled_and_no_more() {
        let pacer = Pacer::new(Pacing::InFlight(64), 0);
        assert_eq!(pacer.due(5, 63), Some(5));
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
