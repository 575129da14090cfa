//! Who is there: signing in, and participants that come and go.

use tidewire_protocol::client_frame::{Attach, Hello};
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Attached, Detached, HubFrame, Welcome};
use tidewire_protocol::number::{Incarnation, Participant, ProducerId, Tag};

use crate::clock::Millis;
use crate::names::producers::Claim;
use crate::session::desk::Desk;
use crate::session::replies::Replies;
use crate::session::{Present, Session};
use crate::topics::Topics;

impl Session {
    /// Signs in; participant 0 is there from now on.
    pub(super) fn hello(&mut self, hello: &Hello<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        if self.signed_in {
            return Err(Code::NotSignedIn);
        }
        self.participants.reserve_exact(1);
        let tag = self.bring(Participant(0), hello.producer, hello.incarnation, desk)?;
        self.signed_in = true;
        let limits = desk.topics.limits();
        desk.replies.put(&HubFrame::Welcome(Welcome {
            tag,
            heartbeat_ms: limits.heartbeat_ms,
            message_bytes_max: limits.message_bytes_max as u64,
            in_flight_max: limits.in_flight_max,
            subject: "".into(),
            agent: concat!("tidewire/", env!("CARGO_PKG_VERSION")).into(),
            features: feature::SEND
                | feature::BATCHES
                | feature::VOID_RUNS
                | feature::PARTIES
                | feature::BEFORE,
            frame_bytes_max: limits.frame_bytes_max as u64,
        }));
        Ok(())
    }

    /// Brings one more participant.
    pub(super) fn attach(&mut self, attach: &Attach, desk: &mut Desk<'_>) -> Result<(), Code> {
        let participant = attach.participant;
        if self.participant(participant).is_some() {
            return Err(Code::BadFrame);
        }
        let room = self.participants.len() < desk.topics.limits().participants_max;
        let attached = match room {
            true => self.bring(participant, attach.producer, attach.incarnation, desk),
            false => Err(Code::LimitReached),
        };
        desk.replies.put(&match attached {
            Ok(tag) => HubFrame::Attached(Attached { participant, tag }),
            Err(code) => HubFrame::Detached(Detached { participant, code, message: code.sentence().into() }),
        });
        Ok(())
    }

    /// A participant is there from now on, and nowhere else.
    fn bring(
        &mut self,
        number: Participant,
        producer: ProducerId,
        incarnation: Incarnation,
        desk: &mut Desk<'_>,
    ) -> Result<Tag, Code> {
        let (address, arrival) = (desk.address, desk.arrival);
        let claim = Claim { producer, incarnation, address, arrival };
        let (attachment, tag) = desk.topics.attach(desk.account, claim)?;
        self.participants.push(Present { number, attachment, tag });
        self.refused.attach(number);
        Ok(tag)
    }

    /// Somebody else has the producers of some participants now: takes so many of these away at most, and tells how many. What
    /// their clients still send is refused with that.
    pub fn fence(&mut self, now: Millis, most: usize, topics: &Topics, replies: &mut Replies) -> usize {
        let fenced = self.participants.iter().filter(|present| present.is_fenced());
        let fenced: Vec<_> = fenced.map(|present| present.number).take(most).collect();
        for number in &fenced {
            self.refused.fence(*number, self.handles.of(*number));
            self.detach(now, *number, Code::Fenced, topics, replies);
        }
        fenced.len()
    }

    /// Takes a participant away, and with it its handles. With a code other than `Unknown`, for that reason.
    pub(super) fn detach(
        &mut self,
        now: Millis,
        participant: Participant,
        code: Code,
        topics: &Topics,
        replies: &mut Replies,
    ) {
        let Some(index) = self.participants.iter().position(|present| present.number == participant) else {
            return;
        };
        topics.shut(now, self.handles.remove_of(Some(participant)));
        if let Some(charge) = &mut self.charge {
            charge.set(self.handles.bytes());
        }
        if let Some(attachment) = self.participants.remove(index).attachment {
            topics.detach(now, &attachment);
        }
        let message = if code == Code::Unknown { "" } else { code.sentence() };
        replies.put(&HubFrame::Detached(Detached { participant, code, message: message.into() }));
    }
}
