//! The client through its boundary: frames and time in, frames and events out.
#![allow(clippy::unwrap_used, clippy::panic)]

mod rig;

mod attributes;
mod batches;
mod catching_up;
mod connection;
mod history;
mod history_back;
mod latest;
mod logs;
mod outbox;
mod pace;
mod packets;
#[cfg(feature = "parties")]
mod parties;
#[cfg(feature = "sends")]
mod sends;
mod sharing;
mod subscriptions;
mod tokens;
