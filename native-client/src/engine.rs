//! The task that owns the client's state machine, and moves bytes, time and events between it and the world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use tidewire_client_core::client::Client;
use tidewire_client_core::fault::Fault;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::options::PartyId;
use tidewire_client_core::outcome::Unpublished;
use tidewire_client_core::output::{Event as Told, ListenerId, Output, Packet, PublishId};
use tidewire_protocol::position::Start;

use crate::address::Address;
use crate::command::{Command, Room, Secret};
use crate::event::Event;
use crate::fences::Fences;
use crate::history::Page;
use crate::link::{Link, LinkEvent};
use crate::outcome::Outcome;
use crate::overheard::Overheard;
use crate::readers::Readers;
use crate::sending::{Sending, Target};
use crate::standing::Standing;
use crate::status::Status;

/// What the task starts with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub core: Client,
    pub address: Address,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub room: Arc<Room>,
    pub sending: Arc<Sending>,
    pub overheard: Arc<Overheard>,
    pub status: watch::Sender<Status>,
}

mod publishing;

struct Engine {
    core: Client,
    address: Address,
    room: Arc<Room>,
    sending: Arc<Sending>,
    overheard: Arc<Overheard>,
    fences: Fences,
    standing: Standing,
    started: Instant,
    link: Option<Link>,
    /// The last link, while it says goodbye.
    closing: Option<tokio::task::JoinHandle<()>>,
    waiting: HashMap<PublishId, Waiting>,
    /// Publishes that wait, by the keys of their handles.
    publishes: HashMap<u64, PublishId>,
    /// Listeners by the keys of their handles.
    listeners: HashMap<u64, ListenerId>,
    readers: Readers,
    /// The newest publish.
    last_id: PublishId,
    flushes: Vec<Flush>,
}

/// Somebody waits for all publishes up to one.
struct Flush {
    upto: PublishId,
    left: usize,
    done: oneshot::Sender<()>,
}

/// A publish without its outcome.
struct Waiting {
    key: u64,
    payload: Bytes,
    /// Bytes that it takes of the outbox.
    room: usize,
    outcome: oneshot::Sender<Outcome>,
}

/// Runs the client until it is closed, or all its handles are gone.
pub(crate) async fn run(parts: Parts) {
    let Parts { core, address, mut commands, room, sending, overheard, status } = parts;
    let mut engine = Engine {
        core,
        address,
        room,
        sending,
        overheard,
        fences: Fences::default(),
        standing: Standing::new(status),
        started: Instant::now(),
        link: None,
        closing: None,
        waiting: HashMap::new(),
        publishes: HashMap::new(),
        listeners: HashMap::new(),
        readers: Readers::default(),
        last_id: PublishId(0),
        flushes: Vec::new(),
    };
    engine.core.connect(engine.now());
    engine.drain(&Bytes::new());
    let mut batch = Vec::new();
    while !engine.is_closed() {
        let deadline = engine.deadline();
        tokio::select! {
            // Commands are taken by the hundred, so that what they publish shares messages.
            count = commands.recv_many(&mut batch, COMMANDS_MAX) => {
                if count == 0 {
                    engine.core.close(engine.now());
                }
                for command in batch.drain(..) {
                    engine.command(command);
                }
            }
            event = next_of(&mut engine.link) => {
                engine.link_event(event);
                continue;
            }
            () = sleep_until(deadline.into()) => engine.core.handle(engine.now(), Input::Timeout),
        }
        engine.drain(&Bytes::new());
    }
    commands.close();
    while let Some(command) = commands.recv().await {
        engine.command(command);
    }
    engine.drain(&Bytes::new());
    engine.room.messages.close();
    engine.room.bytes.close();
    if let Some(closing) = engine.closing.take() {
        let _ = closing.await;
    }
}

async fn next_of(link: &mut Option<Link>) -> LinkEvent {
    match link {
        Some(link) => link.next().await,
        None => std::future::pending().await,
    }
}

impl Engine {
    fn now(&self) -> Millis {
        self.started.elapsed().as_millis() as Millis
    }

    fn deadline(&self) -> Instant {
        let at = self.core.deadline().unwrap_or_else(|| self.now() + FAR_MS);
        self.started + Duration::from_millis(at)
    }

    fn is_closed(&self) -> bool {
        self.standing.is_closed()
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Publish { key, topic, message, outcome } => {
                self.publish(key, &topic, message, outcome);
            }
            Command::PublishBatch { messages } => self.publish_batch(messages),
            Command::Cancel { key } => {
                if let Some(id) = self.publishes.get(&key) {
                    self.core.cancel(now, PartyId::default(), *id);
                }
            }
            Command::Send { target, message, expires_ms } => self.send(&target, &message, expires_ms),
            Command::FlushSends { target, done } => self.fences.add(target, done),
            Command::Subscribe { key, name, options, events } => {
                match self.core.subscribe(now, &name, options) {
                    Ok(listener) => {
                        self.listeners.insert(key, listener);
                        self.readers.add_subscription(listener, name, events);
                    }
                    Err(fault) => {
                        let _ = events.send(Event::Ended(fault));
                    }
                }
            }
            Command::Settled { key, messages, bytes } => {
                if let Some(listener) = self.listeners.get(&key) {
                    self.core.settled(now, *listener, messages, bytes);
                }
            }
            Command::CatchUp { key } => {
                if let Some(listener) = self.listeners.get(&key) {
                    self.core.catch_up(now, *listener);
                }
            }
            Command::Unsubscribe { key } => {
                if let Some(listener) = self.listeners.remove(&key) {
                    self.readers.remove(listener);
                    self.core.unsubscribe(now, listener);
                }
            }
            Command::History { name, from, messages_max, answer } => {
                self.history(name, from, messages_max, answer);
            }
            Command::RetryNow => self.core.connect(now),
            Command::SetToken(Secret(token)) => self.core.set_token(now, &token),
            Command::Flush { done } => {
                let flush = Flush { upto: self.last_id, left: self.waiting.len(), done };
                self.flushes.push(flush);
                self.flushed();
            }
            Command::Close => self.core.close(now),
        }
    }

    fn history(
        &mut self,
        name: Arc<str>,
        from: Start,
        messages_max: u32,
        answer: oneshot::Sender<Result<Page<()>, Fault>>,
    ) {
        let now = self.now();
        // Whoever asked may have stopped waiting; such questions are not asked again.
        for question in self.readers.take_left_pages() {
            self.core.unsubscribe(now, question);
        }
        match self.core.history(now, &name, from, messages_max) {
            Ok(question) => self.readers.add_page(question, name, answer),
            Err(fault) => {
                let _ = answer.send(Err(fault));
            }
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        let now = self.now();
        let mut received = Bytes::new();
        match event {
            LinkEvent::Opened => self.core.handle(now, Input::LinkOpened),
            LinkEvent::Received(bytes) => {
                received = bytes;
                self.overheard.listen(&received);
                self.standing.listens();
                self.core.handle(now, Input::Received(&received));
            }
            LinkEvent::Closed(end) => {
                self.link = None;
                self.fences.reset();
                self.overheard.goes_on();
                self.standing.lost(end.why);
                self.core.handle(now, Input::LinkClosed { code: end.code });
            }
        }
        self.drain(&received);
    }

    /// Does all that the core asks for. Messages are parts of `received`.
    fn drain(&mut self, received: &Bytes) {
        self.drain_core(received);
        // Behind all that was sent.
        if self.fences.is_unasked()
            && let Some(request) = self.core.ping(self.now())
        {
            self.fences.asked(request);
            self.drain_core(received);
        }
        self.sending.set_dropped(self.core.sends_dropped());
    }

    fn drain_core(&mut self, received: &Bytes) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::OpenLink => {
                    let unanswered = Arc::clone(self.overheard.unanswered());
                    self.link = Some(Link::open(self.address.clone(), unanswered));
                }
                Output::CloseLink { code } => {
                    self.fences.reset();
                    self.overheard.goes_on();
                    self.closing = self.link.take().map(|link| link.close(code));
                }
                Output::Send(packet) => {
                    let message = self.splice(&packet);
                    if let Some(link) = &self.link {
                        link.send(message);
                    }
                }
                // Tokens are given unasked.
                Output::NeedToken { .. } => self.core.token_failed(self.now(), true),
                Output::Event(event) => self.event(event, received),
            }
        }
    }

    /// Puts the payloads into a packet.
    fn splice(&self, packet: &Packet) -> Bytes {
        let payload = |id: &PublishId| self.waiting.get(id).map_or(&[][..], |waiting| &waiting.payload);
        let payloads_len: usize = packet.payloads.iter().map(|splice| payload(&splice.id).len()).sum();
        let mut message = BytesMut::with_capacity(packet.bytes.len() + payloads_len);
        let mut rest = &packet.bytes[..];
        let mut taken = 0;
        for splice in &packet.payloads {
            let (head, tail) = rest.split_at((splice.at - taken) as usize);
            message.extend_from_slice(head);
            message.extend_from_slice(payload(&splice.id));
            rest = tail;
            taken = splice.at;
        }
        message.extend_from_slice(rest);
        message.freeze()
    }

    fn event(&mut self, event: Told, received: &Bytes) {
        match event {
            Told::Status(status) => self.standing.tell(status),
            Told::Published(published) => self.settle(published.id, Ok(published.into())),
            Told::Failed { id, fault, current, .. } => {
                self.settle(id, Err(Unpublished::of(fault, current).into()));
            }
            Told::Ready { listener, outcome, positions, gap } => {
                self.readers.tell(listener, Event::Ready { outcome, positions, gap });
            }
            Told::Gap { listener, gap } => self.readers.tell(listener, Event::Gap(gap)),
            Told::Message(message) => self.readers.give(&message, received),
            Told::Page { listener, positions, previous, gap, more } => {
                self.readers.finish_page(listener, (positions, previous), gap, more);
            }
            Told::Refused { listener, fault } => self.readers.end(listener, fault),
            Told::CaughtUp { listener } => self.readers.tell(listener, Event::CaughtUp),
            // The status says so, or the outcomes do.
            Told::Detached { .. } => {}
            // Those who flush hear of it.
            Told::Settled { .. } | Told::Unsendable { .. } => {}
            Told::Said { code, text } => self.standing.said(code, text.of(received)),
            Told::Echoed { request } => {
                let now = self.now();
                let refusal = |target: &Target| {
                    self.core.send_refusal(now, &target.name).map(Into::into).or(target.refusal())
                };
                self.fences.passed(request, refusal);
            }
            Told::Goodbye { code, reconnect_after_ms } => self.standing.goodbye(code, reconnect_after_ms),
        }
    }
}

/// Commands taken at once.
const COMMANDS_MAX: usize = 1_024;
/// A deadline for when there is none, an hour: nothing is due then.
const FAR_MS: Millis = 3_600_000;
