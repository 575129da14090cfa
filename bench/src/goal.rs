//! The figures that stand for rows, and what of them is to be reached.

use crate::scenario::Measured;

/// A figure of a measurement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Metric {
    /// CPU time per delivery, per join where joins are measured, per publish or per token where those are.
    Cpu,
    /// 99 % of latencies.
    P99,
    /// 90 % of acknowledgements.
    AckP90,
    /// 99 % of acknowledgements.
    AckP99,
    /// The longest acknowledgement.
    AckMax,
    /// Memory per connection, topic or window.
    Bytes,
    /// Memory that the process took since everybody had subscribed. What it takes until then ranges by megabytes,
    /// by how many handshakes happened to be under way together.
    Growth,
    /// What the kernel holds for one who does not read.
    Kernel,
    /// Joins a second.
    Joins,
    /// Publishes acknowledged a second.
    Publishes,
    /// Bytes read a second.
    Megabytes,
    /// Deliveries a second.
    Deliveries,
    /// Seconds until a server listened that was started over what it has stored.
    Start,
    /// What is taken of the disk when nothing goes on, in multiples of the payloads that are kept.
    DiskAtRest,
    /// The same, at its most.
    DiskAtPeak,
    /// Deliveries owed that never came, and times that the server said so itself.
    Lost,
}

/// What the first contestant of a row is to reach.
#[derive(Debug, Clone, Copy)]
pub struct Goal {
    /// Which figure.
    pub metric: Metric,
    /// How much of it.
    pub bound: Bound,
    /// Whose figure the bound is a multiple of; none if it stands by itself.
    pub of: Option<&'static str>,
}

/// How much.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Bound {
    /// So much or less.
    AtMost(f64),
    /// So much or more.
    AtLeast(f64),
}

impl Metric {
    /// The figure, if the measurement has it.
    #[must_use]
    pub fn of(self, measured: &Measured) -> Option<f64> {
        match self {
            Self::Cpu => measured.cpu_us,
            Self::P99 => measured.latency.map(|latency| latency.p99),
            Self::AckP90 => measured.ack.map(|ack| ack.p90),
            Self::AckP99 => measured.ack.map(|ack| ack.p99),
            Self::AckMax => measured.ack.map(|ack| ack.max),
            Self::Bytes => measured.bytes_each,
            Self::Growth => measured.grown_mib,
            Self::Kernel => measured.kernel_kib_each,
            Self::Joins => measured.joins_per_second,
            Self::Publishes => measured.publishes_per_second,
            Self::Megabytes => measured.megabytes_per_second,
            Self::Deliveries => measured.per_second,
            Self::Start => measured.start_seconds,
            Self::DiskAtRest => measured.disk_at_rest,
            Self::DiskAtPeak => measured.disk_at_peak,
            Self::Lost => Some((measured.lost + measured.gaps) as f64),
        }
    }

    /// What it is, for tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cpu => "CPU us each",
            Self::P99 => "p99 us",
            Self::AckP90 => "ack p90 us",
            Self::AckP99 => "ack p99 us",
            Self::AckMax => "ack max us",
            Self::Bytes => "bytes each",
            Self::Growth => "grown MiB",
            Self::Kernel => "kernel KiB each",
            Self::Joins => "joins/s",
            Self::Publishes => "publishes/s",
            Self::Megabytes => "MB/s",
            Self::Deliveries => "deliveries/s",
            Self::Start => "start s",
            Self::DiskAtRest => "disk at rest",
            Self::DiskAtPeak => "disk at peak",
            Self::Lost => "lost",
        }
    }

    /// A goal: so much or less.
    #[must_use]
    pub const fn at_most(self, figure: f64) -> Goal {
        Goal { metric: self, bound: Bound::AtMost(figure), of: None }
    }

    /// A goal: so much or more.
    #[must_use]
    pub const fn at_least(self, figure: f64) -> Goal {
        Goal { metric: self, bound: Bound::AtLeast(figure), of: None }
    }
}

impl Goal {
    /// The bound is a multiple of this contestant's figure in the same round.
    #[must_use]
    pub const fn times(self, other: &'static str) -> Self {
        Self { of: Some(other), ..self }
    }

    /// The goal in words; `short` writes its figure.
    #[must_use]
    pub fn words(&self, short: impl Fn(f64) -> String) -> String {
        let (sign, figure) = match self.bound {
            Bound::AtMost(figure) => ("<=", figure),
            Bound::AtLeast(figure) => (">=", figure),
        };
        let of = self.of.map(|other| format!(" x {other}")).unwrap_or_default();
        format!("{} {sign} {}{of}", self.metric.name(), short(figure))
    }
}

impl Bound {
    /// Whether a figure is within the bound, or beyond it by no more than what one unchanged program ranges by.
    #[must_use]
    pub fn holds(self, figure: f64) -> bool {
        match self {
            Self::AtMost(most) => figure <= most * TOLERANCE,
            Self::AtLeast(least) => figure * TOLERANCE >= least,
        }
    }
}

/// 5 %: one unchanged program ranges by more from run to run.
const TOLERANCE: f64 = 1.05;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn five_percent_beyond_counts_as_reached() {
        assert!(Bound::AtMost(1.0).holds(1.04) && !Bound::AtMost(1.0).holds(1.06));
        assert!(Bound::AtLeast(0.8).holds(0.77) && !Bound::AtLeast(0.8).holds(0.75));
        assert!(Bound::AtMost(0.0).holds(0.0) && !Bound::AtMost(0.0).holds(1.0));
    }

    #[test]
    fn goals_have_words() {
        let goal = Metric::Joins.at_least(0.8).times("bun");
        assert_eq!(goal.words(|figure| figure.to_string()), "joins/s >= 0.8 x bun");
        assert_eq!(Metric::Lost.at_most(0.0).words(|figure| figure.to_string()), "lost <= 0");
    }
}
