//! A packet that is filled by one outbox after another.

use crate::allowance::Allowance;
use crate::input::Millis;
use crate::output::Packet;
use crate::pace::Pace;

/// What is on its way on a link.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flying {
    /// Publishes.
    pub count: u64,
    /// Bytes of payload, and of what messages have besides, and one for each publish.
    pub bytes: u64,
}

/// A packet in the making.
#[derive(Debug)]
pub(crate) struct Filling<'a> {
    /// What there is of it.
    pub packet: &'a mut Packet,
    /// Its length, with payloads.
    pub size: usize,
    /// What is on its way on this link, with what is in it.
    pub flying: Flying,
    /// The time.
    pub now: Millis,
    /// Whether messages go one by one: some message ends links.
    pub careful: bool,
    /// What the hub takes.
    pub allowance: &'a Allowance,
    /// How fast.
    pub pace: &'a mut Pace,
}
