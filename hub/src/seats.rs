//! How many there may be at once, in all and from one address. Whoever is let in holds a seat and gives it back
//! by dropping it. Knows nothing of what the seats are for: handshakes have theirs, connections have theirs.

use std::collections::HashMap;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tidewire_hub_core::ledger::AccountKey;

/// The seats of one kind.
#[derive(Debug)]
pub struct Seats {
    taken: Mutex<Taken>,
}

/// One seat, free again when this is dropped.
#[derive(Debug)]
pub struct Seat {
    seats: Arc<Seats>,
    address: IpAddr,
}

/// Why there is no seat.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoSeat {
    /// All seats are taken.
    #[error("the hub has no room for another connection now")]
    Full,
    /// One address has all the seats that one address may have.
    #[error("there are too many connections from this address")]
    AddressFull,
}

#[derive(Debug, Default)]
struct Taken {
    max: usize,
    per_address_max: usize,
    all: usize,
    by_address: HashMap<IpAddr, usize>,
}

impl Seats {
    /// So many seats in all, and so many for one address.
    pub fn new(max: usize, per_address_max: usize) -> Arc<Self> {
        Arc::new(Self { taken: Mutex::new(Taken { max, per_address_max, ..Taken::default() }) })
    }

    /// From now on there are so many. Who has one keeps it.
    pub fn change(&self, max: usize, per_address_max: usize) {
        let mut taken = self.taken();
        (taken.max, taken.per_address_max) = (max, per_address_max);
    }

    /// Takes a seat for a peer.
    ///
    /// # Errors
    /// [`NoSeat`] says which bound is reached.
    pub fn take(self: &Arc<Self>, peer: IpAddr) -> Result<Seat, NoSeat> {
        self.take_as(peer, false)
    }

    /// Takes a seat for a peer behind whose address many stand: only the bound on all holds.
    ///
    /// # Errors
    /// [`NoSeat::Full`].
    pub fn take_of_many(self: &Arc<Self>, peer: IpAddr) -> Result<Seat, NoSeat> {
        self.take_as(peer, true)
    }

    fn take_as(self: &Arc<Self>, peer: IpAddr, is_many: bool) -> Result<Seat, NoSeat> {
        let address = network(peer);
        let mut taken = self.taken();
        if taken.all >= taken.max {
            return Err(NoSeat::Full);
        }
        let from_there = taken.by_address.get(&address).copied().unwrap_or_default();
        if !is_many && from_there >= taken.per_address_max {
            return Err(NoSeat::AddressFull);
        }
        taken.by_address.insert(address, from_there + 1);
        taken.all += 1;
        Ok(Seat { seats: Arc::clone(self), address })
    }

    /// Whether half of the seats are taken, or half of those that a peer may have; `of_many` stand behind some addresses.
    pub fn is_half_taken(&self, peer: IpAddr, of_many: bool) -> bool {
        let taken = self.taken();
        let from_there = taken.by_address.get(&network(peer)).copied().unwrap_or_default();
        taken.all > taken.max / 2 || !of_many && from_there > taken.per_address_max / 2
    }

    /// Seats taken now.
    pub fn count(&self) -> usize {
        self.taken().all
    }

    /// Nothing can fail half-way under this lock, so a poisoned one is as good as any.
    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whose it is, as the core's ledger names it.
    pub fn account(&self) -> AccountKey {
        account_of(self.address)
    }
}

/// The account of whoever has this address, as the core's ledger names it.
pub fn account_of(address: IpAddr) -> AccountKey {
    AccountKey(match network(address) {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    })
}

/// The address, or the network, that an account stands for.
pub fn address_of(account: AccountKey) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(account.0)).to_canonical()
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.taken();
        taken.all -= 1;
        if let Some(from_there) = taken.by_address.get_mut(&self.address) {
            *from_there -= 1;
            if *from_there == 0 {
                taken.by_address.remove(&self.address);
            }
        }
    }
}

/// Who counts as one address: an IPv4 address, but a whole IPv6 /64, since that is what one customer is given.
pub fn network(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// What stands for an address where there is none, since a connection has come by a socket in the file system. RFC 6666 sets
/// its network apart for what is to be thrown away, so that nobody has it; an account of its own.
pub const THIS_MACHINE: IpAddr = IpAddr::V6(Ipv6Addr::new(0x100, 0, 0, 0, 0, 0, 0, 0));

/// An address as people read it.
pub struct Shown(pub IpAddr);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0 == THIS_MACHINE { f.write_str("a unix socket") } else { self.0.fmt(f) }
    }
}

/// Who counts as one address, as people read it.
pub struct ShownNetwork(pub IpAddr);

impl fmt::Display for ShownNetwork {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bits = if self.0.is_ipv6() && self.0 != THIS_MACHINE { "/64" } else { "" };
        write!(f, "{}{bits}", Shown(self.0))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn seats_run_out_and_come_back() {
        let seats = Seats::new(2, 2);
        let first = seats.take("10.0.0.1".parse().unwrap()).unwrap();
        let _second = seats.take("10.0.0.2".parse().unwrap()).unwrap();
        assert_eq!(seats.take("10.0.0.3".parse().unwrap()).unwrap_err(), NoSeat::Full);
        drop(first);
        assert!(seats.take("10.0.0.3".parse().unwrap()).is_ok());
    }

    #[test]
    fn fewer_seats_unseat_nobody() {
        let seats = Seats::new(9, 9);
        let take = |peer: &str| seats.take(peer.parse().unwrap());
        let (first, _second) = (take("10.0.0.1").unwrap(), take("10.0.0.1").unwrap());
        seats.change(2, 1);
        assert_eq!((take("10.0.0.2").unwrap_err(), seats.count()), (NoSeat::Full, 2));
        drop(first);
        assert_eq!(take("10.0.0.1").unwrap_err(), NoSeat::AddressFull);
        assert!(take("10.0.0.2").is_ok());
        seats.change(9, 2);
        assert!(take("10.0.0.1").is_ok());
    }

    #[test]
    fn an_account_tells_its_address() {
        for (peer, told) in
            [("10.0.0.1", "10.0.0.1"), ("::ffff:10.0.0.1", "10.0.0.1"), ("2001:db8::1:2:3:4", "2001:db8::")]
        {
            assert_eq!(address_of(account_of(peer.parse().unwrap())).to_string(), told);
        }
    }

    #[test]
    fn one_address_cannot_take_them_all() {
        let seats = Seats::new(9, 1);
        let _seat = seats.take("2001:db8::1".parse().unwrap()).unwrap();
        let neighbour = seats.take("2001:db8::ffff:2".parse().unwrap());
        assert_eq!(neighbour.unwrap_err(), NoSeat::AddressFull);
        assert!(seats.take("2001:db8:0:1::1".parse().unwrap()).is_ok());
        let mapped = seats.take("::ffff:10.0.0.1".parse().unwrap()).unwrap();
        assert!(seats.take("10.0.0.1".parse().unwrap()).is_err());
        drop(mapped);
        assert!(seats.take("10.0.0.1".parse().unwrap()).is_ok());
    }
}
