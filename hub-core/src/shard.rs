//! The loop of one thread: connections, their cursors, and what is written to whom next.
//!
//! A shard owns its connections wholly. It is fed with bytes received and writes through a [`Wire`]; time and
//! readiness come from outside. [`Shard::turn`] does one bounded piece of work, so that the simulation can
//! interleave shards anywhere, and a shell can read acks between two slices of a long walk.
//!
//! How a message passes: [`Shard::received`] -> session -> batch -> `Topics::publish` -> tail marked -> mail ->
//! [`walk::Walk`] over live cursors, or [`serving`] for a connection that lags.

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::client_frame::ClientFrame;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Heartbeat, HubFrame, Subscribed, Unsubscribed};
use tidewire_protocol::json;
use tidewire_protocol::name::Selector;
use tidewire_protocol::number::{Handle, Offset, Participant, Request, TailNumber};

use crate::clock::Millis;
use crate::inbox::{Inbox, Origin, Outcome};
use crate::mutant::{self, Mutant};
use crate::session::batch::Batch;
use crate::session::replies::{Encoding, Replies};
use crate::session::{Demand, Desk, failed};
use crate::shard::audience::Entry;
use crate::shard::audiences::Audiences;
use crate::shard::connection::{Connection, Half, HalfSource, Subscription};
use crate::shard::ending::Ending;
use crate::shard::serving::{Served, serve};
use crate::shard::walk::{StopReason, Stopped};
use crate::shard::wire::{ConnectionId, Wire};
use crate::topics::Topics;
use crate::websocket::event::Event;
use crate::websocket::reader::Limits as ReadLimits;
use crate::websocket::writer::{write_close, write_pong};
use crate::wheel::Wheel;

pub mod serving;

pub mod audiences;
pub mod walk;

pub mod audience;
pub mod connection;
pub mod ending;
pub mod wire;

/// One thread's part of the hub.
#[derive(Debug)]
pub struct Shard {
    index: usize,
    topics: Arc<Topics>,
    inbox: Arc<Inbox>,
    connections: Slab<Connection>,
    audiences: Audiences,
    /// Connections with something to write that nobody holds up.
    ready: VecDeque<ConnectionId>,
    /// Whether the walk or a ready connection is next.
    walk_next: bool,
    batch: Batch,
    wheel: Wheel,
    due: Vec<(u32, u32)>,
    swept: Millis,
    next_generation: u32,
    read_limits: ReadLimits,
}

impl Shard {
    /// A shard without connections. `index` is its place among `topics`' inboxes.
    #[must_use]
    pub fn new(now: Millis, index: usize, topics: Arc<Topics>, inbox: Arc<Inbox>) -> Self {
        let limits = topics.limits();
        let read_limits = ReadLimits {
            message_bytes_max: limits.frame_bytes_max,
            frame_bytes_max: limits.frame_bytes_max,
            frames_per_message_max: limits.fragments_max,
        };
        let audiences = Audiences::new(index, topics.metrics());
        Self {
            index,
            inbox,
            connections: Slab::new(),
            audiences,
            ready: VecDeque::new(),
            walk_next: false,
            batch: Batch::default(),
            wheel: Wheel::new(now, WHEEL_SLOT_MS),
            due: Vec::new(),
            swept: now,
            next_generation: 0,
            read_limits,
            topics,
        }
    }

    /// Takes over a connection whose handshake is done.
    pub fn accept(&mut self, now: Millis, encoding: Encoding) -> ConnectionId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let connection = Connection::new(now, self.next_generation, encoding);
        let slot = self.connections.insert(connection) as u32;
        let sign_in_by = now.plus(self.topics.limits().sign_in_ms);
        self.wheel.insert((slot, self.next_generation), sign_in_by);
        self.topics.metrics().connections.add(1);
        self.topics.metrics().accepted.add(1);
        ConnectionId(slot)
    }

    /// Takes bytes that a socket received.
    pub fn received(&mut self, now: Millis, id: ConnectionId, bytes: &mut [u8], wire: &mut impl Wire) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.closing.is_some() {
            return;
        }
        if connection.session.signed_in() {
            // Until then the clock runs from the handshake: bytes in dribbles buy no time.
            connection.heard = now;
        }
        let mut replies = Replies::new(connection.encoding);
        let mut input = bytes;
        loop {
            let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
            let done = match connection.reader.next(&mut input, &self.read_limits) {
                Ok(None) => break,
                Ok(Some(event)) => self.event(now, id, event, &mut replies),
                Err(error) => Err(Ending::Socket(error.close_code(), "the frame breaks RFC 6455 or a limit")),
            };
            if let Err(ending) = done {
                self.batch.publish(now, &self.topics);
                self.say(id, replies);
                self.close(now, id, ending);
                self.flush(now, id, wire);
                return;
            }
        }
        self.batch.publish(now, &self.topics);
        self.say(id, replies);
        self.flush(now, id, wire);
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            connection.writable = true;
            self.make_ready(id);
        }
    }

    /// The socket is closed or has failed.
    pub fn gone(&mut self, now: Millis, id: ConnectionId) {
        let Some(mut connection) = self.connections.try_remove(id.0 as usize) else { return };
        connection.session.end(now, &self.topics);
        self.topics.metrics().subscriptions.sub(connection.subscriptions.len() as u64);
        for subscription in std::mem::take(&mut connection.subscriptions) {
            self.audiences.leave(&subscription, &mut self.connections);
        }
        self.topics.metrics().connections.sub(1);
    }

    /// Does one bounded piece of work; `true` if there is more to do at once.
    pub fn turn(&mut self, now: Millis, wire: &mut impl Wire) -> bool {
        if now >= self.wheel.deadline() {
            self.keep_time(now, wire);
        } else if self.inbox.has_mail() {
            self.take_mail(now);
        } else if self.walk_next && self.audiences.has_work() {
            self.walk_next = false;
            self.walk_on(wire);
        } else if let Some(id) = self.ready.pop_front() {
            self.walk_next = true;
            if let Some(connection) = self.connections.get_mut(id.0 as usize) {
                connection.ready = false;
                self.flush(now, id, wire);
            }
        } else if self.audiences.has_work() {
            self.walk_on(wire);
        }
        !self.ready.is_empty() || self.audiences.has_work() || self.inbox.has_mail()
    }

    /// When [`Self::turn`] must be called at the latest.
    #[must_use]
    pub fn deadline(&self) -> Millis {
        self.wheel.deadline()
    }

    /// Connections now.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections.len()
    }

    /// Tells every client to come back later, spread evenly over `spread_ms`, and closes.
    pub fn drain(&mut self, now: Millis, spread_ms: u64) {
        let ids: Vec<_> = self.connections.iter().map(|(slot, _)| ConnectionId(slot as u32)).collect();
        let count = ids.len().max(1) as u64;
        for (place, id) in (0..).zip(ids) {
            let reconnect_after_ms = 1 + spread_ms * place / count;
            self.close(now, id, Ending::Drain { reconnect_after_ms });
        }
    }

    /// Handles one WebSocket message or control frame.
    fn event(
        &mut self,
        now: Millis,
        id: ConnectionId,
        event: Event<'_>,
        replies: &mut Replies,
    ) -> Result<(), Ending> {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        let bad = Ending::Code(Code::BadFrame);
        match (event, connection.encoding) {
            (Event::Binary(message), Encoding::Binary) => {
                let mut rest = &*message;
                while !rest.is_empty() {
                    if let Some(frame) = ClientFrame::take(&mut rest).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
            }
            (Event::Text(message), Encoding::Json) => {
                for object in json::frames(&message).map_err(|_| bad)? {
                    if let Some(frame) = json::take_client(object).map_err(|_| bad)? {
                        self.frame(now, id, frame, replies)?;
                    }
                }
            }
            (Event::Binary(_), Encoding::Json) | (Event::Text(_), Encoding::Binary) => return Err(bad),
            (Event::Ping(payload), _) => {
                write_pong(&mut connection.outbox, &payload);
                self.check_outbox(id)?;
            }
            (Event::Pong, _) => {}
            (Event::Close(words), _) => return Err(Ending::Answer(words.map(|(code, _)| code))),
        }
        Ok(())
    }

    /// Handles one frame of the protocol.
    fn frame(
        &mut self,
        now: Millis,
        id: ConnectionId,
        frame: ClientFrame<'_>,
        replies: &mut Replies,
    ) -> Result<(), Ending> {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        if !matches!(frame, ClientFrame::Publish(_)) {
            // What a client said first happens first.
            self.batch.publish(now, &self.topics);
        }
        let mut desk = Desk {
            topics: &self.topics,
            replies,
            batch: &mut self.batch,
            origin: Origin {
                shard: self.index as u32,
                connection: id.0,
                generation: connection.generation,
                handle: Handle(0),
                participant: Participant(0),
            },
            subscriptions: connection.subscriptions.len(),
            patterns: connection.patterns,
        };
        match connection.session.handle(now, frame, &mut desk).map_err(Ending::Code)? {
            Demand::Nothing => {}
            Demand::Subscribe { request, selector, start, when_slow } => {
                let joined = self.topics.join(now, self.index, &selector, &start);
                let joined = match joined {
                    Ok(joined) => joined,
                    Err(code) => {
                        replies.put(&failed(request, code));
                        return Ok(());
                    }
                };
                let tail = joined.tail.number;
                if connection.subscription(tail).is_some() {
                    joined.tail.marks.of(self.index).leave();
                    replies.put(&failed(request, Code::LimitReached));
                    return Ok(());
                }
                let cursor = joined.stand.cursor;
                let entry = Entry { cursor, connection: id, encoding: connection.encoding, parked: true };
                let (audience, place) = self.audiences.join(&joined.tail, entry);
                let told_gone = joined.stand.gap.map_or(Offset(0), |gap| gap.to);
                let pattern = matches!(selector, Selector::Pattern(_));
                connection.subscribe(Subscription {
                    tail,
                    audience,
                    entry: place,
                    when_slow,
                    pattern,
                    told_gone,
                });
                self.topics.metrics().subscriptions.add(1);
                replies.put(&HubFrame::Subscribed(Subscribed {
                    request,
                    tail,
                    outcome: joined.stand.outcome,
                    positions: vec![self.topics.position(cursor)],
                    gap: joined.stand.gap,
                }));
            }
            Demand::Unsubscribe { request, tail } => self.unsubscribe(id, request, tail, replies),
        }
        Ok(())
    }

    fn unsubscribe(&mut self, id: ConnectionId, request: Request, tail: TailNumber, replies: &mut Replies) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let Some(subscription) = connection.unsubscribe(tail) else {
            replies.put(&failed(request, Code::UnknownNumber));
            return;
        };
        self.audiences.leave(&subscription, &mut self.connections);
        self.topics.metrics().subscriptions.sub(1);
        replies.put(&HubFrame::Unsubscribed(Unsubscribed { request, tail, ..Unsubscribed::default() }));
    }

    /// Looks at what other threads left: outcomes are told, tails with news wait for their walk.
    fn take_mail(&mut self, now: Millis) {
        let mail = self.inbox.take();
        for outcomes in mail.outcomes.chunk_by(same_connection) {
            let Some(first) = outcomes.first() else { continue };
            let id = ConnectionId(first.origin.connection);
            let Some(connection) = self.connections.get_mut(id.0 as usize) else { continue };
            if connection.generation != first.origin.generation || connection.closing.is_some() {
                continue;
            }
            let mut replies = Replies::new(connection.encoding);
            connection.session.tell(now, outcomes, &self.topics, &mut replies);
            self.say(id, replies);
            if let Err(ending) = self.check_outbox(id) {
                self.close(now, id, ending);
            }
        }
        for tail in mail.dirty {
            if !mutant::active(Mutant::MarkClearedAfterLook) {
                tail.marks.of(self.index).take();
            }
            self.audiences.look_at(&tail);
        }
    }

    /// One slice of a walk.
    fn walk_on(&mut self, wire: &mut impl Wire) {
        let limits = self.topics.limits();
        let Some(Stopped { connection: id, reason }) =
            self.audiences.walk_on(limits.slice_sends, limits.write_bytes, wire)
        else {
            return;
        };
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        match reason {
            StopReason::Behind => {
                if let Some(tail) = self.audiences.park_last(connection) {
                    connection.lagging.push_back(tail);
                    self.make_ready(id);
                }
            }
            StopReason::Full(half) => {
                if let Some((block, at)) = half
                    && let Some(tail) = self.audiences.walked_tail()
                {
                    connection.half = Some(Half { source: HalfSource::Block(block, tail), at });
                }
                self.audiences.park_all(connection);
            }
            // The shell finds the socket dead and says so.
            StopReason::Gone => connection.writable = false,
        }
    }

    /// If half-written blocks pin too much, the largest holder has to resume.
    fn unpin(&mut self, now: Millis) {
        let pinned: usize = self.connections.iter().map(|(_, connection)| connection.pinned_bytes()).sum();
        if pinned <= self.topics.limits().pinned_bytes_max {
            return;
        }
        let largest = self.connections.iter().max_by_key(|(_, connection)| connection.pinned_bytes());
        if let Some((slot, _)) = largest {
            self.close(now, ConnectionId(slot as u32), Ending::Code(Code::Resume));
        }
    }

    /// Heartbeats, deadlines, and the ageing of topics.
    fn keep_time(&mut self, now: Millis, wire: &mut impl Wire) {
        let mut due = std::mem::take(&mut self.due);
        self.wheel.turn(now, &mut due);
        for (slot, generation) in due.drain(..) {
            let connection = self.connections.get(slot as usize);
            if connection.is_some_and(|connection| connection.generation == generation) {
                self.timer(now, ConnectionId(slot), wire);
            }
        }
        self.due = due;
        self.unpin(now);
        if now.since(self.swept) >= SWEEP_MS {
            self.swept = now;
            let parts = self.topics.shards() as u64;
            self.topics.sweep(now, self.index as u64, parts);
        }
    }

    fn timer(&mut self, now: Millis, id: ConnectionId, wire: &mut impl Wire) {
        let limits = Arc::clone(self.topics.limits());
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let silent_at = connection.heard.plus(2 * limits.heartbeat_ms);
        let sign_in_by = connection.heard.plus(limits.sign_in_ms);
        let key = (id.0, connection.generation);
        match connection.closing {
            Some(at) if now >= at => {
                self.gone(now, id);
                wire.close(id);
                return;
            }
            Some(at) => self.wheel.insert(key, at),
            None if !connection.session.signed_in() && now >= sign_in_by => {
                self.close(now, id, Ending::Code(Code::SignInTimeout));
            }
            None if !connection.session.signed_in() => self.wheel.insert(key, sign_in_by),
            None if now >= silent_at => self.close(now, id, Ending::Code(Code::Silent)),
            None => {
                if connection.writable {
                    let mut replies = Replies::new(connection.encoding);
                    replies.put(&HubFrame::Heartbeat(Heartbeat::default()));
                    self.say(id, replies);
                }
                self.wheel.insert(key, now.plus(limits.heartbeat_ms));
            }
        }
        self.make_ready(id);
    }

    /// Says the last words and stops listening; the connection is closed when they are written.
    fn close(&mut self, now: Millis, id: ConnectionId, ending: Ending) {
        let close_ms = self.topics.limits().close_ms;
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.closing.is_some() {
            return;
        }
        let (close_code, reason) = ending.last_words();
        if let Some(goodbye) = ending.goodbye() {
            self.topics.metrics().disconnected.add(1);
            let mut replies = Replies::new(connection.encoding);
            replies.put(&goodbye);
            replies.seal(&mut connection.outbox);
        }
        write_close(&mut connection.outbox, close_code.map(|code| (code, reason)));
        connection.closing = Some(now.plus(close_ms));
        let key = (id.0, connection.generation);
        connection.lagging.clear();
        connection.session.end(now, &self.topics);
        let subscriptions = std::mem::take(&mut connection.subscriptions);
        self.topics.metrics().subscriptions.sub(subscriptions.len() as u64);
        for subscription in subscriptions {
            self.audiences.leave(&subscription, &mut self.connections);
        }
        self.wheel.insert(key, now.plus(close_ms));
        self.make_ready(id);
    }

    /// Serves a connection once, and keeps it on the ready list if there is more.
    fn flush(&mut self, now: Millis, id: ConnectionId, wire: &mut impl Wire) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        match serve(now, id, connection, &mut self.audiences, &self.topics, wire) {
            Served::More => self.make_ready(id),
            Served::Idle | Served::Full => {}
            Served::Finished => {
                self.gone(now, id);
                wire.close(id);
            }
            Served::Fault(code) => self.close(now, id, Ending::Code(code)),
            Served::Gone => connection.writable = false,
        }
    }

    fn say(&mut self, id: ConnectionId, replies: Replies) {
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            replies.seal(&mut connection.outbox);
            self.make_ready(id);
        }
    }

    /// A client that does not read its answers is let go.
    fn check_outbox(&mut self, id: ConnectionId) -> Result<(), Ending> {
        let outbox_bytes_max = self.topics.limits().outbox_bytes_max;
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        if connection.outbox.len() <= outbox_bytes_max {
            return Ok(());
        }
        connection.outbox = Vec::new();
        Err(Ending::Code(Code::TooSlow))
    }

    fn make_ready(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0 as usize)
            && connection.writable
            && !connection.ready
        {
            connection.ready = true;
            self.ready.push_back(id);
        }
    }
}

fn same_connection(a: &Outcome, b: &Outcome) -> bool {
    a.origin.connection == b.origin.connection && a.origin.generation == b.origin.generation
}

/// Width of a timer slot: deadlines here are seconds, a late quarter harms none.
const WHEEL_SLOT_MS: u64 = 250;
/// How often topics are aged.
const SWEEP_MS: u64 = 5_000;
