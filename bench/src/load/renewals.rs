//! Subscribers that bring their next token before that ends which they have signed in with, when our clients do.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::dialect::Term;
use crate::load::Load;
use crate::load::random::Random;

/// The tokens that are still to be brought.
#[derive(Debug, Default)]
pub(super) struct Renewals {
    /// The first one last.
    due: Vec<Renewal>,
}

#[derive(Debug)]
struct Renewal {
    at_ns: u64,
    subscriber: usize,
    token: Box<str>,
}

/// When subscribers bring their next tokens, from now on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Renewing {
    /// Until the first does.
    pub begins: Duration,
    /// Until every one has to have done so.
    pub ends: Duration,
}

impl Load {
    /// Makes each subscriber's next token, to be brought by itself when our client would. From here on a subscriber
    /// that is cut off, or told anything out of turn, is lost, and the others go on.
    ///
    /// # Errors
    /// If somebody has not signed in with a token that ends, or no next one can be made.
    pub fn begin_renewals(&mut self) -> Result<Renewing> {
        let signer = self.target.signer.as_ref().context("this server takes no tokens")?;
        let (mut random, mut due, mut ends_ns) = (Random::new(), Vec::new(), 0);
        for (subscriber, term) in self.crowd.terms().enumerate() {
            let term = term.context("a subscriber's token does not end")?;
            let token = signer.token(subscriber, LATER_SECONDS)?;
            due.push(Renewal { at_ns: due_ns(term, random.share()), subscriber, token });
            ends_ns = ends_ns.max(term.since_ns + term.ms * NS_PER_MS);
        }
        self.renewals = Renewals::of(due);
        self.crowd.bears_losses = true;
        let (begins_ns, now_ns) = (self.renewals.next_ns(), self.now_ns());
        ensure!(begins_ns > now_ns, "the first tokens were due before the last subscriber was there");
        let from_now = |at_ns: u64| Duration::from_nanos(at_ns - now_ns);
        Ok(Renewing { begins: from_now(begins_ns), ends: from_now(ends_ns) })
    }

    /// Subscribers whose next token the server has taken.
    #[must_use]
    pub fn renewed(&self) -> usize {
        self.crowd.renewed()
    }

    /// Why the first subscriber was lost that was.
    #[must_use]
    pub fn first_loss(&self) -> Option<String> {
        self.crowd.first_loss.as_ref().map(|error| format!("{error:#}"))
    }

    /// Has those tokens brought that are due; returns when to come again.
    pub(super) fn renew(&mut self, now_ns: u64) -> u64 {
        while let Some(renewal) = self.renewals.take(now_ns) {
            self.crowd.sign_in(renewal.subscriber, &renewal.token);
        }
        self.renewals.next_ns()
    }
}

impl Renewals {
    fn of(mut due: Vec<Renewal>) -> Self {
        due.sort_by_key(|renewal| std::cmp::Reverse(renewal.at_ns));
        Self { due }
    }

    fn take(&mut self, now_ns: u64) -> Option<Renewal> {
        self.due.pop_if(|renewal| renewal.at_ns <= now_ns)
    }

    fn next_ns(&self) -> u64 {
        self.due.last().map_or(u64::MAX, |renewal| renewal.at_ns)
    }
}

/// Within the eighth behind three quarters of a term, as `client-core` does; `share` says where.
fn due_ns(term: Term, share: f64) -> u64 {
    let ns = term.ms * NS_PER_MS;
    term.since_ns + ns / 4 * 3 + (ns as f64 / 8.0 * share) as u64
}

const NS_PER_MS: u64 = 1_000_000;
/// Longer than any run.
const LATER_SECONDS: u64 = 3_600;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_brought_in_the_eighth_behind_three_quarters() {
        let term = Term { since_ns: 5, ms: 8_000 };
        assert_eq!(
            [0.0, 0.5, 1.0].map(|share| due_ns(term, share)),
            [6_000_000_005, 6_500_000_005, 7_000_000_005]
        );
    }

    #[test]
    fn they_are_brought_in_turn_and_once() {
        let due = [30, 10, 20].into_iter().zip(0..);
        let due = due.map(|(at_ns, subscriber)| Renewal { at_ns, subscriber, token: "token".into() });
        let mut renewals = Renewals::of(due.collect());
        assert_eq!((renewals.next_ns(), renewals.take(9).is_none()), (10, true));
        let taken: Vec<_> = std::iter::from_fn(|| renewals.take(20)).map(|taken| taken.subscriber).collect();
        assert_eq!((taken, renewals.next_ns()), (vec![1, 2], 30));
        assert!(renewals.take(30).is_some());
        assert_eq!(renewals.next_ns(), u64::MAX);
    }
}
