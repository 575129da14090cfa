//! The logs of a hub, by the numbers that rules name.

/// The log of topics in memory. Every hub has it, and it is the first.
pub const MEMORY_LOG: u8 = 0;
/// The log of topics in the data directory, of hubs that have one.
pub const DISK_LOG: u8 = 1;
