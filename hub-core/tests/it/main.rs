//! The hub's core, spoken to as clients would through sockets whose capacity the test sets.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, unreachable_pub)]

mod attributes;
mod away;
mod batches;
mod below;
mod calls;
mod clock;
mod counts;
mod durable;
mod ends;
mod engines;
mod event_stream;
mod events;
mod fairness;
mod importing;
mod latest;
mod letters;
mod logs;
mod looking;
mod memory;
mod neighbours;
mod oddities;
mod pages;
mod parties;
mod pins;
mod publishers;
mod reading;
mod rig;
mod room;
mod rules;
mod shard;
mod tidying;
mod timers;
mod tokens;
mod updates;
mod voids;
