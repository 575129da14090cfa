//! What a command tells whoever runs it, on standard error: one line each. A hub that serves has its logs for that.

use std::fmt::Display;
use std::io::Write as _;

/// Tells one thing, in one write. A closed standard error is no reason to stop.
pub fn report(line: impl Display) {
    let _ = std::io::stderr().lock().write_all(format!("tidewire: {line}\n").as_bytes());
}
