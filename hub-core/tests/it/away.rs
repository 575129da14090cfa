//! Reads of durable history that memory has let go of.

use std::ops::RangeInclusive;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tidewire_hub_core::clock::NEVER;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::ledger::{AccountKey, Kind};
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::block::{Block, blocks_of_page};
use tidewire_protocol::client_frame::{ClientFrame, History, Subscribe};
use tidewire_protocol::code::{Code, GapReason, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::Request;
use tidewire_protocol::position::{Position, Start};

use crate::attributes::lasting_for;
use crate::durable::Lasting;
use crate::rig::*;

/// A hub with so many messages in each of these topics, of which all are on the disk only.
pub fn with_all_away(limits: Limits, topics: &[&str], count: u64) -> Lasting {
    with_rules(limits, keep_all(), topics, count)
}

fn with_rules(limits: Limits, rules: Vec<TopicRule>, topics: &[&str], count: u64) -> Lasting {
    let mut lasting = Lasting::new(limits, rules);
    let writer = lasting.hub.client(1);
    for (handle, topic) in (1..).zip(topics) {
        lasting.hub.say(writer, &[open_as(handle, 0, topic)]);
    }
    for seq in 1..=count {
        for (handle, topic) in (1..).zip(topics) {
            lasting.hub.say(writer, &[publish_on(handle, seq, format!("{topic} {seq}").as_bytes())]);
        }
    }
    lasting.store();
    let_go(&lasting);
    lasting
}

/// Memory lets go of all that durable topics hold.
pub fn let_go(lasting: &Lasting) {
    for topic in lasting.hub.topics.stored_topics(0).into_values().filter_map(|topic| topic.upgrade()) {
        while topic.tail.away_bounds(lasting.hub.now).1 < topic.tail.bounds(lasting.hub.now).1 {
            topic.tail.shrink(NEVER);
        }
    }
}

/// Messages come while the disk takes its time.
fn publish_meanwhile(lasting: &mut Lasting, writer: ConnectionId, seqs: RangeInclusive<u64>) {
    for seq in seqs {
        lasting.hub.say_without_disk(writer, &[publish_on(1, seq, format!("a.b {seq}").as_bytes())]);
    }
    while let Some(body) = lasting.take() {
        lasting.land(body);
    }
    lasting.hub.work_without_disk();
}

/// The last ten messages of `a.b` are kept, all are away, and whenever something is read from the disk another comes meanwhile.
/// How often that is until `is_told` says so of what a reader hears.
#[track_caller]
fn at_the_edge(ask: &ClientFrame<'_>, is_told: impl Fn(&[Heard]) -> bool) -> (u64, Vec<Heard>) {
    let keep = Retention { count: Some(10), ..ALL };
    let limits = limits(|it| it.reading_bytes_max = 1);
    let mut lasting = with_rules(limits, vec![rule(">", keep)], &["a.b"], 10);
    let (writer, reader, other) = (lasting.hub.client(7), lasting.hub.client(2), lasting.hub.client(3));
    lasting.hub.say(writer, &[open_as(1, 0, "a.b")]);
    lasting.hub.say_without_disk(reader, std::slice::from_ref(ask));
    let (mut heard, mut times) = (Vec::new(), 0);
    while !is_told(&heard) && times < 20 {
        times += 1;
        publish_meanwhile(&mut lasting, writer, times..=times);
        assert!(lasting.hub.fetch_one());
        lasting.hub.work_without_disk();
        heard.extend(lasting.hub.heard(reader));
    }
    lasting.hub.work();
    lasting.hub.heard(reader);
    lasting.hub.say(other, &[history("a.*")]);
    assert_eq!(pages(&lasting.hub.heard(other)), [10], "others read on");
    (times, heard)
}

fn history(name: &str) -> ClientFrame<'_> {
    history_from(name, Start::Earliest)
}

fn history_from(name: &str, from: Start) -> ClientFrame<'_> {
    ClientFrame::History(History { request: Request(4), name: name.into(), from, ..History::default() })
}

/// How many messages each page has that was told.
fn pages(heard: &[Heard]) -> Vec<usize> {
    let len = |heard: &Heard| if let Heard::Page(messages) = heard { Some(messages.len()) } else { None };
    heard.iter().filter_map(len).collect()
}

#[test]
fn a_read_that_waited_for_the_disk_goes_before_those_that_wait_for_it() {
    let mut lasting = with_all_away(limits(|it| it.reading_bytes_max = 1), &["a.b", "a.c"], 10);
    let (reader, other) = (lasting.hub.client(2), lasting.hub.client(3));
    lasting.hub.say(reader, &[history("a.*"), history("a.*"), history("a.*")]);
    assert_eq!(pages(&lasting.hub.heard(reader)), [20, 20, 20]);
    lasting.hub.say(other, &[history("a.*")]);
    assert_eq!(pages(&lasting.hub.heard(other)), [20]);
}

#[test]
fn who_is_held_back_goes_on_when_the_one_before_has_gone() {
    let mut lasting = with_all_away(limits(|it| it.reading_bytes_max = 1), &["a.b"], 10);
    let (leaves, stays) = (lasting.hub.client(2), lasting.hub.client(3));
    let is_woken = Arc::new(AtomicBool::new(false));
    let woken = Arc::clone(&is_woken);
    lasting.hub.topics.reads().on_work(Box::new(move || woken.store(true, Ordering::Relaxed)));
    for id in [leaves, stays] {
        lasting.hub.say_without_disk(id, &[history("a.*")]);
    }
    lasting.hub.shard.gone(lasting.hub.now, leaves);
    is_woken.store(false, Ordering::Relaxed);
    assert!(lasting.hub.topics.reads().next_fetch().is_none(), "nobody waits for it");
    assert!(is_woken.load(Ordering::Relaxed), "another waits for its turn");
    lasting.hub.work();
    assert_eq!(pages(&lasting.hub.heard(stays)), [10]);
}

#[test]
fn a_page_whose_oldest_messages_go_while_it_is_read_has_the_others() {
    let is_page = |heard: &[Heard]| !pages(heard).is_empty();
    for (name, from) in [
        ("a.b", Start::Earliest),
        ("a.b", Start::Last(10)),
        ("a.b", after(0)),
        ("a.b", Start::Before { last: 10, positions: vec![] }),
        ("a.*", Start::Earliest),
        ("a.*", Start::Before { last: 10, positions: vec![] }),
    ] {
        let (times, heard) = at_the_edge(&history_from(name, from.clone()), is_page);
        assert_eq!((times, pages(&heard)), (1, vec![9]), "{name} from {from:?}");
    }
}

#[test]
fn who_reads_back_goes_on_below_what_expired_while_it_was_read() {
    for name in ["a.b", "a.*"] {
        let mut lasting = Lasting::new(Limits::default(), keep_all());
        let (writer, reader) = (lasting.client("a.b"), lasting.hub.client(2));
        // The newest five expire.
        (1..=15).for_each(|seq| lasting.hub.say(writer, &[lasting_for(seq, if seq > 10 { 10 } else { 0 })]));
        lasting.store();
        let_go(&lasting);
        let (mut positions, mut read) = (Vec::new(), Vec::new());
        for _ in 0..10 {
            let from = Start::Before { last: 5, positions: std::mem::take(&mut positions) };
            lasting.hub.say_without_disk(reader, &[history_from(name, from)]);
            lasting.hub.now = lasting.hub.now.plus(10);
            lasting.hub.work();
            let page = lasting.hub.heard_as(
                reader,
                |code| panic!("closed with {code}"),
                |frame| match frame {
                    HubFrame::Page(page) => {
                        assert_eq!(page.gap, None);
                        let records = blocks_of_page(&page.blocks).flat_map(|block| {
                            block.unwrap().messages().map(|it| it.unwrap().offset.0).collect::<Vec<_>>()
                        });
                        (page.after.clone(), page.more, records.collect::<Vec<_>>())
                    }
                    other => panic!("{other:?}"),
                },
            );
            let [(after, more, offsets)] = &page[..] else { panic!("{page:?}") };
            read.extend(offsets.iter().copied());
            positions =
                after.iter().map(|place| Position { offset: place.offset.next(), ..*place }).collect();
            if !more {
                break;
            }
        }
        read.sort_unstable();
        assert!(read.iter().copied().eq(1..=10), "{name}: {read:?}");
    }
}

#[test]
fn a_subscriber_whose_oldest_messages_go_while_they_are_read_gets_the_others() {
    for name in ["a.b", "a.*"] {
        let subscribe = Subscribe {
            request: Request(9),
            name: name.into(),
            from: Start::Earliest,
            when_slow: WhenSlow::CatchUp,
        };
        let is_heard = |heard: &[Heard]| !messages(heard).is_empty();
        let (times, heard) = at_the_edge(&ClientFrame::Subscribe(subscribe), is_heard);
        assert_eq!(times, 1, "{heard:?}");
        assert_eq!(messages(&heard).first().map(|told| told.offset), Some(2), "{name}: {heard:?}");
        let gap = Heard::Missing(1, 1, if name == "a.b" { 1 } else { 0 }, GapReason::Retention);
        assert!(heard.contains(&gap), "{name}: {heard:?}");
    }
}

#[test]
fn what_goes_while_a_page_is_read_is_told_to_who_named_a_place() {
    for (from, told) in [(after(0), Some((1, 1))), (Start::Earliest, None)] {
        let keep = Retention { count: Some(10), ..ALL };
        let mut lasting = with_rules(Limits::default(), vec![rule(">", keep)], &["a.b"], 10);
        let (writer, reader) = (lasting.hub.client(7), lasting.hub.client(2));
        lasting.hub.say(writer, &[open_as(1, 0, "a.b")]);
        lasting.hub.say_without_disk(reader, &[history_from("a.b", from)]);
        publish_meanwhile(&mut lasting, writer, 1..=1);
        lasting.hub.work();
        let close = |code| panic!("closed with {code}");
        let gaps = lasting.hub.heard_as(reader, close, |frame| match frame {
            HubFrame::Page(page) => page.gap.map(|gap| (gap.from.0, gap.to.0)),
            other => panic!("{other:?}"),
        });
        assert_eq!(gaps, [told]);
    }
}

#[test]
fn nothing_is_gone_that_the_disk_could_not_read_for_a_while() {
    for name in ["a.b", "a.*"] {
        let mut lasting = with_all_away(Limits::default(), &["a.b", "a.c"], 10);
        let (reader, asks) = (lasting.hub.client(2), lasting.hub.client(3));
        let count = if name == "a.*" { 20 } else { 10 };
        lasting.hub.disk_fails = true;
        lasting.hub.subscribe(reader, name, Start::Earliest, WhenSlow::CatchUp);
        lasting.hub.say(asks, &[history(name)]);
        assert_eq!(lasting.hub.heard(asks), [], "it is tried again");
        lasting.hub.wait(5_000);
        assert_eq!(lasting.hub.heard(asks), [Heard::Failed(Code::Overloaded)]);
        let heard = lasting.hub.heard(reader);
        assert!(matches!(heard[..], [Heard::Subscribed(_, 0, None)]), "{heard:?}");
        lasting.hub.disk_fails = false;
        lasting.hub.wait(5_000);
        let heard = lasting.hub.heard(reader);
        assert_eq!((messages(&heard).len(), but_messages(&heard).len()), (count, 0), "{name}: {heard:?}");
        lasting.hub.say(asks, &[history(name)]);
        assert_eq!(pages(&lasting.hub.heard(asks)), [count]);
        assert_eq!(lasting.hub.held(Kind::Reading), 0);
    }
}

#[test]
fn others_read_on_while_a_disk_cannot_be_read_for_one() {
    let mut lasting = with_all_away(limits(|it| it.reading_bytes_max = 1), &["a.b"], 10);
    let [waits, leaves, reads] = [2, 3, 4].map(|producer| lasting.hub.client(producer));
    lasting.hub.disk_fails = true;
    lasting.hub.subscribe(waits, "a.*", Start::Earliest, WhenSlow::CatchUp);
    lasting.hub.say(leaves, &[history("a.*")]);
    lasting.hub.shard.gone(lasting.hub.now, leaves);
    lasting.hub.say(reads, &[history("b.*")]);
    assert_eq!(pages(&lasting.hub.heard(reads)), [0]);
}

#[test]
fn all_that_the_disk_lacks_of_a_topic_is_one_gap() {
    for name in ["a.b", "a.*"] {
        let mut lasting = with_all_away(Limits::default(), &["a.b"], 10);
        let writer = lasting.hub.client(7);
        lasting.hub.say(writer, &[open_as(1, 0, "a.b")]);
        lasting.hub.heard(writer);
        for seq in 1..=20 {
            lasting.publishes(writer, seq, b"later");
        }
        let_go(&lasting);
        let reader = lasting.hub.client(2);
        // The first commit with messages has ten of them, the others one each.
        let lacking = lasting.hub.commits.len() - 18..lasting.hub.commits.len() - 6;
        lasting.hub.commits.drain(lacking);
        lasting.hub.subscribe(reader, name, Start::Earliest, WhenSlow::CatchUp);
        let heard = lasting.hub.heard(reader);
        let after = if name == "a.b" { 24 } else { 12 };
        let gap = Heard::Missing(13, 24, after, GapReason::Retention);
        let told: Vec<_> = but_messages(&heard);
        assert_eq!(told[1..], [&gap], "{name}: {heard:?}");
        let offsets: Vec<_> = messages(&heard).iter().map(|told| told.offset).collect();
        assert_eq!(offsets, (1..=12).chain(25..=30).collect::<Vec<_>>(), "{name}");
    }
}

/// A hub whose disk is read for three messages in a turn at most, and in every third turn for none.
fn with_short_turns() -> Lasting {
    let mut lasting = with_all_away(Limits::default(), &["a.b", "a.c"], 10);
    lasting.hub.disk_turn = Some(3);
    lasting
}

#[test]
fn a_page_has_what_one_turn_of_the_disk_brings_and_the_next_goes_on() {
    for (name, count) in [("a.b", 10), ("a.*", 20)] {
        let mut lasting = with_short_turns();
        let reader = lasting.hub.client(2);
        let (mut from, mut offsets, mut read) = (Start::Earliest, Vec::<u64>::new(), Vec::new());
        let mut goes_on = true;
        while goes_on {
            lasting.hub.say(reader, &[history_from(name, from.clone())]);
            let close = |code| panic!("closed with {code}");
            let pages = lasting.hub.heard_as(reader, close, |frame| match frame {
                HubFrame::Page(page) => {
                    let told = |block: Block<'_>| block.messages().flatten().map(|it| it.offset.0).collect();
                    let told: Vec<Vec<u64>> = blocks_of_page(&page.blocks).flatten().map(told).collect();
                    (told.concat(), page.more, page.upto.clone())
                }
                other => panic!("{other:?}"),
            });
            let [(told, more, upto)] = &pages[..] else { panic!("{pages:?}") };
            (goes_on, from) = (*more, Start::After(upto.clone()));
            read.push(told.len());
            offsets.extend(told);
            assert!(read.len() <= count, "{read:?}");
        }
        assert_eq!(offsets.len(), count, "{name}: {read:?}");
        assert!(offsets.is_sorted(), "{name}: {offsets:?}");
        assert!(read[..read.len() - 1].iter().all(|read| (1..=3).contains(read)), "{name}: {read:?}");
    }
}

#[test]
fn what_ends_below_a_place_comes_whole_after_some_turns_and_a_subscriber_gets_all() {
    for (name, count) in [("a.b", 10), ("a.*", 20)] {
        let mut lasting = with_short_turns();
        let (reader, subscriber) = (lasting.hub.client(2), lasting.hub.client(3));
        let below = Start::Before { last: 100, positions: vec![] };
        lasting.hub.say(reader, &[history_from(name, below)]);
        assert_eq!(pages(&lasting.hub.heard(reader)), [count], "{name}");
        lasting.hub.subscribe(subscriber, name, Start::Earliest, WhenSlow::CatchUp);
        let heard = lasting.hub.heard(subscriber);
        assert_eq!((messages(&heard).len(), but_messages(&heard).len()), (count, 1), "{name}: {heard:?}");
        assert_eq!(lasting.hub.held(Kind::Reading), 0);
    }
}

#[test]
fn who_asks_for_much_of_the_disk_waits_behind_others_for_his_next_turn() {
    let mut lasting = with_short_turns();
    lasting.hub.disk_turn = Some(1);
    let greedy = lasting.hub.client(2);
    let other = lasting.hub.shard.accept(lasting.hub.now, Dialect::Binary, AccountKey(2));
    lasting.hub.say(other, &[hello(3, 1)]);
    lasting.hub.heard(other);
    let below = Start::Before { last: 100, positions: vec![] };
    lasting.hub.say_without_disk(greedy, &[history_from("a.b", below)]);
    lasting.hub.say_without_disk(other, &[history("a.c")]);
    let mut turns = 0;
    while pages(&lasting.hub.heard(other)).is_empty() {
        assert!(lasting.hub.fetch_one());
        lasting.hub.work_without_disk();
        turns += 1;
    }
    assert!(turns <= 4, "after {turns} turns");
    assert_eq!(pages(&lasting.hub.heard(greedy)), [0; 0]);
    lasting.hub.work();
    assert_eq!(pages(&lasting.hub.heard(greedy)), [10]);
}
