//! The Tidewire hub as pure state machines: no clock, no thread, no socket, no file.
//!
//! The shell (crate `tidewire`) or the simulation owns one [`shard::Shard`] per thread and one shared
//! [`topics::Topics`]. It feeds a shard what sockets received, and calls [`shard::Shard::turn`] until there is
//! no more to do; the shard writes through a [`shard::wire::Wire`] that it is lent.
//!
//! The modules, in the order a message meets them; each uses only those after it:
//! [`shard`] (the loop: marks, walks, writes), [`session`] (what one connection may say and is told),
//! [`topics`] (name to topic, the sequencer's order), [`access`] (who may do what), [`window`] (which publishes
//! have been seen), [`engine`] (where messages are stored), [`letter`] (what threads leave for each other),
//! [`dialect`] (how it is framed for one connection), [`tail`] (the newest part of a log), [`block`] (what a tail is
//! made of), then leaves.

pub mod shard;

pub mod session;

pub mod topics;

pub mod access;

pub mod reading;

pub mod names;

pub mod log;

pub mod topic;

pub mod dialect;

pub mod tail;

pub mod mark;

pub mod block;

pub mod letter;
pub mod record;

pub mod websocket;

pub mod trie;

pub mod shelf;

pub mod ledger;

pub mod pace;

pub mod metrics;

pub mod wheel;

pub mod clock;

pub mod limits;

pub mod mutant;

mod sync;
