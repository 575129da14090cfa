//! What connections make the hub hold: answers they do not read, messages they do not finish, blocks that a half-written
//! frame keeps alive. It is charged to their accounts and bounded in all; beyond a bound those go that hold most.

use std::collections::BTreeSet;
use std::sync::Arc;

use tidewire_protocol::code::Code;

use crate::block::Block;
use crate::clock::Millis;
use crate::ledger::{AccountKey, Kind};
use crate::shard::Shard;
use crate::shard::connection::{Connection, Half, HalfSource, Held};
use crate::shard::ending::Ending;
use crate::shard::wire::{ConnectionId, Wire};

/// Who holds something, in one shard.
#[derive(Debug, Default)]
pub struct Holding {
    /// Connections that hold anything; nearly always few.
    holders: BTreeSet<ConnectionId>,
    /// Somebody took more while the hub held too much.
    crowded: bool,
}

/// Bytes that are held in all, of one kind.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Bound {
    Unread,
    HalfReceived,
    Pinned,
    Parting,
}

/// A block that readers keep here, and those of them who are of the account that is charged. The last to go is the least.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Kept {
    /// What the account holds.
    held: usize,
    /// No other account keeps it in this shard.
    alone: bool,
    /// Bytes for each of the readers.
    each: usize,
    bytes: usize,
    ids: Vec<ConnectionId>,
}

impl Holding {
    /// Whether somebody has to go.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.crowded
    }
}

impl Shard {
    /// Charges what a connection holds now. To be called whenever that may have changed.
    pub(super) fn settle(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let (before, held) = (connection.held, connection.holds());
        if before == held {
            return;
        }
        connection.held = held;
        connection.account.change(Kind::Unread, before.unread, held.unread);
        connection.account.change(Kind::HalfReceived, before.half_received, held.half_received);
        if held == Held::default() {
            self.holding.holders.remove(&id);
        } else if before == Held::default() {
            self.holding.holders.insert(id);
        }
        let grew = held.unread > before.unread
            || held.half_received > before.half_received
            || held.pins && !before.pins;
        self.holding.crowded |= grew && Bound::ALL.iter().any(|bound| self.excess(*bound) > 0);
    }

    /// Sends away those who hold most, some of them, until the hub holds no more than it may. Nobody goes whose account
    /// holds less than half of what the heaviest does: that one has connections, and each shard looks after its own.
    pub(super) fn relieve(&mut self, now: Millis, wire: &mut impl Wire) {
        self.holding.crowded = false;
        for bound in Bound::ALL {
            if self.excess(bound) == 0 {
                continue;
            }
            let most = self.topics.ledger().heaviest(bound.kind());
            let at_least = most.map_or(0, |account| account.held(bound.kind())) / 2;
            let goes_on = match bound {
                Bound::Pinned => self.unpin(now, at_least),
                Bound::Unread | Bound::HalfReceived | Bound::Parting => {
                    self.thin_out(now, bound, at_least, wire)
                }
            };
            self.holding.crowded |= goes_on && self.excess(bound) > 0;
        }
    }

    /// Sends away some of those who hold most; `true` if there were any.
    fn thin_out(&mut self, now: Millis, bound: Bound, at_least: usize, wire: &mut impl Wire) -> bool {
        let heaviest = self.heaviest(bound, at_least);
        for id in &heaviest {
            if self.excess(bound) == 0 {
                break;
            }
            self.send_away(now, *id, bound, wire);
        }
        !heaviest.is_empty()
    }

    /// Says goodbye, if that can be said at once. One who does not even take the rest of a long answer is cut off, and so is
    /// who was told already and does not go.
    fn send_away(&mut self, now: Millis, id: ConnectionId, bound: Bound, wire: &mut impl Wire) {
        let Some(connection) = self.connections.get(id.0 as usize) else { return };
        let was_told = connection.closing.is_some();
        self.close(now, id, Ending::Code(bound.code()));
        let Some(connection) = self.connections.get(id.0 as usize) else { return };
        if was_told || matches!(connection.half, Some(Half { source: HalfSource::Own(_), .. })) {
            self.gone(now, id);
            wire.close(id);
        }
    }

    /// Bytes of a kind beyond what may be held.
    fn excess(&self, bound: Bound) -> usize {
        let limits = self.topics.limits();
        let max = match bound {
            Bound::Unread => limits.unread_fit(),
            Bound::HalfReceived => limits.half_received_fit(),
            Bound::Pinned | Bound::Parting => limits.pinned_fit(),
        };
        self.topics.ledger().held(bound.kind()).saturating_sub(max)
    }

    /// Some of those who hold anything, those first whose accounts hold most, and of one account those who do.
    fn heaviest(&self, bound: Bound, at_least: usize) -> Vec<ConnectionId> {
        let weigh = |(id, connection): (ConnectionId, &Connection)| {
            (connection.account.held(bound.kind()), bound.of(connection), id)
        };
        let is_heavy =
            |(account, bytes, _): &(usize, usize, ConnectionId)| *bytes > 0 && *account >= at_least;
        let mut heavy: Vec<_> = self.holders().map(weigh).filter(is_heavy).collect();
        heavy.sort_unstable_by(|a, b| b.cmp(a));
        heavy.into_iter().take(SENT_AWAY_A_TURN).map(|(.., id)| id).collect()
    }

    /// If blocks that only readers keep take too much, those have to resume who are charged for them and whose accounts hold
    /// most of that; of one account first those who alone keep much. `true` if others here keep what was theirs, and are
    /// charged for it now.
    fn unpin(&mut self, now: Millis, at_least: usize) -> bool {
        let mut excess = self.excess(Bound::Pinned);
        let mut goes_on = false;
        for Kept { bytes, ids, alone, .. } in self.kept(at_least) {
            if excess == 0 || self.excess(Bound::Pinned) == 0 {
                break;
            }
            if alone {
                excess = excess.saturating_sub(bytes);
            }
            goes_on |= !alone;
            for id in ids {
                self.close(now, id, Ending::Code(Code::Resume));
            }
        }
        goes_on
    }

    /// Blocks that readers keep whose accounts are charged at least so much, in the order in which they are to be given back.
    fn kept(&self, at_least: usize) -> Vec<Kept> {
        let here = self.holders().filter(|(_, connection)| connection.closing.is_none());
        let mut pins: Vec<_> = here
            .filter_map(|(id, connection)| {
                connection.pin().map(|pin| (pin.block(), connection.account.key(), id))
            })
            .collect();
        pins.sort_unstable_by_key(|(block, _, id)| (Arc::as_ptr(block), *id));
        let weigh = |pins: &[(&Arc<Block>, AccountKey, ConnectionId)]| {
            let (account, bytes) = pins.first()?.0.pinned()?;
            let held = account.held(Kind::Pinned);
            let theirs = pins.iter().filter(|(_, key, _)| *key == account.key());
            let ids: Vec<_> = theirs.map(|(.., id)| *id).collect();
            let each = bytes.checked_div(ids.len())?;
            (bytes > 0 && held >= at_least).then(|| {
                let alone = ids.len() == pins.len();
                Kept { held, alone, each, bytes, ids }
            })
        };
        let mut kept: Vec<_> = pins.chunk_by(|a, b| Arc::ptr_eq(a.0, b.0)).filter_map(weigh).collect();
        kept.sort_unstable_by(|a, b| b.cmp(a));
        kept
    }

    /// A connection is gone: nothing is held for it any more.
    pub(super) fn release(&mut self, id: ConnectionId) {
        let Some(connection) = self.connections.get_mut(id.0 as usize) else { return };
        let held = std::mem::take(&mut connection.held);
        connection.account.release(Kind::Unread, held.unread);
        connection.account.release(Kind::HalfReceived, held.half_received);
        self.holding.holders.remove(&id);
    }

    fn holders(&self) -> impl Iterator<Item = (ConnectionId, &Connection)> {
        let holders = self.holding.holders.iter();
        holders.filter_map(|id| self.connections.get(id.0 as usize).map(|connection| (*id, connection)))
    }
}

impl Bound {
    const ALL: [Self; 4] = [Self::Unread, Self::HalfReceived, Self::Pinned, Self::Parting];

    fn kind(self) -> Kind {
        match self {
            Self::Unread => Kind::Unread,
            Self::HalfReceived => Kind::HalfReceived,
            Self::Pinned => Kind::Pinned,
            Self::Parting => Kind::Parting,
        }
    }

    fn code(self) -> Code {
        match self {
            Self::Unread => Code::TooSlow,
            Self::HalfReceived => Code::Overloaded,
            Self::Pinned | Self::Parting => Code::Resume,
        }
    }

    fn of(self, connection: &Connection) -> usize {
        match self {
            Self::Unread => connection.held.unread,
            Self::HalfReceived => connection.held.half_received,
            Self::Pinned | Self::Parting if connection.closing.is_some() == (self == Self::Parting) => {
                connection.pin().and_then(|pin| pin.block().pinned()).map_or(0, |(_, bytes)| bytes)
            }
            Self::Pinned | Self::Parting => 0,
        }
    }
}

/// Connections that are sent away at most in one turn.
const SENT_AWAY_A_TURN: usize = 64;
