//! Questions that read back from a place: the newest messages below it, of as many pages as it takes.

use std::borrow::Cow;

use tidewire_client_core::fault::Fault;
use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::{Event, Output};
use tidewire_protocol::block::{Block, Head, put_message, put_on_page};
use tidewire_protocol::code::{Code, GapReason};
use tidewire_protocol::feature;
use tidewire_protocol::hub_frame::{HubFrame, Page, Welcome};
use tidewire_protocol::number::{Epoch, Offset, Request};
use tidewire_protocol::position::{Gap, Start};

use tidewire_client_core::input::Input;

use crate::rig::{EPOCH, Rig, WELCOME, at, failed, records};

const KNOWS: Welcome<'static> = Welcome { features: feature::BEFORE, ..WELCOME };

fn online() -> Rig {
    Rig::online_with(KNOWS)
}

fn asked(before: u64, messages_max: u32) -> Rig {
    let mut rig = online();
    rig.history("t", Start::before(at(before)), messages_max);
    rig.sent.clear();
    rig
}

const fn gap(epoch: Epoch, from: u64, to: u64, reason: GapReason) -> Gap {
    Gap { epoch, from: Offset(from), to: Offset(to), reason }
}

/// Pages that say the messages in this order, whatever the order in which they came.
fn told(rig: &mut Rig) -> Vec<String> {
    let mut events = std::mem::take(&mut rig.events);
    events.retain(|event| event.starts_with("message") || event.starts_with("page"));
    events
}

#[test]
fn each_page_ends_where_the_one_before_began() {
    let mut rig = online();
    rig.history("t", Start::before(at(20)), 5);
    rig.expect_sent(&["history 1 t last 5 before 7:20"]);
    rig.page(1, 15, &[16, 18], 19, true, None);
    rig.expect_sent(&["history 2 t last 3 before 7:16"]);
    // It goes on where it was on another link, too.
    rig.reconnect_with(KNOWS);
    rig.expect_sent(&["hello ", "history 3 t last 3 before 7:16"]);
    rig.page(3, 9, &[10, 11, 15], 15, true, None);
    let messages = ["message 1 m16", "message 1 m18", "message 1 m10", "message 1 m11", "message 1 m15"];
    assert_eq!(told(&mut rig), [&messages[..], &["page 1 upto 7:19 more"]].concat());
    assert_eq!(rig.previous, at(10));
    rig.expect_sent(&[]);
}

#[test]
fn a_question_ends_where_nothing_older_is_kept_and_says_what_is_gone() {
    let mut rig = asked(20, 9);
    rig.page(1, 15, &[16], 19, true, None);
    rig.page(2, 4, &[5], 15, false, Some(gap(EPOCH, 1, 4, GapReason::Retention)));
    assert_eq!(told(&mut rig), ["message 1 m16", "message 1 m5", "page 1 upto 7:19 gap 1..4 retention"]);
    assert_eq!(rig.previous, at(5));
    // A page of a pattern may say what is missing in itself: what comes before that is the next question's.
    let mut rig = asked(20, 9);
    rig.page(1, 15, &[16], 19, true, Some(gap(EPOCH, 16, 18, GapReason::Retention)));
    assert_eq!(told(&mut rig), ["message 1 m16", "page 1 upto 7:19 gap 16..18 retention more"]);
    assert_eq!(rig.previous, at(16));
    // Nothing at all.
    let mut rig = asked(20, 9);
    rig.page(1, 0, &[], 19, false, None);
    assert_eq!(told(&mut rig), ["page 1 upto 7:19"]);
}

#[test]
fn a_log_that_is_new_has_nothing_before_the_place() {
    let mut rig = asked(20, 9);
    rig.page(1, 15, &[16], 19, true, None);
    let place = tidewire_protocol::position::Position { epoch: Epoch(8), offset: Offset(0) };
    let (request, new) = (Request(2), Some(gap(Epoch(8), 1, 0, GapReason::EpochChanged)));
    let page = Page { request, after: vec![place], upto: vec![place], gap: new, ..Page::default() };
    rig.say(HubFrame::Page(page));
    assert_eq!(told(&mut rig), ["message 1 m16", "page 1 upto 7:19 gap 1..0 epoch_changed"]);
}

#[test]
fn a_question_does_not_wait_for_a_hub_that_has_nothing_now() {
    let mut rig = asked(20, 9);
    rig.page(1, 19, &[], 19, true, None);
    assert_eq!(told(&mut rig), ["page 1 upto 7:19 more"]);
    assert_eq!(rig.previous, at(20));
}

#[test]
fn half_a_page_is_none() {
    let mut rig = asked(20, 3);
    rig.page(1, 15, &[16], 19, true, None);
    rig.page_of(2, 10, 11, &[12, 13], 13);
    rig.expect_asked(&["close 4001"]);
    rig.input(Input::Online);
    rig.sent.clear();
    rig.sign_in_with(KNOWS);
    rig.expect_sent(&["hello ", "history 3 t last 2 before 7:16"]);
    rig.page(3, 10, &[12, 13], 15, false, None);
    assert_eq!(told(&mut rig), ["message 1 m16", "message 1 m12", "message 1 m13", "page 1 upto 7:19"]);
}

#[test]
fn what_there_is_no_room_for_is_the_next_questions() {
    let mut rig = asked(20, 3);
    rig.page(1, 15, &[16], 19, true, None);
    rig.page(2, 10, &[11, 12, 13], 15, false, Some(gap(EPOCH, 1, 10, GapReason::Retention)));
    assert_eq!(told(&mut rig), ["message 1 m16", "page 1 upto 7:19 more"]);
    assert_eq!(rig.previous, at(16));
}

#[test]
fn messages_beside_the_page_are_dropped() {
    let mut rig = asked(20, 3);
    // A block comes whole, with what lies before the page.
    let (records, mut blocks) = (records(9, &[10, 12, 16], crate::rig::OWN_TAG, None), Vec::new());
    let block = Block { prev: Offset(9), records: &records, ..Block::default() };
    put_on_page(&block, &mut Vec::new(), &mut blocks);
    let (after, upto, blocks) = (at(12), at(19), Cow::Owned(blocks));
    rig.say(HubFrame::Page(Page { request: Request(1), after, upto, blocks, ..Page::default() }));
    assert_eq!(told(&mut rig), ["message 1 m16", "page 1 upto 7:19"]);
}

#[test]
fn an_answer_has_a_bound_in_bytes_and_lacks_the_oldest() {
    let mut rig = online();
    rig.history("t", Start::before(at(100)), u32::MAX);
    for request in 1..=9u64 {
        let (mut records, mut blocks, mut bytes) = (Vec::new(), Vec::new(), Vec::new());
        let offset = 100 - request;
        let head = Head { prev: Offset(offset - 1), offset: Offset(offset), ..Head::default() };
        put_message(&head, &vec![b'x'; 1 << 20], &mut records);
        let block = Block { prev: Offset(offset - 1), records: &records, ..Block::default() };
        put_on_page(&block, &mut Vec::new(), &mut blocks);
        let (request_, after, upto) = (Request(request), at(offset - 1), at(offset));
        let page =
            Page { request: request_, more: true, after, upto, blocks: blocks.into(), ..Page::default() };
        HubFrame::Page(page).put(&mut bytes);
        rig.client.handle(rig.now, Input::Received(&bytes));
        let outputs: Vec<_> = core::iter::from_fn(|| rig.client.poll_output()).collect();
        if request <= 8 {
            assert!(
                matches!(outputs[..], [Output::Event(Event::Message(_)), Output::Send(_)]),
                "{outputs:?}"
            );
        } else {
            let [Output::Event(Event::Page { previous, positions, more, .. })] = &outputs[..] else {
                panic!("{outputs:?}")
            };
            assert_eq!((positions, previous, more), (&at(99), &at(92), &true), "the ninth has no room");
        }
    }
}

#[test]
fn a_hub_that_does_not_know_such_questions_is_not_asked() {
    let mut rig = Rig::new(tidewire_client_core::options::Options::default());
    rig.history("t", Start::before(at(20)), 3);
    rig.history("u", Start::Earliest, 3);
    rig.sign_in_with(WELCOME);
    rig.expect_sent(&["hello ", "history 1 u earliest"]);
    assert!(rig.events.contains(&"refused 1 not_supported".to_owned()), "{:?}", rig.events);
    rig.forget();
    rig.history("t", Start::before(at(20)), 3);
    rig.expect_events(&["refused 3 not_supported"]);
    // Before a hub has said what it knows, it is not asked.
    let mut rig = asked(20, 3);
    rig.input(Input::LinkClosed { code: 1006 });
    rig.input(Input::Online);
    rig.input(Input::LinkOpened);
    rig.expect_sent(&["hello "]);
    rig.say(HubFrame::Welcome(KNOWS));
    rig.expect_sent(&["history 2 t last 3 before 7:20"]);
}

#[test]
fn a_refusal_ends_it_unless_a_retry_can_help() {
    let mut rig = asked(20, 3);
    rig.say(failed(1, Code::Overloaded, true));
    rig.wait();
    rig.expect_sent(&["history 2 t last 3 before 7:20"]);
    rig.say(failed(2, Code::Forbidden, false));
    rig.expect_events(&["refused 1 forbidden"]);
}

#[test]
fn what_is_subscribed_to_has_no_end() {
    let mut rig = online();
    let options = SubscribeOptions { from: Start::before(at(20)), ..SubscribeOptions::default() };
    let refused = rig.client.subscribe(rig.now, "t", options);
    assert_eq!(refused, Err(Fault::Protocol(Code::NotSupported)));
}

#[test]
fn so_many_are_asked_for_as_either_number_says() {
    let mut rig = online();
    rig.history("t", Start::Before { last: 2, positions: Vec::new() }, 9);
    rig.history("t", Start::Before { last: 9, positions: at(5) }, 2);
    rig.history("t", Start::Before { last: 0, positions: at(5) }, 0);
    rig.expect_sent(&[
        "history 1 t last 2 before ",
        "history 2 t last 2 before 7:5",
        "history 3 t last 1 before 7:5",
    ]);
}
