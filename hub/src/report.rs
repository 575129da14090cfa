//! What the hub tells its operator, on standard error: one line each. What a client has chosen is in none of
//! them unless it cannot be anything but what it looks like, as an address or a well-formed origin, or is cut and escaped.

use std::fmt::Display;
use std::io::Write as _;

/// Tells one thing, in one write. A closed standard error is no reason to stop.
pub fn report(line: impl Display) {
    let _ = std::io::stderr().lock().write_all(format!("tidewire: {line}\n").as_bytes());
}
