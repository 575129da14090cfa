//! The native client over real sockets, against a far end that speaks the protocol by script.
#![allow(clippy::unwrap_used, clippy::panic)]

mod far_end;

mod attributes;
mod connecting;
mod live_map;
mod publishing;
mod sending;
mod subscribing;
