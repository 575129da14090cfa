//! What operators see of a shard's connections, some places at a time, and how they send one away.

use std::sync::Arc;

use crate::clock::Millis;
use crate::dialect::Dialect;
use crate::ledger::AccountKey;
use crate::shard::Shard;
use crate::shard::ending::Ending;
use crate::shard::wire::ConnectionId;

/// Which connections are looked for, and where.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// The first place to look at.
    pub from: u32,
    /// How many places, at most.
    pub looks: usize,
    /// How many connections, at most.
    pub count: usize,
    /// Of this subject; of all without one.
    pub subject: Option<Arc<str>>,
    /// Of whoever has this address; of all without one.
    pub account: Option<AccountKey>,
}

/// What a look has found.
#[derive(Debug, Default)]
pub struct Found {
    /// Connections, by their places.
    pub connections: Vec<Seen>,
    /// The place to go on from; `None` if there are no more.
    pub next: Option<u32>,
    /// Places that were looked at.
    pub looks: usize,
}

/// A connection as operators see it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seen {
    /// Which.
    pub who: Which,
    /// Whose address it is from.
    pub account: AccountKey,
    /// Whom its token speaks of.
    pub subject: Option<Arc<str>>,
    /// What its token says of it to whoever sees it, a JSON object.
    pub info: Option<Arc<str>>,
    /// What the client calls itself.
    pub agent: Option<Arc<str>>,
    /// When it came, by the steady clock.
    pub since: Millis,
    /// What it speaks.
    pub dialect: Dialect,
    /// Names that it is subscribed to.
    pub subscriptions: usize,
    /// Bytes that its socket has not taken.
    pub unread_bytes: usize,
}

/// A connection of a shard, told from those that had its place before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Which {
    /// Its place.
    pub slot: u32,
    /// Which in this place.
    pub generation: u32,
}

impl Shard {
    /// Looks at some places. Whoever is being sent away is not there any more.
    #[must_use]
    pub fn look(&self, wanted: &Wanted) -> Found {
        let mut found = Found::default();
        let places = self.connections.capacity() as u32;
        for slot in wanted.from..places {
            if found.looks == wanted.looks || found.connections.len() == wanted.count {
                found.next = Some(slot);
                break;
            }
            found.looks += 1;
            found.connections.extend(self.see(slot, wanted));
        }
        found
    }

    /// Ends a connection, and says so; `false` if it is not there any more.
    pub fn dismiss(&mut self, now: Millis, Which { slot, generation }: Which, again: bool) -> bool {
        let connection = self.connections.get(slot as usize);
        if connection.is_none_or(|it| it.generation != generation || it.closing.is_some()) {
            return false;
        }
        self.close(now, ConnectionId(slot), Ending::Operator { again });
        true
    }

    fn see(&self, slot: u32, wanted: &Wanted) -> Option<Seen> {
        let connection = self.connections.get(slot as usize).filter(|it| it.closing.is_none())?;
        let (subject, account) = (connection.session.caller().subject(), connection.account.key());
        if wanted.account.is_some_and(|wanted| wanted != account)
            || wanted.subject.as_ref().is_some_and(|wanted| Some(wanted) != subject)
        {
            return None;
        }
        Some(Seen {
            who: Which { slot, generation: connection.generation },
            account,
            subject: subject.cloned(),
            info: connection.session.caller().pass().and_then(|pass| pass.info.clone()),
            agent: connection.session.agent().cloned(),
            since: connection.since,
            dialect: connection.dialect,
            subscriptions: connection.names,
            unread_bytes: connection.outbox.len() + connection.half_rest().map_or(0, <[u8]>::len),
        })
    }
}
