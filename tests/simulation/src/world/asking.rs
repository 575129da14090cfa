//! Applications that read back: they ask for pages below some place.

use tidewire_protocol::code::WhenSlow;
use tidewire_protocol::number::{NUMBER_MAX, Offset};
use tidewire_protocol::position::Start;

use crate::names::{NAMES, SELECTORS, SelectorIndex};
use crate::oracle::asking::Asking;
use crate::oracle::listening::Listening;
use crate::world::World;

impl World {
    /// Asks for a page below some place, of this life of the hub or the one before it, or below everything.
    pub(crate) fn ask_below(&mut self, actor: usize) {
        let selector = self.random.below(SELECTORS as u64) as SelectorIndex;
        let (back, logs) = (usize::from(self.random.one_in(6)), self.oracle.logs_of(selector));
        let life: Vec<usize> = self.oracle.life(back).into_iter().skip(logs.start).take(logs.len()).collect();
        if life.is_empty() {
            return;
        }
        let is_all = self.random.one_in(6);
        let mut below: Vec<_> = life.iter().map(|log| self.some_place(*log, selector)).collect();
        for place in &mut below {
            place.offset = if is_all { Offset(NUMBER_MAX) } else { place.offset.next() };
        }
        let limit = self.random.magnitude(1, 100) as usize;
        let from = Start::Before { last: NUMBER_MAX, positions: below.clone() };
        let name = NAMES[usize::from(selector)];
        let Ok(id) = self.actors[actor].client.history(self.now, name, from.clone(), limit as u32) else {
            return;
        };
        let visible = life.iter().map(|log| self.oracle.logs[*log].visible).collect();
        // It has a listener's number, and is none.
        let mut listening = Listening::new(actor, selector, from, true, WhenSlow::CatchUp);
        listening.ended = true;
        let index = self.oracle.listeners.len();
        self.oracle.listeners.push(listening);
        self.actors[actor].listeners.push(index);
        self.note(|| {
            format!("client {actor}, question {index}, id {}: {limit} of {name} below {below:?}", id.0)
        });
        let asking = Asking { selector, below, limit, visible, messages: Vec::new() };
        self.oracle.questions.insert(index, asking);
        self.drain(actor, &[]);
    }
}
