//! Publishes by call: checked as those of a connection, and submitted at once.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::sync::Arc;

use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{Batch, Terms};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Handle, Incarnation, Offset, ProducerId, Seq, Tag};

use crate::access::Granted;
use crate::calls::{Answer, By, CallId, Calls, Of, Placed};
use crate::clock::Millis;
use crate::letter::{Fate, KEPT_OUT, Outcome};
use crate::limits::of_bearer::Bound;
use crate::log::submission::{Numbered, Submission, Wish};
use crate::log::windows::{Stream, WindowKey};
use crate::mutant::{self, Mutant};
use crate::names::producers::{Attachment, Claim};
use crate::record::Record;
use crate::session::asking::depth;
use crate::session::telling::{Refusal, place_of};
use crate::sync::lock;
use crate::topic::Topic;
use crate::topics::Topics;

/// A message that is to be published.
#[derive(Debug, Clone, Default)]
pub struct NewMessage<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What its bytes are.
    pub content: Content,
    /// Its bytes.
    pub payload: &'a [u8],
    /// What it has besides.
    pub attributes: Attributes<'a>,
    /// When it is acknowledged, and on which condition it is published.
    pub terms: Terms,
}

/// Why a call to publish is not taken, and nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turned {
    /// The message that is the cause.
    pub index: usize,
    /// Why.
    pub refusal: Refusal,
}

/// Messages of one call, on their way.
#[derive(Debug, Default)]
pub(super) struct Publishing {
    landed: Vec<Option<Result<Placed, Refusal>>>,
    missing: usize,
    /// Nobody knows of some whether they are stored.
    in_doubt: bool,
    attachment: Option<Attachment>,
    windows: Vec<WindowKey>,
}

/// A message's way into its log.
struct Way {
    topic: Arc<Topic>,
    numbered: Option<(WindowKey, Seq)>,
}

impl<R> Calls<R> {
    /// Publishes messages, all of them or none. With a producer, a later try with the same producer and messages finds what
    /// became of this one.
    ///
    /// # Errors
    /// Why nothing of it is taken. What the log says comes as the answer.
    pub fn publish(
        &self,
        now: Millis,
        by: By<'_>,
        messages: &[NewMessage<'_>],
        producer: Option<ProducerId>,
        reply: R,
    ) -> Result<CallId, Turned> {
        let turned = |index, refusal: Refusal| {
            self.topics.metrics().refused.add(refusal.code.number(), 1);
            Turned { index, refusal }
        };
        if messages.is_empty() || messages.len() as u64 > Batch::COUNT_MAX {
            return Err(turned(0, Code::LimitReached.into()));
        }
        by.check(now, &self.topics).map_err(|_| Turned { index: 0, refusal: Code::BadToken.into() })?;
        let mut names = Vec::with_capacity(messages.len());
        for (index, message) in messages.iter().enumerate() {
            names.push(self.granted(by, message).map_err(|code| turned(index, code.into()))?);
        }
        if let Some(index) = producer.and_then(|_| self.beyond_a_window(messages)) {
            return Err(turned(index, Code::TooLarge.into()));
        }
        self.pay(now, by, messages.len() as u64).map_err(|refusal| turned(0, refusal))?;
        let producer = producer.filter(|_| !mutant::active(Mutant::KeyedCallAppliedTwice));
        let _in_turn = producer.map(|it| lock(&self.in_turn[usize::from(it.0[0]) % self.in_turn.len()]));
        let id = self.open(reply, Of::Publish(Publishing::default()));
        let mut publishing = Publishing::of(messages.len());
        let ways = self.begin(now, by, id, &names, producer, &mut publishing);
        let ways = match ways {
            Ok(ways) => ways,
            Err((index, code)) => {
                publishing.end(now, &self.topics);
                self.close_if(id, |_| true);
                return Err(turned(index, code.into()));
            }
        };
        let attachment = publishing.attachment.clone();
        if let Some(open) = lock(&self.book).open.get_mut(id.slot as usize) {
            open.of = Of::Publish(publishing);
        }
        let exts: Vec<Vec<u8>> = messages.iter().map(|message| ext_of(&message.attributes)).collect();
        let sender = by.caller.subject().map(|subject| &**subject).unwrap_or_default();
        let submissions =
            (0..).zip(&ways).zip(messages.iter().zip(&exts)).map(|((index, way), (message, ext))| {
                Submission {
                    origin: self.address(id, index),
                    handle: Handle(0),
                    account: by.account,
                    topic: &way.topic,
                    numbered: way.numbered.zip(attachment.as_ref()).map(|((window, seq), attachment)| {
                        Numbered { attachment, window, seq, count: 1, lowest: Seq(0) }
                    }),
                    is_call: true,
                    wish: Wish::Append,
                    whole: if index == 0 { messages.len() } else { 1 },
                    terms: message.terms,
                    record: Record {
                        content: message.content,
                        tag: Tag::default(),
                        sender,
                        ext,
                        payload: message.payload,
                        ..Record::default()
                    },
                }
            });
        self.topics.publish(now, submissions);
        Ok(id)
    }

    /// Publishes one message of the hub's own, at no rate.
    pub(super) fn publish_own(
        &self,
        now: Millis,
        by: By<'_>,
        topic: &Granted<TopicName>,
        (content, payload): (Content, &[u8]),
        reply: R,
    ) -> Result<CallId, Code> {
        let topic = self.topics.topic(topic, by.account)?;
        let id = self.open(reply, Of::Publish(Publishing::of(1)));
        let submission = Submission {
            origin: self.address(id, 0),
            handle: Handle(0),
            account: by.account,
            topic: &topic,
            numbered: None,
            is_call: true,
            wish: Wish::Append,
            whole: 1,
            terms: Terms::default(),
            record: Record { content, payload, ..Record::default() },
        };
        self.topics.publish(now, [submission]);
        Ok(id)
    }

    fn granted(&self, by: By<'_>, message: &NewMessage<'_>) -> Result<Granted<TopicName>, Code> {
        let limits = self.topics.limits();
        let topic = TopicName::parse(message.topic).map_err(|_| Code::BadName)?;
        if depth(topic.as_str()) > limits.topic_depth_max {
            return Err(Code::BadName);
        }
        if message.payload.len() > by.caller.at_most(Bound::MessageBytes, limits.message_bytes_max) {
            return Err(Code::TooLarge);
        }
        // What nobody knows could not be read again once it is stored.
        if message.content == Content::Unknown {
            return Err(Code::NotSupported);
        }
        message.attributes.check().map_err(|_| Code::BadMessage)?;
        message.terms.check(&message.attributes.key).map_err(|_| Code::BadMessage)?;
        self.topics.access().now().publish(by.caller, topic)
    }

    /// The first message for which its producer's window on its topic has no room, where nothing of these is answered yet.
    fn beyond_a_window(&self, messages: &[NewMessage<'_>]) -> Option<usize> {
        let most = self.topics.limits().in_flight_max;
        if messages.len() as u64 <= most {
            return None;
        }
        let mut counts = BTreeMap::new();
        messages.iter().position(|message| {
            let count = counts.entry(message.topic).or_insert(0);
            *count += 1;
            *count > most
        })
    }

    /// Takes so many from the rates of the connection, of its token and of its address, or from none. The token's is that of
    /// all connections by which it calls; what another of them takes meanwhile costs this call's address nothing.
    fn pay(&self, now: Millis, by: By<'_>, count: u64) -> Result<(), Refusal> {
        let rates = self.topics.rates();
        let (of_connection, of_address) = (rates.of_connection(), rates.of_address());
        by.pace.ask(now, of_connection)?;
        by.account.pace.ask(now, of_address)?;
        by.caller.take_rate(now, count)?;
        by.account.pace.take(now, of_address, count)?;
        Ok(by.pace.take(now, of_connection, count)?)
    }

    /// Topics are there from now on, and the producer's windows on them.
    fn begin(
        &self,
        now: Millis,
        by: By<'_>,
        id: CallId,
        names: &[Granted<TopicName>],
        producer: Option<ProducerId>,
        publishing: &mut Publishing,
    ) -> Result<Vec<Way>, (usize, Code)> {
        let Some(producer) = producer else {
            let way = |(index, name)| match self.topics.topic(name, by.account) {
                Ok(topic) => Ok(Way { topic, numbered: None }),
                Err(code) => Err((index, code)),
            };
            return names.iter().enumerate().map(way).collect();
        };
        let (address, arrival) = (self.address(id, 0), self.topics.arrive());
        let (subject, incarnation) = (by.caller.subject(), Incarnation::default());
        let claim = Claim { producer, subject, incarnation, address, arrival };
        let (attachment, _) = self.topics.attach(by.account, claim).map_err(|code| (0, code))?;
        let attachment = attachment.ok_or((0, Code::Internal))?;
        publishing.attachment = Some(attachment.clone());
        let mut begun = BTreeMap::<&str, (Arc<Topic>, WindowKey, Seq)>::new();
        let mut ways = Vec::with_capacity(names.len());
        for (index, name) in names.iter().enumerate() {
            let (topic, window, seq) = match begun.entry(name.as_str()) {
                Entry::Occupied(known) => known.into_mut(),
                Entry::Vacant(new) => {
                    let stream =
                        Stream { attachment: &attachment, topic: name, lowest: Seq(1), again: false };
                    let begun = self.topics.begin(now, by.account, stream, None);
                    let (topic, window) = begun.map_err(|code| (index, code))?;
                    publishing.windows.push(window);
                    new.insert((topic, window, Seq(0)))
                }
            };
            seq.0 += 1;
            ways.push(Way { topic: Arc::clone(topic), numbered: Some((*window, *seq)) });
        }
        Ok(ways)
    }
}

fn ext_of(attributes: &Attributes<'_>) -> Vec<u8> {
    let mut ext = Vec::new();
    attributes.put(&mut ext);
    ext
}

impl Publishing {
    fn of(count: usize) -> Self {
        Self { landed: vec![None; count], missing: count, ..Self::default() }
    }

    /// Notes what became of one message.
    pub(super) fn note(&mut self, outcome: &Outcome, topics: &Topics) {
        let landed = match outcome.fate {
            // Nothing that is called for is void.
            Fate::Done { offset: Offset(0), .. } => Err(Code::Internal.into()),
            Fate::Done { offset, duplicate } => {
                let log = topics.log(outcome.log);
                Ok(Placed {
                    epoch: log.epoch,
                    offset,
                    durability: outcome.durability,
                    is_duplicate: duplicate,
                })
            }
            Fate::Refused { code, .. } => Err(code.into()),
            Fate::ConditionFailed(current) => {
                Err(Refusal { current: place_of(outcome, current, topics), ..Code::ConditionFailed.into() })
            }
            Fate::KeptOut(code) => Err(Refusal::from(code).of_others()),
            Fate::InDoubt => {
                self.in_doubt = true;
                Err(Code::OutcomeForgotten.into())
            }
        };
        let place = usize::try_from(outcome.origin.serial.0).ok();
        if let Some(place @ None) = place.and_then(|index| self.landed.get_mut(index)) {
            if let Err(Refusal { code, follows: false, .. }) = landed {
                topics.metrics().refused.add(code.number(), 1);
            }
            *place = Some(landed);
            self.missing -= 1;
        }
    }

    pub(super) const fn is_done(&self) -> bool {
        self.missing == 0
    }

    pub(super) fn take_answer(&mut self) -> Answer {
        if self.in_doubt {
            return Answer::InDoubt;
        }
        let landed = std::mem::take(&mut self.landed).into_iter();
        Answer::Published(landed.map(|it| it.unwrap_or(Err(KEPT_OUT.into()))).collect())
    }

    /// Gives back what it used.
    pub(super) fn end(self, now: Millis, topics: &Topics) {
        topics.shut(now, self.windows);
        if let Some(attachment) = &self.attachment {
            topics.detach(now, attachment);
        }
    }
}
