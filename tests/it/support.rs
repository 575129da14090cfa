//! What the tests share: a hub in its own process, and sockets that send literal bytes.

// Two binaries share it, and each uses a part of it.
#![allow(dead_code)]

pub(crate) mod http;
pub(crate) mod http2;
pub(crate) mod hub;
pub(crate) mod kept;
pub(crate) mod keyed;
pub(crate) mod listener;
pub(crate) mod neighbour;
pub(crate) mod page;
pub(crate) mod peer;
pub(crate) mod secured;
pub(crate) mod socket;

pub(crate) mod file;
pub(crate) mod port;

use std::time::{Duration, Instant};

/// How long anything may take. Long, because a test must fail for what it tests and not for a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Waits until `done` says so. For what cannot be waited for otherwise: another process's state.
#[track_caller]
pub(crate) fn eventually(what: &str, mut done: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !done() {
        assert!(Instant::now() < until, "still not so: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}
