//! Bytes on links: to the hub in any cuts, to the client through a small buffer, or nowhere.

use tidewire_client_core::input::Input;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::hub_frame::{HubFrame, Page};

use crate::websocket::{Cut, cut};
use crate::world::World;
use crate::world::event::Event;
use crate::world::hostile::account_of_client;
use crate::world::link::{Link, LinkId, NOT_CLOSED, Owner};

impl World {
    /// A try to connect comes to its end.
    pub(crate) fn connect(&mut self, actor: usize, attempt: u32) {
        if self.actors[actor].attempt != attempt || self.actors[actor].closed {
            return;
        }
        let refused = !self.calm && self.random.one_in(8);
        let shards = self.setup.shards as u64;
        let shard = self.random.below(shards) as usize;
        let narrowest = if self.calm { CALM_SOCKET_BYTES } else { 24 };
        let capacity = self.random.magnitude(narrowest, self.setup.socket_bytes.max(narrowest)) as usize;
        let id = self.links.len() as LinkId;
        match &mut self.hub {
            Some(hub) if !refused => {
                let place = hub.accept(self.now, shard, id, account_of_client(actor));
                self.links.push(Link::new(Owner::Client(actor), shard, place, capacity));
                self.actors[actor].link = Some(id);
                self.note(|| format!("client {actor} connects: link {id}, shard {shard}"));
                if !self.calm && self.random.one_in(20) {
                    self.give_up_soon(actor, id);
                }
                self.tell(actor, Input::LinkOpened);
                self.turn_at(shard, 0);
            }
            Some(_) | None => self.tell(actor, Input::LinkClosed { code: 1006 }),
        }
    }

    /// What a client says takes long, and the client lets go of the link before and makes another.
    pub(crate) fn give_up_soon(&mut self, actor: usize, id: LinkId) {
        self.note(|| format!("link {id} is slow, and client {actor} lets go of it"));
        self.links[id as usize].slow_until = self.now + SLOW_MS_MAX;
        self.actors[actor].slow_link = Some(id);
        let (gone, back) = (self.random.below(1_000), self.random.below(300));
        self.after(gone, Event::Suspend(actor));
        self.after(gone + back, Event::Online(actor));
    }

    /// What it said there comes about when the hub hears it on the other one.
    pub(crate) fn come_late(&mut self, actor: usize) {
        if let Some(id) = self.actors[actor].slow_link.take() {
            let wait = self.random.below(2 * self.setup.latency_ms + 10);
            self.links[id as usize].slow_until = self.now + wait;
            self.after(wait, Event::Up(id));
        }
    }

    fn latency(&mut self) -> u64 {
        let longest = if self.calm { 1 } else { self.setup.latency_ms };
        if self.random.one_in(4) {
            self.random.below(longest + 1)
        } else {
            self.random.below(longest / 8 + 2)
        }
    }

    /// Bytes for the hub wait on a link.
    pub(crate) fn plan_up(&mut self, id: LinkId) {
        let link = &mut self.links[id as usize];
        if !link.due.0 && !link.dead_up && !link.up.is_empty() {
            link.due.0 = true;
            let wait = link.slow_until.saturating_sub(self.now) + self.latency();
            self.after(wait, Event::Up(id));
        }
    }

    /// Bytes for the client wait on a link, or its end does.
    pub(crate) fn plan_down(&mut self, id: LinkId) {
        let now = self.now;
        let link = &mut self.links[id as usize];
        let waits = !link.down.is_empty() || link.hub_closed;
        if !link.due.1 && waits && !link.dead_down {
            link.due.1 = true;
            let stall = link.stalled_until.saturating_sub(now);
            let wait = stall + self.latency();
            self.after(wait, Event::Down(id));
        }
    }

    /// How many of `len` bytes go in one go.
    fn chunk(&mut self, len: usize) -> usize {
        match self.random.below(4) {
            0 => self.random.between(1, len as u64) as usize,
            1 => (self.random.between(1, 40) as usize).min(len),
            _ => len.min(READ_BYTES),
        }
    }

    pub(crate) fn travel_up(&mut self, id: LinkId) {
        let link = &mut self.links[id as usize];
        link.due.0 = false;
        if link.dead_up || link.up.is_empty() {
            return;
        }
        let (shard, hub) = (link.shard, link.hub);
        let len = link.up.len();
        let chunk = self.chunk(len);
        let mut bytes: Vec<u8> = self.links[id as usize].up.drain(..chunk).collect();
        if let (Some(place), Some(hub)) = (hub, &mut self.hub) {
            hub.receive(self.now, shard, place, &mut bytes, &mut self.links);
            self.turn_at(shard, 0);
            self.plan_engine();
        }
        self.plan_up(id);
    }

    pub(crate) fn travel_down(&mut self, id: LinkId) {
        let now = self.now;
        let link = &mut self.links[id as usize];
        link.due.1 = false;
        if link.dead_down {
            return;
        }
        if link.stalled_until > now {
            return self.plan_down(id);
        }
        if link.down.is_empty() {
            if link.hub_closed {
                let code = link.close_code;
                self.link_lost(id, code);
            }
            return;
        }
        let len = link.down.len();
        let chunk = self.chunk(len);
        let link = &mut self.links[id as usize];
        let Link { arrived, down, .. } = link;
        arrived.extend(down.drain(..chunk));
        if link.blocked && link.room() > 0 {
            link.blocked = false;
            let wait = self.random.below(3);
            self.after(wait, Event::Writable(id));
        }
        self.read(id);
        self.plan_down(id);
    }

    /// The client reads the whole messages among what has arrived.
    fn read(&mut self, id: LinkId) {
        loop {
            let link = &mut self.links[id as usize];
            if !link.client {
                link.arrived.clear();
                return;
            }
            let actor = match link.owner {
                Owner::Client(actor) => actor,
                // It does not care what it is told.
                Owner::Hostile(_) => return link.arrived.clear(),
                Owner::Source(source) => return self.read_events(source, id),
            };
            match cut(&mut link.arrived) {
                Some(Cut::Message(_)) if link.close_code != NOT_CLOSED => {
                    return self
                        .oracle
                        .object(format_args!("client {actor} hears more behind the last words"));
                }
                Some(Cut::Message(message)) => {
                    self.note_frames(id, &message);
                    if self.calm && has_messages(&message) {
                        self.oracle.reads_on(self.now, actor);
                    }
                    self.tell(actor, Input::Received(&message));
                }
                Some(Cut::Close(code)) => link.close_code = code,
                Some(Cut::Nonsense(what)) => {
                    return self.oracle.object(format_args!("client {actor} received {what}"));
                }
                None => return,
            }
        }
    }

    fn note_frames(&mut self, id: LinkId, message: &[u8]) {
        let mut rest = message;
        while self.trace.is_some() && !rest.is_empty() {
            let Ok(Some(frame)) = HubFrame::take(&mut rest) else { return };
            match frame {
                HubFrame::Block(block) => {
                    let offsets: Vec<_> = block.messages().flatten().map(|m| m.offset.0).collect();
                    self.note(|| {
                        format!("link {id} brings tail {} after {}: {offsets:?}", block.tail, block.prev)
                    });
                }
                HubFrame::Page(page) => {
                    let blocks = blocks_of_page(&page.blocks).flatten();
                    let offsets: Vec<_> =
                        blocks.flat_map(|b| b.messages().flatten()).map(|m| m.offset.0).collect();
                    let page = Page { blocks: (&[][..]).into(), ..page };
                    self.note(|| format!("link {id} brings {page:?} with {offsets:?}"));
                }
                frame => self.note(|| format!("link {id} brings {frame:?}")),
            }
        }
    }

    pub(crate) fn writable(&mut self, id: LinkId) {
        let link = &self.links[id as usize];
        if let (Some(place), Some(hub)) = (link.hub, &mut self.hub) {
            hub.seats[link.shard].shard.writable(place);
            let shard = link.shard;
            self.turn_at(shard, 0);
        }
    }

    /// The client learns that its link is gone.
    pub(crate) fn link_lost(&mut self, id: LinkId, code: u16) {
        let link = &mut self.links[id as usize];
        if !link.client {
            return;
        }
        link.client = false;
        let actor = match link.owner {
            Owner::Client(actor) => actor,
            Owner::Hostile(hostile) => return self.hostile_lets_go(hostile, id),
            Owner::Source(source) => return self.source_is_cut_off(source, id),
        };
        self.actors[actor].link = None;
        self.note(|| format!("client {actor} loses link {id}: {code}"));
        self.tell(actor, Input::LinkClosed { code });
    }

    /// The hub learns that a link is gone.
    pub(crate) fn link_gone(&mut self, id: LinkId) {
        let link = &mut self.links[id as usize];
        let shard = link.shard;
        if let (Some(place), Some(hub)) = (link.hub.take(), &mut self.hub) {
            hub.gone(self.now, shard, place);
            self.note(|| format!("hub loses link {id}"));
        }
    }
}

fn has_messages(mut message: &[u8]) -> bool {
    while let Ok(Some(frame)) = HubFrame::take(&mut message) {
        if matches!(frame, HubFrame::Page(_) | HubFrame::Block(_)) {
            return true;
        }
    }
    false
}

/// What a shell reads at once, at most. Less than the least that a late engine may hold.
const READ_BYTES: usize = 4_000;
/// What is slow takes no longer.
const SLOW_MS_MAX: u64 = 10_000;
/// What a socket buffers at least when all is well.
pub(crate) const CALM_SOCKET_BYTES: u64 = 60_000;
