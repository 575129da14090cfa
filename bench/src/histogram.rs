//! Latencies in constant memory: 32 steps to each power of two, so that a reading is at most 3 % off.

/// Counts of durations in nanoseconds.
#[derive(Debug, Clone)]
pub struct Histogram {
    counts: Vec<u64>,
    total: u64,
    max: u64,
}

const STEP_BITS: u32 = 5;
const STEPS: usize = 1 << STEP_BITS;

impl Default for Histogram {
    fn default() -> Self {
        Self { counts: vec![0; (64 - STEP_BITS as usize + 1) * STEPS], total: 0, max: 0 }
    }
}

impl Histogram {
    /// Counts one duration.
    #[inline]
    pub fn record(&mut self, ns: u64) {
        self.counts[slot(ns)] += 1;
        self.total += 1;
        self.max = self.max.max(ns);
    }

    /// How many were counted.
    #[must_use]
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// The longest, exactly.
    #[must_use]
    pub const fn max(&self) -> u64 {
        self.max
    }

    /// The duration that `share` (0 to 1) of all do not exceed; 0 if none was counted.
    #[must_use]
    pub fn quantile(&self, share: f64) -> u64 {
        let wanted = (self.total as f64 * share).ceil().max(1.0) as u64;
        let mut seen = 0;
        for (slot, count) in self.counts.iter().enumerate() {
            seen += count;
            if seen >= wanted {
                return upper_end(slot).min(self.max);
            }
        }
        self.max
    }
}

fn slot(ns: u64) -> usize {
    let bits = 64 - ns.leading_zeros();
    if bits <= STEP_BITS {
        return ns as usize;
    }
    let shift = bits - STEP_BITS - 1;
    (shift as usize + 1) * STEPS + ((ns >> shift) as usize - STEPS)
}

/// The largest duration that falls into a slot.
fn upper_end(slot: usize) -> u64 {
    if slot < STEPS {
        return slot as u64;
    }
    let shift = slot / STEPS - 1;
    (((slot % STEPS + STEPS + 1) as u64) << shift).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_at_most_a_step_above_the_truth() {
        let mut histogram = Histogram::default();
        for ns in 1..=100_000u64 {
            histogram.record(ns);
        }
        for (share, truth) in [(0.5, 50_000), (0.9, 90_000), (0.99, 99_000)] {
            let read = histogram.quantile(share);
            assert!(read >= truth && read <= truth + truth / 32, "{share}: {read}");
        }
        assert_eq!(
            (histogram.total(), histogram.max(), histogram.quantile(1.0)),
            (100_000, 100_000, 100_000)
        );
    }

    #[test]
    fn every_duration_has_a_slot() {
        for ns in [0, 1, 31, 32, 33, 63, 64, 1 << 40, u64::MAX] {
            let slot = slot(ns);
            assert!(upper_end(slot) >= ns, "{ns}");
            assert!(slot == 0 || upper_end(slot - 1) < ns, "{ns}");
        }
    }
}
