//! Whom the gate refuses, and why: counted by reason, and told to the operator without letting a flood of refusals
//! become a flood of lines.

use std::fmt::Display;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use crate::report::report;

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A page that may not connect.
    Origin,
    /// A program, where only pages may.
    NoOrigin,
    /// A request that is no handshake, or a bad one.
    Handshake,
    /// A handshake at a path where nobody answers it.
    Path,
    /// The hub has no room for another connection.
    Full,
    /// The client's address has as many connections as one may have.
    AddressFull,
    /// The peer's address has as many connections in a handshake as one may have.
    AddressHandshakes,
    /// The system has no more files for the hub.
    OpenFiles,
    /// The hub stops.
    Draining,
}

/// Counts by reason, and what has been told of them.
#[derive(Debug, Default)]
pub struct Refusals([Tally; Reason::ALL.len()]);

#[derive(Debug, Default)]
struct Tally {
    count: AtomicU64,
    /// Whether this reason was told within the last interval.
    told: AtomicBool,
    untold: AtomicU64,
}

impl Reason {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 9] = [
        Self::Origin,
        Self::NoOrigin,
        Self::Handshake,
        Self::Path,
        Self::Full,
        Self::AddressFull,
        Self::AddressHandshakes,
        Self::OpenFiles,
        Self::Draining,
    ];

    /// The name that metrics and lines have in common.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::NoOrigin => "no_origin",
            Self::Handshake => "handshake",
            Self::Path => "path",
            Self::Full => "full",
            Self::AddressFull => "address_full",
            Self::AddressHandshakes => "address_handshakes",
            Self::OpenFiles => "open_files",
            Self::Draining => "draining",
        }
    }
}

impl Refusals {
    /// Counts a refusal. The first of its reason is told at once, later ones together by [`Self::keep_telling`].
    pub fn refuse(&self, reason: Reason, detail: impl Display) {
        let tally = &self.0[reason as usize];
        tally.count.fetch_add(1, Relaxed);
        if tally.told.swap(true, Relaxed) {
            tally.untold.fetch_add(1, Relaxed);
        } else {
            report(format_args!("refused ({}): {detail}", reason.name()));
        }
    }

    /// How many there have been, by reason.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(&self.0).map(|(reason, tally)| (reason, tally.count.load(Relaxed)))
    }

    /// Tells what has not been told one by one, for ever.
    pub async fn keep_telling(self: Arc<Self>) {
        let mut interval = tokio::time::interval(INTERVAL);
        loop {
            interval.tick().await;
            self.tell();
        }
    }

    /// Tells what has not been told one by one.
    pub fn tell(&self) {
        for (reason, tally) in Reason::ALL.into_iter().zip(&self.0) {
            match tally.untold.swap(0, Relaxed) {
                0 => tally.told.store(false, Relaxed),
                more => report(format_args!("refused ({}): {more} more since the last line", reason.name())),
            }
        }
    }
}

/// Between two lines about one reason.
const INTERVAL: Duration = Duration::from_secs(10);
