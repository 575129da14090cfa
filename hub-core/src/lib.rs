//! The Tidewire hub as pure state machines: no clock, no thread, no socket, no file.
//!
//! The shell (crate `tidewire`) or the simulation owns one [`shard::Shard`] per thread and one shared
//! [`topics::Topics`]. It feeds a shard what sockets received, and calls [`shard::Shard::turn`] until there is
//! no more to do; the shard writes through a [`shard::wire::Wire`] that it is lent.
//!
//! The modules, in the order a message meets them; each uses only those after it:
//! [`shard`] (the loop: what comes in, walks, what lags), [`calls`] (what is asked without a connection), [`session`] (what one connection may say and is told),
//! [`topics`] (all of a hub's topics, logs and names, shared by its shards), [`reading`] (where a reader starts, and
//! what a pattern's topics hold), [`log`] (one order: sequencer, windows, engine),
//! [`credentials`] (tokens that wait to be checked), [`access`] (who may do what),
//! [`names`] (topics, patterns, producers), [`topic`] (a name, its tail, the tails it feeds), [`dialect`] (how blocks
//! and answers are framed for one connection), [`tail`] (the newest part of a log), [`mark`] (which shards have yet to
//! look at a tail), [`block`] (what a tail is made of), [`letter`] (what threads leave for a shard), [`record`] (a
//! message in its one form), [`websocket`] (frames, read and written), [`chunk`] (pieces of an HTTP body that goes on), [`trie`] (names by token), [`shelf`] (what is
//! kept while there is room), [`ledger`] (whose every byte is), then leaves: [`calendar`] (which time
//! messages are given), [`agents`] (what clients call themselves), [`frames`] (commits as the bytes of a segment), [`pace`], [`metrics`], [`wheel`], [`clock`], [`limits`], [`mutant`], `spare`.

pub mod shard;

pub mod calls;

pub mod session;

pub mod topics;

pub mod reading;

pub mod log;

pub mod credentials;

pub mod access;

pub mod names;

pub mod topic;

pub mod dialect;

pub mod tail;

pub mod mark;

pub mod block;

mod errands;

pub mod letter;

pub mod record;

pub mod websocket;

pub mod chunk;

pub mod trie;

pub mod shelf;

pub mod ledger;

pub mod calendar;

pub mod agents;

pub mod frames;

pub mod pace;

pub mod metrics;

pub mod wheel;

pub mod clock;

pub mod limits;

pub mod mutant;

mod spare;

mod sync;
