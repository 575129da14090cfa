//! The outbox: what the application has published and the hub has not answered, by topic.

use alloc::vec::Vec;

use tidewire_protocol::client_frame::{Open, Shut};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::hub_frame::{Acked, Opened, Refused, Welcome};
use tidewire_protocol::number::{Handle, Seq};

use crate::allowance::Allowance;
use crate::entry::{Entry, Load};
use crate::fault::{Broken, ClientCode, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{HEAD_BYTES, IN_FLIGHT_BYTES_MAX, TOPICS_MAX};
use crate::options::{OutboxOptions, WhenFull};
use crate::output::{Packet, PublishId};
use crate::outputs::Outputs;
use crate::window::Window;
use crate::window::places::CANCELLED;

/// All windows of a client.
#[derive(Debug)]
pub(crate) struct Outbox {
    options: OutboxOptions,
    /// The handle of a window is its place plus one.
    windows: Vec<Option<Window>>,
    load: Load,
    last_id: PublishId,
    /// Place of the window used last; most programs publish to one topic many times.
    recent: usize,
    uses: u64,
    /// Place of the window that may send first.
    turn: usize,
    /// Nothing can be sent until something happens.
    at_rest: bool,
    /// A window was forgotten, or was an earlier incarnation's, so one not here may be known to the hub.
    forgot: bool,
    wake_at: Millis,
    allowance: Allowance,
    /// Frames that shut handles, sent before all others.
    shuts: Vec<u8>,
}

impl Outbox {
    /// An empty one. The hub may know windows of a producer that was taken over from an earlier incarnation.
    #[must_use]
    pub(crate) const fn new(options: OutboxOptions, taken_over: bool) -> Self {
        Self {
            options,
            windows: Vec::new(),
            load: Load { count: 0, bytes: 0, suspects: 0 },
            last_id: PublishId(0),
            recent: 0,
            uses: 0,
            turn: 0,
            at_rest: true,
            forgot: taken_over,
            wake_at: NEVER,
            allowance: Allowance::new(),
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
    pub(crate) const fn wake_at(&self) -> Millis {
        self.wake_at
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
    /// `outbox_full`.
    pub(crate) fn take(
        &mut self,
        id: PublishId,
        topic: &str,
        content: Content,
        len: u32,
        out: &mut Outputs,
    ) -> Result<(), Fault> {
        if u64::from(len) > self.options.bytes_max {
            return Err(ClientCode::OutboxFull.into());
        }
        while self.load.count >= self.options.count_max
            || self.load.bytes + u64::from(len) > self.options.bytes_max
        {
            if self.options.when_full == WhenFull::Reject || !self.drop_oldest(out) {
                return Err(ClientCode::OutboxFull.into());
            }
        }
        self.last_id = id;
        self.load.count += 1;
        self.load.bytes += u64::from(len);
        self.uses += 1;
        let uses = self.uses;
        let window = self.window(topic);
        window.used = uses;
        window.push(Entry::new(id, content, len));
        self.at_rest = false;
        Ok(())
    }

    fn drop_oldest(&mut self, out: &mut Outputs) -> bool {
        let mut oldest = PublishId(u64::MAX);
        for window in self.windows.iter().flatten() {
            oldest = oldest.min(window.oldest_unsent());
        }
        for window in self.windows.iter_mut().flatten() {
            window.cancel(oldest, ClientCode::Dropped.into(), &mut self.load, out);
        }
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
                Shut { handle: handle(place) }.put(&mut self.shuts);
            }
        }
    }

    /// Withdraws a message.
    pub(crate) fn cancel(&mut self, id: PublishId, out: &mut Outputs) {
        for window in self.windows.iter_mut().flatten() {
            window.cancel(id, CANCELLED, &mut self.load, out);
        }
    }

    /// The hub has said what it takes.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        self.allowance.welcomed(welcome);
        self.at_rest = false;
    }

    /// What the hub takes.
    #[must_use]
    pub(crate) const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The link has ended for something that was sent on it. Whether it was a message, or may have been.
    ///
    /// If several were on their way, each goes alone on the next link, behind all else: should that end too, it is
    /// known whose fault it was. A void then takes that message's place.
    pub(crate) fn blamed(&mut self, code: Code, out: &mut Outputs) -> bool {
        let careful = self.is_careful();
        let mut is_blamed = false;
        for window in self.windows.iter_mut().flatten().filter(|window| window.flying() > 0) {
            is_blamed = true;
            if careful {
                window.give_up_sent(code.into(), &mut self.load, out);
            }
        }
        if is_blamed && !careful {
            self.load.suspects = self.load.count;
            if code == Code::TooLarge {
                self.allowance.packet_bytes /= 8;
            }
        }
        is_blamed
    }

    /// What is on its way on this link: bytes of payload, and one for each publish.
    pub(crate) fn flying(&self) -> u64 {
        self.windows.iter().flatten().map(Window::flying).sum()
    }

    const fn is_careful(&self) -> bool {
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
        if window.has_failed() && window.give_back() {
            Shut { handle: handle(place) }.put(&mut self.shuts);
        }
        if window.has_failed() && window.is_idle() {
            self.forget(place);
        }
    }

    /// Lets windows go on whose wait is over.
    pub(crate) fn tick(&mut self, now: Millis) {
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
        self.tidy(place(handle));
    }

    fn by_handle(&mut self, handle: Handle) -> Option<&mut Window> {
        self.at_rest = false;
        self.windows.get_mut(place(handle))?.as_mut()
    }

    /// Appends what can be sent now to a packet: handles to open, and, once the hub has welcomed us, messages.
    pub(crate) fn fill(&mut self, packet: &mut Packet, online: bool, out: &mut Outputs) {
        if self.at_rest {
            return;
        }
        packet.bytes.append(&mut self.shuts);
        let careful = self.is_careful();
        let all_open = self.open_windows(careful, packet);
        self.at_rest = all_open && (!online || self.send(careful, packet, out));
    }

    /// Appends messages. `false` if there is more to send at once, in another packet.
    fn send(&mut self, careful: bool, packet: &mut Packet, out: &mut Outputs) -> bool {
        let mut flying = self.flying();
        let mut size = packet.bytes.len();
        let places = self.windows.len();
        for step in 0..places {
            let place = (self.turn + step) % places;
            let Some(Some(window)) = self.windows.get_mut(place) else { continue };
            while let Some(next) = window.peek(&self.allowance) {
                if next.too_large {
                    window.give_up(Code::TooLarge.into(), &mut self.load, out);
                    continue;
                }
                if flying > 0 && (careful || flying + u64::from(next.len) > IN_FLIGHT_BYTES_MAX) {
                    break;
                }
                if size > 0
                    && (careful || size + next.len as usize + HEAD_BYTES > self.allowance.packet_bytes)
                {
                    self.turn = place + 1;
                    return false;
                }
                let before = packet.bytes.len();
                window.send(handle(place), &self.allowance, packet);
                size += packet.bytes.len() - before + next.len as usize;
                flying += u64::from(next.len) + 1;
            }
        }
        true
    }

    /// Appends handles to open. `false` if there are more, for another packet.
    fn open_windows(&mut self, careful: bool, packet: &mut Packet) -> bool {
        let mut handles = self.windows.iter().flatten().filter(|window| window.has_handle()).count();
        for place in 0..self.windows.len() {
            if !self.windows.get(place).and_then(Option::as_ref).is_some_and(Window::wants_handle) {
                continue;
            }
            if packet.bytes.len() + OPEN_BYTES_MAX > self.allowance.packet_bytes && !packet.bytes.is_empty() {
                return false;
            }
            if handles >= TOPICS_MAX {
                let Some(idle) = self.longest_idle(true) else { return true };
                self.forget(idle);
                packet.bytes.append(&mut self.shuts);
                handles -= 1;
            }
            if let Some(Some(window)) = self.windows.get_mut(place) {
                let lowest = window.opening(careful);
                let topic = window.topic.as_str().into();
                Open { handle: handle(place), topic, lowest, ..Open::default() }.put(&mut packet.bytes);
                handles += 1;
            }
        }
        true
    }
}

fn handle(place: usize) -> Handle {
    Handle(place as u64 + 1)
}

fn place(handle: Handle) -> usize {
    (handle.0 as usize).wrapping_sub(1)
}

/// The longest frame that opens a handle, generously, with one that shuts another.
const OPEN_BYTES_MAX: usize = 300;
