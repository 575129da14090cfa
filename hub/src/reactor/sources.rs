//! Sets of keys that are fetched: each by one task, so never twice at once, and not again within seconds however many tokens name
//! a key that is not there. While a source is down the keys that it had stay.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tidewire_hub_core::topics::Topics;
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::{info, warn};

use crate::tokens::held::{Held, KeyChange};
use crate::tokens::jwks::{Fetched, Source};

/// All sources, each with the task that fetches from it.
#[derive(Debug)]
pub(super) struct Sources {
    shared: Arc<Shared>,
    running: Mutex<Vec<Running>>,
}

#[derive(Debug)]
struct Shared {
    topics: Arc<Topics>,
    keys: Arc<Held>,
    /// How often something was fetched, or was not there.
    rounds: AtomicU64,
}

#[derive(Debug)]
struct Running {
    source: Arc<Source>,
    state: Arc<State>,
    task: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    wished: Notify,
    last: Mutex<Last>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    begun: Instant,
    is_under_way: bool,
    has_failed: bool,
}

/// What may become of a key that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wish {
    /// It may be about to come.
    Wait,
    /// Nobody knows: a source is down.
    Down,
    /// It is not there: what is known is fresh.
    Fresh,
}

impl Sources {
    /// None yet.
    pub(super) fn new(topics: Arc<Topics>, keys: Arc<Held>) -> Self {
        Self {
            shared: Arc::new(Shared { topics, keys, rounds: AtomicU64::new(0) }),
            running: Mutex::default(),
        }
    }

    /// From now on it is these. Those that were there go on as they are. Within a tokio runtime.
    pub(super) fn change(&self, sources: &[Arc<Source>]) {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        running.retain(|it| {
            let stays = sources.contains(&it.source);
            if !stays {
                it.task.abort();
            }
            stays
        });
        for source in sources {
            if running.iter().any(|it| it.source == *source) {
                continue;
            }
            let state = Arc::new(State::new());
            let task = keep_fetching(Arc::clone(source), Arc::clone(&state), Arc::clone(&self.shared));
            running.push(Running { source: Arc::clone(source), state, task: tokio::spawn(task) });
        }
        // Whoever waits for one that is gone is told so.
        drop(running);
        self.shared.go_on();
    }

    /// Tells whether something came since.
    pub(super) fn rounds(&self) -> u64 {
        self.shared.rounds.load(Ordering::Acquire)
    }

    /// A token names a key that is not there: it is fetched, if it was not looked for a moment ago.
    pub(super) fn wish(&self) -> Wish {
        let running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        let wishes: Vec<_> = running.iter().map(|it| it.state.wish()).collect();
        let has = |wish| wishes.contains(&wish);
        if has(Wish::Wait) {
            Wish::Wait
        } else if has(Wish::Down) {
            Wish::Down
        } else {
            Wish::Fresh
        }
    }
}

impl Shared {
    /// Those who wait for keys are looked at again.
    fn go_on(&self) {
        self.rounds.fetch_add(1, Ordering::AcqRel);
        self.topics.credentials().go_on();
    }
}

impl State {
    fn new() -> Self {
        let last = Last { begun: Instant::now(), is_under_way: true, has_failed: false };
        Self { wished: Notify::new(), last: Mutex::new(last) }
    }

    fn wish(&self) -> Wish {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if !last.is_under_way && last.begun.elapsed() >= LEAST_APART {
            last.is_under_way = true;
            self.wished.notify_one();
        }
        match last {
            last if last.is_under_way => Wish::Wait,
            last if last.has_failed => Wish::Down,
            _ => Wish::Fresh,
        }
    }

    fn begin(&self) -> Instant {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.begun, last.is_under_way) = (Instant::now(), true);
        last.begun
    }

    fn end(&self, has_failed: bool) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        (last.is_under_way, last.has_failed) = (false, has_failed);
    }
}

/// Fetches for ever.
async fn keep_fetching(source: Arc<Source>, state: Arc<State>, shared: Arc<Shared>) {
    let (mut failures, mut passed_over) = (0_u32, Vec::new());
    loop {
        let begun = state.begin();
        let refresh = Duration::from_secs(source.refresh_seconds);
        let pause = match source.fetch().await {
            Ok(fetched) => {
                take(&source, fetched, &shared, failures > 0, &mut passed_over);
                failures = 0;
                refresh
            }
            Err(why) => {
                if failures == 0 {
                    warn!(target: "tokens", "the keys of {} cannot be fetched, and those that were stay: {why}", source.address);
                }
                failures = failures.saturating_add(1);
                (LEAST_APART * 2_u32.saturating_pow(failures.min(16))).min(refresh)
            }
        };
        // Before it says that nothing is under way: whoever looked at the keys that there were hears that others came.
        shared.rounds.fetch_add(1, Ordering::AcqRel);
        state.end(failures > 0);
        shared.go_on();
        tokio::select! {
            () = sleep(pause) => {}
            () = state.wished.notified() => {}
        }
        sleep_until(begun + LEAST_APART).await;
    }
}

fn take(source: &Source, fetched: Fetched, shared: &Shared, was_down: bool, passed_over: &mut Vec<String>) {
    let count = fetched.keys.len();
    let change = shared.keys.fetch(source, fetched.keys, |numbers| shared.topics.keep_keys(numbers));
    if let Some(change) = change.filter(|change| was_down || *change != KeyChange::default()) {
        info!(target: "tokens", "{count} keys were fetched from {}; {change}", source.address);
    }
    if *passed_over != fetched.passed_over {
        if !fetched.passed_over.is_empty() {
            let mut list = fetched.passed_over.iter().take(TOLD_MAX).cloned().collect::<Vec<_>>().join(", ");
            if fetched.passed_over.len() > TOLD_MAX {
                list.push_str(&format!(", and {} more", fetched.passed_over.len() - TOLD_MAX));
            }
            warn!(target: "tokens", "of the keys of {} these are passed over: {list}", source.address);
        }
        *passed_over = fetched.passed_over;
    }
}

/// Keys that are passed over and named in a line.
const TOLD_MAX: usize = 8;
/// However many tokens name keys that are not there.
const LEAST_APART: Duration = Duration::from_secs(5);
