//! One listener: a cursor of its own, a bound of its own, and a way back to the live flow.

use alloc::vec::Vec;
use core::mem;

use tidewire_protocol::code::{GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::Page;
use tidewire_protocol::number::{Offset, Tag};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::cursor::Cursor;
use crate::fault::Fault;
use crate::input::Millis;
use crate::limits::PAGE_BYTES_MAX;
use crate::mutant::{self, Mutant};
use crate::options::{PartyId, SubscribeOptions};
use crate::output::{Event, ListenerId, Message};
use crate::outputs::Outputs;

/// A reader of one topic or pattern.
#[derive(Debug)]
pub(crate) struct Listener {
    /// Its number.
    pub id: ListenerId,
    /// Where it stands to the live flow.
    pub stage: Stage,
    /// Up to where it has everything.
    pub cursor: Cursor,
    /// Where it wanted to start.
    pub from: Start,
    /// What it wants the hub to do when the connection is slow.
    pub when_slow: WhenSlow,
    /// Who listens.
    party: PartyId,
    echo: bool,
    /// Up to here its client's own messages are from before it.
    own: Cursor,
    messages_max: u32,
    bytes_max: u32,
    /// Messages given and not settled, and their bytes.
    pub held: (u32, u32),
    /// Whether it has been told its place.
    ready: bool,
    /// Of a topic that keeps the latest of each key: it knows of removals that are forgotten up to here.
    pub removals: Offset,
    /// Whether it has lost its place since it was asked where its messages end: they may end elsewhere now.
    pub is_anew: bool,
    /// It reads one page, for itself, or for another one that wants to know where its messages end.
    pub reads_for: Option<ListenerId>,
    /// What is missing before the first message of a question.
    pub lacks: Option<Gap>,
    /// Below these places lies what comes before its first message.
    pub previous: Vec<Position>,
}

/// Where a listener stands to the live flow.
///
/// ```text
///   Starting ── subscribed ──► Live ── bound reached ──► Full
///                               ▲                         │ half settled
///                     caught up │                         ▼
///   (joins later) ───────────► Asked ◄── page asked ── Reading
///                               ├── more, or cut short ──► Reading, Full
///                               └── begins anew ──► Stale ── page ──► Reading
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Starts where the subscription on the wire starts, which the hub has not said yet.
    Starting,
    /// Gets what the subscription on the wire gets.
    Live,
    /// Wants the next page of history, not before this time.
    Reading { ask_at: Millis },
    /// Waits for a page.
    Asked,
    /// Waits for a page from a place where it is no more.
    Stale,
    /// Has all it may hold.
    Full,
}

impl Listener {
    /// One that has got nothing yet.
    #[must_use]
    pub(crate) fn new(id: ListenerId, options: SubscribeOptions, own: Cursor, stage: Stage) -> Self {
        Self {
            id,
            stage,
            cursor: Cursor::default(),
            from: options.from,
            when_slow: options.when_slow,
            party: options.party,
            echo: options.echo,
            own,
            messages_max: options.messages_max.max(1),
            bytes_max: options.bytes_max,
            held: (0, 0),
            ready: false,
            removals: Offset(0),
            is_anew: false,
            reads_for: None,
            lacks: None,
            previous: Vec::new(),
        }
    }

    /// Bytes of history it has room for.
    #[must_use]
    pub(crate) fn page_bytes(&self) -> u64 {
        u64::from(self.bytes_max.saturating_sub(self.held.1).clamp(1, PAGE_BYTES_MAX))
    }

    /// Messages of history it has room for.
    #[must_use]
    pub(crate) fn page_messages(&self) -> u64 {
        (self.messages_max - self.held.0).into()
    }

    /// Whether it reads back from a place: each page ends where the one before began.
    #[must_use]
    pub(crate) const fn reads_back(&self) -> bool {
        matches!(self.from, Start::Before { .. })
    }

    /// Where to ask from.
    #[must_use]
    pub(crate) fn start(&self) -> Start {
        match &self.from {
            Start::Before { positions, .. } => {
                let positions = if self.previous.is_empty() { positions } else { &self.previous };
                Start::Before { last: self.page_messages(), positions: positions.clone() }
            }
            from => self.cursor.start(from),
        }
    }

    /// A question has got a page whole, and stood at `before` when it came. One that reads back stays where the first one
    /// ended: that is where others go on.
    pub(crate) fn asked_page(&mut self, page: &Page<'_>, before: Cursor) {
        let is_first = !before.is_known();
        if is_first || self.reads_back() {
            self.previous = behind(&page.after);
            self.lacks = page.gap;
        }
        if !is_first && self.reads_back() {
            self.cursor = before;
        }
    }

    const fn has_room(&self, bytes: u32) -> bool {
        self.held.0 < self.messages_max
            && (self.held.0 == 0 || self.held.1.saturating_add(bytes) <= self.bytes_max)
    }

    /// The application has settled some. `true` if it should read on.
    pub(crate) fn settle(&mut self, messages: u32, bytes: u32) -> bool {
        self.held.0 = self.held.0.saturating_sub(messages);
        self.held.1 = self.held.1.saturating_sub(bytes);
        let half = self.held.0 <= self.messages_max / 2 && self.held.1 <= self.bytes_max / 2;
        if half && self.stage == Stage::Full {
            self.stage = Stage::Reading { ask_at: 0 };
            return true;
        }
        false
    }

    /// Its place is known: tells so, the first time.
    pub(crate) fn placed(&mut self, outcome: Outcome, gap: Option<Gap>, out: &mut Outputs) {
        if self.ready {
            if let Some(gap) = gap {
                self.tell_gap(gap, out);
            }
            return;
        }
        self.ready = true;
        let positions = self.cursor.positions().to_vec();
        out.tell(Event::Ready { listener: self.id, outcome, positions, gap });
    }

    /// Whether it has its place and everything up to `end`, in each log. Of one that it does not read or that has nothing it
    /// has once it has come to the live flow: until then it may be reading what was before.
    pub(crate) fn has_passed(&self, end: &Cursor) -> bool {
        let has = |place: &Position| match self.cursor.offset(place.epoch) {
            Some(at) if place.offset > Offset(0) => at >= place.offset,
            Some(_) | None => self.stage == Stage::Live,
        };
        let mut ends = end.positions().iter();
        self.ready && (ends.clone().all(has) || mutant::active(Mutant::CaughtUpInOneLog) && ends.any(has))
    }

    fn tell_gap(&mut self, gap: Gap, out: &mut Outputs) {
        self.is_anew |= begins_anew(gap.reason);
        if !mutant::active(Mutant::ForgetGap) {
            out.tell(Event::Gap { listener: self.id, gap });
        }
    }

    /// Tells what of a gap lies before it.
    pub(crate) fn tell_rest(&mut self, gap: Gap, out: &mut Outputs) {
        if let Some(at) = self.cursor.offset(gap.epoch)
            && at < gap.to
        {
            self.tell_gap(Gap { from: gap.from.max(at.next()), ..gap }, out);
        }
    }

    /// The live flow has a gap, and goes on at `positions`.
    pub(crate) fn pass_gap(&mut self, gap: Gap, positions: &[Position], out: &mut Outputs) {
        if begins_anew(gap.reason) {
            let former = mem::replace(&mut self.cursor, Cursor::at(positions.to_vec()));
            // What it read of other logs it has, also where that is further than the live flow was.
            self.cursor.keep(&former, gap.epoch);
        } else if self.cursor.offset(gap.epoch).is_some_and(|offset| offset >= gap.to) {
            // It read what is gone from history, before it went.
            return;
        } else {
            self.cursor.raise_to(positions);
        }
        self.tell_gap(gap, out);
    }

    /// What it has is worth nothing any more, and it is behind the live flow, which begins anew at `positions`.
    pub(crate) fn begin_anew(
        &mut self,
        gap: Gap,
        positions: &[Position],
        removals: Offset,
        out: &mut Outputs,
    ) {
        if self.stage == Stage::Asked {
            self.stage = Stage::Stale;
        }
        // One that stands nowhere yet has nothing, and one that stands in a log which is no more is told so by its page.
        if self.cursor.offset(gap.epoch).is_some() {
            self.removals = removals;
            self.pass_gap(gap, positions, out);
        }
    }

    /// Offers a message; the listener takes it, drops it as known, or has no room and leaves the live flow.
    ///
    /// `false` if there was no room.
    pub(crate) fn offer(
        &mut self,
        message: &Message,
        own_tags: &[(PartyId, Tag)],
        out: &mut Outputs,
    ) -> bool {
        let Message { epoch, offset, tag, payload, .. } = *message;
        let known = self.cursor.offset(epoch).is_some_and(|seen| offset <= seen);
        if known && !mutant::active(Mutant::SkipDuplicateDrop) {
            return true;
        }
        let is_before = || self.own.offset(epoch).is_some_and(|upto| offset <= upto);
        if self.echo || !self.is_own(tag, own_tags) || is_before() {
            if !self.has_room(payload.len) {
                if mutant::active(Mutant::CursorBeforeMessage) {
                    self.cursor.raise(epoch, offset);
                }
                self.stage = Stage::Full;
                return false;
            }
            self.held.0 += 1;
            self.held.1 = self.held.1.saturating_add(payload.len);
            out.tell(Event::Message(Message { listener: self.id, ..*message }));
        }
        self.cursor.raise(epoch, offset);
        true
    }

    fn is_own(&self, tag: Tag, own_tags: &[(PartyId, Tag)]) -> bool {
        tag.0 != 0 && own_tags.contains(&(self.party, tag))
    }

    /// A page has been taken whole. `live` is how far the live flow is.
    pub(crate) fn page_done(&mut self, upto: &[Position], more: bool, live: &Cursor) {
        self.cursor.raise_to(upto);
        let joined = !more && self.cursor.covers(live) || mutant::active(Mutant::JoinWithoutOffset);
        self.stage = if joined {
            Stage::Live
        } else if self.has_room(0) {
            Stage::Reading { ask_at: 0 }
        } else {
            Stage::Full
        };
    }

    /// The link is gone: a page that was asked for is asked for again.
    pub(crate) fn reset(&mut self) {
        // Nobody would tell it that the next hub has another log.
        self.is_anew |= !self.ready;
        if matches!(self.stage, Stage::Asked | Stage::Stale | Stage::Reading { .. }) {
            self.stage = Stage::Reading { ask_at: 0 };
        }
    }

    /// Tells its end.
    pub(crate) fn end(&self, fault: Fault, out: &mut Outputs) {
        if self.reads_for.is_none_or(|listener| listener == self.id) {
            out.tell(Event::Refused { listener: self.id, fault });
        }
    }
}

/// Whether its place counts for nothing any more after such a gap.
const fn begins_anew(reason: GapReason) -> bool {
    matches!(reason, GapReason::EpochChanged | GapReason::BeyondEnd | GapReason::Compacted)
}

/// What comes before what lies after these places is below these.
fn behind(places: &[Position]) -> Vec<Position> {
    let passes_one = mutant::active(Mutant::PagePassesOne);
    let below = |offset: Offset| if passes_one { offset } else { offset.next() };
    places.iter().map(|place| Position { offset: below(place.offset), ..*place }).collect()
}
