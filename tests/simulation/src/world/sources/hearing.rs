//! What those who listen to event streams are told, and what the oracle makes of it.

use tidewire_protocol::code::{Code, Outcome};
use tidewire_protocol::position::{Gap, Position};

use crate::events::{Begun, Event, Lost, Message, Said};
use crate::names::{FOREIGN, NAMES, audience_of, topic_named};
use crate::oracle::Oracle;
use crate::oracle::listening::Heard;
use crate::world::World;
use crate::world::link::LinkId;
use crate::world::sources::Seat;

impl World {
    /// What has arrived on its link.
    pub(crate) fn read_events(&mut self, source: usize, id: LinkId) {
        let this = &mut self.sources[source];
        if let Err(what) = this.body.take(&mut self.links[id as usize].arrived) {
            return self.oracle.object(format_args!("source {source} received {what}"));
        }
        loop {
            match self.sources[source].body.take_event() {
                Ok(Some(event)) => self.source_hears(source, event),
                Ok(None) => return,
                Err(what) => return self.oracle.object(format_args!("source {source} received {what}")),
            }
        }
    }

    fn source_hears(&mut self, source: usize, event: Event) {
        if self.trace.is_some() {
            self.note(|| format!("source {source} hears {event:?}"));
        }
        let Event { said, id, retry_ms } = event;
        self.sources[source].retry_ms = retry_ms.unwrap_or(self.sources[source].retry_ms);
        if said.is_some() {
            let now = self.now;
            for seat in &self.sources[source].seats {
                self.oracle.listeners[seat.listener].heard_ms = now;
            }
        }
        match said {
            Some(Said::Message(message)) => self.source_gets(source, &message, id.as_deref()),
            Some(Said::Subscribed(begun)) => self.source_is_told(source, &begun),
            Some(Said::Gap(lost)) => self.source_lacks(source, &lost),
            Some(Said::Unsubscribed(ended)) => {
                let Some(at) = self.seat_named(source, &ended.topic) else { return };
                let listening = &mut self.oracle.listeners[self.sources[source].seats[at].listener];
                listening.ended = true;
                if ended.code != Code::Forbidden || !self.oracle.closing.may_end(listening.selector) {
                    self.oracle.object(format_args!("source {source}: an end without a cause: {ended:?}"));
                }
            }
            Some(Said::Closed(closed)) => self.check_closed(source, closed.code),
            None => {}
        }
        if let Some(places) = id {
            self.source_stands(source, places);
        }
    }

    /// Of which log a message is its id says, or else its topic.
    fn source_gets(&mut self, source: usize, message: &Message, id: Option<&[Position]>) {
        let topic = topic_named(&message.topic).unwrap_or(FOREIGN);
        let audience = audience_of(topic);
        let seats = &self.sources[source].seats;
        let hears = |listener: usize| audience.contains(&self.oracle.listeners[listener].selector);
        let Some(seat) = seats.iter().find(|seat| hears(seat.listener)) else {
            let what = format!("source {source} hears of a topic that it did not want: {message:?}");
            return self.oracle.object(what);
        };
        let (listener, payload) = (seat.listener, message.payload());
        let place = match id {
            Some([place]) => Some(*place),
            Some(_) | None => self.oracle.place_of(listener, topic, message.offset),
        };
        let Some(Position { epoch, offset }) = place else {
            return self.oracle.object(format_args!("source {source} hears {message:?} of no log"));
        };
        if offset != message.offset {
            return self.oracle.object(format_args!("source {source} hears {message:?} with id {offset}"));
        }
        let Message { published_at: published_at_ms, maybe_duplicate, .. } = *message;
        let heard = Heard { epoch, offset, published_at_ms, maybe_duplicate };
        self.oracle.heard(self.now, listener, &heard, &payload);
    }

    fn source_is_told(&mut self, source: usize, begun: &Begun) {
        let Some(at) = self.seat_named(source, &begun.topic) else { return };
        let seat = &mut self.sources[source].seats[at];
        seat.begins.push(Position { epoch: begun.epoch, offset: begun.offset });
        seat.outcome = begun.outcome;
        self.source_may_begin(source, at);
    }

    fn source_lacks(&mut self, source: usize, lost: &Lost) {
        let Some(at) = self.seat_named(source, &lost.topic) else { return };
        let Lost { epoch, from, to, reason, .. } = *lost;
        let gap = Gap { epoch, from, to, reason };
        let seat = &mut self.sources[source].seats[at];
        let listener = seat.listener;
        if !self.oracle.listeners[listener].is_ready() {
            seat.gap = Some(gap);
            return self.source_may_begin(source, at);
        }
        let keeps = self.oracle.keeps(self.oracle.listeners[listener].selector);
        let Oracle { listeners, logs, .. } = &mut self.oracle;
        let done = listeners[listener].gap(gap, logs, keeps);
        self.check_source(source, listener, done);
    }

    /// A topic or pattern begins when each of its logs is told, and with it what is gone of one.
    fn source_may_begin(&mut self, source: usize, at: usize) {
        let Seat { listener, begins, outcome, gap } = &self.sources[source].seats[at];
        let (listener, outcome) = (*listener, *outcome);
        let is_whole = begins.len() >= self.oracle.listeners[listener].logs.len();
        if !is_whole || outcome == Outcome::Gap && gap.is_none() {
            return;
        }
        let keeps = self.oracle.keeps(self.oracle.listeners[listener].selector);
        let Oracle { listeners, logs, .. } = &mut self.oracle;
        let done = listeners[listener].ready(self.now, outcome, begins, *gap, logs, keeps);
        self.check_source(source, listener, done);
    }

    /// It is told an id: with that it will come back.
    fn source_stands(&mut self, source: usize, places: Vec<Position>) {
        let mut rest = &places[..];
        let seats: Vec<usize> = self.sources[source].seats.iter().map(|seat| seat.listener).collect();
        for listener in seats {
            let count = self.oracle.listeners[listener].logs.len();
            let Some((own, others)) = rest.split_at_checked(count) else {
                return self
                    .oracle
                    .object(format_args!("source {source} is told too few places: {places:?}"));
            };
            rest = others;
            for place in own {
                let Oracle { listeners, logs, publishes, .. } = &mut self.oracle;
                let listening = &mut listeners[listener];
                let done =
                    if listening.ended { Ok(()) } else { listening.stands_at(*place, logs, publishes) };
                self.check_source(source, listener, done);
            }
        }
        self.sources[source].id = Some(places);
    }

    fn seat_named(&mut self, source: usize, name: &str) -> Option<usize> {
        let is = |listener: usize| NAMES[usize::from(self.oracle.listeners[listener].selector)] == name;
        let found = self.sources[source].seats.iter().position(|seat| is(seat.listener));
        if found.is_none() {
            self.oracle.object(format_args!("source {source} is told of {name}, which it did not want"));
        }
        found
    }

    fn check_source(&mut self, source: usize, listener: usize, done: Result<(), String>) {
        if let Err(objection) = done {
            let listening = &self.oracle.listeners[listener];
            let what = format!("source {source}, listener {listener}: {objection}\n  {listening:?}");
            self.oracle.object(what);
        }
    }

    fn check_closed(&mut self, source: usize, code: Code) {
        let wishes = &self.sources[source].wishes;
        let is_closed = || wishes.iter().any(|(selector, _)| self.oracle.closing.may_end(*selector));
        let has_cause = match code {
            Code::Draining | Code::Silent | Code::TooSlow | Code::Resume => true,
            Code::Forbidden => is_closed(),
            Code::BadToken => {
                let token = self.sources[source].token;
                token.is_some_and(|token| self.may_have_ended(token))
            }
            _ => false,
        };
        if !has_cause {
            self.oracle.object(format_args!("source {source} is sent away: {code}"));
        }
    }
}
