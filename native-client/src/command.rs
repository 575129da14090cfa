//! What handles ask of the task that owns the client.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{Semaphore, mpsc, oneshot};

use tidewire_client_core::options::SubscribeOptions;
use tidewire_protocol::code::Content;

use crate::event::{Outcome, SubEvent};
use crate::sending::Target;

/// One thing asked for. All come through one channel, so each comes after what it is about.
#[derive(Debug)]
pub(crate) enum Command {
    /// Publish a message. Its room in the outbox has been taken.
    Publish { topic: String, content: Content, payload: Bytes, outcome: oneshot::Sender<Outcome> },
    /// Send an update that may be lost.
    Send { target: Arc<Target>, content: Content, payload: Bytes, expires_ms: u64 },
    /// Begin a subscription, known by a key of the handle's choice.
    Subscribe { key: u64, name: String, options: SubscribeOptions, events: mpsc::UnboundedSender<SubEvent> },
    /// So many messages and bytes of a subscription have been dealt with.
    Settled { key: u64, messages: u32, bytes: u32 },
    /// A subscription is dropped.
    Unsubscribe { key: u64 },
    /// Say when every publish before this has its outcome.
    Flush { done: oneshot::Sender<()> },
    /// End.
    Close,
}

/// Room in the outbox, taken by publishers before they send a command and given back by the task.
#[derive(Debug)]
pub(crate) struct Room {
    /// A permit per message.
    pub messages: Semaphore,
    /// A permit per byte of payload.
    pub bytes: Semaphore,
    /// All permits for bytes.
    pub bytes_max: usize,
}
