//! A durable log: what is published waits for its commit, and is there again when the hub is started anew.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::log::engine::Takes;
use tidewire_hub_core::log::rows::importing::{Importing, Put};
use tidewire_hub_core::log::rows::tidying::Tidying;
use tidewire_hub_core::log::rows::writing::Scribe;
use tidewire_hub_core::log::rows::{State, TopicRow};
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::record::Record;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_hub_core::tail::needed::Need;
use tidewire_hub_core::topics::durable::Committer;
use tidewire_hub_core::topics::found::Found;
use tidewire_hub_core::topics::restoring::Restored;
use tidewire_protocol::attributes::{Attributes, HEADER_NAME_BYTES_MAX, Headers, KEY_BYTES_MAX};
use tidewire_protocol::client_frame::{Batch, ClientFrame, Hello, Open, Publish};
use tidewire_protocol::code::{Code, Content, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Epoch, Handle, Incarnation, NUMBER_MAX, Offset, ProducerId, SEQ_MAX, Seq};
use tidewire_protocol::position::Start;

use crate::rig::{ALL, Heard, Hub, after, hello, keep_all, limits, messages, open_as, publish_on, rule};

/// Commits that are stored, each with its number, and the number of the next.
#[derive(Default)]
pub struct Disk {
    commits: Vec<(u64, Vec<u8>)>,
    next: u64,
}

/// A hub over a disk.
pub struct Lasting {
    pub hub: Hub,
    pub committer: Committer,
    next: u64,
    restored: Restored,
    told_since: u64,
}

impl Disk {
    /// Starts a hub over it.
    fn start(mut self, now: Millis, limits: Limits, rules: Vec<TopicRule>) -> Lasting {
        self.next += 1;
        let mut found = Found::new(&rules).starting_at(now);
        self.commits.iter().for_each(|(number, body)| found.see(*number, body).unwrap());
        let between = |pair: &[(u64, Vec<u8>)]| pair[0].0 + 1..=pair[1].0 - 1;
        found.lacks(self.commits.windows(2).map(between).filter(|commits| !commits.is_empty()));
        let epoch = found.epoch(&[], Epoch(7));
        let known_losses = found.lost_beginning().into_iter().collect();
        let mut hub = Hub::with_disk(limits, rules, epoch);
        hub.now = hub.now.max(now);
        let restored = hub.topics.restore(0, hub.now, found);
        let is_whole = self.commits.windows(2).all(|pair| pair[1].0 == pair[0].0 + 1);
        assert!(!is_whole || restored.shortened.is_empty(), "nothing is lost: {restored:?}");
        let committer = Committer::new(0, [1; 32], known_losses, self.next);
        hub.commits = self.commits;
        let mut lasting = Lasting { hub, committer, next: self.next, restored, told_since: 0 };
        lasting.store();
        lasting
    }
}

impl Lasting {
    pub fn new(limits: Limits, rules: Vec<TopicRule>) -> Self {
        Disk::default().start(Millis(0), limits, rules)
    }

    /// Takes a commit that is not stored yet.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        let mut body = Vec::new();
        self.committer.take(&self.hub.topics, self.next, &mut body).then_some(body)
    }

    /// Stores all that waits.
    pub fn store(&mut self) {
        while let Some(body) = self.take() {
            self.land(body);
        }
        self.hub.work();
    }

    pub fn land(&mut self, body: Vec<u8>) {
        self.hub.commits.push((self.next, body));
        self.next += 1;
        let (_, told_since) = self.committer.stored(&self.hub.topics);
        if let Some(since) = told_since {
            assert!(since <= self.next);
            self.told_since = since;
        }
    }

    /// All is told anew, from the next commit on.
    pub fn tell_anew(&mut self) {
        self.committer.tell_anew(self.next);
        self.store();
    }

    /// Tidies the commits before those that tell all anew, each by itself. How many bytes they had, and have.
    pub fn tidy(&mut self) -> (usize, usize) {
        self.tidy_by(1)
    }

    /// The same with so many of them together.
    pub fn tidy_by(&mut self, count: usize) -> (usize, usize) {
        let (topics, told_since) = (self.hub.topics.stored_topics(0), self.told_since);
        let now = self.hub.now;
        let needs = |number, offset, record: Option<&Record<'_>>| {
            let topic = topics.get(&number).map(|topic| topic.upgrade().unwrap());
            topic.map_or(Need::Not, |topic| topic.tail.needs(now, (offset, record), true, told_since))
        };
        let (mut before, mut after) = (0, 0);
        let old = self.hub.commits.partition_point(|(number, _)| *number < told_since);
        for commits in self.hub.commits[..old].chunks_mut(count) {
            let (mut tidying, mut all) = (Tidying::default(), Vec::new());
            for (index, (_, body)) in commits.iter().enumerate() {
                let mut tidied = Vec::new();
                tidying.tidy(body, index + 1 == commits.len(), &mut tidied, needs).unwrap();
                (before, after) = (before + body.len(), after + tidied.len());
                all.push(tidied);
            }
            commits.iter_mut().zip(all).for_each(|((_, body), tidied)| *body = tidied);
        }
        (before, after)
    }

    /// The hub ends without a word, and another is started over the same disk.
    pub fn restart(self) -> Self {
        self.restart_with(keep_all())
    }

    /// The same by other rules.
    pub fn restart_with(self, rules: Vec<TopicRule>) -> Self {
        let now = self.hub.now;
        self.restart_at(now, rules)
    }

    /// The same by other rules, while the clock says something else.
    pub fn restart_at(self, now: Millis, rules: Vec<TopicRule>) -> Self {
        let limits = Limits::clone(self.hub.topics.limits());
        self.into_disk().start(now, limits, rules)
    }

    fn into_disk(self) -> Disk {
        Disk { commits: self.hub.commits, next: self.next }
    }

    /// The hub ends, messages are put behind what its log has, and another hub is started over that. Tells where they are.
    pub fn import(mut self, messages: &[(&str, u64, &'static [u8])]) -> (Self, Vec<Put>) {
        let mut importing = Importing::default();
        self.hub.commits.iter().for_each(|(number, body)| importing.see(*number, body).unwrap());
        let mut body = Vec::new();
        let mut scribe = Scribe::new(&mut body);
        importing.begin(&mut scribe, State { epoch: Epoch(7), ..State::default() }, &[]);
        let mut put = |(topic, published_at, payload): &(&str, u64, &'static [u8])| {
            let record = Record {
                published_at: Millis(*published_at),
                payload,
                content: Content::Text,
                ..Record::default()
            };
            importing.put(&mut scribe, &TopicName::parse(topic).unwrap(), &record)
        };
        let places = messages.iter().map(&mut put).collect();
        self.hub.commits.push((self.next, body));
        self.next += 1;
        (self.restart(), places)
    }

    pub fn client(&mut self, topic: &str) -> ConnectionId {
        let id = self.hub.client(1);
        self.hub.say(id, &[open_as(1, 0, topic)]);
        assert_eq!(self.hub.heard(id), [Heard::Opened]);
        id
    }

    /// Publishes, stores, and gives what was told.
    pub fn publishes(&mut self, id: ConnectionId, seq: u64, payload: &[u8]) -> Vec<Heard> {
        self.hub.say(id, &[on(seq, payload)]);
        assert_eq!(self.hub.heard(id), [], "nothing is told before it is stored");
        self.store();
        self.hub.heard(id)
    }
}

/// A publish by one that still wants to know what became of those before.
fn on(seq: u64, payload: &[u8]) -> ClientFrame<'_> {
    let (handle, seq, payload) = (Handle(1), Seq(seq), payload.into());
    ClientFrame::Publish(Publish { handle, seq, payload, ..Publish::default() })
}

fn keeping() -> Lasting {
    Lasting::new(Limits::default(), keep_all())
}

/// The offset that was acknowledged, and whether as a duplicate.
pub fn acked(lasting: &mut Lasting, id: ConnectionId) -> Vec<(u64, u64, bool)> {
    let close = |code| panic!("closed with {code}");
    lasting.hub.heard_as(id, close, |frame| match frame {
        HubFrame::Acked(acked) => (acked.seq.0, acked.offset.0, acked.duplicate),
        other => panic!("{other:?}"),
    })
}

#[test]
fn what_is_published_is_seen_and_told_when_it_is_stored_and_not_before() {
    let mut lasting = keeping();
    let (id, reader) = (lasting.client("a.b"), lasting.hub.client(2));
    lasting.hub.subscribe(reader, "a.>", Start::Earliest, WhenSlow::CatchUp);
    lasting.hub.heard(reader);
    lasting.hub.publish(id, 1, b"one");
    let body = lasting.take().unwrap();
    // What comes meanwhile is for the next commit.
    lasting.hub.publish(id, 2, b"two");
    lasting.hub.work();
    assert_eq!((lasting.hub.heard(id), lasting.hub.heard(reader)), (vec![], vec![]));
    lasting.land(body);
    lasting.hub.work();
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(1, 1)]);
    let heard = lasting.hub.heard(reader);
    assert_eq!(messages(&heard).iter().map(|it| it.text.as_str()).collect::<Vec<_>>(), ["one"]);
    lasting.store();
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(2, 1)]);
    assert_eq!(messages(&lasting.hub.heard(reader)).len(), 1);
}

#[test]
fn a_hub_that_is_started_again_has_it_all_and_a_retry_lands_once() {
    let mut lasting = keeping();
    let id = lasting.client("a.b");
    for seq in 1..=3 {
        assert_eq!(lasting.publishes(id, seq, b"m"), [Heard::Acked(seq, 1)]);
    }
    // This one is taken and never stored.
    lasting.hub.publish(id, 4, b"lost");
    let mut lasting = lasting.restart();
    assert_eq!(lasting.restored, Restored { topics: 1, messages: 3, windows: 1, ..Restored::default() });
    let id = lasting.hub.client(1);
    assert_eq!(lasting.hub.history(id, "a.b", Start::Earliest), ["m", "m", "m"]);
    lasting.hub.say(id, &[open_as(1, 0, "a.b")]);
    let close = |code| panic!("closed with {code}");
    let opened = lasting.hub.heard_as(id, close, |frame| match frame {
        HubFrame::Opened(opened) => (opened.window_new, opened.next.0),
        other => panic!("{other:?}"),
    });
    assert_eq!(opened, [(false, 4)]);
    lasting.hub.say(id, &[on(3, b"m"), on(4, b"m")]);
    lasting.store();
    assert_eq!(acked(&mut lasting, id), [(3, 3, true), (4, 4, false)]);
    // Whoever was at the end goes on where it was, over another start as well.
    let mut lasting = lasting.restart();
    let id = lasting.hub.client(2);
    lasting.hub.subscribe(id, "a.b", after(3), WhenSlow::CatchUp);
    let heard = lasting.hub.heard(id);
    assert_eq!(heard[0], Heard::Subscribed(Outcome::Resumed, 3, None));
    assert_eq!(messages(&heard).iter().filter(|message| message.offset > 3).count(), 1);
}

#[test]
fn refusals_and_voids_outlive_the_hub_as_well() {
    let mut lasting = Lasting::new(limits(|limits| limits.message_bytes_max = 8), keep_all());
    let id = lasting.client("a");
    let void = |seq, count| {
        ClientFrame::Publish(Publish {
            handle: Handle(1),
            seq: Seq(seq),
            count,
            void: true,
            ..Publish::default()
        })
    };
    lasting.hub.say(id, &[on(1, b"m"), void(2, 3), on(5, b"far too large")]);
    assert_eq!(lasting.hub.heard(id), []);
    lasting.store();
    let told = [Heard::Acked(1, 1), Heard::Acked(2, 3), Heard::Refused(5, Code::TooLarge)];
    assert_eq!(lasting.hub.heard(id), told);
    let mut lasting = lasting.restart();
    let id = lasting.client("a");
    lasting.hub.say(id, &[void(2, 3), void(5, 1)]);
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(2, 3), Heard::Refused(5, Code::TooLarge)]);
    assert_eq!(lasting.publishes(id, 6, b"m"), [Heard::Acked(6, 1)]);
}

#[test]
fn of_a_run_whose_beginning_its_producer_let_go_of_before_it_was_stored_the_rest_outlives_the_hub() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    let void = |seq, count, lowest| {
        let (handle, seq, lowest) = (Handle(1), Seq(seq), Seq(lowest));
        ClientFrame::Publish(Publish { handle, seq, count, lowest, void: true, ..Publish::default() })
    };
    lasting.hub.say(id, &[on(1, b"m"), void(2, 6, 0), void(8, 2, 4)]);
    lasting.store();
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(1, 1), Heard::Acked(2, 8)]);
    let mut lasting = lasting.restart();
    let id = lasting.client("a");
    lasting.hub.say(id, &[void(4, 6, 0)]);
    assert_eq!(lasting.hub.heard(id), [Heard::Acked(4, 6)]);
}

#[test]
fn a_batch_is_in_one_commit_however_many_wait() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    let publish = |seq| {
        ClientFrame::Publish(Publish {
            handle: Handle(1),
            seq: Seq(seq),
            payload: vec![b'm'; 200 << 10].into(),
            ..Publish::default()
        })
    };
    for first in (1..=28).step_by(3) {
        let batch = ClientFrame::Batch(Batch { count: 3 });
        lasting.hub.say(id, &[batch, publish(first), publish(first + 1), publish(first + 2)]);
    }
    let mut counts = Vec::new();
    while let Some(body) = lasting.take() {
        lasting.land(body);
        lasting.hub.work();
        counts.push(acked(&mut lasting, id).len());
        assert_eq!(lasting.hub.kept("a") % 3, 0);
    }
    assert!(counts.len() > 1, "more than one commit, not {counts:?}");
    assert_eq!(lasting.hub.kept("a"), 30);
}

#[test]
fn what_found_no_room_may_be_sent_again_and_names_are_told_anew() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    lasting.hub.publish(id, 1, b"m");
    assert!(lasting.take().is_some());
    lasting.committer.not_stored(&lasting.hub.topics, lasting.next);
    lasting.committer.set_takes(&lasting.hub.topics, Takes::NoMessages);
    lasting.hub.work();
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(1, Code::NotStored)]);
    lasting.hub.publish(id, 1, b"m");
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(1, Code::NotStored)]);
    lasting.committer.set_takes(&lasting.hub.topics, Takes::All);
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    let mut lasting = lasting.restart();
    assert_eq!(lasting.hub.kept("a"), 1);
}

#[test]
fn what_is_in_doubt_is_told_neither_way_and_the_log_takes_nothing_more() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    lasting.hub.say(id, &[on(2, b"in doubt")]);
    let body = lasting.take().unwrap();
    lasting.hub.say(id, &[on(3, b"behind")]);
    lasting.committer.in_doubt(&lasting.hub.topics);
    lasting.hub.work();
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(3, Code::NotStored)]);
    // Retries hear nothing either, what is known is known, and what is new is refused.
    lasting.hub.say(id, &[on(2, b"m"), on(3, b"m")]);
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(3, Code::NotStored)]);
    lasting.committer.set_takes(&lasting.hub.topics, Takes::All);
    lasting.hub.say(id, &[on(3, b"m")]);
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(3, Code::NotStored)], "room on the disk mends nothing");
    assert_eq!(lasting.hub.kept("a"), 1, "reads go on");
    // It was on the disk after all.
    lasting.hub.commits.push((lasting.next, body));
    lasting.next += 1;
    let mut lasting = lasting.restart();
    let id = lasting.client("a");
    lasting.hub.say(id, &[on(2, b"m"), on(3, b"m")]);
    lasting.store();
    assert_eq!(acked(&mut lasting, id), [(2, 2, true), (3, 3, false)]);
}

#[test]
fn who_publishes_without_pause_leaves_others_room_to_wait() {
    let mut lasting = Lasting::new(limits(|limits| limits.pending_bytes_max = 64 << 10), keep_all());
    let id = lasting.client("a");
    for seq in 1..=100 {
        lasting.hub.publish(id, seq, &[b'.'; 1_000]);
    }
    let refused = lasting.hub.heard(id);
    assert!(refused.contains(&Heard::Refused(33, Code::Overloaded)) || !refused.is_empty(), "{refused:?}");
    let hub = &mut lasting.hub;
    let other = hub.shard.accept(hub.now, Dialect::Binary, AccountKey(9));
    lasting.hub.say(other, &[hello(2, 1), open_as(1, 0, "b"), publish_on(1, 1, &[b'.'; 1_000])]);
    lasting.hub.heard(other);
    lasting.store();
    assert_eq!(lasting.hub.heard(other), [Heard::Acked(1, 1)]);
    assert_eq!(lasting.hub.held(Kind::Staged), 0);
}

#[test]
fn names_that_went_are_remembered_over_a_start_and_those_that_nobody_told_of_again_are_not() {
    let age = Retention { age_ms: Some(1_000), ..ALL };
    let mut lasting = Lasting::new(Limits::default(), vec![rule(">", age)]);
    let id = lasting.client("a.b");
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.hub.wait(60_000);
    assert_eq!(lasting.hub.topics.metrics().topics.value(), 0, "it went");
    // Twice: the second time nothing but what was told anew says so.
    for _ in 0..2 {
        let (now, mut disk) = (lasting.hub.now, lasting.into_disk());
        let told_from = disk.commits.len();
        disk.next += 1;
        lasting = disk.start(now, Limits::default(), vec![rule(">", age)]);
        lasting.hub.commits.drain(..told_from);
        let id = lasting.hub.client(3);
        lasting.hub.subscribe(id, "a.b", after(0), WhenSlow::CatchUp);
        let heard = lasting.hub.heard(id);
        let is_told = matches!(heard[0], Heard::Subscribed(_, 1, Some((1, 1, _))));
        assert!(is_told, "{heard:?}");
        lasting.hub.shard.gone(lasting.hub.now, id);
    }
}

#[test]
fn what_was_told_in_commits_that_were_deleted_in_part_takes_nothing_of_what_is_kept() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let topics: Vec<String> = (0..2_000).map(|topic| format!("t{topic}")).collect();
    let id = lasting.client(&topics[0]);
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    for (handle, topic) in (2..).zip(&topics[1..]) {
        lasting.hub.say(id, &[open_as(handle, 0, topic), publish_on(handle, 1, b"m")]);
    }
    lasting.store();
    let told_from = lasting.hub.commits.len();
    lasting.tell_anew();
    let told_upto = lasting.hub.commits.len();
    assert!(told_upto > told_from + 1, "that took one commit only");
    lasting.tell_anew();
    // Nothing in it is needed: all was told once more.
    lasting.hub.commits.remove(told_from);
    let mut lasting = lasting.restart();
    assert_eq!(lasting.hub.kept(&topics[0]), 1);
}

#[test]
fn a_name_that_came_back_and_has_nothing_stored_is_told_as_one_that_went() {
    let age = Retention { age_ms: Some(1_000), ..ALL };
    let mut lasting = Lasting::new(Limits::default(), vec![rule(">", age)]);
    let id = lasting.client("a.b");
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.hub.wait(60_000);
    assert_eq!(lasting.hub.topics.metrics().topics.value(), 0, "it went");
    let id = lasting.client("a.b");
    lasting.committer.set_takes(&lasting.hub.topics, Takes::NoMessages);
    lasting.hub.publish(id, 2, b"n");
    assert_eq!(lasting.hub.heard(id), [Heard::Refused(2, Code::NotStored)]);
    assert_eq!(lasting.hub.topics.metrics().topics.value(), 1, "it came back");
    lasting.committer.tell_anew(lasting.next);
    lasting.store();
    // Nothing but what was told anew says how far it had gone.
    let (now, mut disk) = (lasting.hub.now, lasting.into_disk());
    disk.commits.drain(..disk.commits.len() - 1);
    lasting = disk.start(now, Limits::default(), vec![rule(">", age)]);
    let id = lasting.hub.client(3);
    lasting.hub.subscribe(id, "a.b", after(0), WhenSlow::CatchUp);
    let heard = lasting.hub.heard(id);
    assert!(matches!(heard[0], Heard::Subscribed(_, 1, Some((1, 1, _)))), "{heard:?}");
}

/// Each topic has a message in each of three commits, and the second is lost.
#[test]
fn topics_that_begin_behind_what_is_lost_are_named_as_far_as_they_are_few() {
    let mut lasting = Lasting::new(Limits::default(), keep_all());
    let topics: Vec<String> = (0..25).map(|topic| format!("t{topic}")).collect();
    let id = lasting.client(&topics[0]);
    for (handle, topic) in (2..).zip(&topics[1..]) {
        lasting.hub.say(id, &[open_as(handle, 0, topic)]);
    }
    let mut ends = Vec::new();
    for seq in 1..=3 {
        (1..=25).for_each(|handle| lasting.hub.say(id, &[publish_on(handle, seq, b"m")]));
        lasting.store();
        ends.push(lasting.hub.commits.len());
    }
    lasting.hub.commits.drain(ends[0]..ends[1]);
    let mut lasting = lasting.restart();
    let Restored { messages, shortened, shortened_more, .. } = lasting.restored.clone();
    assert_eq!((messages, shortened.len(), shortened_more), (25, 20, 5));
    for (topic, from) in shortened {
        assert!(
            (26..=51).contains(&from.0) && topics.iter().any(|name| name == topic.as_str()),
            "{topic} {from:?}"
        );
        assert_eq!(lasting.hub.kept(topic.as_str()), 1);
    }
}

/// Of one topic the middle has grown too old and was let go of, while older ones lie in a file that was left as it was. Of
/// another a message is lost.
#[test]
fn topics_whose_middle_was_let_go_of_are_not_named_beside_one_that_lost_something() {
    let age = vec![rule("old", Retention { age_ms: Some(1_000), ..ALL }), rule(">", ALL)];
    let mut lasting = Lasting::new(Limits::default(), age.clone());
    let id = lasting.client("old");
    lasting.publishes(id, 1, b"first");
    lasting.publishes(id, 2, b"second");
    let middle = lasting.hub.commits.len() - 1;
    lasting.tell_anew();
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.hub.wait(60_000);
    lasting.hub.commits[middle].1.clear();
    let id = lasting.client("new");
    for seq in 1..=3 {
        assert_eq!(lasting.publishes(id, seq, b"m"), [Heard::Acked(seq, 1)]);
    }
    let lost = lasting.hub.commits.len() - 2;
    lasting.hub.commits.remove(lost);
    let lasting = lasting.restart_with(age);
    let named: Vec<_> = lasting.restored.shortened.iter().map(|(topic, _)| topic.as_str()).collect();
    assert_eq!((named, lasting.restored.shortened_more), (vec!["new"], 0));
}

/// A commit is lost that told how all stood, and those before were removed: what is told anew by the start that finds it is told
/// in several commits, too.
#[test]
fn a_lost_beginning_costs_the_identity_once_though_the_start_after_it_is_broken_off() {
    let row = TopicRow { number: 1, name: "a", gone: Offset(0), last: Offset(1), removals_gone: Offset(0) };
    let commit = |write: &dyn Fn(&mut Scribe<'_>)| {
        let mut body = Vec::new();
        write(&mut Scribe::new(&mut body));
        body
    };
    let begins = |epoch, known: &[u64]| {
        commit(&|scribe| {
            scribe.state(&State { epoch: Epoch(epoch), ..State::default() });
            known.iter().for_each(|loss| scribe.known_loss(*loss));
            scribe.topic(&row);
        })
    };
    let read = |commits: &[(u64, Vec<u8>)]| {
        let mut found = Found::new(&[]);
        commits.iter().for_each(|(number, body)| found.see(*number, body).unwrap());
        found
    };
    // Commit 12 is lost.
    let mut commits = vec![(11, begins(1, &[])), (13, commit(&|scribe| scribe.told(11)))];
    let found = read(&commits);
    assert_eq!((found.epoch(&[12], Epoch(2)), found.lacks_up_to()), (Epoch(2), Some(10)));
    // The first commit of that start is there, and no more.
    let known: Vec<_> = found.lost_beginning().into_iter().chain([12]).collect();
    commits.push((14, begins(2, &known)));
    for _ in 0..2 {
        let found = read(&commits);
        assert_eq!((found.epoch(&[12], Epoch(3)), found.lost_beginning()), (Epoch(2), Some(known[0])));
        commits.push((commits.len() as u64 + 12, begins(2, &known)));
    }
    // Should more be lost there, that is another loss.
    assert_eq!(read(&commits[1..]).epoch(&[], Epoch(3)), Epoch(3));
    // Once all was told, nothing before it is needed.
    commits.push((17, commit(&|scribe| scribe.told(16))));
    let found = read(&commits);
    assert_eq!((found.epoch(&[12], Epoch(3)), found.lost_beginning()), (Epoch(2), None));
}

#[test]
fn a_window_that_is_kept_no_longer_does_not_come_back_to_whoever_began_anew() {
    let mut lasting = Lasting::new(limits(|limits| limits.window_ms = 1_000), keep_all());
    let id = lasting.client("a");
    assert_eq!(lasting.publishes(id, 1, b"m"), [Heard::Acked(1, 1)]);
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.hub.wait(60_000);
    let next = lasting.hub.client(1);
    lasting.hub.say(next, &[open_as(1, 0, "a")]);
    assert_eq!(lasting.hub.heard(next), [Heard::Refused(0, Code::Overloaded)], "that it went is not stored");
    lasting.store();
    lasting.hub.open(next, "a");
    // It is never stored, and sent again to the next hub.
    lasting.hub.say(next, &[on(1, b"anew")]);
    let mut lasting = lasting.restart();
    let id = lasting.client("a");
    lasting.hub.say(id, &[on(1, b"anew")]);
    lasting.store();
    assert_eq!(acked(&mut lasting, id), [(1, 2, false)]);
}

/// That it was fenced is forgotten with the hub where nothing of the one that took over was stored: it may have come first since,
/// in this life of the hub or in one before. Only a commit tells the next life that its window went.
#[test]
fn whoever_took_over_begins_anew_once_it_is_stored_that_what_one_that_was_fenced_did_went() {
    for (since, is_restarted) in [(0, false), (0, true), (1, false), (2, true)] {
        let mut lasting = keeping();
        let old = lasting.client("a");
        assert_eq!(lasting.publishes(old, 1, b"one"), [Heard::Acked(1, 1)]);
        let mut lasting = lasting.restart();
        let old = lasting.hub.connect(Dialect::Binary);
        lasting.hub.say(old, &[hello(1, 1), open_as(1, 0, "a"), on(2, b"of the old one")]);
        lasting.store();
        for _ in 0..since {
            lasting = lasting.restart();
        }
        let (lowest, handle, topic) = (Seq(2), Handle(1), "a".into());
        let open = ClientFrame::Open(Open { lowest, handle, topic, again: true, ..Open::default() });
        let mut new = lasting.hub.connect(Dialect::Binary);
        lasting.hub.say(new, &[hello(1, 2), open.clone()]);
        assert_eq!(lasting.hub.heard(new), [Heard::Welcome, Heard::Refused(0, Code::Overloaded)]);
        lasting.store();
        if is_restarted {
            lasting = lasting.restart();
            new = lasting.hub.connect(Dialect::Binary);
            lasting.hub.say(new, &[hello(1, 2)]);
            assert_eq!(lasting.hub.heard(new), [Heard::Welcome]);
        }
        lasting.hub.say(new, &[open]);
        assert_eq!(lasting.hub.heard(new), [Heard::Opened]);
        lasting.hub.say(new, &[on(2, b"of the new one")]);
        lasting.store();
        assert_eq!(acked(&mut lasting, new), [(2, 3, false)], "{since} restarts, restarted: {is_restarted}");
    }
}

/// Whoever takes over for the first time goes on where the one before ended, whoever stored that.
#[test]
fn whoever_takes_over_after_a_start_goes_on_where_the_one_before_ended() {
    let mut lasting = keeping();
    let old = lasting.client("a");
    assert_eq!(lasting.publishes(old, 1, b"one"), [Heard::Acked(1, 1)]);
    let mut lasting = lasting.restart();
    let new = lasting.hub.connect(Dialect::Binary);
    let open = Open { lowest: Seq(1), handle: Handle(1), topic: "a".into(), ..Open::default() };
    lasting.hub.say(new, &[hello(1, 2), ClientFrame::Open(open)]);
    lasting.hub.heard(new);
    lasting.hub.say(new, &[on(1, b"one"), on(2, b"two")]);
    lasting.store();
    assert_eq!(acked(&mut lasting, new), [(1, 1, true), (2, 2, false)]);
}

/// Nothing was published by it: an older one would go on at the next start.
#[test]
fn that_one_took_over_is_stored_though_it_publishes_nothing() {
    let mut lasting = keeping();
    let old = lasting.client("a");
    assert_eq!(lasting.publishes(old, 1, b"one"), [Heard::Acked(1, 1)]);
    for is_not_stored in [false, true] {
        let incarnation = if is_not_stored { 3 } else { 2 };
        lasting = lasting.restart();
        let new = lasting.hub.connect(Dialect::Binary);
        let open = Open { lowest: Seq(2), handle: Handle(1), topic: "a".into(), ..Open::default() };
        lasting.hub.say(new, &[hello(1, incarnation), ClientFrame::Open(open)]);
        assert_eq!(lasting.hub.heard(new), [Heard::Welcome, Heard::Opened]);
        if is_not_stored {
            let body = lasting.take();
            assert!(body.is_some());
            lasting.committer.not_stored(&lasting.hub.topics, lasting.next);
        }
        lasting.store();
        lasting = lasting.restart();
        let old = lasting.hub.connect(Dialect::Binary);
        lasting.hub.say(old, &[hello(1, incarnation - 1)]);
        let heard = lasting.hub.heard(old);
        assert!(!heard.contains(&Heard::Welcome), "{heard:?}");
    }
}

/// Else one who says only that he is here again would have the hub write much more than he sends.
#[test]
fn a_long_window_is_not_stored_for_who_took_over() {
    for count in [10, 200] {
        let mut lasting = keeping();
        let (id, other) = (lasting.client("a"), lasting.hub.connect(Dialect::Binary));
        lasting.hub.say(other, &[hello(2, 1), open_as(1, 0, "a")]);
        for seq in 1..=count {
            lasting.hub.say(id, &[on(seq, b"m")]);
            lasting.hub.say(other, &[on(seq, b"m")]);
        }
        lasting.store();
        let new = lasting.hub.connect(Dialect::Binary);
        lasting.hub.say(new, &[hello(1, 2), open_as(1, 0, "a")]);
        let body = lasting.take();
        assert_eq!(body.is_some(), count == 10);
        assert!(body.is_none_or(|body| body.len() < 300));
    }
}

/// Else there would be a record of each until the next commit, and after a failure for ever.
#[test]
fn a_publisher_all_of_whose_publishes_are_refused_leaves_nothing() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    assert_eq!(lasting.publishes(id, 1, b"one"), [Heard::Acked(1, 1)]);
    let is_waiting = |lasting: &Lasting| lasting.hub.topics.log(0).lock().has_waiting();
    for takes in [Takes::NoMessages, Takes::NoPublishes, Takes::Nothing] {
        lasting.committer.set_takes(&lasting.hub.topics, takes);
        for n in 2..12 {
            let refused = lasting.hub.connect(Dialect::Binary);
            lasting.hub.say(refused, &[hello(n, 1), open_as(1, 0, "a"), publish_on(1, 1, b"refused")]);
            let heard = lasting.hub.heard(refused);
            assert!(heard.contains(&Heard::Refused(1, Code::NotStored)), "{heard:?}");
            lasting.hub.shard.gone(lasting.hub.now, refused);
        }
        assert!(!is_waiting(&lasting), "{takes:?}");
    }
}

/// Nobody has stored what waits behind a commit that fails.
#[test]
fn publishers_that_wait_behind_a_commit_in_doubt_leave_nothing() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    lasting.hub.publish(id, 1, b"in doubt");
    assert!(lasting.take().is_some());
    let publish = |hub: &mut Hub, n| {
        let id = hub.connect(Dialect::Binary);
        hub.say(id, &[hello(n, 1), open_as(1, 0, "a"), publish_on(1, 1, b"behind")]);
        id
    };
    let waiting: Vec<_> = (2..12).map(|n| publish(&mut lasting.hub, n)).collect();
    lasting.committer.in_doubt(&lasting.hub.topics);
    lasting.hub.work();
    let refused = [Heard::Welcome, Heard::Opened, Heard::Refused(1, Code::NotStored)];
    for id in waiting {
        assert_eq!(lasting.hub.heard(id), refused);
        lasting.hub.shard.gone(lasting.hub.now, id);
    }
    assert!(!lasting.hub.topics.log(0).lock().windows.have_news());
    for n in 2..12 {
        let again = publish(&mut lasting.hub, n);
        assert_eq!(lasting.hub.heard(again), refused, "the second try is told the same");
    }
}

#[test]
fn a_window_that_a_commit_has_named_is_told_as_gone_whether_or_not_that_was_stored() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    lasting.hub.publish(id, 1, b"m");
    let body = lasting.take().unwrap();
    lasting.hub.shard.gone(lasting.hub.now, id);
    lasting.committer.not_stored(&lasting.hub.topics, lasting.next);
    let count = |lasting: &Lasting| lasting.hub.topics.log(0).lock().windows.count();
    assert_eq!(count(&lasting), 0);
    // If the disk has it after all, what comes next says that it went.
    lasting.hub.commits.push((lasting.next, body));
    lasting.next += 1;
    lasting.store();
    assert_eq!(count(&lasting.restart()), 0);
}

#[test]
fn a_window_that_has_nothing_to_store_is_not_told_with_how_all_stands() {
    let mut lasting = keeping();
    let id = lasting.client("a");
    assert_eq!(lasting.publishes(id, 1, b"one"), [Heard::Acked(1, 1)]);
    lasting.committer.set_takes(&lasting.hub.topics, Takes::NoMessages);
    let refused = lasting.hub.client(2);
    lasting.hub.open(refused, "a");
    lasting.hub.publish(refused, 1, b"two");
    assert_eq!(lasting.hub.heard(refused), [Heard::Refused(1, Code::NotStored)]);
    lasting.tell_anew();
    // Nothing would ever say that it went.
    lasting.hub.shard.gone(lasting.hub.now, refused);
    lasting.store();
    let lasting = lasting.restart();
    assert_eq!(lasting.hub.topics.log(0).lock().windows.count(), 1);
}

/// A row that a start cannot read keeps the hub from ever starting again.
#[test]
fn whatever_a_hub_has_taken_it_can_read_when_it_starts() {
    let largest = || {
        let text = |len| "k".repeat(len).into();
        let headers = Headers::of([("h".repeat(HEADER_NAME_BYTES_MAX), "v".repeat(3_000))]);
        Attributes { key: text(KEY_BYTES_MAX), headers, ttl_ms: NUMBER_MAX, remove: false }
    };
    let mut lasting = keeping();
    for (n, seq) in [1, SEQ_MAX - 1, SEQ_MAX, SEQ_MAX + 1, NUMBER_MAX].into_iter().enumerate() {
        for (way, void) in [false, true].into_iter().enumerate() {
            let id = lasting.hub.connect(Dialect::Binary);
            let producer = 10 + (n * 2 + way) as u8;
            let open = Open { lowest: Seq(seq), handle: Handle(1), topic: "a".into(), ..Open::default() };
            let publish = Publish {
                handle: Handle(1),
                seq: Seq(seq),
                lowest: Seq(seq),
                void,
                maybe_duplicate: true,
                payload: b"m"[..].into(),
                attributes: if void { Attributes::default() } else { largest() },
                ..Publish::default()
            };
            let hello = Hello {
                producer: ProducerId([producer; 16]),
                incarnation: Incarnation(NUMBER_MAX),
                ..Hello::default()
            };
            lasting.hub.say(
                id,
                &[ClientFrame::Hello(hello), ClientFrame::Open(open), ClientFrame::Publish(publish)],
            );
            lasting.store();
            lasting.hub.sockets.written.clear();
        }
    }
    lasting.tell_anew();
    let reader = lasting.hub.client(2);
    assert_eq!(lasting.hub.history(reader, "a", Start::Earliest).len(), 3);
    let mut lasting = lasting.restart();
    let reader = lasting.hub.client(2);
    assert_eq!(lasting.hub.history(reader, "a", Start::Earliest).len(), 3);
}
