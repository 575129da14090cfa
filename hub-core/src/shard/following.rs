//! What a connection knows of its patterns, and of topics that it reads from the disk, besides their cursors: reads under way,
//! and what they brought.
//!
//! A cursor that its tail has left behind waits while a pattern's topics, or the disk, are read; one whose start is not known
//! yet waits for that. Meanwhile it is parked, and on no list.

use tidewire_protocol::number::{Offset, Request, TailNumber};

use crate::letter::Serial;
use crate::mutant::{self, Mutant};
use crate::reading::merge::{Merge, Part};
use crate::reading::question::Whose;
use crate::reading::reads::{Asker, WAITING_BYTES};
use crate::spare::Spare as _;
use crate::tail::TailKey;

/// All patterns of a connection.
#[expect(
    clippy::box_collection,
    reason = "most connections have none, and each byte here counts once for each"
)]
#[derive(Debug, Default)]
pub struct Following(Option<Box<Vec<Followee>>>);

/// One pattern in one log, or a topic of which something is read from the disk.
#[derive(Debug)]
pub struct Followee {
    /// Which tail.
    pub tail: TailKey,
    /// What its cursor is on.
    pub whose: Whose,
    /// From here on topics count that keep nothing to be asked for.
    pub bare_from: Offset,
    /// What is known from the last part that was read.
    pub merge: Option<Box<Merge>>,
    /// What comes next.
    pub ahead: Ahead,
    /// For whom its topics are read, as long as it is there.
    pub asker: Asker,
}

/// What a pattern's cursor waits for, or has still to be written.
#[derive(Debug)]
pub enum Ahead {
    /// The tail.
    Tail,
    /// Its start, which was asked for with this serial; with the first log, the question to be answered then.
    Start(Serial, Request),
    /// A part that was asked for with this serial.
    Asked(Serial),
    /// A part that was read.
    Part(Part),
}

impl Following {
    /// One of them.
    pub fn get(&mut self, tail: TailKey) -> Option<&mut Followee> {
        self.0.as_mut()?.iter_mut().find(|followee| followee.tail == tail)
    }

    /// The one that waits for the read of this serial.
    pub fn waiting(&mut self, serial: Serial) -> Option<&mut Followee> {
        let waits = |followee: &&mut Followee| match followee.ahead {
            Ahead::Asked(_) if mutant::active(Mutant::PageJoinedToWrongCursor) => true,
            Ahead::Asked(asked) | Ahead::Start(asked, _) => asked == serial,
            Ahead::Tail | Ahead::Part(_) => false,
        };
        self.0.as_mut()?.iter_mut().find(waits)
    }

    /// Whether it is not known yet of some where they start.
    #[must_use]
    pub fn are_starting(&self) -> bool {
        let starts = |followee: &Followee| matches!(followee.ahead, Ahead::Start(..));
        self.0.as_ref().is_some_and(|all| all.iter().any(starts))
    }

    /// The question that waits for the start of one.
    pub fn asked_by(&mut self, tail: TailKey) -> Option<Request> {
        match self.get(tail)?.ahead {
            Ahead::Start(_, request) => Some(request),
            Ahead::Tail | Ahead::Asked(_) | Ahead::Part(_) => None,
        }
    }

    /// Adds one.
    pub fn insert(&mut self, followee: Followee) {
        self.0.get_or_insert_default().push(followee);
    }

    /// Bytes of what is known of them, free places counted, and of the questions that they may ask: who may have a cursor may
    /// have read what it is to get.
    #[must_use]
    pub fn places_bytes(&self) -> usize {
        let bytes = |all: &Vec<Followee>| all.capacity() * size_of::<Followee>() + all.len() * ASKING_BYTES;
        self.0.as_ref().map_or(0, |all| bytes(all))
    }

    /// Bytes that were read and not written yet.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let parts = self.0.iter().flat_map(|all| all.iter()).filter_map(|followee| match &followee.ahead {
            Ahead::Part(part) => Some(part.bytes),
            Ahead::Tail | Ahead::Start(..) | Ahead::Asked(_) => None,
        });
        parts.sum::<usize>()
    }

    /// Takes a pattern away.
    pub fn remove(&mut self, number: TailNumber) {
        if let Some(all) = &mut self.0 {
            all.retain(|followee| followee.tail.number != number);
            all.give_back();
            if all.is_empty() {
                self.0 = None;
            }
        }
    }

    /// Takes all away.
    pub fn clear(&mut self) {
        self.0 = None;
    }
}

/// What one takes at most.
pub const FOLLOWEE_BYTES: usize = 2 * size_of::<Followee>() + ASKING_BYTES;
/// Its question while that waits, and the counts that tell readers whether it is still there.
const ASKING_BYTES: usize = WAITING_BYTES + 32;
