//! The Tidewire wire protocol, version 1: names, numbers, frames, and their two encodings.
//!
//! Knows bytes only: no sockets, no clocks, no state. `docs/PROTOCOL.md` is the text that other
//! implementations are written from; this crate is the same thing in Rust.
//!
//! The modules, in the order a frame meets them:
//! `events` (what is told to those who only listen), `json` (the JSON encoding), [`hub_frame`] and [`client_frame`] (what may be said), [`block`] (runs of
//! messages), [`attributes`] (what a message has besides its payload), [`binary`] and [`field`] (how a binary frame holds its fields), [`varint`], [`position`], [`name`],
//! [`code`], [`feature`], [`number`]. Each uses only those after it.

#![no_std]

extern crate alloc;

#[cfg(feature = "json")]
pub mod events;

#[cfg(feature = "json")]
pub mod json;

pub mod hub_frame;

pub mod client_frame;

pub mod block;

pub mod attributes;

pub mod binary;

pub mod field;

pub mod varint;

pub mod position;

pub mod name;

pub mod code;

pub mod feature;

pub mod number;

/// WebSocket subprotocol of the binary encoding.
pub const SUBPROTOCOL_BINARY: &str = "tidewire.v1";
/// WebSocket subprotocol of the JSON encoding.
pub const SUBPROTOCOL_JSON: &str = "tidewire.v1.json";
