//! Which tokens still stand that were found sound: those whose key is there and that nobody took back. Shards ask of each bearer anew whenever that
//! has changed, and what was checked meanwhile is asked of again before it lets anybody in.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire_protocol::code::Code;

use crate::access::caller::{Caller, KeyNumber, Pass};
use crate::clock::Millis;
use crate::credentials::BadToken;
use crate::credentials::revocations::{About, Revocation, Revocations};
use crate::ledger::Ledger;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// Which tokens stand.
#[derive(Debug)]
pub struct Standing {
    state: Mutex<State>,
    edition: AtomicU32,
}

/// Tells what stands from what did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandingEdition(u32);

/// What stands now, as long as it is held.
#[derive(Debug)]
pub(crate) struct State {
    /// Keys that are there; none if nobody has said so, and all are.
    keys: Option<BTreeSet<KeyNumber>>,
    revocations: Revocations,
}

impl Standing {
    /// All tokens do.
    pub(crate) fn new(ledger: &Arc<Ledger>) -> Self {
        let state = State { keys: None, revocations: Revocations::new(ledger) };
        Self { state: Mutex::new(state), edition: AtomicU32::new(0) }
    }

    /// Tells whether there was a change since.
    #[must_use]
    pub fn edition(&self) -> StandingEdition {
        StandingEdition(self.edition.load(Ordering::Acquire))
    }

    /// Whether a token stands that was found sound.
    ///
    /// # Errors
    /// [`BadToken`] says why it does not.
    pub fn check(&self, pass: &Pass) -> Result<(), BadToken> {
        lock(&self.state).check(pass)
    }

    /// The same of the token that somebody signed in by; whoever has none needs none.
    ///
    /// # Errors
    /// [`BadToken`] says why it does not.
    pub fn check_caller(&self, caller: &Caller) -> Result<(), BadToken> {
        caller.pass().map_or(Ok(()), |pass| self.check(pass))
    }

    /// Does something with all that stands; nothing changes meanwhile.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&State) -> T) -> T {
        act(&lock(&self.state))
    }

    /// From now on only tokens stand that were signed with one of these keys.
    pub(crate) fn keep_keys(&self, keys: impl IntoIterator<Item = KeyNumber>) {
        self.change(|state| state.keys = Some(keys.into_iter().collect()));
    }

    /// From now on some tokens do not stand; see [`Revocations::add`].
    pub(crate) fn revoke(&self, now: Millis, revocation: Revocation) -> Result<(), Code> {
        self.change(|state| state.revocations.add(now, revocation))
    }

    /// From now on such tokens stand again; see [`Revocations::remove`].
    pub(crate) fn give_back(&self, now: Millis, about: &About, issued_before: Option<u64>) -> bool {
        // Nobody has to go for it, so shards need not ask again.
        lock(&self.state).revocations.remove(now, about, issued_before)
    }

    /// What was taken back about that, if anything was.
    #[must_use]
    pub fn revocation(&self, now: Millis, about: &About) -> Option<Revocation> {
        self.with(|state| state.revocations.find(now, about))
    }

    /// So much of what was taken back after that, or from the first on, in the order of [`About`].
    #[must_use]
    pub fn list(&self, now: Millis, after: Option<&About>, count: usize) -> Vec<Revocation> {
        self.with(|state| state.revocations.list(now, after, count))
    }

    /// How much was taken back: as many as [`list`](Self::list) has.
    #[must_use]
    pub fn revocations(&self, now: Millis) -> usize {
        self.with(|state| state.revocations.count(now))
    }

    fn change<T>(&self, act: impl FnOnce(&mut State) -> T) -> T {
        let mut state = lock(&self.state);
        let done = act(&mut state);
        let next = self.edition.load(Ordering::Relaxed).wrapping_add(1);
        self.edition.store(next, Ordering::Release);
        done
    }
}

impl State {
    /// Whether a token stands.
    pub(crate) fn check(&self, pass: &Pass) -> Result<(), BadToken> {
        let has_key = self.keys.as_ref().is_none_or(|keys| keys.contains(&pass.origin.key));
        match self.revocations.hold(pass) {
            _ if !has_key => Err(BadToken::KeyGone),
            Some(because) => Err(BadToken::Revoked(because)),
            None => Ok(()),
        }
    }
}
