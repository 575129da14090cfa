//! The Tidewire client for front ends written in Rust, such as those made with Leptos, Yew or Dioxus.
//!
//! A shell around [`tidewire_client_core`], the state machine that drives the npm package and native programs too.
//! It runs in pages and in workers, on the sockets and timers of its thread, and wants no executor: futures are
//! polled by whatever the front end has. What the client does when, this module does not know.
//!
//! ```no_run
//! use serde::{Deserialize, Serialize};
//! use tidewire_wasm::rust_app::{Client, Event, SubscribeOptions};
//!
//! #[derive(Serialize, Deserialize)]
//! struct Order {
//!     id: u32,
//! }
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let client = Client::connect("https://hub.example")?;
//! let orders = client.subscribe::<Order>("orders.*", SubscribeOptions::default(), |event| {
//!     if let Event::Message(message) = event {
//!         println!("{} in {}", message.data.id, message.topic());
//!     }
//! })?;
//! let done = client.publish("orders.eu", &Order { id: 4711 }).await?;
//! println!("stored at {}", done.offset);
//! drop(orders);
//! # Ok(())
//! # }
//! ```
//!
//! Handlers run between the calls of the client, never inside one: they may publish, subscribe, and drop
//! subscriptions, their own too.
//!
//! The modules, in the order a call meets them; each uses only those below it.

mod client;

mod subscription;

mod driver;

mod state;

mod handler;

mod event;

mod besides;

mod publishing;

mod link;
mod timer;
mod visibility;

mod global;

pub use client::{Client, ConnectError, SubscribeError};

pub use subscription::{StatusWatch, Subscription};

pub use event::{BadMessage, Event, Message};

pub use besides::Besides;

pub use publishing::{PublishError, Publishing};
pub use tidewire_client_core::outcome::Published;

pub use tidewire_client_core::fault::{ClientCode, Fault};
pub use tidewire_client_core::options::SubscribeOptions;
pub use tidewire_client_core::output::Status;
pub use tidewire_protocol::attributes::BadAttribute;
pub use tidewire_protocol::code::{Code, Content, Durability, GapReason, Outcome, WhenSlow};
pub use tidewire_protocol::number::{Epoch, Offset, Tag};
pub use tidewire_protocol::position::{Gap, Position, Start};
