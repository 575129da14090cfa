//! Whom the gate refuses, and why: counted by reason, and told to the operator without letting a flood of refusals
//! become a flood of lines.

use std::collections::HashMap;
use std::fmt::{self, Display};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tracing::warn;

use crate::seats::{Shown, ShownNetwork, network};

/// Why a client is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// A PROXY header from whom none is read, or none from whom one is.
    ProxyHeader,
    /// Something else than TLS where that is spoken, or a bad handshake of it.
    Tls,
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
    untold: Mutex<Untold>,
}

#[derive(Debug, Default)]
struct Untold {
    /// Whether this reason was told since the last sum.
    told: bool,
    more: u64,
    /// Of those, whom: the first addresses that came.
    by_address: HashMap<IpAddr, u64>,
}

/// A sum of what was not told one by one.
struct Sum(Untold);

impl Reason {
    /// All there are, in the order of their declaration.
    pub const ALL: [Self; 11] = [
        Self::ProxyHeader,
        Self::Tls,
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
            Self::ProxyHeader => "proxy_header",
            Self::Tls => "tls",
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
    /// Counts a refusal of a client, if it is known which. The first of its reason is told at once, later ones together by
    /// [`Self::tell`].
    pub fn refuse(&self, reason: Reason, client: Option<IpAddr>, why: impl Display) {
        let tally = &self.0[reason as usize];
        tally.count.fetch_add(1, Relaxed);
        let mut untold = tally.untold();
        if untold.told {
            untold.add(client);
            return;
        }
        untold.told = true;
        drop(untold);
        match client {
            Some(client) => {
                warn!(target: "gate", "refused ({}): {}: {why}", reason.name(), Shown(client));
            }
            None => warn!(target: "gate", "refused ({}): {why}", reason.name()),
        }
    }

    /// How many there have been, by reason.
    pub fn counts(&self) -> impl Iterator<Item = (Reason, u64)> {
        Reason::ALL.into_iter().zip(&self.0).map(|(reason, tally)| (reason, tally.count.load(Relaxed)))
    }

    /// Tells what has not been told one by one.
    pub fn tell(&self) {
        for (reason, tally) in Reason::ALL.into_iter().zip(&self.0) {
            let untold = std::mem::take(&mut *tally.untold());
            if untold.more > 0 {
                tally.untold().told = true;
                warn!(target: "gate", "refused ({}): {}", reason.name(), Sum(untold));
            }
        }
    }
}

impl Tally {
    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn untold(&self) -> MutexGuard<'_, Untold> {
        self.untold.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Untold {
    fn add(&mut self, client: Option<IpAddr>) {
        self.more += 1;
        let Some(address) = client.map(network) else { return };
        if self.by_address.len() < ADDRESSES_MAX || self.by_address.contains_key(&address) {
            *self.by_address.entry(address).or_default() += 1;
        }
    }
}

impl Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} more since the last line", self.0.more)?;
        let mut most: Vec<(u64, IpAddr)> =
            self.0.by_address.iter().map(|(address, count)| (*count, *address)).collect();
        most.sort_by_key(|(count, address)| (u64::MAX - count, *address));
        for (at, (count, address)) in most.iter().take(TOLD_MAX).enumerate() {
            let of_them = if at == 0 { ": " } else { ", " };
            write!(f, "{of_them}{count} from {}", ShownNetwork(*address))?;
        }
        Ok(())
    }
}

/// Addresses that are counted one by one between two sums.
const ADDRESSES_MAX: usize = 1_024;
/// Of those, how many are told: the ones with the most refusals.
const TOLD_MAX: usize = 3;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_names_those_who_were_refused_most() {
        let mut untold = Untold::default();
        for (text, count) in
            [("10.0.0.1", 1), ("10.0.0.2", 5), ("2001:db8::1", 2), ("2001:db8::2", 2), ("10.0.0.3", 3)]
        {
            (0..count).for_each(|_| untold.add(text.parse().ok()));
        }
        untold.add(None);
        let told = "14 more since the last line: 5 from 10.0.0.2, 4 from 2001:db8::/64, 3 from 10.0.0.3";
        assert_eq!(Sum(untold).to_string(), told);
    }

    #[test]
    fn there_is_an_end_to_addresses_that_are_counted() {
        let mut untold = Untold::default();
        (0..10_000_u32).for_each(|n| untold.add(Some(IpAddr::V4(n.into()))));
        assert_eq!((untold.more, untold.by_address.len()), (10_000, ADDRESSES_MAX));
    }
}
