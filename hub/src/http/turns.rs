//! Whose turn it is to be worked for: of one account a few requests at a time. One that asks much waits for itself, and not
//! everybody for it.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tidewire_hub_core::ledger::AccountKey;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The lines of all accounts.
#[derive(Debug, Default)]
pub(super) struct Turns(Mutex<Lines>);

#[derive(Debug, Default)]
struct Lines {
    by_account: BTreeMap<AccountKey, Weak<Semaphore>>,
    /// They are swept when there are so many.
    sweep_at: usize,
}

/// A turn; the next one's when this is dropped.
#[derive(Debug)]
pub(super) struct Turn(#[expect(dead_code, reason = "given back with it")] Option<OwnedSemaphorePermit>);

impl Turns {
    /// Waits for a turn.
    pub(super) async fn next(&self, account: AccountKey) -> Turn {
        let line = self.line(account);
        // It is never closed.
        Turn(line.acquire_owned().await.ok())
    }

    fn line(&self, account: AccountKey) -> Arc<Semaphore> {
        let mut lines = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(line) = lines.by_account.get(&account).and_then(Weak::upgrade) {
            return line;
        }
        if lines.by_account.len() >= lines.sweep_at {
            lines.by_account.retain(|_, line| line.strong_count() > 0);
            lines.sweep_at = (lines.by_account.len() * 2).max(SWEEP_AT_LEAST);
        }
        let line = Arc::new(Semaphore::new(AT_ONCE));
        lines.by_account.insert(account, Arc::downgrade(&line));
        line
    }
}

/// Requests of an account that are worked for at once.
const AT_ONCE: usize = 4;
/// Fewer are not worth a look.
const SWEEP_AT_LEAST: usize = 256;

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_account_waits_for_itself_and_not_for_others() {
        let turns = Turns::default();
        let (much, little) = (AccountKey(1), AccountKey(2));
        let mut held = Vec::new();
        for _ in 0..AT_ONCE {
            held.push(turns.next(much).await);
        }
        let mut next = std::pin::pin!(turns.next(much));
        assert!(futures_util::poll!(&mut next).is_pending());
        turns.next(little).await;
        held.pop();
        assert!(futures_util::poll!(&mut next).is_ready());
    }

    #[tokio::test]
    async fn accounts_that_have_gone_are_not_kept() {
        let turns = Turns::default();
        for key in 0..10_000 {
            turns.next(AccountKey(key)).await;
        }
        assert!(turns.0.lock().map_or(0, |lines| lines.by_account.len()) <= SWEEP_AT_LEAST);
    }
}
