//! What threads leave for a shard: numbers of tails and connections to look at, and outcomes of publishes. Knows neither
//! tails nor connections: these are numbers here, and whoever is written to is an address.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use tidewire_protocol::code::{Code, Durability};
use tidewire_protocol::number::{Handle, Offset, Seq, TailNumber};

use crate::sync::{AtomicBool, Mutex, Ordering, lock};

/// A shard's inbox; bounded by the number of tails (each is in it once, or once more for each time that its audience
/// here came anew), of connections, and of publishes and questions in flight.
pub struct Inbox {
    mail: Mutex<Mail>,
    signalled: AtomicBool,
    waker: Box<dyn Fn() + Send + Sync>,
}

/// Everything that came since the last look.
#[derive(Debug, Default)]
pub struct Mail {
    /// Tails with something new.
    pub dirty: Vec<TailNumber>,
    /// Outcomes of publishes.
    pub outcomes: Vec<Outcome>,
    /// Slots of connections with a participant whose producer somebody else has now, each once however often that was: the
    /// connection knows which. Whoever has the slot by then may have none.
    pub fenced: BTreeSet<u32>,
}

/// Who waits for something that comes late. Whoever finds nobody there drops what he brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Address {
    /// The shard that owns the connection.
    pub shard: u32,
    /// The connection's slot in it.
    pub slot: u32,
    /// Tells the connection from later ones in the same slot.
    pub generation: u32,
    /// Who on that connection.
    pub serial: Serial,
}

/// Tells what a connection made (a handle, a question, a cursor) from whatever has the same number later.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Serial(pub u64);

/// Gives out the serials of one connection, none of them twice.
#[derive(Debug, Default)]
pub struct Serials(u64);

/// What became of one publish, or of so many seqs of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Outcome {
    /// Whom to tell: the handle's address.
    pub origin: Address,
    /// The handle's number, which may be another's by now.
    pub handle: Handle,
    /// Which.
    pub seq: Seq,
    /// How many from that on.
    pub count: u64,
    /// In which log.
    pub log: u8,
    /// What holds once it is done, or was asked for.
    pub durability: Durability,
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
    /// It was refused for good, since its key's latest message is this one (0: it has no value), which is not what it asks for.
    ConditionFailed(Offset),
    /// It was refused for now only because another of its batch was, which counts for both.
    KeptOut(Code),
    /// Nobody knows before the hub is started again: its log failed while it was stored.
    InDoubt,
}

/// What is said of publishes that are refused for now only because another of their batch was, where that other's code says
/// nothing of them. No fault of the log's.
pub const KEPT_OUT: Code = Code::NotStored;

/// Shards to wake once all locks are given back: a system call under a lock would hold up everybody else.
#[derive(Debug, Default)]
#[must_use]
pub struct Wakes {
    /// Shards below 64, a bit each, so that noting them takes no memory.
    low: u64,
    high: Vec<usize>,
}

impl Address {
    /// Another on the same connection.
    #[must_use]
    pub const fn with(self, serial: Serial) -> Self {
        Self { serial, ..self }
    }
}

impl Serials {
    /// The next.
    pub fn give(&mut self) -> Serial {
        self.0 += 1;
        Serial(self.0)
    }
}

impl Mail {
    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.dirty.is_empty() && self.outcomes.is_empty() && self.fenced.is_empty()
    }
}

impl Wakes {
    /// Notes a shard.
    pub fn note(&mut self, shard: usize) {
        if shard < 64 {
            self.low |= 1 << shard;
        } else {
            self.high.push(shard);
        }
    }

    /// Notes all that another has noted.
    pub fn add(&mut self, other: Self) {
        self.low |= other.low;
        self.high.extend(other.high);
    }

    /// Wakes those noted. To be called without any lock.
    pub fn wake(self, inboxes: &[Arc<Inbox>]) {
        let mut low = self.low;
        while low > 0 {
            wake(inboxes, low.trailing_zeros() as usize);
            low &= low - 1;
        }
        for shard in self.high {
            wake(inboxes, shard);
        }
    }
}

impl Inbox {
    /// An empty inbox; `waker` is called when its shard may be asleep and has mail.
    #[must_use]
    pub fn new(waker: Box<dyn Fn() + Send + Sync>) -> Self {
        Self { mail: Mutex::new(Mail::default()), signalled: AtomicBool::new(false), waker }
    }

    /// Leaves a tail to look at. `true` if the shard has to be woken, once no lock is held any more.
    #[must_use]
    pub fn leave_tail(&self, tail: TailNumber) -> bool {
        lock(&self.mail).dirty.push(tail);
        self.signal()
    }

    /// Leaves outcomes. `true` if the shard has to be woken, once no lock is held any more.
    #[must_use]
    pub fn leave_outcomes(&self, outcomes: &mut Vec<Outcome>) -> bool {
        lock(&self.mail).outcomes.append(outcomes);
        self.signal()
    }

    /// Leaves a connection's slot with a participant that is fenced. `true` if the shard has to be woken, once no lock is held
    /// any more.
    #[must_use]
    pub fn leave_fenced(&self, slot: u32) -> bool {
        lock(&self.mail).fenced.insert(slot);
        self.signal()
    }

    /// Has the shard look though nothing is in the box: what it is to have waits elsewhere. `true` if it has to be woken.
    #[must_use]
    pub fn nudge(&self) -> bool {
        self.signal()
    }

    /// Wakes the shard.
    pub fn wake(&self) {
        (self.waker)();
    }

    /// Takes all of each kind of which the `mail` that is given has none. Mail left from here on wakes the shard again, and
    /// what stays is still mail.
    pub fn take(&self, mail: &mut Mail) {
        self.signalled.swap(false, Ordering::AcqRel);
        let mut left = lock(&self.mail);
        take_kind(&mut left.dirty, &mut mail.dirty, Vec::is_empty);
        take_kind(&mut left.outcomes, &mut mail.outcomes, Vec::is_empty);
        take_kind(&mut left.fenced, &mut mail.fenced, BTreeSet::is_empty);
        if !left.is_empty() {
            self.signalled.store(true, Ordering::Release);
        }
    }

    /// Whether there is mail.
    #[must_use]
    pub fn has_mail(&self) -> bool {
        self.signalled.load(Ordering::Acquire)
    }

    /// A shard is woken once until it has looked.
    fn signal(&self) -> bool {
        !self.signalled.swap(true, Ordering::AcqRel)
    }
}

impl fmt::Debug for Inbox {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbox").field("mail", &self.mail).finish_non_exhaustive()
    }
}

fn take_kind<T>(left: &mut T, taken: &mut T, is_empty: fn(&T) -> bool) {
    if is_empty(taken) {
        std::mem::swap(left, taken);
    }
}

fn wake(inboxes: &[Arc<Inbox>], shard: usize) {
    if let Some(inbox) = inboxes.get(shard) {
        inbox.wake();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[test]
    fn what_is_left_of_one_kind_waits_for_no_other() {
        let (inbox, mut mail) = (Inbox::new(Box::new(|| ())), Mail::default());
        assert!(inbox.leave_tail(TailNumber(1)));
        inbox.take(&mut mail);
        assert!(inbox.leave_tail(TailNumber(2)));
        for _ in 0..10_000 {
            let _ = inbox.leave_fenced(7);
        }
        inbox.take(&mut mail);
        assert_eq!((&mail.dirty[..], mail.fenced.len()), (&[TailNumber(1)][..], 1));
        assert!(inbox.has_mail(), "what stays is still there to be taken");
        mail.dirty.clear();
        inbox.take(&mut mail);
        assert_eq!((&mail.dirty[..], inbox.has_mail()), (&[TailNumber(2)][..], false));
    }

    #[test]
    fn each_shard_that_was_noted_is_woken_once_and_no_other() {
        let woken: Vec<_> = (0..130).map(|_| Arc::new(AtomicUsize::new(0))).collect();
        let inbox = |count: &Arc<AtomicUsize>| {
            let count = Arc::clone(count);
            Arc::new(Inbox::new(Box::new(move || {
                count.fetch_add(1, Ordering::Relaxed);
            })))
        };
        let inboxes: Vec<_> = woken.iter().map(inbox).collect();
        let mut wakes = Wakes::default();
        for shard in [0, 63, 64, 129] {
            for _ in 0..3 {
                if inboxes[shard].leave_tail(TailNumber(1)) {
                    wakes.note(shard);
                }
            }
        }
        assert!(
            woken.iter().all(|count| count.load(Ordering::Relaxed) == 0),
            "woken while a lock may be held"
        );
        wakes.wake(&inboxes);
        for (shard, count) in woken.iter().enumerate() {
            let expected = usize::from([0, 63, 64, 129].contains(&shard));
            assert_eq!(count.load(Ordering::Relaxed), expected, "shard {shard}");
        }
    }
}
