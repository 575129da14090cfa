//! All audiences of a shard, which of them have news, and the walk along one of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use slab::Slab;
use tidewire_protocol::number::TailNumber;

use crate::metrics::Metrics;
use crate::mutant::{self, Mutant};
use crate::shard::audience::{Audience, Entry};
use crate::shard::connection::{Connection, Subscription};
use crate::shard::walk::{Stopped, Walk};
use crate::shard::wire::Wire;
use crate::tail::Tail;

/// The audiences of a shard, and the walk along one of them.
#[derive(Debug)]
pub struct Audiences {
    shard: usize,
    list: Slab<Audience>,
    by_tail: BTreeMap<TailNumber, u32>,
    /// Audiences whose tails have something new.
    due: VecDeque<u32>,
    walk: Option<Walk>,
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
            walk: None,
            metrics: Arc::clone(metrics),
        }
    }

    /// Whether a walk is under way or due.
    #[must_use]
    pub fn has_work(&self) -> bool {
        self.walk.is_some() || !self.due.is_empty()
    }

    /// Adds a cursor; tells where it stands.
    pub fn join(&mut self, tail: &Arc<Tail>, entry: Entry) -> (u32, u32) {
        let index = *self.by_tail.entry(tail.number).or_insert_with(|| {
            let audience =
                Audience { tail: Arc::clone(tail), entries: Vec::new(), low: entry.cursor, queued: false };
            self.list.insert(audience) as u32
        });
        let entries = &mut self.list[index as usize].entries;
        entries.reserve_exact(usize::from(entries.is_empty()));
        entries.push(entry);
        (index, entries.len() as u32 - 1)
    }

    /// Takes a cursor away. The last one moves into its place.
    pub fn leave(&mut self, subscription: &Subscription, connections: &mut Slab<Connection>) {
        let place = subscription.entry as usize;
        let audience = &mut self.list[subscription.audience as usize];
        audience.tail.marks.of(self.shard).leave();
        audience.entries.swap_remove(place);
        if audience.entries.is_empty() {
            let tail = audience.tail.number;
            self.by_tail.remove(&tail);
            self.due.retain(|due| *due != subscription.audience);
            self.walk.take_if(|walk| walk.audience == subscription.audience);
            self.list.remove(subscription.audience as usize);
            return;
        }
        let Some(moved) = audience.entries.get(place).copied() else { return };
        if let Some(connection) = connections.get_mut(moved.connection.0 as usize)
            && let Some(theirs) = connection.subscription_mut(subscription.tail)
        {
            theirs.entry = subscription.entry;
        }
        // A walk under way may have passed this place and would miss the cursor: walk again.
        if let Some(walk) = &mut self.walk
            && walk.audience == subscription.audience
            && walk.has_passed(place)
        {
            walk.lower(moved.cursor);
            self.queue(subscription.audience);
        }
    }

    /// A tail has something new.
    pub fn look_at(&mut self, tail: &Tail) {
        if let Some(index) = self.by_tail.get(&tail.number).copied() {
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

    fn queue(&mut self, index: u32) {
        let audience = &mut self.list[index as usize];
        if !audience.queued {
            audience.queued = true;
            self.due.push_back(index);
        }
    }

    /// Goes on with the walk under way, and with those that are due, for about so many sends and bytes. Tells a
    /// cursor that stopped.
    pub fn walk_on(&mut self, sends: usize, write_bytes: usize, wire: &mut impl Wire) -> Option<Stopped> {
        let (mut sends, mut bytes) = (sends, write_bytes);
        while sends > 0 && bytes > 0 {
            if self.walk.is_none() {
                let index = self.due.pop_front()?;
                let audience = &mut self.list[index as usize];
                audience.queued = false;
                self.walk = Walk::begin(index, audience);
            }
            let Some(walk) = &mut self.walk else {
                sends -= 1;
                continue;
            };
            let audience = &mut self.list[walk.audience as usize];
            let slice = walk.slice(audience, sends, bytes, wire);
            self.metrics.blocks_sent.add(slice.blocks as u64);
            self.metrics.bytes_sent.add(slice.bytes as u64);
            // Looking at an audience is work too, also where nobody needs anything.
            sends -= slice.sends.max(1);
            bytes = bytes.saturating_sub(slice.bytes);
            if slice.done
                && let Some(walk) = self.walk.take()
            {
                walk.end(audience);
                if mutant::active(Mutant::MarkClearedAfterLook) {
                    audience.tail.marks.of(self.shard).take();
                }
            }
            if slice.stopped.is_some() {
                return slice.stopped;
            }
        }
        None
    }

    /// The tail that is being walked.
    #[must_use]
    pub fn walked_tail(&self) -> Option<TailNumber> {
        let walk = self.walk.as_ref()?;
        Some(self.list[walk.audience as usize].tail.number)
    }

    /// Parks the cursor of a connection on the tail that is being walked.
    pub fn park_last(&mut self, connection: &Connection) -> Option<TailNumber> {
        let tail = self.walked_tail()?;
        let subscription = connection.subscription(tail)?;
        self.entry(subscription).parked = true;
        Some(tail)
    }

    /// A cursor has all there is: from now on walks serve it.
    pub fn make_live(&mut self, subscription: &Subscription) {
        let audience = &mut self.list[subscription.audience as usize];
        let entry = &mut audience.entries[subscription.entry as usize];
        entry.parked = false;
        audience.low = audience.low.min(entry.cursor);
        if let Some(walk) = &mut self.walk
            && walk.audience == subscription.audience
        {
            walk.lower(entry.cursor);
        }
    }

    /// A subscription's cursor.
    pub fn entry(&mut self, subscription: &Subscription) -> &mut Entry {
        &mut self.list[subscription.audience as usize].entries[subscription.entry as usize]
    }
}
