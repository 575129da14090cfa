//! Publishes by call: of one message or several, with a key or without, sent again where no answer came.

use std::ops::Range;

use tidewire_hub_core::calls::Placed as Landed;
use tidewire_hub_core::calls::publishing::{NewMessage, Turned};
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::session::telling::Refusal;
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::Terms;
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::number::{Offset, ProducerId};
use tidewire_protocol::position::Position;

use crate::names::{KEYED, NAMES, TOPICS, TopicIndex};
use crate::oracle::batches::Batch;
use crate::oracle::calls::{CALLERS, Placed};
use crate::oracle::fate::Fate;
use crate::oracle::keys::{Moment, Wish};
use crate::oracle::payload::put_payload;
use crate::oracle::{Publish, Uid};
use crate::world::World;
use crate::world::callers::{CallIndex, Of};
use crate::world::event::Event;

/// A call to publish.
#[derive(Debug)]
pub(crate) struct Publishing {
    /// Its messages.
    pub(crate) uids: Range<Uid>,
    /// What its key stands for; none if it has none.
    producer: Option<ProducerId>,
    /// How often it was sent.
    tries: u32,
    /// When the first of them arrived.
    since: Option<Moment>,
    /// How many of its tries wait for what becomes of them.
    waiting: u32,
}

impl Publishing {
    /// The hub has gone, and with it whoever would have answered. Whether another one may be asked the same.
    pub(super) fn loses_hub(&mut self) -> bool {
        self.waiting = 0;
        self.producer.is_some()
    }
}

impl World {
    /// A call to publish by chance.
    pub(super) fn call_to_publish(&mut self, caller: usize) {
        let most = self.setup.hub.limits.message_bytes_max as u64;
        let count = if self.random.one_in(2) { 1 } else { self.random.between(2, 6) };
        let one_log = !self.random.one_in(10);
        let first = if self.oracle.keyed && self.random.one_in(2) {
            KEYED
        } else {
            self.random.below(TOPICS as u64) as TopicIndex
        };
        let log = self.oracle.log_of[usize::from(first)];
        let mut messages = Vec::new();
        for at in 0..count {
            let is_same = at == 0 || first == KEYED && self.random.one_in(2);
            let topic = if is_same { first } else { self.random.below(TOPICS as u64) as TopicIndex };
            let len = if self.random.one_in(200) { most + 1 } else { self.random.magnitude(8, most / 4 + 8) };
            if !one_log || self.oracle.log_of[usize::from(topic)] == log {
                messages.push((topic, len as u32));
            }
        }
        let has_key = self.random.one_in(2);
        self.publish_by_call(caller, &messages, has_key);
    }

    /// Publishes by a call, with a key of its own or without.
    pub fn publish_by_call(&mut self, caller: usize, messages: &[(TopicIndex, u32)], has_key: bool) -> usize {
        let call = self.calls.len();
        let first = self.oracle.publishes.len() as Uid;
        let count = messages.len() as u32;
        for (uid, (topic, _)) in (first..).zip(messages) {
            if self.oracle.keyed && *topic == KEYED {
                let wish = self.some_wish();
                self.oracle.wished(uid, wish);
            }
        }
        // One alone is no batch.
        let batch = if count > 1 { Batch { first, count } } else { Batch::default() };
        for (counter, (topic, len)) in (1..).zip(messages) {
            self.oracle.published(Publish {
                actor: CALLERS,
                party: call as u32,
                producer: CALLERS as u64 ^ call as u64,
                incarnation: 0,
                topic: *topic,
                counter,
                batch,
                bare: false,
                len: *len,
                fate: Fate::Waiting,
                seen: 0,
            });
        }
        self.tally.published += u64::from(count);
        let producer = has_key.then(|| producer_of(call));
        self.note(|| format!("caller {caller}, call {call}: #{first} and {count} in all, key {has_key}"));
        for uid in first..first + count {
            if let Some(Wish { attributes, terms }) =
                self.oracle.wish_of(uid).filter(|_| self.trace.is_some())
            {
                let what = format!("#{uid} has {attributes:?} and {terms:?}");
                self.note(|| what);
            }
        }
        let of = Publishing { uids: first..first + count, producer, tries: 0, since: None, waiting: 0 };
        self.begin_call(caller, Of::Publish(of))
    }

    /// The request has arrived.
    pub(super) fn try_to_publish(&mut self, call: usize) {
        let Of::Publish(publishing) = &mut self.calls[call].of else { return };
        publishing.tries += 1;
        publishing.since.get_or_insert(self.oracle.moment());
        let (uids, producer, tries) = (publishing.uids.clone(), publishing.producer, publishing.tries);
        let payloads: Vec<(TopicIndex, Vec<u8>, Option<Wish>)> = uids
            .map(|uid| {
                let Publish { topic, len, .. } = self.oracle.publishes[uid as usize];
                let mut payload = Vec::new();
                put_payload(uid, len as usize, &mut payload);
                (topic, payload, self.oracle.wish_of(uid).cloned())
            })
            .collect();
        let messages: Vec<NewMessage<'_>> = payloads
            .iter()
            .map(|(topic, payload, wish)| {
                let topic = NAMES[usize::from(*topic)];
                let (attributes, terms) =
                    wish.clone().map(|wish| (wish.attributes, wish.terms)).unwrap_or_default();
                NewMessage { topic, content: Content::Binary, payload, attributes, terms }
            })
            .collect();
        let now = Millis(self.now);
        let asked =
            self.ask(call, |hub, by| hub.calls.publish(now, by, &messages, producer, call as CallIndex));
        self.note(|| format!("call {call}, try {tries}: {asked:?}"));
        if matches!(asked, Some(Ok(_))) && self.token_of_call_has_ended(call) {
            self.oracle.object(format_args!("call {call} is taken, and its token has ended"));
        }
        match asked {
            Some(Ok(_)) => {
                if let Of::Publish(publishing) = &mut self.calls[call].of {
                    publishing.waiting += 1;
                }
                // Whoever has a key may lose patience, and send it again while it is under way.
                if producer.is_some() && !self.calm && self.random.one_in(3) {
                    let wait = self.random.magnitude(1, 3_000);
                    self.after(wait, Event::Called(call as CallIndex));
                }
            }
            Some(Err(turned)) => self.turned_down(call, turned),
            None => {}
        }
    }

    /// Nothing of a try is taken.
    fn turned_down(&mut self, call: usize, Turned { index, refusal }: Turned) {
        let Of::Publish(publishing) = &self.calls[call].of else { return };
        let (uids, is_first) = (publishing.uids.clone(), publishing.tries == 1);
        let has_key = publishing.producer.is_some();
        let cause = self.oracle.publishes[uids.start as usize + index];
        let has_cause = match refusal.code {
            Code::Forbidden => self.oracle.closing.is_to_publishers(cause.topic),
            Code::BadToken => self.token_of_call_has_ended(call),
            Code::TooLarge => {
                let limits = &self.setup.hub.limits;
                // No window takes so many at once, however often they are sent.
                let before = &self.oracle.publishes[uids.start as usize..=uids.start as usize + index];
                let to_its = before.iter().filter(|other| other.topic == cause.topic).count() as u64;
                let is_beyond = has_key && to_its > limits.in_flight_max;
                is_beyond || cause.len as usize > limits.message_bytes_max
            }
            Code::RateLimited => self.setup.hub.limits.publishes_per_second_max > 0,
            // That a window is kept no longer may have to be stored first.
            Code::Overloaded => !self.setup.keeps_all || self.setup.forgets || self.storing.is_some(),
            _ => false,
        };
        if !has_cause {
            self.oracle.object(format_args!("call {call} is turned down: {refusal:?}, for {cause:?}"));
        }
        if refusal.code.retryable() {
            return self.call_again(call, refusal.retry_after_ms);
        }
        self.end_publishing(call, is_first);
    }

    /// A try has its answer, which may be lost on its way.
    pub(super) fn published_by_call(&mut self, call: usize, landed: &[Result<Landed, Refusal>]) {
        let Of::Publish(publishing) = &mut self.calls[call].of else { return };
        publishing.waiting -= 1;
        let (uids, tries, has_key) =
            (publishing.uids.clone(), publishing.tries, publishing.producer.is_some());
        self.note(|| format!("call {call} is answered {landed:?}"));
        // Of topics whose windows are forgotten it is not known any more what became of the first try.
        let is_forgotten = |landed: &Result<Landed, Refusal>| {
            landed.is_err_and(|refusal| refusal.code == Code::OutcomeForgotten)
        };
        // Nor of what its log was storing when it failed.
        let is_in_doubt = self.storing.as_ref().is_some_and(|storing| storing.has_failed);
        if (self.setup.forgets || is_in_doubt) && landed.iter().any(is_forgotten) {
            return self.end_publishing(call, false);
        }
        if landed.len() != uids.len() || landed.iter().any(Result::is_ok) && landed.iter().any(Result::is_err)
        {
            return self.oracle.object(format_args!("call {call} is answered in parts: {landed:?}"));
        }
        let is_cause = |refusal: &Refusal| !refusal.follows && refusal.code != Code::BatchRefused;
        let cause = landed.iter().filter_map(|landed| landed.err()).find(is_cause);
        let Some(refusal) = cause.or_else(|| landed.iter().find_map(|landed| landed.err())) else {
            for (uid, Landed { epoch, offset, is_duplicate, .. }) in uids.zip(landed.iter().flatten()) {
                self.oracle
                    .call_placed(uid, Placed { epoch: *epoch, offset: *offset, is_duplicate: *is_duplicate });
                if !has_key && *is_duplicate {
                    self.oracle.object(format_args!("call {call} has no key, and is a duplicate"));
                }
            }
            if !self.calm && has_key && self.random.one_in(4) {
                return self.call_again(call, 0);
            }
            self.end_call(call);
            return;
        };
        let misses = (uids.clone().zip(landed)).all(|(uid, landed)| self.may_have_missed(call, uid, landed));
        let topics: Vec<_> = uids.map(|uid| self.oracle.publishes[uid as usize].topic).collect();
        let log_of = |topic: &TopicIndex| self.oracle.log_of[usize::from(*topic)];
        let is_of_logs = topics.iter().any(|topic| log_of(topic) != log_of(&topics[0]));
        let waits = self.setup.late_engine || self.setup.durable.is_some();
        let has_cause = match refusal.code {
            Code::NotSupported => is_of_logs,
            Code::NotStored => waits,
            Code::Overloaded => waits || !self.setup.keeps_all,
            Code::OutcomeForgotten => self.setup.forgets && tries > 1,
            Code::ConditionFailed => misses,
            _ => false,
        };
        if !has_cause {
            self.oracle.object(format_args!("call {call} is refused: {refusal:?}"));
        }
        if has_key && refusal.code.retryable() {
            return self.call_again(call, refusal.retry_after_ms);
        }
        self.end_publishing(call, tries == 1);
    }

    /// Whether a message that was refused for its condition may have been.
    fn may_have_missed(&self, call: usize, uid: Uid, landed: &Result<Landed, Refusal>) -> bool {
        let Of::Publish(Publishing { since: Some(since), tries, .. }) = &self.calls[call].of else {
            return false;
        };
        match landed {
            Err(Refusal { code: Code::ConditionFailed, current, .. }) => {
                // A retry may be told of a removal that waited, and was given up later.
                let waits = self.setup.late_engine || self.setup.durable.is_some();
                let is_given_up = *tries > 1 && current.is_none() && waits;
                is_given_up || self.oracle.may_miss_condition(uid, (*current, *tries > 1), *since)
            }
            Ok(_) | Err(_) => true,
        }
    }

    /// What a message has besides in the topic that keeps the latest of each key: some are sure to come too late.
    fn some_wish(&mut self) -> Wish {
        let random = &mut self.keys;
        let key = format!("k{}", random.below(KEYS));
        let remove = random.one_in(4);
        let ttl_ms = if random.one_in(4) { random.magnitude(1, 60_000) } else { 0 };
        let is_versioned = random.one_in(5);
        let if_absent = !is_versioned && random.one_in(4);
        let if_version = is_versioned.then(|| self.some_version(&key));
        let attributes = Attributes { key: key.into(), remove, ttl_ms, ..Attributes::default() };
        Wish { attributes, terms: Terms { if_version, if_absent, durability: None } }
    }

    /// The place of a key's latest message, as far as anybody knows, or any other.
    fn some_version(&mut self, key: &str) -> Position {
        if !self.keys.one_in(4)
            && let Some(latest) = self.oracle.latest_of(key)
        {
            return latest;
        }
        let Position { epoch, offset } = self.oracle.moment().place();
        Position { epoch, offset: Offset(self.keys.below(offset.0 + 2)) }
    }

    /// It is over without a place; whether nothing of it can be in the log is known of the only try.
    pub(super) fn end_publishing(&mut self, call: usize, is_known: bool) {
        let Of::Publish(Publishing { uids, waiting, .. }) = &self.calls[call].of else { return };
        let (uids, is_known) = (uids.clone(), is_known && *waiting == 0);
        self.end_call(call);
        for uid in uids {
            self.oracle.call_failed(uid, is_known);
        }
    }

    /// The same is sent once more, after a while.
    fn call_again(&mut self, call: usize, retry_after_ms: u64) {
        let wait = retry_after_ms + self.random.magnitude(50, 2_000);
        self.after(wait, Event::Called(call as CallIndex));
    }
}

/// So many keys there are.
const KEYS: u64 = 6;

/// Nobody else's.
fn producer_of(call: usize) -> ProducerId {
    let mut id = [0xca; 16];
    id[8..].copy_from_slice(&(call as u64).to_be_bytes());
    ProducerId(id)
}
