//! What other threads leave for a shard: tails to look at, and outcomes of publishes.

use std::fmt;
use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Handle, Offset, Participant, Seq};

use crate::sync::{AtomicBool, Mutex, Ordering, lock};
use crate::tail::Tail;

/// A shard's inbox; bounded by the number of tails (each is in it at most once) and of publishes in flight.
pub struct Inbox {
    mail: Mutex<Mail>,
    signalled: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
}

/// Everything that came since the last look.
#[derive(Debug, Default)]
pub struct Mail {
    /// Tails with something new.
    pub dirty: Vec<Arc<Tail>>,
    /// Outcomes of publishes.
    pub outcomes: Vec<Outcome>,
}

/// Who waits for the outcome of a publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Origin {
    /// The shard that owns the connection.
    pub shard: u32,
    /// The connection's slot in it.
    pub connection: u32,
    /// Tells the connection from later ones in the same slot.
    pub generation: u32,
    /// The publisher's handle.
    pub handle: Handle,
    /// The participant behind it.
    pub participant: Participant,
}

/// What became of one publish.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whom to tell.
    pub origin: Origin,
    /// Which.
    pub seq: Seq,
    /// What.
    pub fate: Fate,
}

/// How a publish ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is in the log, or for a void (offset 0) never will be.
    Done {
        /// Where.
        offset: Offset,
        /// By an earlier try.
        duplicate: bool,
    },
    /// It was refused.
    Refused {
        /// Why.
        code: Code,
        /// Whether its seq is used up.
        consumed: bool,
    },
}

impl Inbox {
    /// An empty inbox; `waker` is called when its shard may be asleep and has mail.
    #[must_use]
    pub fn new(waker: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { mail: Mutex::new(Mail::default()), signalled: AtomicBool::new(false), waker }
    }

    /// Leaves a tail to look at.
    pub fn leave_tail(&self, tail: Arc<Tail>) {
        lock(&self.mail).dirty.push(tail);
        self.wake();
    }

    /// Leaves outcomes.
    pub fn leave_outcomes(&self, outcomes: &mut Vec<Outcome>) {
        lock(&self.mail).outcomes.append(outcomes);
        self.wake();
    }

    /// Takes everything. Mail left from here on wakes the shard again.
    #[must_use]
    pub fn take(&self) -> Mail {
        self.signalled.swap(false, Ordering::AcqRel);
        std::mem::take(&mut lock(&self.mail))
    }

    /// Whether there is mail.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    /// A shard is woken once until it has looked.
    fn wake(&self) {
        if !self.signalled.swap(true, Ordering::AcqRel) {
            (self.waker)();
        }
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("mail", &self.mail).finish_non_exhaustive()
    }
}
