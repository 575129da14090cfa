//! What handles and the task share about updates that may be lost.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use tidewire_client_core::fault::Fault;
use tidewire_protocol::code::Code;

use crate::outcome::PublishError;

/// How many updates are on their way to the task, and how many came to nothing.
#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// Bytes that the task has not taken yet.
    waiting: AtomicUsize,
    /// Updates that came to nothing on their way to the task.
    lost: AtomicU64,
    /// Updates that the state machine dropped.
    dropped: AtomicU64,
}

/// Where updates go.
#[derive(Debug)]
pub(crate) struct Target {
    /// The topic.
    pub name: String,
    /// The code that the last one was refused with; 0 for none.
    refused: AtomicU64,
}

impl Sending {
    /// Room for an update of so many bytes on its way to the task; if there is none, it is dropped and counted.
    pub(crate) fn take(&self, bytes: usize) -> bool {
        let cost = bytes + COST;
        let before = self.waiting.fetch_add(cost, Ordering::Relaxed);
        if before > 0 && before + cost > WAITING_BYTES_MAX {
            self.waiting.fetch_sub(cost, Ordering::Relaxed);
            self.lost();
            return false;
        }
        true
    }

    /// The task has taken it.
    pub(crate) fn taken(&self, bytes: usize) {
        self.waiting.fetch_sub(bytes + COST, Ordering::Relaxed);
    }

    /// One has come to nothing on its way.
    pub(crate) fn lost(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    /// The state machine has dropped so many.
    pub(crate) fn set_dropped(&self, count: u64) {
        self.dropped.store(count, Ordering::Relaxed);
    }

    /// How many came to nothing here.
    pub(crate) fn dropped(&self) -> u64 {
        self.lost.load(Ordering::Relaxed) + self.dropped.load(Ordering::Relaxed)
    }
}

impl Target {
    pub(crate) fn new(name: &str) -> Self {
        Self { name: name.into(), refused: AtomicU64::new(0) }
    }

    /// What became of an update.
    pub(crate) fn told(&self, result: Result<(), Fault>) {
        let code = match result {
            Err(Fault::Protocol(code)) => code.number(),
            // A client that has ended says so by itself.
            Ok(()) | Err(Fault::Client(_)) => 0,
        };
        self.refused.store(code, Ordering::Relaxed);
    }

    /// Why the last update was refused.
    pub(crate) fn refusal(&self) -> Option<PublishError> {
        match self.refused.load(Ordering::Relaxed) {
            0 => None,
            number => Some(PublishError::Refused(Code::from_number(number))),
        }
    }
}

/// What an update costs besides its bytes, roughly.
const COST: usize = 64;
/// Bytes of updates that the task has not taken: it takes them in microseconds, unless the machine is busy.
const WAITING_BYTES_MAX: usize = 1 << 20;
