//! Pages of so many messages at most: no more are read than that, and the next page begins behind the last of them.

use std::collections::BTreeSet;

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::names::directory::TopicRule;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::block::blocks_of_page;
use tidewire_protocol::client_frame::{ClientFrame, History};
use tidewire_protocol::hub_frame::{HubFrame, Page};
use tidewire_protocol::number::{Epoch, Offset, Request};
use tidewire_protocol::position::{Position, Start};

use crate::attributes::lasting_for;
use crate::away::{let_go, with_all_away};
use crate::pages::ask_at_most;
use crate::rig::*;

/// A page of so many messages at most, with their offsets, log by log.
fn page(
    hub: &mut Hub,
    id: ConnectionId,
    name: &str,
    from: Start,
    messages_max: u64,
) -> (Page<'static>, Vec<(u64, u64)>) {
    let question =
        History { request: Request(4), name: name.into(), from, messages_max, ..History::default() };
    hub.say(id, &[ClientFrame::History(question)]);
    let written = hub.sockets.written.remove(&id).unwrap_or_default();
    let (_, mut payload) = websocket_message(&mut &written[..]).expect("an answer");
    let frame = HubFrame::take(&mut payload);
    let Ok(Some(HubFrame::Page(page))) = frame else { panic!("{frame:?} and no page") };
    let mut offsets = Vec::new();
    for block in blocks_of_page(&page.blocks).map(Result::unwrap) {
        let after = page.after[block.log as usize].offset;
        let all = block.messages().map(Result::unwrap).map(|message| message.offset);
        offsets.extend(all.filter(|offset| *offset > after).map(|offset| (block.log, offset.0)));
    }
    let page = Page { blocks: page.blocks.into_owned().into(), ..page };
    (page, offsets)
}

/// Reads page by page: each has as many messages as it may have but for the last one, which alone says that there are no more.
#[track_caller]
fn check(hub: &mut Hub, name: &str, messages_max: u64, expected: &[(u64, u64)]) {
    let reader = hub.client(200);
    let (mut from, mut read, mut pages) = (Start::Earliest, Vec::new(), 0);
    loop {
        let before = hub.fetched;
        let (page, offsets) = page(hub, reader, name, from, messages_max);
        let of = format!("{name}, {messages_max} a page: {offsets:?} behind {read:?}");
        assert!(hub.fetched - before <= messages_max as usize, "read {} for {of}", hub.fetched - before);
        for (log, (upto, after)) in page.upto.iter().zip(&page.after).enumerate() {
            let last = offsets.iter().rfind(|(of, _)| *of == log as u64).map(|(_, offset)| *offset);
            assert!(!page.more || upto.offset.0 == last.unwrap_or(after.offset.0), "{upto}, {of}");
        }
        read.extend(&offsets);
        pages += 1;
        assert_eq!(page.more, read.len() < expected.len(), "{of}");
        if !page.more {
            break;
        }
        assert_eq!(offsets.len() as u64, messages_max, "{of}");
        from = Start::After(page.upto);
    }
    assert_eq!((&read[..], pages), (expected, expected.len().div_ceil(messages_max as usize)), "{name}");
    hub.shard.gone(hub.now, reader);
}

fn each(log: u64, offsets: impl IntoIterator<Item = u64>) -> Vec<(u64, u64)> {
    offsets.into_iter().map(|offset| (log, offset)).collect()
}

#[test]
fn a_page_ends_behind_the_last_message_that_is_wanted() {
    for messages_max in 1..=21 {
        let mut lasting = with_all_away(Limits::default(), &["a.b", "a.c"], 10);
        for name in ["a.b", "a.c", "a.*"] {
            let offsets = (1..=20).filter(|offset| name == "a.*" || offset % 2 == u64::from(name == "a.b"));
            check(&mut lasting.hub, name, messages_max, &each(0, offsets));
        }
        let mut hub = Hub::new(limits(|it| it.block_bytes = 100), keep_all());
        let writer = hub.client(1);
        hub.say(writer, &[open_as(1, 0, "a.b"), open_as(2, 0, "a.c")]);
        for seq in 1..=10 {
            hub.say(writer, &[publish_on(1, seq, b"some text"), publish_on(2, seq, b"more of it")]);
        }
        for name in ["a.b", "a.c", "a.*"] {
            let offsets = (1..=20).filter(|offset| name == "a.*" || offset % 2 == u64::from(name == "a.b"));
            check(&mut hub, name, messages_max, &each(0, offsets));
        }
    }
}

#[test]
fn a_page_of_several_logs_has_so_many_of_all_of_them() {
    for messages_max in 1..=13 {
        let rules = vec![rule("a.0", ALL), TopicRule { log: 1, ..rule("a.1", ALL) }];
        let mut hub = Hub::with_logs(Limits::default(), rules, &[Epoch(7), Epoch(8)]);
        let writer = hub.client(1);
        hub.say(writer, &[open_as(1, 0, "a.0"), open_as(2, 0, "a.1")]);
        for seq in 1..=6 {
            hub.say(writer, &[publish_on(1, seq, b"some"), publish_on(2, seq, b"some")]);
        }
        check(&mut hub, "a.*", messages_max, &[each(0, 1..=6), each(1, 1..=6)].concat());
    }
}

#[test]
fn messages_that_have_expired_on_the_disk_take_no_place_on_a_page() {
    let mut lasting = with_all_away(Limits::default(), &["a.b"], 0);
    let writer = lasting.hub.client(2);
    lasting.hub.say(writer, &[open_as(1, 0, "a.b")]);
    for seq in 1..=9 {
        let ttl_ms = if seq % 3 == 0 { 0 } else { 1_000 };
        lasting.hub.say(writer, &[lasting_for(seq, ttl_ms)]);
    }
    lasting.store();
    let_go(&lasting);
    lasting.hub.wait(5_000);
    check(&mut lasting.hub, "a.b", 2, &each(0, [3, 6, 9]));
    check(&mut lasting.hub, "a.*", 2, &each(0, [3, 6, 9]));
}

#[test]
fn what_ends_below_a_place_has_the_newest_of_so_many() {
    let mut lasting = with_all_away(Limits::default(), &["a.b", "a.c"], 10);
    let reader = lasting.hub.client(2);
    for (name, expected) in [("a.b", [13, 15, 17]), ("a.*", [16, 17, 18])] {
        let from = Start::Before { last: 10, positions: vec![Position { epoch: EPOCH, offset: Offset(19) }] };
        let (page, offsets) = page(&mut lasting.hub, reader, name, from, 3);
        assert_eq!((offsets, page.more), (each(0, expected), true), "{name}");
    }
}

#[test]
fn a_page_in_json_has_no_more_either() {
    let mut lasting = with_all_away(Limits::default(), &["a.b"], 10);
    let reader = lasting.hub.json_client();
    for name in ["a.b", "a.*"] {
        let (mut from, mut seen) = (r#""earliest""#.to_owned(), BTreeSet::new());
        for end in [4, 8, 10] {
            let page = ask_at_most(&mut lasting.hub, reader, name, &from, 4);
            assert!(page.offsets.len() <= 4 && page.upto == end && page.more == (end < 10), "{page:?}");
            seen.extend(page.offsets);
            from = page.next;
        }
        assert!(seen.into_iter().eq(1..=10), "{name}");
    }
}
