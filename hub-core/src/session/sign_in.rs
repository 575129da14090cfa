//! Who is there: signing in, and participants that come and go.

use tidewire_protocol::client_frame::{Attach, Hello};
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Attached, Detached, HubFrame, Welcome};
use tidewire_protocol::number::Participant;

use crate::clock::Millis;
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
        let incarnation = hello.incarnation;
        let (producer, tag) = desk.topics.attach(desk.account, hello.producer, incarnation)?;
        self.participants.reserve_exact(1);
        self.participants.push(Present { number: Participant(0), producer, incarnation, tag });
        self.signed_in = true;
        let limits = desk.topics.limits();
        desk.replies.put(&HubFrame::Welcome(Welcome {
            tag,
            heartbeat_ms: limits.heartbeat_ms,
            message_bytes_max: limits.message_bytes_max as u64,
            in_flight_max: limits.in_flight_max,
            subject: "".into(),
            agent: concat!("tidewire/", env!("CARGO_PKG_VERSION")).into(),
            features: feature::SEND | feature::BATCHES | feature::BEFORE,
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
        let attached = if room {
            desk.topics.attach(desk.account, attach.producer, attach.incarnation)
        } else {
            Err(Code::LimitReached)
        };
        match attached {
            Ok((producer, tag)) => {
                let incarnation = attach.incarnation;
                self.participants.push(Present { number: participant, producer, incarnation, tag });
                desk.replies.put(&HubFrame::Attached(Attached { participant, tag }));
            }
            Err(code) => {
                let message = code.sentence().into();
                desk.replies.put(&HubFrame::Detached(Detached { participant, code, message }));
            }
        }
        Ok(())
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
        if let Some(producer) = self.participants.remove(index).producer {
            topics.detach(now, &producer);
        }
        let message = if code == Code::Unknown { "" } else { code.sentence() };
        replies.put(&HubFrame::Detached(Detached { participant, code, message: message.into() }));
    }
}
