//! A pattern over two logs: pages say what is missing in each, and are cut in the right one; the last are so many in all.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::code::{GapReason, WhenSlow};
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Epoch, Offset, Request};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::pages::ask;
use crate::rig::{ALL, Hub, limits, messages, open_as, publish_on, rule, websocket_message};

const EPOCHS: [Epoch; 2] = [Epoch(7), Epoch(8)];

fn rules(retention: Retention) -> Vec<TopicRule> {
    vec![rule("a.0", retention), TopicRule { log: 1, ..rule("a.1", retention) }]
}

/// `count` messages in each log.
fn publish(hub: &mut Hub, count: u64, payload: &[u8]) {
    let writer = hub.client(1);
    hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
    for seq in 1..=count {
        hub.say(writer, &[publish_on(1, seq, payload), publish_on(2, seq, payload)]);
    }
}

/// What somebody hears who reads page by page until there is no more.
fn read_pages(hub: &mut Hub, name: &str, from: Start) -> (Vec<Gap>, Vec<(u64, u64)>) {
    let reader = hub.client(2);
    let (mut from, mut gaps, mut seen) = (from, Vec::new(), Vec::new());
    for _ in 0..100 {
        let question = History { request: Request(4), name: name.into(), from, ..History::default() };
        hub.say(reader, &[ClientFrame::History(question)]);
        let written = hub.sockets.written.remove(&reader).unwrap_or_default();
        let Some((_, mut payload)) = websocket_message(&mut &written[..]) else { panic!("no answer") };
        let frame = HubFrame::take(&mut payload);
        let Ok(Some(HubFrame::Page(page))) = frame else { panic!("{frame:?} and no page") };
        gaps.extend(page.gap);
        for block in blocks_of_page(&page.blocks).flatten() {
            seen.extend(block.messages().flatten().map(|message| (block.log, message.offset.0)));
        }
        if !page.more {
            return (gaps, seen);
        }
        from = Start::After(page.upto);
    }
    panic!("there is always more");
}

#[track_caller]
fn check_gaps(asked: &[Position], reason: GapReason) {
    let mut hub = Hub::with_logs(Limits::default(), rules(Retention { count: Some(2), ..ALL }), &EPOCHS);
    publish(&mut hub, 9, b"some");
    let (gaps, seen) = read_pages(&mut hub, "a.*", Start::After(asked.to_vec()));
    assert!(gaps.iter().all(|gap| (gap.to, gap.reason) == (Offset(7), reason)), "{asked:?}: {gaps:?}");
    let told: BTreeSet<_> = gaps.iter().map(|gap| gap.epoch).collect();
    assert_eq!(told, EPOCHS.into(), "{asked:?}");
    assert_eq!(seen, [(0, 8), (0, 9), (1, 8), (1, 9)], "{asked:?}");
}

#[test]
fn pages_tell_what_is_missing_in_every_log() {
    let at = |epoch, offset| Position { epoch: Epoch(epoch), offset: Offset(offset) };
    check_gaps(&[at(7, 1), at(8, 3)], GapReason::Retention);
    check_gaps(&[at(3, 1), at(4, 3)], GapReason::EpochChanged);
    check_gaps(&[at(3, 1)], GapReason::EpochChanged);
}

#[test]
fn json_pages_are_cut_in_the_log_where_they_are_full() {
    let limits = limits(|limits| limits.page_bytes_max = 4_000);
    let mut hub = Hub::with_logs(limits, rules(ALL), &EPOCHS);
    publish(&mut hub, 20, &[1; 100]);
    let reader = hub.json_client();
    let (mut from, mut seen) = (r#""earliest""#.to_owned(), 0);
    for _ in 0..100 {
        let page = ask(&mut hub, reader, "a.*", &from);
        seen += page.offsets.len();
        if !page.more {
            assert_eq!(seen, 40);
            return;
        }
        from = page.next;
    }
    panic!("there is always more");
}

/// So many messages in each of the logs, one a second from the `first` second on.
fn publish_at(hub: &mut Hub, first: [u64; 2], count: u64) {
    let (writer, begun) = (hub.client(1), hub.now);
    hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
    let mut due: Vec<_> =
        (0..count).flat_map(|n| [(first[0] + n, 1, n + 1), (first[1] + n, 2, n + 1)]).collect();
    due.sort_unstable();
    for (second, handle, seq) in due {
        hub.now = begun.plus(1_000 * second);
        hub.say(writer, &[publish_on(handle, seq, b"some")]);
    }
}

/// What of each log the last so many of both are, by page and by subscription.
#[track_caller]
fn check_last(hub: &mut Hub, count: u64, expected: &[(u64, u64)]) {
    let (gaps, seen) = read_pages(hub, "a.*", Start::Last(count));
    assert_eq!((&gaps[..], &seen[..]), (&[][..], expected), "the last {count}");
    let reader = hub.client(3);
    hub.subscribe(reader, "a.*", Start::Last(count), WhenSlow::CatchUp);
    assert_eq!(messages(&hub.heard(reader)).len(), expected.len(), "the last {count}");
    hub.shard.gone(hub.now, reader);
}

fn of_second(offsets: RangeInclusive<u64>) -> Vec<(u64, u64)> {
    offsets.map(|offset| (1, offset)).collect()
}

#[test]
fn the_last_of_a_pattern_are_so_many_in_all_and_those_with_the_latest_times() {
    let mut hub = Hub::with_logs(Limits::default(), rules(ALL), &EPOCHS);
    publish_at(&mut hub, [0, 7], 10);
    check_last(&mut hub, 3, &of_second(8..=10));
    check_last(&mut hub, 9, &[&[(0, 10)], &of_second(3..=10)[..]].concat());
    // Two come in the same second.
    check_last(&mut hub, 10, &[&[(0, 9), (0, 10)], &of_second(3..=10)[..]].concat());
    let all: Vec<_> = (0..2).flat_map(|log| (1..=10).map(move |offset| (log, offset))).collect();
    check_last(&mut hub, 20, &all);
    check_last(&mut hub, 21, &all);
}

#[test]
fn the_last_of_a_pattern_that_come_at_one_time_are_so_many_in_all() {
    let mut hub = Hub::with_logs(Limits::default(), rules(ALL), &EPOCHS);
    publish(&mut hub, 9, b"some");
    check_last(&mut hub, 1, &[(0, 9)]);
    check_last(
        &mut hub,
        11,
        &[&(1..=9).map(|it| (0, it)).collect::<Vec<_>>()[..], &[(1, 8), (1, 9)]].concat(),
    );
}

#[test]
fn the_last_of_a_pattern_are_all_of_one_log_where_the_other_has_none() {
    let mut hub = Hub::with_logs(Limits::default(), rules(ALL), &EPOCHS);
    let writer = hub.client(1);
    hub.say(writer, &[open_as(2, 0, "a.1")]);
    (1..=5).for_each(|seq| hub.say(writer, &[publish_on(2, seq, b"some")]));
    check_last(&mut hub, 4, &of_second(2..=5));
}

/// Where the messages of a name end, by the page of none of them.
fn ends(hub: &mut Hub, name: &str) -> Vec<(u64, u64)> {
    let reader = hub.client(4);
    let from = Start::Last(0);
    hub.say(
        reader,
        &[ClientFrame::History(History {
            request: Request(4),
            name: name.into(),
            from,
            ..History::default()
        })],
    );
    let written = hub.sockets.written.remove(&reader).unwrap_or_default();
    let Some((_, mut payload)) = websocket_message(&mut &written[..]) else { panic!("no answer") };
    let Ok(Some(HubFrame::Page(page))) = HubFrame::take(&mut payload) else { panic!("no page") };
    assert!(page.blocks.is_empty() && !page.more && page.gap.is_none(), "{page:?}");
    assert_eq!(page.after, page.upto);
    page.upto.iter().map(|place| (place.epoch.0, place.offset.0)).collect()
}

#[test]
fn where_messages_end_is_told_of_each_log() {
    let bare = TopicRule { log: 1, ..rule("b.bare", Retention { none: true, ..ALL }) };
    let mut hub = Hub::with_logs(Limits::default(), [rules(ALL), vec![bare]].concat(), &EPOCHS);
    assert_eq!(ends(&mut hub, "a.*"), [(7, 0), (8, 0)]);
    publish(&mut hub, 3, b"some");
    let writer = hub.client(5);
    hub.say(writer, &[open_as(1, 0, "b.other"), open_as(2, 0, "b.bare")]);
    // What others have comes behind, and is none of theirs.
    (1..=4).for_each(|seq| hub.say(writer, &[publish_on(1, seq, b"some"), publish_on(2, seq, b"some")]));
    assert_eq!(ends(&mut hub, "a.*"), [(7, 3), (8, 3)]);
    assert_eq!(ends(&mut hub, "a.1"), [(8, 3)]);
    assert_eq!(ends(&mut hub, "b.*"), [(7, 7), (8, 0)]);
    assert_eq!((ends(&mut hub, "b.bare"), ends(&mut hub, "b.none")), (vec![(8, 0)], vec![(7, 0)]));
}
