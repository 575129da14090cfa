//! The bits of `features` in a `welcome` that this crate has frames or fields for.

/// `key` and the conditions `if_version` and `if_absent` of a `publish`.
pub const KEYS: u64 = 1;
/// `headers`.
pub const HEADERS: u64 = 1 << 1;
/// `ttl_ms`.
pub const TTL: u64 = 1 << 3;
/// `durability` of a `publish`.
pub const DURABILITY: u64 = 1 << 4;
/// `batch`.
pub const BATCHES: u64 = 1 << 5;
/// `remove`, and topics that keep the latest message of each key.
pub const MAPS: u64 = 1 << 9;
/// `send`, and `open` with `unacknowledged`.
pub const SEND: u64 = 1 << 11;
/// `sign_in` and `signed_in`.
pub const SIGN_IN: u64 = 1 << 12;
/// `count` of a `publish`: voids in runs.
pub const VOID_RUNS: u64 = 1 << 13;
/// Several owners behind one connection: `as` of a `publish`, an `attach` that moves, a `lowest` taken at its word.
pub const PARTIES: u64 = 1 << 14;
/// A `history` whose page ends below a place.
pub const BEFORE: u64 = 1 << 15;
