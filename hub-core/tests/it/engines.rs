//! What every engine promises, whichever stores a log: one set of cases that runs over all of them, through the shard, as
//! the shell uses it.

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::{Engine, Simulated, Takes};
use tidewire_hub_core::names::directory::Retention;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_hub_core::topics::durable::Committer;
use tidewire_protocol::attributes::Attributes;
use tidewire_protocol::client_frame::{Batch, ClientFrame, Publish, Terms};
use tidewire_protocol::code::{Code, Durability, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Epoch, Handle, Offset, Seq};
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Hub, limits, messages, open_as, rule};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Memory,
    Simulated,
    Disk,
}

/// A hub whose log is stored so, and who says when it is.
struct Rig {
    kind: Kind,
    hub: Hub,
    committer: Committer,
    next: u64,
}

/// What became of a publish: its handle, its seq, and its offset (0 without a message) and whether it was there before, or
/// why it was refused and whether its seq is used up.
type Answer = (u64, u64, Result<(u64, bool), (Code, bool)>);

/// Runs a case over each engine.
fn each(case: impl Fn(&mut Rig)) {
    each_with(&Limits::default(), case);
}

fn each_with(limits: &Limits, case: impl Fn(&mut Rig)) {
    for kind in [Kind::Memory, Kind::Simulated, Kind::Disk] {
        let _told = Told(kind);
        case(&mut Rig::new(kind, limits.clone()));
    }
}

/// A case that fails says with which engine.
struct Told(Kind);

impl Drop for Told {
    #[allow(clippy::print_stderr)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the engine is {:?}", self.0);
        }
    }
}

impl Rig {
    fn new(kind: Kind, limits: Limits) -> Self {
        let rules = vec![rule("map.>", Retention { latest_per_key: true, ..ALL }), rule(">", ALL)];
        let hub = match kind {
            Kind::Memory | Kind::Simulated => Hub::new(limits, rules),
            Kind::Disk => Hub::with_disk(limits, rules, Epoch(7)),
        };
        if kind == Kind::Simulated {
            hub.topics.with_log(0, |log| log.engine = Engine::Simulated(Simulated::default()));
        }
        let mut rig = Self { kind, hub, committer: Committer::new(0, [1; 32], vec![], 1), next: 1 };
        rig.store();
        rig
    }

    /// A client with handle 1 on "a.x" and 2 on "a.y".
    fn client(&mut self, producer: u8) -> ConnectionId {
        let id = self.hub.client(producer);
        self.hub.say(id, &[open_as(1, 0, "a.x"), open_as(2, 0, "a.y")]);
        self.hub.heard(id);
        id
    }

    /// One who reads both topics from the beginning.
    fn reader(&mut self) -> ConnectionId {
        let id = self.hub.client(200);
        self.hub.subscribe(id, "a.>", Start::Earliest, WhenSlow::CatchUp);
        self.hub.heard(id);
        id
    }

    /// What a reader has got since it was asked last: offsets and texts.
    fn read(&mut self, reader: ConnectionId) -> Vec<(u64, String)> {
        let heard = self.hub.heard(reader);
        messages(&heard).iter().map(|message| (message.offset, message.text.clone())).collect()
    }

    /// All that waits is stored; what completes out of step does so from behind.
    fn store(&mut self) {
        match self.kind {
            Kind::Memory => {}
            Kind::Simulated => self.hub.topics.with_log(0, |log| {
                let Engine::Simulated(engine) = &mut log.engine else { panic!("it is simulated") };
                let mut waiting: Vec<_> = std::iter::from_fn(|| engine.pick(0)).collect();
                waiting.reverse();
                waiting.into_iter().for_each(|offset| log.complete(offset));
            }),
            Kind::Disk => loop {
                if !self.committer.take(&self.hub.topics, self.next, &mut Vec::new()) {
                    break;
                }
                self.next += 1;
                self.committer.stored(&self.hub.topics);
            },
        }
        self.hub.work();
    }

    /// The storing of what waits, from this offset on, fails, and nothing of it is there.
    fn fail(&mut self, offset: u64) {
        match self.kind {
            Kind::Memory => {}
            Kind::Simulated => self.hub.topics.with_log(0, |log| log.fail(Offset(offset))),
            Kind::Disk => {
                assert!(self.committer.take(&self.hub.topics, self.next, &mut Vec::new()));
                self.committer.not_stored(&self.hub.topics, self.next);
            }
        }
        self.hub.work();
    }

    /// Whether what is published waits.
    fn is_late(&self) -> bool {
        self.kind != Kind::Memory
    }

    fn answers(&mut self, id: ConnectionId) -> Vec<Answer> {
        let close = |code| panic!("closed with {code}");
        let told = |frame: &HubFrame<'_>| match frame {
            HubFrame::Acked(acked) => {
                let offset = |n| if acked.offset.0 == 0 { 0 } else { acked.offset.0 + n };
                let answer = |n| (acked.handle.0, acked.seq.0 + n, Ok((offset(n), acked.duplicate)));
                (0..acked.count).map(answer).collect::<Vec<Answer>>()
            }
            HubFrame::Refused(refused) => (0..refused.count)
                .map(|n| (refused.handle.0, refused.seq.0 + n, Err((refused.code, refused.consumed))))
                .collect(),
            other => panic!("{other:?}"),
        };
        self.hub.heard_as(id, close, told).concat()
    }

    /// Publishes, stores, and gives what is told; nothing is before it is stored.
    #[track_caller]
    fn says(&mut self, id: ConnectionId, frames: &[ClientFrame<'_>]) -> Vec<Answer> {
        self.hub.say(id, frames);
        if self.is_late() {
            assert_eq!(self.answers(id), [], "told before it is stored");
        }
        self.store();
        self.answers(id)
    }

    /// The same, of what may be known already, and is told at once.
    fn says_or_knows(&mut self, id: ConnectionId, frames: &[ClientFrame<'_>]) -> Vec<Answer> {
        self.hub.say(id, frames);
        self.store();
        self.answers(id)
    }
}

fn on(handle: u64, seq: u64, payload: &str) -> ClientFrame<'_> {
    let (handle, seq, payload) = (Handle(handle), Seq(seq), payload.as_bytes().into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

fn void(handle: u64, seq: u64, count: u64) -> ClientFrame<'static> {
    let (handle, seq) = (Handle(handle), Seq(seq));
    ClientFrame::Publish(Publish { handle, seq, count, void: true, ..Publish::default() })
}

/// Sets a key of "map.x", if nobody has yet.
fn set_new(seq: u64, key: &'static str) -> ClientFrame<'static> {
    let attributes = Attributes { key: key.into(), ..Attributes::default() };
    let terms = Terms { if_absent: true, ..Terms::default() };
    let (handle, seq) = (Handle(3), Seq(seq));
    ClientFrame::Publish(Publish {
        handle,
        seq,
        payload: b"m"[..].into(),
        attributes,
        terms,
        ..Publish::default()
    })
}

fn batch<'a>(members: &[ClientFrame<'a>]) -> Vec<ClientFrame<'a>> {
    let first = ClientFrame::Batch(Batch { count: members.len() as u64 });
    std::iter::once(first).chain(members.iter().cloned()).collect()
}

fn owned(messages: &[(u64, &str)]) -> Vec<(u64, String)> {
    messages.iter().map(|(offset, text)| (*offset, (*text).to_owned())).collect()
}

const NOT_STORED: Result<(u64, bool), (Code, bool)> = Err((Code::NotStored, false));

#[test]
fn messages_are_numbered_seen_and_told_in_the_order_in_which_they_came() {
    each(|rig| {
        let (one, two, reader) = (rig.client(1), rig.client(2), rig.reader());
        rig.hub.say(one, &[on(1, 1, "a"), on(2, 1, "b")]);
        rig.hub.say(two, &[on(2, 1, "c")]);
        rig.hub.say(one, &[on(1, 2, "d")]);
        rig.store();
        assert_eq!(rig.read(reader), owned(&[(1, "a"), (2, "b"), (3, "c"), (4, "d")]));
        assert_eq!(
            rig.answers(one),
            [(1, 1, Ok((1, false))), (2, 1, Ok((2, false))), (1, 2, Ok((4, false)))]
        );
        assert_eq!(rig.answers(two), [(2, 1, Ok((3, false)))]);
        assert_eq!(rig.hub.history(reader, "a.x", Start::Earliest), ["a", "d"]);
    });
}

#[test]
fn nobody_sees_what_is_not_stored_however_they_ask() {
    each(|rig| {
        let (id, reader) = (rig.client(1), rig.reader());
        rig.hub.say(id, &[on(1, 1, "a")]);
        let seen = if rig.is_late() { vec![] } else { owned(&[(1, "a")]) };
        assert_eq!(rig.read(reader), seen);
        assert_eq!(rig.hub.kept("a.x"), seen.len());
        assert_eq!(rig.hub.history(reader, "a.>", Start::Last(5)).len(), seen.len());
        rig.store();
        assert_eq!(rig.hub.kept("a.x"), 1);
        assert_eq!(rig.hub.history(reader, "a.>", Start::Last(5)), ["a"]);
    });
}

#[test]
fn what_is_acknowledged_says_how_long_it_lasts() {
    each(|rig| {
        let id = rig.client(1);
        rig.hub.say(id, &[on(1, 1, "a")]);
        rig.store();
        let close = |code| panic!("closed with {code}");
        let told = rig.hub.heard_as(id, close, |frame| match frame {
            HubFrame::Acked(acked) => acked.durability,
            other => panic!("{other:?}"),
        });
        let lasts = if rig.kind == Kind::Disk { Durability::Synced } else { Durability::Memory };
        assert_eq!(told, [lasts]);
    });
}

#[test]
fn a_publish_lands_once_whether_its_retry_comes_before_it_is_stored_or_later() {
    each(|rig| {
        let (id, reader) = (rig.client(1), rig.reader());
        rig.hub.say(id, &[on(1, 1, "a"), on(1, 1, "a")]);
        if rig.is_late() {
            assert_eq!(rig.answers(id).iter().filter(|(_, _, answer)| answer.is_ok()).count(), 0);
        }
        rig.store();
        let told = rig.answers(id);
        let is_it = |(handle, seq, answer): &Answer| {
            (*handle, *seq) == (1, 1) && (matches!(answer, Ok((1, _))) || *answer == NOT_STORED)
        };
        assert!(told.iter().all(is_it) && told.contains(&(1, 1, Ok((1, false)))), "{told:?}");
        assert_eq!(rig.read(reader), owned(&[(1, "a")]));
        rig.hub.say(id, &[on(1, 1, "a")]);
        rig.store();
        assert_eq!(rig.answers(id), [(1, 1, Ok((1, true)))]);
        assert_eq!(rig.read(reader), []);
        // Another's first is not this one's.
        let other = rig.client(2);
        assert_eq!(rig.says(other, &[on(1, 1, "b")]), [(1, 1, Ok((2, false)))]);
    });
}

#[test]
fn a_batch_is_side_by_side_or_not_at_all() {
    each(|rig| {
        let (id, reader) = (rig.client(1), rig.reader());
        let members = [on(1, 1, "a"), on(2, 1, "b"), on(1, 2, "c")];
        let landed = |from: u64| {
            vec![(1, 1, Ok((from, false))), (2, 1, Ok((from + 1, false))), (1, 2, Ok((from + 2, false)))]
        };
        let mut from = 1;
        if rig.is_late() {
            // Of those that are in step, whichever fails takes all with it.
            for behind in 0..3 {
                rig.hub.say(id, &batch(&members));
                rig.fail(from + behind);
                let mut told = rig.answers(id);
                told.sort_unstable_by_key(|(handle, seq, _)| (*seq, *handle));
                assert_eq!(told, [(1, 1, NOT_STORED), (2, 1, NOT_STORED), (1, 2, NOT_STORED)]);
                assert_eq!(rig.read(reader), []);
                // What failed may have used up its numbers.
                from += 3;
            }
        }
        let told = rig.says(id, &batch(&members));
        assert_eq!(told, landed(from));
        let texts: Vec<_> = rig.read(reader).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a", "b", "c"]);
        let again = rig.says_or_knows(id, &batch(&members));
        assert!(again.iter().all(|(_, _, answer)| matches!(answer, Ok((_, true)))), "{again:?}");
        assert_eq!(rig.read(reader), []);
    });
}

#[test]
fn what_could_not_be_stored_may_be_sent_again_and_lands_once() {
    each(|rig| {
        if !rig.is_late() {
            return;
        }
        let (id, reader) = (rig.client(1), rig.reader());
        assert_eq!(rig.says(id, &[on(1, 1, "a")]), [(1, 1, Ok((1, false)))]);
        rig.hub.say(id, &[on(1, 2, "b"), on(2, 1, "c")]);
        rig.fail(2);
        let mut told = rig.answers(id);
        told.sort_unstable_by_key(|(handle, ..)| *handle);
        assert_eq!(told, [(1, 2, NOT_STORED), (2, 1, NOT_STORED)]);
        let told = rig.says(id, &[on(1, 2, "b"), on(2, 1, "c")]);
        assert!(
            matches!(told[..], [(1, 2, Ok((b, false))), (2, 1, Ok((c, false)))] if 1 < b && b < c),
            "{told:?}"
        );
        let texts: Vec<_> = rig.read(reader).into_iter().map(|(_, text)| text).collect();
        assert_eq!(texts, ["a", "b", "c"]);
    });
}

#[test]
fn who_asks_for_less_is_told_at_once_and_nobody_sees_it_before_it_is_stored() {
    each(|rig| {
        // Late, it holds no more than what is asked here, so all of it is told in its turn.
        if rig.kind == Kind::Simulated {
            return;
        }
        let (id, reader) = (rig.client(1), rig.reader());
        let early = |seq| {
            let ClientFrame::Publish(publish) = on(1, seq, "a") else { panic!("it is a publish") };
            let terms = Terms { durability: Some(Durability::Memory), ..Terms::default() };
            ClientFrame::Publish(Publish { terms, ..publish })
        };
        rig.hub.say(id, &[early(1)]);
        rig.store();
        assert_eq!(rig.answers(id), [(1, 1, Ok((1, false)))]);
        rig.read(reader);
        rig.hub.say(id, &[early(2)]);
        assert_eq!(rig.answers(id), [(1, 2, Ok((2, false)))]);
        assert_eq!(rig.read(reader).is_empty(), rig.is_late());
        rig.store();
        assert_eq!(rig.answers(id), []);
        assert_eq!(rig.hub.kept("a.x"), 2);
    });
}

#[test]
fn a_condition_holds_of_what_came_before_be_it_stored_or_not_and_fails_with_it() {
    each(|rig| {
        let (one, two) = (rig.client(1), rig.client(2));
        for id in [one, two] {
            rig.hub.say(id, &[open_as(3, 0, "map.x")]);
            rig.hub.heard(id);
        }
        let mut offset = 1;
        if rig.is_late() {
            rig.hub.say(one, &[set_new(1, "k")]);
            rig.hub.say(two, &[set_new(1, "k")]);
            rig.fail(1);
            assert_eq!(rig.answers(one), [(3, 1, NOT_STORED)]);
            assert_eq!(rig.answers(two), [(3, 1, NOT_STORED)], "it is open whether somebody was first");
            offset = 2;
        }
        rig.hub.say(two, &[set_new(1, "k")]);
        rig.hub.say(one, &[set_new(1, "k"), set_new(2, "l")]);
        if rig.is_late() {
            assert_eq!((rig.answers(one), rig.answers(two)), (vec![], vec![]));
        }
        rig.store();
        assert_eq!(rig.answers(two), [(3, 1, Ok((offset, false)))]);
        let beaten = Err((Code::ConditionFailed, true));
        assert_eq!(rig.answers(one), [(3, 1, beaten), (3, 2, Ok((offset + 1, false)))]);
    });
}

#[test]
fn seqs_that_no_message_stands_for_are_used_up_in_their_turn() {
    let small = limits(|limits| limits.message_bytes_max = 4);
    each_with(&small, |rig| {
        let (id, reader) = (rig.client(1), rig.reader());
        rig.hub.say(id, &[on(1, 1, "a"), void(1, 2, 2), on(1, 4, "too large"), on(1, 5, "b")]);
        rig.store();
        let told = rig.answers(id);
        let expected =
            [Ok((1, false)), Ok((0, false)), Ok((0, false)), Err((Code::TooLarge, true)), Ok((2, false))];
        let answers: Vec<_> = told.iter().map(|(_, _, answer)| *answer).collect();
        assert_eq!(answers, expected);
        assert_eq!(told.iter().map(|(_, seq, _)| *seq).collect::<Vec<_>>(), [1, 2, 3, 4, 5]);
        assert_eq!(rig.read(reader), owned(&[(1, "a"), (2, "b")]));
    });
}

/// Only who has a disk can want for room; the others take what comes, whatever they are told.
#[test]
fn where_there_is_no_room_nothing_is_used_up_and_later_all_of_it_lands() {
    each(|rig| {
        let id = rig.client(1);
        let may_refuse = rig.kind == Kind::Disk;
        let (mut seq, mut kept) = (1, 0);
        for (takes, voids_go) in [
            (Takes::NoMessages, true),
            (Takes::NoPublishes, false),
            (Takes::All, true),
            (Takes::Nothing, false),
        ] {
            rig.hub.topics.with_log(0, |log| log.set_takes(takes));
            rig.hub.say(id, &[on(1, seq, "m")]);
            rig.store();
            let told = rig.answers(id);
            if may_refuse && takes != Takes::All {
                assert_eq!(told, [(1, seq, NOT_STORED)], "{takes:?}");
            } else {
                assert!(
                    matches!(told[..], [(1, acked, Ok((_, false)))] if acked == seq),
                    "{takes:?} {told:?}"
                );
                (seq, kept) = (seq + 1, kept + 1);
            }
            rig.hub.say(id, &[void(1, seq, 1)]);
            rig.store();
            let told = rig.answers(id);
            if may_refuse && !voids_go {
                assert_eq!(told, [(1, seq, NOT_STORED)], "{takes:?}");
            } else {
                assert_eq!(told, [(1, seq, Ok((0, false)))], "{takes:?}");
                seq += 1;
            }
        }
        assert_eq!(rig.hub.kept("a.x"), kept);
        // Nothing means until the hub is started again.
        rig.hub.topics.with_log(0, |log| log.set_takes(Takes::All));
        rig.hub.say(id, &[on(1, seq, "m")]);
        rig.store();
        assert_eq!(rig.answers(id)[0].2 == NOT_STORED, may_refuse);
    });
}
