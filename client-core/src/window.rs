//! What one topic still has to send, and what of it the hub has answered.
//!
//! Entry `i` has seq `base + i`, fixed when it is first sent: before that, entries may still leave.

use alloc::string::String;

use tidewire_protocol::client_frame::Publish;
use tidewire_protocol::hub_frame::Opened;
use tidewire_protocol::number::{Handle, Seq};

use crate::allowance::Allowance;
use crate::entry::{Entry, Load, Next};
use crate::fault::{ClientCode, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::RETRY_MS_MIN;
use crate::mutant::{self, Mutant};
use crate::output::{Event, Packet, PublishId, Splice};
use crate::outputs::Outputs;
use crate::queue::Queue;

mod answers;

/// A topic's messages from the lowest unanswered on.
#[derive(Debug)]
pub(crate) struct Window {
    /// The topic.
    pub topic: String,
    /// How it stands to the hub.
    pub phase: Phase,
    /// When it was last used, counted in uses.
    pub used: u64,
    /// Payload bytes on their way on this link.
    flying: u64,
    entries: Queue<Entry>,
    base: u64,
    /// How many entries have a seq: they were sent, on this link or an earlier one.
    sent: usize,
    /// How many are on their way on this link.
    cursor: usize,
    /// Lowest unanswered seq that the hub was told of.
    lowest_told: u64,
    /// Publishes sent on this link and not answered. Each is answered once.
    unanswered: u64,
    retry_ms: Millis,
    /// Whether `base` is known to be right. If not, the hub says what comes next.
    known: bool,
}

/// How a window stands to the hub.
///
/// ```text
///   Shut ── open sent ──► Opening ── opened ──► Open ◄── wait is over ── Paused
///    ▲                       │                   └── refused for now ─────┘
///    └─ wait is over ─ Barred ◄┘ refused for now       (a link that breaks: Shut)
/// ```
///
/// A wait is over when its time has come and all that was sent is answered: an answer can then never be
/// taken for that to another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// It has no handle on this link.
    Shut,
    /// The hub would not open it; not again before then.
    Barred { until: Millis },
    /// `open` is sent. `free` if nothing of it was sent before, so that new messages need not wait.
    Opening { free: bool },
    /// Its handle can be used.
    Open,
    /// The hub refused a message for now; from the lowest unanswered on, not before then.
    Paused { until: Millis },
}

impl Window {
    /// The window of a topic that the client never published to; unless `known`, it may be one forgotten.
    pub(crate) const fn new(topic: String, known: bool) -> Self {
        Self {
            topic,
            phase: Phase::Shut,
            used: 0,
            flying: 0,
            entries: Queue::new(),
            base: 1,
            sent: 0,
            cursor: 0,
            lowest_told: 0,
            unanswered: 0,
            retry_ms: RETRY_MS_MIN,
            known,
        }
    }

    /// Whether it may be forgotten: nothing waits, no answer is to come.
    pub(crate) fn is_idle(&self) -> bool {
        self.entries.items().is_empty()
            && self.unanswered == 0
            && matches!(self.phase, Phase::Shut | Phase::Open)
    }

    /// Whether it wants a handle.
    pub(crate) fn wants_handle(&self) -> bool {
        self.phase == Phase::Shut && self.unanswered == 0 && !self.entries.items().is_empty()
    }

    /// Puts a message behind the others.
    pub(crate) fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
    }

    /// The oldest message that was never sent; one beyond all if there is none.
    pub(crate) fn oldest_unsent(&self) -> PublishId {
        self.entries.items().get(self.sent).map_or(PublishId(u64::MAX), |entry| entry.id)
    }

    /// Takes out the oldest message that was never sent, if there is one.
    pub(crate) fn drop_oldest_unsent(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) -> bool {
        self.drop_unsent(self.sent, fault, load, out)
    }

    fn find(&self, id: PublishId) -> Option<usize> {
        self.entries.items().iter().position(|entry| entry.id == id)
    }

    fn drop_unsent(&mut self, index: usize, fault: Fault, load: &mut Load, out: &mut Outputs) -> bool {
        let Some(&entry) = self.entries.items().get(index) else { return false };
        self.entries.remove(index);
        load.take(entry);
        out.tell(entry.failed(fault));
        true
    }

    /// Marks a message as one that may have been stored before, if it is here.
    pub(crate) fn doubt(&mut self, id: PublishId) {
        if let Some(entry) = self.find(id).and_then(|index| self.entries.items_mut().get_mut(index)) {
            entry.maybe_duplicate = true;
        }
    }

    /// Withdraws a message, if it is here.
    pub(crate) fn cancel(&mut self, id: PublishId, load: &mut Load, out: &mut Outputs) {
        if let Some(index) = self.find(id) {
            self.take_out(index, ClientCode::Cancelled.into(), load, out);
        }
    }

    /// Gives up the message that [`Self::peek`] saw.
    pub(crate) fn give_up(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) {
        self.take_out(self.cursor, fault, load, out);
    }

    /// Gives up the message that was sent last.
    pub(crate) fn give_up_sent(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) {
        self.take_out(self.cursor.wrapping_sub(1), fault, load, out);
    }

    /// Takes a message out of its place: at once if it has no seq, else a void takes its place, and it fails with that.
    #[inline(never)]
    fn take_out(&mut self, index: usize, fault: Fault, load: &mut Load, out: &mut Outputs) {
        if index >= self.sent {
            self.drop_unsent(index, fault, load, out);
            return;
        }
        let Some(entry) = self.entries.items_mut().get_mut(index).filter(|entry| !entry.done) else { return };
        let len = u64::from(entry.len);
        // What is on its way stays so; the void is for the next time.
        entry.void = Some(fault);
        entry.len = 0;
        load.bytes -= len;
        if index < self.cursor {
            self.flying -= len;
        }
    }

    /// What is on its way on this link: bytes of payload, and one for each publish.
    pub(crate) const fn flying(&self) -> u64 {
        self.flying + self.unanswered
    }

    /// Starts opening a handle; the answer is the lowest unanswered seq. If `careful`, nothing is sent before the hub
    /// has opened it.
    pub(crate) fn opening(&mut self, careful: bool) -> Seq {
        let free = self.known && self.sent == 0 && !careful || mutant::active(Mutant::SendBeforeOpened);
        self.phase = Phase::Opening { free };
        self.lowest_told = self.base;
        Seq(self.base)
    }

    /// The hub has opened the handle.
    pub(crate) fn opened(&mut self, opened: &Opened) {
        let Phase::Opening { free } = self.phase else { return };
        self.phase = Phase::Open;
        if free {
            return;
        }
        if self.sent == 0 && !self.known {
            self.base = self.base.max(opened.next.0);
        }
        self.known = true;
        // Below our lowest means a hub restored from an older state: it knows no more than a new one.
        let forgot = opened.window_new || opened.next.0 < self.base;
        let marks = forgot && !mutant::active(Mutant::MaybeDuplicateUnmarked);
        for (entry, seq) in self.entries.items_mut().iter_mut().zip(self.base..).take(self.sent) {
            entry.maybe_duplicate |= marks && !entry.done;
            entry.refill = entry.done && seq >= opened.next.0;
        }
    }

    /// The next message that may be sent: its length, and whether the hub is sure not to take it for its size.
    pub(crate) fn peek(&mut self, allowance: &Allowance) -> Option<Next> {
        if !matches!(self.phase, Phase::Open | Phase::Opening { free: true }) {
            return None;
        }
        while self.entries.items().get(self.cursor).is_some_and(|entry| entry.done && !entry.refill) {
            self.cursor += 1;
        }
        let entry =
            self.entries.items().get(self.cursor).filter(|_| (self.cursor as u64) < allowance.in_flight)?;
        // The hub answers one that it may have taken when it took larger ones, if only it fits a frame.
        let is_sent = self.cursor < self.sent;
        let bytes_max = if is_sent { allowance.carried_bytes } else { allowance.payload_bytes };
        Some(Next { len: entry.len, too_large: !entry.done && u64::from(entry.len) > bytes_max })
    }

    /// Appends the message that [`Self::peek`] saw.
    pub(crate) fn send(&mut self, handle: Handle, packet: &mut Packet) {
        let Some(entry) = self.entries.items().get(self.cursor) else { return };
        let publish = Publish {
            handle,
            seq: Seq(self.base + self.cursor as u64),
            lowest: if self.lowest_told == self.base { Seq(0) } else { Seq(self.base) },
            content: entry.content,
            maybe_duplicate: entry.maybe_duplicate,
            void: entry.void.is_some() || entry.refill,
            ..Publish::default()
        };
        let len = if entry.refill { 0 } else { entry.len };
        publish.put_head(len as usize, &mut packet.bytes);
        if len > 0 {
            packet.payloads.push(Splice { at: packet.bytes.len() as u32, id: entry.id });
        }
        if !entry.done {
            self.flying += u64::from(len);
        }
        self.lowest_told = self.base;
        self.cursor += 1;
        self.sent = self.sent.max(self.cursor);
        self.unanswered += 1;
    }

    /// Whether it waits, for a time or for answers.
    pub(crate) const fn is_waiting(&self) -> bool {
        matches!(self.phase, Phase::Barred { .. } | Phase::Paused { .. })
    }

    /// Ends a wait that is over; gives the time of one that is not there yet.
    pub(crate) fn tick(&mut self, now: Millis) -> Millis {
        let (until, next) = match self.phase {
            Phase::Barred { until } => (until, Phase::Shut),
            Phase::Paused { until } => (until, Phase::Open),
            Phase::Shut | Phase::Opening { .. } | Phase::Open => return NEVER,
        };
        if now < until {
            return until;
        }
        if self.unanswered == 0 {
            self.rewind();
            self.phase = next;
        }
        NEVER
    }

    /// The link is gone.
    pub(crate) fn reset(&mut self) {
        self.phase = Phase::Shut;
        self.unanswered = 0;
        self.retry_ms = RETRY_MS_MIN;
        self.rewind();
    }

    /// Everything that waits has failed. The window is of no use after that.
    pub(crate) fn fail_all(&mut self, fault: Fault, load: &mut Load, out: &mut Outputs) {
        for entry in self.entries.items().iter().filter(|entry| !entry.done) {
            load.take(*entry);
            // Also one that the application withdrew: nobody knows whether it had landed before.
            out.tell(Event::Failed { id: entry.id, fault, retryable: fault.retryable() });
        }
        self.entries.clear();
        self.sent = 0;
        self.cursor = 0;
        self.flying = 0;
        self.known = false;
    }

    /// Whether it has failed, so that its next seq is not known any more.
    pub(crate) fn has_failed(&self) -> bool {
        !self.known && self.sent == 0 && !matches!(self.phase, Phase::Opening { .. } | Phase::Barred { .. })
    }

    /// Lets go of its handle; `true` if it had one.
    pub(crate) fn give_back(&mut self) -> bool {
        let had = self.has_handle();
        self.phase = Phase::Shut;
        had
    }

    /// Whether the hub holds a handle for it.
    pub(crate) const fn has_handle(&self) -> bool {
        matches!(self.phase, Phase::Opening { .. } | Phase::Open | Phase::Paused { .. })
    }

    /// Takes back what is on its way, to send it again, with the lowest seq: a refused publish has not told it.
    fn rewind(&mut self) {
        self.flying = 0;
        self.lowest_told = 0;
        self.cursor = 0;
    }
}
