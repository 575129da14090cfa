//! A durable log is stored: a commit is taken, written in pieces, synced, noted in `HEAD` and answered, each a step of its own
//! between which anything may happen.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::log::engine::Takes;
use tidewire_hub_core::topics::durable::Committer;

use crate::random::Random;
use crate::setup::Setup;
use crate::world::World;
use crate::world::disk::{Crash, Disk};
use crate::world::event::Event;
use crate::world::fetching::Look;

/// Whoever has the disk.
#[derive(Debug)]
pub struct Storing {
    /// What outlives the hub.
    pub disk: Disk,
    /// The log.
    pub log: u8,
    /// Chance, apart from that for all else.
    pub(crate) random: Random,
    /// While a hub lives.
    committer: Option<Committer>,
    work: Work,
    wakes: Arc<AtomicBool>,
    is_due: bool,
    /// A read of it that is under way.
    pub(crate) look: Option<Look>,
    pub(crate) fetch_due: bool,
    is_full: bool,
    /// A sync failed: nothing more is stored until the hub is started again.
    pub(crate) has_failed: bool,
    /// Nothing happens until told.
    pub is_held: bool,
    /// How hubs end; by chance if that is not said.
    pub crash: Option<Crash>,
    damages: bool,
    /// The power failed since the last start, so `HEAD` may say less than what was answered: where bytes are damaged as well,
    /// nobody can tell that something answered is lost.
    lost_power: bool,
}

/// What comes next.
#[derive(Debug)]
enum Work {
    /// To take a commit, if there is one.
    Take,
    /// To write the rest of a frame.
    Write { frame: Vec<u8>, at: usize, body: Vec<u8> },
    /// To have it safe.
    Sync { body: Vec<u8> },
    /// To say in `HEAD` that it is answered.
    Head { body: Vec<u8> },
    /// To answer.
    Answer,
}

impl Storing {
    /// An empty disk, if a log of the world is durable.
    #[must_use]
    pub fn new(setup: &Setup) -> Option<Self> {
        let log = setup.durable?;
        let mut random = Random::new(setup.seed ^ DISK_SEED);
        Some(Self {
            disk: Disk::new(&mut random),
            log,
            committer: None,
            work: Work::Take,
            wakes: Arc::default(),
            is_due: false,
            look: None,
            fetch_due: false,
            is_full: false,
            has_failed: false,
            is_held: false,
            crash: None,
            damages: setup.damages,
            lost_power: false,
            random,
        })
    }

    /// A hub has opened the disk.
    pub(crate) fn begin(&mut self, losses: Vec<u64>) -> Arc<AtomicBool> {
        self.committer = Some(Committer::new(self.log, [7; 32], losses, self.disk.next.0));
        (self.work, self.is_full, self.has_failed, self.lost_power) = (Work::Take, false, false, false);
        self.wakes = Arc::new(AtomicBool::new(true));
        Arc::clone(&self.wakes)
    }

    /// The hub has ended.
    pub(crate) fn end(&mut self) -> Crash {
        let by_chance = if self.random.one_in(2) { Crash::Killed } else { Crash::PowerLoss };
        let crash = self.crash.unwrap_or(by_chance);
        self.committer = None;
        self.work = Work::Take;
        self.disk.crash(crash, &mut self.random);
        self.lost_power |= crash == Crash::PowerLoss;
        if self.damages && !self.lost_power && self.random.one_in(3) {
            self.disk.damage(&mut self.random);
        }
        crash
    }

    fn has_work(&self) -> bool {
        let is_idle = matches!(self.work, Work::Take) && !self.wakes.load(Ordering::Relaxed);
        self.committer.is_some() && !self.has_failed && !is_idle
    }
}

impl World {
    /// Plans the next step of storing, if there is one to be made.
    pub(crate) fn plan_storing(&mut self) {
        let is_calm = self.calm;
        let Some(storing) = &mut self.storing else { return };
        if storing.is_due || storing.is_held || !storing.has_work() {
            return;
        }
        storing.is_due = true;
        let is_slow = !is_calm && storing.random.one_in(60);
        let wait = storing.random.below(if is_slow { 3_000 } else { 4 });
        self.after(wait, Event::Store);
    }

    pub(crate) fn store_on(&mut self) {
        let Some(storing) = &mut self.storing else { return };
        storing.is_due = false;
        if !storing.is_held && storing.has_work() && self.hub.is_some() {
            self.storing_step();
        }
    }

    /// One step of storing; `false` if there is nothing to do.
    pub fn storing_step(&mut self) -> bool {
        let Some(storing) = &mut self.storing else { return false };
        if !storing.has_work() || self.hub.is_none() {
            return false;
        }
        match std::mem::replace(&mut storing.work, Work::Take) {
            Work::Take => self.take_commit(),
            Work::Write { frame, at, body } => self.write_some(frame, at, body),
            Work::Sync { body } => self.sync_commit(body),
            Work::Head { body } => {
                storing.disk.answer(&body);
                storing.work = Work::Answer;
            }
            Work::Answer => self.answer_commit(),
        }
        self.after_step();
        true
    }

    fn take_commit(&mut self) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        let Some(committer) = &mut storing.committer else { return };
        storing.wakes.store(false, Ordering::Relaxed);
        if storing.disk.is_full(self.setup.segment_bytes) {
            storing.disk.begin_segment();
            committer.tell_anew(storing.disk.next.0);
        }
        let mut body = Vec::new();
        if committer.take(&hub.topics, storing.disk.next.0, &mut body) {
            let frame = storing.disk.frame(&body);
            let (number, bytes) = (storing.disk.next, body.len());
            storing.work = Work::Write { frame, at: 0, body };
            self.note(|| format!("commit {number} is taken, {bytes} bytes"));
        }
    }

    fn write_some(&mut self, frame: Vec<u8>, at: usize, body: Vec<u8>) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        let Storing { disk, random, committer: Some(committer), .. } = storing else { return };
        if !self.calm && random.one_in(300) {
            disk.cut_back();
            committer.not_stored(&hub.topics, disk.next.0);
            committer.set_takes(&hub.topics, Takes::NoMessages);
            storing.wakes.store(true, Ordering::Relaxed);
            storing.is_full = true;
            self.tally.faults += 1;
            let wait = self.random.magnitude(10, 20_000);
            self.after(wait, Event::Room);
            return self.note(|| "the disk is full");
        }
        let rest = frame.len() - at;
        let some = if random.one_in(3) { random.between(1, rest as u64) as usize } else { rest };
        disk.write(&frame[at..at + some]);
        storing.work =
            if some < rest { Work::Write { frame, at: at + some, body } } else { Work::Sync { body } };
    }

    /// There is room on the disk again.
    pub(crate) fn room_again(&mut self) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        if !std::mem::take(&mut storing.is_full) {
            return;
        }
        if let Some(committer) = &storing.committer {
            committer.set_takes(&hub.topics, Takes::All);
        }
        self.note(|| "the disk has room");
    }

    fn sync_commit(&mut self, body: Vec<u8>) {
        let is_calm = self.calm;
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        // Whoever calls without a key asks once, and so is the one whom a wrong answer harms.
        let odds = if hub.calls.count() > 0 { 20 } else { 400 };
        if !is_calm && storing.random.one_in(odds) {
            return self.fail_sync();
        }
        storing.disk.sync(true);
        storing.work = Work::Head { body };
    }

    /// The sync of the commit that is under way fails, and may have landed or not. The hub is soon started again.
    pub fn fail_sync(&mut self) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        let Some(committer) = &mut storing.committer else { return };
        let has_landed = storing.random.one_in(2);
        storing.disk.sync(has_landed);
        committer.in_doubt(&hub.topics);
        (storing.has_failed, storing.work) = (true, Work::Take);
        self.tally.faults += 1;
        self.note(|| format!("a sync fails, landed {has_landed}"));
        let wait = self.random.magnitude(100, 20_000);
        self.after(wait, Event::Failed);
    }

    /// The hub whose log has failed is stopped.
    pub(crate) fn stop_failed(&mut self) {
        if self.hub.is_some() && self.storing.as_ref().is_some_and(|storing| storing.has_failed) {
            self.crash_hub();
            let wait = if self.calm { 0 } else { self.random.magnitude(10, 5_000) };
            self.after(wait, Event::HubUp);
        }
    }

    fn answer_commit(&mut self) {
        let (Some(storing), Some(hub)) = (&mut self.storing, &self.hub) else { return };
        let Some(committer) = &mut storing.committer else { return };
        let (more, since) = committer.stored(&hub.topics);
        if more {
            storing.wakes.store(true, Ordering::Relaxed);
        }
        if let Some(since) = since {
            self.tidy_some(since);
        }
    }

    /// Everything is stored, and the disk is closed in good order.
    pub(crate) fn close_disk(&mut self) {
        while self.storing_step() {
            if self.storing.as_ref().is_some_and(|storing| storing.is_full) {
                break;
            }
        }
        if let Some(storing) = &mut self.storing
            && !storing.has_failed
        {
            storing.disk.close();
        }
    }
}

/// Sets the chance for disks apart.
const DISK_SEED: u64 = 0xd15c;
