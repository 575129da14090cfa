//! What the hub tells its operator, on standard error: one line each. What a client has chosen is in none of
//! them unless it cannot be anything but what it looks like, as an address or a well-formed origin.

use std::fmt::Display;
use std::io::Write as _;

/// Tells one thing. A closed standard error is no reason to stop.
pub fn report(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "tidewire: {line}");
}
