//! What other threads left for a shard: outcomes are told, participants that went elsewhere are fenced, tails with news wait
//! for their walk, what was read or checked is handed over. A bounded part of each at a time, of which none waits for another.

use std::sync::Arc;

use tidewire_protocol::number::TailNumber;

use crate::clock::Millis;
use crate::letter::{Address, Mail, Outcome};
use crate::reading::reads::Read;
use crate::session::replies::Replies;
use crate::shard::Shard;
use crate::shard::connection::Connection;
use crate::shard::wire::{ConnectionId, Wire};

/// Mail that was taken out of the inbox, and how much of it is done.
#[derive(Debug, Default)]
pub struct Post {
    mail: Mail,
    /// Something may have been read, or a token checked, for those who wait for it.
    read: bool,
    told: usize,
    looked: usize,
}

impl Post {
    /// Whether all is done.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.mail.is_empty() && !self.read
    }

    /// The next outcomes.
    fn outcomes(&mut self) -> &[Outcome] {
        let from = self.told;
        self.told = self.mail.outcomes.len().min(from + OUTCOMES_A_TURN);
        &self.mail.outcomes[from..self.told]
    }

    /// The next tails.
    fn tails(&mut self) -> &[TailNumber] {
        let from = self.looked;
        self.looked = self.mail.dirty.len().min(from + TAILS_A_TURN);
        &self.mail.dirty[from..self.looked]
    }

    /// Whether more outcomes wait than are told in a turn, or more connections than are looked at.
    #[must_use]
    pub fn is_backed_up(&self) -> bool {
        self.mail.outcomes.len() - self.told > OUTCOMES_A_TURN || self.mail.fenced.len() > FENCED_A_TURN
    }

    /// Forgets what is done, and keeps some of its memory for the next mail.
    fn tidy(&mut self) {
        if self.told == self.mail.outcomes.len() {
            self.mail.outcomes.clear();
            self.mail.outcomes.shrink_to(OUTCOMES_A_TURN);
            self.told = 0;
        }
        if self.looked == self.mail.dirty.len() {
            self.mail.dirty.clear();
            self.mail.dirty.shrink_to(TAILS_A_TURN);
            self.looked = 0;
        }
    }
}

impl Shard {
    /// Does some of the mail.
    pub(super) fn take_mail(&mut self, now: Millis, wire: &mut impl Wire) {
        let mut post = std::mem::take(&mut self.post);
        // Whatever waits of one kind, acks do not wait behind it.
        if self.inbox.has_mail() {
            self.inbox.take(&mut post.mail);
            post.read = true;
        }
        for outcomes in post.outcomes().chunk_by(same_connection) {
            self.tell(now, outcomes);
        }
        self.fence_some(now, &mut post);
        for tail in post.tails() {
            self.audiences.look_at(*tail);
        }
        if post.read {
            post.read = self.hand_over_reads(now) | self.hand_over_checks(now, wire);
        }
        post.tidy();
        self.post = post;
    }

    /// Hands over some of what was read; `true` if there may be more. What waits stays with the reader, which goes on for
    /// nobody for whom much waits.
    fn hand_over_reads(&mut self, now: Millis) -> bool {
        let topics = Arc::clone(&self.topics);
        let read = topics.reads().take(self.index, READS_A_TURN);
        let count = read.len();
        for Read { address, answer, charge } in read {
            self.hand_over_read(now, address, answer);
            drop(charge);
        }
        if count > 0 {
            topics.reads().go_on();
        }
        count == READS_A_TURN
    }

    /// Tells outcomes to the connection that published.
    fn tell(&mut self, now: Millis, outcomes: &[Outcome]) {
        let Some(first) = outcomes.first() else { return };
        let Some(connection) = addressed(&mut self.connections, first.origin) else { return };
        let mut replies = Replies::new(connection.dialect);
        connection.session.tell(outcomes, &self.topics, &mut replies);
        replies.seal(&mut connection.outbox, self.topics.metrics());
        self.was_told(now, ConnectionId(first.origin.slot));
    }

    /// Tells some connections which of their participants have gone elsewhere. One of which there are more has another turn
    /// behind all that wait.
    fn fence_some(&mut self, now: Millis, post: &mut Post) {
        let mut left = FENCED_A_TURN;
        while left > 0 {
            let Some(slot) = post.mail.fenced.pop_first() else { return };
            let fenced = self.fence(now, slot, left);
            if fenced == left {
                // Its own shard is awake.
                let _ = self.inbox.leave_fenced(slot);
            }
            left = left.saturating_sub(fenced.max(1));
        }
    }

    /// Tells a connection which of its participants have gone elsewhere, so many at most; tells how many.
    fn fence(&mut self, now: Millis, slot: u32, most: usize) -> usize {
        let Some(connection) = self.connections.get_mut(slot as usize) else { return 0 };
        if connection.closing.is_some() {
            return 0;
        }
        let mut replies = Replies::new(connection.dialect);
        let fenced = connection.session.fence(now, most, &self.topics, &mut replies);
        if fenced > 0 {
            replies.seal(&mut connection.outbox, self.topics.metrics());
            self.was_told(now, ConnectionId(slot));
        }
        fenced
    }

    /// A connection has something new in its outbox, which it waited for.
    pub(super) fn was_told(&mut self, now: Millis, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        if connection.writable && !connection.answered {
            connection.answered = true;
            self.answered.push_back(id);
        }
        match self.check_outbox(id) {
            Ok(()) => self.settle(id),
            Err(ending) => self.close(now, id, ending),
        }
    }
}

impl Shard {
    /// The connection of an address, unless it is gone or says its last words.
    pub(super) fn addressed(&mut self, address: Address) -> Option<&mut Connection> {
        addressed(&mut self.connections, address)
    }
}

/// The connection of an address, unless it is gone or says its last words.
pub(super) fn addressed(
    connections: &mut slab::Slab<Connection>,
    address: Address,
) -> Option<&mut Connection> {
    let connection = connections.get_mut(address.slot as usize)?;
    (connection.generation == address.generation && connection.closing.is_none()).then_some(connection)
}

fn same_connection(a: &Outcome, b: &Outcome) -> bool {
    a.origin.slot == b.origin.slot && a.origin.generation == b.origin.generation
}

/// What is done of the mail in one turn: about as long as a slice of a walk.
const OUTCOMES_A_TURN: usize = 512;
const TAILS_A_TURN: usize = 256;
const FENCED_A_TURN: usize = 64;
const READS_A_TURN: usize = 8;
