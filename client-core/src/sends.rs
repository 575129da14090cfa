//! Updates that may be lost: each goes at once, or as long as it is worth anything, or is dropped and counted.
//!
//! They have no seq, no answer and no outbox. What the hub has read of them is known by asking it for a heartbeat
//! behind them; while that is overdue, the link counts as stalled and nothing more is put on it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::binary;
use tidewire_protocol::client_frame::{Heartbeat, Open, Send, Shut, Terms};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Refused, Welcome};
use tidewire_protocol::number::{Handle, NUMBER_MAX, Request};

use crate::allowance::Allowance;
use crate::fault::Fault;
use crate::input::{Millis, NEVER};
use crate::limits::{
    HANDLES_MAX, PROBE_BYTES, PROBE_MS, RETRY_MS_MAX, SEND_REFUSED_MS, SEND_TOPICS_MAX, STALL_MS,
    UNREAD_BYTES_MAX, WAITING_BYTES_MAX,
};
use crate::outgoing::{Extra, Update};
use crate::output::{Event, Fate, SenderId};
use crate::outputs::Outputs;
use crate::request::Requests;

/// All updates of a client.
#[derive(Debug)]
pub(crate) struct Sends {
    /// Topics that have a handle on this link, or were refused one, by name.
    topics: Vec<Topic>,
    /// Handles taken on this link. None is taken twice: a refusal of the first could be taken for one of the second.
    handles: u64,
    /// Of those, how many the hub has refused by now if ever it does.
    answered: u64,
    /// An update found no room for its topic since the hub was asked last.
    is_full: bool,
    /// In the order in which they were given.
    waiting: Vec<Waiting>,
    /// What the hub can do; unknown before the first welcome.
    features: Option<u64>,
    /// Bytes sent that the hub is not known to have read.
    unread: usize,
    /// Of those, bytes behind the last heartbeat that was asked for.
    behind: usize,
    probe: Probe,
    dropped: u64,
    /// Frames to send.
    wire: Vec<u8>,
}

/// A topic that updates go to.
#[derive(Debug)]
struct Topic {
    name: String,
    handle: Handle,
    /// With whose update it was opened.
    sender: SenderId,
    /// The hub refused it; not again before then.
    refused: Option<(Fault, Millis)>,
}

/// An update that has not gone yet.
#[derive(Debug)]
struct Waiting {
    topic: String,
    content: Content,
    payload: Vec<u8>,
    extra: Option<Box<Extra>>,
    /// Not after that; none for at once or never.
    until: Option<Millis>,
    sender: SenderId,
    /// Handles taken and answered when there was no room for its topic.
    tried: u64,
}

/// The last heartbeat that was asked for.
#[derive(Debug)]
struct Probe {
    request: Request,
    /// When; none yet on this link.
    at: Option<Millis>,
    /// How many handles had been taken.
    handles: u64,
    is_answered: bool,
}

impl Sends {
    /// None.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            topics: Vec::new(),
            handles: 0,
            answered: 0,
            is_full: false,
            waiting: Vec::new(),
            features: None,
            unread: 0,
            behind: 0,
            probe: Probe { request: Request(0), at: None, handles: 0, is_answered: true },
            dropped: 0,
            wire: Vec::new(),
        }
    }

    /// How many were dropped.
    #[must_use]
    pub(crate) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// When [`Self::drive`] is due: the first that waits is worth nothing any more.
    #[must_use]
    pub(crate) fn wake_at(&self) -> Millis {
        self.waiting.iter().filter_map(|waiting| waiting.until).min().unwrap_or(NEVER)
    }

    /// The hub says what it can do.
    pub(crate) const fn welcomed(&mut self, welcome: &Welcome<'_>) {
        self.features = Some(welcome.features);
    }

    /// Sends one if there is a link that takes it, keeps it a while, or drops it.
    ///
    /// # Errors
    /// Why the hub takes none: `too_large`, `not_supported`, or its refusal of the topic. It is dropped then, too.
    pub(crate) fn send(
        &mut self,
        now: Millis,
        update: &Update<'_>,
        allowance: &Allowance,
        online: bool,
        requests: &mut Requests,
        out: &mut Outputs,
    ) -> Result<Fate, Fault> {
        let Update { topic, content, payload, expires_ms, sender, ref attributes } = *update;
        let extra = Extra::of(now, attributes, Terms::default());
        let (needs, extra_len) = extra.as_ref().map_or((0, 0), |extra| (extra.needs, extra.len()));
        let len = payload.len() as u64;
        let too_large = allowance.is_too_large(len, len + u64::from(extra_len), false);
        let refusal = if too_large { Some(Code::TooLarge.into()) } else { self.refusal(now, topic, needs) };
        if let Some(fault) = refusal {
            self.dropped += 1;
            return Err(fault);
        }
        let worthless_at = extra.as_ref().map_or(NEVER, |extra| extra.until);
        let until = (expires_ms > 0).then(|| now.saturating_add(expires_ms).min(worthless_at));
        let (topic, payload) = (topic.into(), payload.into());
        let one = Waiting { topic, content, payload, extra, until, sender, tried: u64::MAX };
        if until.is_some() {
            self.make_room(one.len());
        }
        self.waiting.push(one);
        Ok(self.drive(now, online, true, requests, out))
    }

    /// The newer one is worth more: the oldest are late from now on.
    fn make_room(&mut self, len: usize) {
        let mut count = self.waiting.len();
        let mut bytes = len + self.waiting.iter().map(Waiting::len).sum::<usize>();
        for one in &mut self.waiting {
            if len > WAITING_BYTES_MAX || (bytes <= WAITING_BYTES_MAX && count < WAITING_MAX) {
                break;
            }
            bytes -= one.len();
            count -= 1;
            one.until = Some(0);
        }
    }

    /// Why the hub would take none now that needs such features.
    #[must_use]
    pub(crate) fn refusal(&self, now: Millis, topic: &str, needs: u64) -> Option<Fault> {
        let needs = needs | feature::SEND;
        if self.features.is_some_and(|features| needs & !features > 0) {
            return Some(Code::NotSupported.into());
        }
        let (fault, until) = self.topics.get(self.place(topic).ok()?)?.refused?;
        (now < until).then_some(fault)
    }

    /// Where a topic is in the list, or belongs. Not inlined: it is asked in several places.
    #[inline(never)]
    fn place(&self, topic: &str) -> Result<usize, usize> {
        self.topics.binary_search_by(|known| known.name.as_str().cmp(topic))
    }

    /// The oldest topic, which makes room once the hub's answer to its `open` is there.
    fn oldest(&self) -> Option<usize> {
        let (place, oldest) = self.topics.iter().enumerate().min_by_key(|(_, known)| known.handle)?;
        (oldest.handle.0 <= FIRST_HANDLE + self.answered).then_some(place)
    }

    fn can_go(&self, now: Millis, len: usize) -> bool {
        let stalled = !self.probe.is_answered && self.probe.is_older(now, STALL_MS);
        !stalled && (self.unread == 0 || self.unread + len <= UNREAD_BYTES_MAX)
    }

    /// Puts an update on the link, unless there is no room for its topic.
    fn put(&mut self, now: Millis, update: &Waiting, requests: &mut Requests) -> bool {
        let before = self.wire.len();
        let Some(handle) = self.handle(&update.topic, update.sender) else { return false };
        let expires_ms = update.until.map_or(0, |until| until.saturating_sub(now).min(NUMBER_MAX));
        let payload = update.payload.as_slice().into();
        let extra = update.extra.as_ref();
        let put = |out: &mut _| extra.into_iter().for_each(|extra| extra.put(now, out));
        Send { handle, content: update.content, expires_ms, payload, ..Send::default() }
            .put_with(put, &mut self.wire);
        let len = self.wire.len() - before;
        self.unread += len;
        self.behind += len;
        if self.probe.is_answered && (self.behind >= PROBE_BYTES || self.probe.is_older(now, PROBE_MS)) {
            self.ask(now, requests.following());
        }
        true
    }

    fn ask(&mut self, now: Millis, request: Request) {
        Heartbeat { request }.put(&mut self.wire);
        self.probe = Probe { request, at: Some(now), handles: self.handles, is_answered: false };
        self.behind = 0;
        self.is_full = false;
    }

    /// The handle of a topic, opened if it has none; none if there is no room for it.
    fn handle(&mut self, topic: &str, sender: SenderId) -> Option<Handle> {
        let known = self.place(topic).ok();
        if let Some(Topic { handle, refused: None, .. }) = known.and_then(|place| self.topics.get(place)) {
            return Some(*handle);
        }
        let is_full = self.topics.len() >= SEND_TOPICS_MAX;
        let leaving = if known.is_none() && is_full { Some(self.oldest()?) } else { known };
        if let Some(place) = leaving {
            let gone = self.topics.remove(place);
            if gone.refused.is_none() {
                Shut { handle: gone.handle }.put(&mut self.wire);
            }
        }
        self.handles += 1;
        let handle = Handle(FIRST_HANDLE + self.handles);
        let place = self.place(topic).unwrap_or_else(|place| place);
        self.topics.insert(place, Topic { name: topic.into(), handle, sender, refused: None });
        Open { handle, topic: topic.into(), unacknowledged: true, ..Open::default() }.put(&mut self.wire);
        Some(handle)
    }

    /// The hub has read all up to a question.
    pub(crate) fn echoed(&mut self, request: Request) {
        if request == self.probe.request {
            self.unread = self.behind;
            self.answered = self.probe.handles;
            self.probe.is_answered = true;
        }
    }

    /// Whoever sends has gone: what waits of it is late from now on.
    pub(crate) fn withdraw(&mut self, sender: SenderId) {
        for one in self.waiting.iter_mut().filter(|one| one.sender == sender) {
            one.until = Some(0);
        }
    }

    /// The hub refuses a handle.
    pub(crate) fn refused(&mut self, now: Millis, refused: &Refused<'_>, out: &mut Outputs) {
        let Some(topic) = self.topics.iter_mut().find(|topic| topic.handle == refused.handle) else { return };
        let least = if refused.code.retryable() { RETRY_MS_MAX } else { SEND_REFUSED_MS };
        let fault = refused.code.into();
        topic.refused = Some((fault, now + refused.retry_after_ms.max(least)));
        out.tell(Event::Unsendable { sender: topic.sender, fault });
    }

    /// Sends what waits, as far as it can go, and drops what is too old, or may not wait. What becomes of the last, which is
    /// told of only if it is not new.
    pub(crate) fn drive(
        &mut self,
        now: Millis,
        online: bool,
        is_new: bool,
        requests: &mut Requests,
        out: &mut Outputs,
    ) -> Fate {
        let mut fate = Fate::Gone;
        let mut left = self.waiting.len();
        let mut stuck = !online;
        let mut waiting = core::mem::take(&mut self.waiting);
        // In their place: many may wait, and this is done with each that comes.
        let mut kept = 0;
        for index in 0..waiting.len() {
            let Some(one) = waiting.get_mut(index) else { break };
            left -= 1;
            fate = self.offer(now, one, &mut stuck, requests);
            if fate == Fate::Waits {
                waiting.swap(kept, index);
                kept += 1;
                continue;
            }
            self.dropped += u64::from(fate == Fate::Dropped);
            if one.sender.0 > 0 && (left > 0 || !is_new) {
                out.tell(Event::Settled { sender: one.sender, dropped: fate == Fate::Dropped });
            }
        }
        waiting.truncate(kept);
        self.waiting = waiting;
        if self.is_full && self.probe.is_answered {
            self.ask(now, requests.following());
        }
        fate
    }

    /// Sends one if it can go. Where only its topic finds no room, others need not wait behind it.
    fn offer(&mut self, now: Millis, one: &mut Waiting, stuck: &mut bool, requests: &mut Requests) -> Fate {
        if one.until.is_some_and(|until| until <= now) {
            return Fate::Dropped;
        }
        // Those that found no room may be many, and nothing but one of these numbers can change that.
        let tries = self.handles + self.answered;
        if !*stuck && one.tried != tries {
            if self.refusal(now, &one.topic, one.needs()).is_some() {
                return Fate::Dropped;
            }
            *stuck = !self.can_go(now, one.len() - one.topic.len());
            if !*stuck && self.put(now, one, requests) {
                return Fate::Gone;
            }
            self.is_full |= !*stuck;
        }
        one.tried = if *stuck { u64::MAX } else { tries };
        let can_wait = one.until.is_some() && one.len() <= WAITING_BYTES_MAX;
        if can_wait { Fate::Waits } else { Fate::Dropped }
    }

    /// Appends to a packet as many frames as fit. The rest goes into others; a frame that is larger goes alone.
    pub(crate) fn fill(&mut self, packet: &mut Vec<u8>, allowance: &Allowance) {
        let mut rest = &self.wire[..];
        let mut end = 0;
        while binary::take(&mut rest).is_ok() {
            let upto = self.wire.len() - rest.len();
            if packet.len() + upto > allowance.packet_bytes && packet.len() + end > 0 {
                break;
            }
            end = upto;
        }
        packet.extend_from_slice(&self.wire[..end]);
        self.wire.copy_within(end.., 0);
        self.wire.truncate(self.wire.len() - end);
    }

    /// The link is gone, and all handles with it.
    pub(crate) fn reset(&mut self) {
        self.wire.clear();
        self.topics.clear();
        self.handles = 0;
        self.answered = 0;
        self.is_full = false;
        self.unread = 0;
        self.behind = 0;
        self.probe.at = None;
        self.probe.is_answered = true;
    }

    /// It is all over.
    pub(crate) fn end(&mut self) {
        self.dropped += self.waiting.len() as u64;
        self.waiting.clear();
    }
}

impl Waiting {
    fn len(&self) -> usize {
        let extra = self.extra.as_ref().map_or(0, |extra| extra.len() as usize);
        self.topic.len() + self.payload.len() + extra
    }

    fn needs(&self) -> u64 {
        self.extra.as_ref().map_or(0, |extra| extra.needs)
    }
}

impl Probe {
    fn is_older(&self, now: Millis, ms: Millis) -> bool {
        self.at.is_none_or(|at| now >= at + ms)
    }
}

/// Handles up to here, and from twice that, are for the windows of parties.
const FIRST_HANDLE: u64 = HANDLES_MAX;
/// Updates that wait, however small.
const WAITING_MAX: usize = 1_024;
