//! What handles ask of the task that owns the client.

use std::fmt;
use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, oneshot};

use tidewire_client_core::fault::Fault;
use tidewire_client_core::options::SubscribeOptions;
use tidewire_protocol::position::Start;

use crate::event::Event;
use crate::fences::Flushed;
use crate::history::Page;
use crate::outcome::Outcome;
use crate::outgoing::Outgoing;
use crate::sending::Target;

/// One thing asked for. All come through one channel, so each comes after what it is about.
#[derive(Debug)]
pub(crate) enum Command {
    /// Publish a message, known by a key of the handle's choice. Its room in the outbox has been taken.
    Publish { key: u64, topic: String, message: Outgoing, outcome: oneshot::Sender<Outcome> },
    /// Publish all of these or none. Room for all of them has been taken.
    PublishBatch { messages: Vec<BatchMessage> },
    /// Withdraw a message.
    Cancel { key: u64 },
    /// Send an update that may be lost.
    Send { target: Arc<Target>, message: Outgoing, expires_ms: u64 },
    /// Say when the hub has read the updates before this, and what it refuses of a topic.
    FlushSends { target: Arc<Target>, done: oneshot::Sender<Flushed> },
    /// Begin a subscription, known by a key of the handle's choice.
    Subscribe {
        key: u64,
        name: Arc<str>,
        options: SubscribeOptions,
        events: mpsc::UnboundedSender<Event<()>>,
    },
    /// So many messages and bytes of a subscription have been dealt with.
    Settled { key: u64, messages: u32, bytes: u32 },
    /// Say when a subscription has been given all that there is for it.
    CatchUp { key: u64 },
    /// A subscription is dropped.
    Unsubscribe { key: u64 },
    /// Ask for a page of history.
    History {
        name: Arc<str>,
        from: Start,
        messages_max: u32,
        answer: oneshot::Sender<Result<Page<()>, Fault>>,
    },
    /// Connect at once, if it waits to.
    RetryNow,
    /// Sign in with this token from now on.
    SetToken(Secret),
    /// Say when every publish before this has its outcome.
    Flush { done: oneshot::Sender<()> },
    /// End.
    Close,
}

/// One message of a batch, as [`Command::Publish`] has it.
#[derive(Debug)]
pub(crate) struct BatchMessage {
    pub key: u64,
    pub topic: String,
    pub message: Outgoing,
    pub outcome: oneshot::Sender<Outcome>,
}

/// Something that is never printed.
pub(crate) struct Secret(pub String);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("...")
    }
}

/// Room in the outbox, taken by publishers before they send a command and given back by the task.
#[derive(Debug)]
pub(crate) struct Room {
    /// A permit per message.
    pub messages: Semaphore,
    /// A permit per byte of a message.
    pub bytes: Semaphore,
    /// All permits for bytes.
    pub bytes_max: usize,
}
