//! The Tidewire client as a pure state machine: no clock, no randomness but a seed, no socket, no thread.
//!
//! How a shell drives it, the same in a browser, on tokio and in the simulation:
//!
//! 1. Something happens: call a method of [`client::Client`], or [`client::Client::handle`] with an
//!    [`input::Input`]. Every call takes the time, `now`.
//! 2. Drain [`client::Client::poll_output`] until it gives nothing, and do what each
//!    [`output::Output`] says. Spans of messages count in the bytes of the last `Received`, so drain before
//!    the next input. Several calls of the application may go before one drain: their publishes then share
//!    WebSocket messages.
//! 3. Sleep until the next thing happens or [`client::Client::deadline`] has come; then it is
//!    [`input::Input::Timeout`].
//!
//! The shell keeps the payloads of publishes, by [`output::PublishId`], until their outcome.
//!
//! The modules, in the order a call meets them; each uses only those below it.

#![no_std]

extern crate alloc;
#[cfg(feature = "mutants")]
extern crate std;

pub mod client;

mod connection;

mod subscriptions;

mod tail;

mod listener;

mod cursor;

mod parties;

mod outbox;

mod window;

mod entry;

#[cfg(feature = "sends")]
mod sends;
#[cfg(not(feature = "sends"))]
#[path = "no_sends.rs"]
mod sends;

pub mod outgoing;

mod filling;

mod pace;

mod allowance;

mod outputs;

mod queue;

mod request;

pub mod outcome;

pub mod output;

mod limits;

pub mod fault;

pub mod input;

pub mod options;

mod random;

pub mod mutant;
