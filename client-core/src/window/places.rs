//! The places of a window's messages: who has which seq, and what stays where one is taken out.

use alloc::vec::Vec;

use tidewire_protocol::code::Content;

use crate::allowance::Allowance;
use crate::entry::{Batch, Entry, Load, Wants};
use crate::fault::Fault;
use crate::input::{Millis, NEVER};
use crate::limits::HEAD_BYTES;
use crate::mutant::{self, Mutant};
use crate::output::PublishId;
use crate::outputs::Outputs;
use crate::window::Window;

impl Window {
    /// The lowest unanswered seq, or the next to be used.
    pub(super) fn lowest(&self) -> u64 {
        self.entries.items().first().map_or(self.next, |entry| entry.seq)
    }

    /// The place of the entry with this seq, or of the next one.
    pub(super) fn index(&self, seq: u64) -> usize {
        self.entries.items().partition_point(|entry| entry.end() <= seq)
    }

    /// Whether something from this place on has no outcome.
    pub(super) fn waits_from(&self, index: usize) -> bool {
        self.entries.items().iter().skip(index).any(|entry| !entry.done)
    }

    /// Puts a message behind the others.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(Entry { seq: self.next, ..entry });
        self.next += entry.count;
    }

    /// Goes on where a client before this one was: the next message that is taken in has this seq, and so many from it
    /// on may have been sent. Where that leaves seqs out, they are voids.
    pub(crate) fn resume(&mut self, lowest: u64, sent: u64) {
        if self.entries.items().is_empty() {
            self.next = self.next.max(lowest);
            self.cursor = self.next;
        } else if self.next < lowest {
            let id = self.entries.items().last().map_or(PublishId(0), |entry| entry.id);
            let void = Entry::new(id, Content::default(), 0);
            self.push(Entry { count: lowest - self.next, done: true, refill: true, ..void });
        }
        self.sent = self.sent.max(self.next + sent);
        // What the client before this one sent last may have been voids, of which nobody keeps anything.
        self.known = false;
    }

    /// The hub takes this next: what was never sent does not come before it.
    pub(super) fn move_unsent(&mut self, next: u64) {
        let by = next.saturating_sub(self.sent);
        let sent = self.sent;
        for entry in self.entries.items_mut().iter_mut().filter(|entry| entry.seq >= sent) {
            entry.seq += by;
        }
        self.next += by;
        self.sent += by;
        self.cursor = self.lowest();
    }

    /// The oldest message that was never sent; one beyond all if there is none.
    pub(crate) fn oldest_unsent(&self) -> PublishId {
        let unsent = self.entries.items().iter().skip(self.index(self.sent));
        unsent.filter(|entry| !entry.done).map(|entry| entry.id).next().unwrap_or(PublishId(u64::MAX))
    }

    /// Takes messages out, those that are here: see [`Self::take_out`].
    pub(crate) fn withdraw(&mut self, batch: Batch, fault: Fault, load: &mut Load, out: &mut Outputs) {
        let mut index = self.first_of(batch);
        while self.entries.items().get(index).is_some_and(|entry| batch.has(entry.id)) {
            let count = self.entries.items().len();
            self.take_out(index, fault, load, out);
            // Else what comes next has moved here.
            index += usize::from(self.entries.items().len() == count);
        }
    }

    /// The place of the first of these messages, if one is here.
    fn first_of(&self, batch: Batch) -> usize {
        self.entries.items().partition_point(|entry| entry.id < batch.first)
    }

    /// What is withdrawn with a message, if it is here: its batch, or itself.
    pub(crate) fn whole_of(&self, id: PublishId) -> Option<Batch> {
        self.entries.items().get(self.first_of(Batch::of(id))).filter(|entry| entry.id == id).map(whole)
    }

    /// The first message without an outcome, or the batch that it is of.
    pub(crate) fn first_waiting(&self) -> Option<Batch> {
        self.entries.items().iter().find(|entry| !entry.done).map(whole)
    }

    /// Appends what is withdrawn with messages that are worth nothing any more, with the place of this window; gives the time
    /// of those that will be next.
    pub(crate) fn expired(&self, now: Millis, place: usize, gone: &mut Vec<(usize, Batch)>) -> Millis {
        let waits = |entry: &&Entry| !entry.done && entry.extra.is_some();
        let mut next = NEVER;
        for entry in self.entries.items().iter().filter(waits) {
            let until = entry.wants().until;
            if until > now {
                next = next.min(until);
            } else if gone.last() != Some(&(place, whole(entry))) {
                gone.push((place, whole(entry)));
            }
        }
        next
    }

    /// What is withdrawn with the message that was sent last.
    pub(crate) fn last_sent(&self) -> Option<Batch> {
        self.entries.items().get(self.index(self.cursor.wrapping_sub(1))).map(whole)
    }

    /// How a batch stands here.
    pub(crate) fn standing(&mut self, batch: Batch, allowance: &Allowance) -> Standing {
        let mut standing = Standing::NONE;
        let is_next = self.peek(allowance).is_some_and(|next| next.batch == batch);
        let waits = |entry: &&Entry| !entry.done && entry.void.is_none();
        let items = self.entries.items().get(self.first_of(batch)..).unwrap_or_default();
        for entry in items.iter().take_while(|entry| batch.has(entry.id)).filter(waits) {
            let is_sent = entry.seq < self.sent;
            standing.count += 1;
            standing.bytes += entry.bytes() + HEAD_BYTES as u64;
            standing.was_sent |= is_sent;
            standing.too_large |= allowance.is_too_large(entry.len.into(), entry.bytes(), is_sent);
            standing.wants = standing.wants.and(entry.wants());
        }
        let end = self.cursor - self.lowest() + u64::from(standing.count);
        standing.too_large |= u64::from(standing.count) > allowance.in_flight;
        standing.ready = if is_next && end <= allowance.in_flight { standing.count } else { 0 };
        standing
    }

    /// Takes a message out, and leaves a void in its place. It fails at once if it was never sent, else with the void.
    #[inline(never)]
    fn take_out(&mut self, index: usize, fault: Fault, load: &mut Load, out: &mut Outputs) {
        let (sent, cursor) = (self.sent, self.cursor);
        let Some(entry) = self.entries.items_mut().get_mut(index).filter(|entry| !entry.done) else { return };
        if entry.seq >= sent {
            load.take(entry);
            out.tell(load.failed(entry, fault));
            entry.done = true;
            entry.refill = true;
            entry.empty();
            if mutant::active(Mutant::CancelMovesSeqs) {
                self.close_up(index);
            }
            self.merge(index + 1);
            self.merge(index);
            return;
        }
        let bytes = entry.bytes();
        // What is on its way stays so; the void is for the next time.
        entry.void = Some(fault);
        entry.empty();
        load.bytes -= bytes;
        if entry.seq < cursor {
            self.flying -= bytes;
        }
    }

    /// Makes one run of the voids at this place and before it, where neither was ever sent.
    fn merge(&mut self, index: usize) {
        let sent = self.sent;
        let pair = self.entries.items_mut().get_mut(index.wrapping_sub(1)..).unwrap_or_default();
        if let [before, void, ..] = pair
            && before.refill
            && void.refill
            && before.seq >= sent
        {
            before.count += void.count;
            self.entries.remove(index);
        }
    }

    /// A seeded bug: those behind a void that was never sent move up.
    fn close_up(&mut self, index: usize) {
        self.entries.remove(index);
        for entry in self.entries.items_mut().iter_mut().skip(index) {
            entry.seq -= 1;
        }
        self.next -= 1;
    }

    /// Lets go of the entries at the front whose seqs are used up.
    pub(super) fn trim(&mut self) {
        let stays = |entry: &Entry| !entry.done || entry.refill;
        let items = self.entries.items();
        let count = items.iter().position(stays).unwrap_or(items.len());
        self.entries.pop(count);
        self.cursor = self.cursor.max(self.lowest());
    }
}

fn whole(entry: &Entry) -> Batch {
    if entry.batch.count > 0 { entry.batch } else { Batch::of(entry.id) }
}

/// How a batch stands in a window, or in all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Messages that have no outcome.
    pub count: u32,
    /// How many of them can be sent at once.
    pub ready: u32,
    /// What they take of a frame, generously.
    pub bytes: u64,
    /// Whether it may have been sent.
    pub was_sent: bool,
    /// Whether the hub is sure not to take it for its size.
    pub too_large: bool,
    /// What it asks of a hub.
    pub wants: Wants,
}

impl Standing {
    /// That of no message.
    pub(crate) const NONE: Self =
        Self { count: 0, ready: 0, bytes: 0, was_sent: false, too_large: false, wants: Wants::NOTHING };
}
