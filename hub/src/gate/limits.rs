//! Every bound before and at the handshake, with its default and the reason for it. What is said afterwards is
//! bounded by the core's limits.

use tidewire_hub_core::limits::agreement::{Agreement, Contradiction};

/// What the gate takes and holds at most. Every field can be set in the configuration under `[limits]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// WebSockets, event streams and connections that use the HTTP API, at once. 100,000 idle WebSockets fit 400 MB; open files
    /// may allow fewer, which is said at start.
    pub connections_max: usize,
    /// Of those, from one address (an IPv6 /64 counts as one). An office behind one address fits; behind a proxy
    /// everybody has the proxy's address unless the proxy is trusted to say whose connection it is.
    pub connections_per_address_max: usize,
    /// Connections in a handshake or before their first request, and those that ask for nothing of the API, at once. Further
    /// ones wait in the kernel's queue: a herd that returns at once is let in at the speed at which hands can be shaken. 16 KB each.
    pub handshakes_max: usize,
    /// Of those, from one address: one that opens connections and says nothing leaves room for others. Trusted
    /// proxies are not bounded by it.
    pub handshakes_per_address_max: usize,
    /// Further connections that are being told that there are too many; beyond these they are closed without a word.
    pub refusals_max: usize,
    /// Milliseconds from one request's end, or the connection's start, to the next complete head. Slow networks
    /// need one, attackers want more.
    pub handshake_ms: u64,
    /// Milliseconds that one HTTP request may take from its head on, its answer included, so that a client that sends its
    /// body or reads its answer too slowly is let go.
    pub http_ms: u64,
    /// Bytes of a request's head. Cookies of a large site fit.
    pub header_bytes_max: usize,
    /// Headers of a request. Browsers behind two proxies send about 40.
    pub headers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 100_000,
            connections_per_address_max: 1_000,
            handshakes_max: 4_096,
            handshakes_per_address_max: 1_024,
            refusals_max: 256,
            handshake_ms: 5_000,
            http_ms: 30_000,
            header_bytes_max: 16 << 10,
            headers_max: 64,
        }
    }
}

impl Limits {
    /// Every pair of limits that cannot hold together.
    #[must_use]
    pub fn check(&self) -> Vec<Contradiction> {
        AGREEMENTS.iter().filter_map(|agreement| agreement.check(self)).collect()
    }
}

const AGREEMENTS: &[Agreement<Limits>] = &[Agreement {
    outer: ("http_ms", |limits| limits.http_ms),
    inner: ("handshake_ms", |limits| limits.handshake_ms),
    factor: 1,
    plus: 0,
    because: "a handshake would be cut off before its own time is over",
}];
