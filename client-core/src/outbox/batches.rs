//! Batches: messages to one topic or several of which the hub takes all or none.
//!
//! A batch goes out as one frame and its publishes, once each of them is the next in its window. All windows take their
//! messages in the order in which the application gave them, so no two batches wait for each other. Where some have their
//! outcome and others lost it with a link, those are asked for by voids: a batch is never sent in part.

use tidewire_protocol::client_frame::Batch as Frame;
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;

use crate::allowance::Allowance;
use crate::entry::{Batch, FORGOTTEN, Next, Wants};
use crate::fault::Fault;
use crate::filling::{Filling, Flying};
use crate::input::Millis;
use crate::limits::HEAD_BYTES;
use crate::mutant::{self, Mutant};
use crate::outbox::Outbox;
use crate::output::PublishId;
use crate::outputs::Outputs;
use crate::window::Window;
use crate::window::places::Standing;

impl Outbox {
    /// The messages with these numbers, which are taken in next, are a batch of so many bytes of payload in all; `None` if
    /// an outbox before this one had taken it in, perhaps with some that have their outcome by now.
    ///
    /// # Errors
    /// `limit_reached`, `outbox_full` or `larger_than_outbox`.
    pub(crate) fn begin_batch(
        &mut self,
        batch: Batch,
        bytes: Option<u64>,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        if u64::from(batch.count) > Frame::COUNT_MAX {
            return Err(Code::LimitReached.into());
        }
        if let Some(bytes) = bytes {
            self.make_room(batch.count, bytes, out)?;
        }
        self.batch = batch;
        self.is_broken = false;
        Ok(())
    }

    /// Of a batch that was broken off nothing more is taken in.
    pub(super) fn check(&self, batch: Batch) -> Result<(), Fault> {
        if batch.count > 0 && self.is_broken { Err(Code::BatchRefused.into()) } else { Ok(()) }
    }

    /// A message was not taken in: if it is one of a batch, those before it go, and none comes after it.
    pub(crate) fn break_batch(&mut self, id: PublishId, out: &mut Outputs) {
        if self.batch.has(id) && !self.is_broken {
            self.withdraw(self.batch, Code::BatchRefused.into(), out);
        }
    }

    /// What is taken in from now on is none of the batch that was begun last.
    pub(crate) fn end_batch(&mut self) {
        self.batch = Batch::default();
    }

    /// Takes a message out, and all of its batch.
    pub(super) fn withdraw_whole(&mut self, id: PublishId, fault: Fault, out: &mut Outputs) {
        let whole = self.windows().find_map(|window| window.whole_of(id));
        whole.into_iter().for_each(|whole| self.withdraw(whole, fault, out));
    }

    /// Takes messages out, wherever they are.
    pub(super) fn withdraw(&mut self, batch: Batch, fault: Fault, out: &mut Outputs) {
        self.is_broken |= batch == self.batch;
        for window in self.windows.iter_mut().flatten() {
            window.withdraw(batch, fault, &mut self.load, out);
        }
    }

    /// Takes messages out of which one is in this window: a message alone is nowhere else.
    pub(super) fn withdraw_from(&mut self, place: usize, batch: Batch, fault: Fault, out: &mut Outputs) {
        if batch.count > 1 {
            self.withdraw(batch, fault, out);
            return;
        }
        self.is_broken |= batch == self.batch;
        if let Some(Some(window)) = self.windows.get_mut(place) {
            window.withdraw(batch, fault, &mut self.load, out);
        }
    }

    /// The oldest message of all that wait, or its batch: that must get on, since all others may wait for it.
    pub(super) fn oldest(&self) -> Option<Batch> {
        self.windows().filter_map(Window::first_waiting).min_by_key(|batch| batch.first)
    }

    /// What a window sends next.
    pub(super) fn peek(&mut self, place: usize, allowance: &Allowance) -> Option<Next> {
        self.windows.get_mut(place)?.as_mut()?.peek(allowance)
    }

    /// What a message weighs, with its batch: nothing as long as that cannot go. `None` if it was taken out instead.
    pub(super) fn weigh(
        &mut self,
        now: Millis,
        next: Next,
        allowance: &Allowance,
        out: &mut Outputs,
    ) -> Option<Flying> {
        if next.batch.count == 0 {
            let too_large = if next.too_large { Some(Code::TooLarge.into()) } else { None };
            let Some(fault) = too_large.or(next.wants.unmet(now, allowance.features)) else {
                return Some(Flying { count: 1, bytes: next.bytes + HEAD_BYTES as u64 });
            };
            self.withdraw(Batch::of(next.id), fault, out);
            return None;
        }
        let all = self.standing(next.batch, allowance);
        let wants = Wants { features: all.wants.features | feature::BATCHES, ..all.wants };
        let fault = if all.count < next.batch.count {
            // Others have their outcome.
            if all.was_sent { FORGOTTEN } else { Code::BatchRefused.into() }
        } else if let Some(unmet) = wants.unmet(now, allowance.features) {
            unmet
        } else if all.too_large || all.bytes > allowance.carried_bytes {
            Code::TooLarge.into()
        } else {
            let waits = all.ready < next.batch.count && !mutant::active(Mutant::BatchSentHalfReady);
            return Some(Flying { count: if waits { 0 } else { all.ready.into() }, bytes: all.bytes });
        };
        self.withdraw(next.batch, fault, out);
        None
    }

    fn standing(&mut self, batch: Batch, allowance: &Allowance) -> Standing {
        let mut all = Standing::NONE;
        for window in self.windows.iter_mut().flatten() {
            let here = window.standing(batch, allowance);
            all.count += here.count;
            all.ready += here.ready;
            all.bytes += here.bytes;
            all.was_sent |= here.was_sent;
            all.too_large |= here.too_large;
            all.wants = all.wants.and(here.wants);
        }
        all
    }

    /// Appends a message, with so many of its batch.
    pub(super) fn send_whole(&mut self, place: usize, next: Next, count: u64, filling: &mut Filling<'_>) {
        if next.batch.count == 0 {
            self.send_one(place, next, filling);
            return;
        }
        Frame { count }.put(&mut filling.packet.bytes);
        for place in 0..self.windows.len() {
            while let Some(member) = self.peek(place, filling.allowance)
                && member.batch == next.batch
            {
                self.send_one(place, member, filling);
            }
        }
    }

    fn send_one(&mut self, place: usize, next: Next, filling: &mut Filling<'_>) {
        let (party, handle) = (self.load.party, self.handle(place));
        if let Some(Some(window)) = self.windows.get_mut(place) {
            window.send(party, handle, filling);
            filling.size += next.len as usize;
            filling.flying.bytes += next.bytes;
        }
    }
}
