//! What a durable log has to say is gathered into commits: how it stands, what is not to be forgotten, and what waits.
//!
//! Whoever has the disk owns the [`Committer`]. It asks for a commit, stores it, and says how that went; one at a time.
//! How things stand is told anew, bit by bit, beside what is published: what was told before that is then not needed.

use std::collections::BTreeMap;
use std::sync::{Arc, Weak};

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::Offset;

use crate::log::engine::Takes;
use crate::log::rows::writing::Scribe;
use crate::log::rows::{ProducerRow, State, TopicRow};
use crate::log::sequencer::Sequencer;
use crate::mutant::{self, Mutant};
use crate::sync::lock;
use crate::tail::restoring::Bounds;
use crate::topic::Topic;
use crate::topics::Topics;
use crate::trie::Progress;

/// Gathers commits of one log.
#[derive(Debug)]
pub struct Committer {
    log: u8,
    secret: [u8; 32],
    /// What is missing on the disk, and was told by another epoch.
    known_losses: Vec<u64>,
    /// How far the log has told how it stands; `None` once all is told.
    telling: Option<Telling>,
    /// The commit that is under way, if there is one.
    under_way: Option<Commit>,
}

/// A commit that is under way.
#[derive(Debug, Clone, Copy)]
struct Commit {
    /// With it all is told that stands since some commit.
    tells_all_since: Option<u64>,
}

/// How far it has come to tell how the log stands.
#[derive(Debug)]
struct Telling {
    /// The number of the commit that began with that.
    since: u64,
    names: Progress,
    /// The next window; `None` once all are told.
    windows: Option<u32>,
}

impl Telling {
    const fn from(since: u64) -> Self {
        Self { since, names: Progress::Start, windows: Some(0) }
    }
}

/// What a durable log has to say of some names.
#[derive(Debug, Default)]
struct Names {
    topics: Vec<(u64, TopicName, Bounds)>,
    gone: Vec<(TopicName, Offset)>,
    floor: Offset,
    progress: Progress,
}

impl Committer {
    /// For a log whose next commit has this number: it begins by telling how the log stands, and which losses are known.
    #[must_use]
    pub const fn new(log: u8, secret: [u8; 32], known_losses: Vec<u64>, next: u64) -> Self {
        Self { log, secret, known_losses, telling: Some(Telling::from(next)), under_way: None }
    }

    /// A new file was begun: from the next commit on, which has this number, all is told anew, unless that is under way already.
    pub fn tell_anew(&mut self, next: u64) {
        self.telling.get_or_insert(Telling::from(next));
    }

    /// Writes the rows of the next commit into `body`; `false` if there is nothing to store.
    pub fn take(&mut self, topics: &Topics, number: u64, body: &mut Vec<u8>) -> bool {
        debug_assert!(self.under_way.is_none(), "one commit is under way at a time");
        let before = body.len();
        let mut scribe = Scribe::new(body);
        let names = self.telling.as_ref().map(|telling| topics.names_stored(self.log, telling));
        let mut log = topics.log(self.log).lock();
        let mut tells_all_since = None;
        let begins = self.telling.as_ref().is_some_and(|telling| telling.since == number);
        if log.reserve() || begins {
            let ((last, given), epoch) = (log.stands(), log.epoch);
            scribe.state(&State { epoch, last, given, secret: self.secret });
            self.known_losses.iter().for_each(|loss| scribe.known_loss(*loss));
        }
        if let Some(telling) = self.telling.as_mut() {
            let names = names.unwrap_or_default();
            // Names that were forgotten while others were told are in the floor as it is now.
            let floor = names.floor;
            telling.go_on(names, &log, &mut scribe);
            if telling.is_done() {
                scribe.floor(floor);
                scribe.told(telling.since);
                tells_all_since = Some(telling.since);
            }
        }
        log.commit(&mut scribe, COMMIT_BYTES);
        drop(log);
        if mutant::active(Mutant::AckBeforeStored) {
            topics.show_stored(self.log);
        }
        if body.len() == before {
            return false;
        }
        self.under_way = Some(Commit { tells_all_since });
        true
    }

    /// The commit is stored. Tells whether there may be another to take, and if all that stands was told since a commit:
    /// what was told before that one is not needed any more, but for messages.
    pub fn stored(&mut self, topics: &Topics) -> (bool, Option<u64>) {
        let tells_all_since = self.under_way.take().and_then(|commit| commit.tells_all_since);
        if let Some(since) = tells_all_since {
            self.telling = None;
            lock(&topics.names).told(since);
        }
        topics.with_log(self.log, |log| {
            log.windows.end_commit(true);
            log.end_reserving(true);
        });
        topics.show_stored(self.log);
        (self.telling.is_some() || topics.log(self.log).lock().has_waiting(), tells_all_since)
    }

    /// Nothing of the commit is on the disk, and there may be room later: its publishers may try again.
    pub fn not_stored(&mut self, topics: &Topics, next: u64) {
        self.under_way = None;
        // What it said of how the log stands is to be said again.
        self.telling = Some(Telling::from(next));
        topics.with_log(self.log, Sequencer::give_up_commit);
    }

    /// The disk may hold the commit, or not. The log takes nothing more.
    pub fn in_doubt(&mut self, topics: &Topics) {
        self.under_way = None;
        topics.with_log(self.log, Sequencer::doubt_commit);
    }

    /// What the log takes from now on.
    pub fn set_takes(&self, topics: &Topics, takes: Takes) {
        topics.with_log(self.log, |log| log.set_takes(takes));
    }
}

impl Telling {
    fn is_done(&self) -> bool {
        self.names == Progress::Done && self.windows.is_none()
    }

    /// Tells some more.
    fn go_on(&mut self, names: Names, log: &Sequencer, scribe: &mut Scribe<'_>) {
        for (number, name, bounds) in &names.topics {
            let Bounds { gone, last, removals_gone } = *bounds;
            scribe.topic(&TopicRow { number: *number, name: name.as_str(), gone, last, removals_gone });
        }
        for (name, last) in &names.gone {
            scribe.gone(name.as_str(), *last);
        }
        self.names = names.progress;
        // Each may have very many outcomes.
        for _ in 0..TOLD_WINDOWS / TOLD_AT_ONCE {
            let Some(slot) = self.windows.filter(|_| scribe.len() < COMMIT_BYTES) else { return };
            let (windows, next) = log.windows.lasting_from(slot, TOLD_AT_ONCE);
            for (window, incarnation, home) in windows {
                let (id, subject) = (home.producer.id, home.producer.subject.as_deref());
                let producer = scribe.producer(&ProducerRow { id, incarnation, subject });
                scribe.window(producer, &home.topic, window);
            }
            self.windows = next;
        }
    }
}

impl Topics {
    /// Has `wake` called when a durable log has something to store.
    pub fn on_commit(&self, wake: Box<dyn Fn() + Send + Sync>) {
        let _ = self.writer.set(wake);
    }

    pub(super) fn wake_writer(&self) {
        if let Some(wake) = self.writer.get() {
            wake();
        }
    }

    /// What a durable log has to say of the next names.
    fn names_stored(&self, log: u8, telling: &Telling) -> Names {
        let mut found = Names::default();
        let (mut listed, mut went) = (Vec::new(), Vec::new());
        let names = lock(&self.names);
        found.progress = match &telling.names {
            Progress::Done => Progress::Done,
            progress => names.list_stored(
                log,
                progress,
                |topic| listed.push(Arc::clone(topic)),
                |going, last| went.push((going, last)),
            ),
        };
        found.floor = names.floor(log);
        let name = |(going, last)| names.gone_name(going).map(|name| (name.clone(), last));
        found.gone = went.into_iter().filter_map(name).collect();
        drop(names);
        for topic in listed {
            let bounds = topic.tail.tell_bounds(telling.since);
            let last = bounds.last;
            match topic.stored.number() {
                Some(number) => found.topics.push((number, topic.name.clone(), bounds)),
                // It came back, and nothing of that is stored: its name still stands for what went.
                None if last > Offset(0) => found.gone.push((topic.name.clone(), last)),
                None => {}
            }
        }
        found
    }

    /// The topics of a durable log by the numbers that they have there. A name that went is none of them.
    #[must_use]
    pub fn stored_topics(&self, log: u8) -> BTreeMap<u64, Weak<Topic>> {
        let (mut found, mut progress) = (BTreeMap::new(), Progress::Start);
        while progress != Progress::Done {
            let mut topic = |topic: &Arc<Topic>| {
                found.extend(topic.stored.number().map(|number| (number, Arc::downgrade(topic))));
            };
            progress = lock(&self.names).list_stored(log, &progress, &mut topic, |_, _| ());
        }
        found
    }

    /// Shows and tells what the commit held that is stored.
    fn show_stored(&self, log: u8) {
        while self.with_log(log, Sequencer::show_stored) {}
    }
}

/// Bytes of a commit beyond which nothing more is added: bounds how long publishing waits for it to be written down.
const COMMIT_BYTES: usize = 1 << 20;
/// Windows of which one commit tells how they stand.
const TOLD_WINDOWS: u32 = 1_024;
/// Those that are told before it is asked how long the commit is by now.
const TOLD_AT_ONCE: u32 = 16;
