//! A log: one order for everything that is published to its topics, and where that is stored.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::code::Durability;
use tidewire_protocol::number::{Epoch, Offset};
use tidewire_protocol::position::Position;

use crate::log::sequencer::Sequencer;
use crate::sync::{Mutex, lock};

pub mod sequencer;

pub mod submission;

pub mod rows;

pub mod windows;

pub mod window;

pub mod engine;

pub mod feed;

/// A log.
#[derive(Debug)]
pub struct Log {
    /// Its identity.
    pub epoch: Epoch,
    /// What holds when a publish to it is acknowledged.
    pub durability: Durability,
    visible: Arc<AtomicU64>,
    sequencer: Mutex<Sequencer>,
}

impl Log {
    /// A log around its sequencer.
    #[must_use]
    pub fn new(sequencer: Sequencer) -> Self {
        let (epoch, durability) = (sequencer.epoch, sequencer.engine.durability());
        let visible = Arc::clone(sequencer.visible());
        Self { epoch, durability, visible, sequencer: Mutex::new(sequencer) }
    }

    /// Everything up to here is in the tails that it belongs to. More may be, by now.
    #[must_use]
    pub fn visible(&self) -> Offset {
        Offset(self.visible.load(Ordering::Acquire))
    }

    /// A place in it.
    #[must_use]
    pub fn position(&self, offset: Offset) -> Position {
        Position { epoch: self.epoch, offset }
    }

    /// Changes whenever a pattern comes or goes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.lock().feed.generation()
    }

    /// Its sequencer, locked: publishing waits meanwhile.
    pub fn lock(&self) -> impl std::ops::DerefMut<Target = Sequencer> + '_ {
        lock(&self.sequencer)
    }
}
