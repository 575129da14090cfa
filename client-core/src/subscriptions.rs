//! All subscriptions of a client: which tails to ask for, and which frame is whose.

use alloc::vec::Vec;

use tidewire_protocol::block::Block;
use tidewire_protocol::hub_frame::{Failed, Missing, Page, Progress, Subscribed, Unsubscribed};
use tidewire_protocol::number::{Epoch, Offset, Tag, TailNumber};
use tidewire_protocol::position::Position;

use crate::cursor::Cursor;
use crate::fault::{Broken, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{LOGS_MAX, RETRY_MS_MIN, TAGS_MAX};
use crate::listener::Stage;
use crate::options::{PartyId, SubscribeOptions};
use crate::output::ListenerId;
use crate::outputs::Outputs;
use crate::subscriptions::paging::End;
use crate::tail::{Received, Standing, Tail};

mod asking;

mod paging;

/// Tails and their listeners.
#[derive(Debug)]
pub(crate) struct Subscriptions {
    tails: Vec<Tail>,
    last_listener: u32,
    /// How long a tail without listeners stays.
    pub linger_ms: Millis,
    wake_at: Millis,
    /// The parties' tags, the newest last.
    own_tags: Vec<(PartyId, Tag)>,
    /// How many of them are of former links.
    former_tags: usize,
    /// Logs that those tags speak of.
    logs: Vec<Epoch>,
    /// How far this client's own messages are known to go.
    own_upto: Cursor,
    /// The listener that asked for a page last: those behind it come first.
    turn: ListenerId,
    /// No page is asked for before this time.
    pages_at: Millis,
    /// Listeners that want to hear when they are there.
    ends: Vec<End>,
    /// Whether the hub reads back from a place, once it has said so.
    reads_back: Option<bool>,
}

impl Subscriptions {
    /// None.
    #[must_use]
    pub(crate) const fn new() -> Self {
        Self {
            tails: Vec::new(),
            last_listener: 0,
            linger_ms: 0,
            wake_at: NEVER,
            own_tags: Vec::new(),
            former_tags: 0,
            logs: Vec::new(),
            own_upto: Cursor::at(Vec::new()),
            turn: ListenerId(0),
            pages_at: 0,
            ends: Vec::new(),
            reads_back: None,
        }
    }

    /// When [`Self::drive`] is due.
    #[must_use]
    pub(crate) const fn wake_at(&self) -> Millis {
        self.wake_at
    }

    /// Makes [`Self::drive`] due at some time, or before.
    pub(crate) fn wake(&mut self, at: Millis) {
        self.wake_at = self.wake_at.min(at);
    }

    /// The hub has given a party a tag; that of the client itself comes first on a link.
    pub(crate) fn tagged(&mut self, party: PartyId, tag: Tag) {
        if party.0 == 0 {
            self.former_tags = self.own_tags.len();
        }
        self.own_tags.push((party, tag));
        if self.own_tags.len() > TAGS_MAX {
            self.forget_tags(1);
        }
    }

    fn forget_tags(&mut self, count: usize) {
        for _ in 0..count {
            self.own_tags.remove(0);
        }
        self.former_tags = self.former_tags.saturating_sub(count);
    }

    /// A party is gone.
    #[cfg(feature = "parties")]
    pub(crate) fn forget_party(&mut self, party: PartyId) {
        let is_former = |own: &&(PartyId, Tag)| own.0 == party;
        self.former_tags -= self.own_tags[..self.former_tags].iter().filter(is_former).count();
        self.own_tags.retain(|own| own.0 != party);
    }

    /// The hub speaks of these places. One with a new log may have given this client's former tags to others.
    pub(crate) fn entered(&mut self, places: &[Position]) {
        for place in places {
            if self.logs.contains(&place.epoch) {
                continue;
            }
            self.forget_tags(self.former_tags);
            if self.logs.len() > LOGS_MAX {
                self.logs.remove(0);
            }
            self.logs.push(place.epoch);
        }
    }

    /// Messages of this client are in the log, up to this one.
    pub(crate) fn landed(&mut self, epoch: Epoch, offset: Offset) {
        self.own_upto.raise(epoch, offset);
        self.own_upto.forget_oldest(LOGS_MAX);
    }

    /// A number that no listener had.
    pub(crate) fn following(&mut self) -> ListenerId {
        self.last_listener += 1;
        ListenerId(self.last_listener)
    }

    /// Adds a listener.
    pub(crate) fn subscribe(&mut self, name: &str, options: SubscribeOptions) -> ListenerId {
        let id = self.following();
        let own = self.own_upto.clone();
        match self.tails.iter_mut().find(|tail| tail.name == name && tail.standing != Standing::Paging) {
            Some(tail) => tail.join(id, options, own),
            None => {
                let mut tail = Tail::new(id, name, &options);
                tail.join(id, options, own);
                self.tails.push(tail);
            }
        }
        self.wake(0);
        id
    }

    /// Takes a listener or a question away.
    pub(crate) fn unsubscribe(&mut self, now: Millis, id: ListenerId) {
        let Some((tail, index)) = self.find(id) else { return };
        tail.listeners.remove(index);
        self.linger(now);
    }

    /// The application is done with some of a listener's messages. Whether it reads on now.
    pub(crate) fn settled(&mut self, id: ListenerId, messages: u32, bytes: u32) -> bool {
        let Some((tail, index)) = self.find(id) else { return false };
        let goes_on = tail.listeners.get_mut(index).is_some_and(|listener| listener.settle(messages, bytes));
        if goes_on {
            self.wake(0);
        }
        goes_on
    }

    /// Starts the time that a tail without listeners still has. One that is for a page has none: its number goes with it.
    fn linger(&mut self, now: Millis) {
        let until = now + self.linger_ms;
        self.tails.retain(|tail| tail.standing != Standing::Paging || !tail.listeners.is_empty());
        for tail in self.tails.iter_mut().filter(|tail| tail.listeners.is_empty()) {
            tail.linger_until = tail.linger_until.min(until);
        }
        self.wake(until);
    }

    /// The tail and the place in it of a listener.
    fn find(&mut self, id: ListenerId) -> Option<(&mut Tail, usize)> {
        self.tails.iter_mut().find_map(|tail| {
            let index = tail.listeners.iter().position(|listener| listener.id == id)?;
            Some((tail, index))
        })
    }

    /// A link begins or ends: everything has to be asked for again.
    pub(crate) fn reset(&mut self) {
        self.tails.iter_mut().for_each(Tail::reset);
        self.pages_at = 0;
        self.reads_back = None;
        self.wake(0);
    }

    /// It is all over.
    pub(crate) fn end(&mut self, fault: Fault, out: &mut Outputs) {
        self.tails.iter().for_each(|tail| tail.end(fault, out));
        self.tails.clear();
        self.wake_at = NEVER;
    }

    /// The hub begins a subscription.
    pub(crate) fn subscribed(&mut self, id: ListenerId, subscribed: Subscribed, out: &mut Outputs) {
        self.entered(&subscribed.positions);
        if let Some(tail) = self.tails.iter_mut().find(|tail| tail.id == id) {
            tail.subscribed(subscribed, out);
            self.wake(0);
        }
    }

    /// The hub ends a subscription.
    pub(crate) fn unsubscribed(&mut self, now: Millis, frame: &Unsubscribed<'_>, out: &mut Outputs) {
        // One that was asked for is gone here already, and its number may be in use again.
        if frame.request.0 != 0 {
            return;
        }
        let live = Standing::Live { number: frame.tail };
        if let Some(index) = self.tails.iter().position(|tail| tail.standing == live) {
            self.turned_down(now, index, frame.retryable, 0, frame.code.into(), out);
        }
    }

    /// The hub refuses a subscription.
    pub(crate) fn refused(&mut self, now: Millis, id: ListenerId, frame: &Failed<'_>, out: &mut Outputs) {
        if let Some(index) = self.tails.iter().position(|tail| tail.id == id) {
            self.turned_down(now, index, frame.retryable, frame.retry_after_ms, frame.code.into(), out);
        }
    }

    /// The hub refuses a page. If it has no room now, all wait for the same time, and take turns then.
    pub(crate) fn page_refused(
        &mut self,
        now: Millis,
        id: ListenerId,
        frame: &Failed<'_>,
        out: &mut Outputs,
    ) {
        if frame.retryable {
            if now >= self.pages_at {
                // The first that is refused comes first again: what there is room for must not go to the others for ever.
                self.turn = ListenerId(id.0 - 1);
            }
            self.pages_at = now + frame.retry_after_ms.max(RETRY_MS_MIN);
        }
        self.wake(0);
        let Some((tail, index)) = self.find(id) else { return };
        if !frame.retryable {
            let gone = tail.listeners.remove(index);
            gone.end(frame.code.into(), out);
            // One whose end is not told is not kept waiting.
            self.found_end(id, Cursor::default());
            self.linger(now);
        } else if let Some(listener) = tail.listeners.get_mut(index) {
            listener.stage = Stage::Reading { ask_at: 0 };
        }
    }

    fn turned_down(
        &mut self,
        now: Millis,
        index: usize,
        retryable: bool,
        after_ms: Millis,
        fault: Fault,
        out: &mut Outputs,
    ) {
        let Some(tail) = self.tails.get_mut(index) else { return };
        if retryable {
            let ask_at = tail.retry_at(now, after_ms);
            tail.standing = Standing::Wanted { ask_at };
            self.wake(ask_at);
        } else if tail.refused(fault, out) {
            self.wake(0);
        } else {
            self.tails.swap_remove(index);
        }
    }

    /// Messages of a live flow are gone.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be told which.
    pub(crate) fn missing(&mut self, frame: &Missing, out: &mut Outputs) -> Result<(), Broken> {
        match (self.live(frame.tail), frame.gap) {
            (Some(tail), Some(gap)) => tail.missing(gap, frame.after, out),
            (None, _) | (_, None) => Ok(()),
        }
    }

    /// Nothing up to some place is owed.
    pub(crate) fn progress(&mut self, frame: &Progress) {
        if let Some(tail) = self.live(frame.tail) {
            tail.progress(frame.epoch, frame.upto);
        }
    }

    /// Messages of a live flow. Those of a tail that is let go of are passed over.
    ///
    /// # Errors
    /// [`Broken`] if there is a hole before them, or they cannot be read.
    pub(crate) fn block(&mut self, block: &Block<'_>, bytes: &[u8], out: &mut Outputs) -> Result<(), Broken> {
        let live = Standing::Live { number: block.tail };
        let Some(tail) = self.tails.iter_mut().find(|tail| tail.standing == live) else { return Ok(()) };
        tail.block(block, Received { bytes, own_tags: &self.own_tags }, out)
    }

    /// A page of history, for a listener or for a question.
    ///
    /// # Errors
    /// [`Broken`] if there is a hole in it, or it cannot be read.
    pub(crate) fn page(
        &mut self,
        now: Millis,
        id: ListenerId,
        page: &Page<'_>,
        bytes: &[u8],
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        self.entered(&page.after);
        self.wake(0);
        let received = Received { bytes, own_tags: &self.own_tags };
        for tail in &mut self.tails {
            if let Some(index) = tail.listeners.iter().position(|listener| listener.id == id) {
                let done = tail.page(now, index, page, received, out);
                let Some(reader_for) = tail.listeners[index].reads_for else { return done };
                if done.is_ok() {
                    self.paged(id, reader_for, out);
                }
                return done;
            }
        }
        Ok(())
    }

    fn live(&mut self, number: TailNumber) -> Option<&mut Tail> {
        self.tails.iter_mut().find(|tail| tail.standing == Standing::Live { number })
    }
}
