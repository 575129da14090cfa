//! A publish on its way, and what becomes of it.

use std::cell::RefCell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

use tidewire_client_core::fault::Fault;
use tidewire_client_core::outcome::{Published, Unpublished};
use tidewire_protocol::attributes::BadAttribute;
use tidewire_protocol::code::Code;
use tidewire_protocol::position::Position;

/// Why a message was not published.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The data cannot be written as JSON.
    #[error("the data cannot be written as JSON: {0}")]
    NoJson(#[from] serde_json::Error),
    /// The JavaScript value holds something that JSON cannot.
    #[error("the value cannot be written as JSON: {0}")]
    NoJsonValue(#[from] serde_wasm_bindgen::Error),
    /// Too much waits for its outcome already.
    #[error("the outbox is full")]
    OutboxFull,
    /// It has more bytes than the outbox may hold in all.
    #[error("the message is larger than the outbox")]
    LargerThanOutbox,
    /// The client was closed before the hub had the message, or ended for a reason that its status tells.
    #[error("the client is closed")]
    Closed,
    /// Its time to live was over before the hub had it.
    #[error("the message's time to live was over before the hub had it")]
    Expired,
    /// It has a key or headers that no message may have.
    #[error("{0}")]
    BadMessage(BadAttribute),
    /// The latest message of its key is not the one that its condition names.
    #[error("the condition does not hold: the latest message of this key is another, or there is none")]
    ConditionFailed {
        /// Where that is; none if the key has no value.
        current: Option<Position>,
    },
    /// The message cannot be published like this.
    #[error("{}", .0.sentence())]
    Refused(Code),
}

impl From<Fault> for PublishError {
    fn from(fault: Fault) -> Self {
        Unpublished::of(fault, None).into()
    }
}

impl From<Unpublished> for PublishError {
    fn from(unpublished: Unpublished) -> Self {
        match unpublished {
            Unpublished::OutboxFull => Self::OutboxFull,
            Unpublished::LargerThanOutbox => Self::LargerThanOutbox,
            // This face withdraws nothing.
            Unpublished::Closed | Unpublished::Cancelled => Self::Closed,
            Unpublished::Expired => Self::Expired,
            Unpublished::ConditionFailed { current } => Self::ConditionFailed { current },
            Unpublished::Refused(code) => Self::Refused(code),
        }
    }
}

/// What becomes of a publish.
pub(crate) type Outcome = Result<Published, PublishError>;

/// The outcome of a publish, online now or whenever the hub is back. Dropping it does not stop the message.
#[derive(Debug)]
#[must_use = "the message is on its way, and only this tells whether it arrives"]
pub struct Publishing(Rc<RefCell<Slot>>);

/// The end that gives the outcome. Dropped without one, the client has ended.
#[derive(Debug)]
pub(crate) struct Promise(Rc<RefCell<Slot>>);

#[derive(Debug)]
enum Slot {
    Waiting(Option<Waker>),
    Told(Outcome),
    Taken,
}

impl Publishing {
    /// One that the promise will answer.
    pub(crate) fn pending() -> (Promise, Self) {
        let slot = Rc::new(RefCell::new(Slot::Waiting(None)));
        (Promise(Rc::clone(&slot)), Self(slot))
    }

    /// One that came to nothing.
    pub(crate) fn failed(error: PublishError) -> Self {
        Self(Rc::new(RefCell::new(Slot::Told(Err(error)))))
    }
}

impl Future for Publishing {
    type Output = Outcome;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Outcome> {
        let mut slot = self.0.borrow_mut();
        match std::mem::replace(&mut *slot, Slot::Taken) {
            Slot::Waiting(_) => {
                *slot = Slot::Waiting(Some(context.waker().clone()));
                Poll::Pending
            }
            Slot::Told(outcome) => Poll::Ready(outcome),
            // A future is not polled again once it is ready; who does it waits for ever.
            Slot::Taken => Poll::Pending,
        }
    }
}

impl Promise {
    /// Gives the outcome.
    pub(crate) fn settle(self, outcome: Outcome) {
        self.tell(outcome);
    }

    /// The first outcome counts. The waker is called last: it may poll at once.
    fn tell(&self, outcome: Outcome) {
        let mut slot = self.0.borrow_mut();
        let Slot::Waiting(waker) = &mut *slot else { return };
        let waker = waker.take();
        *slot = Slot::Told(outcome);
        drop(slot);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        self.tell(Err(PublishError::Closed));
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::{PublishError, Publishing};
    use std::pin::Pin;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};
    use std::task::{Context, Poll, Wake};

    #[derive(Default)]
    struct Counter(AtomicU32);

    impl Wake for Counter {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }

    #[test]
    fn an_outcome_wakes_whoever_waits_for_it() {
        let woken = Arc::new(Counter::default());
        let waker = Arc::clone(&woken).into();
        let mut context = Context::from_waker(&waker);
        let (promise, mut publishing) = Publishing::pending();
        assert!(Pin::new(&mut publishing).poll(&mut context).is_pending());
        promise.settle(Err(PublishError::OutboxFull));
        assert_eq!(woken.0.load(Ordering::Relaxed), 1);
        let Poll::Ready(outcome) = Pin::new(&mut publishing).poll(&mut context) else { unreachable!() };
        assert!(matches!(outcome.unwrap_err(), PublishError::OutboxFull));
    }

    #[test]
    fn a_client_that_ends_says_so() {
        let waker = Arc::new(Counter::default()).into();
        let (promise, mut publishing) = Publishing::pending();
        drop(promise);
        let polled = Pin::new(&mut publishing).poll(&mut Context::from_waker(&waker));
        assert!(matches!(polled, Poll::Ready(Err(PublishError::Closed))));
    }
}
