//! Who is there to publish: each producer with one participant of one connection at a time.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{ProducerId, Tag};

use crate::clock::Millis;
use crate::ledger::Account;
use crate::names::producers::{Arrival, Attachment, Claim};
use crate::sync::lock;
use crate::topics::Topics;

impl Topics {
    /// The number of a connection that comes. To be drawn before its client may say anything on it.
    pub fn arrive(&self) -> Arrival {
        Arrival(self.next_arrival.fetch_add(1, Ordering::Relaxed))
    }

    /// Registers a participant: fences who had its producer, if it has one, and gives it a public tag.
    ///
    /// # Errors
    /// [`Code::IdentityMismatch`] if the producer is another subject's, [`Code::Fenced`] if a higher incarnation was seen, or one with the same has it whose connection came later.
    pub fn attach(
        &self,
        account: &Arc<Account>,
        claim: Claim<'_>,
    ) -> Result<(Option<Attachment>, Tag), Code> {
        let mut attachment = None;
        if claim.producer != ProducerId::default() {
            let (attached, former) = lock(&self.producers).attach(account, claim)?;
            attachment = Some(attached);
            if let Some(former) = former {
                let inbox = &self.inboxes[former.shard as usize];
                if inbox.leave_fenced(former.slot) {
                    inbox.wake();
                }
            }
        }
        Ok((attachment, Tag(self.next_tag.fetch_add(1, Ordering::Relaxed))))
    }

    /// A participant that had a producer is gone.
    pub fn detach(&self, now: Millis, attachment: &Attachment) {
        lock(&self.producers).detach(now, attachment);
    }
}
