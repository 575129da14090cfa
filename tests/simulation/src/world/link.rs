//! A connection between a client and a shard: two buffers of bytes, and everything that can befall them.

use tidewire_hub_core::shard::wire::{ConnectionId, Sent, Wire};

/// A link, by its place in the world.
pub type LinkId = u32;

/// Whose a link is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A client's, by its place among the actors.
    Client(usize),
    /// A hostile client's, by its place among those.
    Hostile(usize),
    /// One's who listens to an event stream, by the place among those.
    Source(usize),
}

/// A link. Bytes may still travel on one that an end has let go of.
#[derive(Debug)]
pub struct Link {
    /// Whose.
    pub owner: Owner,
    /// The shard that has it.
    pub shard: usize,
    /// Its place there, while the hub has it.
    pub hub: Option<ConnectionId>,
    /// Whether the client has it.
    pub client: bool,
    /// Bytes to the hub.
    pub up: Vec<u8>,
    /// Bytes to the client: the hub's socket buffer.
    pub down: Vec<u8>,
    /// Bytes that the client has and that are no whole frame yet.
    pub arrived: Vec<u8>,
    /// How much `down` holds.
    pub capacity: usize,
    /// The hub waits to be told that there is room.
    pub blocked: bool,
    /// The client reads nothing before then.
    pub stalled_until: u64,
    /// Nothing reaches the hub before then.
    pub slow_until: u64,
    /// Nothing reaches the hub any more.
    pub dead_up: bool,
    /// Nothing reaches the client any more.
    pub dead_down: bool,
    /// The hub's system knows that it is broken.
    pub reset: bool,
    /// The hub has closed it.
    pub hub_closed: bool,
    /// What the client will be told as close code.
    pub close_code: u16,
    /// Whether an event for the bytes up is due, and one for those down.
    pub due: (bool, bool),
}

impl Link {
    /// A fresh one.
    #[must_use]
    pub fn new(owner: Owner, shard: usize, hub: ConnectionId, capacity: usize) -> Self {
        Self {
            owner,
            shard,
            hub: Some(hub),
            client: true,
            up: Vec::new(),
            down: Vec::new(),
            arrived: Vec::new(),
            capacity,
            blocked: false,
            stalled_until: 0,
            slow_until: 0,
            dead_up: false,
            dead_down: false,
            reset: false,
            hub_closed: false,
            close_code: NOT_CLOSED,
            due: (false, false),
        }
    }

    /// Room in the hub's socket buffer.
    #[must_use]
    pub fn room(&self) -> usize {
        self.capacity.saturating_sub(self.down.len())
    }
}

/// The close code of whoever was not told one.
pub const NOT_CLOSED: u16 = 1006;

/// The sockets of one shard, lent to it for one step.
#[derive(Debug)]
pub struct Sockets<'a> {
    /// Links by the shard's numbers.
    pub places: &'a mut Vec<Option<LinkId>>,
    /// All links.
    pub links: &'a mut Vec<Link>,
    /// Links that were written to or closed.
    pub touched: &'a mut Vec<LinkId>,
    /// Set if the shard used a number that it does not have.
    pub misused: &'a mut bool,
}

impl Wire for Sockets<'_> {
    fn send(&mut self, id: ConnectionId, parts: &[&[u8]]) -> Sent {
        let Some(Some(place)) = self.places.get(id.0 as usize).copied() else {
            *self.misused = true;
            return Sent::Gone;
        };
        let link = &mut self.links[place as usize];
        if link.reset {
            return Sent::Gone;
        }
        let mut taken = 0;
        for part in parts {
            let fits = part.len().min(link.room());
            link.down.extend_from_slice(&part[..fits]);
            taken += fits;
            if fits < part.len() {
                link.blocked = true;
                break;
            }
        }
        self.touched.push(place);
        Sent::Bytes(taken)
    }

    fn close(&mut self, id: ConnectionId) {
        let Some(place) = self.places.get_mut(id.0 as usize).and_then(Option::take) else {
            *self.misused = true;
            return;
        };
        let link = &mut self.links[place as usize];
        link.hub = None;
        link.hub_closed = true;
        self.touched.push(place);
    }
}
