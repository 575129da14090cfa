//! The loop of one thread: connections, their cursors, and what is written to whom next.
//!
//! A shard owns its connections wholly. It is fed with bytes received and writes through a [`Wire`]; time and
//! readiness come from outside. [`Shard::turn`] does one bounded piece of work, so that the simulation can
//! interleave shards anywhere, and a shell can read acks between two slices of a long walk.
//!
//! How a message passes: [`Shard::received`] -> session -> gathered -> `Topics::publish` -> tail marked -> mail ->
//! [`walk::Walk`] over live cursors, or [`serving`] for a connection that lags.

use std::collections::VecDeque;
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::code::Code;

use crate::clock::Millis;
use crate::dialect::Dialect;
use crate::ledger::AccountKey;
use crate::letter::Inbox;
use crate::names::producers::Arrival;
use crate::session::gathered::Gathered;
use crate::shard::audiences::Audiences;
use crate::shard::connection::Connection;
use crate::shard::ending::Ending;
use crate::shard::holding::Holding;
use crate::shard::ousting::Ousting;
use crate::shard::parting::Parting;
use crate::shard::post::Post;
use crate::shard::revoking::Revoking;
use crate::shard::serving::{Served, serve};
use crate::shard::turn::{Turns, Work};
use crate::shard::walk::{StopReason, Stopped};
use crate::shard::wire::{ConnectionId, Wire};
use crate::topics::Topics;
use crate::websocket::reader::Limits as ReadLimits;
use crate::wheel::Wheel;

pub mod turn;

mod admitting;

pub mod listening;

mod hearing;

mod joining;

mod catching_up;

pub mod post;

pub mod parting;

pub mod looking;

pub mod holding;

mod timing;

mod revoking;

mod ousting;

pub mod serving;

pub mod audiences;

pub mod walk;

pub mod connection;

pub mod ending;

pub mod following;

pub mod places;

pub mod wire;

/// One thread's part of the hub.
#[derive(Debug)]
pub struct Shard {
    index: usize,
    topics: Arc<Topics>,
    inbox: Arc<Inbox>,
    connections: Slab<Connection>,
    audiences: Audiences,
    turns: Turns,
    parting: Parting,
    holding: Holding,
    post: Post,
    revoking: Revoking,
    ousting: Ousting,
    /// Connections that were told what became of their publishes: they get more turns than those that are only ready.
    answered: VecDeque<ConnectionId>,
    /// Connections with something to write that nobody holds up.
    ready: VecDeque<ConnectionId>,
    gathered: Gathered,
    wheel: Wheel,
    /// Timers that have come and wait for a turn.
    due: Vec<(u32, u32)>,
    next_generation: u32,
    next_timer: u32,
    swept_at: Millis,
    read_limits: ReadLimits,
    /// The same before sign-in.
    stranger_limits: ReadLimits,
}

impl Shard {
    /// A shard without connections. `index` is its place among `topics`' inboxes.
    #[must_use]
    pub fn new(now: Millis, index: usize, topics: Arc<Topics>, inbox: Arc<Inbox>) -> Self {
        let limits = topics.limits();
        let wheel = Wheel::new(now, timing::slot_ms(limits));
        let read_limits = ReadLimits {
            message_bytes_max: limits.frame_bytes_max,
            frame_bytes_max: limits.frame_bytes_max,
            frames_per_message_max: limits.fragments_max,
        };
        let stranger_limits = ReadLimits {
            message_bytes_max: limits.first_message_bytes_max,
            frame_bytes_max: limits.first_message_bytes_max,
            frames_per_message_max: limits.fragments_max,
        };
        let audiences = Audiences::new(index, topics.metrics());
        Self {
            index,
            inbox,
            connections: Slab::new(),
            audiences,
            turns: Turns::default(),
            parting: Parting::default(),
            holding: Holding::default(),
            post: Post::default(),
            revoking: Revoking::new(topics.access().edition()),
            ousting: Ousting::new(topics.credentials().standing().edition()),
            answered: VecDeque::new(),
            ready: VecDeque::new(),
            gathered: Gathered::default(),
            wheel,
            due: Vec::new(),
            next_generation: 0,
            next_timer: 0,
            swept_at: Millis::default(),
            read_limits,
            stranger_limits,
            topics,
        }
    }

    /// Takes over a connection whose handshake is done. What it makes the hub hold is charged to `account`.
    pub fn accept(&mut self, now: Millis, dialect: Dialect, account: AccountKey) -> ConnectionId {
        self.accept_late(now, dialect, account, self.topics.arrive())
    }

    /// The same, of one that came before what has happened meanwhile.
    pub fn accept_late(
        &mut self,
        now: Millis,
        dialect: Dialect,
        account: AccountKey,
        arrival: Arrival,
    ) -> ConnectionId {
        let id = self.admit_new(now, dialect, account, arrival);
        self.arm(id, now.plus(self.topics.limits().sign_in_ms));
        self.refuse_late(now, id);
        id
    }

    /// One more connection, of which nothing is awaited yet.
    fn admit_new(
        &mut self,
        now: Millis,
        dialect: Dialect,
        account: AccountKey,
        arrival: Arrival,
    ) -> ConnectionId {
        self.next_generation = self.next_generation.wrapping_add(1);
        let entry = self.connections.vacant_entry();
        let slot = entry.key() as u32;
        let account = self.topics.ledger().account(account);
        entry.insert(Connection::new(now, (self.next_generation, arrival), dialect, account));
        self.topics.metrics().connections.add(1);
        self.topics.metrics().accepted.add(1);
        ConnectionId(slot)
    }

    /// The socket takes bytes again.
    pub fn writable(&mut self, id: ConnectionId) {
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            connection.reads_on |= !connection.writable;
            connection.writable = true;
            self.make_ready(id);
        }
    }

    /// Does one bounded piece of work; `true` if there is more to do at once.
    pub fn turn(&mut self, now: Millis, wire: &mut impl Wire) -> bool {
        let mut turns = std::mem::take(&mut self.turns);
        let work = turns.next(|work| self.waits(now, work));
        self.turns = turns;
        match work {
            None => return false,
            Some(Work::Time) => self.keep_time(now, wire),
            Some(Work::Mail) => self.take_mail(now, wire),
            Some(Work::Answered) => self.serve_answered(now, wire),
            Some(Work::Ready) => self.serve_ready(now, wire),
            Some(Work::Walk) => self.walk_on(wire),
            Some(Work::Ends) => self.part(now, wire),
            Some(Work::Rules) => {
                self.oust(now);
                self.revoke(now);
            }
        }
        Turns::any(|work| self.waits(now, work))
    }

    /// Whether there is work of a kind.
    fn waits(&self, now: Millis, work: Work) -> bool {
        match work {
            Work::Time => !self.due.is_empty() || now >= self.wheel.deadline(),
            Work::Mail => !self.post.is_done() || self.inbox.has_mail(),
            Work::Answered => !self.answered.is_empty(),
            Work::Ready => !self.ready.is_empty(),
            Work::Walk => self.audiences.has_work(),
            Work::Ends => self.parting.has_work() || self.holding.has_work(),
            Work::Rules => {
                let standing = self.topics.credentials().standing().edition();
                self.ousting.has_work(standing) || self.revoking.has_work(self.topics.access().edition())
            }
        }
    }

    /// Serves as many as a slice of a walk sends of those that were answered.
    fn serve_answered(&mut self, now: Millis, wire: &mut impl Wire) {
        for _ in 0..self.topics.limits().slice_sends {
            let Some(id) = self.answered.pop_front() else { break };
            if let Some(connection) = self.connections.get_mut(id.0 as usize) {
                connection.answered = false;
                self.flush(now, id, wire);
            }
        }
    }

    fn serve_ready(&mut self, now: Millis, wire: &mut impl Wire) {
        let Some(id) = self.ready.pop_front() else { return };
        if let Some(connection) = self.connections.get_mut(id.0 as usize) {
            connection.ready = false;
            self.flush(now, id, wire);
        }
    }

    /// Whether answers wait to be told, so that nothing more should be read that causes others.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.post.is_backed_up()
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

    /// Timers that are set, those among them that mean nothing any more.
    #[must_use]
    pub fn timers(&self) -> usize {
        self.wheel.count()
    }

    /// One slice of a walk.
    fn walk_on(&mut self, wire: &mut impl Wire) {
        let limits = self.topics.limits();
        let Some(Stopped { connection: id, tail, reason }) =
            self.audiences.walk_on(limits.slice_sends, limits.write_bytes, wire)
        else {
            return;
        };
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        match reason {
            StopReason::Behind => {
                if self.audiences.park(connection, tail) {
                    connection.lagging.push_back(tail);
                    self.make_ready(id);
                }
            }
            StopReason::Full(half) => {
                if let Some((block, at)) = half {
                    connection.stop_amid(block, at, tail);
                }
                self.audiences.park_all(connection);
                self.settle(id);
            }
            // The shell finds the socket dead and says so.
            StopReason::Gone => connection.writable = false,
        }
    }

    /// Serves a connection once, and keeps it on the ready list if there is more.
    fn flush(&mut self, now: Millis, id: ConnectionId, wire: &mut impl Wire) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        connection.note_life(now);
        let served = serve(now, id, connection, &mut self.audiences, &self.topics, wire);
        self.settle(id);
        match served {
            Served::More => self.make_ready(id),
            Served::Idle | Served::Full => {}
            Served::Finished => {
                self.gone(now, id);
                wire.close(id);
            }
            Served::Fault(code) => self.close(now, id, Ending::Code(code)),
            Served::Gone => {
                if let Some(connection) = self.connections.get_mut(id.0 as usize) {
                    connection.writable = false;
                }
            }
        }
    }

    /// A client that does not read its answers is let go.
    fn check_outbox(&mut self, id: ConnectionId) -> Result<(), Ending> {
        let limits = self.topics.limits();
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return Ok(()) };
        let page = connection.page_bytes.min(limits.answer_bytes_max());
        if connection.unread_bytes() <= limits.outbox_bytes_max + page {
            return Ok(());
        }
        connection.drop_unread();
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
