//! What is found in a durable log before there is a hub: its identity, and from where on all that stands was told anew.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_protocol::number::Epoch;

use crate::log::rows::reading::Rows;
use crate::log::rows::{Row, State};
use crate::mutant::{self, Mutant};

/// What commits say of the log as a whole: to be known before a hub is made.
#[derive(Debug, Clone, Default)]
pub struct Found {
    /// How it stood at its last start; `None` if it never had one.
    pub state: Option<State>,
    /// What was missing then.
    known_losses: BTreeSet<u64>,
    /// All that stands was told in the commits from this one on; 0 before that was done once.
    pub(super) told_since: u64,
    /// The first commit that there is.
    first: Option<u64>,
    /// By the number of each topic, the last commit that names it: of those since.
    pub(super) topics: BTreeMap<u64, u64>,
}

impl Found {
    /// Looks at the next commit, which has this number. What cannot be read in it is for whoever puts it back.
    pub fn see(&mut self, number: u64, body: &[u8]) {
        self.first.get_or_insert(number);
        for row in Rows::new(body).map_while(Result::ok) {
            match row {
                Row::State(state) => {
                    self.state = Some(state);
                    self.known_losses.clear();
                }
                Row::KnownLoss(loss) => drop(self.known_losses.insert(loss)),
                Row::Topic(row) => drop(self.topics.insert(row.number, number)),
                Row::Told(since) => {
                    self.told_since = self.told_since.max(since);
                    self.topics.retain(|_, told| *told >= since);
                }
                Row::Gone(..)
                | Row::Floor(_)
                | Row::Producer(_)
                | Row::Window(_)
                | Row::WindowGone(..)
                | Row::Message(_)
                | Row::Outcome(_) => {}
            }
        }
    }

    /// Whether commits are missing at the beginning without which nobody knows how the log stood.
    fn lacks_its_beginning(&self) -> bool {
        self.first.is_some_and(|first| first > self.told_since.max(1))
    }

    /// The identity that the log has from now on: a new one if it begins, or if something is missing of which that was not
    /// told yet.
    #[must_use]
    pub fn epoch(&self, losses: &[u64], fresh: Epoch) -> Epoch {
        let is_new =
            self.lacks_its_beginning() || losses.iter().any(|loss| !self.known_losses.contains(loss));
        match self.state {
            Some(state) if !is_new || mutant::active(Mutant::EpochKeptThoughLost) => state.epoch,
            _ => fresh,
        }
    }
}
