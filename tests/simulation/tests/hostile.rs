//! What the simulation says of clients that keep no rule: that they do something, and that what they leave is found.
#![allow(clippy::unwrap_used)]

use tidewire_hub_core::ledger::Kind;
use tidewire_simulation::oracle::fate::Fate;
use tidewire_simulation::setup::Setup;
use tidewire_simulation::world::World;
use tidewire_simulation::world::hostile::account_of;

/// A world with three hostile clients and a few that listen and publish.
fn beset(seed: u64) -> World {
    World::new(Setup {
        seed,
        clients: 3,
        hostiles: 3,
        act_ms: 5_000,
        fault_ms: 1_000_000,
        rounds: 1,
        round_ms: 120_000,
        late_engine: seed.is_multiple_of(2),
        ..Setup::still()
    })
}

#[test]
fn hostile_clients_get_through_and_are_sent_away_and_harm_nobody() {
    let (mut stored, mut sent_away) = (0, 0);
    for seed in 1..=8 {
        let mut world = beset(seed);
        world.run();
        assert_eq!(world.oracle.violation(), None, "seed {seed}");
        let landed = |publish: &&tidewire_simulation::oracle::Publish| {
            publish.fate == Fate::Hostile && publish.seen > 0
        };
        stored += world.oracle.publishes.iter().filter(landed).count();
        sent_away += world.hub.as_ref().unwrap().topics.metrics().disconnected.value();
    }
    assert!(stored > 100, "only {stored} messages of theirs were stored");
    assert!(sent_away > 10, "only {sent_away} connections were ended for what they said");
}

#[test]
fn what_a_hub_keeps_for_those_who_have_left_is_found() {
    let mut world = beset(1);
    // The account goes at once; what was charged to it and not given back stays in the total.
    world.hub.as_ref().unwrap().topics.ledger().account(account_of(2)).charge(Kind::HalfReceived, 7);
    world.run();
    assert!(world.oracle.violation().unwrap().contains("still holds"), "{:?}", world.oracle.violation());
}
