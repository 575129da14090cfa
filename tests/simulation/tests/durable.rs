//! The rules of the model that concern logs which outlive the hub, each as a short world that follows a script.
#![allow(clippy::unwrap_used)]

use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::{Event, Published};
use tidewire_protocol::code::{Durability, GapReason};
use tidewire_protocol::position::{Gap, Start};
use tidewire_simulation::names::{selector_named, topic_named};
use tidewire_simulation::oracle::Uid;
use tidewire_simulation::random::Random;
use tidewire_simulation::setup::Setup;
use tidewire_simulation::world::World;
use tidewire_simulation::world::disk::Crash;

/// A world with one log, which is durable, a client that publishes and one that listens to `a`.
struct Script {
    world: World,
    publisher: usize,
}

impl Script {
    fn new(seed: u64) -> Self {
        Self::of(Setup { seed, durable: Some(0), ..Setup::still() })
    }

    fn of(setup: Setup) -> Self {
        let mut world = World::new(setup);
        world.story = Some(Vec::new());
        let (publisher, reader) = (world.new_actor(), world.new_actor());
        let mut script = Self { world, publisher };
        script.pass(100);
        let options = SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() };
        script.world.listen(reader, selector_named("a").unwrap(), options).unwrap();
        script.pass(100);
        script
    }

    #[track_caller]
    fn pass(&mut self, ms: u64) {
        self.world.pass(ms);
        assert_eq!(self.world.oracle.violation(), None);
    }

    fn publish(&mut self) -> Uid {
        let uid = self.world.publish(self.publisher, topic_named("a").unwrap(), 20).unwrap();
        self.world.flush(self.publisher);
        uid
    }

    fn hold(&mut self, is_held: bool) {
        self.world.storing.as_mut().unwrap().is_held = is_held;
    }

    #[track_caller]
    fn start_anew(&mut self) {
        self.pass(3_000);
        self.world.start_hub();
        self.pass(40_000);
    }

    fn events(&self) -> impl Iterator<Item = &Event> {
        self.world.story.iter().flatten().map(|told| &told.event)
    }

    fn heard(&self) -> Vec<Uid> {
        self.world.story.iter().flatten().filter_map(|told| told.uid).collect()
    }

    fn published(&self) -> Vec<Published> {
        let published = |event: &Event| if let Event::Published(it) = event { Some(*it) } else { None };
        self.events().filter_map(published).collect()
    }

    fn gaps(&self) -> Vec<Gap> {
        self.events()
            .filter_map(|event| if let Event::Gap { gap, .. } = event { Some(*gap) } else { None })
            .collect()
    }
}

#[test]
fn what_was_acknowledged_is_there_after_a_crash_and_a_listener_resumes_without_a_gap() {
    for seed in 1..=8 {
        let mut script = Script::new(seed);
        let first = script.publish();
        script.pass(100);
        assert_eq!(script.published()[0].durability, Durability::Synced);
        script.world.crash_hub();
        script.start_anew();
        let second = script.publish();
        script.pass(100);
        assert_eq!(script.heard(), [first, second]);
        assert_eq!(script.gaps(), []);
        let offsets: Vec<u64> = script.published().iter().map(|published| published.offset.0).collect();
        assert_eq!(offsets, [1, 2]);
    }
}

#[test]
fn between_any_two_steps_of_a_commit_a_crash_leaves_each_message_once() {
    let mut duplicates = Vec::new();
    for seed in 1..=8 {
        for steps in 0..6 {
            let mut script = Script::new(seed);
            script.hold(true);
            let sent = script.publish();
            script.pass(50);
            (0..steps).for_each(|_| _ = script.world.storing_step());
            script.pass(50);
            if steps < 5 {
                assert_eq!((script.heard(), script.published()), (vec![], vec![]));
            }
            script.world.crash_hub();
            script.hold(false);
            script.start_anew();
            assert_eq!(script.heard(), [sent]);
            assert_eq!(script.published().len(), 1);
            duplicates.push(script.published()[0].duplicate);
        }
    }
    assert!(duplicates.contains(&true), "some were stored and not answered");
    assert!(duplicates.contains(&false), "some were not stored");
}

#[test]
fn what_is_in_doubt_is_told_neither_way_and_lands_once() {
    for seed in 1..=8 {
        let mut script = Script::new(seed);
        script.hold(true);
        let sent = script.publish();
        script.pass(50);
        // It is taken and written, and more may have to be.
        (0..2).for_each(|_| _ = script.world.storing_step());
        script.world.fail_sync();
        script.hold(false);
        script.pass(90);
        assert_eq!((script.published(), script.heard()), (vec![], vec![]));
        assert!(!script.events().any(|event| matches!(event, Event::Failed { .. })));
        script.pass(60_000);
        assert_eq!(script.heard(), [sent]);
        assert_eq!(script.published().len(), 1);
    }
}

#[test]
fn who_comes_back_to_a_log_that_lost_something_is_told_that_it_is_another() {
    let mut changed = 0;
    for seed in 1..=8 {
        let still = Setup::still();
        let mut script =
            Script::of(Setup { seed, durable: Some(0), keeps_all: false, forgets: true, ..still });
        (0..20).for_each(|_| _ = script.publish());
        script.pass(500);
        let before = script.world.hub.as_ref().unwrap().topics.log(0).epoch;
        // What power loss leaves of the end of a log may be damaged without anybody noticing.
        script.world.storing.as_mut().unwrap().crash = Some(Crash::Killed);
        script.world.crash_hub();
        let storing = script.world.storing.as_mut().unwrap();
        storing.disk.damage(&mut Random::new(seed));
        script.start_anew();
        let after = script.world.hub.as_ref().unwrap().topics.log(0).epoch;
        let is_told =
            script.gaps().iter().any(|gap| gap.reason == GapReason::EpochChanged && gap.epoch == after);
        assert_eq!(is_told, before != after);
        changed += u64::from(is_told);
    }
    assert!(changed > 0, "something was lost");
}

/// It does not know yet that it is fenced, and the hub not any more: what it publishes then takes the seqs of the one that took
/// over.
#[test]
fn who_was_fenced_may_come_first_after_a_start_and_whoever_took_over_loses_nothing() {
    for seed in 1..=60 {
        let mut script = Script::new(seed);
        script.publish();
        script.pass(100);
        let old = script.publisher;
        let link = script.world.actors[old].link.unwrap();
        script.world.fall_silent(link);
        script.publish();
        let new = script.world.take_over(old).unwrap();
        script.pass(200);
        script.hold(true);
        script.world.publish(new, topic_named("a").unwrap(), 20).unwrap();
        script.world.flush(new);
        script.pass(50);
        script.world.crash_hub();
        script.hold(false);
        script.pass(100);
        script.world.start_hub();
        script.pass(60_000);
    }
}
