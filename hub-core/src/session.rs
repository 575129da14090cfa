//! What one connection and its participants may say, and are told.
//!
//! ```text
//!   New --hello--> SignedIn --(goodbye, by the shard)--> gone
//!    \--anything else--> closed: not_signed_in
//! ```
//!
//! A session checks and answers; it owns no socket and no cursor. What needs the shard's cursors comes back as
//! a [`Demand`].

use std::sync::Arc;

use tidewire_protocol::client_frame::{Attach, ClientFrame, Detach, Hello, Open, Publish, Shut};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::hub_frame::{Attached, Detached, Heartbeat, HubFrame, Opened, Refused, Welcome};
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Handle, Incarnation, Participant, ProducerId, Tag};

use crate::clock::Millis;
use crate::inbox::{Fate, Origin, Outcome};
use crate::session::asking::{depth, page, subscription};
use crate::session::batch::Source;
use crate::session::desk::{Demand, Desk};
use crate::session::replies::Replies;
use crate::session::telling::{continues, failed, outcome_frame, retry_after_ms};
use crate::topics::Topics;
use crate::topics::directory::Topic;
use crate::topics::producers::{Opening, WindowKey};
use crate::topics::submission::Wish;

pub mod asking;

pub mod telling;

pub mod desk;

pub mod batch;

pub mod replies;

/// One connection's side of the conversation.
#[derive(Debug, Default)]
pub struct Session {
    signed_in: bool,
    participants: Vec<Present>,
    handles: Vec<OpenHandle>,
    /// Publishes that may be made before the rate limit holds, and when that was worked out.
    allowance: u64,
    allowance_at: Millis,
}

/// A participant that is attached.
#[derive(Debug, Clone, Copy)]
struct Present {
    number: Participant,
    producer: ProducerId,
    incarnation: Incarnation,
    tag: Tag,
}

/// A handle that can be used.
#[derive(Debug)]
struct OpenHandle {
    handle: Handle,
    participant: Participant,
    topic: Arc<Topic>,
    window: WindowKey,
}

impl Session {
    /// Whether sign-in is done.
    #[must_use]
    pub fn signed_in(&self) -> bool {
        self.signed_in
    }

    /// Handles one frame.
    ///
    /// # Errors
    /// The code to close the connection with.
    pub fn handle(
        &mut self,
        now: Millis,
        frame: ClientFrame<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<Demand, Code> {
        match frame {
            ClientFrame::Hello(hello) => self.hello(&hello, desk)?,
            _ if !self.signed_in => return Err(Code::NotSignedIn),
            ClientFrame::Attach(attach) => self.attach(&attach, desk)?,
            ClientFrame::Detach(Detach { participant }) => {
                self.detach(now, participant, Code::Unknown, desk.topics, desk.replies);
            }
            ClientFrame::Open(open) => self.open(now, &open, desk)?,
            ClientFrame::Publish(publish) => self.publish(now, &publish, desk),
            ClientFrame::Shut(Shut { handle }) => {
                if let Ok(index) = self.handles.binary_search_by_key(&handle, |open| open.handle) {
                    let open = self.handles.remove(index);
                    desk.topics.shut(now, [open.window]);
                }
            }
            ClientFrame::Subscribe(subscribe) => return Ok(subscription(subscribe, desk)),
            ClientFrame::Unsubscribe(frame) => {
                return Ok(Demand::Unsubscribe { request: frame.request, tail: frame.tail });
            }
            ClientFrame::History(history) => page(now, &history, desk),
            ClientFrame::Heartbeat(frame) => {
                if frame.request.0 > 0 {
                    desk.replies.put(&HubFrame::Heartbeat(Heartbeat { request: frame.request }));
                }
            }
            // No handle takes it, and what may be lost is not answered.
            ClientFrame::Send(_) => {}
            ClientFrame::SignIn(frame) => desk.replies.put(&failed(frame.request, Code::NotSupported)),
        }
        Ok(Demand::Nothing)
    }

    /// Tells outcomes of publishes; consecutive ones in one frame. A fenced participant is detached.
    pub fn tell(&mut self, now: Millis, outcomes: &[Outcome], topics: &Topics, replies: &mut Replies) {
        let mut rest = outcomes;
        while let Some(first) = rest.first() {
            let follows = |pair: &&[Outcome]| continues(&pair[0], &pair[1]);
            let run = 1 + rest.windows(2).take_while(follows).count();
            replies.put(&outcome_frame(first, run as u64, topics));
            rest = &rest[run..];
            if let Fate::Refused { code: Code::Fenced, .. } = first.fate {
                self.detach(now, first.origin.participant, Code::Fenced, topics, replies);
            }
        }
    }

    /// Gives back what the connection held.
    pub fn end(&mut self, now: Millis, topics: &Topics) {
        topics.shut(now, self.handles.drain(..).map(|open| open.window));
    }

    fn hello(&mut self, hello: &Hello<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        if self.signed_in {
            return Err(Code::NotSignedIn);
        }
        let tag = desk.topics.attach(hello.producer, hello.incarnation)?;
        let (producer, incarnation) = (hello.producer, hello.incarnation);
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
            features: 0,
            frame_bytes_max: limits.frame_bytes_max as u64,
        }));
        Ok(())
    }

    fn attach(&mut self, attach: &Attach, desk: &mut Desk<'_>) -> Result<(), Code> {
        let participant = attach.participant;
        if self.participant(participant).is_some() {
            return Err(Code::BadFrame);
        }
        let room = self.participants.len() < desk.topics.limits().participants_max;
        let attached = if room {
            desk.topics.attach(attach.producer, attach.incarnation)
        } else {
            Err(Code::LimitReached)
        };
        match attached {
            Ok(tag) => {
                let (producer, incarnation) = (attach.producer, attach.incarnation);
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

    fn detach(
        &mut self,
        now: Millis,
        participant: Participant,
        code: Code,
        topics: &Topics,
        replies: &mut Replies,
    ) {
        let before = self.participants.len();
        self.participants.retain(|present| present.number != participant);
        if self.participants.len() == before {
            return;
        }
        let (gone, kept) = self.handles.drain(..).partition(|open| open.participant == participant);
        self.handles = kept;
        let gone: Vec<OpenHandle> = gone;
        topics.shut(now, gone.iter().map(|open| open.window));
        let message = if code == Code::Unknown { "" } else { code.sentence() };
        replies.put(&HubFrame::Detached(Detached { participant, code, message: message.into() }));
    }

    fn open(&mut self, now: Millis, open: &Open<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        let handle = open.handle;
        let Err(index) = self.handles.binary_search_by_key(&handle, |open| open.handle) else {
            return Err(Code::BadFrame);
        };
        match self.try_open(now, open, desk) {
            Ok((topic, opening, participant)) => {
                self.handles.insert(index, OpenHandle { handle, participant, topic, window: opening.window });
                let (window_new, next) = (opening.window_new, opening.next);
                desk.replies.put(&HubFrame::Opened(Opened { handle, window_new, next }));
            }
            Err(code) => {
                desk.replies.put(&HubFrame::Refused(Refused {
                    handle,
                    code,
                    retry_after_ms: retry_after_ms(code),
                    message: code.sentence().into(),
                    ..Refused::default()
                }));
                if code == Code::Fenced {
                    self.detach(now, open.participant, code, desk.topics, desk.replies);
                }
            }
        }
        Ok(())
    }

    fn try_open(
        &self,
        now: Millis,
        open: &Open<'_>,
        desk: &Desk<'_>,
    ) -> Result<(Arc<Topic>, Opening, Participant), Code> {
        if open.unacknowledged {
            return Err(Code::NotSupported);
        }
        let limits = desk.topics.limits();
        let name = TopicName::parse(&open.topic).map_err(|_| Code::BadName)?;
        if depth(name.as_str()) > limits.topic_depth_max {
            return Err(Code::BadName);
        }
        if self.handles.len() >= limits.handles_max {
            return Err(Code::LimitReached);
        }
        let present = self.participant(open.participant).ok_or(Code::UnknownNumber)?;
        if present.producer == ProducerId::default() || !desk.topics.access().may_publish(&name) {
            return Err(Code::Forbidden);
        }
        let opened = desk.topics.open(now, present.producer, present.incarnation, &name, open.lowest);
        opened.map(|(topic, opening)| (topic, opening, present.number))
    }

    fn publish(&mut self, now: Millis, publish: &Publish<'_>, desk: &mut Desk<'_>) {
        let found = self.handles.binary_search_by_key(&publish.handle, |open| open.handle);
        let known = found.ok().and_then(|index| {
            let open = &self.handles[index];
            self.participant(open.participant).map(|present| (open, *present))
        });
        let Some((open, present)) = known else {
            Self::refuse(publish, Code::UnknownNumber, 0, desk.replies);
            return;
        };
        let origin = Origin { handle: publish.handle, participant: present.number, ..desk.origin };
        let source = Source {
            origin,
            producer: present.producer,
            incarnation: present.incarnation,
            tag: present.tag,
            topic: Arc::clone(&open.topic),
            window: open.window,
        };
        let limits = desk.topics.limits();
        let rate = limits.publishes_per_second_max;
        if rate > 0 && !self.allow(now, rate) {
            Self::refuse(publish, Code::RateLimited, 1_000 / rate + 1, desk.replies);
            return;
        }
        let wish = match publish.content {
            _ if publish.void => Wish::Void,
            _ if publish.payload.len() > limits.message_bytes_max => Wish::Refuse(Code::TooLarge),
            Content::Unknown => Wish::Refuse(Code::NotSupported),
            Content::Json | Content::Text | Content::Binary | Content::Cbor => Wish::Append,
        };
        desk.batch.add(source, publish, wish);
    }

    fn refuse(publish: &Publish<'_>, code: Code, retry_after_ms: u64, replies: &mut Replies) {
        replies.put(&HubFrame::Refused(Refused {
            handle: publish.handle,
            seq: publish.seq,
            count: 1,
            code,
            consumed: false,
            retry_after_ms,
            message: code.sentence().into(),
        }));
    }

    /// Takes one publish from the allowance, which fills up again to ten seconds' worth.
    fn allow(&mut self, now: Millis, per_second: u64) -> bool {
        let full = per_second * 10_000;
        let earned = now.since(self.allowance_at).saturating_mul(per_second);
        self.allowance = self.allowance.saturating_add(earned).min(full);
        self.allowance_at = now;
        let enough = self.allowance >= 1_000;
        self.allowance -= if enough { 1_000 } else { 0 };
        enough
    }

    fn participant(&self, number: Participant) -> Option<&Present> {
        self.participants.iter().find(|present| present.number == number)
    }
}
