//! The hub's certificate by ACME (RFC 8555): one is got where there is none, and another long before it ends. Whatever fails is
//! tried again, ever more rarely, and meanwhile what there is holds.

use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::acme::order::{NoOrder, order};
use crate::acme::store::Store;
use crate::fetch::Trust;
use crate::tls::proofs::Proofs;
use crate::tls::{BadPair, Files, Pair, Tls};

mod order;

mod exchange;

pub mod store;

/// For whom a certificate is to be got, and from where.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Names that lead to this hub.
    pub names: Vec<String>,
    /// Whom the authority may write to.
    pub contact: Option<String>,
    /// Where the authority says what it can do.
    pub directory: String,
    /// Whose certificates the authority's own is believed by, if not those whom the system trusts.
    pub trust: Option<Trust>,
    /// Where account, certificate and key are kept.
    pub folder: PathBuf,
}

/// Why there is no certificate yet, or no other.
#[derive(Debug, thiserror::Error)]
enum NoCertificate {
    /// What is got could not be kept, so none is asked for.
    #[error("{path} cannot be written: {source}", path = path.display())]
    NotKept { path: PathBuf, source: io::Error },
    /// The authority gives none.
    #[error(transparent)]
    NoOrder(#[from] NoOrder),
    /// Nothing came of it in time.
    #[error("it took longer than {} s", ORDER_TIME.as_secs())]
    TooLate,
    /// Where another one would be ordered at once, and then another, an authority's limits would soon be reached.
    #[error(
        "what the authority gave is not for all these names, or its time is nearly over by this machine's clock"
    )]
    DueAtOnce,
    /// It cannot be used.
    #[error("what the authority gave cannot be used: {0}")]
    Unusable(#[from] BadPair),
}

impl Plan {
    /// Where certificate and key are, if there are some.
    #[must_use]
    pub fn files(&self) -> Files {
        let path = Store::new(&self.folder).certificate();
        Files { certificate: path.clone(), key: path }
    }

    /// Whether a certificate is for all the names.
    fn fits(&self, pair: &Pair) -> bool {
        self.names.iter().all(|name| pair.is_for(name))
    }
}

/// Keeps a certificate valid, for ever. What is `asked` has it try at once.
pub async fn keep(plan: Plan, tls: Arc<Tls>, asked: Arc<Notify>) {
    let Some(proofs) = tls.proofs() else { return };
    let mut tries = Tries::default();
    loop {
        let mut may_be_sooner = true;
        let wait = match due_in(&plan, &tls).await {
            Some(wait) => {
                tries.failures = 0;
                wait.min(LOOK)
            }
            None => match renew(&plan, &tls, proofs).await {
                Ok(()) => continue,
                Err(why) => {
                    let (wait, names) = (tries.failed(Instant::now()), plan.names.join(", "));
                    may_be_sooner = !tries.are_many();
                    let sooner = if may_be_sooner { ", or upon SIGHUP" } else { "" };
                    warn!(
                        target: "server",
                        "no certificate for {names} from {}: {why}; it is tried again in {} min{sooner}",
                        plan.directory,
                        wait.as_secs() / 60
                    );
                    wait
                }
            },
        };
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = asked.notified(), if may_be_sooner => {}
        }
    }
}

/// What has failed so far.
#[derive(Debug, Default)]
struct Tries {
    /// Since the last certificate.
    failures: u32,
    /// When some of the last hour did.
    lately: VecDeque<Instant>,
}

impl Tries {
    /// Another has: gives after how long it is tried again. Authorities allow few failures an hour.
    fn failed(&mut self, now: Instant) -> Duration {
        self.lately.retain(|then| now.duration_since(*then) < HOUR);
        self.lately.push_back(now);
        let wait = PAUSE_MIN.saturating_mul(1 << self.failures.min(16)).min(PAUSE_MAX);
        self.failures = self.failures.saturating_add(1);
        match self.lately.front() {
            Some(first) if self.are_many() => wait.max(HOUR.saturating_sub(now.duration_since(*first))),
            _ => wait,
        }
    }

    /// Whether one more might be too many for an authority.
    fn are_many(&self) -> bool {
        self.lately.len() >= FAILURES_AN_HOUR
    }
}

/// After how long another certificate is to be got; none if that is now.
async fn due_in(plan: &Plan, tls: &Tls) -> Option<Duration> {
    let time = tls.time()?;
    let (files, asked) = (tls.files().clone(), plan.clone());
    // Files may be slow.
    let fits = tokio::task::spawn_blocking(move || files.read().is_ok_and(|pair| asked.fits(&pair)));
    if !fits.await.unwrap_or(false) {
        return None;
    }
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    // What authorities advise: when a third of its time is left.
    let due = Duration::from_secs(time.to.saturating_sub((time.to - time.from.min(time.to)) / 3));
    due.checked_sub(now).filter(|wait| !wait.is_zero())
}

async fn renew(plan: &Plan, tls: &Arc<Tls>, proofs: &Arc<Proofs>) -> Result<(), NoCertificate> {
    let store = Store::new(&plan.folder);
    let kept = |source| NoCertificate::NotKept { path: plan.folder.clone(), source };
    store.prepare().map_err(kept)?;
    info!(target: "server", "a certificate for {} is ordered from {}", plan.names.join(", "), plan.directory);
    let order = order(plan, &store, proofs);
    let ordered = timeout(ORDER_TIME, order).await.map_err(|_| NoCertificate::TooLate)??;
    store.keep_certificate(&ordered).map_err(kept)?;
    tls.read_again()?;
    if due_in(plan, tls).await.is_none() {
        return Err(NoCertificate::DueAtOnce);
    }
    info!(target: "server", "there is a certificate for {}, and it holds for new connections", plan.names.join(", "));
    Ok(())
}

/// What an order may take: authorities look from several places.
const ORDER_TIME: Duration = Duration::from_secs(300);
/// One fewer than Let's Encrypt allows for a name.
const FAILURES_AN_HOUR: usize = 4;
const HOUR: Duration = Duration::from_secs(3_600);
const PAUSE_MIN: Duration = Duration::from_secs(120);
const PAUSE_MAX: Duration = Duration::from_secs(6 * 3_600);
/// How often is looked whether another one is due: clocks may jump, and files be changed by others.
const LOOK: Duration = HOUR;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_more_rarely_and_never_more_than_four_an_hour() {
        let (mut tries, mut now, mut minutes) = (Tries::default(), Instant::now(), Vec::new());
        for _ in 0..10 {
            let wait = tries.failed(now);
            minutes.push(wait.as_secs() / 60);
            now += wait;
        }
        assert_eq!(minutes, [2, 4, 8, 46, 32, 64, 128, 256, 360, 360]);
        // Whoever asks for more gets as many.
        let mut tries = Tries::default();
        let asked = (0..10).take_while(|_| {
            tries.failed(now);
            !tries.are_many()
        });
        assert_eq!(asked.count(), FAILURES_AN_HOUR - 1);
        assert!(tries.failed(now) >= HOUR);
    }
}
