//! The outbox of a party: what it has published and the hub has not answered, by topic.

use alloc::vec::Vec;

use tidewire_protocol::client_frame::Shut;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Acked, Opened, Refused};
use tidewire_protocol::number::{Handle, Seq};

use crate::entry::{Batch, CANCELLED, Entry, Load};
use crate::fault::{Broken, ClientCode, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{HANDLES_MAX, TOPICS_MAX};
use crate::options::{OutboxOptions, PartyId, WhenFull};
use crate::outgoing::{Extra, Outgoing};
use crate::output::PublishId;
use crate::outputs::Outputs;
use crate::window::Window;

mod sending;

mod expiring;

mod batches;

/// All windows of a party.
#[derive(Debug)]
pub(crate) struct Outbox {
    options: OutboxOptions,
    /// The handle of a window is its place, counted from [`Self::first_handle`].
    windows: Vec<Option<Window>>,
    load: Load,
    /// The batch that is being taken in, or was last; whether it was broken off.
    batch: Batch,
    is_broken: bool,
    last_id: PublishId,
    /// Place of the window used last; most programs publish to one topic many times.
    recent: usize,
    uses: u64,
    /// Place of the window that may send first.
    turn: usize,
    /// Nothing can be sent until something happens.
    pub at_rest: bool,
    /// A window was forgotten, or was an earlier incarnation's, so one not here may be known to the hub.
    forgot: bool,
    wake_at: Millis,
    /// Some message may be worth nothing any more then.
    expires_at: Millis,
    /// Frames that shut handles, sent before all others.
    shuts: Vec<u8>,
    first_handle: u64,
}

impl Outbox {
    /// An empty one. The hub may know windows of a producer that was taken over from an earlier incarnation.
    #[must_use]
    pub(crate) const fn new(options: OutboxOptions, taken_over: bool, party: PartyId) -> Self {
        Self {
            // Those of the second million are taken by updates.
            first_handle: if party.0 == 0 { 1 } else { (party.0 as u64 + 1) * HANDLES_MAX + 1 },
            options,
            windows: Vec::new(),
            load: Load { party, count: 0, bytes: 0, suspects: 0 },
            batch: Batch { first: PublishId(0), count: 0 },
            is_broken: false,
            last_id: PublishId(0),
            recent: 0,
            uses: 0,
            turn: 0,
            at_rest: true,
            forgot: taken_over,
            wake_at: NEVER,
            expires_at: NEVER,
            shuts: Vec::new(),
        }
    }

    /// How much waits for its outcome.
    #[must_use]
    pub(crate) const fn load(&self) -> Load {
        self.load
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub(crate) fn wake_at(&self) -> Millis {
        self.wake_at.min(self.expires_at)
    }

    /// The number that comes next where the shell has none of its own.
    pub(crate) const fn following(&self) -> PublishId {
        PublishId(self.last_id.0 + 1)
    }

    /// Goes on where a client before this one was.
    pub(crate) fn resume(&mut self, topic: &str, lowest: Seq, sent: u64) {
        self.window(topic).resume(lowest.0, sent);
    }

    /// Takes a message in.
    ///
    /// # Errors
    /// `outbox_full` or `larger_than_outbox`.
    pub(crate) fn take(
        &mut self,
        now: Millis,
        id: PublishId,
        message: &Outgoing<'_>,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        let extra = Extra::of(now, &message.attributes, message.terms);
        let entry = Entry { extra, ..Entry::new(id, message.content, message.payload_len) };
        let bytes = entry.bytes();
        let batch = if self.batch.has(id) { self.batch } else { Batch::default() };
        self.check(batch)?;
        self.make_room(1, bytes, out)?;
        // Room may have been made of the batch itself.
        self.check(batch)?;
        self.last_id = id;
        self.load.count += 1;
        self.load.bytes += bytes;
        self.expires_at = self.expires_at.min(entry.wants().until);
        self.uses += 1;
        let uses = self.uses;
        let window = self.window(message.topic);
        window.used = uses;
        window.push(Entry { batch, ..entry });
        self.at_rest = false;
        Ok(())
    }

    fn make_room(&mut self, count: u32, bytes: u64, out: &mut Outputs) -> Result<(), Fault> {
        if count > self.options.count_max || bytes > self.options.bytes_max {
            return Err(ClientCode::LargerThanOutbox.into());
        }
        while self.load.count + count > self.options.count_max
            || self.load.bytes + bytes > self.options.bytes_max
        {
            if self.options.when_full == WhenFull::Reject || !self.drop_oldest(out) {
                return Err(ClientCode::OutboxFull.into());
            }
        }
        Ok(())
    }

    fn drop_oldest(&mut self, out: &mut Outputs) -> bool {
        let mut oldest = PublishId(u64::MAX);
        for window in self.windows.iter().flatten() {
            oldest = oldest.min(window.oldest_unsent());
        }
        self.withdraw_whole(oldest, ClientCode::Dropped.into(), out);
        oldest.0 < u64::MAX
    }

    /// The window of a topic, made if there is none.
    fn window(&mut self, topic: &str) -> &mut Window {
        let is_it = |slot: &Option<Window>| slot.as_ref().is_some_and(|window| window.topic == topic);
        if !self.windows.get(self.recent).is_some_and(is_it) {
            self.recent = match self.windows.iter().position(is_it) {
                Some(place) => place,
                None => self.vacancy(),
            };
        }
        let known = !self.forgot;
        if self.recent >= self.windows.len() {
            self.windows.push(None);
        }
        self.windows[self.recent].get_or_insert_with(|| Window::new(topic.into(), known))
    }

    /// A free place; the longest unused idle window goes if there are many.
    fn vacancy(&mut self) -> usize {
        if self.windows.len() >= TOPICS_MAX
            && let Some(place) = self.longest_idle(false)
        {
            self.forget(place);
        }
        self.windows.iter().position(Option::is_none).unwrap_or(self.windows.len())
    }

    fn longest_idle(&self, with_handle: bool) -> Option<usize> {
        let (mut longest, mut least) = (None, u64::MAX);
        for (place, slot) in self.windows.iter().enumerate() {
            let Some(window) = slot else { continue };
            if window.used < least && window.is_idle() && (window.has_handle() || !with_handle) {
                (longest, least) = (Some(place), window.used);
            }
        }
        longest
    }

    /// Forgets a window; the hub keeps its side, and says so when it is opened again.
    fn forget(&mut self, place: usize) {
        if let Some(window) = self.windows.get_mut(place).and_then(Option::take) {
            self.forgot = true;
            if window.has_handle() {
                Shut { handle: self.handle(place) }.put(&mut self.shuts);
            }
        }
    }

    /// Withdraws a message, and all of its batch.
    pub(crate) fn cancel(&mut self, id: PublishId, out: &mut Outputs) {
        self.withdraw_whole(id, CANCELLED, out);
    }

    /// Something has happened: there may be something to send.
    pub(crate) const fn rouse(&mut self) {
        self.at_rest = false;
    }

    /// What was sent last, and alone, has ended the link. A void takes its place.
    pub(crate) fn give_up_sent(&mut self, code: Code, out: &mut Outputs) {
        for place in 0..self.windows.len() {
            if let Some(Some(window)) = self.windows.get(place)
                && window.flying().count > 0
                && let Some(batch) = window.last_sent()
            {
                self.withdraw(batch, code.into(), out);
            }
        }
    }

    /// Something has ended the link that may be among what waits here.
    pub(crate) const fn suspect_all(&mut self) {
        self.load.suspects = self.load.count;
    }

    /// All windows.
    pub(crate) fn windows(&self) -> impl Iterator<Item = &Window> {
        self.windows.iter().flatten()
    }

    /// Whether something here may end links.
    pub(crate) const fn is_careful(&self) -> bool {
        self.load.suspects > 0
    }

    /// A link begins or ends: no handle is open, nothing is on its way.
    pub(crate) fn reset(&mut self) {
        self.shuts.clear();
        self.wake_at = NEVER;
        self.at_rest = false;
        self.windows.iter_mut().flatten().for_each(Window::reset);
    }

    /// Everything that waits has failed.
    pub(crate) fn fail_all(&mut self, fault: Fault, out: &mut Outputs) {
        for place in 0..self.windows.len() {
            if let Some(window) = self.windows.get_mut(place).and_then(Option::as_mut) {
                window.fail_all(fault, &mut self.load, out);
            }
            self.tidy(place);
        }
    }

    /// Gives back the handle of a window that failed, and forgets it once nothing sent on it is unanswered.
    fn tidy(&mut self, place: usize) {
        let Some(Some(window)) = self.windows.get_mut(place) else { return };
        let gives_back = window.has_failed() && window.give_back();
        let goes = window.has_failed() && window.is_idle();
        if gives_back {
            Shut { handle: self.handle(place) }.put(&mut self.shuts);
        }
        if goes {
            self.forget(place);
        }
    }

    /// Lets windows go on whose wait is over, and takes out what is worth nothing any more.
    pub(crate) fn tick(&mut self, now: Millis, out: &mut Outputs) {
        if now >= self.expires_at {
            self.expire(now, out);
        }
        if now >= self.wake_at {
            self.wake_at = NEVER;
            for window in self.windows.iter_mut().flatten() {
                self.wake_at = self.wake_at.min(window.tick(now));
            }
            self.at_rest = false;
        }
    }

    /// The hub has opened a handle.
    pub(crate) fn opened(&mut self, opened: &Opened) {
        if let Some(window) = self.by_handle(opened.handle) {
            window.opened(opened);
        }
    }

    /// The hub has done some.
    pub(crate) fn acked(&mut self, acked: &Acked, out: &mut Outputs) {
        let mut load = self.load;
        if let Some(window) = self.by_handle(acked.handle) {
            window.acked(acked, &mut load, out);
            self.load = load;
            self.answered(acked.handle);
        }
    }

    /// The hub refuses some, or a handle.
    ///
    /// # Errors
    /// [`Broken`] if going on is of no use on this link.
    pub(crate) fn refused(
        &mut self,
        now: Millis,
        refused: &Refused<'_>,
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let mut load = self.load;
        if let Some(window) = self.by_handle(refused.handle) {
            window.refused(now, refused, &mut load, out)?;
            self.load = load;
            self.answered(refused.handle);
        }
        Ok(())
    }

    /// A window that waits may have waited for just this answer.
    fn answered(&mut self, handle: Handle) {
        if self.by_handle(handle).is_some_and(|window| window.is_waiting()) {
            self.wake_at = 0;
        }
        self.tidy(self.place(handle));
    }

    fn by_handle(&mut self, handle: Handle) -> Option<&mut Window> {
        self.at_rest = false;
        let place = self.place(handle);
        self.windows.get_mut(place)?.as_mut()
    }

    const fn handle(&self, place: usize) -> Handle {
        Handle(self.first_handle + place as u64)
    }

    const fn place(&self, handle: Handle) -> usize {
        handle.0.wrapping_sub(self.first_handle) as usize
    }
}
