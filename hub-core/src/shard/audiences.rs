//! All audiences of a shard, which of them have news, and the walks along them, which take turns slice by slice.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::number::TailNumber;

use crate::ledger::{Account, Charge, Kind};
use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::shard::connection::{Connection, Subscription};
use crate::shard::walk::{Audience, Entry, Stopped, Walk};
use crate::shard::wire::Wire;
use crate::spare::Spare as _;
use crate::tail::{Tail, TailKey};

/// The audiences of a shard, and the walks along them.
#[derive(Debug)]
pub struct Audiences {
    shard: usize,
    list: Slab<Audience>,
    by_tail: BTreeMap<TailKey, u32>,
    /// Audiences that wait for a slice of a walk, each once. One that lost its last cursor meanwhile goes when its turn
    /// comes.
    due: VecDeque<u32>,
    /// What the last walk left, so that most walks need no memory of their own.
    spare: Option<Box<Walk>>,
    metrics: Arc<Metrics>,
}

impl Audiences {
    /// None yet, in the shard of this index.
    #[must_use]
    pub fn new(shard: usize, metrics: &Arc<Metrics>) -> Self {
        Self {
            shard,
            list: Slab::new(),
            by_tail: BTreeMap::new(),
            due: VecDeque::new(),
            spare: None,
            metrics: Arc::clone(metrics),
        }
    }

    /// The shard's index.
    #[must_use]
    pub fn shard(&self) -> usize {
        self.shard
    }

    /// Whether a walk is under way or due.
    #[must_use]
    pub fn has_work(&self) -> bool {
        !self.due.is_empty()
    }

    /// Adds a cursor, which lags: it looks at the tail after this. Tells where it stands.
    pub fn join(&mut self, tail: &Arc<Tail>, entry: Entry, account: &Arc<Account>) -> (u32, u32) {
        let new = || {
            let mut charge = Charge::new(account, Kind::Subscriptions);
            charge.set(AUDIENCE_BYTES);
            self.list.insert(Audience::new(tail, charge)) as u32
        };
        let index = *self.by_tail.entry(tail.key()).or_insert_with(new);
        let audience = &mut self.list[index as usize];
        if audience.entries.is_empty() {
            audience.low = entry.cursor;
            audience.entries.reserve_exact(1);
            // A mark raised for cursors that have left would keep later ones from being raised.
            tail.marks.of(self.shard).take();
        }
        audience.entries.push(entry);
        (index, audience.entries.len() as u32 - 1)
    }

    /// Takes a cursor away. The last one moves into its place. Gives the tail if no other cursor is on it here.
    pub fn leave(
        &mut self,
        subscription: &Subscription,
        connections: &mut Slab<Connection>,
    ) -> Option<Arc<Tail>> {
        let (index, place) = (subscription.audience, subscription.entry as usize);
        let audience = &mut self.list[index as usize];
        audience.tail.marks.of(self.shard).leave();
        audience.entries.swap_remove(place);
        // Where many have left, whoever stays does not answer for their places.
        audience.entries.give_back();
        let Some(moved) = audience.entries.get(place).copied() else {
            let left = audience.entries.is_empty().then(|| Arc::clone(&audience.tail));
            self.drop_empty(index);
            return left;
        };
        if let Some(connection) = connections.get_mut(moved.connection.0 as usize)
            && let Some(theirs) = connection.subscription_mut(subscription.tail)
        {
            theirs.entry = subscription.entry;
        }
        // A walk under way may have passed this place and would miss the cursor: walk again.
        if let Some(walk) = &mut audience.walk
            && walk.has_passed(place)
        {
            walk.lower(moved.cursor);
            self.queue(index);
        }
        None
    }

    /// A tail has something new.
    pub fn look_at(&mut self, number: TailNumber) {
        let mut log = 0;
        // A pattern has a tail in each log, one beside the other; which of them has news is not said.
        while let Some((key, index)) = self.by_tail.range(TailKey { number, log }..).next()
            && key.number == number
        {
            log = key.log + 1;
            let index = *index;
            if !mutant::active(Mutant::MarkClearedAfterLook) {
                self.list[index as usize].tail.marks.of(self.shard).take();
            }
            self.queue(index);
        }
    }

    /// The audience of a subscription.
    #[must_use]
    pub fn of(&self, subscription: &Subscription) -> &Audience {
        &self.list[subscription.audience as usize]
    }

    /// Parks every cursor of a connection whose socket is full: from now on only its own list writes to it.
    pub fn park_all(&mut self, connection: &mut Connection) {
        connection.writable = false;
        self.metrics.blocked.add(1);
        for subscription in &connection.subscriptions {
            let entry = self.entry(subscription);
            if !entry.parked {
                entry.parked = true;
                connection.lagging.push_back(subscription.tail);
            }
        }
    }

    /// Parks the cursor of a connection on one tail; `false` if it has none there.
    pub fn park(&mut self, connection: &Connection, tail: TailKey) -> bool {
        let Some(subscription) = connection.subscription(tail) else { return false };
        self.entry(subscription).parked = true;
        true
    }

    /// Does the next slices of walks, for about so many sends and bytes in all. Tells a cursor that stopped.
    pub fn walk_on(&mut self, sends: usize, write_bytes: usize, wire: &mut impl Wire) -> Option<Stopped> {
        let (mut sends, mut bytes) = (sends, write_bytes);
        while sends > 0 && bytes > 0 {
            let index = self.due.pop_front()?;
            let audience = &mut self.list[index as usize];
            audience.queued = false;
            let begun = audience.walk.take();
            let Some(mut walk) = begun.or_else(|| Walk::begin(audience, &mut self.spare)) else {
                self.drop_empty(index);
                sends -= 1;
                continue;
            };
            let slice = walk.slice(audience, sends, bytes, wire);
            self.metrics.blocks_sent.add(slice.blocks as u64);
            self.metrics.bytes_sent.add(slice.bytes as u64);
            // Looking at an audience is work too, also where nobody needs anything.
            sends -= slice.sends.max(1);
            bytes = bytes.saturating_sub(slice.bytes);
            if slice.done {
                self.end_walk(index, walk);
            } else {
                if self.due.len() >= WALKS_WITH_BLOCKS_MAX {
                    walk.let_go();
                }
                audience.walk = Some(walk);
                self.queue_anyway(index);
            }
            if slice.stopped.is_some() {
                return slice.stopped;
            }
        }
        None
    }

    /// A cursor has all there is: from now on walks serve it.
    pub fn make_live(&mut self, subscription: &Subscription) {
        let audience = &mut self.list[subscription.audience as usize];
        let entry = &mut audience.entries[subscription.entry as usize];
        entry.parked = false;
        audience.low = audience.low.min(entry.cursor);
        if let Some(walk) = &mut audience.walk {
            walk.lower(entry.cursor);
        }
    }

    /// A subscription's cursor.
    pub fn entry(&mut self, subscription: &Subscription) -> &mut Entry {
        &mut self.list[subscription.audience as usize].entries[subscription.entry as usize]
    }

    /// Has an audience walked, once more if a walk is under way.
    fn queue(&mut self, index: u32) {
        let audience = &mut self.list[index as usize];
        if audience.walk.is_some() {
            audience.again = true;
        } else if !audience.queued {
            self.queue_anyway(index);
        }
    }

    fn queue_anyway(&mut self, index: u32) {
        self.list[index as usize].queued = true;
        self.due.push_back(index);
    }

    fn end_walk(&mut self, index: u32, mut walk: Box<Walk>) {
        let audience = &mut self.list[index as usize];
        walk.end(audience);
        self.spare = Some(walk);
        if mutant::active(Mutant::MarkClearedAfterLook) {
            audience.tail.marks.of(self.shard).take();
        }
        if std::mem::take(&mut audience.again) {
            self.queue(index);
        } else {
            self.drop_empty(index);
        }
    }

    /// Forgets an audience that has no cursor left, unless it still waits for its turn.
    fn drop_empty(&mut self, index: u32) {
        let audience = &self.list[index as usize];
        if audience.entries.is_empty() && !audience.queued {
            self.by_tail.remove(&audience.tail.key());
            self.list.remove(index as usize);
        }
    }
}

/// Walks under way that keep their blocks between two slices. More would hold what tails have dropped; they take theirs
/// anew.
const WALKS_WITH_BLOCKS_MAX: usize = 16;
/// What an audience takes besides its cursors, about: it, its place in the slab, which doubles, and that among the tails.
const AUDIENCE_BYTES: usize = 2 * size_of::<Audience>() + 64;
