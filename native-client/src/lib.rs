//! The Tidewire client for native Rust programs, on tokio.
//!
//! A thin shell around [`tidewire_client_core`], the state machine that drives the npm package too: one task
//! owns it, and [`Client`], [`Publishing`] and [`Subscription`] talk to that task. What the client does when,
//! this crate does not know.
//!
//! The modules, in the order a call meets them; each uses only those below it.
#![doc = include_str!("../../docs/NATIVE-CLIENT.md")]

mod live_map;

mod client;

mod topic;

mod publishing_batch;

mod publishing;
mod subscription;

mod engine;

mod readers;
mod standing;

mod command;
mod fences;
mod sending;

mod history;

mod outgoing;

mod outcome;

mod event;

mod overheard;

mod payload;

mod link;

mod handshake;

mod tls;

mod status;

mod address;

mod options;

pub use live_map::{Change, LiveMap};

pub use client::Client;

pub use topic::Topic;

pub use publishing_batch::PublishingBatch;

pub use publishing::Publishing;
pub use subscription::Subscription;

pub use history::{HistoryError, Page};

pub use outgoing::Outgoing;

pub use outcome::PublishError;
pub use tidewire_client_core::outcome::Published;

pub use event::{BadMessage, DecodeError, Event, Message};

pub use overheard::NotNow;

pub use payload::{NotJson, Payload};

pub use status::{NoConnection, Status, sentence};

pub use address::AddressError;

pub use options::Options;
pub use tidewire_client_core::fault::{ClientCode, Fault};
pub use tidewire_client_core::options::SubscribeOptions;
pub use tidewire_protocol::attributes::BadAttribute;
pub use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
pub use tidewire_protocol::number::{Epoch, Offset, ProducerId, Tag};
pub use tidewire_protocol::position::{Gap, Position, Start};
