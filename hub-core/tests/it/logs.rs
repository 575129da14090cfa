//! A pattern over two logs: pages say what is missing in each, and are cut in the right one.

use std::collections::BTreeSet;

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::{Retention, TopicRule};
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::code::GapReason;
use tidewire_protocol::hub_frame::HubFrame;
use tidewire_protocol::number::{Epoch, Offset, Request};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::pages::ask;
use crate::rig::{ALL, Hub, limits, open_as, publish_on, rule, websocket_message};

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
        let question = History { request: Request(4), name: name.into(), from, bytes_max: 0 };
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
