//! Numbers as they are written on the command line. Those that are none are told with what is allowed.

use tidewire_protocol::number::NUMBER_MAX;

/// A count of something that there has to be.
pub(crate) fn count(text: &str) -> Result<u64, String> {
    within(text, 1, NUMBER_MAX).ok_or_else(|| format!("allowed: a whole number, 1 to {NUMBER_MAX}"))
}

/// A count of something that there may be.
pub(crate) fn count_or_none(text: &str) -> Result<u64, String> {
    within(text, 0, NUMBER_MAX).ok_or_else(|| format!("allowed: a whole number, 0 to {NUMBER_MAX}"))
}

/// Seconds to wait.
pub(crate) fn seconds(text: &str) -> Result<u64, String> {
    within(text, 0, SECONDS_MAX).ok_or_else(|| format!("allowed: whole seconds, 0 to {SECONDS_MAX}"))
}

fn within(text: &str, min: u64, max: u64) -> Option<u64> {
    text.parse().ok().filter(|number| (min..=max).contains(number))
}

/// A year: nobody waits longer.
pub(crate) const SECONDS_MAX: u64 = 365 * 86_400;
