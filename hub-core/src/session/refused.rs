//! What was refused last for good: handles whose `open` was, or whose participant was fenced, and those participants.
//! What its client sent by one before it knew is part of the same refusal.

use std::collections::VecDeque;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Handle, Participant};

/// Some of each; most connections have none.
#[derive(Debug, Default)]
pub struct Refusals(Option<Box<Lists>>);

#[derive(Debug, Default)]
struct Lists {
    handles: VecDeque<(Handle, Code)>,
    fenced: VecDeque<Participant>,
}

impl Refusals {
    /// This handle was refused.
    pub fn add(&mut self, handle: Handle, code: Code) {
        self.forget(handle);
        let handles = &mut self.0.get_or_insert_default().handles;
        if handles.len() == REMEMBERED_MAX {
            handles.pop_front();
        }
        handles.push_back((handle, code));
    }

    /// Why this handle was refused, if it was.
    #[must_use]
    pub fn code_of(&self, handle: Handle) -> Option<Code> {
        let lists = self.0.as_ref()?;
        lists.handles.iter().find(|(known, _)| *known == handle).map(|(_, code)| *code)
    }

    /// This handle is used anew, or not any more.
    pub fn forget(&mut self, handle: Handle) {
        if let Some(lists) = &mut self.0 {
            lists.handles.retain(|(known, _)| *known != handle);
        }
    }

    /// This participant was fenced, with its handles.
    pub fn fence(&mut self, participant: Participant, handles: impl Iterator<Item = Handle>) {
        self.attach(participant);
        let fenced = &mut self.0.get_or_insert_default().fenced;
        if fenced.len() == REMEMBERED_MAX {
            fenced.pop_front();
        }
        fenced.push_back(participant);
        handles.take(REMEMBERED_MAX).for_each(|handle| self.add(handle, Code::Fenced));
    }

    /// Why a participant is not there.
    #[must_use]
    pub fn why_gone(&self, participant: Participant) -> Code {
        let is_fenced = self.0.as_ref().is_some_and(|lists| lists.fenced.contains(&participant));
        if is_fenced { Code::Fenced } else { Code::UnknownNumber }
    }

    /// This participant is there anew.
    pub fn attach(&mut self, participant: Participant) {
        if let Some(lists) = &mut self.0 {
            lists.fenced.retain(|known| *known != participant);
        }
    }
}

/// Bounds what a connection makes the hub hold for it, to two kilobytes.
const REMEMBERED_MAX: usize = 64;
