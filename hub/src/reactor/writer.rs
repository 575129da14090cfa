//! The thread that stores what is published to the durable log: a commit takes what has gathered while the one before it was
//! written and synced. No shard ever waits for the disk.

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tidewire_hub_core::frames;
use tidewire_hub_core::log::engine::Takes;
use tidewire_hub_core::topics::Topics;
use tidewire_hub_core::topics::durable::Committer;
use tracing::{error, info, warn};

use crate::disk::store::{AppendError, Spare, Store};
use crate::reactor::FatalEnd;
use crate::reactor::clock::Clock;
use crate::reactor::storing::Storing;
use crate::reactor::tidier::{Chore, Tidier};

/// Owns the files of the durable log.
pub(super) struct Writer {
    topics: Arc<Topics>,
    store: Store,
    committer: Committer,
    state: Arc<Storing>,
    frame: Vec<u8>,
    chores: Sender<Chore>,
    spares: Receiver<Spare>,
    /// When room was looked for last.
    looked_at: Option<Instant>,
}

impl Writer {
    pub(super) fn new(
        topics: Arc<Topics>,
        store: Store,
        committer: Committer,
        state: Arc<Storing>,
        clock: Clock,
    ) -> io::Result<Self> {
        let (chores, taken) = channel();
        let (made, spares) = channel();
        let tidier = Tidier::new(Arc::clone(&topics), store.files(), store.segment_bytes(), clock)?;
        thread::Builder::new().name("tidier".into()).spawn(move || {
            let fatal = FatalEnd;
            tidier.run(&taken, &made);
            std::mem::forget(fatal);
        })?;
        let frame = Vec::new();
        Ok(Self { topics, store, committer, state, frame, chores, spares, looked_at: None })
    }

    /// Stores what comes, until somebody has it end.
    pub(super) fn run(mut self, woken: &Receiver<()>) {
        loop {
            while self.store_one() {}
            if let Some(done) = self.state.closing.lock().unwrap_or_else(PoisonError::into_inner).take() {
                if let Err(error) = self.store.close() {
                    warn!(target: "storage", "the log did not end in good order: {error}");
                }
                let _ = done.send(());
                return;
            }
            if woken.recv_timeout(LOOK) == Err(RecvTimeoutError::Disconnected) {
                return;
            }
        }
    }

    /// Stores a commit; whether there may be another.
    fn store_one(&mut self) -> bool {
        self.look_for_room();
        if self.state.has_failed.load(Ordering::Relaxed) {
            return false;
        }
        self.take_spares();
        self.frame.clear();
        frames::begin(&mut self.frame);
        if !self.committer.take(&self.topics, self.store.next().0, &mut self.frame) {
            return false;
        }
        let begun = Instant::now();
        let appended = self.store.append(&mut self.frame);
        let micros = u64::try_from(begun.elapsed().as_micros()).unwrap_or(u64::MAX);
        self.frame.shrink_to(KEPT_BYTES);
        match appended {
            Ok(appended) => {
                self.state.commits.fetch_add(1, Ordering::Relaxed);
                self.state.commit_bytes.fetch_add(self.frame.len() as u64, Ordering::Relaxed);
                self.state.commit_micros.fetch_add(micros, Ordering::Relaxed);
                let (is_more, told_since) = self.committer.stored(&self.topics);
                if appended.begins_segment {
                    self.committer.tell_anew(self.store.next().0);
                }
                if let Some(order) = self.store.spare_order() {
                    let _ = self.chores.send(Chore::Spare(order));
                }
                if let Some(since) = told_since {
                    let _ = self.chores.send(Chore::Told { since });
                }
                is_more
            }
            Err(AppendError::Full) => {
                self.committer.not_stored(&self.topics, self.store.next().0);
                self.is_full(true, true);
                false
            }
            // Nobody's fault but that of whoever set the limits so high: the next commit may be shorter.
            Err(AppendError::TooLong(error)) => {
                self.committer.not_stored(&self.topics, self.store.next().0);
                error!(
                    target: "storage",
                    "{error}: its publishes are refused. Lower `limits.message_bytes_max` and `limits.frame_bytes_max`"
                );
                false
            }
            Err(error) => {
                self.state.has_failed.store(true, Ordering::Relaxed);
                self.committer.in_doubt(&self.topics);
                error!(
                    target: "storage",
                    "{error}. Nothing more is stored: reads and topics in memory go on, and a start of the hub finds out what \
                     the disk has"
                );
                false
            }
        }
    }

    /// Takes over segments that were made ahead.
    fn take_spares(&mut self) {
        while let Ok(spare) = self.spares.try_recv() {
            if let Err(error) = self.store.keep_spare(spare) {
                warn!(target: "storage", "a segment that was made ahead cannot be used: {error}");
            }
        }
    }

    /// Takes no messages while the disk is nearly full.
    fn look_for_room(&mut self) {
        if self.looked_at.is_some_and(|at| at.elapsed() < LOOK) {
            return;
        }
        self.looked_at = Some(Instant::now());
        if !self.store.files().are_there() {
            return self.stop_without_files();
        }
        if let Ok(Some(free)) = self.store.files().free_bytes() {
            self.is_full(free < FREE_BYTES_MIN, free < FREE_BYTES_MIN / 2);
        }
        let _ = self.chores.send(Chore::Look);
    }

    /// Somebody has removed the directory, or mounted something else over it: what is written from now on nobody finds again.
    fn stop_without_files(&mut self) {
        if !self.state.has_failed.swap(true, Ordering::Relaxed) {
            // No commit is under way: what waits is given up, and may be sent again.
            self.committer.in_doubt(&self.topics);
            error!(
                target: "storage",
                "the data directory is not there any more. Nothing more is stored: reads and topics in memory go on, until the \
                 hub is started again"
            );
        }
    }

    /// Takes no messages, and where very little is left nothing that clients bring: there has to be room to tidy up.
    fn is_full(&mut self, is_full: bool, is_very_full: bool) {
        let takes = match (is_full, is_very_full) {
            (_, true) => Takes::NoPublishes,
            (true, false) => Takes::NoMessages,
            (false, false) => Takes::All,
        };
        self.committer.set_takes(&self.topics, takes);
        if self.state.is_full.swap(is_full, Ordering::Relaxed) == is_full {
            return;
        }
        if is_full {
            warn!(
                target: "storage",
                "the disk is nearly full: publishes to durable topics are refused, and may be tried again, until {} MB are free",
                FREE_BYTES_MIN >> 20
            );
        } else {
            info!(target: "storage", "the disk has room again: publishes to durable topics are taken");
        }
    }
}

/// How often room is looked for, and whatever else is due.
const LOOK: Duration = Duration::from_secs(1);
/// Below that no messages are taken, so that there is room to tidy up, and for what else is on that disk.
const FREE_BYTES_MIN: u64 = 128 << 20;
/// Room for a commit that is kept.
const KEPT_BYTES: usize = 8 << 20;
