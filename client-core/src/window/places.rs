//! The places of a window's messages: who has which seq, and what stays where one is taken out.

use tidewire_protocol::code::Content;

use crate::entry::{Entry, Load};
use crate::fault::{ClientCode, Fault};
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

    /// Withdraws a message, if it is here.
    pub(crate) fn cancel(&mut self, id: PublishId, fault: Fault, load: &mut Load, out: &mut Outputs) {
        let index = self.entries.items().partition_point(|entry| entry.id < id);
        if self.entries.items().get(index).is_some_and(|entry| entry.id == id) {
            self.take_out(index, fault, load, out);
        }
    }

    /// Gives up the message that [`Self::peek`] saw.
    pub(crate) fn give_up(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) {
        self.take_out(self.index(self.cursor), fault, load, out);
    }

    /// Gives up the message that was sent last.
    pub(crate) fn give_up_sent(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) {
        self.take_out(self.index(self.cursor.wrapping_sub(1)), fault, load, out);
    }

    /// Takes a message out, and leaves a void in its place. It fails at once if it was never sent, else with the void.
    #[inline(never)]
    fn take_out(&mut self, index: usize, fault: Fault, load: &mut Load, out: &mut Outputs) {
        let (sent, cursor) = (self.sent, self.cursor);
        let Some(entry) = self.entries.items_mut().get_mut(index).filter(|entry| !entry.done) else { return };
        if entry.seq >= sent {
            load.take(*entry);
            out.tell(load.failed(entry, fault));
            entry.done = true;
            entry.refill = true;
            entry.len = 0;
            if mutant::active(Mutant::CancelMovesSeqs) {
                self.close_up(index);
            }
            self.merge(index + 1);
            self.merge(index);
            return;
        }
        let len = u64::from(entry.len);
        // What is on its way stays so; the void is for the next time.
        entry.void = Some(fault);
        entry.len = 0;
        load.bytes -= len;
        if entry.seq < cursor {
            self.flying -= len;
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

/// What an application that withdraws is told.
pub(crate) const CANCELLED: Fault = Fault::Client(ClientCode::Cancelled);
