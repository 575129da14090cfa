//! Who has received what: every delivery is counted, checked for order and holes, and timed.

use crate::histogram::Histogram;
use crate::stamp;

/// The deliveries of one load, over all its subscribers.
#[derive(Debug)]
pub struct Ledger {
    /// Next number by subscriber and publisher; subscriber-major, so that one delivery touches one place.
    expected: Vec<u32>,
    publishers: usize,
    /// What has arrived.
    pub count: Count,
    /// Time from when a message should have been sent to when it was read.
    pub latency: Histogram,
    /// Subscribers whose number is divisible by this one are timed; 0 for none.
    pub time_every: usize,
    /// The first so many subscribers read slowly or not at all: they are not timed.
    pub held_back: usize,
    /// The generator's clock when the bytes at hand were read.
    pub now_ns: u64,
}

/// What has arrived so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Messages, each counted once per subscriber.
    pub deliveries: u64,
    /// Those of them to subscribers that are held back.
    pub held_back: u64,
    /// Bytes read by subscribers, headers and all.
    pub wire_bytes: u64,
    /// Messages that a later one overtook: lost, unless a bug has them come after all.
    pub lost: u64,
    /// Messages that came again, or after a later one.
    pub repeated: u64,
    /// Times that a server said itself that something is missing.
    pub gaps: u64,
}

impl Ledger {
    /// A ledger in which nothing has arrived.
    #[must_use]
    pub fn new(subscribers: usize, publishers: usize) -> Self {
        Self {
            expected: vec![0; subscribers * publishers],
            publishers,
            count: Count::default(),
            latency: Histogram::default(),
            time_every: 0,
            held_back: 0,
            now_ns: 0,
        }
    }

    /// Books one payload that a subscriber received.
    #[inline]
    pub fn deliver(&mut self, subscriber: usize, payload: &[u8]) {
        let Some((publisher, seq)) = stamp::publisher_and_seq(payload) else { return };
        let Some(expected) = self.expected.get_mut(subscriber * self.publishers + publisher as usize) else {
            return;
        };
        if seq < *expected {
            self.count.repeated += 1;
            return;
        }
        self.count.lost += u64::from(seq - *expected);
        *expected = seq + 1;
        self.count.deliveries += 1;
        if subscriber < self.held_back {
            self.count.held_back += 1;
            return;
        }
        if self.time_every != 0
            && subscriber.is_multiple_of(self.time_every)
            && let Some(due_ns) = stamp::due_ns(payload)
        {
            self.latency.record(self.now_ns.saturating_sub(due_ns));
        }
    }

    /// How many of a publisher's messages a subscriber has received or seen overtaken.
    #[must_use]
    pub fn seen(&self, subscriber: usize, publisher: usize) -> u32 {
        self.expected[subscriber * self.publishers + publisher]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stamp::Stamp;

    fn payload(publisher: u32, seq: u32) -> Vec<u8> {
        let mut payload = vec![b'.'; 64];
        Stamp { topic: 0, publisher, seq, due_ns: 100 }.write(&mut payload);
        payload
    }

    #[track_caller]
    fn check(seqs: &[u32], deliveries: u64, lost: u64, repeated: u64) {
        let mut ledger = Ledger::new(2, 2);
        for &seq in seqs {
            ledger.deliver(1, &payload(1, seq));
        }
        let count = ledger.count;
        assert_eq!((count.deliveries, count.lost, count.repeated), (deliveries, lost, repeated));
    }

    #[test]
    fn holes_and_repeats_are_seen() {
        check(&[0, 1, 2], 3, 0, 0);
        check(&[0, 3], 2, 2, 0);
        check(&[0, 0, 1], 2, 0, 1);
        check(&[1, 0], 1, 1, 1);
    }

    #[test]
    fn who_is_held_back_is_checked_but_not_timed() {
        let mut ledger = Ledger::new(2, 1);
        (ledger.time_every, ledger.held_back, ledger.now_ns) = (1, 1, 350);
        for (subscriber, seq) in [(0, 0), (1, 0), (0, 2)] {
            ledger.deliver(subscriber, &payload(0, seq));
        }
        assert_eq!((ledger.count.deliveries, ledger.count.held_back, ledger.count.lost), (3, 2, 1));
        assert_eq!(ledger.latency.total(), 1);
    }

    #[test]
    fn only_every_nth_subscriber_is_timed() {
        let mut ledger = Ledger::new(4, 1);
        (ledger.time_every, ledger.now_ns) = (2, 350);
        for subscriber in 0..4 {
            ledger.deliver(subscriber, &payload(0, 0));
        }
        assert_eq!((ledger.latency.total(), ledger.latency.max()), (2, 250));
        assert_eq!(ledger.seen(3, 0), 1);
    }
}
