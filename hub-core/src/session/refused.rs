//! The handles whose `open` was refused last: what its client sent by one before it knew is part of the same refusal.

use std::collections::VecDeque;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::Handle;

/// Some of them, with why; most connections have none.
#[expect(
    clippy::box_collection,
    reason = "most connections have none, and each byte here counts once for each"
)]
#[derive(Debug, Default)]
pub struct RefusedHandles(Option<Box<VecDeque<(Handle, Code)>>>);

impl RefusedHandles {
    /// This one was refused.
    pub fn add(&mut self, handle: Handle, code: Code) {
        self.forget(handle);
        let refused = self.0.get_or_insert_default();
        if refused.len() == REMEMBERED_MAX {
            refused.pop_front();
        }
        refused.push_back((handle, code));
    }

    /// Why this one was refused, if it was.
    #[must_use]
    pub fn code_of(&self, handle: Handle) -> Option<Code> {
        let refused = self.0.as_ref()?;
        refused.iter().find(|(known, _)| *known == handle).map(|(_, code)| *code)
    }

    /// It is used anew, or not any more.
    pub fn forget(&mut self, handle: Handle) {
        if let Some(refused) = &mut self.0 {
            refused.retain(|(known, _)| *known != handle);
        }
    }
}

/// Bounds what a connection makes the hub hold for it, to a kilobyte.
const REMEMBERED_MAX: usize = 64;
