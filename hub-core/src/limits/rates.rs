//! How fast clients may publish: limits that may become others while a hub runs.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::limits::Limits;

/// Publishes a second; 0 stands for no limit.
#[derive(Debug)]
pub struct Rates {
    connection: AtomicU64,
    address: AtomicU64,
}

impl Rates {
    /// Those of some limits.
    #[must_use]
    pub fn of(limits: &Limits) -> Self {
        Self {
            connection: AtomicU64::new(limits.publishes_per_second_max),
            address: AtomicU64::new(limits.publishes_per_second_per_address_max),
        }
    }

    /// From now on those of other limits hold.
    pub fn change(&self, limits: &Limits) {
        self.connection.store(limits.publishes_per_second_max, Ordering::Relaxed);
        self.address.store(limits.publishes_per_second_per_address_max, Ordering::Relaxed);
    }

    /// Limits in which those are what holds now.
    #[must_use]
    pub fn within(&self, limits: &Limits) -> Limits {
        Limits {
            publishes_per_second_max: self.of_connection(),
            publishes_per_second_per_address_max: self.of_address(),
            ..limits.clone()
        }
    }

    /// That of one connection.
    #[must_use]
    pub fn of_connection(&self) -> u64 {
        self.connection.load(Ordering::Relaxed)
    }

    /// That of all connections of one address.
    #[must_use]
    pub fn of_address(&self) -> u64 {
        self.address.load(Ordering::Relaxed)
    }
}
