//! Those who publish through this client: the client itself, and whoever else is attached to its connection. Each has an
//! identity, an outbox and a tag of its own.

use alloc::vec::Vec;

use tidewire_protocol::client_frame::Attach;
#[cfg(feature = "parties")]
use tidewire_protocol::client_frame::Detach;
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{Acked, Attached, Detached, Opened, Refused, Welcome};
use tidewire_protocol::number::{Handle, Incarnation, Participant, ProducerId};

use crate::allowance::Allowance;
use crate::fault::{Broken, Fault};
use crate::filling::{Filling, Flying};
use crate::input::{Millis, NEVER};
use crate::limits::{ASK_BYTES_MAX, HANDLES_MAX, RETRY_MS_MAX};
use crate::mutant::{self, Mutant};
use crate::options::{Options, OutboxOptions, PartyId};
use crate::outbox::Outbox;
use crate::output::{Event, Packet};
use crate::outputs::Outputs;
use crate::pace::Pace;

/// Whether others than the client itself can be attached; where they cannot, little of this is linked.
pub(crate) const JOINS: bool = cfg!(feature = "parties");

/// All who publish.
#[derive(Debug)]
pub(crate) struct Parties {
    list: Vec<Party>,
    last: u32,
    /// Place of the party that may send first.
    turn: usize,
    allowance: Allowance,
    pace: Pace,
    /// Frames to send.
    wire: Vec<u8>,
}

#[derive(Debug)]
struct Party {
    id: PartyId,
    producer: ProducerId,
    incarnation: Incarnation,
    stage: Stage,
    outbox: Outbox,
}

/// How a party stands to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// To be attached, not before this time.
    Wanted { ask_at: Millis },
    /// Attached, or about to be: what follows is taken in the same order. The client itself is by signing in.
    Here,
}

impl Party {
    /// Whether there is nothing to send for it until something happens.
    fn is_at_rest(&self) -> bool {
        match self.stage {
            Stage::Wanted { ask_at } if JOINS => ask_at > 0,
            Stage::Wanted { .. } | Stage::Here => self.outbox.at_rest,
        }
    }
}

impl Parties {
    /// Nobody yet.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            list: Vec::new(),
            last: 0,
            turn: 0,
            allowance: Allowance::new(),
            pace: Pace::new(),
            wire: Vec::new(),
        }
    }

    /// The client itself comes, before all others.
    pub(crate) fn begin(&mut self, options: &Options) {
        self.join(options.producer, options.incarnation, options.outbox, Stage::Here);
    }

    fn join(&mut self, producer: ProducerId, incarnation: Incarnation, outbox: OutboxOptions, stage: Stage) {
        let id = PartyId(self.last);
        let outbox = Outbox::new(outbox, incarnation.0 > 1, id);
        self.list.push(Party { id, producer, incarnation, stage, outbox });
    }

    /// One more.
    #[cfg(feature = "parties")]
    pub(crate) fn attach(
        &mut self,
        producer: ProducerId,
        incarnation: Incarnation,
        outbox: OutboxOptions,
    ) -> PartyId {
        self.last += 1;
        self.join(producer, incarnation, outbox, Stage::Wanted { ask_at: 0 });
        PartyId(self.last)
    }

    /// A party goes; what waits in its outbox fails. The client itself stays.
    #[cfg(feature = "parties")]
    pub(crate) fn detach(&mut self, id: PartyId, fault: Fault, out: &mut Outputs) {
        let Some(index) = self.list.iter().position(|party| party.id == id && id.0 > 0) else { return };
        let mut party = self.list.remove(index);
        party.outbox.fail_all(fault, out);
        if party.stage == Stage::Here {
            Detach { participant: participant(id) }.put(&mut self.wire);
        }
        self.rouse();
    }

    /// The hub has taken a party.
    pub(crate) fn attached(&self, frame: &Attached) -> Option<PartyId> {
        self.list.iter().map(|party| party.id).find(|id| participant(*id) == frame.participant)
    }

    /// The hub will not have a party, or not now.
    pub(crate) fn detached(&mut self, now: Millis, frame: &Detached<'_>, out: &mut Outputs) {
        let is_it = |party: &Party| participant(party.id) == frame.participant;
        // One that was asked to go is not here any more.
        let Some(index) = self.list.iter().position(is_it) else { return };
        let party = &mut self.list[index];
        if JOINS && frame.code.retryable() && party.id.0 > 0 {
            party.outbox.reset();
            party.stage = Stage::Wanted { ask_at: now + RETRY_MS_MAX };
            return;
        }
        let (id, fault) = (party.id, frame.code.into());
        party.outbox.fail_all(fault, out);
        out.tell(Event::Detached { party: id, fault });
        if JOINS && id.0 > 0 {
            self.list.remove(index);
        }
        self.rouse();
    }

    /// Its outbox.
    pub(crate) fn outbox(&mut self, id: PartyId) -> Option<&mut Outbox> {
        self.party(id).map(|party| &mut party.outbox)
    }

    fn party(&mut self, id: PartyId) -> Option<&mut Party> {
        let place = if JOINS { self.list.iter().position(|party| party.id == id)? } else { 0 };
        self.list.get_mut(place)
    }

    /// All outboxes.
    pub(crate) fn outboxes(&self) -> impl Iterator<Item = &Outbox> {
        self.list.iter().map(|party| &party.outbox)
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Outbox> {
        self.list.iter_mut().map(|party| &mut party.outbox)
    }

    fn rouse(&mut self) {
        self.all().for_each(Outbox::rouse);
    }

    /// What the hub takes.
    #[must_use]
    pub(crate) const fn allowance(&self) -> &Allowance {
        &self.allowance
    }

    /// The hub has said what it takes.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        self.allowance.welcomed(welcome);
        self.rouse();
    }

    /// The link has ended for something that was sent on it. Whether it was a message, or may have been.
    ///
    /// If several were on their way, each goes alone on the next link, behind all else: should that end too, it is
    /// known whose fault it was.
    pub(crate) fn blamed(&mut self, code: Code, out: &mut Outputs) -> bool {
        if self.flying().count == 0 {
            return false;
        }
        let careful = self.is_careful();
        for outbox in self.all() {
            if careful {
                outbox.give_up_sent(code, out);
            } else {
                outbox.suspect_all();
            }
        }
        if !careful && code == Code::TooLarge {
            self.allowance.packet_bytes /= 8;
        }
        true
    }

    /// What is on its way on this link.
    pub(crate) fn flying(&self) -> Flying {
        let mut sum = Flying::default();
        for window in self.outboxes().flat_map(Outbox::windows) {
            let flying = window.flying();
            sum.count += flying.count;
            sum.bytes += flying.bytes;
        }
        sum
    }

    fn is_careful(&self) -> bool {
        self.outboxes().any(Outbox::is_careful)
    }

    /// Whether something has no outcome.
    pub(crate) fn waits(&self) -> bool {
        self.outboxes().any(|outbox| outbox.load().count > 0)
    }

    /// A link begins or ends: nobody is attached but who signs in, and nothing is on its way.
    pub(crate) fn reset(&mut self) {
        self.wire.clear();
        self.pace = Pace::new();
        for party in &mut self.list {
            party.outbox.reset();
            if JOINS && party.id.0 > 0 {
                party.stage = Stage::Wanted { ask_at: 0 };
            }
        }
    }

    /// Everything that waits has failed.
    pub(crate) fn fail_all(&mut self, fault: Fault, out: &mut Outputs) {
        self.all().for_each(|outbox| outbox.fail_all(fault, out));
    }

    /// When [`Self::tick`] is due.
    #[must_use]
    pub(crate) fn wake_at(&self) -> Millis {
        let ask_at = |party: &Party| match party.stage {
            Stage::Wanted { ask_at } if JOINS && ask_at > 0 => ask_at,
            Stage::Wanted { .. } | Stage::Here => NEVER,
        };
        let wakes = self.list.iter().map(|party| party.outbox.wake_at().min(ask_at(party)));
        wakes.min().unwrap_or(NEVER).min(self.pace.resume_at)
    }

    /// Lets those go on whose wait is over.
    pub(crate) fn tick(&mut self, now: Millis, out: &mut Outputs) {
        if self.pace.tick(now) {
            self.rouse();
        }
        for party in &mut self.list {
            party.outbox.tick(now, out);
            if JOINS
                && let Stage::Wanted { ask_at } = &mut party.stage
                && *ask_at <= now
            {
                *ask_at = 0;
            }
        }
    }

    /// The hub has opened a handle.
    pub(crate) fn opened(&mut self, opened: &Opened) {
        if let Some(outbox) = self.by_handle(opened.handle) {
            outbox.opened(opened);
        }
    }

    /// The hub has done some.
    pub(crate) fn acked(&mut self, acked: &Acked, out: &mut Outputs) {
        // A run of voids goes as one.
        self.pace.taken(if acked.offset.0 > 0 { acked.count.max(1) } else { 1 });
        if let Some(outbox) = self.by_handle(acked.handle) {
            outbox.acked(acked, out);
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
        if refused.seq.0 > 0 {
            self.pace.refused(now, refused);
        }
        self.by_handle(refused.handle).map_or(Ok(()), |outbox| outbox.refused(now, refused, out))
    }

    /// Whose handle that is. What it is answered may let all others go on.
    fn by_handle(&mut self, handle: Handle) -> Option<&mut Outbox> {
        self.rouse();
        let number = if JOINS { (handle.0.wrapping_sub(1) / HANDLES_MAX).saturating_sub(1) } else { 0 };
        let mut id = PartyId(number as u32);
        if mutant::active(Mutant::OutcomeOfAnother) && self.last > 0 {
            id.0 = self.last;
        }
        // What is still answered to one that is not here any more means nothing.
        self.party(id).filter(|party| party.stage == Stage::Here).map(|party| &mut party.outbox)
    }

    /// Appends what can be sent now to a packet.
    pub(crate) fn fill(&mut self, now: Millis, packet: &mut Packet, online: bool, out: &mut Outputs) {
        packet.bytes.append(&mut self.wire);
        self.turn += 1;
        if self.list.iter().all(Party::is_at_rest) {
            return;
        }
        let (flying, careful) = (self.flying(), self.is_careful());
        let Self { allowance, pace, .. } = self;
        let size = packet.bytes.len();
        let mut filling = Filling { packet, size, flying, now, careful, allowance, pace };
        let places = self.list.len();
        for step in 0..places {
            let Some(party) = self.list.get_mut((self.turn + step) % places) else { continue };
            if JOINS && let Stage::Wanted { ask_at } = party.stage {
                if ask_at > 0 || filling.size > 0 && filling.size + ASK_BYTES_MAX > allowance.packet_bytes {
                    continue;
                }
                let before = filling.packet.bytes.len();
                let (producer, incarnation) = (party.producer, party.incarnation);
                let participant = participant(party.id);
                Attach { participant, producer, incarnation }.put(&mut filling.packet.bytes);
                filling.size += filling.packet.bytes.len() - before;
                party.stage = Stage::Here;
            }
            party.outbox.fill(&mut filling, online, out);
        }
    }
}

fn participant(id: PartyId) -> Participant {
    Participant(id.0.into())
}
