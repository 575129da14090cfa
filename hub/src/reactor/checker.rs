//! Tokens are checked on a thread of its own, by the keys that the hub has now. The thread is there from the first key on.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tidewire_hub_core::access::caller::Pass;
use tidewire_hub_core::credentials::BadToken;
use tidewire_hub_core::topics::Topics;
use tracing::debug;

use crate::reactor::clock::Clock;
use crate::reactor::lend;
use crate::tokens::Keyring;
use crate::tokens::held::{Held, KeyChange};

/// The keys, and the thread.
#[derive(Debug)]
pub(super) struct Checker {
    topics: Arc<Topics>,
    clock: Clock,
    keys: Arc<Held>,
    /// Whether the thread was started.
    is_lent: Mutex<bool>,
}

impl Checker {
    /// No keys, and no thread.
    pub(super) fn new(topics: Arc<Topics>, clock: Clock) -> Self {
        Self { topics, clock, keys: Arc::default(), is_lent: Mutex::default() }
    }

    /// How long tokens may last.
    pub(super) fn seconds_max(&self) -> Option<u64> {
        self.keys.now().seconds_max
    }

    /// From now on these are the keys. Once there was one tokens are taken for good, so that nobody who brings one is taken
    /// for anonymous.
    ///
    /// # Errors
    /// What the system says when it has no thread for that.
    pub(super) fn change(&self, keys: Keyring) -> io::Result<KeyChange> {
        let mut is_lent = self.is_lent.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !*is_lent && !keys.is_empty();
        let changed = self.keys.change(keys, |numbers| self.topics.keep_keys(numbers));
        if begins {
            // Up to a quarter of a millisecond each: no shard waits for that.
            let (checks, keys, clock) = (Arc::clone(&self.topics), Arc::clone(&self.keys), self.clock);
            let check = move || {
                checks.credentials().turn(|token| told(keys.now().admit(token.reveal(), clock.now())))
            };
            lend("checker", |waker| self.topics.credentials().on_work(waker), check)?;
            *is_lent = true;
        }
        Ok(changed)
    }
}

fn told(verdict: Result<Pass, BadToken>) -> Result<Pass, BadToken> {
    match &verdict {
        Ok(_) => debug!(target: "tokens", "a token is sound"),
        Err(bad) => debug!(target: "tokens", "a token fails the check `{}`", bad.check()),
    }
    verdict
}
