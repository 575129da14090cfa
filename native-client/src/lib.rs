//! The Tidewire client for native Rust programs, on tokio.
//!
//! A thin shell around [`tidewire_client_core`], the state machine that drives the npm package too: one task
//! owns it, and [`Client`], [`Publishing`] and [`Subscription`] talk to that task. What the client does when,
//! this crate does not know.
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use tidewire_client::{Client, Content, Options, SubEvent, SubscribeOptions};
//!
//! let client = Client::connect("http://127.0.0.1:7700", Options::default())?;
//! let mut orders = client.subscribe("orders.*", SubscribeOptions::default());
//! let done = client.publish("orders.eu", Content::Json, br#"{"id":4711}"#.to_vec());
//! println!("stored at {}", done.await?.offset);
//! while let Some(event) = orders.next().await {
//!     if let SubEvent::Message(message) = event {
//!         println!("{:?}: {} bytes", message.topic(), message.payload.len());
//!     }
//! }
//! # Ok(())
//! # }
//! ```
//!
//! The modules, in the order a call meets them; each uses only those below it.

mod client;

mod topic;

mod publishing;
mod subscription;

mod engine;

mod command;
mod sending;

mod event;

mod link;

mod address;

mod options;

pub use client::Client;

pub use topic::Topic;

pub use publishing::Publishing;
pub use subscription::Subscription;

pub use event::{Message, PublishError, Published, SubEvent};

pub use address::AddressError;

pub use options::Options;
pub use tidewire_client_core::fault::{ClientCode, Fault};
pub use tidewire_client_core::options::SubscribeOptions;
pub use tidewire_client_core::output::Status;
pub use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
pub use tidewire_protocol::number::{Epoch, Offset, ProducerId, Tag};
pub use tidewire_protocol::position::{Gap, Position, Start};
