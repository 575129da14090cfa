//! What the hub counts. Leaves of the code add; the shell's `/metrics` reads.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// A number that only grows, or a gauge that also shrinks.
#[derive(Debug, Default)]
pub struct Count(AtomicU64);

impl Count {
    /// Adds to it.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Relaxed);
    }

    /// Takes from it.
    pub fn sub(&self, n: u64) {
        self.0.fetch_sub(n, Relaxed);
    }

    /// Its value now.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

/// Counts by the number of a code or reason.
#[derive(Debug, Default)]
pub struct Counts([Count; NUMBERS]);

impl Counts {
    /// Adds to one of them. Numbers that nobody knows count together as 0.
    pub fn add(&self, number: u64, n: u64) {
        self.0[Self::place(number)].add(n);
    }

    /// The value of one of them.
    #[must_use]
    pub fn of(&self, number: u64) -> u64 {
        self.0[Self::place(number)].value()
    }

    /// All of them together.
    #[must_use]
    pub fn value(&self) -> u64 {
        self.0.iter().map(Count::value).sum()
    }

    fn place(number: u64) -> usize {
        usize::try_from(number).ok().filter(|place| *place < NUMBERS).unwrap_or(0)
    }
}

/// Codes count from 1; there are fewer.
const NUMBERS: usize = 32;

/// The hub's counters and gauges.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections now, signed in or not.
    pub connections: Count,
    /// Connections ever accepted.
    pub accepted: Count,
    /// Connections that the hub ended for a fault of the client or its link, by code.
    pub disconnected: Counts,
    /// Subscriptions now.
    pub subscriptions: Count,
    /// Topics known now.
    pub topics: Count,
    /// Messages appended.
    pub published: Count,
    /// Payload bytes appended.
    pub published_bytes: Count,
    /// Retried publishes that were answered with their first outcome.
    pub duplicates: Count,
    /// Tokens that were not taken, or not any more, by the number of the check that they failed.
    pub bad_tokens: Counts,
    /// Refusals told, by code: of publishes, questions and identities.
    pub refused: Counts,
    /// Updates that may be lost, and were, by the code that tells why.
    pub updates_dropped: Counts,
    /// Blocks written whole to a subscriber.
    pub blocks_sent: Count,
    /// Bytes written to sockets.
    pub bytes_sent: Count,
    /// Writes that found a socket full.
    pub blocked: Count,
    /// Gaps told to readers, by reason.
    pub gaps: Counts,
}
