//! Telling clients what happens, and doing what they ask.

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::input::Input;
use tidewire_client_core::options::PartyId;
use tidewire_client_core::output::{Event as ClientEvent, Message, Output, PublishId, Status};
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::code::Code;

use crate::oracle::asking::Told as Answered;
use crate::oracle::calls::CALLERS;
use crate::oracle::closing::RULES_MS;
use crate::oracle::fate::{Cause, Fate};
use crate::oracle::payload::{are_of, uid_of};
use crate::oracle::{Oracle, Publish};
use crate::websocket::{BINARY, CLOSE, put_masked};
use crate::world::actor::Actor;
use crate::world::event::Event;
use crate::world::link::LinkId;
use crate::world::{Told, World};

impl World {
    /// A client of a fresh producer.
    pub fn new_actor(&mut self) -> usize {
        let producer = self.next_producer;
        self.next_producer += 1;
        self.new_incarnation(producer, 1)
    }

    /// A client that takes a producer over.
    pub fn new_incarnation(&mut self, producer: u64, incarnation: u64) -> usize {
        let seed = self.random.number();
        let outbox = if self.random.one_in(4) { 20 } else { 2_000 };
        let asks_tokens = self.has_tokens();
        self.actors.push(Actor::new(producer, incarnation, seed, outbox, asks_tokens));
        let actor = self.actors.len() - 1;
        self.actors[actor].client.connect(self.now);
        self.drain(actor, &[]);
        self.plan_client(actor);
        actor
    }

    /// Something happens to a client.
    pub(crate) fn tell(&mut self, actor: usize, input: Input<'_>) {
        let received = match input {
            Input::Received(bytes) => bytes,
            Input::LinkOpened
            | Input::LinkClosed { .. }
            | Input::Timeout
            | Input::Suspend
            | Input::Online => &[],
        };
        if matches!(input, Input::LinkClosed { .. } | Input::Suspend) {
            self.actors[actor].online = false;
        }
        self.actors[actor].client.handle(self.now, input);
        self.drain(actor, received);
    }

    pub(crate) fn timer(&mut self, actor: usize) {
        if self.actors[actor].timer_at <= self.now {
            self.actors[actor].timer_at = u64::MAX;
            self.tell(actor, Input::Timeout);
        }
    }

    pub(crate) fn online_again(&mut self, actor: usize) {
        self.tell(actor, Input::Online);
        let link = self.actors[actor].link.filter(|_| self.actors[actor].online);
        if let Some(link) = link.filter(|link| self.links[*link as usize].dead_down) {
            // What had passed before may still arrive.
            let wait = self.setup.latency_ms + DOUBT_MS_MAX;
            self.after(wait, Event::Doubted { actor, link });
        }
    }

    /// A client had reason to doubt a link long ago, and nothing came through since.
    pub(crate) fn doubted(&mut self, actor: usize, link: LinkId) {
        let this = &self.actors[actor];
        if this.online && this.link == Some(link) {
            self.oracle.object(format_args!("client {actor} does not see that link {link} is dead"));
        }
    }

    /// Does what a client asks for.
    pub(crate) fn drain(&mut self, actor: usize, received: &[u8]) {
        while let Some(output) = self.actors[actor].client.poll_output() {
            match output {
                Output::OpenLink => {
                    let this = &mut self.actors[actor];
                    this.attempt += 1;
                    let attempt = this.attempt;
                    let slow =
                        if self.random.one_in(10) && !self.calm { 9_000 } else { self.setup.latency_ms };
                    let wait = self.random.below(slow + 1);
                    self.after(wait, Event::Connect { actor, attempt });
                }
                Output::CloseLink { code } => self.close_link(actor, code),
                Output::NeedToken { reason, within_ms } => self.token_wanted(actor, reason, within_ms),
                Output::Send(packet) => {
                    self.going_out(actor, &packet);
                    let message = self.actors[actor].compose(&packet, &self.oracle.publishes);
                    self.send(actor, BINARY, &message);
                }
                Output::Event(event) => self.told(actor, event, received),
            }
        }
        let deadline = self.actors[actor].client.deadline();
        if let Some(at) = deadline.filter(|at| *at < self.actors[actor].timer_at) {
            self.actors[actor].timer_at = at.max(self.now);
            self.after(at.saturating_sub(self.now), Event::Timer(actor));
        }
    }

    fn send(&mut self, actor: usize, opcode: u8, payload: &[u8]) {
        let Some(id) = self.actors[actor].link else {
            return self.oracle.object(format_args!("client {actor} sends without a link"));
        };
        put_masked(opcode, payload, &mut self.random, &mut self.links[id as usize].up);
        self.plan_up(id);
    }

    /// The client lets go of its link. The hub reads on, and learns of it late or by what it reads.
    pub(crate) fn close_link(&mut self, actor: usize, code: u16) {
        self.actors[actor].online = false;
        self.actors[actor].attempt += 1;
        let Some(id) = self.actors[actor].link else { return };
        self.note(|| format!("client {actor} closes link {id}: {code}"));
        self.send(actor, CLOSE, &code.to_be_bytes());
        self.actors[actor].link = None;
        self.links[id as usize].client = false;
        let wait = self.random.magnitude(1, 20_000);
        self.after(wait, Event::Gone(id));
    }

    /// A client tells its application.
    fn told(&mut self, actor: usize, event: ClientEvent, received: &[u8]) {
        if self.trace.is_some() {
            self.note(|| format!("client {actor} told {event:?}"));
        }
        let mut uid = None;
        if party_of(&event).is_some_and(|party| self.actors[actor].left.contains(&party)) {
            return;
        }
        match &event {
            ClientEvent::Status(status) => self.status(actor, *status),
            ClientEvent::Ready { listener, outcome, positions, gap } => {
                let index = self.actors[actor].listeners[listener.0 as usize - 1];
                let oracle = &mut self.oracle;
                let keeps = oracle.keeps(oracle.listeners[index].selector);
                let listening = &mut oracle.listeners[index];
                let done = listening.ready(self.now, *outcome, positions, *gap, &oracle.logs, keeps);
                self.check(actor, index, done);
            }
            ClientEvent::Gap { listener, gap } => {
                let index = self.actors[actor].listeners[listener.0 as usize - 1];
                let oracle = &mut self.oracle;
                let keeps = oracle.keeps(oracle.listeners[index].selector);
                let done = oracle.listeners[index].gap(*gap, &oracle.logs, keeps);
                self.check(actor, index, done);
            }
            ClientEvent::Message(message) => {
                let index = self.actors[actor].listeners[message.listener.0 as usize - 1];
                let payload = message.payload.of(received);
                self.check_attributes(index, payload, message.ext.of(received));
                if self.oracle.questions.contains_key(&index) {
                    return self.oracle.given(index, message, payload);
                }
                uid = payload.first_chunk().map(|bytes| u32::from_le_bytes(*bytes));
                self.oracle.heard(self.now, index, &message.into(), payload);
                self.check_narrow(actor, index, message);
                self.plan_settle(actor, message.listener.0 as usize, message.payload.len);
            }
            ClientEvent::Refused { listener, fault } => {
                self.listener_refused(actor, listener.0 as usize, *fault);
            }
            ClientEvent::Published(published) => {
                let uid = self.publish_of(actor, published.party, published.id);
                self.oracle.acknowledged(uid, published);
            }
            ClientEvent::Failed { party, id, fault, .. } => self.publish_failed(actor, *party, *id, *fault),
            ClientEvent::Detached { party: PartyId(0), fault: Fault::Protocol(Code::Fenced) } => {
                self.fenced(actor)
            }
            ClientEvent::Detached { fault: Fault::Protocol(Code::BadToken), .. }
                if self.may_be_refused(actor) => {}
            ClientEvent::Detached { party, fault } => {
                let what = format!("client {actor}: {party:?} is sent away: {}", fault.name());
                self.oracle.object(what);
            }
            ClientEvent::Goodbye { code: Code::Fenced, .. } => self.fenced(actor),
            ClientEvent::Goodbye { code, .. } => self.check_goodbye(actor, *code),
            ClientEvent::CaughtUp { listener } => self.caught_up(actor, listener.0 as usize),
            ClientEvent::Page { listener, positions: next, previous, gap, more } => {
                let told = Answered { next, previous, gap: *gap, more: *more };
                self.answered(actor, listener.0 as usize, told);
            }
            // What comes of it is told as well.
            ClientEvent::Said { .. } | ClientEvent::Echoed { .. } => {}
            ClientEvent::Settled { .. } | ClientEvent::Unsendable { .. } => {}
        }
        if let Some(story) = &mut self.story {
            story.push(Told { actor, event, uid });
        }
    }

    /// What a message has besides comes out as it was given.
    fn check_attributes(&mut self, index: usize, payload: &[u8], ext: &[u8]) {
        let Some(uid) = uid_of(payload) else { return };
        let is_clients = |publish: &&Publish| publish.actor < CALLERS && publish.fate != Fate::Hostile;
        let wanted = self.oracle.publishes.get(uid as usize).filter(is_clients);
        let heard = Attributes::take(ext).unwrap_or_default();
        if wanted.is_some() && !are_of(&heard, uid) {
            self.oracle.object(format_args!("listener {index} hears #{uid} with {heard:?}"));
        }
    }

    /// What a later token does not allow any longer is not given, but for what was taken before that was known.
    fn check_narrow(&mut self, actor: usize, listener: usize, message: &Message) {
        let Some(since) = self.actors[actor].narrow_since else { return };
        let record =
            self.oracle.log(message.epoch).and_then(|log| self.oracle.logs[log].record(message.offset));
        let taken_ms = record.and_then(|record| record.taken_ms);
        let selector = self.oracle.listeners[listener].selector;
        if self.is_left_out(selector) && taken_ms.is_some_and(|taken| taken > since + RULES_MS) {
            self.oracle
                .object(format_args!("client {actor}: listener {listener} hears what its token hides"));
        }
    }

    fn publish_failed(&mut self, actor: usize, party: PartyId, id: PublishId, fault: Fault) {
        let uid = self.publish_of(actor, party, id);
        let cause = Cause {
            too_large: self.is_too_large(uid),
            anew: self.oracle.began_anew(uid) || self.actors[actor].rebuilt,
            damaged: self.storing.as_ref().is_some_and(|storing| storing.disk.is_damaged),
            taken_over: self.actors[actor].taken_over,
            forgets: self.setup.forgets,
            refused: self.may_be_refused(actor),
        };
        self.oracle.failed(uid, fault, cause);
        if fault == Fault::Protocol(Code::Fenced) {
            self.fenced(actor);
        }
    }

    /// A question has its answer.
    fn answered(&mut self, actor: usize, listener: usize, told: Answered<'_>) {
        let index = self.actors[actor].listeners[listener - 1];
        let Some(asking) = self.oracle.questions.remove(&index) else {
            return self.oracle.object(format_args!("client {actor}: question {index} is answered twice"));
        };
        if let Err(objection) = self.oracle.answered(&asking, told) {
            let what = format!("client {actor}, question {index}: {objection}\n  {asking:?}\n  {told:?}");
            self.oracle.object(what);
        }
        self.tally.pages += 1;
    }

    fn check(&mut self, actor: usize, listener: usize, done: Result<(), String>) {
        if let Err(objection) = done {
            let listening = &self.oracle.listeners[listener];
            let what = format!("client {actor}, listener {listener}: {objection}\n  {listening:?}");
            self.oracle.object(what);
        }
    }

    fn caught_up(&mut self, actor: usize, listener: usize) {
        let index = self.actors[actor].listeners[listener - 1];
        let keeps = self.oracle.keeps(self.oracle.listeners[index].selector);
        let Oracle { listeners, logs, publishes, .. } = &mut self.oracle;
        let done = listeners[index].caught_up(logs, publishes, keeps);
        self.check(actor, index, done);
    }

    fn listener_refused(&mut self, actor: usize, listener: usize, fault: Fault) {
        let index = self.actors[actor].listeners[listener - 1];
        self.oracle.questions.remove(&index);
        self.oracle.listeners[index].ended = true;
        self.actors[actor].listening.retain(|seat| seat.id.0 as usize != listener);
        let is_closed = fault == Fault::Protocol(Code::Forbidden)
            && self.oracle.closing.may_end(self.oracle.listeners[index].selector);
        let selector = self.oracle.listeners[index].selector;
        let is_narrow = fault == Fault::Protocol(Code::Forbidden)
            && self.actors[actor].was_narrow
            && self.is_left_out(selector);
        let is_refused = fault == Fault::Protocol(Code::BadToken) && self.may_be_refused(actor);
        if is_narrow || is_refused {
            return;
        }
        if fault != Fault::Client(ClientCode::Closed) && fault != Fault::Protocol(Code::Fenced) && !is_closed
        {
            self.oracle.object(format_args!("client {actor}: a listener is refused: {}", fault.name()));
        }
    }

    fn status(&mut self, actor: usize, status: Status) {
        self.actors[actor].online = status == Status::Online;
        match status {
            Status::Online => {
                self.come_late(actor);
                let Actor { producer, incarnation, .. } = self.actors[actor];
                let link = self.actors[actor].link.map(|link| &self.links[link as usize]);
                // A welcome of a hub that has gone since says nothing of the one that lives.
                if link.is_some_and(|link| link.hub.is_some()) {
                    self.oracle.attached(self.now, producer, incarnation);
                }
            }
            Status::Offline { fault: Some(Fault::Client(ClientCode::HubMisbehaved)), .. } => {
                self.oracle.object(format_args!("client {actor} finds that the hub misbehaves"));
            }
            Status::Offline { fault: Some(Fault::Protocol(Code::TooSlow)), .. } if self.calm => {
                // Its own wait may be longer than the calm.
                self.after(2_000, Event::Online(actor));
            }
            Status::Closed { fault: Some(Fault::Protocol(Code::Fenced)) } => self.fenced(actor),
            Status::Closed { fault: Some(Fault::Protocol(Code::BadToken)) } if self.may_be_refused(actor) => {
                let wait = self.random.below(2_000);
                self.after(wait, Event::Close(actor));
                self.after(wait, Event::Replace);
            }
            Status::Closed { fault: Some(fault) } => {
                self.oracle.object(format_args!("client {actor} is closed for ever: {}", fault.name()));
            }
            Status::Connecting | Status::Offline { .. } | Status::Closed { fault: None } => {}
        }
    }

    /// Another incarnation has taken over; without one, nobody may be fenced.
    fn fenced(&mut self, actor: usize) {
        let Actor { producer, incarnation, .. } = self.actors[actor];
        let newer =
            self.actors.iter().any(|other| other.producer == producer && other.incarnation > incarnation);
        if !newer {
            self.oracle.object(format_args!("client {actor} is fenced by nobody"));
        }
        let wait = self.random.below(2_000);
        self.after(wait, Event::Close(actor));
    }

    /// Only what clients do can make a hub end their connections, or its own end.
    fn check_goodbye(&mut self, actor: usize, code: Code) {
        match code {
            Code::BadToken if self.may_be_refused(actor) => {}
            Code::Draining | Code::Silent | Code::TooSlow | Code::Resume | Code::SignInTimeout => {}
            Code::BadFrame
            | Code::NotSignedIn
            | Code::BadToken
            | Code::Forbidden
            | Code::BadName
            | Code::TooLarge
            | Code::LimitReached
            | Code::RateLimited
            | Code::OutOfOrder
            | Code::Fenced
            | Code::UnknownNumber
            | Code::NotStored
            | Code::NotSupported
            | Code::Overloaded
            | Code::OutcomeForgotten
            | Code::Internal
            | Code::IdentityMismatch
            | Code::BatchRefused
            | Code::ConditionFailed
            | Code::BadMessage
            | Code::Unknown => {
                self.oracle.object(format_args!("client {actor} is sent away: {code}"));
            }
        }
    }
}

/// Whose publishing an event is about.
fn party_of(event: &ClientEvent) -> Option<PartyId> {
    match event {
        ClientEvent::Published(published) => Some(published.party),
        ClientEvent::Failed { party, .. } | ClientEvent::Detached { party, .. } => Some(*party),
        _ => None,
    }
}

/// A dead link is found out within this once there is reason to doubt it, whatever lies on the way.
const DOUBT_MS_MAX: u64 = 10_000;
