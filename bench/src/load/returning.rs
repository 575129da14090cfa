//! Publishers who come back to a server that was started again, and what it still knows of them.

use crate::load::Load;
use crate::load::wire::Target;

impl Load {
    /// Every publisher's connection ends; those who are gathered from here on come to another address.
    pub fn move_to(&mut self, target: Target) {
        self.publishers.cut_all();
        self.target = target;
    }

    /// How many topics' publishers the server knew nothing of when they asked last.
    #[must_use]
    pub fn unknown(&self) -> usize {
        self.publishers.unknown()
    }
}
