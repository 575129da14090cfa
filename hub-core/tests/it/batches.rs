//! Batches: the hub takes all of one or nothing, whatever its messages meet.

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Engine, Simulated};
use tidewire_hub_core::log::submission::Pending;
use tidewire_hub_core::names::directory::TopicRule;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{Batch, ClientFrame, Publish};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Epoch, Handle, Offset, Seq};
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Heard, Hub, bytes_of, hello, limits, open_as, publish_on, rule};
use crate::rules::but;

/// A hub, and a client with handle 1 on "a", 2 on "b".
fn publisher(limits: Limits) -> (Hub, ConnectionId) {
    let mut hub = Hub::new(limits, vec![]);
    let id = hub.client(1);
    hub.say(id, &[open_as(1, 0, "a"), open_as(2, 0, "b")]);
    hub.heard(id);
    (hub, id)
}

fn batch(publishes: &[ClientFrame<'static>]) -> Vec<ClientFrame<'static>> {
    let first = ClientFrame::Batch(Batch { count: publishes.len() as u64 });
    std::iter::once(first).chain(publishes.iter().cloned()).collect()
}

/// What became of it, for each publish: its handle, its seq, and its offset or why it was refused and whether its seq is
/// used up.
type Answer = (u64, u64, Result<(u64, bool), (Code, bool)>);

fn answers(hub: &mut Hub, id: ConnectionId) -> Vec<Answer> {
    let close = |code| panic!("closed with {code}");
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Acked(acked) => (0..acked.count)
            .map(|n| {
                let offset = if acked.offset.0 == 0 { 0 } else { acked.offset.0 + n };
                (acked.handle.0, acked.seq.0 + n, Ok((offset, acked.duplicate)))
            })
            .collect::<Vec<Answer>>(),
        HubFrame::Refused(refused) => (0..refused.count)
            .map(|n| (refused.handle.0, refused.seq.0 + n, Err((refused.code, refused.consumed))))
            .collect(),
        other => panic!("{other:?}"),
    };
    hub.heard_as(id, close, told).concat()
}

fn sends(hub: &mut Hub, id: ConnectionId, publishes: &[ClientFrame<'static>]) -> Vec<Answer> {
    hub.say(id, &batch(publishes));
    answers(hub, id)
}

/// A publish by one that has heard nothing of those before.
fn on(handle: u64, seq: u64) -> ClientFrame<'static> {
    large(handle, seq, b"m")
}

fn large(handle: u64, seq: u64, payload: &'static [u8]) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(handle), Seq(seq), payload.into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

/// Messages that are kept, of both topics.
fn kept(hub: &mut Hub) -> usize {
    hub.sockets.written.clear();
    hub.kept("a") + hub.kept("b")
}

#[test]
fn a_batch_lands_side_by_side_and_once() {
    let (mut hub, id) = publisher(Limits::default());
    let members = [on(1, 1), on(2, 1), on(1, 2), on(2, 2)];
    let landed = |duplicate| {
        vec![
            (1, 1, Ok((1, duplicate))),
            (2, 1, Ok((2, duplicate))),
            (1, 2, Ok((3, duplicate))),
            (2, 2, Ok((4, duplicate))),
        ]
    };
    assert_eq!(sends(&mut hub, id, &members), landed(false));
    assert_eq!(sends(&mut hub, id, &members), landed(true));
    assert_eq!(hub.history(id, "*", Start::Earliest), ["m"; 4]);
}

#[test]
fn what_one_message_meets_for_now_keeps_all_out() {
    let (mut hub, id) = publisher(Limits::default());
    // The second is not the next of its topic.
    let first = sends(&mut hub, id, &[on(1, 1), on(2, 2), on(1, 2)]);
    let out = |code| Err((code, false));
    assert_eq!(
        first,
        [(1, 1, out(Code::NotStored)), (2, 2, out(Code::OutOfOrder)), (1, 2, out(Code::NotStored))]
    );
    // A handle that nobody opened: the hub knows that before it asks the log.
    let second = sends(&mut hub, id, &[on(1, 1), on(3, 1), on(1, 2)]);
    assert_eq!(
        second,
        [(1, 1, out(Code::NotStored)), (3, 1, out(Code::UnknownNumber)), (1, 2, out(Code::NotStored))]
    );
    assert_eq!(hub.history(id, "*", Start::Earliest), [""; 0]);
    // Nothing is wrong with the log: the one at fault counts.
    let refused = &hub.topics.metrics().refused;
    let counts =
        [Code::NotStored, Code::OutOfOrder, Code::UnknownNumber].map(|code| refused.of(code.number()));
    assert_eq!(counts, [0, 1, 1]);
    // No seq was used up.
    assert_eq!(sends(&mut hub, id, &[on(1, 1), on(2, 1)]), [(1, 1, Ok((1, false))), (2, 1, Ok((2, false)))]);
}

#[test]
fn a_batch_that_is_refused_for_now_counts_once_whatever_its_members_hear() {
    let (mut hub, id) = publisher(limits(|limits| limits.publishes_per_second_max = 1));
    (1..=10).for_each(|seq| hub.say(id, &[on(1, seq)]));
    hub.heard(id);
    let out = |code| Err((code, false));
    let refused = sends(&mut hub, id, &[on(1, 11), on(2, 1), on(1, 12)]);
    assert_eq!(refused, [(1, 11), (2, 1), (1, 12)].map(|(h, seq)| (h, seq, out(Code::RateLimited))));
    let counted = |hub: &Hub, code: Code| hub.topics.metrics().refused.of(code.number());
    assert_eq!(counted(&hub, Code::RateLimited), 1);
    let (mut hub, id) = publisher(limits(|limits| limits.pending_bytes_max = 100));
    late(&mut hub);
    hub.say(id, &[large(1, 1, &[1; 80])]);
    let refused = sends(&mut hub, id, &[large(1, 2, &[1; 80]), on(1, 3), on(2, 1)]);
    assert_eq!(refused, [(1, 2), (1, 3), (2, 1)].map(|(h, seq)| (h, seq, out(Code::Overloaded))));
    assert_eq!(counted(&hub, Code::Overloaded), 1);
}

#[test]
fn what_one_message_meets_for_good_uses_up_all() {
    let (mut hub, id) = publisher(limits(|limits| limits.message_bytes_max = 10));
    let members = [on(1, 1), large(2, 1, &[1; 11]), on(1, 2)];
    let refused = [
        (1, 1, Err((Code::BatchRefused, true))),
        (2, 1, Err((Code::TooLarge, true))),
        (1, 2, Err((Code::BatchRefused, true))),
    ];
    assert_eq!(sends(&mut hub, id, &members), refused);
    assert_eq!(sends(&mut hub, id, &members), refused, "a retry hears the same");
    assert_eq!(hub.history(id, "*", Start::Earliest), [""; 0]);
    assert_eq!(sends(&mut hub, id, &[on(1, 3), on(2, 2)]).len(), 2);
    assert_eq!(hub.history(id, "*", Start::Earliest), ["m"; 2]);
}

#[test]
fn rules_that_changed_keep_all_out() {
    let (mut hub, id) = publisher(Limits::default());
    sends(&mut hub, id, &[on(1, 1), on(2, 1)]);
    hub.topics.change_access(but(&["b"]));
    let refused = sends(&mut hub, id, &[on(1, 2), on(2, 2)]);
    assert_eq!(refused, [(1, 2, Err((Code::BatchRefused, true))), (2, 2, Err((Code::Forbidden, true)))]);
}

#[test]
fn a_half_forgotten_batch_is_not_published_again() {
    let (mut hub, id) = publisher(Limits::default());
    sends(&mut hub, id, &[on(1, 1), on(2, 1)]);
    // The hub has forgotten what it knew of "b", as it may once nobody uses it.
    hub.say(id, &[on(1, 2)]);
    hub.heard(id);
    let again = sends(&mut hub, id, &[on(1, 1), on(2, 2)]);
    assert_eq!(again, [(1, 1, Ok((1, true))), (2, 2, Err((Code::OutcomeForgotten, true)))]);
    assert_eq!(hub.history(id, "*", Start::Earliest).len(), 3);
    // That has used up its seq.
    assert_eq!(sends(&mut hub, id, &[on(2, 3)]), [(2, 3, Ok((4, false)))]);
}

#[test]
fn a_batch_over_two_logs_is_refused_for_good() {
    let rules = vec![rule("a", ALL), TopicRule { log: 1, ..rule("b", ALL) }];
    let mut hub = Hub::with_logs(Limits::default(), rules, &[Epoch(7), Epoch(8)]);
    let id = hub.client(1);
    hub.say(id, &[open_as(1, 0, "a"), open_as(2, 0, "b")]);
    hub.heard(id);
    let refused = sends(&mut hub, id, &[on(1, 1), on(2, 1), on(1, 2)]);
    assert!(refused.iter().all(|(_, _, answer)| *answer == Err((Code::NotSupported, true))), "{refused:?}");
    assert_eq!(hub.history(id, "*", Start::Earliest), [""; 0]);
    assert_eq!(sends(&mut hub, id, &[on(1, 3), on(1, 4)]).len(), 2);
    assert_eq!(hub.history(id, "*", Start::Earliest), ["m"; 2]);
}

#[test]
fn a_batch_that_breaks_off_leaves_nothing() {
    let void = Publish { handle: Handle(2), seq: Seq(1), void: true, ..Publish::default() };
    let whole = batch(&[on(1, 1), on(2, 1)]);
    for frames in [
        vec![ClientFrame::Batch(Batch { count: 0 })],
        vec![ClientFrame::Batch(Batch { count: 1_001 })],
        vec![ClientFrame::Batch(Batch { count: u64::MAX >> 11 })],
        whole[..2].to_vec(),
        vec![whole[0].clone(), on(1, 1), open_as(3, 0, "c"), on(2, 1)],
        vec![whole[0].clone(), on(1, 1), ClientFrame::Publish(void)],
        vec![whole[0].clone(), whole[0].clone(), on(1, 1), on(2, 1)],
    ] {
        let (mut hub, id) = publisher(Limits::default());
        hub.say(id, &frames);
        assert_eq!(hub.heard(id).last(), Some(&Heard::Close(4001)), "{frames:?}");
        assert_eq!(kept(&mut hub), 0, "{frames:?}");
    }
    // Two messages of the WebSocket are not one.
    let (mut hub, id) = publisher(Limits::default());
    hub.say(id, &whole[..2]);
    hub.say(id, &whole[2..]);
    assert_eq!(kept(&mut hub), 0);
}

#[test]
fn a_batch_is_not_for_strangers() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[ClientFrame::Batch(Batch { count: 2 })]);
    assert_eq!(hub.heard(id).last(), Some(&Heard::Close(4002)));
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[hello(2, 1)]);
    assert_eq!(hub.heard(id), [Heard::Welcome]);
}

#[test]
fn a_batch_counts_by_its_messages_and_passes_however_long_it_is() {
    let (mut hub, id) = publisher(limits(|limits| limits.publishes_per_second_max = 10));
    let members: Vec<_> = (1..=500).map(|seq| on(1, seq)).collect();
    assert_eq!(sends(&mut hub, id, &members).len(), 500, "a hundred are there: the rest is owed");
    let refused = sends(&mut hub, id, &[on(1, 501), on(2, 1)]);
    let out = Err((Code::RateLimited, false));
    assert_eq!(refused, [(1, 501, out), (2, 1, out)]);
    hub.wait(41_000);
    hub.heard(id);
    let answers = sends(&mut hub, id, &[on(1, 501), on(2, 1)]);
    assert!(answers.iter().all(|(_, _, answer)| answer.is_ok()), "{answers:?}");
}

#[test]
fn json_clients_have_batches_too() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let id = hub.connect(Dialect::Json);
    hub.send(id, 1, br#"{"type":"hello","producer":"000102030405060708090a0b0c0d0e0f"}"#);
    hub.send(
        id,
        1,
        br#"[{"type":"open","handle":1,"topic":"a"}, {"type":"batch","count":2},
            {"type":"publish","handle":1,"seq":1,"data":1}, {"type":"publish","handle":1,"seq":2,"data":2}]"#,
    );
    let written = String::from_utf8_lossy(&hub.sockets.written[&id]).into_owned();
    assert!(written.contains(r#""type":"acked","handle":1,"seq":1,"count":2"#), "{written}");
    assert_eq!(kept(&mut hub), 2);
    hub.send(id, 1, br#"[{"type":"batch","count":2},{"type":"publish","handle":1,"seq":3,"data":1}]"#);
    assert_eq!(kept(&mut hub), 2);
}

#[test]
fn thousands_of_refused_batches_leave_nothing_behind() {
    let (mut hub, id) = publisher(Limits::default());
    let before = hub.held(Kind::Windows);
    let one: Vec<_> = batch(&[on(1, 1), on(2, 5)]);
    let many: Vec<_> = std::iter::repeat_n(one, 2_000).flatten().collect();
    hub.send(id, 2, &bytes_of(&many));
    hub.sockets.written.clear();
    assert_eq!(kept(&mut hub), 0);
    assert!(hub.held(Kind::Windows) <= before + 400, "{} bytes", hub.held(Kind::Windows));
}

#[test]
fn whoever_publishes_next_is_not_taken_for_who_had_a_batch_refused() {
    let whole = batch(&[on(1, 1), on(2, 1)]);
    for frames in [whole[..2].to_vec(), batch(&[on(1, 1), on(3, 1)]), batch(&[on(3, 1), on(1, 1)])] {
        let (mut hub, id) = publisher(Limits::default());
        let neighbour = hub.client(2);
        hub.say(neighbour, &[open_as(1, 0, "c")]);
        hub.heard(neighbour);
        hub.say(id, &frames);
        hub.sockets.written.clear();
        hub.say(neighbour, &[on(1, 1)]);
        assert_eq!(answers(&mut hub, neighbour), [(1, 1, Ok((1, false)))], "{frames:?}");
        assert_eq!(hub.kept("c"), 1, "{frames:?}");
    }
}

#[test]
fn lowest_inside_of_a_batch_loses_nothing() {
    for refused in [false, true] {
        let (mut hub, id) = publisher(Limits::default());
        // Each calls all before it answered.
        let mut members = vec![publish_on(1, 1, b"one"), publish_on(1, 2, b"two")];
        if refused {
            members.push(on(2, 9));
            let answers = sends(&mut hub, id, &members);
            assert!(answers.iter().all(|(_, _, answer)| matches!(answer, Err((_, false)))), "{answers:?}");
            members.pop();
        }
        let landed = [(1, 1, Ok((1, false))), (1, 2, Ok((2, false)))];
        assert_eq!(sends(&mut hub, id, &members), landed);
        hub.say(id, &[publish_on(1, 3, b"three")]);
        assert_eq!(answers(&mut hub, id), [(1, 3, Ok((3, false)))]);
        assert_eq!(hub.history(id, "a", Start::Earliest), ["one", "two", "three"]);
    }
}

/// The engine completes late: when the test says so.
fn late(hub: &mut Hub) {
    hub.topics.with_log(0, |log| log.engine = Engine::Simulated(Simulated::default()));
}

/// Says that the engine has these, and gives what is told then.
fn completed(hub: &mut Hub, id: ConnectionId, offsets: &[u64]) -> Vec<Answer> {
    hub.topics.with_log(0, |log| offsets.iter().for_each(|offset| log.complete(Offset(*offset))));
    hub.work();
    answers(hub, id)
}

#[test]
fn what_is_refused_for_good_is_so_of_all_however_much_waits() {
    let tight = |limits: &mut Limits| {
        limits.message_bytes_max = 80;
        limits.pending_bytes_max = 100;
    };
    for first in [vec![on(1, 1)], batch(&[large(1, 1, &[1; 80]), large(1, 2, &[1; 80])])] {
        let (mut hub, id) = publisher(limits(tight));
        late(&mut hub);
        hub.say(id, &first);
        let next = if first.len() > 1 { 3 } else { 2 };
        let refused = [large(1, next, &[1; 60]), large(2, 1, &[1; 81]), large(1, next + 1, &[1; 60])];
        assert_eq!(sends(&mut hub, id, &refused), [], "it waits for those before it");
        let staged = hub.held(Kind::Staged);
        hub.say(id, &batch(&[large(1, next + 2, &[1; 80]), large(2, 2, &[1; 81])]));
        let more = hub.held(Kind::Staged) - staged;
        assert!(more > 0 && more < 2 * size_of::<Pending>() + 80, "{more} bytes are held of what is refused");
        let told = completed(&mut hub, id, &[1, 2]);
        let refusals: Vec<_> = told.iter().filter_map(|(_, _, answer)| answer.err()).collect();
        assert!(refusals.len() == 5 && refusals.iter().all(|(_, consumed)| *consumed), "{told:?}");
    }
}

#[test]
fn a_batch_over_two_logs_stays_out_whole_while_one_of_it_is_not_next() {
    let rules = vec![rule("a", ALL), TopicRule { log: 1, ..rule("b", ALL) }];
    let mut hub = Hub::with_logs(Limits::default(), rules, &[Epoch(7), Epoch(8)]);
    let id = hub.client(1);
    hub.say(id, &[open_as(1, 0, "a"), open_as(2, 0, "b")]);
    hub.heard(id);
    for members in [[on(1, 1), on(2, 2), on(1, 2)], [on(2, 1), on(1, 3), on(2, 2)]] {
        let answers = sends(&mut hub, id, &members);
        let free = |(_, _, answer): &Answer| matches!(answer, Err((_, false)));
        assert!(answers.len() == 3 && answers.iter().all(free), "{answers:?}");
    }
    // Once it is next, it is refused, and a retry hears the same.
    for _ in 0..2 {
        let refused = sends(&mut hub, id, &[on(1, 1), on(2, 1), on(1, 2)]);
        assert!(
            refused.iter().all(|(_, _, answer)| *answer == Err((Code::NotSupported, true))),
            "{refused:?}"
        );
    }
}

/// One of the batch cannot be stored, once the engine has told of these; what is told then.
fn failed(hub: &mut Hub, id: ConnectionId, completed: &[u64], failed: u64) -> Vec<Answer> {
    hub.topics.with_log(0, |log| {
        completed.iter().for_each(|offset| log.complete(Offset(*offset)));
        log.fail(Offset(failed));
    });
    hub.work();
    answers(hub, id)
}

const NOT_STORED: Result<(u64, bool), (Code, bool)> = Err((Code::NotStored, false));

#[test]
fn a_batch_is_shown_once_the_engine_has_all_of_it() {
    for order in [[1, 2, 3], [3, 1, 2], [2, 3, 1]] {
        let (mut hub, id) = publisher(Limits::default());
        late(&mut hub);
        assert_eq!(sends(&mut hub, id, &[on(1, 1), on(2, 1), on(1, 2)]), []);
        for offset in &order[..2] {
            assert_eq!(completed(&mut hub, id, &[*offset]), [], "{order:?}");
            assert_eq!(kept(&mut hub), 0, "{order:?}");
        }
        let landed = [(1, 1, Ok((1, false))), (2, 1, Ok((2, false))), (1, 2, Ok((3, false)))];
        assert_eq!(completed(&mut hub, id, &order[2..]), landed);
        assert_eq!(kept(&mut hub), 3);
    }
}

#[test]
fn a_batch_of_which_the_engine_fails_to_store_one_is_given_up_whole() {
    for (before, at) in [(vec![], 1), (vec![], 2), (vec![1], 2), (vec![1, 2], 3), (vec![2, 3], 1)] {
        let (mut hub, id) = publisher(Limits::default());
        late(&mut hub);
        let members = [on(1, 1), on(2, 1), on(1, 2)];
        assert_eq!(sends(&mut hub, id, &members), []);
        let told = failed(&mut hub, id, &before, at);
        let given_up = told.iter().all(|(_, _, answer)| *answer == NOT_STORED);
        assert!(told.len() == 3 && given_up, "{before:?}, then {at} fails: {told:?}");
        assert_eq!(hub.topics.metrics().refused.of(Code::NotStored.number()), 3, "that is the log's fault");
        assert_eq!((kept(&mut hub), hub.held(Kind::Staged)), (0, 0));
        // The engine holds none of it any more, and all of it is next.
        hub.topics.with_log(0, |log| {
            let Engine::Simulated(engine) = &mut log.engine else { panic!("it is simulated") };
            let left: Vec<_> = std::iter::from_fn(|| engine.pick(0)).collect();
            assert!(
                left.iter().all(|offset| before.contains(&offset.0)),
                "{left:?} of {before:?}, {at} fails"
            );
        });
        assert_eq!(sends(&mut hub, id, &members), []);
        let answers = completed(&mut hub, id, &[4, 5, 6]);
        assert!(answers.len() == 3 && answers.iter().all(|(_, _, answer)| answer.is_ok()), "{answers:?}");
    }
}

#[test]
fn what_stands_before_a_batch_that_fails_is_not_given_up_and_what_stands_behind_it_is() {
    let (mut hub, id) = publisher(Limits::default());
    late(&mut hub);
    for members in [[on(1, 1), on(2, 1)], [on(1, 2), on(2, 2)], [on(1, 3), on(2, 3)]] {
        assert_eq!(sends(&mut hub, id, &members), []);
    }
    let told = failed(&mut hub, id, &[], 4);
    let mut seqs: Vec<_> = told.iter().map(|(handle, seq, _)| (*seq, *handle)).collect();
    seqs.sort_unstable();
    assert_eq!(seqs, [(2, 1), (2, 2), (3, 1), (3, 2)]);
    assert!(told.iter().all(|(_, _, answer)| *answer == NOT_STORED), "{told:?}");
    assert_eq!(completed(&mut hub, id, &[1, 2]), [(1, 1, Ok((1, false))), (2, 1, Ok((2, false)))]);
}

#[test]
fn a_batch_that_is_larger_than_all_that_may_wait_waits_alone() {
    let (mut hub, id) = publisher(limits(|limits| limits.pending_bytes_max = 100));
    late(&mut hub);
    let members = [large(1, 1, &[1; 80]), large(2, 1, &[1; 80])];
    hub.say(id, &[on(2, 1)]);
    let out = Err((Code::Overloaded, false));
    let members_behind = [members[0].clone(), large(2, 2, &[1; 80])];
    assert_eq!(sends(&mut hub, id, &members_behind), [(1, 1, out), (2, 2, out)]);
    assert_eq!(completed(&mut hub, id, &[1]).len(), 1);
    assert_eq!(sends(&mut hub, id, &members_behind), []);
    // While it waits no more is taken, be it one or a batch.
    hub.say(id, &[on(1, 2)]);
    assert_eq!(answers(&mut hub, id), [(1, 2, out)]);
    assert_eq!(sends(&mut hub, id, &[on(1, 2), on(2, 3)]), [(1, 2, out), (2, 3, out)]);
    let landed = completed(&mut hub, id, &[2, 3]);
    assert_eq!(landed, [(1, 1, Ok((2, false))), (2, 2, Ok((3, false)))]);
}
