//! A world: one hub, its clients, the links between them, and what happens next.
//!
//! One thread, one seed, virtual time. Each event is one step: a shard's turn, some bytes of a link, a timer, a
//! fault. Steps of one millisecond come in an order of chance, so every interleaving of shards can happen.

use std::fmt;

use tidewire_client_core::input::Input;
use tidewire_client_core::output::Event as ClientEvent;
use tidewire_hub_core::clock::Millis;

use crate::oracle::restoring::Stand;
use crate::oracle::{Oracle, Uid};
use crate::queue::Queue;
use crate::random::Random;
use crate::setup::Setup;
use crate::world::actor::Actor;
use crate::world::callers::{Call, Caller};
use crate::world::event::Event;
use crate::world::hostile::Hostile;
use crate::world::hub::Hub;
use crate::world::link::Link;
use crate::world::sources::Source;
use crate::world::storing::Storing;
use crate::world::tokens::Token;

mod application;
mod asking;
mod opening;
mod upkeep;
mod weather;

pub mod tokens;

pub mod callers;
mod clients;
pub mod hostile;
mod parties;
pub mod sources;
mod travel;

mod engines;
pub(crate) mod fetching;
pub mod storing;

pub mod actor;
pub mod event;
pub mod hub;

pub mod disk;

pub mod link;

/// Everything there is.
#[derive(Debug)]
pub struct World {
    /// How it was made.
    pub setup: Setup,
    /// Milliseconds since 1970.
    pub now: u64,
    /// Chance.
    pub random: Random,
    /// Chance for batches, apart from that for all else.
    pub(crate) batches: Random,
    /// Chance for keys and what goes with them, apart too.
    pub(crate) keys: Random,
    /// What is true.
    pub oracle: Oracle,
    /// The hub, unless it is down.
    pub hub: Option<Hub>,
    /// Whoever has the disk, if a log is durable.
    pub storing: Option<Storing>,
    /// How the durable log stood when the last hub ended.
    stand: Option<Stand>,
    /// Every client there ever was.
    pub actors: Vec<Actor>,
    /// Clients that keep no rule.
    pub hostiles: Vec<Hostile>,
    /// Those who listen to event streams.
    pub sources: Vec<Source>,
    /// Those who call by HTTP.
    pub callers: Vec<Caller>,
    /// What they called for.
    pub calls: Vec<Call>,
    /// Every token that was issued.
    pub tokens: Vec<Token>,
    /// Every link there ever was.
    pub links: Vec<Link>,
    /// What was counted.
    pub tally: Tally,
    /// What clients told their applications, if anybody wants to know.
    pub story: Option<Vec<Told>>,
    /// What happened, if anybody wants to know.
    pub trace: Option<Vec<String>>,
    queue: Queue<Event>,
    /// No faults, no publishes: everything must arrive.
    calm: bool,
    engine_due: bool,
    read_due: bool,
    answers_due: bool,
    check_due: bool,
    /// The engine completes nothing until told.
    pub engine_held: bool,
    next_producer: u64,
    epoch_kept: bool,
}

/// What a client told its application; a message by what its payload says.
#[derive(Debug, Clone)]
pub struct Told {
    /// Whose client.
    pub actor: usize,
    /// What.
    pub event: ClientEvent,
    /// The message's publish.
    pub uid: Option<Uid>,
}

/// What was counted.
#[derive(Debug, Clone, Copy, Default)]
pub struct Tally {
    /// Milliseconds lived by clients, all together.
    pub client_ms: u64,
    /// Publishes made.
    pub published: u64,
    /// Messages given to listeners.
    pub heard: u64,
    /// Pages read back.
    pub pages: u64,
    /// Faults made.
    pub faults: u64,
    /// Steps made.
    pub steps: u64,
}

impl World {
    /// A world at its beginning.
    #[must_use]
    pub fn new(setup: Setup) -> Self {
        let mut world = Self {
            now: BEGINNING_MS,
            random: Random::new(setup.seed ^ 0x5eed),
            batches: Random::new(setup.seed ^ 0xba7c),
            keys: Random::new(setup.seed ^ 0x4e7),
            oracle: Oracle::new(&setup),
            hub: None,
            storing: Storing::new(&setup),
            stand: None,
            actors: Vec::new(),
            hostiles: Vec::new(),
            sources: Vec::new(),
            callers: Vec::new(),
            calls: Vec::new(),
            tokens: Vec::new(),
            links: Vec::new(),
            tally: Tally::default(),
            story: None,
            trace: None,
            queue: Queue::new(),
            calm: true,
            engine_due: false,
            read_due: false,
            answers_due: false,
            check_due: false,
            engine_held: false,
            next_producer: 1,
            epoch_kept: false,
            setup,
        };
        world.start_hub();
        world.after(5_000, Event::Sweep);
        for _ in 0..world.setup.clients {
            world.new_actor();
        }
        for _ in 0..world.setup.hostiles {
            world.new_hostile();
        }
        for _ in 0..world.setup.sources {
            world.new_source_by_chance();
        }
        if world.setup.keyed {
            world.new_source_of_keys();
        }
        for _ in 0..world.setup.callers {
            world.new_caller();
        }
        world
    }

    /// Lives through all rounds, or up to the first violation.
    pub fn run(&mut self) {
        for _ in 0..self.setup.rounds {
            self.begin_round();
            self.pass(self.setup.round_ms);
            self.become_calm();
            self.pass(CALM_MS);
            if self.say_more() {
                self.pass(CALM_MS);
            }
            // Where the hub takes little at once, those who were told to come later come one by one.
            while self.lands_more() {}
            self.check_calm();
            if self.oracle.violation().is_some() {
                break;
            }
            let night = self.random.below(self.setup.night_ms + 1);
            self.pass(night);
        }
        self.tally.heard = self.oracle.heard;
        self.tally.steps = self.queue.count();
    }

    /// Lets so many milliseconds pass.
    pub fn pass(&mut self, ms: u64) {
        let until = self.now + ms;
        let mut steps_at_once = 0;
        while let Some((now, event)) = self.queue.pop(until) {
            steps_at_once = if now == self.now { steps_at_once + 1 } else { 0 };
            if steps_at_once > STEPS_AT_ONCE_MAX {
                return self.oracle.object(format_args!("time stands still at {event:?}"));
            }
            self.now = now;
            self.step(event);
            if self.oracle.violation().is_some() {
                return;
            }
        }
        self.now = until;
        let alive = self.actors.iter().filter(|actor| !actor.closed).count() as u64;
        self.tally.client_ms += ms * alive;
    }

    fn step(&mut self, event: Event) {
        self.tick();
        match event {
            Event::Turn { shard, stamp } => self.turn(shard, stamp),
            Event::Up(link) => self.travel_up(link),
            Event::Down(link) => self.travel_down(link),
            Event::Writable(link) => self.writable(link),
            Event::Connect { actor, attempt } => self.connect(actor, attempt),
            Event::Lost(link) => self.link_lost(link, 1006),
            Event::Gone(link) => self.link_gone(link),
            Event::Timer(actor) => self.timer(actor),
            Event::Act(actor) => self.act(actor),
            Event::Settle { actor, listener, bytes } => self.settle(actor, listener, bytes),
            Event::Fault(actor) => self.befall_client(actor),
            Event::HubFault => self.befall_hub(),
            Event::Correct => self.befall_clock(),
            Event::HubUp => self.start_hub(),
            Event::Rules => self.change_rules(),
            Event::Engine => self.complete_some(),
            Event::Store => self.store_on(),
            Event::Room => self.room_again(),
            Event::Failed => self.stop_failed(),
            Event::Read => self.read_on(),
            Event::Fetch => self.fetch_on(),
            Event::Sweep => self.sweep(),
            Event::Suspend(actor) => self.tell(actor, Input::Suspend),
            Event::Online(actor) => self.online_again(actor),
            Event::Doubted { actor, link } => self.doubted(actor, link),
            Event::Close(actor) => self.close(actor),
            Event::Replace => _ = self.new_actor(),
            Event::Rage(hostile) => self.rage(hostile),
            Event::Come { source, attempt } => self.come(source, attempt),
            Event::SourceFault(source) => self.befall_source(source),
            Event::Token { actor, is_refused } => self.give_token(actor, is_refused),
            Event::Check => self.check_token(),
            Event::Revoke => self.revoke_some(),
            Event::TokenEnded(token) => self.token_ended(token),
            Event::CallerActs(caller) => self.caller_acts(caller),
            Event::Called(call) => self.called(call),
            Event::Answers => self.take_answers(),
            Event::Patience(call) => self.patience_ends(call),
        }
        self.after_step();
    }

    /// The oracle hears what has become visible.
    fn hear(&mut self) {
        let disk = self.storing.as_ref().map(|storing| &storing.disk);
        if let Some(hub) = &mut self.hub {
            hub.listen(self.now, disk, &mut self.oracle);
        }
    }

    /// What every step may have left: mail for shards, bytes on links, messages for the oracle.
    fn after_step(&mut self) {
        self.hear();
        let Some(hub) = &mut self.hub else { return };
        if hub.misused {
            self.oracle.object("a shard used a connection that it had let go of");
        }
        let mut touched = std::mem::take(&mut hub.touched);
        for shard in 0..self.setup.shards {
            self.wake(shard);
        }
        for link in touched.drain(..) {
            self.plan_down(link);
        }
        self.plan_read();
        self.plan_fetch();
        self.plan_answers();
        self.plan_checks();
        self.plan_storing();
        if let Some(hub) = &mut self.hub {
            hub.touched = touched;
        }
    }

    /// The oracle looks at the clocks.
    fn tick(&mut self) {
        if let Some(hub) = &self.hub {
            self.oracle.tick(self.now, hub.topics.calendar().at(Millis(self.now)).0);
        }
    }

    /// A shard with mail has its turn at once, one without by its deadline; a sleeping thread may oversleep.
    fn wake(&mut self, shard: usize) {
        let Some(hub) = &self.hub else { return };
        let seat = &hub.seats[shard];
        if seat.inbox.has_mail() {
            self.turn_at(shard, 0);
        } else if seat.due == u64::MAX {
            let wait = seat.shard.deadline().0.saturating_sub(self.now);
            let late = self.random.below(700);
            self.turn_at(shard, wait + late);
        }
    }

    fn turn_at(&mut self, shard: usize, in_ms: u64) {
        let at = self.now + in_ms;
        let Some(hub) = &mut self.hub else { return };
        let seat = &mut hub.seats[shard];
        if seat.due <= at {
            return;
        }
        seat.stamp += 1;
        seat.due = at;
        let stamp = seat.stamp;
        self.after(in_ms, Event::Turn { shard, stamp });
    }

    fn turn(&mut self, shard: usize, stamp: u32) {
        let Some(hub) = &mut self.hub else { return };
        if hub.seats[shard].stamp != stamp {
            return;
        }
        hub.seats[shard].due = u64::MAX;
        if hub.turn(self.now, shard, &mut self.links) {
            let pause = if self.random.one_in(8) { self.random.below(3) } else { 0 };
            self.turn_at(shard, pause);
        }
    }

    fn after(&mut self, ms: u64, event: Event) {
        let chance = self.random.number() as u32;
        self.queue.push(self.now + ms, chance, event);
    }

    fn check_calm(&mut self) {
        if self.oracle.violation().is_some() {
            return;
        }
        for (index, actor) in self.actors.iter().enumerate().filter(|(_, actor)| !actor.closed) {
            if !actor.online {
                self.oracle.object(format_args!("client {index} is not online in calm"));
            }
            let (count, bytes) = actor.client.outbox_state();
            if count > 0 {
                self.oracle.object(format_args!("client {index} still has {count} messages, {bytes} bytes"));
            }
        }
        self.tick();
        self.check_hostiles_are_forgotten();
        self.check_sources();
        self.check_calls();
        self.oracle.check_calm(self.now);
    }

    fn note<D: fmt::Display>(&mut self, what: impl FnOnce() -> D) {
        if let Some(trace) = &mut self.trace {
            trace.push(format!("{:>10} {}", self.now - BEGINNING_MS, what()));
        }
    }
}

/// When worlds begin: long enough after 1970 for any clock.
pub const BEGINNING_MS: u64 = 1_700_000_000_000;
/// Everything must have arrived so long after the last fault.
const CALM_MS: u64 = 30_000;
/// More steps within a millisecond mean that something goes round in circles.
const STEPS_AT_ONCE_MAX: u32 = 1_000_000;
