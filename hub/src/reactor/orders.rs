//! What a thread is told by others, and what wakes it: once until it looks, since waking costs a system call.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};

use mio::Waker;

use crate::reactor::Order;

/// The end that tells.
#[derive(Debug)]
pub(super) struct Giver {
    orders: mpsc::Sender<Order>,
    waker: Arc<Waker>,
    signalled: Arc<AtomicBool>,
}

/// The end that is told.
#[derive(Debug)]
pub(super) struct Taker {
    orders: mpsc::Receiver<Order>,
    signalled: Arc<AtomicBool>,
}

/// Both ends, for the thread that this wakes.
pub(super) fn orders(waker: Arc<Waker>) -> (Giver, Taker) {
    let (sender, receiver) = mpsc::channel();
    let signalled = Arc::new(AtomicBool::new(false));
    let taker = Taker { orders: receiver, signalled: Arc::clone(&signalled) };
    (Giver { orders: sender, waker, signalled }, taker)
}

impl Giver {
    /// Leaves an order. It cannot be lost: a thread that ends takes the process with it.
    pub(super) fn tell(&self, order: Order) -> io::Result<()> {
        let _ = self.orders.send(order);
        if self.signalled.swap(true, Ordering::AcqRel) { Ok(()) } else { self.waker.wake() }
    }
}

impl Taker {
    /// What was left so far will be looked at: whoever leaves more wakes the thread again.
    pub(super) fn look(&self) {
        self.signalled.swap(false, Ordering::AcqRel);
    }

    /// The next order.
    pub(super) fn next(&self) -> Option<Order> {
        self.orders.try_recv().ok()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll, Token};

    use super::*;

    /// Whether the thread that waits here is woken now.
    fn is_woken(poll: &mut Poll) -> io::Result<bool> {
        let mut events = Events::with_capacity(8);
        poll.poll(&mut events, Some(Duration::ZERO))?;
        Ok(!events.is_empty())
    }

    #[test]
    fn wakes_once_until_somebody_looks_and_loses_nothing() -> io::Result<()> {
        let mut poll = Poll::new()?;
        let (giver, taker) = orders(Arc::new(Waker::new(poll.registry(), Token(0))?));
        let count = || std::iter::from_fn(|| taker.next()).count();
        for _ in 0..2 {
            giver.tell(Order::Drain { spread_ms: 1 })?;
            assert!(is_woken(&mut poll)?);
            giver.tell(Order::Drain { spread_ms: 2 })?;
            assert!(!is_woken(&mut poll)?);
            taker.look();
            assert_eq!(count(), 2);
        }
        taker.look();
        giver.tell(Order::Drain { spread_ms: 3 })?;
        assert!(is_woken(&mut poll)?);
        assert_eq!(count(), 1);
        Ok(())
    }
}
