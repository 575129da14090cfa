//! What a connection publishes: handles, and every check of a publish before it meets the log.

use std::sync::Arc;

use tidewire_protocol::client_frame::{Open, Publish, Send};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::hub_frame::{HubFrame, Opened, Refused};
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Handle, SEQ_MAX, Seq, Tag};

use crate::access::caller::Caller;
use crate::access::{Grant, Granted};
use crate::clock::Millis;
use crate::ledger::{Charge, Kind};
use crate::limits::of_bearer::Bound;
use crate::log::submission::Wish;
use crate::log::windows::{Opening, Stream, WindowKey};
use crate::names::producers::Attachment;
use crate::pace::Exhausted;
use crate::session::Session;
use crate::session::asking::depth;
use crate::session::desk::Desk;
use crate::session::gathered::Source;
use crate::session::handles::Place;
use crate::session::telling::{Refusal, retry_after_ms};
use crate::topic::Topic;

impl Session {
    /// Opens a handle. The hub holds nothing for it but its words until a first publish.
    pub(super) fn open(&mut self, now: Millis, open: &Open<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        let handle = open.handle;
        if self.handles.get(handle).is_some() || open.lowest.0 > SEQ_MAX {
            return Err(Code::BadFrame);
        }
        if open.unacknowledged {
            return self.open_for_updates(open, desk);
        }
        match self.try_open(now, open, desk) {
            Ok((topic, opening)) => {
                let (window_new, next) = (opening.window_new, opening.next);
                let place = Place::Opened { topic, lowest: open.lowest, window: opening.window };
                self.handles.insert(handle, desk.serials.give(), open.participant, place);
                self.refused.forget(handle);
                self.charge_handles(desk);
                desk.replies.put(&HubFrame::Opened(Opened { handle, window_new, next }));
            }
            Err(code) => self.refuse_open(handle, code, desk),
        }
        Ok(())
    }

    /// Opens a handle for updates that may be lost. Only a refusal is told.
    fn open_for_updates(&mut self, open: &Open<'_>, desk: &mut Desk<'_>) -> Result<(), Code> {
        let room = self.handles.count_for_updates() < self.handles_max(desk);
        let granted = match self.participant(open.participant) {
            _ if !room => Err(Code::LimitReached),
            None => Err(self.refused.why_gone(open.participant)),
            Some(present) if present.is_fenced() => Err(Code::Fenced),
            Some(_) => grant(open, &self.caller, desk),
        };
        match granted {
            Ok(name) => {
                let (serial, place) = (desk.serials.give(), Place::Updates { name, topic: None });
                self.handles.insert(open.handle, serial, open.participant, place);
                self.refused.forget(open.handle);
                self.charge_handles(desk);
            }
            Err(code) => self.refuse_open(open.handle, code, desk),
        }
        Ok(())
    }

    /// Takes an update that may be lost, or drops and counts it.
    pub(super) fn send(&mut self, now: Millis, update: &Send<'_>, desk: &mut Desk<'_>) {
        if let Err(Refusal { code, .. }) = self.try_send(now, update, desk) {
            let refused = self.refused.code_of(update.handle).filter(|_| code == Code::UnknownNumber);
            desk.topics.metrics().updates_dropped.add(refused.unwrap_or(code).number(), 1);
        }
    }

    fn try_send(&mut self, now: Millis, update: &Send<'_>, desk: &mut Desk<'_>) -> Result<(), Refusal> {
        let open = self.handles.get(update.handle).ok_or(Code::UnknownNumber)?;
        let Place::Updates { .. } = open.place else { return Err(Code::UnknownNumber.into()) };
        let origin = desk.address.with(open.serial);
        if self.may_use(now, update.handle, open.place.grant(), desk).is_none() {
            return Err(Code::Forbidden.into());
        }
        if update.payload.len() > self.message_bytes_max(desk) {
            return Err(Code::TooLarge.into());
        }
        if update.content == Content::Unknown {
            return Err(Code::NotSupported.into());
        }
        if update.attributes.check().is_err() {
            return Err(Code::BadMessage.into());
        }
        self.pay(now, 1, desk)?;
        if !desk.gathered.continues(origin, false) {
            let open = self.handles.get(update.handle).ok_or(Code::UnknownNumber)?;
            let Place::Updates { name, topic } = &open.place else { return Err(Code::UnknownNumber.into()) };
            let present = self.participant(open.participant).ok_or(Code::UnknownNumber)?;
            if present.is_fenced() {
                return Err(Code::Fenced.into());
            }
            let tag = present.tag;
            let topic = match topic {
                Some(topic) => Arc::clone(topic),
                None => {
                    let (name, topic) = (name.clone(), desk.topics.topic(name, desk.account)?);
                    let place = Place::Updates { name, topic: Some(Arc::clone(&topic)) };
                    self.handles.move_to(update.handle, place);
                    topic
                }
            };
            let (account, sender) = (Arc::clone(desk.account), self.caller.subject().cloned());
            let handle = update.handle;
            desk.gathered.from(Source { origin, handle, numbered: None, tag, sender, account, topic });
        }
        desk.gathered.add_update(update);
        Ok(())
    }

    fn try_open(
        &self,
        now: Millis,
        open: &Open<'_>,
        desk: &Desk<'_>,
    ) -> Result<(Granted<TopicName>, Opening), Code> {
        if self.handles.count() >= self.handles_max(desk) {
            return Err(Code::LimitReached);
        }
        let gone = || self.refused.why_gone(open.participant);
        let present = self.participant(open.participant).ok_or_else(gone)?;
        let attachment = present.attachment.as_ref().ok_or(Code::Forbidden)?;
        let topic = grant(open, &self.caller, desk)?;
        let stream = Stream { attachment, topic: &topic, lowest: open.lowest, again: open.again };
        let opened = desk.topics.open(now, stream);
        opened.map(|opening| (topic, opening))
    }

    /// Checks a publish, and adds it to what is gathered. One of a batch is refused if another was.
    ///
    /// # Errors
    /// [`Code::BadFrame`] for a run of what is no void, or one that goes on beyond all numbers.
    pub(super) fn publish(
        &mut self,
        now: Millis,
        publish: &Publish<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Code> {
        let count = publish.count.max(1);
        let is_beyond = publish.seq.0 + (count - 1) > SEQ_MAX || publish.lowest.0 > SEQ_MAX;
        if is_beyond || count > 1 && !publish.void {
            return Err(Code::BadFrame);
        }
        let refused = self.whole.refusal().or_else(|| self.try_publish(now, publish, desk).err());
        if let Some(refusal) = refused {
            let others = self.whole.refuse(refusal);
            for (handle, seq) in desk.gathered.take_back() {
                self.refuse_publish(handle, (seq, 1), others, desk);
            }
            self.refuse_publish(publish.handle, (publish.seq, count), refusal, desk);
        }
        if self.whole.one_came() {
            desk.gathered.close_whole();
        }
        Ok(())
    }

    fn refuse_publish(
        &self,
        handle: Handle,
        (seq, count): (Seq, u64),
        Refusal { code, retry_after_ms, follows, .. }: Refusal,
        desk: &mut Desk<'_>,
    ) {
        let refused = self.refused.code_of(handle).filter(|_| code == Code::UnknownNumber);
        let code = if refused == Some(Code::Fenced) { Code::Fenced } else { code };
        let message = code.sentence().into();
        let (consumed, current) = (false, None);
        let refusal = Refused { handle, seq, count, code, consumed, retry_after_ms, message, current };
        if refused.is_some() || follows {
            desk.replies.put_follower(&refusal);
        } else {
            desk.replies.put(&HubFrame::Refused(refusal));
        }
    }

    fn try_publish(
        &mut self,
        now: Millis,
        publish: &Publish<'_>,
        desk: &mut Desk<'_>,
    ) -> Result<(), Refusal> {
        let open = self.handles.get(publish.handle).ok_or(Code::UnknownNumber)?;
        let (participant, origin) = (open.participant, desk.address.with(open.serial));
        if open.place.remembers() {
            // Whatever rules say by now, a retry finds what its first try did.
            let present = self.participant(participant).ok_or(Code::UnknownNumber)?.clone();
            let attachment = present.attachment.ok_or(Code::UnknownNumber)?;
            self.begin(now, publish, &attachment, desk)?;
        }
        let open = self.handles.get(publish.handle).ok_or(Code::UnknownNumber)?;
        // Each publish has an answer of its own, behind that for the handle.
        let granted =
            self.may_use(now, publish.handle, open.place.grant(), desk).ok_or(Code::UnknownNumber)?;
        let count = self.whole.to_pay();
        self.pay(now, count, desk)?;
        if !desk.gathered.continues(origin, true) {
            let present = self.participant(participant).ok_or(Code::UnknownNumber)?.clone();
            let (attachment, tag) = (present.attachment.ok_or(Code::UnknownNumber)?, present.tag);
            let (topic, window) = self.begin(now, publish, &attachment, desk)?;
            let (handle, numbered) = (publish.handle, Some((attachment, window)));
            let (account, sender) = (Arc::clone(desk.account), self.caller.subject().cloned());
            desk.gathered.from(Source { origin, handle, numbered, tag, sender, account, topic });
        }
        let wish =
            if granted { wish(publish, self.message_bytes_max(desk)) } else { Wish::Refuse(Code::Forbidden) };
        desk.gathered.add(publish, self.tag_of_another(publish.tag), wish);
        Ok(())
    }

    /// Handles that it may have, of either kind.
    fn handles_max(&self, desk: &Desk<'_>) -> usize {
        self.caller.at_most(Bound::Handles, desk.topics.limits().handles_max)
    }

    /// Bytes of its longest message.
    fn message_bytes_max(&self, desk: &Desk<'_>) -> usize {
        self.caller.at_most(Bound::MessageBytes, desk.topics.limits().message_bytes_max)
    }

    /// Takes so many from the rates of the connection, of its token and of its address, or from none.
    fn pay(&self, now: Millis, count: u64, desk: &Desk<'_>) -> Result<(), Exhausted> {
        let rates = desk.topics.rates();
        let of_connection = rates.of_connection();
        // Only this connection takes from its own: what there is when it asks is there when it takes.
        if count > 0 {
            self.pace.ask(now, of_connection)?;
            self.caller.ask_rate(now)?;
        }
        desk.account.pace.take(now, rates.of_address(), count)?;
        self.caller.take_rate(now, count)?;
        self.pace.take(now, of_connection, count)
    }

    /// A tag that a publish names, if a participant of this connection has it.
    fn tag_of_another(&self, tag: Tag) -> Option<Tag> {
        (tag.0 > 0 && self.participants.iter().any(|present| present.tag == tag)).then_some(tag)
    }

    /// The topic and the window that a handle publishes to, which are there from its first publish on.
    fn begin(
        &mut self,
        now: Millis,
        publish: &Publish<'_>,
        attachment: &Attachment,
        desk: &Desk<'_>,
    ) -> Result<(Arc<Topic>, WindowKey), Code> {
        let open = self.handles.get(publish.handle).ok_or(Code::UnknownNumber)?;
        let ((topic, window), grant) = match &open.place {
            Place::Used { topic, window, .. } => return Ok((Arc::clone(topic), *window)),
            Place::Updates { .. } => return Err(Code::UnknownNumber),
            Place::Opened { topic, lowest, window } => {
                let lowest = publish.lowest.max(*lowest);
                let stream = Stream { attachment, topic, lowest, again: false };
                (desk.topics.begin(now, desk.account, stream, *window)?, topic.grant())
            }
        };
        let used = Place::Used { topic: Arc::clone(&topic), window, grant };
        self.handles.move_to(publish.handle, used);
        self.charge_handles(desk);
        Ok((topic, window))
    }

    /// Gives a handle back.
    pub(super) fn shut(&mut self, now: Millis, handle: Handle, desk: &Desk<'_>) {
        let place = self.handles.remove(handle);
        desk.topics.shut(now, place.and_then(|place| place.window()));
        self.refused.forget(handle);
        self.charge_handles(desk);
    }

    /// Whether the rules let a handle be used: asked anew when others hold than those that said so last. `None` if it is
    /// gone with its grant, because nothing had come by it: that is told as if it could not have been opened.
    fn may_use(&mut self, now: Millis, handle: Handle, grant: Grant, desk: &mut Desk<'_>) -> Option<bool> {
        let rules = desk.topics.access();
        if grant.is_current(rules.edition(), &self.caller) {
            return Some(grant.holds);
        }
        let grant = self.handles.regrant(handle, &rules.now(), &self.caller);
        if grant.is_none() {
            self.shut(now, handle, desk);
            self.refuse_open(handle, Code::Forbidden, desk);
        }
        grant.map(|grant| grant.holds)
    }

    fn refuse_open(&mut self, handle: Handle, code: Code, desk: &mut Desk<'_>) {
        self.refused.add(handle, code);
        desk.replies.put(&HubFrame::Refused(Refused {
            handle,
            code,
            retry_after_ms: retry_after_ms(code),
            message: code.sentence().into(),
            ..Refused::default()
        }));
    }

    fn charge_handles(&mut self, desk: &Desk<'_>) {
        let bytes = self.handles.bytes();
        self.charge.get_or_insert_with(|| Charge::new(desk.account, Kind::Handles)).set(bytes);
    }
}

/// Whether a topic may be published to, and its words be kept.
fn grant(open: &Open<'_>, caller: &Caller, desk: &Desk<'_>) -> Result<Granted<TopicName>, Code> {
    let limits = desk.topics.limits();
    let topic = TopicName::parse(&open.topic).map_err(|_| Code::BadName)?;
    if depth(topic.as_str()) > limits.topic_depth_max {
        return Err(Code::BadName);
    }
    let topic = desk.topics.access().now().publish(caller, topic)?;
    let bytes = Place::Opened { topic: topic.clone(), lowest: open.lowest, window: None }.bytes();
    if !desk.account.may_hold(Kind::Handles, bytes, limits.handles_bytes_max) {
        return Err(Code::Overloaded);
    }
    Ok(topic)
}

/// What the hub makes of a publish by what it looks like.
fn wish(publish: &Publish<'_>, message_bytes_max: usize) -> Wish {
    match publish.content {
        _ if publish.void => Wish::Void,
        _ if publish.payload.len() > message_bytes_max => Wish::Refuse(Code::TooLarge),
        Content::Unknown => Wish::Refuse(Code::NotSupported),
        _ if publish.attributes.check().is_err() => Wish::Refuse(Code::BadMessage),
        _ if publish.terms.check(&publish.attributes.key).is_err() => Wish::Refuse(Code::BadMessage),
        Content::Json | Content::Text | Content::Binary | Content::Cbor => Wish::Append,
    }
}
