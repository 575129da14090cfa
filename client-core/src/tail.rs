//! One subscription on the wire: a cursor into a topic's or pattern's live flow, shared by its listeners.

use alloc::string::String;
use alloc::vec;
use alloc::vec::Vec;

use tidewire_protocol::block::{self, Block};
use tidewire_protocol::code::{GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{Page, Subscribed};
use tidewire_protocol::number::{Epoch, Offset, Tag, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::cursor::Cursor;
use crate::fault::{Broken, Fault};
use crate::input::{Millis, NEVER};
use crate::limits::{RETRY_MS_MAX, RETRY_MS_MIN};
use crate::listener::{Listener, Stage};
use crate::mutant::{self, Mutant};
use crate::options::{PartyId, SubscribeOptions};
use crate::output::{ListenerId, Message, Span};
use crate::outputs::Outputs;

mod sharing;

/// A topic or pattern that somebody listens to, or did a moment ago.
#[derive(Debug)]
pub(crate) struct Tail {
    /// Its number: that of its first listener.
    pub id: ListenerId,
    /// Topic or pattern.
    pub name: String,
    /// How it stands to the hub.
    pub standing: Standing,
    /// Who listens.
    pub listeners: Vec<Listener>,
    /// Without listeners, it goes then.
    pub linger_until: Millis,
    /// What the hub was asked to do when the connection is slow.
    pub asked: WhenSlow,
    /// The hub has said on this link that the topic keeps the latest of each key.
    keeps_latest: bool,
    from: Start,
    cursor: Cursor,
    /// What is missing further on than the live flow is, one stretch a log: told when it became known, and owed to those who
    /// join later.
    ahead: Vec<Gap>,
    retry_ms: Millis,
}

/// How a tail stands to the hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// To be asked for, not before this time.
    Wanted { ask_at: Millis },
    /// Asked for.
    Asked,
    /// Blocks of this number are its messages.
    Live { number: TailNumber },
    /// The hub has it, but not as its listeners want it: to be asked for anew.
    Unwanted { number: TailNumber },
    /// The hub is not asked for it, but for one page.
    Paging,
}

/// What a message was received in, and what is needed to give it on.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Received<'a> {
    /// The whole WebSocket message.
    pub bytes: &'a [u8],
    /// The parties' tags, now and before.
    pub own_tags: &'a [(PartyId, Tag)],
}

impl Tail {
    /// One that its first listener is about to join.
    #[must_use]
    pub(crate) fn new(id: ListenerId, name: &str, options: &SubscribeOptions) -> Self {
        Self {
            id,
            name: name.into(),
            standing: Standing::Wanted { ask_at: 0 },
            listeners: Vec::new(),
            linger_until: NEVER,
            asked: options.when_slow,
            keeps_latest: false,
            from: options.from.clone(),
            cursor: Cursor::default(),
            ahead: Vec::new(),
            retry_ms: RETRY_MS_MIN,
        }
    }

    /// One for a page alone, of at most so many messages and bytes, which a reader gets for itself or another listener.
    pub(crate) fn of_page(
        id: ListenerId,
        name: &str,
        from: Start,
        (messages_max, bytes_max): (u32, u32),
        reads_for: ListenerId,
    ) -> Self {
        let options = SubscribeOptions { from, messages_max, bytes_max, ..SubscribeOptions::default() };
        let mut tail = Self::new(id, name, &options);
        let mut reader = Listener::new(id, options, Cursor::default(), Stage::Reading { ask_at: 0 });
        reader.reads_for = Some(reads_for);
        tail.standing = Standing::Paging;
        tail.listeners.push(reader);
        tail
    }

    /// Adds a listener. One that wants what is being asked for shares the answer; any other reads history.
    /// `own` is how far this client's own messages go, which are history to it.
    pub(crate) fn join(&mut self, id: ListenerId, options: SubscribeOptions, own: Cursor) {
        self.linger_until = NEVER;
        let shares = !self.cursor.is_known() && options.from == self.from;
        let stage = if shares { Stage::Starting } else { Stage::Reading { ask_at: 0 } };
        self.listeners.push(Listener::new(id, options, own, stage));
        if let Standing::Live { number } = self.standing {
            self.stand(number);
        }
    }

    /// Where to ask from.
    #[must_use]
    pub(crate) fn start(&self) -> Start {
        self.cursor.start(&self.from)
    }

    /// The hub begins it, or begins it again.
    pub(crate) fn subscribed(&mut self, subscribed: Subscribed, out: &mut Outputs) {
        let Subscribed { tail, outcome, positions, gap, removals, .. } = subscribed;
        self.keeps_latest |= self.asked == WhenSlow::Latest;
        self.stand(tail);
        self.retry_ms = RETRY_MS_MIN;
        let mut cursor = Cursor::at(positions);
        if gap.is_none() {
            cursor.keep(&self.cursor, Epoch(0));
        }
        self.cursor = cursor;
        self.ahead.clear();
        gap.into_iter().for_each(|gap| self.note_ahead(gap));
        let positions = self.cursor.positions();
        for listener in &mut self.listeners {
            if matches!(listener.stage, Stage::Starting | Stage::Live) {
                listener.removals = removals;
            }
            match (listener.stage, gap) {
                (Stage::Starting, _) => {
                    listener.stage = Stage::Live;
                    listener.cursor = self.cursor.clone();
                    listener.placed(outcome, gap, out);
                }
                (Stage::Live, Some(gap)) => listener.pass_gap(gap, positions, out),
                (Stage::Live, None) => listener.cursor.raise_to(positions),
                (Stage::Reading { .. } | Stage::Asked | Stage::Stale | Stage::Full, Some(gap))
                    if gap.reason == GapReason::Compacted =>
                {
                    listener.begin_anew(gap, positions, removals, out);
                }
                (Stage::Reading { .. } | Stage::Asked | Stage::Stale | Stage::Full, _) => {}
            }
        }
    }

    /// Messages of the live flow are gone.
    ///
    /// # Errors
    /// [`Broken`] if it cannot be told in which log.
    pub(crate) fn missing(&mut self, gap: Gap, after: Offset, out: &mut Outputs) -> Result<(), Broken> {
        let is_anew = gap.reason == GapReason::Compacted;
        if is_anew {
            // Such a topic is in one log, and goes on before where it was.
            self.cursor = Cursor::at(vec![Position { epoch: gap.epoch, offset: after }]);
            self.ahead.clear();
        } else if !self.cursor.go_on(gap.epoch, after) {
            return Err(Broken);
        } else {
            self.note_ahead(gap);
        }
        for listener in &mut self.listeners {
            if listener.stage == Stage::Live {
                if is_anew {
                    listener.removals = gap.to;
                }
                listener.pass_gap(gap, self.cursor.positions(), out);
            } else if is_anew {
                listener.begin_anew(gap, self.cursor.positions(), gap.to, out);
            }
        }
        Ok(())
    }

    fn note_ahead(&mut self, gap: Gap) {
        // Others are about the place from which somebody came, and no one else's.
        if !matches!(gap.reason, GapReason::Retention | GapReason::Forgotten | GapReason::TooSlow) {
            return;
        }
        let is_ahead = |known: &Gap| self.cursor.offset(known.epoch).is_some_and(|offset| offset < known.to);
        self.ahead.retain(is_ahead);
        match self.ahead.iter_mut().find(|known| known.epoch == gap.epoch) {
            Some(known) => *known = Gap { from: known.from.min(gap.from), to: known.to.max(gap.to), ..gap },
            None => self.ahead.push(gap),
        }
    }

    /// Nothing up to here is owed to anyone.
    pub(crate) fn progress(&mut self, epoch: Epoch, upto: Offset) {
        if self.cursor.offset(epoch).is_none() {
            return;
        }
        self.cursor.raise(epoch, upto);
        for listener in self.listeners.iter_mut().filter(|listener| listener.stage == Stage::Live) {
            listener.cursor.raise(epoch, upto);
        }
    }

    /// Messages of the live flow.
    ///
    /// # Errors
    /// [`Broken`] if there is a hole before them, or they cannot be read.
    pub(crate) fn block(
        &mut self,
        block: &Block<'_>,
        received: Received<'_>,
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let place = self.cursor.log(block.log).ok_or(Broken)?;
        if block.prev > place.offset {
            return Err(Broken);
        }
        for message in block.records() {
            let message = message.map_err(|_| Broken)?;
            if message.offset <= place.offset && !mutant::active(Mutant::SkipDuplicateDrop) {
                continue;
            }
            let message = given(&message, place.epoch, received.bytes);
            for listener in self.listeners.iter_mut().filter(|listener| listener.stage == Stage::Live) {
                listener.offer(&message, received.own_tags, out);
            }
            self.cursor.raise(place.epoch, message.offset);
        }
        Ok(())
    }

    /// A page of history for the listener in this place.
    ///
    /// # Errors
    /// [`Broken`] if there is a hole in it, or it cannot be read.
    pub(crate) fn page(
        &mut self,
        now: Millis,
        index: usize,
        page: &Page<'_>,
        received: Received<'_>,
        out: &mut Outputs,
    ) -> Result<(), Broken> {
        let Some(listener) = self.listeners.get_mut(index) else { return Ok(()) };
        if listener.stage == Stage::Stale {
            listener.stage = Stage::Reading { ask_at: 0 };
            return Ok(());
        }
        let (before, held) = (listener.cursor.clone(), listener.held);
        let (is_question, reads_back) = (listener.reads_for.is_some(), listener.reads_back());
        if is_question && page.gap.is_some() && before.is_known() && !reads_back {
            // What is missing is told before the first message, so those behind it are another question's.
            listener.stage = Stage::Full;
            return Ok(());
        }
        if reads_back {
            listener.cursor = Cursor::default();
        }
        let done = take_page(listener, &self.cursor, page, received, out);
        if listener.stage == Stage::Live {
            self.ahead.iter().for_each(|gap| listener.tell_rest(*gap, out));
        }
        if is_question {
            if done.is_err() || reads_back && done == Ok(false) {
                // Half a page is none. It is asked for again on the next link, or has no room.
                out.forget(listener.id);
                (listener.cursor, listener.held) = (before, held);
                return done.map(drop);
            }
            listener.asked_page(page, before.clone());
            if reads_back && page.gap.is_some() && page.more {
                // And so are those before it, of a question that reads back.
                listener.stage = Stage::Full;
            }
        }
        // A page that brought nothing and did not end it either: the next one can wait a moment.
        if let Stage::Reading { ask_at } = &mut listener.stage
            && (reads_back || listener.cursor == before)
            && listener.held == held
        {
            *ask_at = now + RETRY_MS_MIN;
        }
        done.map(drop)
    }

    /// When to ask again after a refusal that a retry can help.
    pub(crate) fn retry_at(&mut self, now: Millis, after_ms: Millis) -> Millis {
        let wait = self.retry_ms.max(after_ms);
        self.retry_ms = (self.retry_ms * 2).min(RETRY_MS_MAX);
        now + wait
    }

    /// The link is gone.
    pub(crate) fn reset(&mut self) {
        if self.standing != Standing::Paging {
            self.standing = Standing::Wanted { ask_at: 0 };
        }
        self.keeps_latest = false;
        self.retry_ms = RETRY_MS_MIN;
        self.listeners.iter_mut().for_each(Listener::reset);
    }

    /// Tells all listeners that it is over.
    pub(crate) fn end(&self, fault: Fault, out: &mut Outputs) {
        self.listeners.iter().for_each(|listener| listener.end(fault, out));
    }
}

/// A page of history for a listener; `live` is how far the live flow is. `false` if it has no room for all of it.
fn take_page(
    listener: &mut Listener,
    live: &Cursor,
    page: &Page<'_>,
    received: Received<'_>,
    out: &mut Outputs,
) -> Result<bool, Broken> {
    if page.gap.is_some() || !listener.cursor.is_known() {
        listener.cursor = Cursor::at(page.after.clone());
    } else {
        listener.cursor.raise_to(&page.after);
    }
    let outcome = match (&page.gap, &listener.from) {
        (Some(_), _) => Outcome::Gap,
        (None, Start::Latest) => Outcome::Live,
        (None, _) => Outcome::Resumed,
    };
    if listener.reads_for.is_none() {
        listener.placed(outcome, page.gap, out);
    }
    listener.removals = page.removals;
    for block in block::blocks_of_page(&page.blocks) {
        let block = block.map_err(|_| Broken)?;
        let log = usize::try_from(block.log).map_err(|_| Broken)?;
        let epoch = page.after.get(log).ok_or(Broken)?.epoch;
        if listener.cursor.offset(epoch).is_none_or(|seen| block.prev > seen) {
            return Err(Broken);
        }
        for message in block.records() {
            let message = message.map_err(|_| Broken)?;
            if !listener.offer(&given(&message, epoch, received.bytes), received.own_tags, out) {
                return Ok(false);
            }
        }
    }
    listener.page_done(&page.upto, page.more, live);
    Ok(true)
}

/// A message as listeners get it, but for whose it is.
pub(crate) fn given(message: &block::Record<'_>, epoch: Epoch, received: &[u8]) -> Message {
    let text = |text: Option<&[u8]>| text.map_or_else(Span::default, |text| span(text, received));
    Message {
        listener: ListenerId(0),
        offset: message.offset,
        epoch,
        published_at_ms: message.published_at_ms,
        content: message.content,
        maybe_duplicate: message.maybe_duplicate,
        tag: message.tag,
        sender: text(message.sender),
        topic: text(message.topic),
        ext: if message.ext.is_empty() { Span::default() } else { span(message.ext, received) },
        payload: span(message.payload, received),
    }
}

/// Where `part` lies in `whole`, of which it is a slice.
pub(crate) fn span(part: &[u8], whole: &[u8]) -> Span {
    let start = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    Span { start: start as u32, len: part.len() as u32 }
}
