//! Jitter from a seed.

/// A small generator; good enough to spread clients, and for nothing else.
#[derive(Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// One whose numbers follow from the seed.
    #[must_use]
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number from 0 to `max`. (Sebastiano Vigna's splitmix64.)
    pub(crate) fn up_to(&mut self, max: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % max.saturating_add(1)
    }
}
