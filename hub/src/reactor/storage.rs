//! The durable log: its directory is opened and read, what it held is put back, and a thread stores what is published.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use tidewire_hub_core::calendar::pace;
use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::log::rows::reading::Unreadable;
use tidewire_hub_core::names::directory::TopicRule;
use tidewire_hub_core::topics::Topics;
use tidewire_hub_core::topics::durable::Committer;
use tidewire_hub_core::topics::found::Found;
use tidewire_hub_core::topics::restoring::Restored;
use tidewire_protocol::number::Epoch;
use tokio::sync::oneshot;
use tokio::time::timeout;
use tracing::{info, warn};

use crate::disk::files::Files;
use crate::disk::finding::Finder;
use crate::disk::opening::{OpenError, Opening, Sizes};
use crate::reactor::clock::Clock;
use crate::reactor::logs::DISK_LOG;
use crate::reactor::storing::Storing;
use crate::reactor::writer::Writer;
use crate::reactor::{FatalEnd, lend};

/// A directory that was read, before there is a hub.
#[derive(Debug)]
pub(super) struct Opened {
    opening: Opening,
    found: Found,
    /// What is missing, known from now on.
    known_losses: Vec<u64>,
    /// The identity of its log.
    pub(super) epoch: Epoch,
    /// What producers of the hub's own are derived from.
    pub(super) secret: [u8; 32],
    /// How often it was started, as a number that goes round.
    pub(super) boot: u32,
}

/// Why a durable log does not start.
#[derive(Debug, thiserror::Error)]
pub enum StorageError {
    /// Its directory is not to be had.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// Another version wrote it.
    #[error("{0}: start the release that wrote it, or name another directory")]
    Unreadable(#[from] Unreadable),
    /// The system has no randomness, or no thread.
    #[error("the log cannot be started")]
    System(#[from] io::Error),
}

/// The thread that stores.
#[derive(Debug)]
pub struct Storage {
    state: Arc<Storing>,
    wake: mpsc::SyncSender<()>,
    files: Files,
}

/// What operators are told of it.
#[derive(Debug, Clone, Copy)]
pub struct Measured {
    /// A write failed.
    pub has_failed: bool,
    /// The disk is nearly full.
    pub is_full: bool,
    /// Commits stored.
    pub commits: u64,
    /// Bytes of them.
    pub commit_bytes: u64,
    /// Microseconds that storing them took.
    pub commit_micros: u64,
    /// Reads of history.
    pub reads: u64,
    /// Those that the disk refused.
    pub failed_reads: u64,
    /// Bytes of all its files, with room that was taken ahead.
    pub disk_bytes: u64,
    /// Bytes that the disk has left.
    pub free_bytes: u64,
}

impl Opened {
    /// Takes a directory, and reads it once.
    pub(super) fn read(directory: &Path, rules: &[TopicRule], now: Millis) -> Result<Self, StorageError> {
        let mut opening = Opening::open(directory, Sizes::default())?;
        let mut found = Found::new(rules).starting_at(now);
        let mut unreadable = None;
        let report = opening.scan(|_, frame| {
            if unreadable.is_none() {
                unreadable = found.see(frame.number.0, frame.body).err();
            }
        })?;
        if let Some(unreadable) = unreadable {
            return Err(unreadable.into());
        }
        let fresh = Epoch(getrandom::u64().map_err(io::Error::other)?);
        let epoch = if report.wants_identity() { fresh } else { found.epoch(&report.losses(), fresh) };
        let known_losses = report.known_losses().into_iter().chain(found.lost_beginning()).collect();
        found.lacks(report.missing_commits());
        for line in report.to_string().lines().skip(1) {
            warn!(target: "storage", "{line}");
        }
        if let Some(last) = found.lacks_up_to() {
            warn!(
                target: "storage",
                "The commits up to {last} are not there, and how all stood was not told since, or what told it is lost in part."
            );
        }
        if report.is_copy {
            info!(
                target: "storage",
                "the directory is a copy, so the log has another identity from now on: whoever was further is told of a gap"
            );
        } else if found.state.is_some_and(|state| state.epoch != epoch) {
            warn!(
                target: "storage",
                "something that was stored is lost, so the log has another identity from now on: whoever comes back is told of a gap"
            );
        }
        let mut secret = [0; 32];
        getrandom::fill(&mut secret).map_err(io::Error::other)?;
        let secret = found.state.map_or(secret, |state| state.secret);
        #[expect(clippy::cast_possible_truncation)]
        let boot = opening.boot() as u32;
        Ok(Self { opening, found, known_losses, epoch, secret, boot })
    }

    /// Puts back what it held, and starts to store.
    pub(super) fn start(self, topics: &Arc<Topics>, clock: Clock) -> Result<Storage, StorageError> {
        let Self { opening, found, known_losses, secret, .. } = self;
        if let Some(line) = said_of_clock(clock.now(), found.given()) {
            warn!(target: "storage", "{line}");
        }
        let restored = topics.restore(DISK_LOG, clock.now(), found);
        let store = opening.start()?;
        tell_of(&restored);
        let (files, state) = (store.files(), Arc::<Storing>::default());
        let (wake, woken) = mpsc::sync_channel(1);
        let waker = wake.clone();
        topics.on_commit(Box::new(move || {
            // Full means that it is to look anyway.
            let _ = waker.try_send(());
        }));
        let committer = Committer::new(DISK_LOG, secret, known_losses, store.next().0);
        let writer = Writer::new(Arc::clone(topics), store, committer, Arc::clone(&state), clock)?;
        thread::Builder::new().name("writer".into()).spawn(move || {
            let fatal = FatalEnd;
            writer.run(&woken);
            std::mem::forget(fatal);
        })?;
        let (mut finder, mut warned_at) = (Finder::new(files.clone()), None);
        let (reads, storing) = (Arc::clone(topics), Arc::clone(&state));
        // Its own, so that reads of what is in memory do not wait for the disk.
        let find = move || find_one(&reads, clock.now(), &mut finder, &storing, &mut warned_at);
        lend("finder", |waker| topics.reads().on_fetch(waker), find)?;
        let storage = Storage { state, wake, files };
        storage.wake();
        Ok(storage)
    }
}

/// Says what of the log is served.
fn tell_of(restored: &Restored) {
    let Restored { topics, messages, windows, left, shortened, shortened_more } = restored;
    if *left > 0 {
        warn!(
            target: "storage",
            "{left} topics are in memory by their rules now: what the log has of them is not served, and goes for good"
        );
    }
    for (topic, from) in shortened {
        warn!(
            target: "storage",
            "{topic} is served from offset {} on, behind a message that is lost: those before it are still in the files, and \
             `tidewire log export` prints them", from.0
        );
    }
    if *shortened_more > 0 {
        warn!(target: "storage", "{shortened_more} more topics begin behind a message that is lost");
    }
    info!(
        target: "storage",
        "the log has {topics} topics, {messages} messages and {windows} windows of producers"
    );
}

/// By how much the clock differs from the time that was given last, where that has consequences.
fn said_of_clock(now: Millis, given: Millis) -> Option<String> {
    let (ahead_ms, behind_ms) = (given.since(now), now.since(given));
    if ahead_ms > CLOCK_BEHIND_MS {
        let (ahead, pace) = (span(ahead_ms), pace(ahead_ms));
        return Some(format!(
            "the newest message of the log is from {ahead} ahead of this machine's clock, which was wrong then or is now: until it \
             has come up to that, messages are given times ahead of it, and a time to live takes up to {pace} times as long"
        ));
    }
    (given > Millis(0) && behind_ms >= CLOCK_AHEAD_MS).then(|| {
        let behind = span(behind_ms);
        format!(
            "this machine's clock is {behind} ahead of the newest message of the log: if that is not how old it is, the clock is \
             wrong, and history is taken for too old"
        )
    })
}

/// A time of some length, in the largest unit of which it has two.
fn span(ms: u64) -> String {
    let (count, unit) = match ms / 1_000 {
        seconds @ 0..120 => (seconds, "seconds"),
        seconds @ 120..7_200 => (seconds / 60, "minutes"),
        seconds @ 7_200..172_800 => (seconds / 3_600, "hours"),
        seconds => (seconds / 86_400, "days"),
    };
    format!("{count} {unit}")
}

/// Reads something from the disk that somebody waits for; whether there was anything.
fn find_one(
    topics: &Topics,
    now: Millis,
    finder: &mut Finder,
    storing: &Storing,
    warned_at: &mut Option<Millis>,
) -> bool {
    let Some(mut fetching) = topics.reads().next_fetch() else { return false };
    storing.reads.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = finder.find(&mut fetching.fetch) {
        storing.failed_reads.fetch_add(1, Ordering::Relaxed);
        if warned_at.is_none_or(|at| now.since(at) >= WARNED_FOR_MS) {
            *warned_at = Some(now);
            warn!(target: "storage", "some history cannot be read for now; whoever is to get it waits: {error}");
        }
    }
    topics.reads().fetched(now, fetching);
    true
}

impl Storage {
    fn wake(&self) {
        let _ = self.wake.try_send(());
    }

    /// Whether a write failed, so that nothing more is stored before the hub is started again.
    pub fn has_failed(&self) -> bool {
        self.state.has_failed.load(Ordering::Relaxed)
    }

    /// Stores what waits, and ends in good order.
    pub async fn close(&self) {
        let (done, closed) = oneshot::channel();
        *self.state.closing.lock().unwrap_or_else(PoisonError::into_inner) = Some(done);
        self.wake();
        if timeout(CLOSE_TIME, closed).await.is_err() {
            warn!(target: "storage", "the disk does not answer, so the log did not end in good order");
        }
    }

    /// What operators are told. Asks the system for files: not for a thread of the runtime.
    pub fn measure(&self) -> Measured {
        let Storing {
            has_failed, is_full, commits, commit_bytes, commit_micros, reads, failed_reads, ..
        } = &*self.state;
        let segments = self.files.segments().unwrap_or_default();
        Measured {
            has_failed: has_failed.load(Ordering::Relaxed),
            is_full: is_full.load(Ordering::Relaxed),
            commits: commits.load(Ordering::Relaxed),
            commit_bytes: commit_bytes.load(Ordering::Relaxed),
            commit_micros: commit_micros.load(Ordering::Relaxed),
            reads: reads.load(Ordering::Relaxed),
            failed_reads: failed_reads.load(Ordering::Relaxed),
            disk_bytes: segments.iter().map(|segment| segment.bytes).sum(),
            free_bytes: self.files.free_bytes().ok().flatten().unwrap_or(0),
        }
    }
}

/// Clocks are put right by some seconds now and then.
const CLOCK_BEHIND_MS: u64 = 10_000;
/// A hub may be down for a night.
const CLOCK_AHEAD_MS: u64 = 86_400_000;
/// So long nothing more is said of history that cannot be read.
const WARNED_FOR_MS: u64 = 60_000;
/// So long the hub waits for what is being stored when it ends.
const CLOSE_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tidewire_hub_core::log::rows::writing::Scribe;
    use tidewire_hub_core::log::rows::{State, TopicRow};
    use tidewire_protocol::number::Offset;

    use super::*;
    use crate::disk::opening::fixture::{Log, append};

    #[test]
    fn a_clock_that_is_wrong_is_told_by_how_much() {
        let now = Millis(1_800_000_000_000);
        let said = |given: u64| said_of_clock(now, Millis(given)).unwrap_or_default();
        for given in [0, now.0, now.0 - 86_399_999, now.0 + 10_000] {
            assert_eq!(said(given), "");
        }
        for (given, parts) in [
            (now.0 + 60_000, ["is from 60 seconds ahead", "up to 16 times"]),
            (now.0 + 10 * 3_600_000, ["is from 10 hours ahead", "up to 2 times"]),
            (now.0 - 3 * 86_400_000, ["clock is 3 days ahead of", "history is taken for too old"]),
        ] {
            assert!(parts.iter().all(|part| said(given).contains(part)), "{}", said(given));
        }
    }

    /// What told how all stood is gone, so the log has another identity; the hub that finds it stores one commit, and is killed.
    #[test]
    fn a_lost_beginning_is_known_from_the_first_commit_on() {
        let log = Log::new();
        let (mut store, ..) = log.start();
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        scribe.state(&State { epoch: Epoch(1), ..State::default() });
        for number in 1..=20 {
            let (gone, last, removals_gone) = (Offset(0), Offset(1), Offset(0));
            scribe.topic(&TopicRow { number, name: "a.topic", gone, last, removals_gone });
        }
        append(&mut store, &body).unwrap();
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        scribe.state(&State { epoch: Epoch(1), ..State::default() });
        scribe.told(1);
        append(&mut store, &body).unwrap();
        std::fs::remove_file(log.segment(1)).unwrap();
        drop(store);

        let Opened { opening, epoch, known_losses, secret, .. } =
            Opened::read(&log.folder, &[], Millis(0)).unwrap();
        assert_ne!(epoch, Epoch(1));
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        scribe.state(&State { epoch, secret, ..State::default() });
        known_losses.iter().for_each(|loss| scribe.known_loss(*loss));
        append(&mut opening.start().unwrap(), &body).unwrap();
        assert_eq!(Opened::read(&log.folder, &[], Millis(0)).unwrap().epoch, epoch);
    }
}
