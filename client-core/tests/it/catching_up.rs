//! When a listener has been given all that was there.

use tidewire_client_core::input::Input;
use tidewire_client_core::output::ListenerId;
use tidewire_protocol::code::{Code, GapReason, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Page, Progress, Subscribed};
use tidewire_protocol::number::{Epoch, Offset, Request, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::rig::{EPOCH, Rig, failed, subscribed};

const ANOTHER: Epoch = Epoch(8);

fn another(offset: u64) -> Vec<Position> {
    vec![Position { epoch: ANOTHER, offset: Offset(offset) }]
}

impl Rig {
    fn catch_up(&mut self, listener: ListenerId) {
        self.client.catch_up(self.now, listener);
        self.drain();
    }

    /// The hub has another log than before, and begins it.
    fn begin_another(&mut self, request: u64) {
        let epoch = ANOTHER;
        self.say(HubFrame::Subscribed(Subscribed {
            request: Request(request),
            tail: TailNumber(10),
            outcome: Outcome::Gap,
            positions: another(0),
            gap: Some(Gap { epoch, from: Offset(1), to: Offset(0), reason: GapReason::EpochChanged }),
            ..Subscribed::default()
        }));
    }

    /// The hub says where the messages of its other log end.
    fn end_of_another(&mut self, request: u64, offset: u64) {
        let place = another(offset);
        let request = Request(request);
        self.say(HubFrame::Page(Page { request, after: place.clone(), upto: place, ..Page::default() }));
    }

    /// The hub says where the messages end; 0 is nowhere.
    fn end(&mut self, request: u64, offset: u64) {
        self.page(request, offset, &[], offset, false, None);
    }
}

/// A listener whose start is known, and which wants to hear when it is there.
fn pursuing() -> Rig {
    let mut rig = Rig::online();
    let listener = rig.subscribe("t", Start::Last(50));
    rig.catch_up(listener);
    rig.expect_sent(&["subscribe 1 t last(50)", "history 2 t last(0)"]);
    rig.say(subscribed(1, 9, Outcome::Resumed, 4));
    rig.expect_events(&["ready 1 resumed 7:4"]);
    rig
}

#[test]
fn a_listener_has_caught_up_with_the_last_message_that_there_was() {
    let mut rig = pursuing();
    rig.end(2, 8);
    rig.block(9, 4, &[5, 7]);
    rig.expect_events(&["message 1 m5", "message 1 m7"]);
    rig.block(9, 7, &[8, 30]);
    rig.expect_events(&["message 1 m8", "message 1 m30", "caught up 1"]);
    rig.block(9, 30, &[31]);
    rig.expect_events(&["message 1 m31"]);
}

#[test]
fn it_is_told_where_the_messages_came_before_the_answer_or_there_were_none() {
    let mut rig = pursuing();
    rig.block(9, 4, &[5, 8]);
    rig.events.clear();
    rig.end(2, 8);
    rig.expect_events(&["caught up 1"]);
    let mut rig = pursuing();
    rig.end(2, 0);
    rig.expect_events(&["caught up 1"]);
}

#[test]
fn a_listener_without_a_place_has_not_caught_up() {
    let mut rig = Rig::online();
    let listener = rig.subscribe("t", Start::Latest);
    rig.catch_up(listener);
    rig.end(2, 0);
    rig.expect_events(&[]);
    rig.say(subscribed(1, 9, Outcome::Live, 20));
    rig.expect_events(&["ready 1 live 7:20", "caught up 1"]);
}

#[test]
fn a_listener_that_reads_pages_catches_up_with_them() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Latest);
    rig.say(subscribed(1, 9, Outcome::Live, 8));
    let second = rig.subscribe("t", Start::Earliest);
    rig.catch_up(second);
    rig.forget();
    rig.page(2, 0, &[3], 5, true, None);
    rig.end(3, 8);
    rig.expect_events(&["ready 2 resumed 7:0", "message 2 m3"]);
    rig.page(4, 5, &[8], 8, false, None);
    rig.expect_events(&["message 2 m8", "caught up 2"]);
}

#[test]
fn what_is_lost_before_the_end_is_told_and_is_no_reason_to_wait() {
    let gap = Gap { epoch: EPOCH, from: Offset(5), to: Offset(8), reason: GapReason::Retention };
    let mut rig = pursuing();
    rig.end(2, 8);
    rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(gap), after: Offset(8) }));
    rig.expect_events(&["gap 1 5..8 retention", "caught up 1"]);
}

#[test]
fn where_another_log_stands_in_the_place_of_that_in_which_the_end_was_it_is_asked_for_again() {
    let mut rig = pursuing();
    rig.end(2, 8);
    rig.reconnect();
    rig.forget();
    rig.begin_another(3);
    rig.expect_events(&["gap 1 1..0 epoch_changed"]);
    rig.expect_sent(&["history 4 t last(0)"]);
    rig.end_of_another(4, 2);
    rig.block(10, 0, &[1]);
    rig.expect_events(&["message 1 m1"]);
    rig.block(10, 1, &[2]);
    rig.expect_events(&["message 1 m2", "caught up 1"]);
}

#[test]
fn a_listener_without_a_place_is_not_told_an_end_in_the_log_of_an_earlier_link() {
    let mut rig = Rig::online();
    let listener = rig.subscribe("t", Start::Earliest);
    rig.catch_up(listener);
    rig.end(2, 8);
    rig.reconnect();
    rig.forget();
    rig.say(HubFrame::Subscribed(Subscribed {
        request: Request(3),
        tail: TailNumber(10),
        outcome: Outcome::Resumed,
        positions: another(0),
        gap: None,
        ..Subscribed::default()
    }));
    rig.expect_events(&["ready 1 resumed 8:0"]);
    rig.end_of_another(4, 1);
    rig.block(10, 0, &[1]);
    rig.expect_events(&["message 1 m1", "caught up 1"]);
}

#[test]
fn who_begins_anew_in_the_same_log_is_told_once_and_of_the_new_beginning() {
    for (reason, from, to, after) in [(GapReason::Compacted, 1, 6, 2), (GapReason::BeyondEnd, 4, 5, 3)] {
        let mut rig = pursuing();
        rig.end(2, 8);
        rig.block(9, 4, &[5, 6]);
        rig.reconnect();
        rig.forget();
        rig.say(HubFrame::Subscribed(Subscribed {
            request: Request(3),
            tail: TailNumber(9),
            outcome: Outcome::Gap,
            positions: vec![Position { epoch: EPOCH, offset: Offset(after) }],
            gap: Some(Gap { epoch: EPOCH, from: Offset(from), to: Offset(to), reason }),
            ..Subscribed::default()
        }));
        rig.expect_events(&[&format!("gap 1 {from}..{to} {reason}")]);
        rig.expect_sent(&["history 4 t last(0)"]);
        // The hub may have lost its end, so that the former one is never reached.
        rig.end(4, 4);
        rig.block(9, after, &[4]);
        rig.expect_events(&["message 1 m4", "caught up 1"]);
        rig.block(9, 4, &[9]);
        rig.expect_events(&["message 1 m9"]);
    }
}

#[test]
fn who_asks_again_before_it_is_told_is_told_once() {
    let mut rig = pursuing();
    rig.catch_up(ListenerId(1));
    rig.expect_sent(&["history 3 t last(0)"]);
    rig.end(2, 0);
    rig.expect_events(&[]);
    rig.end(3, 5);
    rig.catch_up(ListenerId(1));
    rig.block(9, 4, &[5]);
    rig.expect_events(&["message 1 m5"]);
    rig.end(4, 5);
    rig.expect_events(&["caught up 1"]);
}

#[test]
fn an_end_in_a_log_that_it_has_not_come_to_yet_is_waited_for() {
    let mut rig = pursuing();
    rig.reconnect();
    rig.events.clear();
    // A hub that was started anew says first where its log ends.
    rig.end_of_another(4, 3);
    rig.expect_events(&[]);
    rig.begin_another(3);
    rig.expect_events(&["gap 1 1..0 epoch_changed"]);
    rig.end_of_another(5, 3);
    rig.block(10, 0, &[3]);
    rig.expect_events(&["message 1 m3", "caught up 1"]);
}

#[test]
fn the_question_is_asked_again_until_it_is_answered_or_refused_for_good() {
    let mut rig = pursuing();
    rig.reconnect();
    rig.expect_sent(&["hello ", "subscribe 3 t after 7:4", "history 4 t last(0)"]);
    rig.say(failed(4, Code::Overloaded, true));
    rig.wait();
    rig.expect_sent(&["history 5 t last(0)"]);
    rig.say(subscribed(3, 9, Outcome::Resumed, 4));
    rig.events.clear();
    rig.say(failed(5, Code::NotSupported, false));
    rig.expect_events(&["caught up 1"]);
}

#[test]
fn a_question_that_was_refused_for_good_is_asked_anew_where_another_log_begins() {
    let mut rig = pursuing();
    rig.reconnect();
    rig.forget();
    rig.say(failed(4, Code::NotSupported, false));
    rig.begin_another(3);
    rig.expect_events(&["gap 1 1..0 epoch_changed"]);
    rig.expect_sent(&["history 5 t last(0)"]);
    rig.end_of_another(5, 1);
    rig.block(10, 0, &[1]);
    rig.expect_events(&["message 1 m1", "caught up 1"]);
}

#[test]
fn a_page_that_cannot_be_read_is_asked_for_again() {
    let mut rig = pursuing();
    rig.page_of(2, 4, 6, &[8], 8);
    rig.expect_asked(&["close 4001"]);
    rig.input(Input::Online);
    rig.sign_in();
    rig.expect_sent(&["hello ", "subscribe 3 t after 7:4", "history 4 t last(0)"]);
}

#[test]
fn messages_that_come_with_an_end_are_nobodys() {
    let mut rig = pursuing();
    rig.page(2, 7, &[8], 8, false, None);
    rig.expect_events(&[]);
    rig.block(9, 4, &[5, 8]);
    rig.expect_events(&["message 1 m5", "message 1 m8", "caught up 1"]);
}

#[test]
fn who_has_left_hears_nothing() {
    let mut rig = pursuing();
    rig.client.unsubscribe(rig.now, ListenerId(1));
    rig.end(2, 0);
    rig.expect_events(&[]);
    rig.client.catch_up(rig.now, ListenerId(1));
    rig.drain();
    rig.client.close(rig.now);
    rig.drain();
    rig.expect_events(&["Closed { fault: None }"]);
}

#[test]
fn of_several_logs_the_end_of_each_is_waited_for() {
    let place = |epoch, offset| Position { epoch: Epoch(epoch), offset: Offset(offset) };
    let pursuing = |from| {
        let mut rig = Rig::online();
        let listener = rig.subscribe("t.*", from);
        rig.catch_up(listener);
        rig.forget();
        rig.say(HubFrame::Subscribed(Subscribed {
            request: Request(1),
            tail: TailNumber(9),
            outcome: Outcome::Resumed,
            positions: vec![place(7, 4), place(8, 5)],
            gap: None,
            ..Subscribed::default()
        }));
        rig.events.clear();
        rig
    };
    let ends = |rig: &mut Rig, ends: [Position; 2]| {
        let page = Page { request: Request(2), after: ends.into(), upto: ends.into(), ..Page::default() };
        rig.say(HubFrame::Page(page));
    };
    let progress = |rig: &mut Rig, Position { epoch, offset }| {
        rig.say(HubFrame::Progress(Progress { tail: TailNumber(9), epoch, upto: offset }));
    };
    let mut rig = pursuing(Start::Last(50));
    ends(&mut rig, [place(7, 6), place(8, 7)]);
    progress(&mut rig, place(8, 7));
    rig.expect_events(&[]);
    progress(&mut rig, place(7, 6));
    rig.expect_events(&["caught up 1"]);
    // In one of them there is nothing to wait for.
    let mut rig = pursuing(Start::Last(50));
    ends(&mut rig, [place(7, 0), place(8, 7)]);
    progress(&mut rig, place(7, 9));
    rig.expect_events(&[]);
    progress(&mut rig, place(8, 8));
    rig.expect_events(&["caught up 1"]);
}
