//! The attacks, each a function that does its worst until it is cut off, and is then called anew.

use std::io;
use std::net::SocketAddr;

use crate::hostile::stranger::Target;

mod callers;
mod credentials;
mod http2;
mod identity;
mod names;
mod nonsense;
mod patterns;
mod publishing;
mod reading;
mod sealed;
mod silence;
mod storms;

/// One attack.
#[derive(Clone, Copy)]
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// What it does, for the table.
    pub(crate) does: &'static str,
    /// What others have put there before it.
    pub(crate) before: fn(SocketAddr),
    /// How many threads do it side by side.
    pub(crate) threads: usize,
    pub(crate) worst: fn(Target) -> io::Result<()>,
}

/// All of them.
pub(crate) fn all() -> Vec<Attack> {
    [
        names::ATTACKS,
        patterns::ATTACKS,
        reading::ATTACKS,
        publishing::ATTACKS,
        identity::ATTACKS,
        silence::ATTACKS,
        storms::ATTACKS,
        nonsense::ATTACKS,
        callers::ATTACKS,
        credentials::ATTACKS,
        sealed::ATTACKS,
        http2::ATTACKS,
    ]
    .concat()
}

impl Attack {
    /// Whether the hub speaks TLS.
    pub(crate) fn is_by_tls(&self) -> bool {
        let mut by_tls = sealed::ATTACKS.iter().chain(http2::ATTACKS);
        by_tls.any(|attack| attack.name == self.name)
    }
}
