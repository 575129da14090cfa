//! How connections end: last words, then everything that they hold is given back, in pieces where it is much.
//!
//! ```text
//!   serving --close--> closing: the last words are written while subscriptions end --> gone
//!      \--gone (the socket failed)--> dead, while subscriptions are left ------------> gone
//! ```

use std::collections::{BTreeSet, VecDeque};

use tidewire_protocol::code::Code;

use crate::clock::Millis;
use crate::session::replies::Replies;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::wire::{ConnectionId, Wire};
use crate::websocket::reader::Reader;

/// The ends of connections that are under way.
#[derive(Debug, Default)]
pub struct Parting {
    /// Connections that end and still have subscriptions.
    leaving: VecDeque<ConnectionId>,
    /// Those of them whose sockets are gone. They keep their places, so that no other meets what is left of them.
    dead: BTreeSet<ConnectionId>,
    drain: Option<Drain>,
}

/// A hub that stops: all are told to come back later.
#[derive(Debug)]
struct Drain {
    /// The next place whose connection is to be told.
    next: usize,
    /// Places that there were when it began; whoever comes later is told at once.
    end: usize,
    told: u64,
    count: u64,
    spread_ms: u64,
    until: Millis,
}

impl Parting {
    /// Whether somebody waits to be let go.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.leaving.is_empty() || self.drain.as_ref().is_some_and(|drain| drain.next < drain.end)
    }

    /// Whether the socket is gone and only subscriptions are left.
    #[must_use]
    pub fn is_dead(&self, id: ConnectionId) -> bool {
        self.dead.contains(&id)
    }
}

impl Shard {
    /// The socket is closed or has failed.
    pub fn gone(&mut self, now: Millis, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if self.parting.is_dead(id) {
            return;
        }
        let is_leaving = connection.closing.is_some() && !connection.subscriptions.is_empty();
        connection.closing.get_or_insert(now);
        connection.writable = false;
        connection.lagging.clear();
        connection.following.clear();
        connection.half = None;
        connection.outbox = Vec::new();
        connection.reader = Reader::new();
        connection.session.end(now, &self.topics);
        self.release(id);
        self.topics.metrics().connections.sub(1);
        if is_leaving || !self.leave_some(now, id) {
            self.parting.dead.insert(id);
            if !is_leaving {
                self.leave_later(id);
            }
        } else {
            self.connections.remove(id.0 as usize);
        }
    }

    /// Tells every client to come back later, spread evenly up to `spread_ms`, and closes; a part at each turn. Whoever
    /// comes meanwhile is told the same.
    pub fn drain(&mut self, now: Millis, spread_ms: u64) {
        let (count, end) = (self.connections.len().max(1) as u64, self.connections.capacity());
        let until = now.plus(spread_ms);
        self.parting.drain = Some(Drain { next: 0, end, told: 0, count, spread_ms, until });
    }

    /// Sends somebody away who comes to a hub that stops.
    pub(super) fn refuse_late(&mut self, now: Millis, id: ConnectionId) {
        if let Some(drain) = &self.parting.drain
            && now < drain.until
        {
            let reconnect_after_ms = RETURN_MS_MIN.max(drain.until.since(now));
            self.close(now, id, Ending::Drain { reconnect_after_ms });
        }
    }

    /// Says the last words and stops listening; the connection is closed when they are written.
    pub(super) fn close(&mut self, now: Millis, id: ConnectionId, ending: Ending) {
        let close_ms = self.topics.limits().close_ms;
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.closing.is_some() {
            return;
        }
        connection.reader = Reader::new();
        if let Ending::Code(Code::TooSlow) = ending {
            // It is not going to read that.
            connection.drop_unread();
        }
        let metrics = self.topics.metrics();
        if let Some(code) = ending.fault() {
            metrics.disconnected.add(code.number(), 1);
        }
        let (close_code, reason) = ending.last_words();
        if let Some(goodbye) = ending.goodbye() {
            let mut replies = Replies::new(connection.dialect);
            replies.put(&goodbye);
            replies.seal(&mut connection.outbox, metrics);
        }
        connection.dialect.put_last_words(close_code.map(|code| (code, reason)), &mut connection.outbox);
        connection.closing = Some(now.plus(close_ms));
        connection.part();
        connection.lagging.clear();
        connection.following.clear();
        connection.session.end(now, &self.topics);
        self.arm(id, now.plus(close_ms));
        self.settle(id);
        if !self.leave_some(now, id) {
            self.leave_later(id);
        }
        self.make_ready(id);
    }

    /// Does some of what ends leave to do.
    pub(super) fn part(&mut self, now: Millis, wire: &mut impl Wire) {
        self.tell_drain(now);
        if self.holding.has_work() {
            self.relieve(now, wire);
        }
        let Some(id) = self.parting.leaving.pop_front() else { return };
        if !self.leave_some(now, id) {
            self.parting.leaving.push_back(id);
        } else if self.parting.dead.remove(&id) {
            self.connections.remove(id.0 as usize);
        }
    }

    fn tell_drain(&mut self, now: Millis) {
        for _ in 0..DRAINED_A_TURN {
            let Some(drain) = self.parting.drain.as_mut().filter(|drain| drain.next < drain.end) else {
                return;
            };
            let id = ConnectionId(drain.next as u32);
            drain.next += 1;
            if self.connections.contains(id.0 as usize) {
                let spread_ms = drain.spread_ms.saturating_sub(RETURN_MS_MIN);
                let reconnect_after_ms =
                    RETURN_MS_MIN + spread_ms * drain.told.min(drain.count) / drain.count;
                drain.told += 1;
                self.close(now, id, Ending::Drain { reconnect_after_ms });
            }
        }
    }

    /// What subscriptions are left end in later turns. Until then no walk writes for them: nothing may follow the last
    /// words, and whoever goes is to keep no more alive.
    fn leave_later(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        for subscription in &connection.subscriptions {
            self.audiences.entry(subscription).parked = true;
        }
        self.parting.leaving.push_back(id);
    }

    /// Ends some subscriptions; `true` if none is left.
    fn leave_some(&mut self, now: Millis, id: ConnectionId) -> bool {
        for _ in 0..LEFT_A_TURN {
            let Some(connection) = self.connections.get_mut(id.0 as usize) else { return true };
            let Some(subscription) = connection.subscriptions.pop() else { return true };
            self.topics.metrics().subscriptions.sub(u64::from(subscription.tail.log == 0));
            self.leave(now, &[subscription]);
        }
        self.connections.get(id.0 as usize).is_none_or(|connection| connection.subscriptions.is_empty())
    }
}

/// No client comes back sooner: whoever stops still answers then, and nobody takes its place so soon.
const RETURN_MS_MIN: u64 = 1_000;
/// Subscriptions that end in one turn.
const LEFT_A_TURN: usize = 256;
/// Connections that a drain tells in one turn.
const DRAINED_A_TURN: usize = 64;
