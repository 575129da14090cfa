//! Tokens are checked on a thread of its own, by the keys that the hub has now. The thread is there from the first key on.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tidewire_hub_core::credentials::{BadToken, Verdict};
use tidewire_hub_core::topics::Topics;
use tracing::debug;

use crate::reactor::clock::Clock;
use crate::reactor::lend;
use crate::reactor::sources::{Sources, Wish};
use crate::tokens::Keyring;
use crate::tokens::held::{Held, KeyChange};

/// The keys, and the thread.
#[derive(Debug)]
pub(super) struct Checker {
    topics: Arc<Topics>,
    clock: Clock,
    keys: Arc<Held>,
    sources: Arc<Sources>,
    /// Whether the thread was started.
    is_lent: Mutex<bool>,
}

impl Checker {
    /// No keys, and no thread.
    pub(super) fn new(topics: Arc<Topics>, clock: Clock) -> Self {
        let keys = Arc::<Held>::default();
        let sources = Arc::new(Sources::new(Arc::clone(&topics), Arc::clone(&keys)));
        Self { topics, clock, keys, sources, is_lent: Mutex::default() }
    }

    /// How long tokens may last.
    pub(super) fn seconds_max(&self) -> Option<u64> {
        self.keys.now().seconds_max
    }

    /// From now on these are the keys. Once there was one tokens are taken for good, so that nobody who brings one is taken
    /// for anonymous. Within a tokio runtime.
    ///
    /// # Errors
    /// What the system says when it has no thread for that.
    pub(super) fn change(&self, keys: Keyring) -> io::Result<KeyChange> {
        let mut is_lent = self.is_lent.lock().unwrap_or_else(PoisonError::into_inner);
        let begins = !*is_lent && !keys.is_empty();
        let sources = keys.sources.clone();
        // First, since it may fail: then nothing has changed.
        if begins {
            // Up to a quarter of a millisecond each: no shard waits for that.
            let (topics, held) = (Arc::clone(&self.topics), Arc::clone(&self.keys));
            let (sources, clock) = (Arc::clone(&self.sources), self.clock);
            let check = move || check_one(&topics, &held, &sources, clock);
            lend("checker", |waker| self.topics.credentials().on_work(waker), check)?;
            *is_lent = true;
        }
        let changed = self.keys.change(keys, |numbers| self.topics.keep_keys(numbers));
        self.sources.change(&sources);
        Ok(changed)
    }
}

/// Checks a token, or lets it wait while its key is fetched; whether there was one.
fn check_one(topics: &Topics, keys: &Held, sources: &Sources, clock: Clock) -> bool {
    let rounds = sources.rounds();
    let look = |token: &str, has_waited: bool| match keys.now().admit(token, clock.now()) {
        Err(BadToken::UnknownKey) => match sources.wish() {
            // Each fetch has its deadline, and the next is seconds away.
            Wish::Wait => Verdict::Wait,
            // It came a moment ago.
            Wish::Fresh | Wish::Down if sources.rounds() != rounds && !has_waited => Verdict::Wait,
            Wish::Fresh => Verdict::Checked(Err(BadToken::UnknownKey)),
            Wish::Down => Verdict::NotNow,
        },
        checked => Verdict::Checked(checked),
    };
    let credentials = topics.credentials();
    let is_one = credentials.turn_or_wait(|token, has_waited| told(look(token.reveal(), has_waited)));
    if sources.rounds() != rounds {
        // What it waits for came before it was aside.
        credentials.go_on();
    }
    is_one
}

fn told(verdict: Verdict) -> Verdict {
    match &verdict {
        Verdict::Checked(Ok(_)) => debug!(target: "tokens", "a token is sound"),
        Verdict::Checked(Err(bad)) => debug!(target: "tokens", "a token fails the check `{}`", bad.check()),
        Verdict::Wait => debug!(target: "tokens", "a token waits for its key to be fetched"),
        Verdict::NotNow => debug!(target: "tokens", "a token's key cannot be fetched now"),
    }
    verdict
}
