//! Pages that end below a place: the newest messages there, as many as were asked for and fit, and what is missing.

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::code::{Code, GapReason, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Page};
use tidewire_protocol::number::{Epoch, NUMBER_MAX, Offset, Request};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::pages::ask;
use crate::rig::*;

fn at(offset: u64) -> Position {
    Position { epoch: EPOCH, offset: Offset(offset) }
}

fn below(last: u64, positions: &[Position]) -> Start {
    Start::Before { last, positions: positions.to_vec() }
}

/// A page, and the offsets on it, log by log.
fn page(
    hub: &mut Hub,
    id: ConnectionId,
    name: &str,
    from: Start,
    bytes_max: u64,
) -> (Page<'static>, Vec<(u64, u64)>) {
    let question = History { request: Request(4), name: name.into(), from, bytes_max, ..History::default() };
    hub.say(id, &[ClientFrame::History(question)]);
    let written = hub.sockets.written.remove(&id).unwrap_or_default();
    let (_, mut payload) = websocket_message(&mut &written[..]).expect("an answer");
    let frame = HubFrame::take(&mut payload);
    let Ok(Some(HubFrame::Page(page))) = frame else { panic!("{frame:?} and no page") };
    let (mut offsets, mut seen) = (Vec::new(), page.after.clone());
    for block in blocks_of_page(&page.blocks).map(Result::unwrap) {
        let seen = &mut seen[block.log as usize].offset;
        assert!(block.prev <= *seen, "a hole before {}", block.prev);
        *seen = block.messages().map(Result::unwrap).last().unwrap().offset.max(*seen);
        offsets.extend(block.messages().map(Result::unwrap).map(|message| (block.log, message.offset.0)));
    }
    // Blocks begin where they do.
    offsets.retain(|(log, offset)| *offset > page.after[*log as usize].offset.0);
    (Page { blocks: page.blocks.into_owned().into(), ..page }, offsets)
}

/// Where one goes on who reads back.
fn further(page: &Page<'_>) -> Vec<Position> {
    page.after.iter().map(|place| Position { offset: place.offset.next(), ..*place }).collect()
}

/// A hub with some topics `a.0`, `a.1`, ... in which messages of all lengths were published in turn.
fn filled(retention: Retention, lens: &[usize]) -> Hub {
    let limits = limits(|limits| limits.message_bytes_max = 300_000);
    let mut hub = Hub::new(limits, vec![rule("a.bare", NONE), rule(">", retention)]);
    let writer = hub.client(1);
    let names = ["a.0", "a.1", "b", "a.bare"];
    for (handle, name) in (1..).zip(names) {
        hub.say(writer, &[open_as(handle, 0, name)]);
    }
    for (index, len) in lens.iter().enumerate() {
        let (handle, seq) = (index % names.len() + 1, index / names.len() + 1);
        hub.say(writer, &[publish_on(handle as u64, seq as u64, &vec![b'x'; *len])]);
    }
    hub.heard(writer);
    hub
}

/// Lengths of messages: most are short, and some longer than a page.
fn lens(count: usize) -> Vec<usize> {
    (0..count).map(|n| [1, 20, 300, 5_000, 9, 70_000, 2][n * n % 13 % 7]).collect()
}

/// All that can be asked for of a name.
fn all(hub: &mut Hub, name: &str) -> Vec<u64> {
    let (reader, mut from, mut all) = (hub.client(9), Start::Earliest, Vec::new());
    loop {
        let (page, offsets) = page(hub, reader, name, from, 0);
        // Who goes on with a pattern also gets what a topic has that keeps nothing: one in four here.
        all.extend(offsets.into_iter().map(|(_, offset)| offset).filter(|offset| offset % 4 > 0));
        if !page.more {
            return all;
        }
        from = Start::After(page.upto);
    }
}

/// Reads back from a place: every page ends where the one before began, and together they have all that is kept.
fn read_back(hub: &mut Hub, name: &str, last: u64, bytes_max: u64, before: u64) {
    let expected: Vec<u64> = all(hub, name).into_iter().filter(|offset| *offset < before).collect();
    let (reader, mut places, mut left) = (hub.client(2), vec![at(before)], &expected[..]);
    for _ in 0..=expected.len() {
        let (page, offsets) = page(hub, reader, name, below(last, &places), bytes_max);
        let offsets: Vec<u64> = offsets.into_iter().map(|(_, offset)| offset).collect();
        assert!(left.ends_with(&offsets), "{name} below {places:?}: {offsets:?} of {left:?}");
        assert!(offsets.len() as u64 <= last && (!offsets.is_empty() || left.is_empty()));
        left = &left[..left.len() - offsets.len()];
        assert_eq!(page.more, !left.is_empty(), "{name}, {} left", left.len());
        assert_eq!(page.gap, None);
        if let Some(oldest) = offsets.first() {
            assert!(page.after[0].offset.0 < *oldest && page.upto[0].offset.0 >= offsets[offsets.len() - 1]);
        }
        assert!(page.upto[0].offset < places[0].offset);
        if !page.more {
            return;
        }
        places = further(&page);
    }
    panic!("there is always more");
}

#[test]
fn all_that_is_kept_is_read_back_page_by_page() {
    let mut hub = filled(ALL, &lens(120));
    for name in ["a.0", "b", "a.*", ">"] {
        for last in [1, 7, NUMBER_MAX] {
            for bytes_max in [1, 6_000, 0] {
                read_back(&mut hub, name, last, bytes_max, 90);
            }
        }
        read_back(&mut hub, name, NUMBER_MAX, 0, NUMBER_MAX);
    }
}

#[test]
fn pages_in_json_lack_the_oldest_where_they_are_full() {
    let mut hub = filled(ALL, &lens(200));
    let bytes_max = hub.topics.limits().page_bytes_max;
    for name in ["a.0", "b", ">"] {
        let mut left = all(&mut hub, name);
        let (reader, mut before) = (hub.json_client(), NUMBER_MAX);
        for turn in 0.. {
            let from = format!(
                r#"{{"before":{{"last":1000,"positions":[{{"epoch":"{EPOCH}","offset":{before}}}]}}}}"#
            );
            let mut page = ask(&mut hub, reader, name, &from);
            assert!(page.bytes <= bytes_max + 500 || page.offsets.len() == 1, "{} bytes", page.bytes);
            page.offsets.retain(|offset| *offset > page.after);
            assert!(left.ends_with(&page.offsets), "{name}: {page:?} of {left:?}");
            left.truncate(left.len() - page.offsets.len());
            assert_eq!(page.more, !left.is_empty());
            if !page.more {
                break;
            }
            assert!(turn < 300 && !page.offsets.is_empty());
            before = page.after + 1;
        }
        assert!(left.is_empty());
    }
}

#[track_caller]
fn check(
    hub: &mut Hub,
    name: &str,
    from: &Start,
    offsets: &[u64],
    more: bool,
    gap: Option<(u64, u64, GapReason)>,
) {
    let reader = hub.client(3);
    let (page, got) = page(hub, reader, name, from.clone(), 0);
    let got: Vec<u64> = got.into_iter().map(|(_, offset)| offset).collect();
    assert_eq!((&got[..], page.more), (offsets, more), "{name} {from:?}");
    let told = page.gap.map(|Gap { from, to, reason, .. }| (from.0, to.0, reason));
    assert_eq!(told, gap, "{name} {from:?}");
    assert_eq!(page.upto.len(), 1);
    // Whoever goes on behind it misses nothing, and hears of no gap that is none.
    let (behind, _) = self::page(hub, reader, name, Start::After(page.upto), 0);
    assert!(behind.gap.is_none_or(|gap| gap.reason == GapReason::Retention), "{behind:?}");
}

#[test]
fn places_mean_the_same_however_they_are_given() {
    // Of the topics b has 3, 7, 11, ..., and the one that keeps nothing has 4, 8, ...
    let mut hub = filled(ALL, &[5; 40]);
    let elsewhere = Position { epoch: Epoch(99), offset: Offset(20) };
    let new = Some((1, 0, GapReason::EpochChanged));
    for (name, two, three) in [("b", [15, 19], [31, 35, 39]), ("*", [15, 19], [31, 35, 39])] {
        check(&mut hub, name, &below(2, &[at(20)]), &two, true, None);
        check(&mut hub, name, &below(2, &[at(21), at(5)]), &two, true, None);
        check(&mut hub, name, &below(2, &[elsewhere, at(22)]), &two, true, None);
        check(&mut hub, name, &below(2, &[at(7)]), &[3], false, None);
        check(&mut hub, name, &below(1, &[at(7)]), &[3], false, None);
        check(&mut hub, name, &below(0, &[at(20)]), &[], true, None);
        check(&mut hub, name, &below(5, &[at(3)]), &[], false, None);
        check(&mut hub, name, &below(5, &[at(0)]), &[], false, None);
        check(&mut hub, name, &below(3, &[at(NUMBER_MAX)]), &three, true, None);
        check(&mut hub, name, &below(3, &[]), &three, true, None);
        check(&mut hub, name, &below(5, &[elsewhere]), &[], false, new);
    }
    check(&mut hub, "a.bare", &below(5, &[at(20)]), &[], false, None);
    check(&mut hub, "a.bare", &below(5, &[elsewhere]), &[], false, None);
    check(&mut hub, "none", &below(5, &[at(20)]), &[], false, None);
    check(&mut hub, "none.*", &below(5, &[at(20)]), &[], false, None);
    let reader = hub.client(4);
    hub.say(
        reader,
        &[ClientFrame::History(History {
            request: Request(4),
            name: "b".into(),
            from: below(5, &[at(1); 65]),
            ..History::default()
        })],
    );
    assert_eq!(hub.heard(reader), [Heard::Failed(Code::LimitReached)]);
}

#[test]
fn what_is_subscribed_to_has_no_end() {
    let mut hub = filled(ALL, &[5; 4]);
    let reader = hub.client(2);
    for name in ["b", "*"] {
        hub.subscribe(reader, name, below(5, &[at(3)]), WhenSlow::CatchUp);
        assert_eq!(hub.heard(reader), [Heard::Failed(Code::NotSupported)]);
    }
}

#[test]
fn what_is_gone_is_told_with_the_last_page_alone() {
    let retention = Retention { count: Some(4), ..ALL };
    let gone = |to| Some((1, to, GapReason::Retention));
    let mut hub = filled(retention, &[5; 40]);
    // Of b 27, 31, 35 and 39 are kept.
    check(&mut hub, "b", &below(2, &[at(39)]), &[31, 35], true, None);
    check(&mut hub, "b", &below(2, &[at(31)]), &[27], false, gone(23));
    check(&mut hub, "b", &below(1, &[at(31)]), &[27], false, gone(23));
    check(&mut hub, "b", &below(9, &[at(27)]), &[], false, gone(23));
    check(&mut hub, "b", &below(9, &[at(20)]), &[], false, gone(19));
    check(&mut hub, "*", &below(2, &[at(39)]), &[31, 35], true, None);
    check(&mut hub, "*", &below(9, &[at(35)]), &[27, 31], false, gone(23));
    check(&mut hub, "*", &below(9, &[at(20)]), &[], false, gone(19));
    // What comes while somebody reads back drops what he had still to read.
    let writer = hub.client(5);
    hub.say(writer, &[open_as(1, 0, "b")]);
    for seq in 1..=2 {
        hub.publish(writer, seq, b"new");
    }
    check(&mut hub, "b", &below(2, &[at(35)]), &[], false, gone(31));
    check(&mut hub, "*", &below(2, &[at(35)]), &[], false, gone(31));
}

#[test]
fn topics_of_a_pattern_lose_each_at_its_own_time() {
    let few = TopicRule { ..rule("a.1", Retention { count: Some(1), ..ALL }) };
    let mut hub = Hub::new(Limits::default(), vec![few, rule(">", ALL)]);
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
    for seq in 1..=10 {
        hub.say(writer, &[publish_on(1, seq, b"0"), publish_on(2, seq, b"1")]);
    }
    // 1, 3, ... 19 are kept, and 20; of 2, 4, ... 18 each page tells those that lie on it.
    let gone = |from, to| Some((from, to, GapReason::Retention));
    check(&mut hub, "a.*", &below(2, &[at(21)]), &[19, 20], true, gone(18, 18));
    check(&mut hub, "a.*", &below(3, &[at(19)]), &[13, 15, 17], true, gone(12, 18));
    check(&mut hub, "a.*", &below(9, &[at(6)]), &[1, 3, 5], false, gone(1, 5));
}

#[test]
fn several_logs_are_read_back_each_to_its_own_begin() {
    let epochs = [Epoch(7), Epoch(8)];
    let retention = Retention { count: Some(3), ..ALL };
    let rules = vec![rule("a.0", retention), TopicRule { log: 1, ..rule("a.1", retention) }];
    let mut hub = Hub::with_logs(Limits::default(), rules, &epochs);
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
    for seq in 1..=9 {
        hub.say(writer, &[publish_on(1, seq, b"some"), publish_on(2, seq, b"some")]);
    }
    let place = |epoch, offset| Position { epoch: Epoch(epoch), offset: Offset(offset) };
    for (places, reason, last) in [
        (vec![place(8, 10), place(7, 9)], GapReason::Retention),
        (vec![place(3, 4), place(4, 4)], GapReason::EpochChanged),
        (vec![place(3, 4)], GapReason::EpochChanged),
        (vec![place(7, 3), place(8, 3)], GapReason::Retention),
    ]
    .into_iter()
    .flat_map(|case| [(case.0.clone(), case.1, 1), (case.0.clone(), case.1, 2), (case.0, case.1, 5)])
    {
        let (reader, mut next, mut gaps, mut seen) = (hub.client(2), places.clone(), Vec::new(), Vec::new());
        for turn in 0.. {
            let (page, mut offsets) = page(&mut hub, reader, "a.*", below(last, &next), 0);
            assert!(turn < 20, "there is always more: {page:?}");
            assert!(offsets.len() as u64 <= last);
            gaps.extend(page.gap);
            offsets.append(&mut seen);
            seen = offsets;
            if !page.more {
                break;
            }
            next = further(&page);
        }
        seen.sort_unstable();
        let mut told: Vec<_> = gaps.iter().map(|gap| gap.epoch.0).collect();
        told.sort_unstable();
        told.dedup();
        assert_eq!(told, [7, 8], "{places:?}: {gaps:?}");
        assert!(gaps.iter().all(|gap| gap.reason == reason), "{places:?}: {gaps:?}");
        if places[0].offset == Offset(10) {
            assert_eq!(seen, [(0, 7), (0, 8), (1, 7), (1, 8), (1, 9)]);
        } else {
            assert_eq!(seen, []);
        }
    }
}

#[test]
fn several_logs_are_read_back_from_the_newest_of_both() {
    let rules = vec![rule("a.0", ALL), TopicRule { log: 1, ..rule("a.1", ALL) }];
    let mut hub = Hub::with_logs(Limits::default(), rules, &[Epoch(7), Epoch(8)]);
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
    // All of one log before all of the other, one a second.
    for (handle, seq) in [1, 2].into_iter().flat_map(|handle| (1..=5).map(move |seq| (handle, seq))) {
        hub.now = hub.now.plus(1_000);
        hub.say(writer, &[publish_on(handle, seq, b"some")]);
    }
    let (reader, mut next, mut seen) = (hub.client(2), Vec::new(), Vec::new());
    for _ in 0..4 {
        let (page, offsets) = page(&mut hub, reader, "a.*", below(3, &next), 0);
        next = further(&page);
        seen.push((offsets, page.more));
    }
    assert_eq!(seen[0], (vec![(1, 3), (1, 4), (1, 5)], true));
    assert_eq!(seen[1], (vec![(0, 5), (1, 1), (1, 2)], true));
    assert_eq!(seen[2], (vec![(0, 2), (0, 3), (0, 4)], true));
    assert_eq!(seen[3], (vec![(0, 1)], false));
}
