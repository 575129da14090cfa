//! Places in several logs that are told in one: messages of these logs are written one beside the other, so none of them has the
//! place of all. An id has, behind what it holds for.

use std::mem;

use tidewire_protocol::events;
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::Position;

use crate::tail::TailKey;

/// Places, in the order in which they were asked for.
#[derive(Debug, Default)]
pub struct Places {
    all: Vec<(TailKey, Position)>,
    /// They have been told as they are.
    are_told: bool,
}

impl Places {
    /// One more, which is not known yet.
    pub fn add(&mut self, tail: TailKey, place: Position) {
        self.all.push((tail, place));
        self.are_told = false;
    }

    /// Where each stands now. One whose subscription has ended stays where it was.
    pub fn renew(&mut self, mut cursor: impl FnMut(TailKey) -> Option<Offset>) {
        for (tail, place) in &mut self.all {
            let cursor = cursor(*tail).unwrap_or(place.offset);
            self.are_told &= mem::replace(&mut place.offset, cursor) == cursor;
        }
    }

    /// Appends an id of all of them; `false` if it would be the same as the last.
    pub fn tell(&mut self, out: &mut Vec<u8>) -> bool {
        if mem::replace(&mut self.are_told, true) {
            return false;
        }
        events::put_places(self.all.iter().map(|(_, place)| *place), out);
        true
    }
}
