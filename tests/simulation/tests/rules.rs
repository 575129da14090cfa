//! The rules of the model that concern what exists, each as a short world that follows a script.
#![allow(clippy::unwrap_used, clippy::panic)]

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::{Event, PublishId, Published};
use tidewire_hub_core::access::Word;
use tidewire_hub_core::names::directory::Retention;
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::number::Offset;
use tidewire_protocol::position::{Gap, Position, Start};
use tidewire_simulation::names::{selector_named, topic_named};
use tidewire_simulation::oracle::Uid;
use tidewire_simulation::setup::{EVERYTHING_KEPT, Setup, rule};
use tidewire_simulation::world::World;

/// A world that a test writes the script of. The oracle watches it as any other.
struct Script {
    world: World,
}

impl Script {
    fn new(change: impl FnOnce(&mut Setup)) -> Self {
        let mut setup = Setup::still();
        change(&mut setup);
        let mut world = World::new(setup);
        world.story = Some(Vec::new());
        Self { world }
    }

    /// A client that is online.
    fn client(&mut self) -> usize {
        let actor = self.world.new_actor();
        self.pass(100);
        actor
    }

    #[track_caller]
    fn pass(&mut self, ms: u64) {
        self.world.pass(ms);
        assert_eq!(self.world.oracle.violation(), None);
    }

    fn publish(&mut self, actor: usize, topic: &str) -> Uid {
        self.publish_bytes(actor, topic, 20)
    }

    fn publish_bytes(&mut self, actor: usize, topic: &str, len: u32) -> Uid {
        let uid = self.world.publish(actor, topic_named(topic).unwrap(), len).unwrap();
        self.world.flush(actor);
        uid
    }

    fn listen(&mut self, actor: usize, name: &str, from: Start) -> usize {
        self.listen_with(actor, name, SubscribeOptions { from, ..SubscribeOptions::default() })
    }

    fn listen_with(&mut self, actor: usize, name: &str, options: SubscribeOptions) -> usize {
        let listener = self.world.listen(actor, selector_named(name).unwrap(), options).unwrap();
        self.pass(50);
        listener
    }

    fn cut(&mut self, actor: usize) {
        let link = self.world.actors[actor].link.unwrap();
        self.world.cut(link);
    }

    /// The hub dies and comes back; clients are told that the network is there.
    fn restart_hub(&mut self) {
        self.world.crash_hub();
        self.pass(3_000);
        self.world.start_hub();
        self.pass(40_000);
    }

    /// The engine stores, or fails, the oldest, or the one `place` behind it.
    fn store(&mut self, place: u64, fails: bool) {
        assert!(self.world.store_one(place, fails));
        self.pass(50);
    }

    /// What an actor's client was told, newest last.
    fn told(&self, actor: usize) -> impl DoubleEndedIterator<Item = &Event> {
        self.world.story.iter().flatten().filter(move |told| told.actor == actor).map(|told| &told.event)
    }

    fn heard(&self, actor: usize, listener: usize) -> Vec<Uid> {
        let id = self.id(actor, listener);
        let mine = self.world.story.iter().flatten().filter(|told| told.actor == actor);
        let messages = mine.filter(|told| matches!(&told.event, Event::Message(m) if m.listener.0 == id));
        messages.filter_map(|told| told.uid).collect()
    }

    fn gaps(&self, actor: usize, listener: usize) -> Vec<Gap> {
        let id = self.id(actor, listener);
        let gap = |event: &Event| match event {
            Event::Gap { listener, gap } if listener.0 == id => Some(*gap),
            Event::Ready { listener, gap, .. } if listener.0 == id => *gap,
            _ => None,
        };
        self.told(actor).filter_map(gap).collect()
    }

    fn outcome(&self, actor: usize, listener: usize) -> Outcome {
        let id = self.id(actor, listener);
        let outcome = |event: &Event| match event {
            Event::Ready { listener, outcome, .. } if listener.0 == id => Some(*outcome),
            _ => None,
        };
        self.told(actor).find_map(outcome).unwrap()
    }

    fn published(&self, actor: usize) -> Vec<Published> {
        let published = |event: &Event| match event {
            Event::Published(published) => Some(*published),
            _ => None,
        };
        self.told(actor).filter_map(published).collect()
    }

    fn failed(&self, actor: usize) -> Vec<(PublishId, Fault)> {
        let failed = |event: &Event| match event {
            Event::Failed { id, fault, .. } => Some((*id, *fault)),
            _ => None,
        };
        self.told(actor).filter_map(failed).collect()
    }

    fn id(&self, actor: usize, listener: usize) -> u32 {
        self.world.actors[actor].listeners.iter().position(|index| *index == listener).unwrap() as u32 + 1
    }

    fn here(&self, offset: u64) -> Start {
        let epoch = self.world.hub.as_ref().unwrap().topics.log(0).epoch;
        Start::After(vec![Position { epoch, offset: Offset(offset) }])
    }
}

fn late(setup: &mut Setup) {
    setup.late_engine = true;
}

/// Only the newest message is kept, each in a block of its own.
fn forgetful(setup: &mut Setup) {
    setup.keeps_all = false;
    setup.hub.limits.block_bytes = 1;
    setup.hub.rules = vec![rule("a.>", Retention { count: Some(1), ..EVERYTHING_KEPT })];
}

#[test]
fn rule_1_nothing_is_visible_while_a_lower_offset_is_pending() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let (one, two, reader) = (script.client(), script.client(), script.client());
    let listener = script.listen(reader, ">", Start::Latest);
    let first = script.publish(one, "a.b");
    script.pass(50);
    let second = script.publish(two, "a.c");
    script.pass(50);
    script.store(1, false);
    assert!(script.heard(reader, listener).is_empty());
    assert!(script.published(two).is_empty());
    script.store(0, false);
    assert_eq!(script.heard(reader, listener), [first, second]);
    assert_eq!(script.published(two)[0].offset, Offset(2));
}

#[test]
fn rule_2_an_offset_is_never_used_twice_and_a_cursor_beyond_the_end_is_a_gap() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let client = script.client();
    script.publish(client, "a.b");
    script.pass(50);
    script.store(0, true);
    script.pass(1_000);
    script.store(0, false);
    assert_eq!(script.published(client)[0].offset, Offset(2));
    let beyond = script.here(40);
    let listener = script.listen(client, "a.b", beyond);
    assert_eq!(script.gaps(client, listener)[0].reason, GapReason::BeyondEnd);
}

#[test]
fn rule_3_a_forgotten_topic_is_a_gap_for_an_older_cursor() {
    let mut script = Script::new(|setup| {
        setup.keeps_all = false;
        setup.hub.rules = vec![rule("a", Retention { age_ms: Some(1_000), ..EVERYTHING_KEPT })];
    });
    let publisher = script.client();
    script.publish(publisher, "a");
    script.pass(100);
    script.world.close(publisher);
    script.pass(30_000);
    let reader = script.client();
    let start = script.here(0);
    let listener = script.listen(reader, "a", start);
    assert_eq!(script.gaps(reader, listener)[0].reason, GapReason::Forgotten);
}

#[test]
fn rule_4_what_retention_dropped_is_a_gap_and_stays_one() {
    let mut script = Script::new(forgetful);
    let client = script.client();
    for _ in 0..3 {
        script.publish(client, "a.b");
        script.pass(50);
    }
    let newest = script.publish(client, "a.b");
    script.pass(50);
    for _ in 0..2 {
        let start = script.here(1);
        let reader = script.client();
        let listener = script.listen(reader, "a.b", start);
        let gaps = script.gaps(reader, listener);
        assert_eq!((gaps[0].from, gaps[0].to, gaps[0].reason), (Offset(2), Offset(3), GapReason::Retention));
        assert_eq!(script.heard(reader, listener), [newest]);
    }
}

#[test]
fn rule_5_offsets_of_other_topics_are_no_hole() {
    let mut script = Script::new(|_| {});
    let (client, reader) = (script.client(), script.client());
    let listener = script.listen(reader, "a.b", Start::Latest);
    let mut expected = Vec::new();
    for _ in 0..3 {
        expected.push(script.publish(client, "a.b"));
        script.publish(client, "a.c");
        script.pass(50);
    }
    script.cut(reader);
    expected.push(script.publish(client, "a.b"));
    script.pass(40_000);
    assert_eq!(script.heard(reader, listener), expected);
    assert!(script.gaps(reader, listener).is_empty());
}

#[test]
fn rule_6_since_is_a_span_back_from_the_hubs_clock() {
    let mut script = Script::new(|_| {});
    let client = script.client();
    script.publish(client, "a");
    script.pass(10_000);
    let recent = script.publish(client, "a");
    script.pass(1_000);
    let listener = script.listen(client, "a", Start::SinceMs(5_000));
    script.pass(1_000);
    assert_eq!(script.heard(client, listener), [recent]);
}

#[test]
fn rule_7_a_late_listener_shares_the_tail_and_reads_history_for_itself() {
    let mut script = Script::new(|_| {});
    let client = script.client();
    let early = script.listen(client, "a", Start::Latest);
    let first = script.publish(client, "a");
    script.pass(100);
    let late = script.listen(client, "a", Start::Earliest);
    let second = script.publish(client, "a");
    script.pass(100);
    assert_eq!(script.heard(client, early), [first, second]);
    assert_eq!(script.heard(client, late), [first, second]);
    assert_eq!(script.world.hub.as_ref().unwrap().topics.metrics().subscriptions.value(), 1);
}

#[test]
fn rule_7_the_last_n_of_a_pattern_are_n_in_all() {
    let mut script = Script::new(|_| {});
    let client = script.client();
    script.publish(client, "a.b");
    let second = script.publish(client, "a.c");
    let third = script.publish(client, "a.b");
    script.pass(100);
    let listener = script.listen(client, "a.*", Start::Last(2));
    script.pass(100);
    assert_eq!(script.heard(client, listener), [second, third]);
}

#[test]
fn rule_8_a_pattern_must_be_granted_whole() {
    let mut script = Script::new(|setup| {
        setup.hub.access.rules[0].pattern = tidewire_protocol::name::Pattern::parse("a.b").unwrap();
        setup.hub.access.rules[0].subscribe = Word::Denies;
        let everything = tidewire_hub_core::access::Access::open();
        setup.hub.access.rules.extend(everything.rules);
    });
    let client = script.client();
    script.world.listen(client, selector_named("a.*").unwrap(), SubscribeOptions::default()).unwrap();
    script.world.pass(100);
    let refused =
        |event: &Event| matches!(event, Event::Refused { fault: Fault::Protocol(Code::Forbidden), .. });
    assert!(script.told(client).any(refused));
}

#[test]
fn rule_10_a_restarted_hub_says_so_and_what_may_be_doubled_is_marked() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let (client, reader) = (script.client(), script.client());
    let listener = script.listen(reader, "a", Start::Latest);
    let sent = script.publish(client, "a");
    script.pass(100);
    script.restart_hub();
    let fresh = script.publish(client, "a");
    script.pass(100);
    script.store(0, false);
    script.store(0, false);
    let published = script.published(client);
    assert_eq!(published.iter().map(|p| p.maybe_duplicate).collect::<Vec<_>>(), [true, false]);
    assert_eq!(script.heard(reader, listener), [sent, fresh]);
    assert_eq!(script.gaps(reader, listener)[0].reason, GapReason::EpochChanged);
}

#[test]
fn rule_11_a_refusal_for_now_keeps_the_order_and_one_for_good_uses_its_seq() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let client = script.client();
    let listener = script.listen(client, "a", Start::Latest);
    let first = script.publish(client, "a");
    script.pass(50);
    let large = script.world.setup.hub.limits.message_bytes_max as u32 + 1;
    script.publish_bytes(client, "a", large);
    let last = script.publish(client, "a");
    script.pass(50);
    script.store(0, true);
    script.pass(2_000);
    script.store(0, false);
    script.store(0, false);
    assert_eq!(script.heard(client, listener), [first, last]);
    assert_eq!(script.failed(client), [(PublishId(2), Fault::Protocol(Code::TooLarge))]);
}

#[test]
fn rule_11_a_message_that_was_sent_is_withdrawn_by_a_void_in_its_place() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let client = script.client();
    let listener = script.listen(client, "a", Start::Latest);
    script.publish(client, "a");
    script.pass(50);
    script.world.cancel(client, PublishId(1));
    let second = script.publish(client, "a");
    script.pass(50);
    script.store(0, true);
    script.pass(2_000);
    script.store(0, false);
    assert_eq!(script.failed(client), [(PublishId(1), Fault::Client(ClientCode::Cancelled))]);
    assert_eq!(script.heard(client, listener), [second]);
}

#[test]
fn rule_12_a_duplicate_is_answered_when_the_original_is_stored() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let client = script.client();
    script.publish(client, "a");
    script.pass(100);
    script.cut(client);
    script.pass(40_000);
    assert!(script.published(client).is_empty());
    script.store(0, false);
    let published = script.published(client);
    assert_eq!(published.len(), 1);
    assert!(published[0].duplicate);
}

#[test]
fn rule_12_a_client_that_loses_its_engine_lands_each_message_once_and_in_order() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let (client, reader) = (script.client(), script.client());
    let listener = script.listen(reader, "a", Start::Latest);
    let stored = script.publish(client, "a");
    script.pass(50);
    // It is stored, and the answer is lost with the engine; the second is on its way, and the void was sent last.
    let pending = script.publish(client, "a");
    let gone = script.publish(client, "a");
    script.pass(50);
    script.world.cancel(client, PublishId(u64::from(gone) + 1));
    let unsent = script.publish(client, "a");
    script.world.rebuild(client);
    script.world.engine_held = false;
    (0..4).for_each(|_| _ = script.world.store_one(0, false));
    script.pass(5_000);
    let heard = script.heard(reader, listener);
    let live: Vec<_> = heard.into_iter().filter(|uid| *uid != gone).collect();
    assert_eq!(live, [stored, pending, unsent]);
    let (waiting, _) = script.world.actors[client].client.outbox_state();
    assert_eq!(waiting, 0);
}

#[test]
fn rule_12_what_a_lost_engine_had_sent_is_marked_only_where_the_hub_forgot() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let client = script.client();
    script.publish(client, "a");
    script.pass(50);
    script.world.rebuild(client);
    script.pass(1_000);
    script.publish(client, "a");
    script.world.engine_held = false;
    script.restart_hub();
    script.world.rebuild(client);
    script.pass(2_000);
    while script.world.store_one(0, false) {}
    let published = script.published(client);
    let marks: Vec<_> = published.iter().map(|published| published.maybe_duplicate).collect();
    assert_eq!(marks.len(), 2);
    assert!(marks[0], "it was sent to the hub that is gone");
}

#[test]
fn rule_12_what_a_lost_engine_had_sent_is_sent_again_where_the_log_fails_to_store_it() {
    let mut script = Script::new(late);
    script.world.engine_held = true;
    let (client, reader) = (script.client(), script.client());
    let listener = script.listen(reader, "a", Start::Latest);
    let sent: Vec<_> = (0..3).map(|_| script.publish(client, "a")).collect();
    script.pass(50);
    script.world.rebuild(client);
    script.pass(1_000);
    script.store(0, true);
    script.world.engine_held = false;
    script.pass(2_000);
    while script.world.store_one(0, false) {
        script.pass(50);
    }
    assert_eq!(script.heard(reader, listener), sent);
    assert_eq!(script.failed(client), []);
}

#[test]
fn rule_12_who_takes_over_and_has_nothing_goes_on_though_what_was_sent_is_not_stored() {
    // The log fails before the new owner's `open` comes, between that and its publish, and after it.
    for fails_after_ms in 0..30 {
        let mut script = Script::new(late);
        script.world.engine_held = true;
        let old = script.client();
        (0..3).for_each(|_| _ = script.publish(old, "a"));
        script.pass(50);
        let new = script.world.take_over(old).unwrap();
        script.pass(100);
        let first = script.publish(new, "a");
        script.pass(fails_after_ms);
        script.store(0, true);
        script.pass(1_000);
        let second = script.publish(new, "a");
        script.pass(100);
        while script.world.store_one(0, false) {
            script.pass(50);
        }
        let published = script.published(new).len();
        assert_eq!((published, script.failed(new)), (2, vec![]), "#{first} and #{second}");
    }
}

#[test]
fn rule_13_a_party_goes_to_another_connection_and_what_it_had_sent_lands_once() {
    for goes_through in [true, false] {
        let mut script = Script::new(late);
        script.world.engine_held = true;
        let (from, to, reader) = (script.client(), script.client(), script.client());
        let listener = script.listen(reader, "a", Start::Latest);
        script.world.join_or_part(from);
        script.pass(50);
        let sent: Vec<_> = (0..12).map(|_| script.publish(from, "a")).collect();
        script.pass(50);
        script.world.move_party(from, to);
        script.pass(500);
        if !goes_through {
            script.store(0, true);
        }
        script.world.engine_held = false;
        script.pass(20_000);
        while script.world.store_one(0, false) {
            script.pass(500);
        }
        script.pass(20_000);
        let mut heard = script.heard(reader, listener);
        heard.sort_unstable();
        assert_eq!(heard, sent);
    }
}

#[test]
fn rule_13_a_newer_incarnation_fences_the_older_on_every_topic() {
    let mut script = Script::new(|_| {});
    let old = script.client();
    let reader = script.client();
    let listener = script.listen(reader, ">", Start::Latest);
    let first = script.publish(old, "a");
    script.pass(100);
    let new = script.world.take_over(old).unwrap();
    script.pass(5);
    while !script.world.actors[new].online {
        script.pass(1);
    }
    script.publish(old, "b");
    let second = script.publish(new, "a");
    script.pass(100);
    assert_eq!(script.heard(reader, listener), [first, second]);
    assert_eq!(script.failed(old), [(PublishId(2), Fault::Protocol(Code::Fenced))]);
}

#[test]
fn rule_13_echo_off_spares_the_publisher_its_own_messages_over_reconnects() {
    let mut script = Script::new(|_| {});
    let (client, other) = (script.client(), script.client());
    let options = SubscribeOptions { echo: false, from: Start::Earliest, ..SubscribeOptions::default() };
    let listener = script.listen_with(client, "a", options);
    script.publish(client, "a");
    let theirs = script.publish(other, "a");
    script.pass(100);
    script.cut(client);
    script.pass(40_000);
    script.restart_hub();
    let after_restart = script.publish(other, "a");
    script.publish(client, "a");
    script.pass(100);
    assert_eq!(script.heard(client, listener), [theirs, after_restart]);
}

#[test]
fn resumed_is_told_only_when_nothing_is_missing() {
    let mut script = Script::new(|_| {});
    let client = script.client();
    script.publish(client, "a");
    let second = script.publish(client, "a");
    script.pass(100);
    let start = script.here(1);
    let listener = script.listen(client, "a", start);
    script.pass(100);
    assert_eq!(script.outcome(client, listener), Outcome::Resumed);
    assert_eq!(script.heard(client, listener), [second]);
}

#[test]
fn a_slow_subscriber_skips_with_a_gap_where_it_asked_to() {
    let mut script = Script::new(|setup| {
        setup.hub.limits.lag_bytes_max = 100;
        setup.hub.limits.block_bytes = 1;
        setup.socket_bytes = 24;
    });
    let (client, reader) = (script.client(), script.client());
    let options = SubscribeOptions { when_slow: WhenSlow::Gap, ..SubscribeOptions::default() };
    let listener = script.listen_with(reader, "a", options);
    script.pass(1_000);
    let link = script.world.actors[reader].link.unwrap();
    script.world.links[link as usize].capacity = 24;
    script.world.stall(link, 5_000);
    for _ in 0..20 {
        script.publish(client, "a");
        script.pass(20);
    }
    script.pass(10_000);
    assert_eq!(script.gaps(reader, listener)[0].reason, GapReason::TooSlow);
}

#[test]
fn a_draining_hub_tells_clients_when_to_come_back() {
    let mut script = Script::new(|_| {});
    let client = script.client();
    script.world.drain_hub(2_000);
    script.pass(500);
    let goodbye = |event: &Event| matches!(event, Event::Goodbye { code: Code::Draining, reconnect_after_ms } if *reconnect_after_ms > 0);
    assert!(script.told(client).any(goodbye));
    script.pass(5_000);
    assert!(script.world.actors[client].online);
}
