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

/// The hub's counters and gauges.
#[derive(Debug, Default)]
pub struct Metrics {
    /// Connections now, signed in or not.
    pub connections: Count,
    /// Connections ever accepted.
    pub accepted: Count,
    /// Connections that the hub ended for a fault of the client.
    pub disconnected: Count,
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
    /// Publishes refused.
    pub refused: Count,
    /// Blocks written whole to a subscriber.
    pub blocks_sent: Count,
    /// Bytes written to sockets.
    pub bytes_sent: Count,
    /// Writes that found a socket full.
    pub blocked: Count,
    /// Gaps told to subscribers.
    pub gaps: Count,
}
