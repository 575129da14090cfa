//! Several who publish through one connection: whose tag a message bears, and what becomes of one that goes elsewhere.

use std::sync::Arc;

use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::letter::{Address, Inbox, Serial};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::Engine;
use tidewire_hub_core::names::producers::Claim;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_hub_core::topics::{Settings, Topics};
use tidewire_protocol::client_frame::{ClientFrame, Open, Publish, Send};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Handle, Incarnation, NUMBER_MAX, Participant, ProducerId, Seq, Tag};
use tidewire_protocol::position::Start;

use crate::rig::*;

/// The tags in what a connection hears: those of participants, and of messages.
fn tags(hub: &mut Hub, id: ConnectionId) -> Vec<u64> {
    let told = |frame: &HubFrame<'_>| match frame {
        HubFrame::Welcome(welcome) => vec![welcome.tag.0],
        HubFrame::Attached(attached) => vec![attached.tag.0],
        HubFrame::Block(block) => block.messages().map(|message| message.unwrap().tag.0).collect(),
        _ => vec![],
    };
    hub.heard_as(id, |_| vec![], told).concat()
}

fn publish_as(seq: u64, tag: u64) -> ClientFrame<'static> {
    let (handle, seq, tag, payload) = (Handle(1), Seq(seq), Tag(tag), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, tag, payload, ..Publish::default() })
}

fn open_for_updates(handle: u64, participant: u64) -> ClientFrame<'static> {
    let (handle, participant) = (Handle(handle), Participant(participant));
    ClientFrame::Open(Open {
        handle,
        participant,
        topic: "t".into(),
        unacknowledged: true,
        ..Open::default()
    })
}

fn update_on(handle: u64, payload: &[u8]) -> ClientFrame<'_> {
    ClientFrame::Send(Send { handle: Handle(handle), payload: payload.into(), ..Send::default() })
}

/// A publish by one that has not heard what became of those before.
fn unanswered(handle: u64, seq: u64) -> ClientFrame<'static> {
    let (handle, seq, payload) = (Handle(handle), Seq(seq), b"m"[..].into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

#[test]
fn a_message_bears_the_tag_of_another_participant_of_its_connection_only() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (reader, elsewhere, id) = (hub.client(1), hub.client(2), hub.connect(Dialect::Binary));
    hub.subscribe(reader, "t", Start::Latest, WhenSlow::CatchUp);
    hub.say(elsewhere, &[attach(1, 3, 1)]);
    let theirs = tags(&mut hub, elsewhere)[0];
    hub.say(id, &[hello(4, 1), attach(1, 5, 1), attach(2, 6, 1), detach(2), open_as(1, 0, "t")]);
    let [own, other, gone] = tags(&mut hub, id)[..] else { panic!("three tags") };
    tags(&mut hub, reader);
    // All in one read, and in one batch.
    let asked = [0, other, own, other, gone, theirs, 12_345];
    let frames: Vec<_> = (1..).zip(asked).map(|(seq, tag)| publish_as(seq, tag)).collect();
    hub.say(id, &frames);
    assert_eq!(tags(&mut hub, reader), [own, other, own, other, own, own, own]);
}

/// Participant 1 with this producer on handle 1 of topic "t".
fn publishing(hub: &mut Hub, id: ConnectionId, producer: u8, incarnation: u64) {
    hub.heard(id);
    hub.say(id, &[attach(1, producer, incarnation), open_as(1, 1, "t")]);
    assert_eq!(hub.heard(id), [Heard::Attached(1), Heard::Opened]);
}

#[test]
fn a_participant_that_is_attached_elsewhere_in_the_same_incarnation_moves() {
    let mut hub = Hub::new(Limits::default(), keep_all());
    let (old, new) = (hub.client(1), hub.client(2));
    publishing(&mut hub, old, 50, 3);
    hub.say(old, &[publish_on(1, 1, b"landed"), open_for_updates(2, 1)]);
    publishing(&mut hub, new, 50, 3);
    assert_eq!(hub.heard(old), [Heard::Acked(1, 1), Heard::Detached(1, Code::Fenced)]);
    // What is on its way from there: by its handles, and by its number.
    hub.say(old, &[publish_on(1, 2, b"late"), update_on(2, b"late"), open_as(3, 1, "t"), open_as(4, 9, "t")]);
    let refused = |seq, code| Heard::Refused(seq, code);
    let expected = [refused(2, Code::Fenced), refused(0, Code::Fenced), refused(0, Code::UnknownNumber)];
    assert_eq!(hub.heard(old), expected);
    // What had landed is known, and what had not is taken.
    hub.say(new, &[unanswered(1, 1), unanswered(1, 2)]);
    assert_eq!(hub.heard(new), [Heard::Acked(1, 1), Heard::Acked(2, 1)]);
    assert_eq!(hub.history(new, "t", Start::Earliest).len(), 2);
    // Its number is free where it was.
    publishing(&mut hub, old, 51, 1);
}

#[test]
fn what_was_read_late_takes_nothing_from_a_connection_that_came_later() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let (early, silent) = (hub.client(1), hub.connect(Dialect::Binary));
    let late = hub.client(2);
    publishing(&mut hub, late, 50, 3);
    hub.say(early, &[attach(1, 50, 3)]);
    assert_eq!(hub.heard(early), [Heard::Detached(1, Code::Fenced)]);
    hub.say(silent, &[hello(50, 3)]);
    assert_eq!(hub.heard(silent)[0], Heard::Goodbye(Code::Fenced));
    hub.say(late, &[publish_on(1, 1, b"m")]);
    assert_eq!(hub.heard(late), [Heard::Acked(1, 1)]);
    // A new owner says so, wherever it comes from; and nobody is late where nobody is.
    publishing(&mut hub, early, 50, 4);
    assert_eq!(hub.heard(late), [Heard::Detached(1, Code::Fenced)]);
    publishing(&mut hub, late, 50, 5);
    hub.say(late, &[detach(1)]);
    hub.heard(early);
    hub.say(early, &[attach(1, 50, 5)]);
    assert_eq!(hub.heard(early), [Heard::Attached(1)]);
}

#[test]
fn a_producer_that_is_attached_twice_on_one_connection_is_the_later_participants() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let id = hub.client(1);
    publishing(&mut hub, id, 50, 3);
    hub.say(id, &[attach(2, 50, 3), open_as(2, 2, "t"), publish_on(1, 1, b"late"), publish_on(2, 1, b"m")]);
    let heard = hub.heard(id);
    let [attached, opened, rest @ ..] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((attached, opened), (&Heard::Attached(2), &Heard::Opened));
    let [fenced, acked] = [Heard::Refused(1, Code::Fenced), Heard::Acked(1, 1)];
    assert!(rest.contains(&fenced) && rest.contains(&acked), "{heard:?}");
    assert!(rest.contains(&Heard::Detached(1, Code::Fenced)), "{heard:?}");
    // The one that signed in is one like all others.
    hub.say(id, &[open_as(5, 0, "t"), attach(3, 1, 1), attach(4, 0, 0), attach(5, 0, 0)]);
    let heard = hub.heard(id);
    let told = heard.contains(&Heard::Detached(0, Code::Fenced));
    assert!(told && heard.contains(&Heard::Attached(5)), "{heard:?}");
}

#[test]
fn one_who_takes_a_producer_from_itself_again_and_again_holds_up_nobody() {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let (restless, neighbour) = (hub.client(1), hub.client(2));
    hub.open(neighbour, "n");
    let mut frames = vec![attach(1, 50, 1)];
    for _ in 0..4_000 {
        frames.extend([attach(2, 50, 1), detach(1), attach(1, 50, 1), detach(2)]);
    }
    hub.heard(restless);
    for seq in 1..=3 {
        hub.deliver(restless, 2, &bytes_of(&frames[usize::from(seq > 1)..]));
        hub.deliver(neighbour, 2, &bytes_of(&[publish_on(1, seq, b"m")]));
        // The mail is taken, and what was told is written, in one turn of each.
        hub.shard.turn(hub.now, &mut hub.sockets);
        hub.shard.turn(hub.now, &mut hub.sockets);
        assert_eq!(hub.heard(neighbour), [Heard::Acked(seq, 1)]);
    }
    assert!(!hub.heard(restless).iter().any(|heard| matches!(heard, Heard::Close(_))));
    assert!(!hub.shard.is_backed_up());
    let turns = (0..).take_while(|_| hub.shard.turn(hub.now, &mut hub.sockets)).count();
    assert!(turns < 10, "{turns} turns");
}

#[test]
fn all_participants_that_are_taken_from_a_connection_at_once_are_told_one_each() {
    let count = 200;
    let mut hub = Hub::new(limits(|limits| limits.participants_max = 1 + count as usize), vec![]);
    let (old, new) = (hub.client(1), hub.client(2));
    let all: Vec<_> = (1..=count).map(|number| attach(number, 2 + number as u8, 1)).collect();
    hub.say(old, &all);
    hub.heard(old);
    hub.say(new, &all);
    let told: Vec<_> = (1..=count).map(|number| Heard::Detached(number, Code::Fenced)).collect();
    assert_eq!(hub.heard(old), told);
}

#[test]
fn two_who_take_a_producer_from_each_other_leave_nothing_behind() {
    let (mut hub, mut beside) = Hub::with_two_shards(Limits::default(), vec![]);
    let here = hub.client(1);
    let there = hub.beside(&mut beside, |hub| hub.client(2));
    let held = hub.held(Kind::Windows);
    for incarnation in (1..2_000).step_by(2) {
        // Each hears first that the other has it.
        hub.work();
        hub.say(here, &[attach(1, 50, incarnation), open_as(1, 1, "t"), publish_on(1, incarnation, b"m")]);
        let take = [attach(1, 50, incarnation + 1), open_as(1, 1, "t"), publish_on(1, incarnation + 1, b"m")];
        hub.beside(&mut beside, |hub| {
            hub.work();
            hub.say(there, &take);
        });
    }
    hub.work();
    hub.beside(&mut beside, Hub::work);
    let heard = hub.heard(here);
    let count = |wanted: &Heard| heard.iter().filter(|heard| *heard == wanted).count();
    assert_eq!(count(&Heard::Attached(1)), 1_000);
    assert_eq!(count(&Heard::Detached(1, Code::Fenced)), 1_000);
    let windows = hub.topics.with_log(0, |log| log.windows.count());
    assert!(windows == 1 && hub.held(Kind::Windows) - held < 1_000, "{windows} windows");
}

#[test]
fn a_hub_that_is_started_again_gives_no_tag_that_its_stored_messages_may_bear() {
    let tags_of = |boot| {
        let inbox = Arc::new(Inbox::new(Box::new(|| ())));
        let settings = Settings { boot, ..Settings::default() };
        let topics = Topics::new(settings, EPOCH, Engine::Memory, vec![inbox]);
        let account = topics.ledger().account(AccountKey(1));
        let address = Address { shard: 0, slot: 0, generation: 0, serial: Serial(0) };
        let (producer, incarnation) = (ProducerId::default(), Incarnation::default());
        (0..3).map(move |_| {
            let claim = Claim { producer, subject: None, incarnation, address, arrival: topics.arrive() };
            topics.attach(&account, claim).unwrap().1.0
        })
    };
    let boots = [0, 1, 2, 3, (1 << 21) - 1];
    let given: Vec<u64> = boots.into_iter().flat_map(tags_of).collect();
    assert!(given.is_sorted_by(|before, after| before < after), "{given:?}");
    assert!(given.iter().all(|tag| (1..=NUMBER_MAX).contains(tag)), "{given:?}");
    // Two million starts later they begin anew.
    assert_eq!(tags_of(1 << 21).next(), tags_of(0).next());
}
