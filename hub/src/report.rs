//! What the hub tells its operator, on standard error: one line each, nothing that a client could have chosen.

use std::fmt::Display;
use std::io::Write as _;

/// Tells one thing. A closed standard error is no reason to stop.
pub fn report(line: impl Display) {
    let _ = writeln!(std::io::stderr().lock(), "tidewire: {line}");
}
