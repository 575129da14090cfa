//! Runs of many worlds: until enough hours are lived, or until a seeded bug is caught.

use std::panic::{AssertUnwindSafe, catch_unwind};

use tidewire_client_core::mutant as client;
use tidewire_hub_core::mutant as hub;

use crate::setup::Setup;
use crate::world::{Tally, World};

/// A bug that can be seeded, in the hub or in the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutant {
    /// In the hub.
    Hub(hub::Mutant),
    /// In the client.
    Client(client::Mutant),
}

/// What became of one world.
#[derive(Debug)]
pub struct Verdict {
    /// The world's seed.
    pub seed: u64,
    /// What was counted.
    pub tally: Tally,
    /// What did not fit, if anything.
    pub violation: Option<String>,
    /// What happened, if that was asked for.
    pub trace: Vec<String>,
}

impl Mutant {
    /// All of them.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let hubs = hub::Mutant::ALL.iter().map(|mutant| Self::Hub(*mutant));
        hubs.chain(client::Mutant::ALL.iter().map(|mutant| Self::Client(*mutant))).collect()
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> String {
        match self {
            Self::Hub(mutant) => format!("hub::{mutant:?}"),
            Self::Client(mutant) => format!("client::{mutant:?}"),
        }
    }
}

/// Switches a bug on for this thread, or all off.
pub fn seed_bug(mutant: Option<Mutant>) {
    hub::set(match mutant {
        Some(Mutant::Hub(mutant)) => Some(mutant),
        Some(Mutant::Client(_)) | None => None,
    });
    client::set(match mutant {
        Some(Mutant::Client(mutant)) => Some(mutant),
        Some(Mutant::Hub(_)) | None => None,
    });
}

/// Lives through the world of a seed.
#[must_use]
pub fn live(seed: u64, mutant: Option<Mutant>, traced: bool) -> Verdict {
    seed_bug(mutant);
    let mut world = World::new(Setup::random(seed));
    world.trace = traced.then(Vec::new);
    if mutant == Some(Mutant::Hub(hub::Mutant::EpochKeptOverRestart)) {
        world.keep_epoch();
    }
    let run = || {
        world.run();
        world.end_hub();
    };
    let panicked = catch_unwind(AssertUnwindSafe(run)).err().map(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        format!("panic: {}", text.unwrap_or_default())
    });
    seed_bug(None);
    let violation = panicked.or_else(|| world.oracle.violation().map(str::to_owned));
    Verdict { seed, tally: world.tally, violation, trace: world.trace.take().unwrap_or_default() }
}

/// The first seed from `first` on, among `worlds`, whose world catches a seeded bug, and how.
#[must_use]
pub fn hunt(mutant: Mutant, first: u64, worlds: u64) -> Option<Verdict> {
    (first..first + worlds)
        .map(|seed| live(seed, Some(mutant), false))
        .find(|world| world.violation.is_some())
}

impl Tally {
    /// Adds another's counts.
    pub fn add(&mut self, other: &Self) {
        self.client_ms += other.client_ms;
        self.published += other.published;
        self.heard += other.heard;
        self.pages += other.pages;
        self.faults += other.faults;
        self.steps += other.steps;
    }

    /// Hours lived by clients.
    #[must_use]
    pub fn hours(&self) -> f64 {
        self.client_ms as f64 / 3_600_000.0
    }
}
