//! What the hub takes, as far as it has said or shown.

use tidewire_protocol::hub_frame::Welcome;

use crate::limits::{HEAD_BYTES, IN_FLIGHT_DEFAULT, PACKET_BYTES};

/// Bounds of what is sent. They outlive a link: until the next welcome, those of the last hold.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Publishes on their way per topic.
    pub in_flight: u64,
    message_bytes: u64,
    frame_bytes: u64,
    /// What a packet may gather; less once something on the way refused a packet that the hub would have taken.
    gathered_bytes: usize,
}

impl Allowance {
    /// Nothing is known.
    pub(crate) const fn new() -> Self {
        Self {
            in_flight: IN_FLIGHT_DEFAULT,
            message_bytes: u64::MAX,
            frame_bytes: u64::MAX,
            gathered_bytes: PACKET_BYTES,
        }
    }

    /// The hub says what it takes.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        let or = |told: u64, default: u64| if told == 0 { default } else { told };
        self.in_flight = or(welcome.in_flight_max, IN_FLIGHT_DEFAULT);
        self.message_bytes = or(welcome.message_bytes_max, u64::MAX);
        self.frame_bytes = or(welcome.frame_bytes_max, u64::MAX);
    }

    /// Bytes that a packet gathers, unless a single frame is larger.
    pub(crate) fn packet_bytes(&self) -> usize {
        self.frame_bytes.min(self.gathered_bytes as u64) as usize
    }

    /// A packet was too large for something on the way: gather less from now on, in the end nothing.
    pub(crate) fn gather_less(&mut self) {
        self.gathered_bytes /= 8;
    }

    /// Bytes of payload that a frame can carry.
    pub(crate) fn carried_bytes(&self) -> u64 {
        self.frame_bytes.saturating_sub(HEAD_BYTES as u64)
    }

    /// Bytes that the payload of a new message may have.
    pub(crate) fn payload_bytes(&self) -> u64 {
        self.message_bytes.min(self.carried_bytes())
    }
}
