//! Who publishes: nobody is kept out by what others leave behind, and who is fenced stays so.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{self, Attach, Batch, ClientFrame, Detach, Hello, Open, Publish, Shut};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, Incarnation, Participant, ProducerId, Seq};
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, attach, hello, limits, open_as, publish_on, websocket_message};

/// Connects from an address of its own and signs in.
fn from(hub: &mut Hub, address: u128, producer: u64, incarnation: u64) -> ConnectionId {
    let id = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(address));
    // One that was there before had the same number.
    hub.heard(id);
    let (producer, incarnation) = (named(producer), Incarnation(incarnation));
    hub.say(id, &[ClientFrame::Hello(Hello { producer, incarnation, ..Hello::default() })]);
    id
}

/// The same, and it is let in.
fn welcomed(hub: &mut Hub, address: u128, producer: u64) -> ConnectionId {
    let id = from(hub, address, producer, 1);
    assert_eq!(hub.heard(id), [Heard::Welcome]);
    id
}

fn named(producer: u64) -> ProducerId {
    ProducerId((u128::from(producer) + 1).to_be_bytes())
}

/// Opens handle 1 on "t" and tells what was answered: whether the window is new, and which seq comes next.
fn opened(hub: &mut Hub, id: ConnectionId, lowest: u64) -> (bool, u64) {
    opened_on(hub, id, 1, "t", lowest)
}

fn opened_on(hub: &mut Hub, id: ConnectionId, handle: u64, topic: &str, lowest: u64) -> (bool, u64) {
    hub.heard(id);
    let (handle, participant, topic, lowest) = (Handle(handle), Participant(0), topic.into(), Seq(lowest));
    hub.say(id, &[ClientFrame::Open(Open { handle, participant, topic, lowest, ..Open::default() })]);
    let bytes = std::mem::take(hub.sockets.written.entry(id).or_default());
    let (_, mut frames) = websocket_message(&mut &bytes[..]).expect("an answer");
    match HubFrame::take(&mut frames).unwrap().unwrap() {
        HubFrame::Opened(opened) => (opened.window_new, opened.next.0),
        other => panic!("{other:?}"),
    }
}

/// A publish by one that has not heard what became of those before.
fn unanswered(handle: u64, seq: u64) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(handle), Seq(seq), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

/// Room for about so many windows.
fn room_for(windows: usize) -> Limits {
    limits(|limits| limits.windows_bytes_max = windows * 96)
}

/// Somebody at one address leaves windows of so many producers behind.
fn litter(hub: &mut Hub, address: u128, producers: std::ops::Range<u64>) {
    let id = welcomed(hub, address, u64::MAX - 1);
    for producer in producers {
        let (participant, producer) = (Participant(1), named(producer));
        let attach = Attach { participant, producer, incarnation: Incarnation(1) };
        let (attach, detach) = (ClientFrame::Attach(attach), ClientFrame::Detach(Detach { participant }));
        hub.say(id, &[attach, open_as(1, 1, "litter"), publish_on(1, 1, b"m"), detach]);
        hub.sockets.written.clear();
    }
    hub.shard.gone(hub.now, id);
}

#[test]
fn windows_of_others_do_not_keep_a_new_producer_out() {
    let mut hub = Hub::new(room_for(10), vec![]);
    for producer in 1..=10 {
        let id = hub.client(producer);
        hub.open(id, "t");
        hub.publish(id, 1, b"m");
        hub.shard.gone(hub.now, id);
        hub.sockets.written.clear();
    }
    let late = hub.client(99);
    hub.open(late, "t");
    hub.publish(late, 1, b"m");
    assert_eq!(hub.heard(late), [Heard::Acked(1, 1)]);
}

#[test]
fn who_leaves_very_many_windows_behind_loses_only_their_own() {
    let mut hub = Hub::new(limits(|limits| limits.windows_bytes_max = 100_000), vec![]);
    let early = welcomed(&mut hub, 1, 1);
    opened(&mut hub, early, 1);
    hub.say(early, &[publish_on(1, 1, b"m")]);
    hub.shard.gone(hub.now, early);
    litter(&mut hub, 2, 1_000..6_000);
    let windows = hub.topics.with_log(0, |log| log.windows.count());
    assert!((900..1_100).contains(&windows), "{windows} windows");
    let early = welcomed(&mut hub, 1, 1);
    assert_eq!(opened(&mut hub, early, 1), (false, 2), "the window is kept");
    let late = welcomed(&mut hub, 3, 2);
    assert_eq!(opened(&mut hub, late, 1), (true, 1));
    hub.say(late, &[publish_on(1, 1, b"m")]);
    assert_eq!(hub.heard(late), [Heard::Acked(1, 1)]);
}

#[test]
fn producers_that_nobody_uses_are_forgotten_and_those_in_use_stay_fenced() {
    let mut hub = Hub::new(
        limits(|limits| (limits.producers_bytes_max, limits.windows_bytes_max) = (20_000, 10_000)),
        vec![],
    );
    let newer = from(&mut hub, 1, 1, 2);
    litter(&mut hub, 1, 1_000..3_000);
    let older = from(&mut hub, 2, 1, 1);
    assert_eq!(hub.heard(older)[0], Heard::Goodbye(Code::Fenced));
    assert!(hub.held(Kind::Windows) < 60_000, "{} bytes", hub.held(Kind::Windows));
    hub.shard.gone(hub.now, newer);
    // Also while only a window uses it, and when it comes and goes often.
    for _ in 0..100 {
        let newer = from(&mut hub, 1, 1, 2);
        opened(&mut hub, newer, 1);
        hub.shard.gone(hub.now, newer);
    }
    let older = from(&mut hub, 2, 1, 1);
    assert_eq!(hub.heard(older)[0], Heard::Goodbye(Code::Fenced));
}

#[test]
fn what_is_only_opened_takes_nothing_but_its_handle() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let id = welcomed(&mut hub, 1, 1);
    let before = hub.held(Kind::Windows);
    for handle in 1..=5_000u64 {
        hub.say(id, &[open_as(handle, 0, &format!("never.{handle}"))]);
    }
    hub.sockets.written.clear();
    assert_eq!(hub.topics.metrics().topics.value(), 0);
    assert_eq!((hub.held(Kind::Windows), hub.topics.with_log(0, |log| log.windows.count())), (before, 0));
    let handles = hub.held(Kind::Handles);
    assert!((5_000 * 64..5_000 * 128).contains(&handles), "{handles} bytes");
    for handle in 1..=5_000u64 {
        hub.say(id, &[publish_on(handle, 1, b"m")]);
    }
    assert!(hub.held(Kind::Handles) <= 5_000 * 80);
    let windows = hub.held(Kind::Windows) - before;
    assert!(windows <= 5_000 * 100, "{windows} bytes");
    for handle in 1..=2_500u64 {
        hub.say(id, &[ClientFrame::Shut(Shut { handle: Handle(handle) })]);
    }
    hub.shard.gone(hub.now, id);
    assert_eq!(hub.held(Kind::Handles), 0);
    assert!(hub.held(Kind::Windows) - windows < before, "the windows stay, and nobody has their producer");
}

#[test]
fn a_window_is_new_until_a_publish_is_taken_and_known_from_then_on() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let id = welcomed(&mut hub, 1, 1);
    assert_eq!(opened(&mut hub, id, 5), (true, 5));
    hub.say(id, &[unanswered(1, 6)]);
    assert_eq!(hub.heard(id), [Heard::Refused(6, Code::OutOfOrder)]);
    hub.shard.gone(hub.now, id);
    assert_eq!(hub.topics.with_log(0, |log| log.windows.count()), 0, "nothing came of it");
    let id = welcomed(&mut hub, 1, 1);
    assert_eq!(opened(&mut hub, id, 4), (true, 4));
    hub.say(id, &[unanswered(1, 4), unanswered(1, 5), unanswered(1, 4)]);
    assert_eq!(hub.heard(id), [Heard::Acked(4, 2), Heard::Acked(4, 1)]);
    assert_eq!(opened_on(&mut hub, id, 2, "t", 4), (false, 6));
}

#[test]
fn who_uses_very_many_windows_leaves_room_for_others() {
    let mut hub = Hub::new(room_for(1_000), vec![]);
    let greedy = welcomed(&mut hub, 1, 1);
    for handle in 1..=2_000u64 {
        hub.say(greedy, &[open_as(handle, 0, &format!("many.{handle}")), publish_on(handle, 1, b"m")]);
    }
    let refused = |heard: &&Heard| matches!(heard, Heard::Refused(1, Code::Overloaded));
    let count = hub.heard(greedy).iter().filter(refused).count();
    assert!((1_450..1_550).contains(&count), "{count} refused");
    for address in 2..10 {
        let late = welcomed(&mut hub, address, address as u64);
        opened(&mut hub, late, 1);
        hub.say(late, &[publish_on(1, 1, b"m")]);
        assert_eq!(hub.heard(late), [Heard::Acked(1, 1)]);
    }
}

#[test]
fn outcomes_that_are_kept_count_as_memory() {
    let mut hub = Hub::new(room_for(1_000), vec![]);
    let (one, two) = (welcomed(&mut hub, 1, 1), welcomed(&mut hub, 2, 2));
    opened(&mut hub, one, 1);
    opened(&mut hub, two, 1);
    let before = hub.held(Kind::Windows);
    // Offsets of each have holes, so that every outcome is a run, and nobody says that he heard any.
    let mut refused = 0;
    for seq in 1..=900 {
        for id in [one, two] {
            hub.say(id, &[unanswered(1, seq)]);
            refused += usize::from(!matches!(hub.heard(id)[..], [Heard::Acked(..)]));
        }
    }
    let held = hub.held(Kind::Windows) - before;
    assert!(held > 2 * 500 * 16 && refused == 0, "{held} bytes, {refused} refused");
}

#[test]
fn whoever_waits_for_room_gets_what_outcomes_held_once_their_publishers_say_more() {
    let mut hub = Hub::new(room_for(300), vec![]);
    let others: Vec<_> = (1..=8).map(|address| welcomed(&mut hub, address, address as u64)).collect();
    others.iter().for_each(|id| _ = opened(&mut hub, *id, 1));
    let mut next = vec![1; others.len()];
    for _ in 0..400 {
        for (id, next) in others.iter().zip(&mut next) {
            hub.say(*id, &[unanswered(1, *next)]);
            *next += u64::from(matches!(hub.heard(*id)[..], [Heard::Acked(..)]));
        }
    }
    let late = welcomed(&mut hub, 9, 9);
    let begun = |hub: &mut Hub, handles: std::ops::Range<u64>| {
        let tries = handles.filter(|handle| {
            hub.say(late, &[open_as(*handle, 0, &format!("late.{handle}")), publish_on(*handle, 1, b"m")]);
            hub.heard(late).contains(&Heard::Acked(1, 1))
        });
        tries.count()
    };
    assert!(begun(&mut hub, 1..41) < 40, "most is in use");
    for (id, next) in others.iter().zip(&next) {
        hub.say(*id, &[publish_on(1, *next, b"m")]);
        assert_eq!(hub.heard(*id), [Heard::Acked(*next, 1)]);
    }
    assert_eq!(begun(&mut hub, 41..81), 40);
}

#[test]
fn a_fenced_participant_stays_so_whatever_comes_between() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let x = welcomed(&mut hub, 1, 100);
    hub.say(x, &[attach(1, 50, 1), open_as(1, 1, "t"), publish_on(1, 1, b"m")]);
    let y = welcomed(&mut hub, 2, 101);
    hub.heard(x);
    hub.say(y, &[attach(1, 50, 2)]);
    assert_eq!(hub.heard(x), [Heard::Detached(1, Code::Fenced)]);
    hub.say(x, &[open_as(2, 1, "u"), publish_on(1, 2, b"late")]);
    let heard = hub.heard(x);
    assert!(heard.contains(&Heard::Refused(0, Code::Fenced)), "{heard:?}");
    assert!(heard.contains(&Heard::Refused(2, Code::Fenced)), "{heard:?}");
    // The first publish of a handle that was opened before.
    let z = hub.client(9);
    hub.say(z, &[open_as(1, 0, "t")]);
    let newer = hub.connect(Dialect::Binary);
    hub.say(newer, &[hello(9, 2)]);
    hub.say(z, &[publish_on(1, 1, b"late")]);
    assert_eq!(hub.heard(z)[1..], [Heard::Detached(0, Code::Fenced), Heard::Refused(1, Code::Fenced)]);
}

#[test]
fn a_newer_incarnation_goes_on_where_the_older_ended_only_if_the_hub_knows_all_before() {
    // The hub has restarted, and the older of the two comes back first, under seqs that the newer used meanwhile.
    let mut hub = Hub::new(Limits::default(), vec![]);
    let older = from(&mut hub, 1, 1, 1);
    assert_eq!(opened(&mut hub, older, 3), (true, 3));
    hub.say(older, &[unanswered(1, 3), unanswered(1, 4), unanswered(1, 5)]);
    assert_eq!(hub.heard(older), [Heard::Acked(3, 3)]);
    let newer = from(&mut hub, 2, 1, 2);
    assert_eq!(opened(&mut hub, newer, 4), (true, 4), "the hub does not pretend to know");
    hub.say(newer, &[unanswered(1, 4), unanswered(1, 5)]);
    assert_eq!(hub.history(newer, "t", Start::Earliest).len(), 5);
    hub.say(older, &[unanswered(1, 6)]);
    assert_eq!(hub.heard(older), [Heard::Detached(0, Code::Fenced), Heard::Refused(6, Code::Fenced)]);

    // A producer whose every publish this hub has seen.
    let older = from(&mut hub, 1, 2, 1);
    assert_eq!(opened(&mut hub, older, 1), (true, 1));
    hub.say(older, &[unanswered(1, 1), unanswered(1, 2)]);
    let newer = from(&mut hub, 2, 2, 2);
    assert_eq!(opened(&mut hub, newer, 2), (false, 3));
    hub.say(newer, &[unanswered(1, 2)]);
    assert_eq!(hub.history(newer, "t", Start::Earliest).len(), 7, "the second was known");
}

#[test]
fn connections_of_one_address_share_a_rate() {
    let mut hub = Hub::new(limits(|limits| limits.publishes_per_second_per_address_max = 1), vec![]);
    let acked_of = |hub: &mut Hub, address: u128, producer: u64| {
        let id = welcomed(hub, address, producer);
        opened(hub, id, 1);
        (1..=20).for_each(|seq| hub.say(id, &[publish_on(1, seq, b"m")]));
        hub.heard(id).iter().filter(|heard| matches!(heard, Heard::Acked(..))).count()
    };
    assert_eq!([acked_of(&mut hub, 1, 1), acked_of(&mut hub, 1, 2), acked_of(&mut hub, 2, 3)], [10, 0, 10]);
}

#[test]
fn what_one_rate_refuses_costs_nothing_of_the_other() {
    let rates = |limits: &mut Limits| {
        limits.publishes_per_second_max = 1;
        limits.publishes_per_second_per_address_max = 2;
    };
    let update = client_frame::Send { handle: Handle(2), payload: b"m"[..].into(), ..Default::default() };
    let update = ClientFrame::Send(update);
    let whole: Vec<_> = (1..=300).map(|seq| unanswered(1, seq)).collect();
    let whole = [vec![ClientFrame::Batch(Batch { count: 300 })], whole].concat();
    for refused in [whole, vec![unanswered(1, 1)], vec![update.clone()]] {
        let mut hub = Hub::new(limits(rates), vec![]);
        let clients = [1, 2, 3].map(|producer| hub.client(producer));
        for id in clients {
            let (handle, topic) = (Handle(2), "t".into());
            let for_updates = Open { handle, topic, unacknowledged: true, ..Open::default() };
            hub.say(id, &[open_as(1, 0, "t"), ClientFrame::Open(for_updates)]);
            hub.heard(id);
        }
        let [id, others @ ..] = clients;
        // Ten seconds' worth of two take all of the address's.
        for other in others {
            hub.say(other, &vec![update.clone(); 10]);
        }
        for _ in 0..20 {
            hub.say(id, &refused);
            assert!(!hub.heard(id).iter().any(|heard| matches!(heard, Heard::Acked(..))));
        }
        assert_eq!(hub.topics.metrics().published.value(), 20);
        // Ten are there again, and none of its own was taken.
        hub.now = hub.now.plus(5_000);
        hub.say(id, &(1..=10).map(|seq| unanswered(1, seq)).collect::<Vec<_>>());
        assert_eq!(hub.heard(id), [Heard::Acked(1, 10)], "after {:?}", refused[0]);
        // The other way round: it has none left, and its address ten.
        hub.now = hub.now.plus(5_000);
        hub.say(id, &vec![update.clone(); 5]);
        for _ in 0..20 {
            hub.say(id, &refused);
        }
        hub.heard(id);
        hub.say(others[0], &(1..=5).map(|seq| unanswered(1, seq)).collect::<Vec<_>>());
        assert_eq!(hub.heard(others[0]), [Heard::Acked(1, 5)], "after {:?}", refused[0]);
    }
}
