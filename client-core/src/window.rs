//! What one topic still has to send, and what of it the hub has answered.
//!
//! Entry `i` has seq `base + i`, fixed when it is first sent: before that, entries may still leave.

use alloc::string::String;

use tidewire_protocol::client_frame::Publish;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Acked, Opened, Refused};
use tidewire_protocol::number::{Handle, Offset, Seq};

use crate::entry::{Entry, Load, Next};
use crate::fault::{Broken, ClientCode, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{RETRY_MS_MAX, RETRY_MS_MIN};
use crate::mutant::{self, Mutant};
use crate::output::{Event, Packet, PublishId, Published, Splice};
use crate::outputs::Outputs;
use crate::queue::Queue;

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
    pub flying: u64,
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
        let Some(index) = self.find(id) else { return };
        if index >= self.sent {
            self.drop_unsent(index, ClientCode::Cancelled.into(), load, out);
            return;
        }
        let Some(entry) = self.entries.items_mut().get_mut(index).filter(|entry| !entry.done) else { return };
        let len = u64::from(entry.len);
        // What is on its way stays so; the void takes its place should it have to be sent again.
        entry.void = true;
        entry.len = 0;
        load.bytes -= len;
        if index < self.cursor {
            self.flying -= len;
        }
    }

    /// Starts opening a handle; the answer is the lowest unanswered seq.
    pub(crate) fn opening(&mut self) -> Seq {
        let free = self.known && self.sent == 0 || mutant::active(Mutant::SendBeforeOpened);
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

    /// The next message that may be sent: its length, and whether the hub is sure to refuse it for its size.
    pub(crate) fn peek(&mut self, in_flight_max: u64, message_bytes_max: u64) -> Option<Next> {
        if !matches!(self.phase, Phase::Open | Phase::Opening { free: true }) {
            return None;
        }
        while self.entries.items().get(self.cursor).is_some_and(|entry| entry.done && !entry.refill) {
            self.cursor += 1;
        }
        let entry = self.entries.items().get(self.cursor).filter(|_| (self.cursor as u64) < in_flight_max)?;
        let unsent = self.cursor >= self.sent;
        Some(Next { len: entry.len, too_large: unsent && u64::from(entry.len) > message_bytes_max })
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
            void: entry.void || entry.refill,
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

    /// The hub has done some.
    pub(crate) fn acked(&mut self, acked: &Acked, load: &mut Load, out: &mut Outputs) {
        self.retry_ms = RETRY_MS_MIN;
        for index in self.answered(acked.seq, acked.count) {
            let Some(entry) = self.finish(index, load) else { continue };
            let seq = self.base + index as u64;
            // Only a void has no offset; one that does have an offset came too late.
            if acked.offset.0 == 0 {
                out.tell(entry.failed(ClientCode::Cancelled.into()));
                continue;
            }
            out.tell(Event::Published(Published {
                id: entry.id,
                epoch: acked.epoch,
                offset: Offset(acked.offset.0 + (seq - acked.seq.0)),
                duplicate: acked.duplicate,
                maybe_duplicate: entry.maybe_duplicate,
                durability: acked.durability,
            }));
        }
        self.trim();
    }

    /// The hub refuses some, or the handle.
    ///
    /// # Errors
    /// [`Broken`] if the hub refuses as out of order what it should take next.
    pub(crate) fn refused(
        &mut self,
        now: Millis,
        refused: &Refused<'_>,
        load: &mut Load,
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let fault = refused.code.into();
        if refused.seq.0 == 0 {
            if !refused.code.retryable() {
                self.phase = Phase::Shut;
                self.fail_all(fault, load, out);
            } else if matches!(self.phase, Phase::Opening { .. }) {
                self.phase = Phase::Barred { until: now + self.wait_ms(refused) };
            }
            return Ok(());
        }
        let indices = self.answered(refused.seq, refused.count);
        match self.phase {
            // What was sent behind an `open` that was refused.
            Phase::Shut | Phase::Barred { .. } | Phase::Opening { .. } => return Ok(()),
            Phase::Open | Phase::Paused { .. } => {}
        }
        if refused.consumed {
            for index in indices {
                let Some(entry) = self.finish(index, load) else { continue };
                out.tell(entry.failed(fault));
            }
            self.trim();
        } else if !refused.code.retryable() {
            // The seq is not used up and never will be, so nothing behind it can be sent either.
            self.fail_all(fault, load, out);
        } else if refused.code == Code::OutOfOrder && refused.seq.0 == self.base {
            return Err(Broken);
        } else if self.phase == Phase::Open {
            self.phase = Phase::Paused { until: now + self.wait_ms(refused) };
        }
        Ok(())
    }

    fn wait_ms(&mut self, refused: &Refused<'_>) -> Millis {
        let wait = self.retry_ms.max(refused.retry_after_ms);
        self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
        wait
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

    /// The entries that an answer is about.
    fn answered(&mut self, seq: Seq, count: u64) -> core::ops::Range<usize> {
        let count = count.max(1);
        self.unanswered = self.unanswered.saturating_sub(count);
        let index = |seq: u64| (seq.saturating_sub(self.base) as usize).min(self.sent);
        index(seq.0)..index(seq.0.saturating_add(count))
    }

    /// Notes that an entry has its outcome; gives it if that is news.
    fn finish(&mut self, index: usize, load: &mut Load) -> Option<Entry> {
        let entry = self.entries.items_mut().get_mut(index)?;
        if entry.done {
            entry.refill = false;
            return None;
        }
        entry.done = true;
        let entry = *entry;
        load.take(entry);
        if index < self.cursor {
            self.flying -= u64::from(entry.len);
        }
        Some(entry)
    }

    /// Lets go of the entries at the front that are done.
    fn trim(&mut self) {
        let stays = |entry: &Entry| !entry.done || entry.refill;
        let items = self.entries.items();
        let count = items.iter().position(stays).unwrap_or(items.len());
        self.entries.pop(count);
        self.base += count as u64;
        self.sent = self.sent.saturating_sub(count);
        self.cursor = self.cursor.saturating_sub(count);
    }

    /// Takes back what is on its way, to send it again, with the lowest seq: a refused publish has not told it.
    fn rewind(&mut self) {
        self.flying = 0;
        self.lowest_told = 0;
        self.cursor = 0;
    }
}
