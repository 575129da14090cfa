//! Which tokens still stand that were found sound: those whose key is there. Shards ask of each bearer anew whenever that
//! has changed, and what was checked meanwhile is asked of again before it lets anybody in.

use std::collections::BTreeSet;

use crate::access::caller::{KeyNumber, Pass};
use crate::credentials::BadToken;
use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// Which tokens stand.
#[derive(Debug, Default)]
pub struct Standing {
    state: Mutex<State>,
    edition: AtomicU32,
}

/// Tells what stands from what did before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StandingEdition(u32);

/// What stands now, as long as it is held.
#[derive(Debug, Default)]
pub(crate) struct State {
    /// Keys that are there; none if nobody has said so, and all are.
    keys: Option<BTreeSet<KeyNumber>>,
}

impl Standing {
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

    /// Does something with all that stands; nothing changes meanwhile.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&State) -> T) -> T {
        act(&lock(&self.state))
    }

    /// From now on only tokens stand that were signed with one of these keys.
    pub(crate) fn keep_keys(&self, keys: impl IntoIterator<Item = KeyNumber>) {
        self.change(|state| state.keys = Some(keys.into_iter().collect()));
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
        if has_key { Ok(()) } else { Err(BadToken::KeyGone) }
    }
}
