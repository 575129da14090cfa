//! Who is there: signing in, by a token or without, and participants that come and go.

use tidewire_protocol::client_frame::{Attach, Hello, SignIn};
use tidewire_protocol::code::Code;
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Attached, Detached, Failed, HubFrame, SignedIn, Welcome};
use tidewire_protocol::number::{Incarnation, Participant, ProducerId, Request, Tag};

use crate::access::caller::{Caller, Pass};
use crate::clock::Millis;
use crate::credentials::Unwelcome;
use crate::letter::Serial;
use crate::limits::of_bearer::Bound;
use crate::names::producers::Claim;
use crate::session::desk::Desk;
use crate::session::replies::Replies;
use crate::session::telling::{Refusal, failed, failed_for};
use crate::session::{Present, Session};
use crate::topics::Topics;

/// A token that is being checked, one at a time.
#[derive(Debug)]
pub struct Pending {
    serial: Serial,
    of: Of,
}

/// What brought it.
#[derive(Debug)]
enum Of {
    /// `hello`: what it said besides, and what came in behind it.
    Hello { producer: ProducerId, incarnation: Incarnation, behind: Vec<u8> },
    /// `sign_in`, which is to be answered.
    Again(Request),
}

/// What it means for the connection that a token was checked.
#[derive(Debug)]
pub enum Admission {
    /// Nobody waits for it.
    Nothing,
    /// It is welcome: what it has said meanwhile is heard.
    Welcome {
        /// That.
        behind: Vec<u8>,
    },
    /// It goes on, by a later pass or by the one that it has.
    GoesOn {
        /// Whether what it holds is to be asked for anew.
        differs: bool,
    },
}

impl Session {
    /// Signs in, or has the token checked first.
    pub(super) fn hello(&mut self, now: Millis, hello: &Hello<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        if self.signed_in || self.pending.is_some() {
            return Err(Code::NotSignedIn);
        }
        let Hello { producer, incarnation, .. } = *hello;
        self.agent = desk.topics.agents().note(&hello.agent);
        if hello.token.is_empty() || !desk.topics.credentials().are_taken() {
            return self.welcome(now, producer, incarnation, desk);
        }
        self.have_checked(&hello.token, Of::Hello { producer, incarnation, behind: Vec::new() }, desk)
    }

    fn have_checked(&mut self, token: &str, of: Of, desk: &mut Desk<'_>) -> Result<(), Code> {
        let serial = desk.serials.give();
        desk.topics.credentials().check(desk.address.with(serial), desk.account, token)?;
        self.pending = Some(Box::new(Pending { serial, of }));
        Ok(())
    }

    /// Keeps what comes in behind a token that is being checked. A shell that reads no more than it is asked to brings little.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if it is very much.
    pub fn hold_back(&mut self, bytes: &[u8]) -> Result<(), Code> {
        if let Some(Of::Hello { behind, .. }) = self.pending.as_mut().map(|pending| &mut pending.of) {
            if behind.len() + bytes.len() > BEHIND_TOKEN_MAX {
                return Err(Code::Overloaded);
            }
            behind.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// Bytes of that.
    #[must_use]
    pub fn held_back(&self) -> usize {
        match self.pending.as_ref().map(|pending| &pending.of) {
            Some(Of::Hello { behind, .. }) => behind.capacity(),
            Some(Of::Again(_)) | None => 0,
        }
    }

    /// Has a later token checked. One at a time, and not faster than any client needs it: each may have everything asked anew.
    pub(super) fn sign_in_again(&mut self, now: Millis, frame: &SignIn<'_>, desk: &mut Desk<'_>) {
        if let Err(refusal) = self.try_sign_in_again(now, frame, desk) {
            desk.replies.put(&failed(frame.request, refusal));
        }
    }

    fn try_sign_in_again(
        &mut self,
        now: Millis,
        frame: &SignIn<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Refusal> {
        if !desk.topics.credentials().are_taken() {
            return Err(Code::NotSupported.into());
        }
        if self.pending.is_some() {
            return Err(Code::Overloaded.into());
        }
        self.sign_ins.take_one(now, SIGN_INS_PER_SECOND)?;
        if !self.caller.has_signed_in() {
            // Whoever a token speaks of, it is somebody else.
            return Err(Code::IdentityMismatch.into());
        }
        if frame.token.is_empty() {
            return Err(Code::BadToken.into());
        }
        Ok(self.have_checked(&frame.token, Of::Again(frame.request), desk)?)
    }

    /// A token was checked.
    ///
    /// # Errors
    /// Why the connection ends.
    pub fn checked(
        &mut self,
        now: Millis,
        serial: Serial,
        verdict: Result<Pass, Unwelcome>,
        desk: &mut Desk<'_>,
    ) -> Result<Admission, Unwelcome> {
        let Some(pending) = self.pending.take_if(|pending| pending.serial == serial) else {
            return Ok(Admission::Nothing);
        };
        let request = match pending.of {
            Of::Again(request) => request,
            Of::Hello { producer, incarnation, behind } => {
                self.caller = Caller::new(verdict?, desk.account).map_err(Unwelcome::Code)?;
                let welcome = self.welcome(now, producer, incarnation, desk);
                return welcome.map(|()| Admission::Welcome { behind }).map_err(Unwelcome::Code);
            }
        };
        match verdict.and_then(|pass| self.caller.renew(pass).map_err(Unwelcome::Code)) {
            Ok(differs) => {
                self.bad_tokens = 0;
                let subject = self.caller.subject().map(|subject| subject.to_string()).unwrap_or_default();
                let expires_ms = self.caller.expires_ms(now);
                desk.replies.put(&HubFrame::SignedIn(SignedIn {
                    request,
                    subject: subject.into(),
                    expires_ms,
                }));
                Ok(Admission::GoesOn { differs })
            }
            Err(unwelcome) => {
                let code = unwelcome.code();
                self.bad_tokens += u8::from(!code.retryable());
                if self.bad_tokens == BAD_TOKENS_MAX {
                    return Err(unwelcome);
                }
                let message = unwelcome.sentence();
                desk.replies.put(&HubFrame::Failed(Failed { message, ..failed_for(request, code) }));
                Ok(Admission::GoesOn { differs: false })
            }
        }
    }

    /// Lets in whoever is there; participant 0 is there from now on.
    fn welcome(
        &mut self,
        now: Millis,
        producer: ProducerId,
        incarnation: Incarnation,
        desk: &mut Desk<'_>,
    ) -> Result<(), Code> {
        self.participants.reserve_exact(1);
        let tag = self.bring(Participant(0), producer, incarnation, desk)?;
        self.signed_in = true;
        let limits = desk.topics.limits();
        let subject = self.caller.subject().map(|subject| subject.to_string()).unwrap_or_default();
        let again = if desk.topics.credentials().are_taken() { feature::SIGN_IN } else { 0 };
        desk.replies.put(&HubFrame::Welcome(Welcome {
            tag,
            heartbeat_ms: limits.heartbeat_ms,
            message_bytes_max: self.caller.at_most(Bound::MessageBytes, limits.message_bytes_max) as u64,
            in_flight_max: limits.in_flight_max,
            subject: subject.into(),
            agent: concat!("tidewire/", env!("CARGO_PKG_VERSION")).into(),
            features: feature::KEYS
                | feature::MAPS
                | feature::HEADERS
                | feature::TTL
                | feature::DURABILITY
                | feature::SEND
                | feature::BATCHES
                | feature::VOID_RUNS
                | feature::PARTIES
                | feature::BEFORE
                | again,
            frame_bytes_max: limits.frame_bytes_max as u64,
            expires_ms: self.caller.expires_ms(now),
        }));
        Ok(())
    }

    /// Brings one more participant.
    pub(super) fn attach(&mut self, attach: &Attach, desk: &mut Desk<'_>) -> Result<(), Code> {
        let participant = attach.participant;
        if self.participant(participant).is_some() {
            return Err(Code::BadFrame);
        }
        let most = self.caller.at_most(Bound::Participants, desk.topics.limits().participants_max);
        let room = self.participants.len() < most;
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
        let subject = self.caller.subject();
        let claim = Claim { producer, subject, incarnation, address, arrival };
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

/// What may come in behind a token that is being checked: several times what is read of a stranger at once.
const BEHIND_TOKEN_MAX: usize = 64 << 10;
/// How often a connection may sign in again.
const SIGN_INS_PER_SECOND: u64 = 1;
/// Bad tokens in a row with which a connection has signed in again when it ends.
const BAD_TOKENS_MAX: u8 = 10;
