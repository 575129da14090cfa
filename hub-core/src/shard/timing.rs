//! What happens because time passes: heartbeats, deadlines, the ageing of topics.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Heartbeat, HubFrame};

use crate::clock::Millis;
use crate::limits::Limits;
use crate::session::replies::Replies;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::wire::{ConnectionId, Wire};

impl Shard {
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

    /// Heartbeats, deadlines, and the ageing of topics: some of what is due.
    pub(super) fn keep_time(&mut self, now: Millis, wire: &mut impl Wire) {
        if self.due.is_empty() && now >= self.wheel.deadline() {
            self.wheel.turn(now, &mut self.due);
            self.unpin(now);
            self.topics.sweep(now);
        }
        for _ in 0..TIMERS_A_TURN {
            let Some((slot, generation)) = self.due.pop() else { break };
            let connection = self.connections.get(slot as usize);
            if connection.is_some_and(|connection| connection.generation == generation) {
                self.timer(now, ConnectionId(slot), wire);
            }
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
            }
            Some(at) => self.wheel.insert(key, at),
            None if !connection.session.signed_in() && now >= sign_in_by => {
                self.close(now, id, Ending::Code(Code::SignInTimeout));
            }
            None if !connection.session.signed_in() => self.wheel.insert(key, sign_in_by),
            None if now >= silent_at => self.close(now, id, Ending::Code(Code::Silent)),
            None if now < connection.heartbeat_at => self.wheel.insert(key, connection.heartbeat_at),
            None => {
                if connection.writable {
                    let mut replies = Replies::new(connection.encoding);
                    replies.put(&HubFrame::Heartbeat(Heartbeat::default()));
                    replies.seal(&mut connection.outbox);
                }
                connection.heartbeat_at = now.plus(limits.heartbeat_ms);
                self.wheel.insert(key, connection.heartbeat_at);
                self.make_ready(id);
            }
        }
    }
}

/// When the connection in `slot` gets its first heartbeat. Those that came together, as after a restart of the hub,
/// would otherwise get all later ones together too, and answer together.
pub(super) fn first_heartbeat(now: Millis, slot: u32, limits: &Limits) -> Millis {
    let half = limits.heartbeat_ms / 2;
    now.plus(half + half * (u64::from(slot) % HEARTBEAT_PHASES) / HEARTBEAT_PHASES)
}

/// Connections whose timers are looked at in one turn.
const TIMERS_A_TURN: usize = 256;

/// Over so many points of time heartbeats are spread.
const HEARTBEAT_PHASES: u64 = 64;
