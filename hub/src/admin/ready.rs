//! Whether the hub can be given clients: a message has to pass through it, now and not when somebody looked last.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tokio::time::Instant;

use crate::gate::Gate;
use crate::reactor::storage::Storage;

/// What was found last.
#[derive(Debug, Default)]
pub(super) struct Readiness(Mutex<Option<(Instant, Verdict)>>);

type Verdict = Result<(), NotReady>;

/// Why a hub is not to be given clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum NotReady {
    /// It is about to end.
    #[error("the hub is stopping")]
    Stopping,
    /// Nobody could connect.
    #[error("there is no certificate yet; the log says why")]
    NoCertificate,
    /// A thread is stuck.
    #[error("shard {0} does not turn")]
    Stuck(usize),
    /// A message did not come out.
    #[error("the log does not store what is published")]
    NotStored,
    /// A write to the data directory failed.
    #[error(
        "a write to the data directory failed, and nothing more is stored: restart the hub; the log says what failed"
    )]
    StorageStopped,
}

impl Readiness {
    /// Whether clients may come. However often that is asked, a message is sent once a second.
    pub(super) async fn ask(self: &Arc<Self>, gate: &Arc<Gate>) -> Verdict {
        if gate.is_shut() {
            return Err(NotReady::Stopping);
        }
        if gate.door().tls.as_ref().is_some_and(|tls| !tls.is_there()) {
            return Err(NotReady::NoCertificate);
        }
        // A full disk is none: the hub serves what it has, and takes messages again without anybody's doing.
        if gate.reactor().storage().is_some_and(Storage::has_failed) {
            return Err(NotReady::StorageStopped);
        }
        let (readiness, gate) = (Arc::clone(self), Arc::clone(gate));
        // Beside the request: what was begun is found out whether somebody still waits for it or not.
        let asked = tokio::spawn(async move { readiness.once_a_second(|| probe(&gate)).await });
        asked.await.unwrap_or(Err(NotReady::Stopping))
    }

    async fn once_a_second<F: Future<Output = Verdict>>(&self, probe: impl FnOnce() -> F) -> Verdict {
        let mut last = self.0.lock().await;
        if let Some((_, verdict)) = last.filter(|(at, _)| at.elapsed() < GOOD_FOR) {
            return verdict;
        }
        let verdict = probe().await;
        *last = Some((Instant::now(), verdict));
        verdict
    }
}

async fn probe(gate: &Gate) -> Verdict {
    let reactor = gate.reactor();
    reactor.goes_round(PATIENCE).await.map_err(NotReady::Stuck)?;
    reactor.desk().probe(PATIENCE).await.map_err(|_| NotReady::NotStored)
}

/// How long a verdict holds.
const GOOD_FOR: Duration = Duration::from_secs(1);
/// Those who ask wait for seconds at most.
const PATIENCE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::Cell;

    #[tokio::test(start_paused = true)]
    async fn it_is_found_out_once_a_second_however_many_ask() {
        let (readiness, probes) = (Readiness::default(), Cell::new(0));
        let ask = || {
            readiness.once_a_second(|| async {
                probes.set(probes.get() + 1);
                tokio::time::sleep(PATIENCE).await;
                if probes.get() == 1 { Err(NotReady::Stuck(3)) } else { Ok(()) }
            })
        };
        let verdicts = tokio::join!(ask(), ask(), ask());
        assert_eq!((verdicts.0, verdicts.1, verdicts.2), (Err(NotReady::Stuck(3)), verdicts.0, verdicts.0));
        tokio::time::advance(GOOD_FOR - Duration::from_millis(1)).await;
        assert_eq!((ask().await, probes.get()), (verdicts.0, 1));
        tokio::time::advance(Duration::from_millis(1)).await;
        assert_eq!((ask().await, probes.get()), (Ok(()), 2));
    }
}
