//! What happens because time passes: heartbeats, deadlines, the ageing of topics.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Heartbeat, HubFrame};

use crate::clock::Millis;
use crate::credentials::BadToken;
use crate::limits::Limits;
use crate::session::replies::Replies;
use crate::shard::Shard;
use crate::shard::connection::Connection;
use crate::shard::ending::Ending;
use crate::shard::wire::{ConnectionId, Wire};

impl Shard {
    /// Heartbeats, deadlines, and the ageing of topics: some of what is due.
    pub(super) fn keep_time(&mut self, now: Millis, wire: &mut impl Wire) {
        if self.due.is_empty() && now >= self.wheel.deadline() {
            self.wheel.turn(now, &mut self.due);
            self.relieve(now, wire);
            self.sweep(now);
        }
        for _ in 0..TIMERS_A_TURN {
            let Some((slot, timer)) = self.due.pop() else { break };
            let id = ConnectionId(slot);
            let is_current = |connection: &Connection| connection.timer == timer;
            if self.connections.get(slot as usize).is_some_and(is_current) && !self.parting.is_dead(id) {
                self.timer(now, id, wire);
            }
        }
    }

    /// Ages topics, a few times a second however fine the timers are.
    fn sweep(&mut self, now: Millis) {
        if now.since(self.swept_at) >= SWEEP_MS {
            self.swept_at = now;
            self.topics.sweep(now);
        }
    }

    /// Sets a connection's timer; the one set before means nothing any more. It comes when the connection's token ends at
    /// the latest.
    pub(super) fn arm(&mut self, id: ConnectionId, at: Millis) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let ends_at = connection.session.caller().ends_at();
        let at = if connection.closing.is_none() { at.min(ends_at) } else { at };
        self.next_timer = self.next_timer.wrapping_add(1);
        (connection.timer, connection.timer_at) = (self.next_timer, at);
        self.wheel.insert((id.0, connection.timer), at);
    }

    /// A connection's token is another: its timer comes when that ends, where it would come later. Whoever renews it again and
    /// again leaves no timers behind.
    pub(super) fn end_by_token(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let ends_at = connection.session.caller().ends_at();
        if ends_at < connection.timer_at {
            self.arm(id, ends_at);
        }
    }

    /// A connection has signed in: from now on it is told that the hub lives, and has to say that it does.
    pub(super) fn begin_heartbeats(&mut self, now: Millis, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        connection.heard = now;
        let at = first_heartbeat(now, id.0, self.topics.limits());
        connection.heartbeat_at = at;
        self.arm(id, at);
    }

    fn timer(&mut self, now: Millis, id: ConnectionId, wire: &mut impl Wire) {
        let limits = Arc::clone(self.topics.limits());
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        connection.note_life(now);
        let silent_at = connection.heard.plus(limits.silent_ms());
        let sign_in_by = connection.heard.plus(limits.sign_in_ms);
        match connection.closing {
            Some(at) if now >= at => {
                self.gone(now, id);
                wire.close(id);
            }
            Some(at) => self.arm(id, at),
            None if !connection.session.signed_in() && now >= sign_in_by => {
                self.close(now, id, Ending::Code(Code::SignInTimeout));
            }
            None if !connection.session.signed_in() => self.arm(id, sign_in_by),
            None if now >= connection.session.caller().ends_at() => {
                self.topics.metrics().bad_tokens.add(BadToken::Expired.number(), 1);
                self.close(now, id, Ending::Token(BadToken::Expired));
            }
            None if now >= silent_at => self.close(now, id, Ending::Code(Code::Silent)),
            None if now < connection.heartbeat_at => {
                let at = connection.heartbeat_at;
                self.arm(id, at);
            }
            None => {
                if connection.writable {
                    let mut replies = Replies::new(connection.dialect);
                    replies.put(&HubFrame::Heartbeat(Heartbeat::default()));
                    replies.seal(&mut connection.outbox, self.topics.metrics());
                }
                connection.heartbeat_at = now.plus(limits.heartbeat_ms);
                let at = connection.heartbeat_at;
                self.arm(id, at);
                self.make_ready(id);
            }
        }
    }
}

/// When the connection in `slot` gets its first heartbeat. Those that came together, as after a restart of the hub,
/// would otherwise get all later ones together too, and answer together.
fn first_heartbeat(now: Millis, slot: u32, limits: &Limits) -> Millis {
    let half = limits.heartbeat_ms / 2;
    now.plus(half + half * (u64::from(slot) % HEARTBEAT_PHASES) / HEARTBEAT_PHASES)
}

/// Width of a timer slot: an eighth of the shortest time that a connection is given for anything, so that being late by
/// a slot harms none.
pub(super) fn slot_ms(limits: &Limits) -> u64 {
    let shortest = limits.heartbeat_ms.min(limits.sign_in_ms).min(limits.close_ms);
    (shortest / 8).clamp(SLOT_MS_MIN, SLOT_MS_MAX)
}

/// Connections whose timers are looked at in one turn.
const TIMERS_A_TURN: usize = 256;

/// Over so many points of time heartbeats are spread.
const HEARTBEAT_PHASES: u64 = 64;

const SLOT_MS_MIN: u64 = 5;
const SLOT_MS_MAX: u64 = 250;
/// Between two steps of ageing.
const SWEEP_MS: u64 = 250;
