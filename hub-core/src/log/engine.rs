//! Where a log's messages are stored: submit now, complete later.
//!
//! The sequencer hands each numbered message to the engine and makes it visible when the engine has
//! completed it, in offset order whatever the order of completion.

use std::collections::VecDeque;

use tidewire_protocol::code::Durability;
use tidewire_protocol::number::Offset;

/// The engines there are. An enum and not a trait object: what an engine can do is visible, and a call costs
/// no allocation.
#[derive(Debug)]
pub enum Engine {
    /// The tails in memory are the history; complete at once.
    Memory,
    /// Completes when the simulation says so: late, out of step, or not at all.
    Simulated(Simulated),
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
            Self::Simulated(simulated) => {
                simulated.waiting.push_back(offset);
                Submitted::Later
            }
        }
    }

    /// What holds when a message is acknowledged.
    #[must_use]
    pub fn durability(&self) -> Durability {
        match self {
            Self::Memory | Self::Simulated(_) => Durability::Memory,
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
