//! What befalls clients, links and the hub, and the calm after it.

use tidewire_client_core::input::Input;
use tidewire_hub_core::access::{Access, AccessRule, Who, Word};
use tidewire_hub_core::clock::Millis;
use tidewire_protocol::name::Pattern;

use crate::names::{NAMES, TOPICS, TopicIndex};
use crate::oracle::closing::Closed;
use crate::world::World;
use crate::world::event::Event;
use crate::world::link::LinkId;
use crate::world::travel::CALM_SOCKET_BYTES;

impl World {
    /// Trouble from now on.
    pub fn begin_round(&mut self) {
        self.calm = false;
        self.hostiles_rage();
        if self.setup.hub_fault_ms > 0 {
            let wait = self.random.wait(self.setup.hub_fault_ms);
            self.after(wait, Event::HubFault);
        }
        if self.setup.rules_ms > 0 {
            let wait = self.random.wait(self.setup.rules_ms);
            self.after(wait, Event::Rules);
        }
        if self.setup.tokens_ms > 0 {
            let wait = self.random.wait(self.setup.tokens_ms / 2);
            self.after(wait, Event::Revoke);
        }
        if self.setup.clock_ms > 0 {
            let wait = self.random.wait(self.setup.clock_ms);
            self.after(wait, Event::Correct);
        }
    }

    /// A topic is closed to readers, or to everybody, for a while; or the one that was is open again.
    pub(crate) fn change_rules(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.random.wait(self.setup.rules_ms);
        if self.oracle.closing.is_any() {
            self.close_topic(None);
            self.after(wait, Event::Rules);
            return;
        }
        let topic = self.random.below(TOPICS as u64) as TopicIndex;
        let publish = self.random.one_in(2);
        self.close_topic(Some(Closed { topic, publish, since: self.now }));
        let wait = self.random.magnitude(500, 30_000);
        self.after(wait, Event::Rules);
    }

    /// From now on this topic is closed, and no other.
    pub fn close_topic(&mut self, closed: Option<Closed>) {
        self.note(|| format!("closed by rules: {closed:?}"));
        let deny = closed.map(|closed| AccessRule {
            who: Who::Everybody,
            pattern: Pattern::parse(NAMES[usize::from(closed.topic)]).expect("a name is a pattern"),
            publish: if closed.publish { Word::Denies } else { Word::Allows },
            subscribe: Word::Denies,
        });
        let access = Access::of(deny.into_iter().chain(self.setup.base_rules()).collect());
        self.setup.hub.access = access.clone();
        if let Some(hub) = &self.hub {
            hub.topics.change_access(access);
        }
        self.oracle.closing.close(closed);
    }

    pub(crate) fn befall_client(&mut self, actor: usize) {
        if self.actors[actor].closed {
            return;
        }
        let wait = self.random.wait(self.setup.fault_ms);
        self.after(wait, Event::Fault(actor));
        if self.calm {
            return;
        }
        self.tally.faults += 1;
        let link = self.actors[actor].link;
        match (self.random.below(27), link) {
            (0..=4, Some(link)) => self.cut(link),
            (5..=6, Some(link)) => self.fall_silent(link),
            (7..=11, Some(link)) => {
                let ms = self.random.magnitude(20, 120_000);
                self.stall(link, ms);
            }
            (12, _) => {
                self.tell(actor, Input::Suspend);
                let wait = self.random.magnitude(100, 60_000);
                self.after(wait, Event::Online(actor));
            }
            (13, _) => {
                self.take_over(actor);
            }
            (14, _) => {
                self.close(actor);
                self.new_actor();
            }
            (15..=16, _) => self.rebuild(actor),
            (17..=19, _) => self.join_or_part(actor),
            (23..=25, _) => {
                let to = self.random.below(self.actors.len() as u64) as usize;
                self.move_party(actor, to);
            }
            (20..=22, Some(link)) => {
                self.give_up_soon(actor, link);
                self.publish_some(actor);
            }
            (_, Some(link)) => {
                self.note(|| format!("link {link} becomes narrow"));
                let narrow = self.random.between(1, 60) as usize;
                self.links[link as usize].capacity = narrow;
            }
            (_, None) => self.tell(actor, Input::Online),
        }
    }

    /// A link breaks; each end learns of it in its own time, and bytes on their way may still arrive.
    pub fn cut(&mut self, id: LinkId) {
        self.note(|| format!("link {id} is cut"));
        let link = &mut self.links[id as usize];
        link.dead_down = true;
        link.dead_up = self.random.one_in(2);
        link.reset = self.random.one_in(2);
        let (lost, gone) = (self.random.magnitude(1, 3_000), self.random.magnitude(1, 10_000));
        self.after(lost, Event::Lost(id));
        self.after(gone, Event::Gone(id));
    }

    /// Nothing passes any more, and nobody is told.
    pub fn fall_silent(&mut self, id: LinkId) {
        self.note(|| format!("link {id} falls silent"));
        let link = &mut self.links[id as usize];
        link.dead_up = true;
        link.dead_down = true;
        let Some(actor) = self.actors.iter().position(|actor| actor.link == Some(id)) else { return };
        if self.random.one_in(2) {
            // A page is shown again, or the network is another one: the client has reason to look.
            let wait = self.random.magnitude(10, 20_000);
            self.after(wait, Event::Online(actor));
        }
    }

    /// The client reads nothing for a while.
    pub fn stall(&mut self, id: LinkId, ms: u64) {
        self.note(|| format!("link {id} stalls for {ms} ms"));
        self.links[id as usize].stalled_until = self.now + ms;
    }

    /// A newer incarnation of a client's producer appears. The old one goes on until it learns of that.
    pub fn take_over(&mut self, actor: usize) -> Option<usize> {
        if self.actors[actor].taken_over {
            return None;
        }
        self.actors[actor].taken_over = true;
        let (producer, incarnation) = (self.actors[actor].producer, self.actors[actor].incarnation);
        self.note(|| format!("client {actor} is taken over"));
        let wait = self.random.magnitude(10, 20_000);
        self.after(wait, Event::Close(actor));
        Some(self.new_incarnation(producer, incarnation + 1))
    }

    pub(crate) fn befall_hub(&mut self) {
        if self.calm {
            return;
        }
        let wait = self.random.wait(self.setup.hub_fault_ms);
        self.after(wait, Event::HubFault);
        self.tally.faults += self.actors.iter().filter(|actor| actor.online).count() as u64;
        if self.setup.durable.is_some() && self.random.one_in(6) {
            self.close_disk();
            self.crash_hub();
            let wait = self.random.magnitude(10, 20_000);
            self.after(wait, Event::HubUp);
        } else if self.random.one_in(if self.setup.durable.is_some() { 5 } else { 2 }) {
            let spread = self.random.magnitude(10, 5_000);
            self.drain_hub(spread);
        } else {
            self.crash_hub();
            let wait = self.random.magnitude(10, 20_000);
            self.after(wait, Event::HubUp);
        }
    }

    /// The hub tells everybody to come back later. Its log goes on: another process would have it.
    pub fn drain_hub(&mut self, spread_ms: u64) {
        self.note(|| "hub drains");
        let now = Millis(self.now);
        let Some(hub) = &mut self.hub else { return };
        for seat in &mut hub.seats {
            seat.shard.drain(now, spread_ms);
        }
        for shard in 0..self.setup.shards {
            self.turn_at(shard, 0);
        }
    }

    /// The hub dies with all it knew.
    pub fn crash_hub(&mut self) {
        self.note(|| "hub crashes");
        self.lose_calls();
        self.end_hub();
        self.engine_due = false;
        for id in 0..self.links.len() {
            let link = &mut self.links[id];
            if link.hub.take().is_none() {
                continue;
            }
            link.dead_up = true;
            link.hub_closed = true;
            // What its system had taken may still arrive, whole or not.
            let kept = self.random.below(link.down.len() as u64 + 1) as usize;
            link.down.truncate(kept);
            if self.random.one_in(2) {
                link.dead_down = true;
            }
            let wait = self.random.magnitude(1, 2_000);
            self.after(wait, Event::Lost(id as LinkId));
        }
    }

    /// The faults end: the hub is there, broken links are known to be, and the network says that it is back.
    pub fn become_calm(&mut self) {
        self.note(|| "calm");
        self.calm = true;
        if self.oracle.closing.is_any() {
            self.close_topic(None);
        }
        self.stop_failed();
        self.room_again();
        self.start_hub();
        self.hostiles_leave();
        self.sources_become_calm();
        for id in 0..self.links.len() {
            let link = &mut self.links[id];
            link.stalled_until = 0;
            let place = id as LinkId;
            if link.dead_up || link.dead_down {
                self.after(1, Event::Lost(place));
                self.after(1, Event::Gone(place));
            } else if !link.client {
                self.after(1, Event::Gone(place));
            } else {
                link.capacity = link.capacity.max(CALM_SOCKET_BYTES as usize);
                link.due.1 = false;
                self.plan_down(place);
            }
        }
        for actor in (0..self.actors.len()).filter(|actor| !self.actors[*actor].closed).collect::<Vec<_>>() {
            for wait in [100, 5_000, 10_000] {
                self.after(wait, Event::Online(actor));
            }
            if self.actors[actor].taken_over {
                self.after(1, Event::Close(actor));
            }
        }
        self.plan_engine();
        self.plan_storing();
    }
}
