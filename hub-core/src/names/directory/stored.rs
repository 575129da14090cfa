//! What a durable log has of names, and what it gives back at the next start.

use std::sync::Arc;

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

use crate::ledger::Account;
use crate::names::directory::{Directory, Leaf, STEPS_MAX, STEPS_MORE};
use crate::names::forgotten::Going;
use crate::topic::Topic;
use crate::trie::Progress;

impl Directory {
    /// The topic of a name that outlived the hub, whatever room there is.
    pub fn restore(&mut self, name: &TopicName, account: &Arc<Account>) -> Arc<Topic> {
        self.find(name).cloned().unwrap_or_else(|| self.make(name, account))
    }

    /// A name of a log went in an earlier life of the hub, when its last message was that; unless it is a topic now.
    pub fn restore_gone(&mut self, name: &TopicName, log: u8, last: Offset) {
        if self.find(name).is_none() && self.log_of(name) == log {
            self.went(name, log, last);
        }
    }

    /// So far reaches what may have been of names of a log that left no trace.
    pub fn restore_floor(&mut self, log: u8, last: Offset) {
        self.forgotten.raise(log, last);
    }

    /// Some of what a durable log has to say of names: its topics, and names that went. Tells how far that came.
    pub fn list_stored(
        &self,
        log: u8,
        progress: &Progress,
        mut topic: impl FnMut(&Arc<Topic>),
        mut gone: impl FnMut(Going, Offset),
    ) -> Progress {
        self.topics.list_all(progress, (STEPS_MAX, STEPS_MORE), |leaf| match leaf {
            Leaf::Topic(known) if known.log == log => topic(known),
            Leaf::Gone(of, last, going) if *of == log => gone(*going, *last),
            Leaf::Topic(_) | Leaf::Gone(..) => {}
        })
    }

    /// The name that went then.
    #[must_use]
    pub fn gone_name(&self, going: Going) -> Option<&TopicName> {
        self.forgotten.name(going)
    }
}
