//! The hub's core, spoken to as clients would through sockets whose capacity the test sets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod publishers;
mod rig;
mod shard;
