//! Questions for history: each has one answer, of as many pages as it takes.

use std::borrow::Cow;

use tidewire_client_core::input::Input;
use tidewire_client_core::options::Options;
use tidewire_client_core::output::{Event, ListenerId, Output};
use tidewire_protocol::block::{Block, Head, put_message, put_on_page};
use tidewire_protocol::code::{Code, GapReason, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Page};
use tidewire_protocol::number::{Offset, Request};
use tidewire_protocol::position::{Gap, Start};

use crate::rig::{EPOCH, Rig, at, failed, subscribed};

/// The block of a page with one message of so many bytes.
fn one_message(offset: u64, len: usize) -> Vec<u8> {
    let head = Head { prev: Offset(offset - 1), offset: Offset(offset), ..Head::default() };
    let (mut records, mut blocks) = (Vec::new(), Vec::new());
    put_message(&head, &vec![b'x'; len], &mut records);
    let block = Block { prev: Offset(offset - 1), records: &records, ..Block::default() };
    put_on_page(&block, &mut Vec::new(), &mut blocks);
    blocks
}

fn asked(from: Start, messages_max: u32) -> Rig {
    let mut rig = Rig::online();
    rig.history("t", from, messages_max);
    rig.sent.clear();
    rig
}

#[test]
fn a_page_comes_whole_with_its_end_behind_it() {
    let mut rig = Rig::online();
    assert_eq!(rig.history("t", Start::Last(3), 10), ListenerId(1));
    rig.expect_sent(&["history 1 t last(3)"]);
    rig.page(1, 4, &[5, 7], 9, false, None);
    rig.expect_events(&["message 1 m5", "message 1 m7", "page 1 upto 7:9"]);
    // It has its answer, and a second one is nobody's.
    rig.page(1, 4, &[5, 7], 9, false, None);
    rig.expect_events(&[]);
}

#[test]
fn a_page_holds_no_more_than_was_asked_for_and_says_that_there_is_more() {
    let mut rig = asked(Start::Earliest, 2);
    rig.page(1, 0, &[1, 2, 3], 3, false, None);
    rig.expect_events(&["message 1 m1", "message 1 m2", "page 1 upto 7:2 more"]);
    rig.history("t", Start::After(at(2)), 2);
    rig.expect_sent(&["history 2 t after 7:2"]);
    // A block comes whole, with what lies before the page.
    rig.page(2, 2, &[3], 3, false, None);
    rig.expect_events(&["message 2 m3", "page 2 upto 7:3"]);
}

#[test]
fn what_is_missing_is_told_with_the_page() {
    let mut rig = asked(Start::After(at(2)), 10);
    let gap = Gap { epoch: EPOCH, from: Offset(3), to: Offset(8), reason: GapReason::Retention };
    rig.page(1, 8, &[9], 9, true, Some(gap));
    rig.page(2, 9, &[10], 10, false, None);
    rig.expect_events(&["message 1 m9", "message 1 m10", "page 1 upto 7:10 gap 3..8 retention"]);
}

#[test]
fn a_question_goes_on_until_it_has_all_that_it_asked_for() {
    let mut rig = asked(Start::Last(5), 5);
    rig.page(1, 0, &[1, 2], 2, true, None);
    rig.page(2, 2, &[3], 3, true, None);
    rig.expect_sent(&["history 2 t after 7:2", "history 3 t after 7:3"]);
    // It goes on where it was on another link, too.
    rig.reconnect();
    rig.expect_sent(&["hello ", "history 4 t after 7:3"]);
    rig.events.retain(|event| event.starts_with("message") || event.starts_with("page"));
    rig.page(4, 3, &[4, 5, 6], 6, true, None);
    let messages = ["message 1 m1", "message 1 m2", "message 1 m3", "message 1 m4", "message 1 m5"];
    rig.expect_events(&[&messages[..], &["page 1 upto 7:5 more"]].concat());
    rig.expect_sent(&[]);
    assert_eq!(rig.wanted, [5, 3, 2, 2], "no more than it lacks");
}

#[test]
fn a_question_ends_before_what_was_lost_while_it_went_on() {
    let mut rig = asked(Start::Earliest, 10);
    rig.page(1, 0, &[1], 1, true, None);
    let gap = Gap { epoch: EPOCH, from: Offset(2), to: Offset(8), reason: GapReason::Retention };
    rig.page(2, 8, &[9], 9, false, Some(gap));
    rig.expect_events(&["message 1 m1", "page 1 upto 7:1 more"]);
}

#[test]
fn half_a_page_takes_nothing_from_those_before_it() {
    let mut rig = asked(Start::Earliest, 10);
    rig.page(1, 0, &[1], 1, true, None);
    rig.page_of(2, 1, 3, &[4], 4);
    rig.expect_asked(&["close 4001"]);
    rig.input(Input::Online);
    rig.sign_in();
    rig.expect_sent(&["history 2 t after 7:1", "hello ", "history 3 t after 7:1"]);
    rig.page(3, 1, &[2], 2, false, None);
    rig.events.retain(|event| event.starts_with("message") || event.starts_with("page"));
    rig.expect_events(&["message 1 m1", "message 1 m2", "page 1 upto 7:2"]);
}

#[test]
fn a_question_does_not_wait_for_a_hub_that_has_nothing_now() {
    let mut rig = asked(Start::After(at(2)), 10);
    rig.page(1, 2, &[3], 3, true, None);
    rig.page(2, 3, &[], 3, true, None);
    rig.expect_events(&["message 1 m3", "page 1 upto 7:3 more"]);
}

#[test]
fn an_answer_has_a_bound_in_bytes() {
    let mut rig = asked(Start::Earliest, u32::MAX);
    for request in 1..=9 {
        let mut bytes = Vec::new();
        let page = Page {
            request: Request(request),
            more: true,
            after: at(request - 1),
            upto: at(request),
            blocks: Cow::Owned(one_message(request, 1 << 20)),
            ..Page::default()
        };
        HubFrame::Page(page).put(&mut bytes);
        rig.client.handle(rig.now, Input::Received(&bytes));
        let outputs: Vec<_> = core::iter::from_fn(|| rig.client.poll_output()).collect();
        let [first, ..] = &outputs[..] else { panic!("page {request}: {outputs:?}") };
        if request <= 8 {
            assert!(matches!(first, Output::Event(Event::Message(_))), "page {request}: {outputs:?}");
        } else {
            let Output::Event(Event::Page { positions, more, .. }) = first else { panic!("{outputs:?}") };
            assert_eq!((positions, *more), (&at(8), true), "the ninth has no room");
        }
    }
}

#[test]
fn questions_and_subscriptions_share_one_series_of_numbers() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.history("t", Start::Earliest, 10);
    rig.history("u.*", Start::Earliest, 10);
    rig.expect_sent(&["subscribe 1 t latest", "history 2 t earliest", "history 3 u.* earliest"]);
    rig.say(subscribed(1, 9, Outcome::Live, 2));
    rig.page(3, 0, &[], 0, false, None);
    rig.page(2, 0, &[1, 2], 2, false, None);
    let ready = "ready 1 live 7:2";
    rig.expect_events(&[ready, "page 3 upto 7:0", "message 2 m1", "message 2 m2", "page 2 upto 7:2"]);
}

#[test]
fn a_question_is_asked_again_on_a_new_link() {
    let mut rig = asked(Start::Earliest, 10);
    rig.reconnect();
    rig.expect_sent(&["hello ", "history 2 t earliest"]);
    rig.events.clear();
    rig.page(1, 0, &[1], 1, false, None);
    rig.page(2, 0, &[1], 1, false, None);
    rig.expect_events(&["message 1 m1", "page 1 upto 7:1"]);
}

#[test]
fn a_page_with_a_hole_is_no_page() {
    let mut rig = asked(Start::Earliest, 10);
    rig.page_of(1, 0, 3, &[4], 4);
    rig.expect_asked(&["close 4001"]);
    assert!(!rig.events.iter().any(|event| event.starts_with("message") || event.starts_with("page")));
    rig.input(Input::Online);
    rig.sign_in();
    rig.expect_sent(&["hello ", "history 2 t earliest"]);
}

#[test]
fn a_refusal_ends_a_question_unless_a_retry_can_help() {
    let mut rig = asked(Start::Earliest, 10);
    rig.say(failed(1, Code::Overloaded, true));
    rig.expect_events(&[]);
    rig.wait();
    rig.expect_sent(&["history 2 t earliest"]);
    rig.say(failed(2, Code::Forbidden, false));
    rig.expect_events(&["refused 1 forbidden"]);
    rig.reconnect();
    rig.expect_sent(&["hello "]);
}

#[test]
fn a_dropped_question_has_no_answer() {
    let mut rig = asked(Start::Earliest, 10);
    rig.client.unsubscribe(rig.now, ListenerId(1));
    rig.page(1, 0, &[1], 1, false, None);
    rig.expect_events(&[]);
}

#[test]
fn questions_end_with_the_client() {
    let mut rig = Rig::new(Options::default());
    rig.history("t", Start::Earliest, 10);
    rig.expect_asked(&["open"]);
    rig.events.clear();
    rig.client.close(rig.now);
    rig.drain();
    assert_eq!(rig.events.last().unwrap(), "refused 1 closed");
    assert!(rig.client.history(rig.now, "t", Start::Earliest, 10).is_err());
}

#[test]
fn what_is_no_name_is_not_asked_for() {
    let mut rig = Rig::online();
    assert!(rig.client.history(rig.now, "a b", Start::Earliest, 10).is_err());
}

#[test]
fn who_was_refused_for_now_comes_first_when_all_ask_again() {
    let mut rig = Rig::online();
    for name in ["a", "b", "c"] {
        rig.history(name, Start::Earliest, 1_000);
    }
    // The hub has room for two, who want more, and more again.
    rig.say(failed(3, Code::Overloaded, true));
    rig.page(1, 0, &[1], 1, true, None);
    rig.page(2, 0, &[2], 2, true, None);
    rig.sent.clear();
    rig.wait();
    rig.expect_sent(&["history 4 c earliest", "history 5 a after 7:1", "history 6 b after 7:2"]);
    // Of two who are refused the first is first, and none is for ever.
    rig.sent.clear();
    rig.say_all(&[failed(5, Code::Overloaded, true), failed(6, Code::Overloaded, true)]);
    rig.page(4, 0, &[3], 3, true, None);
    rig.wait();
    rig.expect_sent(&["history 7 a after 7:1", "history 8 b after 7:2", "history 9 c after 7:3"]);
}
