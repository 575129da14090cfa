//! Updates that may be lost: each goes at once, or as long as it is worth anything, or is dropped and counted.
//!
//! They have no seq, no answer and no outbox. What the hub has read of them is known by asking it for a heartbeat
//! behind them; while that is overdue, the link counts as stalled and nothing more is put on it.

use alloc::string::String;
use alloc::vec::Vec;

use tidewire_protocol::binary;
use tidewire_protocol::client_frame::{Heartbeat, Open, Send, Shut};
use tidewire_protocol::code::{Code, Content};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{Refused, Welcome};
use tidewire_protocol::number::{Handle, NUMBER_MAX, Request};

use crate::allowance::Allowance;
use crate::fault::Fault;
use crate::input::{Millis, NEVER};
use crate::limits::{
    HANDLES_MAX, PROBE_BYTES, PROBE_MS, RETRY_MS_MAX, SEND_TOPICS_MAX, STALL_MS, UNREAD_BYTES_MAX,
    WAITING_BYTES_MAX,
};
use crate::request::Requests;

/// All updates of a client.
#[derive(Debug)]
pub(crate) struct Sends {
    /// Topics that have a handle on this link, or were refused one, by name.
    topics: Vec<Topic>,
    /// Handles taken on this link. None is taken twice: a refusal of the first could be taken for one of the second.
    handles: u64,
    /// Place of the topic that makes room for the next one.
    leaver: usize,
    /// In the order in which they were given.
    waiting: Vec<Waiting>,
    waiting_bytes: usize,
    /// Whether the hub takes them; unknown before the first welcome.
    supported: Option<bool>,
    /// Bytes sent that the hub is not known to have read.
    unread: usize,
    /// Of those, bytes behind the last heartbeat that was asked for.
    behind: usize,
    probe: Probe,
    dropped: u64,
    /// Frames to send.
    wire: Vec<u8>,
}

/// One update, as it is given.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Update<'a> {
    /// Where to.
    pub topic: &'a str,
    /// What the payload is.
    pub content: Content,
    /// The message.
    pub payload: &'a [u8],
    /// Not after that; `None` for at once or never.
    pub until: Option<Millis>,
}

/// A topic that updates go to.
#[derive(Debug)]
struct Topic {
    name: String,
    handle: Handle,
    /// The hub refused it; not again before then.
    refused: Option<(Fault, Millis)>,
}

/// An update that could not go at once.
#[derive(Debug)]
struct Waiting {
    topic: String,
    content: Content,
    payload: Vec<u8>,
    until: Millis,
}

/// The last heartbeat that was asked for.
#[derive(Debug)]
struct Probe {
    request: Request,
    /// When; none yet on this link.
    at: Option<Millis>,
    is_answered: bool,
}

impl Sends {
    /// None.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            topics: Vec::new(),
            handles: 0,
            leaver: 0,
            waiting: Vec::new(),
            waiting_bytes: 0,
            supported: None,
            unread: 0,
            behind: 0,
            probe: Probe { request: Request(0), at: None, is_answered: true },
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
        self.waiting.iter().map(|waiting| waiting.until).min().unwrap_or(NEVER)
    }

    /// The hub says what it can do.
    pub(crate) fn welcomed(&mut self, welcome: &Welcome<'_>) {
        let supported = welcome.features & feature::SEND > 0;
        self.supported = Some(supported);
        if !supported {
            self.drop_waiting(|_| false);
        }
    }

    /// Sends one if there is a link that takes it, keeps it a while, or drops it.
    ///
    /// # Errors
    /// Why the hub takes none: `too_large`, `not_supported`, or its refusal of the topic. It is dropped then, too.
    pub(crate) fn send(
        &mut self,
        now: Millis,
        update: Update<'_>,
        allowance: &Allowance,
        online: bool,
        requests: &mut Requests,
    ) -> Result<(), Fault> {
        let too_large = update.payload.len() as u64 > allowance.payload_bytes;
        let refusal = if too_large { Some(Code::TooLarge.into()) } else { self.refusal(now, update.topic) };
        if let Some(fault) = refusal {
            self.dropped += 1;
            return Err(fault);
        }
        self.drive(now, online, requests);
        if online && self.waiting.is_empty() && self.can_go(now, update.payload.len()) {
            self.put(now, update, requests);
        } else {
            self.keep(now, update);
        }
        Ok(())
    }

    /// Why the hub would take none now.
    #[must_use]
    pub(crate) fn refusal(&self, now: Millis, topic: &str) -> Option<Fault> {
        if self.supported == Some(false) {
            return Some(Code::NotSupported.into());
        }
        let (fault, until) = self.topics.get(self.place(topic).ok()?)?.refused?;
        (now < until).then_some(fault)
    }

    fn place(&self, topic: &str) -> Result<usize, usize> {
        self.topics.binary_search_by(|known| known.name.as_str().cmp(topic))
    }

    fn can_go(&self, now: Millis, len: usize) -> bool {
        let stalled = !self.probe.is_answered && self.probe.is_older(now, STALL_MS);
        !stalled && (self.unread == 0 || self.unread + len <= UNREAD_BYTES_MAX)
    }

    fn keep(&mut self, now: Millis, update: Update<'_>) {
        let len = update.payload.len() + update.topic.len();
        let Some(until) = update.until.filter(|until| *until > now && len <= WAITING_BYTES_MAX) else {
            self.dropped += 1;
            return;
        };
        // The newer one is worth more.
        while self.waiting_bytes + len > WAITING_BYTES_MAX || self.waiting.len() >= WAITING_MAX {
            let oldest = self.waiting.remove(0);
            self.waiting_bytes -= oldest.len();
            self.dropped += 1;
        }
        self.waiting_bytes += len;
        let Update { topic, content, payload, .. } = update;
        self.waiting.push(Waiting { topic: topic.into(), content, payload: payload.into(), until });
    }

    /// Appends one to what is sent.
    fn put(&mut self, now: Millis, update: Update<'_>, requests: &mut Requests) {
        let before = self.wire.len();
        let handle = self.handle(update.topic);
        let expires_ms = update.until.map_or(0, |until| until.saturating_sub(now).min(NUMBER_MAX));
        Send { handle, content: update.content, expires_ms, payload: update.payload.into() }
            .put(&mut self.wire);
        let len = self.wire.len() - before;
        self.unread += len;
        self.behind += len;
        if self.probe.is_answered && (self.behind >= PROBE_BYTES || self.probe.is_older(now, PROBE_MS)) {
            self.ask(now, requests.following());
        }
    }

    fn ask(&mut self, now: Millis, request: Request) {
        Heartbeat { request }.put(&mut self.wire);
        self.probe = Probe { request, at: Some(now), is_answered: false };
        self.behind = 0;
    }

    /// The handle of a topic, opened if it has none.
    fn handle(&mut self, topic: &str) -> Handle {
        if let Ok(place) = self.place(topic) {
            let known = &self.topics[place];
            if known.refused.is_none() {
                return known.handle;
            }
            self.topics.remove(place);
        }
        if self.topics.len() >= SEND_TOPICS_MAX {
            self.leaver = (self.leaver + 1) % self.topics.len();
            let gone = self.topics.remove(self.leaver);
            if gone.refused.is_none() {
                Shut { handle: gone.handle }.put(&mut self.wire);
            }
        }
        let place = self.place(topic).unwrap_or_else(|place| place);
        self.handles += 1;
        let handle = Handle(FIRST_HANDLE + self.handles);
        self.topics.insert(place, Topic { name: topic.into(), handle, refused: None });
        Open { handle, topic: topic.into(), unacknowledged: true, ..Open::default() }.put(&mut self.wire);
        handle
    }

    /// The hub has read all up to a question.
    pub(crate) fn echoed(&mut self, request: Request) {
        if request == self.probe.request {
            self.unread = self.behind;
            self.probe.is_answered = true;
        }
    }

    /// The hub refuses a handle.
    pub(crate) fn refused(&mut self, now: Millis, refused: &Refused<'_>) {
        let Some(topic) = self.topics.iter_mut().find(|topic| topic.handle == refused.handle) else { return };
        let wait = refused.retry_after_ms.max(RETRY_MS_MAX);
        let until = if refused.code.retryable() { now + wait } else { NEVER };
        topic.refused = Some((refused.code.into(), until));
    }

    /// Sends what waits, as far as it can go, and drops what is too old.
    pub(crate) fn drive(&mut self, now: Millis, online: bool, requests: &mut Requests) {
        if self.waiting.is_empty() {
            return;
        }
        self.drop_waiting(|waiting| waiting.until > now);
        if !online {
            return;
        }
        let waiting = core::mem::take(&mut self.waiting);
        for (index, one) in waiting.iter().enumerate() {
            if self.refusal(now, &one.topic).is_some() {
                self.dropped += 1;
            } else if self.can_go(now, one.payload.len()) {
                self.put(now, one.update(), requests);
            } else {
                self.waiting.extend(waiting.into_iter().skip(index));
                break;
            }
        }
        self.waiting_bytes = self.waiting.iter().map(Waiting::len).sum();
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
        packet.extend(self.wire.drain(..end));
    }

    fn drop_waiting(&mut self, stays: impl Fn(&Waiting) -> bool) {
        let before = self.waiting.len();
        self.waiting.retain(stays);
        self.dropped += (before - self.waiting.len()) as u64;
        self.waiting_bytes = self.waiting.iter().map(Waiting::len).sum();
    }

    /// The link is gone, and all handles with it.
    pub(crate) fn reset(&mut self) {
        self.wire.clear();
        self.topics.clear();
        self.handles = 0;
        self.unread = 0;
        self.behind = 0;
        self.probe.at = None;
        self.probe.is_answered = true;
    }

    /// It is all over.
    pub(crate) fn end(&mut self) {
        self.drop_waiting(|_| false);
    }
}

impl Probe {
    fn is_older(&self, now: Millis, ms: Millis) -> bool {
        self.at.is_none_or(|at| now >= at + ms)
    }
}

impl Waiting {
    fn len(&self) -> usize {
        self.topic.len() + self.payload.len()
    }

    fn update(&self) -> Update<'_> {
        let Self { topic, content, payload, until } = self;
        Update { topic, content: *content, payload, until: Some(*until) }
    }
}

/// Handles up to here, and from twice that, are for the windows of parties.
const FIRST_HANDLE: u64 = HANDLES_MAX;
/// Updates that wait, however small.
const WAITING_MAX: usize = 1_024;
