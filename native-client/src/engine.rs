//! The task that owns the client's state machine, and moves bytes, time and events between it and the world.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::sleep_until;

use tidewire_client_core::client::Client;
use tidewire_client_core::input::{Input, Millis};
use tidewire_client_core::output::{self, Event, ListenerId, Output, Packet, PublishId, Span, Status};

use crate::address::Address;
use crate::command::{Command, Room};
use crate::event::{Message, Outcome, Published, SubEvent};
use crate::link::{Link, LinkEvent};
use crate::sending::Sending;

/// What the task starts with.
#[derive(Debug)]
pub(crate) struct Parts {
    pub core: Client,
    pub address: Address,
    pub commands: mpsc::UnboundedReceiver<Command>,
    pub room: Arc<Room>,
    pub sending: Arc<Sending>,
    pub status: watch::Sender<Status>,
}

struct Engine {
    core: Client,
    address: Address,
    room: Arc<Room>,
    sending: Arc<Sending>,
    status: watch::Sender<Status>,
    started: Instant,
    link: Option<Link>,
    /// The last link, while it says goodbye.
    closing: Option<tokio::task::JoinHandle<()>>,
    waiting: HashMap<PublishId, Waiting>,
    /// Listeners by the keys of their handles.
    listeners: HashMap<u64, ListenerId>,
    readers: HashMap<ListenerId, mpsc::UnboundedSender<SubEvent>>,
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
    payload: Bytes,
    outcome: oneshot::Sender<Outcome>,
}

/// Runs the client until it is closed, or all its handles are gone.
pub(crate) async fn run(parts: Parts) {
    let Parts { core, address, mut commands, room, sending, status } = parts;
    let mut engine = Engine {
        core,
        address,
        room,
        sending,
        status,
        started: Instant::now(),
        link: None,
        closing: None,
        waiting: HashMap::new(),
        listeners: HashMap::new(),
        readers: HashMap::new(),
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
        matches!(*self.status.borrow(), Status::Closed { .. })
    }

    fn command(&mut self, command: Command) {
        let now = self.now();
        match command {
            Command::Publish { topic, content, payload, outcome } => {
                match self.core.publish(now, &topic, content, payload.len() as u32) {
                    Ok(id) => {
                        self.last_id = id;
                        self.waiting.insert(id, Waiting { payload, outcome });
                    }
                    Err(fault) => {
                        self.give_back(payload.len());
                        let _ = outcome.send(Err(fault.into()));
                    }
                }
            }
            Command::Send { target, content, payload, expires_ms } => {
                self.sending.taken(payload.len());
                target.told(self.core.send(now, &target.name, content, &payload, expires_ms));
            }
            Command::Subscribe { key, name, options, events } => {
                match self.core.subscribe(now, &name, options) {
                    Ok(listener) => {
                        self.listeners.insert(key, listener);
                        self.readers.insert(listener, events);
                    }
                    Err(fault) => {
                        let _ = events.send(SubEvent::Ended(fault));
                    }
                }
            }
            Command::Settled { key, messages, bytes } => {
                if let Some(listener) = self.listeners.get(&key) {
                    self.core.settled(now, *listener, messages, bytes);
                }
            }
            Command::Unsubscribe { key } => {
                if let Some(listener) = self.listeners.remove(&key) {
                    self.readers.remove(&listener);
                    self.core.unsubscribe(now, listener);
                }
            }
            Command::Flush { done } => {
                let flush = Flush { upto: self.last_id, left: self.waiting.len(), done };
                self.flushes.push(flush);
                self.flushed();
            }
            Command::Close => self.core.close(now),
        }
    }

    fn link_event(&mut self, event: LinkEvent) {
        let now = self.now();
        let mut received = Bytes::new();
        match event {
            LinkEvent::Opened => self.core.handle(now, Input::LinkOpened),
            LinkEvent::Received(bytes) => {
                received = bytes;
                self.core.handle(now, Input::Received(&received));
            }
            LinkEvent::Closed(code) => {
                self.link = None;
                self.core.handle(now, Input::LinkClosed { code });
            }
        }
        self.drain(&received);
    }

    /// Does all that the core asks for. Messages are parts of `received`.
    fn drain(&mut self, received: &Bytes) {
        while let Some(output) = self.core.poll_output() {
            match output {
                Output::OpenLink => self.link = Some(Link::open(self.address.clone())),
                Output::CloseLink { code } => self.closing = self.link.take().map(|link| link.close(code)),
                Output::Send(packet) => {
                    let message = self.splice(&packet);
                    if let Some(link) = &self.link {
                        link.send(message);
                    }
                }
                // The token is given at the start; it has no successor.
                Output::NeedToken { .. } => self.core.token_failed(self.now(), true),
                Output::Event(event) => self.event(event, received),
            }
        }
        self.sending.set_dropped(self.core.sends_dropped());
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

    fn event(&mut self, event: Event, received: &Bytes) {
        match event {
            Event::Status(status) => {
                self.status.send_replace(status);
            }
            Event::Published(output::Published {
                id,
                epoch,
                offset,
                duplicate,
                maybe_duplicate,
                durability,
            }) => {
                self.settle(id, Ok(Published { epoch, offset, duplicate, maybe_duplicate, durability }));
            }
            Event::Failed { id, fault, .. } => self.settle(id, Err(fault.into())),
            Event::Ready { listener, outcome, positions, gap } => {
                self.tell(listener, SubEvent::Ready { outcome, positions, gap });
            }
            Event::Gap { listener, gap } => self.tell(listener, SubEvent::Gap(gap)),
            Event::Message(message) => {
                self.tell(message.listener, SubEvent::Message(taken(&message, received)))
            }
            Event::Refused { listener, fault } => {
                self.tell(listener, SubEvent::Ended(fault));
                self.readers.remove(&listener);
            }
            // The status says the same.
            Event::Goodbye { .. } => {}
        }
    }

    fn tell(&self, listener: ListenerId, event: SubEvent) {
        if let Some(reader) = self.readers.get(&listener) {
            // A reader that is gone says so by a notice of its own.
            let _ = reader.send(event);
        }
    }

    fn settle(&mut self, id: PublishId, outcome: Outcome) {
        if let Some(waiting) = self.waiting.remove(&id) {
            self.give_back(waiting.payload.len());
            // Nobody has to wait for an outcome.
            let _ = waiting.outcome.send(outcome);
            for flush in self.flushes.iter_mut().filter(|flush| id <= flush.upto) {
                flush.left -= 1;
            }
            self.flushed();
        }
    }

    fn flushed(&mut self) {
        for flush in self.flushes.extract_if(.., |flush| flush.left == 0) {
            let _ = flush.done.send(());
        }
    }

    fn give_back(&self, payload_len: usize) {
        self.room.messages.add_permits(1);
        self.room.bytes.add_permits(payload_len);
    }
}

/// A message as programs get it: parts of what was received, without a copy.
fn taken(message: &output::Message, received: &Bytes) -> Message {
    let part = |span: Span| received.slice_ref(span.of(received));
    Message {
        offset: message.offset,
        epoch: message.epoch,
        published_at_ms: message.published_at_ms,
        content: message.content,
        maybe_duplicate: message.maybe_duplicate,
        tag: message.tag,
        payload: part(message.payload),
        sender: part(message.sender),
        topic: part(message.topic),
    }
}

/// Commands taken at once.
const COMMANDS_MAX: usize = 1_024;
/// A deadline for when there is none, an hour: nothing is due then.
const FAR_MS: Millis = 3_600_000;
