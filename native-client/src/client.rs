//! The handle that programs hold.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::sync::{Semaphore, SemaphorePermit, mpsc, oneshot, watch};

use tidewire_client_core::client::Client as Core;
use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::options::{self, OutboxOptions, SubscribeOptions, WhenFull};
use tidewire_protocol::client_frame::Batch;
use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Incarnation, ProducerId};
use tidewire_protocol::position::Start;

use crate::address::{Address, AddressError};
use crate::command::{BatchMessage, Command, Room, Secret};
use crate::engine::{self, Parts};
use crate::event::{Decode, as_bytes, from_json};
use crate::history::{HistoryError, Page};
use crate::options::Options;
use crate::outcome::PublishError;
use crate::outgoing::Outgoing;
use crate::overheard::{NotNow, Overheard};
use crate::payload::Payload;
use crate::publishing::Publishing;
use crate::publishing_batch::PublishingBatch;
use crate::sending::Sending;
use crate::status::{NoConnection, Status};
use crate::subscription::Subscription;
use crate::topic::Topic;

/// A client of one hub. Clones share it; it ends when the last one, the last subscription and the last outcome
/// that somebody waits for are dropped.
#[derive(Debug, Clone)]
pub struct Client {
    commands: mpsc::UnboundedSender<Command>,
    room: Arc<Room>,
    status: watch::Receiver<Status>,
    last_key: Arc<AtomicU64>,
    sending: Arc<Sending>,
    overheard: Arc<Overheard>,
}

impl Client {
    /// Starts a client of the hub at `http://host:port`, or `https` where it speaks TLS. Being offline is no error: it keeps trying.
    ///
    /// # Errors
    /// [`AddressError`] if the URL cannot be connected to at all.
    ///
    /// # Panics
    /// Outside a tokio runtime, or where the system gives no random numbers.
    pub fn connect(url: &str, options: Options) -> Result<Self, AddressError> {
        let address = Address { ca: options.ca.clone(), ..Address::parse(url)? };
        let bytes_max = permits(options.outbox_bytes_max);
        let room = Arc::new(Room {
            messages: Semaphore::new(options.outbox_messages_max as usize),
            bytes: Semaphore::new(bytes_max),
            bytes_max,
        });
        let sending = Arc::new(Sending::default());
        let overheard = Arc::new(Overheard::default());
        let (commands, command_receiver) = mpsc::unbounded_channel();
        let (status_sender, status) = watch::channel(Status::Connecting);
        tokio::spawn(engine::run(Parts {
            core: core(options),
            address,
            commands: command_receiver,
            room: Arc::clone(&room),
            sending: Arc::clone(&sending),
            overheard: Arc::clone(&overheard),
            status: status_sender,
        }));
        Ok(Self { commands, room, status, last_key: Arc::default(), sending, overheard })
    }

    /// Waits for the hub.
    ///
    /// # Errors
    /// [`NoConnection`] once a try has failed, with the reason. The client tries again all the same, unless its
    /// status is [`Status::Closed`].
    pub async fn connected(&self) -> Result<(), NoConnection> {
        let mut status = self.status.clone();
        loop {
            match &*status.borrow_and_update() {
                Status::Online => return Ok(()),
                Status::Connecting => {}
                Status::Offline { why, .. } => return Err(why.clone()),
                Status::Closed { why } => return Err(why.clone().unwrap_or(CLOSED)),
            }
            status.changed().await.map_err(|_| CLOSED)?;
        }
    }

    /// Connects at once if the client waits to try again. A connection that is there is given up unless the hub answers
    /// within four seconds.
    pub fn retry_now(&self) {
        // Without a task nothing waits.
        let _ = self.commands.send(Command::RetryNow);
    }

    /// Publishes data as JSON, behind all that was published before it. It is in the outbox when this returns; the
    /// future says what becomes of it.
    pub fn publish<T: Serialize + ?Sized>(&self, topic: &str, data: &T) -> Publishing {
        match Payload::json(data) {
            Ok(payload) => self.publish_payload(topic, payload),
            Err(error) => Publishing::failed(error.into()),
        }
    }

    /// As [`Self::publish`], with a text or bytes, and whatever else a message has.
    pub fn publish_payload(&self, topic: &str, message: impl Into<Outgoing>) -> Publishing {
        let message = message.into().begun();
        let len = match self.check_message(&message) {
            Ok(len) => len,
            Err(error) => return Publishing::failed(error),
        };
        let Ok(place) = self.room.messages.try_acquire() else {
            return Publishing::failed(self.no_room());
        };
        let Ok(bytes) = self.room.bytes.try_acquire_many(len) else {
            return Publishing::failed(self.no_room());
        };
        // The task gives them back with the outcome.
        place.forget();
        bytes.forget();
        self.enqueue(topic, message)
    }

    /// As [`Self::publish_payload`], but waits for room in the outbox first. Calls get room in their order.
    ///
    /// # Errors
    /// [`PublishError`] if there will never be room.
    pub async fn publish_when_room(
        &self,
        topic: &str,
        message: impl Into<Outgoing>,
    ) -> Result<Publishing, PublishError> {
        let message = message.into().begun();
        let len = self.check_message(&message)?;
        let place = self.room.messages.acquire().await.map_err(|_| PublishError::Closed)?;
        let bytes = self.room.bytes.acquire_many(len).await.map_err(|_| PublishError::Closed)?;
        place.forget();
        bytes.forget();
        Ok(self.enqueue(topic, message))
    }

    /// Publishes messages to one topic or several, at most 1,000, behind all that was published before: the hub stores
    /// all of them, side by side, or none. Topics of different logs of the hub cannot share a batch.
    pub fn publish_batch<T: Into<String>, M: Into<Outgoing>>(
        &self,
        messages: impl IntoIterator<Item = (T, M)>,
    ) -> PublishingBatch {
        let (mut batch, mut publishing, mut bytes) = (Vec::new(), Vec::new(), 0_u64);
        for (topic, message) in messages {
            let message = message.into().begun();
            match self.check_message(&message) {
                Ok(len) => bytes += u64::from(len),
                Err(error) => return PublishingBatch::failed(error),
            }
            let (key, (sender, outcome)) = (self.following(), oneshot::channel());
            batch.push(BatchMessage { key, topic: topic.into(), message, outcome: sender });
            publishing.push(Publishing::pending(key, outcome, self.commands.clone()));
        }
        if batch.len() as u64 > Batch::COUNT_MAX {
            return PublishingBatch::failed(PublishError::Refused(Code::LimitReached));
        }
        let room = |permits: &Semaphore, count: u64| {
            let count = u32::try_from(count).map_err(|_| PublishError::LargerThanOutbox)?;
            permits.try_acquire_many(count).map(SemaphorePermit::forget).map_err(|_| self.no_room())
        };
        let count = batch.len() as u64;
        if let Err(error) = room(&self.room.messages, count) {
            return PublishingBatch::failed(error);
        }
        if let Err(error) = room(&self.room.bytes, bytes) {
            self.room.messages.add_permits(batch.len());
            return PublishingBatch::failed(error);
        }
        // Without a task the senders are dropped here, and the future says `Closed`.
        let _ = self.commands.send(Command::PublishBatch { messages: batch });
        PublishingBatch::pending(publishing)
    }

    /// The size of a message that may be one, and that the outbox may have room for, sooner or later.
    fn check_message(&self, message: &Outgoing) -> Result<u32, PublishError> {
        message.check()?;
        let len = message.outbox_bytes();
        if len > self.room.bytes_max && !self.room.bytes.is_closed() {
            return Err(PublishError::LargerThanOutbox);
        }
        u32::try_from(len).map_err(|_| PublishError::Refused(Code::TooLarge))
    }

    fn no_room(&self) -> PublishError {
        if self.room.messages.is_closed() { PublishError::Closed } else { PublishError::OutboxFull }
    }

    fn enqueue(&self, topic: &str, message: Outgoing) -> Publishing {
        let key = self.following();
        let (sender, outcome) = oneshot::channel();
        // Without a task the sender is dropped here, and the future says `Closed`.
        let _ = self.commands.send(Command::Publish { key, topic: topic.into(), message, outcome: sender });
        Publishing::pending(key, outcome, self.commands.clone())
    }

    /// A topic, to send updates to that may be lost.
    #[must_use]
    pub fn topic(&self, name: &str) -> Topic {
        Topic::new(name, Arc::clone(&self.sending), self.commands.clone())
    }

    /// Updates that came to nothing on this side since the client began, in all topics: there was no link, a stalled
    /// one, or a hub that takes none. What a hub drops, it counts itself.
    #[must_use]
    pub fn sends_dropped(&self) -> u64 {
        self.sending.dropped()
    }

    /// Listens to a topic or pattern whose messages are `T` in JSON, or texts where `T` is one. What cannot be
    /// subscribed to ends with its reason.
    pub fn subscribe<T: DeserializeOwned>(&self, name: &str, options: SubscribeOptions) -> Subscription<T> {
        self.listen(name, options, from_json)
    }

    /// As [`Self::subscribe`], for payloads as they are: messages' data are their bytes.
    pub fn subscribe_payloads(&self, name: &str, options: SubscribeOptions) -> Subscription<Bytes> {
        self.listen(name, options, as_bytes)
    }

    fn listen<T>(&self, name: &str, options: SubscribeOptions, decode: Decode<T>) -> Subscription<T> {
        let key = self.following();
        // Bounded by the subscription's own bound, which the state machine keeps.
        let (events, receiver) = mpsc::unbounded_channel();
        let subscription = Subscription::new(key, &options, receiver, self.commands.clone(), decode);
        let _ = self.commands.send(Command::Subscribe { key, name: name.into(), options, events });
        subscription
    }

    /// Reads a page of what is kept of a topic or pattern, oldest first, with at most so many messages. Waits while
    /// there is no connection; dropping the future stops the waiting.
    ///
    /// # Errors
    /// [`HistoryError`] if the hub refuses, or the client is closed.
    pub async fn history<T: DeserializeOwned>(
        &self,
        name: &str,
        from: Start,
        messages_max: u32,
    ) -> Result<Page<T>, HistoryError> {
        self.page(name, from, messages_max, from_json).await
    }

    /// As [`Self::history`], for payloads as they are.
    ///
    /// # Errors
    /// As [`Self::history`].
    pub async fn history_payloads(
        &self,
        name: &str,
        from: Start,
        messages_max: u32,
    ) -> Result<Page<Bytes>, HistoryError> {
        self.page(name, from, messages_max, as_bytes).await
    }

    async fn page<T>(
        &self,
        name: &str,
        from: Start,
        messages_max: u32,
        decode: Decode<T>,
    ) -> Result<Page<T>, HistoryError> {
        let (answer, page) = oneshot::channel();
        let name = name.into();
        let _ = self.commands.send(Command::History { name, from, messages_max, answer });
        match page.await {
            Ok(Ok(page)) => Ok(page.decoded(decode)),
            Ok(Err(fault)) => Err(HistoryError(fault)),
            Err(_) => Err(HistoryError(Fault::Client(ClientCode::Closed))),
        }
    }

    /// A number that no publish and no subscription had.
    fn following(&self) -> u64 {
        self.last_key.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits until every publish before this has its outcome.
    ///
    /// # Errors
    /// [`PublishError::Closed`] if the client ended first.
    pub async fn flush(&self) -> Result<(), PublishError> {
        let (done, flushed) = oneshot::channel();
        let _ = self.commands.send(Command::Flush { done });
        flushed.await.map_err(|_| PublishError::Closed)
    }

    /// Signs in with another token, of the same subject, from now on: at once where there is a connection and the hub takes
    /// tokens, so that it goes on when the one before ends. A hub that does not take it says so when that ends.
    pub fn set_token(&self, token: impl Into<String>) {
        let _ = self.commands.send(Command::SetToken(Secret(token.into())));
    }

    /// How the client stands to its hub, now and as it changes.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// What the hub refuses for now while there is a connection, and as it changes; none once it takes something again.
    /// What was asked for waits, and is asked for again.
    #[must_use]
    pub fn not_now(&self) -> watch::Receiver<Option<NotNow>> {
        self.overheard.not_now()
    }

    /// When something came from the hub last, be it an answer or a sign of life; none before the first connection.
    #[must_use]
    pub fn heard_at(&self) -> Option<Instant> {
        self.overheard.heard_at()
    }

    /// Whether whoever listens at the hub's address accepts connections and does not answer, so far or any more.
    #[must_use]
    pub fn is_unanswered(&self) -> bool {
        self.overheard.unanswered().load(Ordering::Relaxed)
    }

    /// Bytes of the largest message that the hub takes; none before the first connection.
    #[must_use]
    pub fn message_bytes_max(&self) -> Option<u64> {
        self.overheard.message_bytes_max()
    }

    /// Ends the client. What waits in the outbox fails; [`Self::flush`] first if it should not.
    pub async fn close(&self) {
        let _ = self.commands.send(Command::Close);
        // The task closes the link before it ends.
        let mut status = self.status.clone();
        while status.changed().await.is_ok() {}
    }
}

fn core(options: Options) -> Core {
    let random = random();
    let mut core = Core::new(options::Options {
        producer: ProducerId(random.0),
        incarnation: Incarnation(1),
        agent: options.agent,
        identity: None,
        asks_tokens: false,
        outbox: OutboxOptions {
            count_max: options.outbox_messages_max,
            bytes_max: options.outbox_bytes_max,
            when_full: WhenFull::Reject,
        },
        linger_ms: options.linger_ms,
        seed: random.1,
    });
    if let Some(token) = options.token {
        core.set_token(0, &token);
    }
    core
}

/// A producer identity and a seed for jitter.
fn random() -> ([u8; 16], u64) {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system gives random numbers");
    let seed = getrandom::u64().expect("the system gives random numbers");
    (bytes, seed)
}

/// The reason once the client is closed.
const CLOSED: NoConnection = NoConnection::Lost(Fault::Client(ClientCode::Closed));

/// As many permits as a semaphore can have, if it is to have more.
fn permits(bytes: u64) -> usize {
    usize::try_from(bytes).map_or(Semaphore::MAX_PERMITS, |bytes| bytes.min(Semaphore::MAX_PERMITS))
}
