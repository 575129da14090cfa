//! What one topic still has to send, and what of it the hub has answered.
//!
//! A message has its place among the topic's messages from when it is taken in, and with it its seq; only where the hub
//! has yet to say what came before, the seqs of all that was never sent move together. Nothing leaves the middle: what
//! is taken out leaves a void in its place.

use alloc::string::String;

use tidewire_protocol::client_frame::Publish;
use tidewire_protocol::hub_frame::Opened;
use tidewire_protocol::number::{Handle, Seq};

use crate::allowance::Allowance;
use crate::entry::{Batch, Entry, Load, Next};
use crate::fault::Fault;
use crate::filling::{Filling, Flying};
use crate::input::{Millis, NEVER};
use crate::limits::RETRY_MS_MIN;
use crate::mutant::{self, Mutant};
use crate::options::PartyId;
use crate::output::{Event, Splice};
use crate::outputs::Outputs;
use crate::queue::Queue;

mod answers;

pub(crate) mod places;

/// A topic's messages from the lowest unanswered on.
#[derive(Debug)]
pub(crate) struct Window {
    /// The topic.
    pub topic: String,
    /// How it stands to the hub.
    pub phase: Phase,
    /// When it was last used, counted in uses.
    pub used: u64,
    /// Bytes of messages sent on this link and not done, since the last rewind.
    flying: u64,
    entries: Queue<Entry>,
    /// The seq of the next message that is taken in.
    next: u64,
    /// The lowest seq that was never sent, on this link or an earlier one.
    sent: u64,
    /// The seq that is sent next on this link.
    cursor: u64,
    /// Lowest unanswered seq that the hub was told of.
    lowest_told: u64,
    /// Seqs sent on this link and not answered. Each is answered once.
    unanswered: u64,
    retry_ms: Millis,
    /// Whether the seqs of what was never sent are known to be right. If not, the hub says what comes next.
    known: bool,
    /// Whether the hub has opened it before, on this link or an earlier one.
    pub again: bool,
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
            next: 1,
            sent: 1,
            cursor: 1,
            lowest_told: 0,
            unanswered: 0,
            retry_ms: RETRY_MS_MIN,
            known,
            again: false,
        }
    }

    /// Whether it may be forgotten: nothing waits, no answer is to come.
    pub(crate) fn is_idle(&self) -> bool {
        !self.waits_from(0) && self.unanswered == 0 && matches!(self.phase, Phase::Shut | Phase::Open)
    }

    /// Whether it wants a handle.
    pub(crate) fn wants_handle(&self) -> bool {
        matches!(self.phase, Phase::Shut) && self.unanswered == 0 && self.waits_from(0)
    }

    /// What is on its way on this link. What is answered is not, also if it was refused and goes again later.
    pub(crate) const fn flying(&self) -> Flying {
        let bytes = if self.unanswered == 0 { 0 } else { self.flying + self.unanswered };
        Flying { count: self.unanswered, bytes }
    }

    /// Starts opening a handle; the answer is the lowest unanswered seq. If `careful`, nothing is sent before the hub
    /// has opened it.
    pub(crate) fn opening(&mut self, careful: bool) -> Seq {
        let lowest = self.lowest();
        let free = self.known && self.sent <= lowest && !careful || mutant::active(Mutant::SendBeforeOpened);
        self.phase = Phase::Opening { free };
        self.lowest_told = lowest;
        Seq(lowest)
    }

    /// The hub has opened the handle.
    pub(crate) fn opened(&mut self, opened: &Opened) {
        let Phase::Opening { free } = self.phase else { return };
        self.phase = Phase::Open;
        self.again = true;
        if free {
            return;
        }
        if !self.known {
            self.move_unsent(opened.next.0);
        }
        self.known = true;
        // Below our lowest means a hub restored from an older state: it knows no more than a new one.
        let forgot = opened.window_new || opened.next.0 < self.lowest();
        let marks = forgot && !mutant::active(Mutant::MaybeDuplicateUnmarked);
        let sent = self.sent;
        for entry in self.entries.items_mut().iter_mut().take_while(|entry| entry.seq < sent) {
            entry.maybe_duplicate |= marks && !entry.done;
            entry.refill |= entry.done && entry.end() > opened.next.0;
        }
        self.trim();
    }

    /// The next message that may be sent: its length, and whether the hub is sure not to take it for its size.
    pub(crate) fn peek(&mut self, allowance: &Allowance) -> Option<Next> {
        if !matches!(self.phase, Phase::Open | Phase::Opening { free: true }) {
            return None;
        }
        let mut index = self.index(self.cursor);
        while let Some(entry) = self.entries.items().get(index)
            && entry.done
            && !entry.refill
        {
            self.cursor = entry.end();
            index += 1;
        }
        let entry = self.entries.items().get(index)?;
        self.cursor = self.cursor.max(entry.seq);
        // A void is there for those behind it only.
        if self.cursor - self.lowest() >= allowance.in_flight || entry.done && !self.waits_from(index) {
            return None;
        }
        // The hub answers one that it may have taken when it took larger ones, if only it fits a frame.
        let is_sent = self.cursor < self.sent;
        let is_void = entry.done || entry.void.is_some();
        Some(Next {
            id: entry.id,
            batch: if is_void { Batch::default() } else { entry.batch },
            len: entry.len,
            bytes: entry.bytes(),
            too_large: !entry.done && allowance.is_too_large(entry.len.into(), entry.bytes(), is_sent),
            wants: entry.wants(),
        })
    }

    /// Appends the message that [`Self::peek`] saw, or as much of a run of voids as may go.
    pub(crate) fn send(&mut self, party: PartyId, handle: Handle, filling: &mut Filling<'_>) {
        let Filling { now, allowance, ref mut packet, .. } = *filling;
        let Some(entry) = self.entries.items().get(self.index(self.cursor)) else { return };
        let lowest = self.lowest();
        let room = if allowance.void_runs { lowest + allowance.in_flight - self.cursor } else { 1 };
        let count = (entry.end() - self.cursor).min(room);
        let void = entry.void.is_some() || entry.done;
        let bytes = entry.bytes();
        let publish = Publish {
            handle,
            seq: Seq(self.cursor),
            lowest: if self.lowest_told == lowest { Seq(0) } else { Seq(lowest) },
            content: entry.content,
            maybe_duplicate: entry.maybe_duplicate,
            void,
            count: if count > 1 { count } else { 0 },
            ..Publish::default()
        };
        let len = if void { 0 } else { entry.len };
        let is_bare = mutant::active(Mutant::ExtraSentOnce) && self.cursor < self.sent;
        let extra = entry.extra.as_ref().filter(|_| !is_bare);
        let put = |out: &mut _| extra.into_iter().for_each(|extra| extra.put(now, out));
        publish.put_head_with(put, len as usize, &mut packet.bytes);
        if !void {
            let at = packet.bytes.len() as u32;
            packet.payloads.push(Splice { at, party, id: entry.id, seq: publish.seq });
        }
        self.flying += bytes;
        self.lowest_told = lowest;
        self.cursor += count;
        self.sent = self.sent.max(self.cursor);
        self.unanswered += count;
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
            load.take(entry);
            // Also one that the application withdrew: nobody knows whether it had landed before.
            let (party, id, retryable) = (load.party, entry.id, fault.retryable());
            out.tell(Event::Failed { party, id, fault, retryable, current: None });
        }
        self.next = self.lowest();
        self.entries.clear();
        self.sent = self.next;
        self.cursor = self.next;
        self.flying = 0;
        self.known = false;
    }

    /// Whether it has failed, so that its next seq is not known any more.
    pub(crate) fn has_failed(&self) -> bool {
        !self.known
            && self.sent <= self.lowest()
            && !matches!(self.phase, Phase::Opening { .. } | Phase::Barred { .. })
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

    /// Whether the hub was told what is wanted. If not, it may have gone back to what an earlier owner had sent.
    fn told_lowest(&self) -> bool {
        self.lowest_told == self.lowest()
    }

    /// Takes back what is on its way, to send it again, with the lowest seq: a refused publish has not told it.
    fn rewind(&mut self) {
        self.flying = 0;
        self.lowest_told = 0;
        self.cursor = self.lowest();
    }
}
