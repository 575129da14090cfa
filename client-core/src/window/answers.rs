//! What the hub answers to what a window sent.

use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Acked, Refused};
use tidewire_protocol::number::{Offset, Seq};

use crate::entry::{CANCELLED, Entry, Load};
use crate::fault::Broken;
use crate::input::Millis;
use crate::limits::{RETRY_MS_MAX, RETRY_MS_MIN};
use crate::output::{Event, Published};
use crate::outputs::Outputs;
use crate::window::{Phase, Window};

impl Window {
    /// The hub has done some.
    pub(crate) fn acked(&mut self, acked: &Acked, load: &mut Load, out: &mut Outputs) {
        self.retry_ms = RETRY_MS_MIN;
        for index in self.answered(acked.seq, acked.count) {
            let Some(entry) = self.finish(index, acked.seq, acked.count, load) else { continue };
            // Only a void has no offset; one that does have an offset came too late.
            if acked.offset.0 == 0 {
                out.tell(load.failed(entry, CANCELLED));
                continue;
            }
            out.tell(Event::Published(Published {
                party: load.party,
                id: entry.id,
                epoch: acked.epoch,
                offset: Offset(acked.offset.0 + (entry.seq - acked.seq.0)),
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
                let Some(entry) = self.finish(index, refused.seq, refused.count, load) else { continue };
                out.tell(load.refused(entry, fault, refused.current));
            }
            self.trim();
        } else if !refused.code.retryable() {
            // The seq is not used up and never will be, so nothing behind it can be sent either.
            self.fail_all(fault, load, out);
        } else if refused.code == Code::OutOfOrder && refused.seq.0 == self.lowest() && self.told_lowest() {
            return Err(Broken);
        } else if matches!(self.phase, Phase::Open) {
            self.phase = Phase::Paused { until: now + self.wait_ms(refused) };
        }
        Ok(())
    }

    fn wait_ms(&mut self, refused: &Refused<'_>) -> Millis {
        let wait = self.retry_ms.max(refused.retry_after_ms);
        self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
        wait
    }

    /// The places of the entries that an answer is about.
    fn answered(&mut self, seq: Seq, count: u64) -> core::ops::Range<usize> {
        let count = count.max(1);
        self.unanswered = self.unanswered.saturating_sub(count);
        let end = seq.0.saturating_add(count).min(self.sent);
        let last = self.index(end);
        let is_partly = self.entries.items().get(last).is_some_and(|entry| entry.seq < end);
        self.index(seq.0)..last + usize::from(is_partly)
    }

    /// Notes that an entry has its outcome; gives it if that is news. Of a run of voids, some may be answered.
    fn finish(&mut self, index: usize, seq: Seq, count: u64, load: &mut Load) -> Option<&Entry> {
        let entry = self.entries.items_mut().get_mut(index)?;
        if entry.done {
            let end = seq.0.saturating_add(count.max(1)).min(self.sent);
            if seq.0 <= entry.seq && end >= entry.end() {
                entry.refill = false;
            } else if seq.0 <= entry.seq {
                entry.count = entry.end() - end;
                entry.seq = end;
            }
            return None;
        }
        entry.done = true;
        load.take(entry);
        if entry.seq < self.cursor {
            self.flying -= entry.bytes();
        }
        entry.empty();
        Some(entry)
    }
}
