//! One place of the outbox, a message or voids, and how much there is of them.

use alloc::boxed::Box;

use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::position::Position;

use crate::fault::{ClientCode, Fault};
use crate::input::{Millis, NEVER};
use crate::options::PartyId;
use crate::outgoing::Extra;
use crate::output::{Event, PublishId};

/// One message, or a run of voids that goes out as such.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Its number; of a run, that of the first message whose place it takes.
    pub id: PublishId,
    /// Its number among the topic's messages, or the first one of a run.
    pub seq: u64,
    /// How many seqs it takes: one, unless it is a run.
    pub count: u64,
    /// Bytes of its payload.
    pub len: u32,
    /// What the payload is.
    pub content: Content,
    /// What it has besides.
    pub extra: Option<Box<Extra>>,
    /// What it is taken with, or not at all.
    pub batch: Batch,
    /// The hub may have stored it and forgotten.
    pub maybe_duplicate: bool,
    /// Something took it out of its place, where a void is sent now; this is why.
    pub void: Option<Fault>,
    /// It has its outcome, and waits for those before it.
    pub done: bool,
    /// It has its outcome, but its seq must still be used up by a void before those behind it can go: it was never sent,
    /// or to a hub that forgot.
    pub refill: bool,
}

/// Messages with numbers one after another. Those of a batch the hub takes all or none.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Batch {
    /// The number of the first.
    pub first: PublishId,
    /// How many; 0 stands for no batch.
    pub count: u32,
}

impl Batch {
    /// Just one message.
    pub(crate) const fn of(id: PublishId) -> Self {
        Self { first: id, count: 1 }
    }

    /// Whether a message is one of them.
    pub(crate) const fn has(self, id: PublishId) -> bool {
        id.0.wrapping_sub(self.first.0) < self.count as u64
    }
}

/// The message that a window sends next.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Next {
    /// Its number.
    pub id: PublishId,
    /// Its batch; none for a void.
    pub batch: Batch,
    /// Bytes of payload.
    pub len: u32,
    /// The same, with what it has besides.
    pub bytes: u64,
    /// The hub takes none of that size.
    pub too_large: bool,
    /// What it asks of a hub.
    pub wants: Wants,
}

/// What messages ask of a hub that is to have them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Wants {
    /// Bits of its features.
    pub features: u64,
    /// It has them before this time.
    pub until: Millis,
}

impl Wants {
    /// Nothing.
    pub(crate) const NOTHING: Self = Self { features: 0, until: NEVER };

    /// Both.
    pub(crate) fn and(self, other: Self) -> Self {
        Self { features: self.features | other.features, until: self.until.min(other.until) }
    }

    /// Why a hub with these features is not to have them now.
    pub(crate) fn unmet(self, now: Millis, features: u64) -> Option<Fault> {
        if self.until <= now {
            Some(EXPIRED)
        } else if self.features & !features > 0 {
            Some(Code::NotSupported.into())
        } else {
            None
        }
    }
}

/// How much of a party's waits for its outcome, in all windows.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Load {
    /// Whose.
    pub party: PartyId,
    /// Messages.
    pub count: u32,
    /// Bytes of payload, and of what they have besides.
    pub bytes: u64,
    /// So many more outcomes until messages need not go one by one any more: some message ends links.
    pub suspects: u32,
}

impl Entry {
    /// A message that has not been sent. It gets its seq with its place.
    #[must_use]
    pub(crate) const fn new(id: PublishId, content: Content, len: u32) -> Self {
        Self {
            id,
            batch: Batch { first: PublishId(0), count: 0 },
            seq: 0,
            count: 1,
            len,
            content,
            extra: None,
            maybe_duplicate: false,
            void: None,
            done: false,
            refill: false,
        }
    }

    /// Bytes of its payload, and of what it has besides.
    #[must_use]
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.len) + self.extra.as_ref().map_or(0, |extra| extra.len().into())
    }

    /// What it asks of a hub.
    #[must_use]
    pub(crate) fn wants(&self) -> Wants {
        let wants = |extra: &Extra| Wants { features: extra.needs, until: extra.until };
        self.extra.as_deref().map_or(Wants::NOTHING, wants)
    }

    /// Lets go of all that a void does not have.
    pub(crate) fn empty(&mut self) {
        self.len = 0;
        self.extra = None;
    }

    /// The first seq behind it.
    #[must_use]
    pub(crate) const fn end(&self) -> u64 {
        self.seq + self.count
    }
}

impl Load {
    /// What the application hears of one that fails; if it was taken out, it fails for that, whatever else befell it but
    /// for an outcome that was thought forgotten.
    pub(crate) fn failed(&self, entry: &Entry, fault: Fault) -> Event {
        self.refused(entry, fault, None)
    }

    /// The same, where its key's latest message is not the one that its condition names, but here.
    pub(crate) fn refused(&self, entry: &Entry, fault: Fault, current: Option<Position>) -> Event {
        let fault = entry.void.filter(|void| *void != FORGOTTEN || fault == CANCELLED).unwrap_or(fault);
        Event::Failed { party: self.party, id: entry.id, fault, retryable: fault.retryable(), current }
    }

    /// One has its outcome.
    pub(crate) fn take(&mut self, entry: &Entry) {
        self.count -= 1;
        self.bytes -= entry.bytes();
        self.suspects = self.suspects.saturating_sub(1);
    }
}

/// What an application that withdraws is told.
pub(crate) const CANCELLED: Fault = Fault::Client(ClientCode::Cancelled);
/// What it is told of a message that is worth nothing any more.
pub(crate) const EXPIRED: Fault = Fault::Client(ClientCode::Expired);
/// What it is told of a message whose batch has had its outcomes, all but this one.
pub(crate) const FORGOTTEN: Fault = Fault::Protocol(Code::OutcomeForgotten);
