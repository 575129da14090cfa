//! One integration binary: a real hub in a process of its own, real sockets, literal bytes.

#![allow(clippy::unwrap_used, clippy::panic)]

mod layers;

mod command_line;
mod frames;
mod handshakes;
mod subscribers;

mod support;
