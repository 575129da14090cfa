//! One TCP connection that speaks HTTP, as its requests know it: how fast it publishes, and how long it may go on.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidewire_hub_core::ledger::{Account, AccountKey, Ledger};
use tidewire_hub_core::pace::Pace;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use crate::seats::Seat;

/// What the requests of a connection share.
#[derive(Debug)]
pub struct Line {
    /// How fast it publishes.
    pub pace: Pace,
    /// The request under way is over by then.
    deadline: Deadline,
    /// Whether there was a request.
    has_asked: AtomicBool,
    /// Answers that go on for as long as they like.
    busy: AtomicUsize,
    /// Who was charged for its last request.
    account: Mutex<Option<Arc<Account>>>,
    place: Mutex<Place>,
}

/// What a connection holds while it is there.
#[derive(Debug)]
enum Place {
    /// As whoever has just come: few have room for that, and none stays.
    AtTheDoor { _place: OwnedSemaphorePermit, _seat: Seat },
    /// As one that stays.
    Inside { seat: Seat },
    /// As somebody who has it no more: it goes with the connection.
    Left,
}

impl Line {
    /// A connection whose first request may take so long, with what it holds meanwhile.
    pub fn new(patience: Duration, place: OwnedSemaphorePermit, seat: Seat) -> Self {
        let place = Mutex::new(Place::AtTheDoor { _place: place, _seat: seat });
        Self {
            pace: Pace::default(),
            deadline: Deadline::new(patience),
            has_asked: AtomicBool::new(false),
            busy: AtomicUsize::new(0),
            account: Mutex::default(),
            place,
        }
    }

    /// Whether it has a seat as one that stays.
    pub fn is_inside(&self) -> bool {
        matches!(*self.place.lock().unwrap_or_else(PoisonError::into_inner), Place::Inside { .. })
    }

    /// It stays, and leaves its place at the door to others.
    pub fn come_inside(&self, seat: Seat) {
        *self.place.lock().unwrap_or_else(PoisonError::into_inner) = Place::Inside { seat };
    }

    /// The account of whoever asks on it: behind a proxy each request may be somebody else's.
    pub fn account(&self, ledger: &Arc<Ledger>, key: AccountKey) -> Arc<Account> {
        let mut last = self.account.lock().unwrap_or_else(PoisonError::into_inner);
        if last.as_ref().is_none_or(|account| account.key() != key) {
            *last = None;
        }
        Arc::clone(last.get_or_insert_with(|| ledger.account(key)))
    }

    /// It leaves HTTP: gives its seat, if it has one as somebody who stays and that is this account's. That of a proxy stays with
    /// the connection.
    pub fn leave(&self, account: AccountKey) -> Option<Seat> {
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *place, Place::Left) {
            Place::Inside { seat } if seat.account() == account => Some(seat),
            other => {
                *place = other;
                None
            }
        }
    }

    /// Whether there was a request.
    pub fn has_asked(&self) -> bool {
        self.has_asked.load(Ordering::Relaxed)
    }

    /// A request has come.
    pub fn asks(&self) {
        self.has_asked.store(true, Ordering::Relaxed);
        self.give(Duration::ZERO);
    }

    /// From now on a request may take as long as any, and so much more.
    pub fn give(&self, more: Duration) {
        self.deadline.give(more);
    }

    /// An answer goes on for as long as this is kept, and so does the connection.
    pub fn keep_busy(self: &Arc<Self>) -> Busy {
        self.busy.fetch_add(1, Ordering::Relaxed);
        Busy(Arc::clone(self))
    }

    /// Ends with `work`, or when the time is over that was given to it, unless an answer goes on.
    pub async fn hold_to(&self, work: impl Future<Output = ()>) {
        let mut work = std::pin::pin!(work);
        while self.deadline.hold_to(&mut work).await.is_none() && self.busy.load(Ordering::Relaxed) > 0 {
            self.give(Duration::ZERO);
        }
    }
}

/// When something is over, unless it is given more time.
#[derive(Debug)]
pub struct Deadline {
    /// What anything may take.
    patience: Duration,
    until: Mutex<Instant>,
}

impl Deadline {
    /// From now on.
    pub fn new(patience: Duration) -> Self {
        Self { patience, until: Mutex::new(Instant::now() + patience) }
    }

    /// From now on it may take as long as anything, and so much more.
    pub fn give(&self, more: Duration) {
        let mut until = self.until.lock().unwrap_or_else(PoisonError::into_inner);
        *until = (*until).max(Instant::now() + self.patience + more);
    }

    /// What comes of `work`, unless the time is over that was given to it.
    pub async fn hold_to<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut work = std::pin::pin!(work);
        loop {
            let until = *self.until.lock().unwrap_or_else(PoisonError::into_inner);
            if let Ok(done) = tokio::time::timeout_at(until, &mut work).await {
                return Some(done);
            }
            if *self.until.lock().unwrap_or_else(PoisonError::into_inner) <= until {
                return None;
            }
        }
    }
}

/// Kept by an answer that goes on.
#[derive(Debug)]
pub struct Busy(Arc<Line>);

impl Drop for Busy {
    fn drop(&mut self) {
        // The next request has as long to come as behind any answer.
        self.0.give(Duration::ZERO);
        self.0.busy.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::seats::Seats;
    use tokio::sync::Semaphore;

    #[tokio::test(start_paused = true)]
    async fn it_goes_on_as_long_as_it_is_given_time() {
        let place = Arc::new(Semaphore::new(1)).acquire_owned().await.unwrap();
        let seat = Seats::new(1, 1).take("10.0.0.1".parse().unwrap()).unwrap();
        let (line, began) = (Line::new(Duration::from_secs(10), place, seat), Instant::now());
        let work = async {
            tokio::time::sleep(Duration::from_secs(5)).await;
            line.give(Duration::from_secs(20));
            line.give(Duration::ZERO);
            std::future::pending().await
        };
        line.hold_to(work).await;
        assert_eq!(began.elapsed(), Duration::from_secs(35));
    }
}
