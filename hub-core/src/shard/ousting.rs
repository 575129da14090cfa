//! Bearers of tokens that stand no longer are sent away, some at a time; no other connection is touched.

use crate::clock::Millis;
use crate::credentials::standing::StandingEdition;
use crate::mutant::{self, Mutant};
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::wire::ConnectionId;

/// How far a shard has asked of its connections' tokens whether they stand.
#[derive(Debug, Default)]
pub(super) struct Ousting {
    /// As of then.
    edition: StandingEdition,
    /// The next connection's slot.
    next: usize,
    /// Slots that are still to be looked at: once round since the last change, from wherever that came, so that changes
    /// that come again and again leave nobody out.
    left: usize,
}

impl Ousting {
    /// All of a shard that begins then.
    #[must_use]
    pub(super) fn new(edition: StandingEdition) -> Self {
        Self { edition, ..Self::default() }
    }

    /// Whether there is something to ask.
    #[must_use]
    pub(super) fn has_work(&self, edition: StandingEdition) -> bool {
        self.left > 0 || self.edition != edition
    }
}

impl Shard {
    /// Looks at some connections, and ends those whose tokens do not stand.
    pub(super) fn oust(&mut self, now: Millis) {
        let standing = self.topics.credentials().standing();
        let (edition, slots) = (standing.edition(), self.connections.capacity());
        if self.ousting.edition != edition {
            // Whoever was looked at before may have to go by now.
            (self.ousting.edition, self.ousting.left) = (edition, slots);
        }
        let Ousting { mut next, left, .. } = self.ousting;
        let mut gone = Vec::new();
        let looked = standing.with(|standing| {
            for looked in 0..left.min(LOOKS_A_TURN) {
                if gone.len() == ENDS_A_TURN {
                    return looked;
                }
                next = if next < slots { next } else { 0 };
                let connection = self.connections.get(next).filter(|connection| connection.closing.is_none());
                let pass = connection.and_then(|connection| connection.session.caller().pass());
                if let Some(Err(bad)) = pass.map(|pass| standing.check(pass)) {
                    gone.push((ConnectionId(next as u32), bad));
                }
                next += 1;
            }
            left.min(LOOKS_A_TURN)
        });
        (self.ousting.next, self.ousting.left) = (next, left - looked);
        if mutant::active(Mutant::RevokedBearerKept) {
            return;
        }
        for (id, bad) in gone {
            self.topics.metrics().bad_tokens.add(bad.number(), 1);
            self.close(now, id, Ending::Token(bad));
        }
    }
}

/// Connections looked at, and ended, in one turn.
const LOOKS_A_TURN: usize = 256;
const ENDS_A_TURN: usize = 64;
