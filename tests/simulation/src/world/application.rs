//! What applications do: publish in bursts, listen, stop listening, withdraw, settle, close.

use tidewire_client_core::fault::Fault;
use tidewire_client_core::options::{PartyId, SubscribeOptions};
use tidewire_client_core::output::{ListenerId, PublishId};
use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Position, Start};

use crate::names::{KEYED, NAMES, PLAIN, SELECTORS, SelectorIndex, TOPICS, TopicIndex};
use crate::oracle::batches::Batch;
use crate::oracle::fate::Fate;
use crate::oracle::listening::Listening;
use crate::oracle::payload::message_of;
use crate::oracle::{Publish, Uid};
use crate::world::World;
use crate::world::actor::{Actor, Seat};
use crate::world::event::Event;

impl World {
    /// Plans what a client's application does first, and what befalls it.
    pub(crate) fn plan_client(&mut self, actor: usize) {
        if self.setup.act_ms > 0 {
            let wait = self.random.below(2_000);
            self.after(wait, Event::Act(actor));
            let wait = self.random.wait(self.setup.fault_ms);
            self.after(wait, Event::Fault(actor));
        }
    }

    pub(crate) fn act(&mut self, actor: usize) {
        if self.actors[actor].closed {
            return;
        }
        let wait = self.random.wait(self.setup.act_ms);
        self.after(wait, Event::Act(actor));
        if self.calm {
            return;
        }
        if self.random.one_in(8) {
            self.ask_below(actor);
        }
        match self.random.below(12) {
            0..=5 => self.publish_some(actor),
            6..=8 if self.actors[actor].listening.len() < LISTENERS_MAX => self.listen_somewhere(actor),
            6..=9 => self.stop_listening(actor),
            10 => self.withdraw(actor),
            _ => {
                self.publish_some(actor);
                self.withdraw(actor);
                self.stop_listening(actor);
                self.listen_somewhere(actor);
            }
        }
    }

    pub(crate) fn publish_some(&mut self, actor: usize) {
        let count = self.random.magnitude(1, 40);
        let mut topic = self.random.below(PLAIN as u64) as TopicIndex;
        for _ in 0..count {
            if self.random.one_in(4) {
                topic = self.random.below(PLAIN as u64) as TopicIndex;
            }
            if self.batches.one_in(12) {
                self.publish_some_batch(actor);
            }
            let most = self.setup.hub.limits.message_bytes_max as u64;
            let len = if self.random.one_in(200) { most + 1 } else { self.random.magnitude(8, most) };
            self.publish(actor, topic, len as u32);
        }
        self.drain(actor, &[]);
    }

    /// Who has heard all outcomes lets go of them with what it publishes next, and until then they are in use. Where there
    /// is little room for windows, somebody may wait for that: all others publish once more then. Tells whether they did.
    pub(crate) fn say_more(&mut self) -> bool {
        let here = (0..self.actors.len()).filter(|actor| !self.actors[*actor].closed);
        let (done, waiting): (Vec<_>, Vec<_>) =
            here.partition(|actor| self.actors[*actor].client.outbox_state().0 == 0);
        if !self.setup.has_little_room || waiting.is_empty() {
            return false;
        }
        self.note(|| format!("all others make room for clients {waiting:?}"));
        for actor in done {
            let Actor { counters, side, .. } = &self.actors[actor];
            for (as_side, counters) in [(false, Some(*counters)), (true, side.map(|side| side.counters))] {
                let used = |topic: &usize| counters.is_some_and(|counters| counters[*topic] > 0);
                for topic in (0..TOPICS).filter(used) {
                    self.publish_as(actor, as_side, topic as TopicIndex, 8, Batch::default());
                }
            }
            self.drain(actor, &[]);
        }
        true
    }

    /// Most are of one log.
    fn publish_some_batch(&mut self, actor: usize) {
        let random = &mut self.batches;
        let most = self.setup.hub.limits.message_bytes_max as u64;
        let one_log = !random.one_in(10);
        let log = self.oracle.log_of[random.below(PLAIN as u64) as usize];
        let mut messages = Vec::new();
        for _ in 0..random.between(1, 8) {
            let topic = random.below(PLAIN as u64) as TopicIndex;
            let len = if random.one_in(300) { most + 1 } else { random.magnitude(8, most / 4 + 8) };
            if !one_log || self.oracle.log_of[usize::from(topic)] == log {
                messages.push((topic, len as u32));
            }
        }
        if !messages.is_empty() {
            self.publish_batch(actor, &messages);
        }
    }

    /// Publishes; the outputs wait for [`Self::flush`] or whatever happens next to the client.
    pub fn publish(&mut self, actor: usize, topic: TopicIndex, len: u32) -> Option<Uid> {
        let as_side = self.actors[actor].side.is_some() && self.random.one_in(2);
        self.publish_as(actor, as_side, topic, len, Batch::default())
    }

    /// The same for messages of which all or none are to land. Gives the first.
    pub fn publish_batch(&mut self, actor: usize, messages: &[(TopicIndex, u32)]) -> Option<Uid> {
        let as_side = self.actors[actor].side.is_some() && self.batches.one_in(2);
        let this = &mut self.actors[actor];
        let party = this.side.filter(|_| as_side).map_or(PartyId(0), |side| side.party);
        let id = PublishId(this.published.len() as u64 + 1);
        let first = self.oracle.publishes.len() as Uid;
        let numbered = (first..).zip(messages);
        let bytes = numbered.map(|(uid, (topic, len))| message_of(uid, *topic, *len).bytes()).sum();
        let count = messages.len() as u32;
        this.client.begin_batch(party, id, count, Some(bytes)).ok()?;
        for (topic, len) in messages {
            let uid = self.publish_as(actor, as_side, *topic, *len, Batch { first, count });
            if uid.is_none() {
                self.oracle.object(format_args!("client {actor} has room for a batch, and does not take it"));
            }
        }
        Some(first)
    }

    fn publish_as(
        &mut self,
        actor: usize,
        as_side: bool,
        topic: TopicIndex,
        len: u32,
        batch: Batch,
    ) -> Option<Uid> {
        let now = self.now;
        let this = &mut self.actors[actor];
        let id = PublishId(this.published.len() as u64 + 1);
        let message = message_of(self.oracle.publishes.len() as Uid, topic, len);
        let Actor { producer, incarnation, .. } = *this;
        let (party, whose, producer, incarnation, counters) = match &mut this.side {
            Some(side) if as_side => {
                let whose = (side.actor, side.number);
                (side.party, whose, side.producer, side.incarnation, &mut side.counters)
            }
            Some(_) | None => (PartyId(0), (actor, 0), producer, incarnation, &mut this.counters),
        };
        this.client.take(now, party, id, &message).ok()?;
        counters[usize::from(topic)] += 1;
        let counter = counters[usize::from(topic)];
        this.parties.push(party);
        let fate = Fate::Waiting;
        let publish = Publish {
            actor: whose.0,
            party: whose.1,
            producer,
            incarnation,
            topic,
            counter,
            batch,
            bare: false,
            len,
            fate,
            seen: 0,
        };
        let uid = self.oracle.published(publish);
        let this = &mut self.actors[actor];
        this.published.push(uid);
        this.seqs.push(0);
        self.tally.published += 1;
        self.note(|| {
            format!("client {actor} publishes #{uid}, id {}, topic {topic}, {len} bytes, {batch:?}", id.0)
        });
        Some(uid)
    }

    /// Whether the hub is sure not to take a message for its size, or its batch for that.
    pub(crate) fn is_too_large(&self, uid: Uid) -> bool {
        let limits = &self.setup.hub.limits;
        let of = |uid: Uid| self.oracle.publishes[uid as usize];
        let Batch { first, count } = of(uid).batch;
        let members: Vec<_> =
            if count > 0 { (first..first + count).map(of).collect() } else { vec![of(uid)] };
        let to = |topic| members.iter().filter(|member| member.topic == topic).count() as u64;
        let bytes = |uid| message_of(uid, 0, of(uid).len).bytes() as usize + 40;
        let bytes: usize = (first..first + count).map(bytes).sum();
        members.iter().any(|member| member.len as usize > limits.message_bytes_max)
            || count > 0 && members.iter().any(|member| to(member.topic) > limits.in_flight_max)
            || count > 0 && bytes + 40 > limits.frame_bytes_max
    }

    /// Lets a client act on what its application asked.
    pub fn flush(&mut self, actor: usize) {
        self.drain(actor, &[]);
        self.after_step();
    }

    fn listen_somewhere(&mut self, actor: usize) {
        let selector = self.random.below(SELECTORS as u64) as SelectorIndex;
        let start = self.some_start(selector);
        let when_slow = match self.random.below(6) {
            0 => WhenSlow::Gap,
            1 => WhenSlow::Disconnect,
            2 if self.oracle.keyed && selector == KEYED => WhenSlow::Latest,
            _ => WhenSlow::CatchUp,
        };
        let mut options = SubscribeOptions {
            from: start,
            when_slow,
            echo: !self.random.one_in(6),
            ..SubscribeOptions::default()
        };
        if self.random.one_in(3) {
            options.messages_max = self.random.magnitude(1, 30) as u32;
            options.bytes_max = self.random.magnitude(10, 5_000) as u32;
        }
        self.listen(actor, selector, options);
    }

    /// Some way to start; places to start after are ones that were, so that only the hub can err.
    pub(crate) fn some_start(&mut self, selector: SelectorIndex) -> Start {
        match self.random.below(6) {
            0 | 1 => Start::Latest,
            2 => Start::Earliest,
            3 => Start::Last(self.random.magnitude(1, 100)),
            4 => Start::SinceMs(self.random.magnitude(10, 300_000)),
            _ => {
                let back = usize::from(self.random.one_in(6));
                let life = self.oracle.life(back);
                let places = life.into_iter().skip(self.oracle.logs_of(selector).start);
                let places: Vec<_> = places.take(self.oracle.logs_of(selector).len()).collect();
                if places.is_empty() {
                    return Start::Earliest;
                }
                Start::After(places.into_iter().map(|log| self.some_place(log, selector)).collect())
            }
        }
    }

    /// A place in a log: its beginning, or that of a message of a selector.
    pub(crate) fn some_place(&mut self, log: usize, selector: SelectorIndex) -> Position {
        let log = &self.oracle.logs[log];
        let own = &log.by_selector[usize::from(selector)];
        let among = own.len() as u64 + 1;
        let place = (self.random.below(among) as usize).checked_sub(1);
        let record = place.map(|place| &log.records[own[place] as usize]);
        Position { epoch: log.epoch, offset: Offset(record.map_or(0, |record| record.offset)) }
    }

    /// Listens; gives the listener's place in the oracle.
    pub fn listen(
        &mut self,
        actor: usize,
        selector: SelectorIndex,
        options: SubscribeOptions,
    ) -> Option<usize> {
        let this = &mut self.actors[actor];
        this.skips[usize::from(selector)] |= options.when_slow == WhenSlow::Gap;
        let when_slow = if this.skips[usize::from(selector)] { WhenSlow::Gap } else { WhenSlow::CatchUp };
        let mut listening = Listening::new(actor, selector, options.from.clone(), options.echo, when_slow);
        listening.bounded = options.messages_max < SubscribeOptions::default().messages_max;
        listening.logs = self.oracle.logs_of(selector);
        let counted = |log: usize| (log, self.oracle.logs[log].by_selector[usize::from(selector)].len());
        listening.began = self.oracle.life(0).into_iter().map(counted).collect();
        // One that wants the same as one that is being asked for shares its answer.
        if let Some(began) = self.asking_for(actor, selector, &options.from) {
            listening.began = began;
        }
        let told = format!("{options:?}");
        let id = self.actors[actor].client.subscribe(self.now, NAMES[usize::from(selector)], options).ok()?;
        let index = self.oracle.listeners.len();
        self.oracle.listeners.push(listening);
        let this = &mut self.actors[actor];
        this.listeners.push(index);
        this.listening.push(Seat { id, selector });
        if this.listeners.len() != id.0 as usize {
            self.oracle.object(format_args!("client {actor} gives a listener the id {}", id.0));
        }
        self.note(|| format!("client {actor}, listener {index}: {} {told}", NAMES[usize::from(selector)]));
        self.want_end(actor, id, index);
        self.drain(actor, &[]);
        Some(index)
    }

    /// Some want to hear when they have all that there was. The question has a listener's number.
    fn want_end(&mut self, actor: usize, id: ListenerId, index: usize) {
        let listening = &mut self.oracle.listeners[index];
        let is_its = |(log, _): &&(usize, usize)| listening.logs.contains(&self.oracle.logs[*log].index);
        let ends: Vec<_> = listening.began.iter().filter(is_its).copied().collect();
        if !ends.is_empty() && self.random.one_in(3) {
            listening.wants_end = Some(ends);
            self.actors[actor].client.catch_up(self.now, id);
            self.actors[actor].listeners.push(index);
        }
    }

    /// When a listener of the client began that wants the same, and whose question may not have been answered.
    fn asking_for(
        &self,
        actor: usize,
        selector: SelectorIndex,
        start: &Start,
    ) -> Option<Vec<(usize, usize)>> {
        let listeners = self.actors[actor].listeners.iter().map(|index| &self.oracle.listeners[*index]);
        let mut same = listeners.filter(|other| other.selector == selector && other.start == *start);
        same.find(|other| !other.is_ready()).map(|other| other.began.clone())
    }

    fn stop_listening(&mut self, actor: usize) {
        let among = self.actors[actor].listening.len() as u64;
        if among > 0 {
            let place = self.random.below(among) as usize;
            let seat = self.actors[actor].listening[place];
            self.unlisten(actor, seat.id);
        }
    }

    /// Ends a listener.
    pub fn unlisten(&mut self, actor: usize, id: ListenerId) {
        let this = &mut self.actors[actor];
        this.listening.retain(|seat| seat.id != id);
        let index = this.listeners[id.0 as usize - 1];
        this.client.unsubscribe(self.now, id);
        self.oracle.listeners[index].ended = true;
        self.note(|| format!("client {actor} ends listener {index}"));
        self.drain(actor, &[]);
    }

    fn withdraw(&mut self, actor: usize) {
        let published = self.actors[actor].published.len() as u64;
        if published > 0 {
            let recent = published.min(10);
            let id = PublishId(published - self.random.below(recent));
            self.cancel(actor, id);
        }
    }

    /// Withdraws a message.
    pub fn cancel(&mut self, actor: usize, id: PublishId) {
        self.note(|| format!("client {actor} withdraws {}", id.0));
        let this = &mut self.actors[actor];
        let party = this.parties[id.0 as usize - 1];
        this.client.cancel(self.now, party, id);
        self.drain(actor, &[]);
    }

    /// The application will be done with a message after a while.
    pub(crate) fn plan_settle(&mut self, actor: usize, listener: usize, bytes: u32) {
        let busy = self.random.one_in(5) && !self.calm;
        let wait = self.random.below(if busy { 3_000 } else { 3 });
        self.after(wait, Event::Settle { actor, listener, bytes });
    }

    pub(crate) fn settle(&mut self, actor: usize, listener: usize, bytes: u32) {
        self.actors[actor].client.settled(self.now, ListenerId(listener as u32), 1, bytes);
        self.drain(actor, &[]);
    }

    /// The application is done with its client.
    pub fn close(&mut self, actor: usize) {
        if self.actors[actor].closed {
            return;
        }
        self.note(|| format!("client {actor} is closed"));
        self.actors[actor].client.close(self.now);
        self.drain(actor, &[]);
        self.actors[actor].closed = true;
        let (waiting, _) = self.actors[actor].client.outbox_state();
        if waiting > 0 {
            self.oracle
                .object(format_args!("client {actor} is closed with {waiting} messages in its outbox"));
        }
        let publishing = self.actors[actor].client.publish(self.now, &message_of(0, 0, 8));
        if !matches!(publishing, Err(Fault::Client(_))) {
            self.oracle.object(format_args!("client {actor} is closed and publishes"));
        }
    }
}

const LISTENERS_MAX: usize = 8;
