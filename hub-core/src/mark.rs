//! Which shards have cursors on a tail, and which of them have yet to look at it again.

use std::sync::OnceLock;

use crate::sync::{AtomicBool, AtomicU32, Ordering};

/// One tail's marks, one for each shard once the first cursor is here: most topics that are known have none.
///
/// A publisher appends, then [`Marks::raise`]s; a shard [`Mark::take`]s, then looks. Taking swaps: a plain
/// store could be ordered after the look and wipe out a mark raised in between (`loom` finds that).
#[derive(Debug, Default)]
pub struct Marks(OnceLock<Box<[Mark]>>);

/// What one shard has to do with one tail.
#[derive(Debug, Default)]
pub struct Mark {
    cursors: AtomicU32,
    dirty: AtomicBool,
}

impl Marks {
    /// One more cursor in one of `shards` shards. Must happen under the tail's lock, together with deciding where
    /// the cursor stands.
    pub fn join(&self, shard: usize, shards: usize) {
        let marks = self.0.get_or_init(|| (0..shards).map(|_| Mark::default()).collect());
        marks[shard].cursors.fetch_add(1, Ordering::AcqRel);
    }

    /// The mark of a shard that has joined.
    ///
    /// # Panics
    /// If no shard ever has.
    #[must_use]
    pub fn of(&self, shard: usize) -> &Mark {
        &self.0.get().expect("a shard joins a tail before it asks for its mark")[shard]
    }

    /// Marks the tail for each shard that has cursors on it, and calls `wake` for those not marked yet. Must happen
    /// under the tail's lock.
    pub fn raise(&self, mut wake: impl FnMut(usize)) {
        for (shard, mark) in self.all().iter().enumerate() {
            if mark.cursors.load(Ordering::Acquire) > 0 && !mark.dirty.swap(true, Ordering::AcqRel) {
                wake(shard);
            }
        }
    }

    /// Whether any shard has a cursor here.
    #[must_use]
    pub fn watched(&self) -> bool {
        self.all().iter().any(|mark| mark.cursors.load(Ordering::Acquire) > 0)
    }

    fn all(&self) -> &[Mark] {
        self.0.get().map_or(&[], |marks| marks)
    }
}

impl Mark {
    /// One cursor fewer.
    pub fn leave(&self) {
        self.cursors.fetch_sub(1, Ordering::AcqRel);
    }

    /// Takes the mark; what was appended before it was raised is visible to a look that follows.
    pub fn take(&self) {
        self.dirty.swap(false, Ordering::AcqRel);
    }
}

/// Every interleaving of publishers and a shard, explored by `loom`.
#[cfg(all(test, loom))]
mod loom {
    use std::sync::Arc;

    use ::loom::sync::Notify;
    use ::loom::thread;
    use tidewire_protocol::block::Head;
    use tidewire_protocol::name::TopicName;
    use tidewire_protocol::number::{Epoch, Offset, TailNumber};

    use crate::block::Entry;
    use crate::clock::{Millis, NEVER};
    use crate::ledger::Ledger;
    use crate::letter::{Inbox, Mail};
    use crate::tail::{Keep, Source, Tail, Terms};

    const LAST: Offset = Offset(2);

    /// What a shard does with a tail that was left for it.
    #[derive(Clone, Copy)]
    enum Order {
        TakeThenLook,
        LookThenTake,
    }

    /// One publisher and one shard; the shard sleeps until it is woken and stops when it has seen everything.
    /// A lost wake-up is a deadlock, which loom reports.
    fn check(order: Order) {
        ::loom::model(move || {
            let notify = Arc::new(Notify::new());
            let waker = Arc::clone(&notify);
            let inbox = Arc::new(Inbox::new(Box::new(move || waker.notify())));
            let keep = Keep {
                count: 9,
                bytes: 9_999,
                age_ms: 9,
                readable: true,
                block_bytes: 99,
                removals_ms: None,
                is_stored: false,
            };
            let (epoch, calendar) = (Epoch(1), Arc::default());
            let terms = Arc::new(Terms { keep, shards: 1, heavy_bytes: 9_999, epoch, calendar });
            let source = Source::Topic(TopicName::parse("t").unwrap());
            let tail = Arc::new(Tail::new(TailNumber(1), 0, source, &terms, Offset(0)));
            tail.join(Millis(0), 0);

            let publisher = {
                let (tail, inbox) = (Arc::clone(&tail), Arc::clone(&inbox));
                let nobody = Arc::new(Ledger::default()).nobody();
                thread::spawn(move || {
                    for offset in 1..=LAST.0 {
                        let head = Head::default();
                        let offset = Offset(offset);
                        let entry = Entry { offset, head, stale_at: NEVER, topic: None, payload: b"x" };
                        let mut wake = false;
                        let _ = tail
                            .append(Millis(0), &entry, &nobody, |_| wake |= inbox.leave_tail(tail.number));
                        if wake {
                            inbox.wake();
                        }
                    }
                })
            };
            let mut seen = Offset(0);
            while seen < LAST {
                notify.wait();
                let mut mail = Mail::default();
                inbox.take(&mut mail);
                for _ in mail.dirty {
                    let mut blocks = Vec::new();
                    match order {
                        Order::TakeThenLook => {
                            tail.marks.of(0).take();
                            seen = tail.take_after(seen, &mut blocks);
                        }
                        Order::LookThenTake => {
                            seen = tail.take_after(seen, &mut blocks);
                            tail.marks.of(0).take();
                        }
                    }
                }
            }
            publisher.join().unwrap();
        });
    }

    #[test]
    fn loom_no_wake_up_is_lost() {
        check(Order::TakeThenLook);
    }

    /// The model must be able to see the fault that it is there to exclude.
    #[test]
    #[should_panic(expected = "deadlock")]
    fn loom_finds_a_mark_cleared_after_the_look() {
        check(Order::LookThenTake);
    }
}
