//! What a client holds: the core, and everything that waits for its word. Nothing here calls the application.

use std::collections::{BTreeMap, VecDeque};
use std::mem;
use std::rc::Rc;

use tidewire_client_core::client::Client as Core;
use tidewire_client_core::fault::Fault;
use tidewire_client_core::options::{Options, SubscribeOptions};
use tidewire_client_core::outcome::Unpublished;
use tidewire_client_core::outgoing::Outgoing;
use tidewire_client_core::output::{self, ListenerId, Packet, PublishId, Status};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::Content;
use tidewire_protocol::number::ProducerId;

use crate::rust_app::event::{Event, Message};
use crate::rust_app::global;
use crate::rust_app::handler::Handler;
use crate::rust_app::link::Link;
use crate::rust_app::publishing::{Outcome, Promise};
use crate::rust_app::timer::Timer;

/// One client's state.
#[derive(Debug)]
pub(crate) struct State {
    pub core: Core,
    pub link: Option<Link>,
    pub timer: Option<Timer>,
    pub status: Status,
    /// Whether a drain will come in this turn.
    pub drain_due: bool,
    /// What the application is to be told, in order.
    told: VecDeque<Told>,
    publishes: BTreeMap<PublishId, Waiting>,
    readers: BTreeMap<ListenerId, Reader>,
    watchers: BTreeMap<u64, Handler<Status>>,
    last_watcher: u64,
    /// Messages and bytes that handlers are done with, and the core does not know of.
    settled: BTreeMap<ListenerId, (u32, u32)>,
}

/// One word to the application. Saying it runs the application's code: not while the state is borrowed.
#[derive(Debug)]
pub(crate) enum Told {
    Outcome(Promise, Outcome),
    Status(Status),
    Event(ListenerId, Event<()>),
}

/// A publish without its outcome.
#[derive(Debug)]
struct Waiting {
    payload: Vec<u8>,
    promise: Promise,
}

/// Who hears a listener's events.
#[derive(Debug)]
struct Reader {
    name: Rc<str>,
    handler: Handler<Event<()>>,
}

impl State {
    pub(crate) fn new() -> Self {
        let core = Core::new(Options {
            producer: ProducerId(global::random()),
            agent: AGENT.into(),
            seed: u64::from_le_bytes(global::random()),
            ..Options::default()
        });
        Self {
            core,
            link: None,
            timer: None,
            status: Status::Connecting,
            drain_due: false,
            told: VecDeque::new(),
            publishes: BTreeMap::new(),
            readers: BTreeMap::new(),
            watchers: BTreeMap::new(),
            last_watcher: 0,
            settled: BTreeMap::new(),
        }
    }

    /// Takes a message into the outbox. A refusal is told in turn, behind what was told before.
    pub(crate) fn publish(
        &mut self,
        topic: &str,
        payload: Vec<u8>,
        (attributes, terms): (Attributes<'_>, Terms),
        promise: Promise,
    ) {
        // A payload in the memory of wasm32 is shorter than 4 GB.
        let payload_len = payload.len() as u32;
        let content = Content::Json;
        let message = Outgoing { topic, content, payload_len, attributes, terms };
        match self.core.publish(global::now(), &message) {
            Ok(id) => _ = self.publishes.insert(id, Waiting { payload, promise }),
            Err(fault) => self.told.push_back(Told::Outcome(promise, Err(fault.into()))),
        }
    }

    pub(crate) fn subscribe(
        &mut self,
        name: &str,
        options: SubscribeOptions,
        handler: Handler<Event<()>>,
    ) -> Result<ListenerId, Fault> {
        let listener = self.core.subscribe(global::now(), name, options)?;
        self.readers.insert(listener, Reader { name: name.into(), handler });
        Ok(listener)
    }

    /// Ends a listener; what it leaves is for the caller to drop, outside.
    #[must_use]
    pub(crate) fn unsubscribe(&mut self, listener: ListenerId) -> Option<Handler<Event<()>>> {
        let reader = self.readers.remove(&listener)?;
        self.settled.remove(&listener);
        self.core.unsubscribe(global::now(), listener);
        Some(reader.handler)
    }

    pub(crate) fn watch(&mut self, handler: Handler<Status>) -> u64 {
        self.last_watcher += 1;
        self.watchers.insert(self.last_watcher, handler);
        self.last_watcher
    }

    /// Ends a watch; what it leaves is for the caller to drop, outside.
    #[must_use]
    pub(crate) fn unwatch(&mut self, watcher: u64) -> Option<Handler<Status>> {
        self.watchers.remove(&watcher)
    }

    pub(crate) fn watchers(&self) -> Vec<Handler<Status>> {
        self.watchers.values().cloned().collect()
    }

    /// Who is to hear an event of a listener; one that has ended since hears nothing. The last event takes the
    /// reader with it.
    pub(crate) fn reader_of(
        &mut self,
        listener: ListenerId,
        event: &Event<()>,
    ) -> Option<Handler<Event<()>>> {
        if matches!(event, Event::Ended(_)) {
            self.settled.remove(&listener);
            return self.readers.remove(&listener).map(|reader| reader.handler);
        }
        self.readers.get(&listener).map(|reader| reader.handler.clone())
    }

    /// The next word to the application.
    pub(crate) fn next_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    /// A handler is done with a message of so many bytes.
    pub(crate) fn settled(&mut self, listener: ListenerId, bytes: usize) {
        if self.readers.contains_key(&listener) {
            let (messages, sum) = self.settled.entry(listener).or_default();
            *messages += 1;
            *sum = sum.saturating_add(bytes as u32);
        }
    }

    /// Tells the core what handlers are done with; whether that was something.
    pub(crate) fn settle(&mut self) -> bool {
        let settled = mem::take(&mut self.settled);
        for (listener, (messages, bytes)) in &settled {
            self.core.settled(global::now(), *listener, *messages, *bytes);
        }
        !settled.is_empty()
    }

    /// Notes what the core tells. Messages are parts of `received`.
    pub(crate) fn event(&mut self, event: output::Event, received: &Rc<[u8]>) {
        match event {
            output::Event::Status(status) => {
                self.status = status;
                self.told.push_back(Told::Status(status));
            }
            output::Event::Published(published) => self.done(published.id, Ok(published.into())),
            output::Event::Failed { id, fault, current, .. } => {
                self.done(id, Err(Unpublished::of(fault, current).into()));
            }
            output::Event::Ready { listener, outcome, positions, gap } => {
                self.tell(listener, Event::Ready { outcome, positions, gap });
            }
            output::Event::Gap { listener, gap } => self.tell(listener, Event::Gap(gap)),
            output::Event::Refused { listener, fault } => self.tell(listener, Event::Ended(fault)),
            output::Event::Message(message) => {
                if let Some(reader) = self.readers.get(&message.listener) {
                    let event = Event::Message(Message::new(&message, &reader.name, received));
                    self.tell(message.listener, event);
                }
            }
            // The status says the same, or the outcomes do.
            output::Event::Goodbye { .. } | output::Event::Detached { .. } => {}
            // This face asks for no pages.
            output::Event::Page { .. } | output::Event::CaughtUp { .. } => {}
            // Nor does it show the hub's words, or ping.
            output::Event::Said { .. } | output::Event::Echoed { .. } => {}
            // Nothing sends any.
            output::Event::Settled { .. } | output::Event::Unsendable { .. } => {}
        }
    }

    fn tell(&mut self, listener: ListenerId, event: Event<()>) {
        self.told.push_back(Told::Event(listener, event));
    }

    fn done(&mut self, id: PublishId, outcome: Outcome) {
        if let Some(waiting) = self.publishes.remove(&id) {
            self.told.push_back(Told::Outcome(waiting.promise, outcome));
        }
    }

    /// Puts the payloads into a packet.
    pub(crate) fn splice(&self, packet: &Packet) -> Vec<u8> {
        let mut message = Vec::new();
        let mut rest = &packet.bytes[..];
        let mut taken = 0;
        for splice in &packet.payloads {
            let (head, tail) = rest.split_at((splice.at - taken) as usize);
            message.extend_from_slice(head);
            let waiting = self.publishes.get(&splice.id);
            message.extend_from_slice(waiting.map_or(&[], |waiting| &waiting.payload));
            rest = tail;
            taken = splice.at;
        }
        message.extend_from_slice(rest);
        message
    }
}

const AGENT: &str = concat!("tidewire-rust-wasm/", env!("CARGO_PKG_VERSION"));
