//! A durable log is stored: whoever has the disk takes a commit of what waits, and says when it is stored.
//!
//! One commit is under way at a time, and takes what waits from the first on. What is in it is shown, and told, only when
//! it is stored: message and window together, so a retry after any crash finds both or neither.

use std::collections::BTreeMap;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Offset, Seq};

use crate::clock::Millis;
use crate::letter::{Fate, Outcome};
use crate::log::engine::{Disk, Engine, Takes};
use crate::log::rows::writing::Scribe;
use crate::log::rows::{MessageRow, Of, OutcomeRow, ProducerRow, TopicRow};
use crate::log::sequencer::room::{NEWS_BYTES_MAX, fits};
use crate::log::sequencer::{Sequencer, fate};
use crate::log::submission::Pending;
use crate::log::window::run::Answer;
use crate::log::windows::{WindowKey, Windows};
use crate::mutant::{self, Mutant};
use crate::tail::restoring::Bounds;

impl Sequencer {
    /// Writes what waits, up to about `bytes_max`, as rows of the commit that is under way from now on.
    pub fn commit(&mut self, scribe: &mut Scribe<'_>, bytes_max: usize) {
        let Self { engine: Engine::Disk(disk), pending, windows, .. } = self else { return };
        debug_assert_eq!(disk.committing, 0, "one commit is under way at a time");
        windows.commit_leaving(|home, incarnation| {
            let (id, subject) = (home.producer.id, home.producer.subject.as_deref());
            let producer = scribe.producer(&ProducerRow { id, incarnation, subject });
            scribe.window_gone(producer, &home.topic);
        });
        while scribe.len() < NEWS_BYTES_MAX
            && let Some((window, incarnation, home)) = windows.commit_raised()
        {
            let (id, subject) = (home.producer.id, home.producer.subject.as_deref());
            let producer = scribe.producer(&ProducerRow { id, incarnation, subject });
            scribe.window(producer, &home.topic, window);
        }
        let mut ends = BTreeMap::new();
        while let Some(first) = pending.get(disk.committing) {
            // Those of a batch are in one commit.
            let together = pending.range(disk.committing..).take(first.beside.behind + 1);
            let is_full = scribe.len() >= bytes_max || disk.committing >= COMMITTED_MAX;
            if is_full || !fits(scribe.len(), together.clone()) {
                break;
            }
            for pending in together {
                disk.committing += 1;
                write(pending, disk, windows, &mut ends, scribe);
            }
        }
        self.wants_commit = disk.committing < self.pending.len();
    }

    /// The commit that was under way is stored. Some of it, in order, is shown and told; whether there is more of it.
    pub fn show_stored(&mut self) -> bool {
        let (mut shown, mut copied) = (0, 0);
        while shown < SHOWN_STEP && copied < COPIED_STEP {
            let Engine::Disk(disk) = &mut self.engine else { return false };
            let count = self.pending.front().map_or(0, |first| first.beside.behind + 1).min(disk.committing);
            if count == 0 {
                return false;
            }
            disk.committing -= count;
            shown += count;
            copied += (0..count).map(|_| self.reveal_at(0)).sum::<usize>();
        }
        true
    }

    /// Nothing of the commit that was under way is on the disk: it and all behind it are given up, and may be sent again.
    pub fn give_up_commit(&mut self) {
        let Engine::Disk(disk) = &mut self.engine else { return };
        disk.committing = 0;
        self.windows.end_commit(false);
        self.end_reserving(false);
        self.give_up_from(0);
    }

    /// The disk may hold the commit that was under way, or not. Nobody is told before the hub is started again; what is
    /// behind it is given up, and the log takes nothing more.
    pub fn doubt_commit(&mut self) {
        let Engine::Disk(disk) = &mut self.engine else { return };
        disk.takes = Takes::Nothing;
        let in_doubt = disk.committing;
        self.give_up_from(if mutant::active(Mutant::DoubtToldNotStored) { 0 } else { in_doubt });
        let waiters: Vec<Outcome> =
            self.pending.iter_mut().flat_map(|pending| std::mem::take(&mut pending.waiters)).collect();
        waiters.into_iter().for_each(|waiter| self.tell(Outcome { fate: Fate::InDoubt, ..waiter }));
    }

    /// What it takes from now on.
    pub fn set_takes(&mut self, takes: Takes) {
        if let Engine::Disk(disk) = &mut self.engine
            && disk.takes != Takes::Nothing
        {
            disk.takes = takes;
        }
    }

    /// Whether whoever has the disk is to look. Told once for all that waits.
    pub fn wants_commit(&mut self) -> bool {
        self.engine.is_lasting() && (self.windows.take_news() | std::mem::take(&mut self.wants_commit))
    }

    /// Whether something waits for a commit.
    #[must_use]
    pub fn has_waiting(&self) -> bool {
        !self.pending.is_empty() || self.windows.have_news()
    }

    /// The last offset that was given out or is reserved, and the time that the newest message was given.
    #[must_use]
    pub fn stands(&self) -> (Offset, Millis) {
        let reserved = match &self.engine {
            Engine::Disk(disk) => disk.reserved.stored.max(disk.reserved.committing),
            Engine::Memory | Engine::Simulated(_) => Offset(0),
        };
        (self.last.max(reserved), self.given)
    }

    /// Whether the commit that is about to begin has to say that more offsets are reserved.
    pub fn reserve(&mut self) -> bool {
        let Engine::Disk(Disk { reserved, .. }) = &mut self.engine else { return false };
        let is_wanted = std::mem::take(&mut reserved.is_wanted);
        if is_wanted {
            reserved.committing = Offset(self.last.0 + RESERVED);
        }
        is_wanted
    }

    /// The commit that was under way is stored, or not, and with it what it reserved.
    pub fn end_reserving(&mut self, is_stored: bool) {
        let Engine::Disk(Disk { reserved, .. }) = &mut self.engine else { return };
        let committing = std::mem::take(&mut reserved.committing);
        if is_stored {
            reserved.stored = reserved.stored.max(committing);
        }
    }

    /// Whether an answer may be told before it is stored: the place of a message only where no later life gives it to another.
    pub(super) fn may_be_early(&mut self, answer: Answer) -> bool {
        let (Engine::Disk(Disk { reserved, .. }), Answer::Done(offset)) = (&mut self.engine, answer) else {
            return true;
        };
        reserved.is_wanted |= offset.0 + RESERVED / 2 > reserved.stored.0;
        offset <= reserved.stored
    }

    /// Everything up to there was stored in an earlier life of the hub.
    pub fn restore_end(&mut self, last: Offset, given: Millis) {
        self.last = self.last.max(last);
        self.given = self.given.max(given);
        self.visible.fetch_max(last.0, std::sync::atomic::Ordering::Release);
    }

    fn is_stopped(&self) -> bool {
        matches!(&self.engine, Engine::Disk(disk) if disk.takes == Takes::Nothing)
    }

    /// A retry of what waits for a commit is answered with it, with what it is told if its condition has failed; of a run, as
    /// much as waits as one. Tells how much.
    pub(super) fn wait_for_commit(&mut self, window: WindowKey, missed: Fate, outcome: Outcome) -> u64 {
        let before = self.waiting.range(..=(window, outcome.seq)).next_back();
        let serial = before.filter(|((of, _), _)| *of == window).map(|(_, serial)| *serial);
        let place = serial.and_then(|serial| self.pending.binary_search_by_key(&serial, |it| it.serial).ok());
        let is_stopped = self.is_stopped();
        let waits_for = place.and_then(|place| self.pending.get(place)).map(|pending| pending.answer);
        let is_early = outcome.durability != self.engine.durability()
            && waits_for.is_some_and(|answer| self.may_be_early(answer));
        let Some(pending) = place.and_then(|place| self.pending.get_mut(place)) else { return outcome.count };
        let Some((_, Seq(first), count)) = pending.numbered else { return outcome.count };
        let count = outcome.count.min((first + count).saturating_sub(outcome.seq.0));
        if count == 0 {
            return outcome.count;
        }
        let outcome = Outcome { count, ..outcome };
        if is_stopped {
            self.tell(Outcome { fate: Fate::InDoubt, ..outcome });
        } else if is_early {
            let fate = again(pending.answer, missed);
            self.tell(Outcome { fate, ..outcome });
        } else if pending.waiters.len() < WAITERS_MAX {
            let durability = self.engine.durability();
            pending.waiters.push(Outcome { fate: again(pending.answer, missed), durability, ..outcome });
        } else {
            let fate = Fate::Refused { code: Code::Overloaded, consumed: false };
            self.tell(Outcome { fate, ..outcome });
        }
        count
    }
}

/// Writes the rows of one publish, and those that name what it refers to.
fn write(
    pending: &Pending,
    disk: &mut Disk,
    windows: &mut Windows,
    ends: &mut BTreeMap<u64, Offset>,
    scribe: &mut Scribe<'_>,
) {
    let topic = &pending.topic;
    let number = topic.stored.number().unwrap_or_else(|| {
        disk.last_topic += 1;
        topic.stored.set_number(disk.last_topic);
        disk.last_topic
    });
    // Each commit names the topics that it refers to, so that none needs another.
    let last = ends.entry(number).or_insert_with(|| {
        let Bounds { gone, last, removals_gone } = topic.tail.stored_bounds();
        scribe.topic(&TopicRow { number, name: topic.name.as_str(), gone, last, removals_gone });
        last
    });
    let window = pending.numbered.filter(|_| !mutant::active(Mutant::WindowNotStored));
    let kept = window.and_then(|(window, seq, count)| Some((windows.commit(window)?, seq, count)));
    let numbered = kept.map(|((window, incarnation, home), seq, count)| {
        let (id, subject) = (home.producer.id, home.producer.subject.as_deref());
        let producer = scribe.producer(&ProducerRow { id, incarnation, subject });
        if window.first() == seq {
            scribe.window(producer, &home.topic, window);
        }
        (producer, seq, count)
    });
    match (pending.answer, numbered) {
        (Answer::Done(offset), _) => {
            let prev = std::mem::replace(last, offset);
            let numbered = numbered.map(|(producer, seq, _)| (producer, seq, pending.lowest));
            scribe.message(&MessageRow { topic: number, prev, numbered, record: pending.record.record() });
        }
        (Answer::Refused(_), _) if mutant::active(Mutant::RefusalNotStored) => {}
        (answer, Some((producer, seq, count))) => {
            let of = Of { producer, topic: number };
            scribe.outcome(&OutcomeRow { of, seq, count, lowest: pending.lowest, answer });
        }
        // Only what a producer numbers can be used up.
        (_, None) => {}
    }
}

/// What a retry is told of what became of its first try, where a condition that has failed is told so.
pub(super) fn again(answer: Answer, missed: Fate) -> Fate {
    match answer {
        Answer::Refused(Code::ConditionFailed) => missed,
        answer => fate(answer, true),
    }
}

/// Publishes in a commit, but for the rest of a batch: bounds how long publishing waits for it to be written down.
const COMMITTED_MAX: usize = 4_096;
/// Bytes that are copied into tails in one hold of the lock, about.
const COPIED_STEP: usize = 1 << 20;
/// Publishes of a commit that are shown in one hold of the lock, about.
const SHOWN_STEP: usize = 256;
/// Retries that wait with one publish.
const WAITERS_MAX: usize = 8;
/// So many offsets are reserved at a time: a start that ends no life in good order passes over as many.
const RESERVED: u64 = 1 << 16;
