//! Where a log's messages are stored: submit now, complete later.
//!
//! The sequencer hands each numbered message to the engine and makes it visible when the engine has
//! completed it, in offset order whatever the order of completion.

use std::collections::VecDeque;

use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::Offset;

/// The engines there are. An enum and not a trait object: what an engine can do is visible, and a call costs
/// no allocation.
#[derive(Debug)]
pub enum Engine {
    /// The tails in memory are the history; complete at once.
    Memory,
    /// Completes when the simulation says so: late, out of step, or not at all.
    Simulated(Simulated),
    /// Completes with commits: see [`storing`](crate::log::sequencer::storing).
    Disk(Disk),
}

/// An engine whose messages outlive the hub: whoever has the disk takes commits, and says when they are stored.
#[derive(Debug, Default)]
pub struct Disk {
    /// What it takes now.
    pub takes: Takes,
    /// How many of those that wait, from the first on, are in the commit that is under way.
    pub committing: usize,
    /// The last number that was given to a topic.
    pub last_topic: u64,
    /// Offsets that no later life of the hub gives out.
    pub reserved: Reserved,
}

/// Offsets up to which a start passes over all, stored or not: these may be told before what bears them is stored.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reserved {
    /// Up to here, as the disk says.
    pub stored: Offset,
    /// As the commit says that is under way; 0 if it says nothing.
    pub committing: Offset,
    /// More are wanted.
    pub is_wanted: bool,
}

/// What a durable log takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Takes {
    /// Whatever comes.
    #[default]
    All,
    /// No messages: the disk is nearly full. Seqs may still be used up.
    NoMessages,
    /// No publishes at all: the disk is so full that it holds only what the log has to say itself.
    NoPublishes,
    /// Nothing until the hub is started again: a write failed, and what the disk holds of it nobody knows.
    Nothing,
}

/// What an engine says to a submission.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Submitted {
    /// It is stored.
    Complete,
    /// A completion will come.
    Later,
}

/// An engine whose completions are made by hand.
#[derive(Debug, Default)]
pub struct Simulated {
    waiting: VecDeque<Offset>,
}

impl Engine {
    /// Stores a message under its offset.
    pub fn submit(&mut self, offset: Offset) -> Submitted {
        match self {
            Self::Memory => Submitted::Complete,
            Self::Disk(_) => Submitted::Later,
            Self::Simulated(simulated) => {
                simulated.waiting.push_back(offset);
                Submitted::Later
            }
        }
    }

    /// Stores that seqs are used up, for which there is no message.
    #[must_use]
    pub fn submit_outcome(&self) -> Submitted {
        match self {
            Self::Memory | Self::Simulated(_) => Submitted::Complete,
            Self::Disk(_) => Submitted::Later,
        }
    }

    /// Whether it keeps windows as well, so that they outlive the hub.
    #[must_use]
    pub const fn is_lasting(&self) -> bool {
        matches!(self, Self::Disk(_))
    }

    /// Why it takes nothing, or no messages, if so.
    #[must_use]
    pub fn refuses(&self, is_message: bool) -> Option<Code> {
        let Self::Disk(disk) = self else { return None };
        match disk.takes {
            Takes::Nothing | Takes::NoPublishes => Some(Code::NotStored),
            Takes::NoMessages if is_message => Some(Code::NotStored),
            Takes::All | Takes::NoMessages => None,
        }
    }

    /// What holds when a message is acknowledged for which that much is asked: no more than this log does.
    #[must_use]
    pub fn agreed(&self, asked: Option<Durability>) -> Durability {
        match asked {
            Some(Durability::Memory) => Durability::Memory,
            _ => self.durability(),
        }
    }

    /// What holds when a message is acknowledged.
    #[must_use]
    pub fn durability(&self) -> Durability {
        match self {
            Self::Memory | Self::Simulated(_) => Durability::Memory,
            Self::Disk(_) => Durability::Synced,
        }
    }
}

impl Simulated {
    /// Takes one of the waiting submissions, the `index`th modulo their number.
    pub fn pick(&mut self, index: usize) -> Option<Offset> {
        let len = self.waiting.len();
        if len == 0 { None } else { self.waiting.remove(index % len) }
    }

    /// Forgets everything from `offset` on, which the sequencer has given up.
    pub fn forget_from(&mut self, offset: Offset) {
        self.waiting.retain(|waiting| *waiting < offset);
    }
}
