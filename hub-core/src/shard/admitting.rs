//! What became of tokens: who waited is let in or sent away, who goes on by a later one is asked anew what it may.

use std::sync::Arc;

use crate::clock::Millis;
use crate::credentials::{Checked, Unwelcome};
use crate::letter::Serial;
use crate::session::replies::Replies;
use crate::session::sign_in::Admission;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::post::addressed;
use crate::shard::wire::{ConnectionId, Wire};

impl Shard {
    /// Tells some of those whose tokens were checked; `true` if there may be more.
    pub(super) fn hand_over_checks(&mut self, now: Millis, wire: &mut impl Wire) -> bool {
        let checked = self.topics.credentials().take(self.index, CHECKS_A_TURN);
        let count = checked.len();
        for checked in checked {
            self.admit(now, checked, wire);
        }
        count == CHECKS_A_TURN
    }

    fn admit(&mut self, now: Millis, checked: Checked, wire: &mut impl Wire) {
        let Checked { address, verdict } = checked;
        let (id, topics) = (ConnectionId(address.slot), Arc::clone(&self.topics));
        if let Err(Unwelcome::Token(bad)) = verdict {
            topics.metrics().bad_tokens.add(bad.number(), 1);
        }
        let Some(connection) = addressed(&mut self.connections, address) else { return };
        let mut replies = Replies::new(connection.dialect);
        let own = address.with(Serial::default());
        let (session, mut desk) = connection.at_desk(own, &topics, &mut self.gathered, &mut replies);
        match session.checked(now, address.serial, verdict, &mut desk) {
            Ok(Admission::Nothing) => return,
            Ok(Admission::Welcome { mut behind }) => {
                self.listen(now, id, &mut behind, false, replies);
                wire.resume(id);
            }
            Ok(Admission::GoesOn { differs }) => {
                replies.seal(&mut connection.outbox, topics.metrics());
                self.end_by_token(id);
                if differs {
                    self.revoking.revisit(id);
                }
            }
            Err(Unwelcome::Token(bad)) => self.close(now, id, Ending::Token(bad)),
            Err(Unwelcome::Code(code)) => self.close(now, id, Ending::Code(code)),
        }
        self.was_told(now, id);
    }
}

/// Tokens whose bearers are told in one turn: each may have sent some frames behind it.
const CHECKS_A_TURN: usize = 8;
