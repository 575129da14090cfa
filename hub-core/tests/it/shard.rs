//! A shard, spoken to as a client would through a socket whose capacity the test sets.

use std::ops::{Deref, DerefMut};

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::Kind;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{
    Attach, ClientFrame, Detach, Hello, History, Open, Publish, SignIn, Unsubscribe,
};
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Subscribed};
use tidewire_protocol::name::Pattern;
use tidewire_protocol::number::{Epoch, Handle, Incarnation, Offset, Participant, ProducerId, Request, Seq};
use tidewire_protocol::position::{Position, Start};

use crate::rig::{self, after, limits, websocket_message};

/// The rig's hub; of frames these tests look at more.
struct Hub(rig::Hub);

impl Hub {
    fn new(limits: Limits, rules: Vec<TopicRule>) -> Self {
        Self(rig::Hub::new(limits, rules))
    }

    /// Bytes of all blocks, in whatever tail.
    fn held_bytes(&self) -> u64 {
        self.topics.ledger().held(Kind::Messages) as u64
    }

    fn heard(&mut self, id: ConnectionId) -> Vec<Heard> {
        self.0.heard_as(id, Heard::Close, Heard::new)
    }

    fn publish(&mut self, id: ConnectionId, seq: u64, payload: &str) {
        self.say(id, &[publish(seq, payload)]);
    }
}

impl Deref for Hub {
    type Target = rig::Hub;

    fn deref(&self) -> &rig::Hub {
        &self.0
    }
}

impl DerefMut for Hub {
    fn deref_mut(&mut self) -> &mut rig::Hub {
        &mut self.0
    }
}

fn publish(seq: u64, payload: &str) -> ClientFrame<'_> {
    let payload = payload.as_bytes().into();
    ClientFrame::Publish(Publish { handle: Handle(1), seq: Seq(seq), payload, ..Publish::default() })
}

/// What a test looks at in a frame.
#[derive(Debug, PartialEq)]
enum Heard {
    Messages(Vec<(u64, Option<String>, String)>),
    Subscribed(Outcome, u64, Option<(u64, u64, GapReason)>),
    Missing(u64, u64, u64, GapReason),
    Acked(u64, u64, u64, bool),
    Refused(u64, Code, bool),
    Opened(bool, u64),
    Page(Vec<(u64, Option<String>, String)>, u64, bool),
    Attached(u64),
    Detached(u64, Code),
    Progress(u64),
    Goodbye(Code),
    Close(u16),
    Other(u8),
}

impl Heard {
    fn new(frame: &HubFrame<'_>) -> Self {
        let texts = |block: &tidewire_protocol::block::Block<'_>| -> Vec<_> {
            let text = |m: tidewire_protocol::block::Message<'_>| {
                (m.offset.0, m.topic.map(str::to_owned), String::from_utf8(m.payload.to_vec()).unwrap())
            };
            block.messages().map(|message| text(message.unwrap())).collect()
        };
        match frame {
            HubFrame::Block(block) => Self::Messages(texts(block)),
            HubFrame::Subscribed(Subscribed { outcome, positions, gap, .. }) => {
                let gap = gap.map(|gap| (gap.from.0, gap.to.0, gap.reason));
                Self::Subscribed(*outcome, positions[0].offset.0, gap)
            }
            HubFrame::Missing(missing) => {
                let gap = missing.gap.unwrap();
                Self::Missing(gap.from.0, gap.to.0, missing.after.0, gap.reason)
            }
            HubFrame::Acked(acked) => Self::Acked(acked.seq.0, acked.count, acked.offset.0, acked.duplicate),
            HubFrame::Refused(refused) => Self::Refused(refused.seq.0, refused.code, refused.consumed),
            HubFrame::Opened(opened) => Self::Opened(opened.window_new, opened.next.0),
            HubFrame::Page(page) => {
                let blocks = tidewire_protocol::block::blocks_of_page(&page.blocks);
                let messages = blocks.flat_map(|block| texts(&block.unwrap())).collect();
                Self::Page(messages, page.upto[0].offset.0, page.more)
            }
            HubFrame::Goodbye(goodbye) => Self::Goodbye(goodbye.code),
            HubFrame::Welcome(_) => Self::Other(64),
            HubFrame::Heartbeat(_) => Self::Other(75),
            HubFrame::SignedIn(_) => Self::Other(81),
            HubFrame::Unsubscribed(_) => Self::Other(71),
            HubFrame::Failed(failed) => Self::Goodbye(failed.code),
            HubFrame::Attached(attached) => Self::Attached(attached.participant.0),
            HubFrame::Detached(detached) => Self::Detached(detached.participant.0, detached.code),
            HubFrame::Progress(progress) => Self::Progress(progress.upto.0),
        }
    }
}

fn message(offset: u64, text: &str) -> (u64, Option<String>, String) {
    (offset, None, text.to_owned())
}

fn named(offset: u64, topic: &str, text: &str) -> (u64, Option<String>, String) {
    (offset, Some(topic.to_owned()), text.to_owned())
}

#[test]
fn a_message_reaches_every_subscriber_and_is_acknowledged() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let (alice, bob, carol) = (hub.client(1), hub.client(2), hub.client(3));
    for id in [bob, carol] {
        hub.subscribe(id, "t", Start::Latest, WhenSlow::CatchUp);
        assert_eq!(hub.heard(id), [Heard::Subscribed(Outcome::Live, 0, None)]);
    }
    hub.open(alice, "t");
    hub.publish(alice, 1, "one");
    assert_eq!(hub.heard(alice), [Heard::Acked(1, 1, 1, false)]);
    for id in [bob, carol] {
        assert_eq!(hub.heard(id), [Heard::Messages(vec![message(1, "one")])]);
    }
}

#[test]
fn publishes_of_one_read_become_one_block_and_one_ack() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let (alice, bob) = (hub.client(1), hub.client(2));
    hub.subscribe(bob, "t", Start::Latest, WhenSlow::CatchUp);
    hub.heard(bob);
    hub.open(alice, "t");
    hub.say(alice, &[publish(1, "a"), publish(2, "b"), publish(3, "c")]);
    assert_eq!(hub.heard(alice), [Heard::Acked(1, 3, 1, false)]);
    assert_eq!(hub.heard(bob), [Heard::Messages(vec![message(1, "a"), message(2, "b"), message(3, "c")])]);
}

#[test]
fn an_ack_does_not_queue_behind_heartbeats() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let alice = hub.client(1);
    let others: Vec<_> = (0..100).map(|_| hub.client(2)).collect();
    hub.open(alice, "t");
    hub.now = hub.now.plus(Limits::default().heartbeat_ms + 1_000);
    hub.0.shard.turn(hub.0.now, &mut hub.0.sockets);
    let mut payload = Vec::new();
    publish(1, "m").put(&mut payload);
    hub.deliver(alice, 2, &payload);
    for _ in 0..2 {
        hub.0.shard.turn(hub.0.now, &mut hub.0.sockets);
    }
    assert!(hub.heard(alice).contains(&Heard::Acked(1, 1, 1, false)));
    let beats = others.iter().filter(|id| !hub.sockets.written[id].is_empty()).count();
    assert!(beats < others.len(), "all heartbeats had gone before: nothing was tested");
    hub.work();
    assert!(others.iter().all(|id| !hub.sockets.written[id].is_empty()));
}

#[test]
fn heartbeats_of_connections_that_came_together_are_spread() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let all: Vec<_> = (0..64).map(|number| hub.client(number)).collect();
    let heartbeat_ms = Limits::default().heartbeat_ms;
    let mut most_at_once = 0;
    for _ in 0..heartbeat_ms / 500 + 1 {
        hub.wait(500);
        let beats = |id: &&ConnectionId| hub.sockets.written.get(id).is_some_and(|bytes| !bytes.is_empty());
        most_at_once = most_at_once.max(all.iter().filter(beats).count());
        let heard: Vec<_> = all.iter().flat_map(|id| hub.heard(*id)).collect();
        assert!(heard.iter().all(|frame| *frame == Heard::Other(75)));
    }
    assert!((1..=8).contains(&most_at_once), "{most_at_once} of {} at once", all.len());
}

#[test]
fn a_retried_publish_lands_once_and_a_hole_is_refused() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let alice = hub.client(1);
    hub.open(alice, "t");
    hub.say(alice, &[publish(1, "a"), publish(1, "a"), publish(3, "c")]);
    assert_eq!(
        hub.heard(alice),
        [
            Heard::Acked(1, 1, 1, false),
            Heard::Acked(1, 1, 1, true),
            Heard::Refused(3, Code::OutOfOrder, false)
        ]
    );
}

#[test]
fn a_pattern_gets_messages_of_its_topics_with_their_names() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let (alice, bob) = (hub.client(1), hub.client(2));
    hub.open(alice, "a.x");
    hub.publish(alice, 1, "before");
    hub.subscribe(bob, "a.*", Start::Earliest, WhenSlow::CatchUp);
    hub.publish(alice, 2, "after");
    let heard = hub.heard(bob);
    assert_eq!(
        heard,
        [
            Heard::Subscribed(Outcome::Resumed, 0, None),
            Heard::Messages(vec![named(1, "a.x", "before")]),
            Heard::Messages(vec![named(2, "a.x", "after")]),
        ]
    );
}

#[test]
fn a_full_socket_finishes_its_frame_first_and_then_catches_up() {
    let mut hub = Hub::new(limits(|limits| limits.block_bytes = 1), Vec::new());
    let (alice, bob) = (hub.client(1), hub.client(2));
    hub.subscribe(bob, "t", Start::Latest, WhenSlow::CatchUp);
    hub.heard(bob);
    hub.open(alice, "t");
    hub.sockets.room.insert(bob, 20);
    for seq in 1..=50 {
        hub.publish(alice, seq, &format!("message {seq}"));
    }
    // A question whose answer must not cut into the half-written block.
    hub.say(bob, &[ClientFrame::Unsubscribe(Unsubscribe { request: Request(1), tail: Default::default() })]);
    for _ in 0..1_000 {
        hub.room(bob, 7);
    }
    let mut messages = Vec::new();
    for heard in hub.heard(bob) {
        match heard {
            Heard::Messages(more) => messages.extend(more),
            other => assert_eq!(other, Heard::Goodbye(Code::UnknownNumber)),
        }
    }
    let expected: Vec<_> = (1..=50).map(|seq| message(seq, &format!("message {seq}"))).collect();
    assert_eq!(messages, expected);
}

#[test]
fn retention_is_told_as_a_gap_to_who_lags_and_to_who_resumes() {
    let pattern = Pattern::parse(">").unwrap();
    let retention = Retention { count: Some(2), ..Retention::ALL };
    let limits = limits(|limits| limits.block_bytes = 1);
    let mut hub = Hub::new(limits, vec![TopicRule { pattern, retention, log: 0 }]);
    let (alice, bob, carol) = (hub.client(1), hub.client(2), hub.client(3));
    hub.subscribe(bob, "t", Start::Latest, WhenSlow::CatchUp);
    hub.heard(bob);
    hub.open(alice, "t");
    hub.sockets.room.insert(bob, 0);
    for seq in 1..=9 {
        hub.publish(alice, seq, "m");
    }
    hub.room(bob, usize::MAX);
    let last_two = [Heard::Messages(vec![message(8, "m")]), Heard::Messages(vec![message(9, "m")])];
    let [first, rest @ ..] = &hub.heard(bob)[..] else { panic!("nothing heard") };
    assert_eq!(first, &Heard::Missing(1, 7, 7, GapReason::Retention));
    assert_eq!(rest, last_two);
    hub.subscribe(carol, "t", after(3), WhenSlow::CatchUp);
    let heard = hub.heard(carol);
    assert_eq!(heard[0], Heard::Subscribed(Outcome::Gap, 7, Some((4, 7, GapReason::Retention))));
    assert_eq!(heard[1..], last_two);
    hub.subscribe(carol, "t", after(8), WhenSlow::CatchUp);
    assert_eq!(hub.heard(carol), [Heard::Goodbye(Code::LimitReached)]);
}

#[test]
fn a_cursor_of_another_epoch_or_beyond_the_end_gets_a_gap() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let (alice, bob, carol) = (hub.client(1), hub.client(2), hub.client(3));
    hub.open(alice, "t");
    hub.publish(alice, 1, "m");
    let elsewhere = Start::After(vec![Position { epoch: Epoch(99), offset: Offset(500) }]);
    hub.subscribe(bob, "t", elsewhere, WhenSlow::CatchUp);
    let gap = Some((1, 0, GapReason::EpochChanged));
    assert_eq!(
        hub.heard(bob),
        [Heard::Subscribed(Outcome::Gap, 0, gap), Heard::Messages(vec![message(1, "m")])]
    );
    hub.subscribe(carol, "t", after(500), WhenSlow::CatchUp);
    assert_eq!(hub.heard(carol), [Heard::Subscribed(Outcome::Gap, 1, Some((2, 500, GapReason::BeyondEnd)))]);
}

#[test]
fn the_last_n_and_pages_of_history() {
    let mut hub = Hub::new(limits(|limits| limits.block_bytes = 1), Vec::new());
    let (alice, bob) = (hub.client(1), hub.client(2));
    hub.open(alice, "t");
    for seq in 1..=5 {
        hub.publish(alice, seq, "m");
    }
    hub.subscribe(bob, "t", Start::Last(2), WhenSlow::CatchUp);
    assert_eq!(hub.heard(bob)[0], Heard::Subscribed(Outcome::Resumed, 3, None));
    let history = |from, bytes_max| {
        ClientFrame::History(History {
            request: Request(4),
            name: "t".into(),
            from,
            bytes_max,
            ..History::default()
        })
    };
    hub.say(bob, &[history(Start::Earliest, 1)]);
    assert_eq!(hub.heard(bob), [Heard::Page(vec![message(1, "m")], 1, true)]);
    hub.say(bob, &[history(after(3), 0)]);
    assert_eq!(hub.heard(bob), [Heard::Page(vec![message(4, "m"), message(5, "m")], 5, false)]);
    hub.say(bob, &[history(Start::Latest, 0)]);
    assert_eq!(hub.heard(bob), [Heard::Page(Vec::new(), 5, false)]);
}

#[test]
fn a_newer_incarnation_fences_the_older() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let old = hub.client(1);
    hub.open(old, "t");
    let new = hub.connect(Dialect::Binary);
    let producer = ProducerId([1; 16]);
    hub.say(new, &[ClientFrame::Hello(Hello { producer, incarnation: Incarnation(2), ..Hello::default() })]);
    hub.publish(old, 1, "late");
    assert_eq!(hub.heard(old), [Heard::Detached(0, Code::Fenced), Heard::Refused(1, Code::Fenced, false)]);
}

#[test]
fn participants_of_one_connection_have_windows_of_their_own() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let id = hub.client(1);
    let attach = |producer| Attach { participant: Participant(1), producer, incarnation: Incarnation(1) };
    hub.say(id, &[ClientFrame::Attach(attach(ProducerId([2; 16])))]);
    assert_eq!(hub.heard(id), [Heard::Attached(1)]);
    for (handle, participant) in [(1, 0), (2, 1)] {
        let (handle, participant) = (Handle(handle), Participant(participant));
        hub.say(
            id,
            &[ClientFrame::Open(Open {
                handle,
                participant,
                topic: "t".into(),
                lowest: Seq(1),
                ..Open::default()
            })],
        );
        assert_eq!(hub.heard(id), [Heard::Opened(true, 1)]);
    }
    let second = Publish { handle: Handle(2), seq: Seq(1), payload: b"b"[..].into(), ..Publish::default() };
    hub.say(id, &[publish(1, "a"), ClientFrame::Publish(second.clone())]);
    assert_eq!(hub.heard(id), [Heard::Acked(1, 1, 1, false), Heard::Acked(1, 1, 2, false)]);
    hub.say(id, &[ClientFrame::Detach(Detach { participant: Participant(1) }), ClientFrame::Publish(second)]);
    assert_eq!(
        hub.heard(id),
        [Heard::Detached(1, Code::Unknown), Heard::Refused(1, Code::UnknownNumber, false)]
    );
}

#[test]
fn voids_and_final_refusals_use_up_their_seq() {
    let mut hub = Hub::new(limits(|limits| limits.message_bytes_max = 3), Vec::new());
    let id = hub.client(1);
    hub.open(id, "t");
    let void = Publish { handle: Handle(1), seq: Seq(1), void: true, ..Publish::default() };
    hub.say(id, &[ClientFrame::Publish(void), publish(2, "long"), publish(3, "abc"), publish(2, "long")]);
    assert_eq!(
        hub.heard(id),
        [
            Heard::Acked(1, 1, 0, false),
            Heard::Refused(2, Code::TooLarge, true),
            Heard::Acked(3, 1, 1, false),
            Heard::Refused(2, Code::TooLarge, true),
        ]
    );
}

#[test]
fn limits_on_questions_are_refusals_and_not_the_end() {
    let limits = limits(|limits| {
        limits.subscriptions_max = 2;
        limits.patterns_max = 1;
        limits.topic_depth_max = 2;
        limits.publishes_per_second_max = 1;
    });
    let mut hub = Hub::new(limits, Vec::new());
    let id = hub.client(1);
    for (name, code) in [("a.*", None), ("b.*", Some(Code::LimitReached)), ("a.b.c", Some(Code::BadName))] {
        hub.subscribe(id, name, Start::Latest, WhenSlow::CatchUp);
        match code {
            Some(code) => assert_eq!(hub.heard(id), [Heard::Goodbye(code)]),
            None => assert_eq!(hub.heard(id), [Heard::Subscribed(Outcome::Live, 0, None)]),
        }
    }
    hub.open(id, "t");
    let refused = |hub: &mut Hub, seq| {
        hub.publish(id, seq, "m");
        hub.heard(id).contains(&Heard::Refused(seq, Code::RateLimited, false))
    };
    let first = (1..=30).find(|seq| refused(&mut hub, *seq));
    assert_eq!(first, Some(11), "ten seconds' worth, and no more");
    hub.wait(1_000);
    assert!(!refused(&mut hub, 11));
}

#[test]
fn a_slow_subscriber_that_asked_for_it_skips_or_is_let_go() {
    let limits = limits(|limits| {
        limits.block_bytes = 1;
        limits.lag_bytes_max = 100;
    });
    let mut hub = Hub::new(limits, Vec::new());
    let (alice, skips, leaves) = (hub.client(1), hub.client(2), hub.client(3));
    hub.subscribe(skips, "t", Start::Latest, WhenSlow::Gap);
    hub.subscribe(leaves, "t", Start::Latest, WhenSlow::Disconnect);
    hub.open(alice, "t");
    for id in [skips, leaves] {
        hub.heard(id);
        hub.sockets.room.insert(id, 0);
    }
    for seq in 1..=9 {
        hub.publish(alice, seq, "m");
    }
    hub.room(skips, usize::MAX);
    hub.room(leaves, usize::MAX);
    assert_eq!(hub.heard(skips), [Heard::Missing(1, 9, 9, GapReason::TooSlow)]);
    assert_eq!(hub.heard(leaves), [Heard::Goodbye(Code::TooSlow), Heard::Close(4016)]);
    hub.publish(alice, 10, "m");
    assert_eq!(hub.heard(skips), [Heard::Messages(vec![message(10, "m")])]);
}

#[test]
fn json_clients_hear_the_same_messages() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let alice = hub.client(1);
    let bob = hub.connect(Dialect::Json);
    hub.send(bob, 1, br#"[{"type":"hello"},{"type":"subscribe","request":1,"name":"t"}]"#);
    hub.sockets.written.clear();
    hub.open(alice, "t");
    hub.publish(alice, 1, r#"{"a":1}"#);
    let written = hub.sockets.written.remove(&bob).unwrap();
    let (opcode, text) = websocket_message(&mut &written[..]).unwrap();
    assert_eq!(opcode, 1);
    let text = std::str::from_utf8(text).unwrap();
    assert!(text.contains(r#""type":"block""#) && text.contains(r#""data":{"a":1}"#), "{text}");
}

#[test]
fn faults_end_a_connection_with_their_code() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let id = hub.connect(Dialect::Binary);
    hub.say(id, &[publish(1, "too early")]);
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::NotSignedIn), Heard::Close(4002)]);
    assert_eq!(hub.sockets.closed, [id]);

    let id = hub.client(1);
    hub.send(id, 2, &[5, 200]);
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::BadFrame), Heard::Close(4001)]);

    let id = hub.client(1);
    hub.send(id, 3, b"");
    assert_eq!(hub.heard(id), [Heard::Close(1002)]);
    assert_eq!(hub.shard.connections(), 0);
}

#[test]
fn silence_before_and_after_sign_in_ends_a_connection() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let (quiet, signed) = (hub.connect(Dialect::Binary), hub.client(1));
    for _ in 0..24 {
        hub.wait(250);
    }
    assert_eq!(hub.heard(quiet), [Heard::Goodbye(Code::SignInTimeout), Heard::Close(4003)]);
    for _ in 0..200 {
        hub.wait(250);
    }
    let heard = hub.heard(signed);
    assert_eq!(heard.first(), Some(&Heard::Other(75)), "a heartbeat");
    assert_eq!(heard[heard.len() - 2..], [Heard::Goodbye(Code::Silent), Heard::Close(4018)]);
    assert_eq!(hub.shard.connections(), 0);
}

#[test]
fn a_full_node_drops_old_history_and_says_so() {
    let limits = limits(|limits| {
        limits.block_bytes = 1;
        limits.node_bytes_max = 5_100;
    });
    let mut hub = Hub::new(limits, Vec::new());
    let (alice, bob) = (hub.client(1), hub.client(2));
    hub.subscribe(bob, ">", Start::Latest, WhenSlow::CatchUp);
    hub.open(alice, "t");
    for seq in 1..=500 {
        hub.publish(alice, seq, "some message or other");
    }
    assert!(hub.held_bytes() <= 5_100 + 200, "{} bytes", hub.held_bytes());
    hub.heard(bob);
    hub.subscribe(bob, "t", after(1), WhenSlow::CatchUp);
    let heard = hub.heard(bob);
    let Heard::Subscribed(Outcome::Gap, cursor, Some((2, lost, GapReason::Retention))) = heard[0] else {
        panic!("no gap: {heard:?}")
    };
    assert!(cursor == lost && lost < 500 && lost > 400, "{lost} are lost");
}

#[test]
fn a_window_outlives_the_messages_of_its_topic() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let id = hub.client(1);
    hub.open(id, "t");
    hub.publish(id, 1, "landed, and its ack was lost");
    hub.0.shard.gone(hub.0.now, id);
    hub.sockets.written.clear();
    // Ten minutes are kept by default; then nothing holds the topic.
    for _ in 0..200 {
        hub.wait(5_000);
    }
    assert_eq!(hub.topics.metrics().topics.value(), 0);
    let id = hub.client(1);
    let open = Open { handle: Handle(1), topic: "t".into(), lowest: Seq(1), ..Open::default() };
    hub.say(id, &[ClientFrame::Open(open), publish(1, "landed, and its ack was lost")]);
    assert_eq!(hub.heard(id), [Heard::Opened(false, 2), Heard::Acked(1, 1, 1, true)]);
}

#[test]
fn what_no_feature_announces_is_refused_where_an_answer_is_owed() {
    let mut hub = Hub::new(Limits::default(), Vec::new());
    let id = hub.client(1);
    let sign_in = SignIn { request: Request(9), token: "again".into() };
    hub.say(id, &[ClientFrame::SignIn(sign_in)]);
    assert_eq!(hub.heard(id), [Heard::Goodbye(Code::NotSupported)]);
    hub.open(id, "t");
    hub.publish(id, 1, "all the same");
    assert_eq!(hub.heard(id).last().unwrap(), &Heard::Acked(1, 1, 1, false));
}
