//! How far a reader has come in each log of its topic or pattern.

use alloc::vec::Vec;

use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::{Position, Start};

/// One position per log; none as long as nothing is known.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Cursor(Vec<Position>);

impl Cursor {
    /// A cursor at these places.
    #[must_use]
    pub(crate) const fn at(positions: Vec<Position>) -> Self {
        Self(positions)
    }

    /// Its places, in the order in which blocks count logs.
    #[must_use]
    pub(crate) fn positions(&self) -> &[Position] {
        &self.0
    }

    /// Its places, when nothing more comes.
    #[must_use]
    pub(crate) fn into_positions(self) -> Vec<Position> {
        self.0
    }

    /// Whether it stands anywhere yet.
    #[must_use]
    pub(crate) const fn is_known(&self) -> bool {
        !self.0.is_empty()
    }

    /// What to ask for so as to go on from here; `from` if it stands nowhere yet.
    #[must_use]
    pub(crate) fn start(&self, from: &Start) -> Start {
        if self.is_known() { Start::After(self.0.clone()) } else { from.clone() }
    }

    /// The place in a log, by the number that blocks use.
    #[must_use]
    pub(crate) fn log(&self, log: u64) -> Option<Position> {
        self.0.get(usize::try_from(log).ok()?).copied()
    }

    /// How far it is in the log of that identity.
    #[must_use]
    pub(crate) fn offset(&self, epoch: Epoch) -> Option<Offset> {
        self.0.iter().find(|place| place.epoch == epoch).map(|place| place.offset)
    }

    /// Whether it is at least as far as `other` in each of the other's logs.
    #[must_use]
    pub(crate) fn covers(&self, other: &Self) -> bool {
        other.0.iter().all(|place| self.offset(place.epoch).is_some_and(|offset| offset >= place.offset))
    }

    /// Moves on to `offset`, never back.
    pub(crate) fn raise(&mut self, epoch: Epoch, offset: Offset) {
        match self.0.iter_mut().find(|place| place.epoch == epoch) {
            Some(place) => place.offset = place.offset.max(offset),
            None => self.0.push(Position { epoch, offset }),
        }
    }

    /// Moves on to each of these places, never back.
    pub(crate) fn raise_to(&mut self, places: &[Position]) {
        for place in places {
            self.raise(place.epoch, place.offset);
        }
    }

    /// Keeps no more than so many logs: those that came last.
    pub(crate) fn forget_oldest(&mut self, logs_max: usize) {
        if self.0.len() > logs_max {
            self.0.remove(0);
        }
    }

    /// Stays as far as `former` was in the logs that both have, but for one that begins anew; 0 is none.
    pub(crate) fn keep(&mut self, former: &Self, anew: Epoch) {
        for place in &mut self.0 {
            if place.epoch != anew {
                place.offset = place.offset.max(former.offset(place.epoch).unwrap_or_default());
            }
        }
    }

    /// Goes on after `offset` of that log, which may be a new one; `false` if it cannot be told whose place
    /// that takes.
    pub(crate) fn go_on(&mut self, epoch: Epoch, offset: Offset) -> bool {
        if self.offset(epoch).is_none() {
            if self.0.len() > 1 {
                return false;
            }
            self.0.clear();
        }
        self.raise(epoch, offset);
        true
    }
}
