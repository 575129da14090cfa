//! The hub's certificate by ACME (RFC 8555): one is got where there is none, and another long before it ends. Whatever fails is
//! tried again, ever more rarely, and meanwhile what there is holds.

use std::collections::VecDeque;
use std::fmt::Display;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::acme::order::{NoOrder, order};
use crate::acme::store::Store;
use crate::fetch::Trust;
use crate::tls::proofs::Proofs;
use crate::tls::validity::Time;
use crate::tls::{BadFile, Files, Pair, Tls, Unfit};
use crate::tokens::wall_ms;

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
    /// Another one would be ordered at once, and then another: an authority's limits would soon be reached.
    #[error(
        "what the authority gave is not for all these names, or its time is nearly over by this machine's clock"
    )]
    OfNoUse,
    /// It is no certificate with its key.
    #[error("what the authority gave should have been {0}")]
    NoPair(#[from] BadFile),
    /// They cannot be used.
    #[error("what the authority gave should have been {0}")]
    Unfit(#[from] Unfit),
}

impl Plan {
    /// Where certificate and key are, if there are some.
    #[must_use]
    pub fn files(&self) -> Files {
        let path = Store::new(&self.folder, &self.directory).certificate();
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
    let store = Store::new(&plan.folder, &plan.directory);
    let mut tries = Tries::known(&store);
    // A hub that is started again and again is not to ask as often.
    let mut wait = if due_in(&plan, &tls).is_some() { Duration::ZERO } else { tries.wait(wall()) };
    if !wait.is_zero() {
        tell(&plan, &"the hub that ran before has tried in vain", wait, tries.are_many());
    }
    loop {
        if wait.is_zero() {
            wait = match due_in(&plan, &tls) {
                Some(due) => due.min(LOOK),
                None => match renew(&plan, &store, &tls, proofs).await {
                    Ok(()) => {
                        tries = Tries::default();
                        tries.keep(&store);
                        LOOK
                    }
                    Err(why) => {
                        let wait = tries.failed(wall(), matches!(why, NoCertificate::OfNoUse));
                        tell(&plan, &why, wait, tries.are_many());
                        tries.keep(&store);
                        wait
                    }
                },
            };
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => {}
            () = asked.notified(), if !tries.are_many() => {}
        }
        wait = Duration::ZERO;
    }
}

fn tell(plan: &Plan, why: &dyn Display, wait: Duration, is_all: bool) {
    let sooner = if is_all { "" } else { ", or when it is to read its configuration again" };
    warn!(
        target: "server",
        "no certificate for {} from {}: {why}; it is tried again in {} min{sooner}",
        plan.names.join(", "),
        plan.directory,
        wait.as_secs().div_ceil(60)
    );
}

/// What has failed so far.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Tries {
    /// Since the last certificate.
    failures: u32,
    /// When some of the last hour did, in seconds since 1970.
    lately: VecDeque<u64>,
    /// Before that, in seconds since 1970, another would be in vain.
    not_before: u64,
}

impl Tries {
    /// What a hub before has left.
    fn known(store: &Store) -> Self {
        let mut tries: Self = serde_json::from_slice(&store.tries()).unwrap_or_default();
        let now = wall();
        tries.forget(now);
        // By a clock that went wrong it may be years from now.
        tries.not_before = tries.not_before.min(now + PAUSE_MAX.as_secs());
        tries
    }

    fn keep(&self, store: &Store) {
        let kept =
            serde_json::to_vec(self).map_err(io::Error::from).and_then(|tries| store.keep_tries(&tries));
        if let Err(why) = kept {
            warn!(target: "server", "how often a certificate was ordered cannot be kept for the next start: {why}");
        }
    }

    /// What is not of the last hour, or of a time to come, as clocks go.
    fn forget(&mut self, now: u64) {
        self.lately.retain(|then| *then <= now && now - then < HOUR.as_secs());
    }

    /// Another has, perhaps for a reason that will not go away: gives after how long it is tried again. Authorities allow few
    /// failures an hour, and not many certificates a week.
    fn failed(&mut self, now: u64, is_lasting: bool) -> Duration {
        self.forget(now);
        self.lately.push_back(now);
        self.failures = self.failures.saturating_add(1);
        if is_lasting {
            self.not_before = now + PAUSE_MAX.as_secs();
        }
        self.wait(now)
    }

    /// How long to wait before the next.
    fn wait(&self, now: u64) -> Duration {
        let Some(last) = self.lately.back() else {
            return Duration::from_secs(self.not_before.saturating_sub(now));
        };
        let doubled = PAUSE_MIN.saturating_mul(1 << self.failures.saturating_sub(1).min(16)).min(PAUSE_MAX);
        let first = self.lately.front().filter(|_| self.lately.len() >= FAILURES_AN_HOUR);
        let until = first.map_or(0, |first| first + HOUR.as_secs()).max(last + doubled.as_secs());
        let until = until.max(self.not_before);
        Duration::from_secs(until.saturating_sub(now))
    }

    /// Whether one more might be too many for an authority.
    fn are_many(&self) -> bool {
        self.lately.len() >= FAILURES_AN_HOUR || self.not_before > wall()
    }
}

/// After how long another certificate is to be got; none if that is now.
fn due_in(plan: &Plan, tls: &Tls) -> Option<Duration> {
    let fits = plan.names.iter().all(|name| tls.is_for(name));
    tls.time().filter(|_| fits).and_then(left)
}

/// How long until a certificate of this time is to be replaced: when a third of its time is left, as authorities advise.
fn left(Time { from, to }: Time) -> Option<Duration> {
    let due = to.saturating_sub((to - from.min(to)) / 3);
    due.checked_sub(wall()).filter(|left| *left > 0).map(Duration::from_secs)
}

/// The system's time in seconds since 1970.
fn wall() -> u64 {
    wall_ms() / 1_000
}

async fn renew(plan: &Plan, store: &Store, tls: &Tls, proofs: &Arc<Proofs>) -> Result<(), NoCertificate> {
    store.prepare().map_err(|source| NoCertificate::NotKept { path: plan.folder.clone(), source })?;
    let names = plan.names.join(", ");
    info!(target: "server", "a certificate for {names} is ordered from {}", plan.directory);
    let order = order(plan, store, proofs);
    let ordered = timeout(ORDER_TIME, order).await.map_err(|_| NoCertificate::TooLate)??;
    // What there is stays in its place until this is known to be better.
    let pair = Pair::of_pem(ordered.as_bytes())?;
    if !plan.fits(&pair) || pair.time().and_then(left).is_none() {
        return Err(NoCertificate::OfNoUse);
    }
    tls.show(pair)?;
    info!(target: "server", "there is a certificate for {names}, and it holds for new connections");
    match store.keep_certificate(&ordered) {
        Ok(()) => tls.know_files(),
        Err(error) => warn!(
            target: "server",
            "the certificate cannot be kept, and has to be got again at the next start: {error}"
        ),
    }
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
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn failures_are_tried_again_ever_more_rarely_and_never_more_than_four_an_hour() {
        let (mut tries, mut now, mut minutes) = (Tries::default(), 1_000_000, Vec::new());
        for _ in 0..10 {
            let wait = tries.failed(now, false);
            minutes.push(wait.as_secs() / 60);
            now += wait.as_secs();
        }
        assert_eq!(minutes, [2, 4, 8, 46, 32, 64, 128, 256, 360, 360]);
        // Whoever asks for more gets as many.
        let mut tries = Tries::default();
        let asked = (0..10).take_while(|_| {
            tries.failed(now, false);
            !tries.are_many()
        });
        assert_eq!(asked.count(), FAILURES_AN_HOUR - 1);
        assert!(tries.failed(now, false) >= HOUR);
        assert_eq!(Tries::default().failed(now, true), PAUSE_MAX);
    }

    #[test]
    fn a_hub_that_is_started_again_waits_as_the_last_one_would() {
        let folder = std::env::temp_dir().join(format!("tidewire-acme-{}", std::process::id()));
        let store = Store::new(&folder, "https://acme.example.com/dir");
        let begin = || {
            let tries = Tries::known(&store);
            (tries.wait(wall()).as_secs(), tries.are_many())
        };
        assert_eq!(begin(), (0, false));
        store.prepare().unwrap();
        let keep = |failures: u32, lately: &[u64], not_before: u64| {
            Tries { failures, lately: lately.iter().copied().collect(), not_before }.keep(&store);
        };
        keep(1, &[wall() - 4_000, wall() - 30], 0);
        let (wait, are_many) = begin();
        assert!((85..=90).contains(&wait) && !are_many, "{wait}");
        keep(4, &[wall() - 3_000; FAILURES_AN_HOUR], 0);
        let (wait, are_many) = begin();
        assert!((595..=600).contains(&wait) && are_many, "{wait}");
        // What is in vain stays so, and no clock that was set back makes it so for years.
        for not_before in [wall() + PAUSE_MAX.as_secs(), u64::MAX] {
            keep(1, &[wall()], not_before);
            let (wait, are_many) = begin();
            assert!((21_590..=21_600).contains(&wait) && are_many, "{wait}");
        }
        keep(9, &[wall() + 9_000; 9], 0);
        assert_eq!(begin(), (0, false));
        std::fs::remove_dir_all(folder).unwrap();
    }
}
