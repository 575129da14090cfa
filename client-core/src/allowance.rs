//! What the hub takes, as far as it has said or shown.

use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::Welcome;

use crate::limits::{HEAD_BYTES, IN_FLIGHT_DEFAULT, PACKET_BYTES};

/// Bounds of what is sent. They outlive a link: until the next welcome, those of the last hold.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Publishes on their way per topic.
    pub in_flight: u64,
    /// Bytes that the payload of a new message may have.
    pub payload_bytes: u64,
    /// Bytes of payload, and of what a message has besides, that a frame can carry.
    pub carried_bytes: u64,
    /// Bytes that a packet gathers, unless a single frame is larger. Never more than before: what is on the way may take
    /// less than the hub.
    pub packet_bytes: usize,
    /// Whether one frame may say that a whole run of seqs is void.
    pub void_runs: bool,
    /// What it can do.
    pub features: u64,
}

impl Allowance {
    /// Nothing is known.
    pub(crate) const fn new() -> Self {
        Self {
            in_flight: IN_FLIGHT_DEFAULT,
            payload_bytes: u64::MAX,
            carried_bytes: u64::MAX,
            packet_bytes: PACKET_BYTES,
            void_runs: false,
            features: 0,
        }
    }

    /// The hub says what it takes.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        let or = |told: u64, default: u64| if told == 0 { default } else { told };
        self.void_runs = welcome.features & feature::VOID_RUNS > 0;
        self.features = welcome.features;
        self.in_flight = or(welcome.in_flight_max, IN_FLIGHT_DEFAULT);
        let frame_bytes = or(welcome.frame_bytes_max, u64::MAX);
        self.packet_bytes = self.packet_bytes.min(frame_bytes as usize);
        self.carried_bytes = frame_bytes.saturating_sub(HEAD_BYTES as u64);
        self.payload_bytes = or(welcome.message_bytes_max, u64::MAX).min(self.carried_bytes);
    }

    /// Whether the hub is sure not to take a payload of so many bytes, or a message of so many in all; one that may have been
    /// taken already goes again if only it fits a frame.
    pub(crate) const fn is_too_large(&self, payload: u64, bytes: u64, is_sent: bool) -> bool {
        bytes > self.carried_bytes || !is_sent && payload > self.payload_bytes
    }
}
