//! Topics that keep the latest message of each key: where removals were forgotten, all that is known is dropped and comes
//! anew.

use tidewire_client_core::input::Input;
use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::ListenerId;
use tidewire_protocol::code::{GapReason, Outcome};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Page, Subscribed};
use tidewire_protocol::number::{Epoch, Offset, Request, TailNumber};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::rig::{self, EPOCH, Rig, at, subscribed, welcome};

fn compacted(to: u64) -> Gap {
    Gap { reason: GapReason::Compacted, from: Offset(1), to: Offset(to), epoch: EPOCH }
}

fn missing(to: u64, after: u64) -> HubFrame<'static> {
    HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(compacted(to)), after: Offset(after) })
}

fn begun_anew(request: u64, to: u64, after: u64) -> HubFrame<'static> {
    HubFrame::Subscribed(Subscribed {
        request: Request(request),
        tail: TailNumber(9),
        outcome: Outcome::Gap,
        positions: at(after),
        gap: Some(compacted(to)),
        ..Subscribed::default()
    })
}

impl Rig {
    /// One listener, which has messages 2, 5 and 20.
    fn listening(&mut self) {
        self.subscribe("t", Start::Earliest);
        self.say(subscribed(1, 9, Outcome::Resumed, 0));
        self.block(9, 0, &[2, 5, 20]);
        self.forget();
    }

    /// One listener that takes two messages at a time, has 2 and 5, and is behind the live flow, which is at 20.
    fn listening_to_two(&mut self) {
        let options =
            SubscribeOptions { from: Start::Earliest, messages_max: 2, ..SubscribeOptions::default() };
        self.subscribe_with("t", options);
        self.say(subscribed(1, 9, Outcome::Resumed, 0));
        self.block(9, 0, &[2, 5, 20]);
        self.expect_events(&["ready 1 resumed 7:0", "message 1 m2", "message 1 m5"]);
    }
}

#[test]
fn who_comes_back_late_is_given_all_anew() {
    let mut rig = Rig::online();
    rig.listening();
    rig.input(Input::LinkClosed { code: 1006 });
    rig.input(Input::Online);
    rig.input(Input::LinkOpened);
    assert!(rig.sent.contains(&"subscribe 2 t after 7:20".into()), "{:?}", rig.sent);
    rig.say(welcome());
    rig.forget();
    rig.say(begun_anew(2, 20, 4));
    rig.block(9, 4, &[5, 20, 31]);
    rig.expect_events(&["gap 1 1..20 compacted", "message 1 m5", "message 1 m20", "message 1 m31"]);
    rig.block(9, 4, &[5, 20, 31, 32]);
    rig.expect_events(&["message 1 m32"]);
}

#[test]
fn who_is_slow_is_given_all_anew() {
    let mut rig = Rig::online();
    rig.listening();
    rig.say(missing(20, 4));
    rig.block(9, 4, &[5, 20, 31]);
    rig.expect_events(&["gap 1 1..20 compacted", "message 1 m5", "message 1 m20", "message 1 m31"]);
}

#[test]
fn who_is_behind_the_live_flow_is_given_all_anew_and_no_page_of_before() {
    let mut rig = Rig::online();
    rig.listening_to_two();
    rig.client.settled(rig.now, ListenerId(1), 2, 4);
    rig.forget();
    rig.drain();
    rig.expect_sent(&["history 2 t after 7:5"]);
    rig.say(missing(20, 4));
    rig.expect_events(&["gap 1 1..20 compacted"]);
    rig.page(2, 5, &[20], 20, false, None);
    rig.expect_events(&[]);
    rig.expect_sent(&["history 3 t after 7:4 knows 20"]);
    rig.page(3, 4, &[5, 20], 20, false, None);
    rig.expect_events(&["message 1 m5", "message 1 m20"]);
}

/// Else it would never hear that a key was removed, if that is forgotten before it reads on.
#[test]
fn who_is_behind_the_live_flow_says_up_to_where_it_knows_of_removals() {
    let mut rig = Rig::online();
    let options = SubscribeOptions { from: Start::Earliest, messages_max: 2, ..SubscribeOptions::default() };
    rig.subscribe_with("t", options);
    let HubFrame::Subscribed(begun) = subscribed(1, 9, Outcome::Resumed, 0) else { unreachable!() };
    rig.say(HubFrame::Subscribed(Subscribed { removals: Offset(7), ..begun }));
    rig.block(9, 0, &[2, 5, 20]);
    rig.client.settled(rig.now, ListenerId(1), 2, 4);
    rig.forget();
    rig.drain();
    rig.expect_sent(&["history 2 t after 7:5 knows 7"]);
    // Half of the page finds room.
    let page = |request, removals, gap| Page {
        more: true,
        removals: Offset(removals),
        gap,
        ..rig::page(request, 4, &[5, 20, 31, 40])
    };
    rig.say(HubFrame::Page(page(2, 9, Some(compacted(9)))));
    rig.expect_events(&["gap 1 1..9 compacted", "message 1 m5", "message 1 m20"]);
    rig.client.settled(rig.now, ListenerId(1), 2, 5);
    rig.drain();
    rig.expect_sent(&["history 3 t after 7:20 knows 9"]);
    rig.say(HubFrame::Page(page(3, 30, None)));
    rig.client.settled(rig.now, ListenerId(1), 2, 6);
    rig.drain();
    rig.expect_sent(&["history 4 t after 7:40 knows 30"]);
    rig.client.history(rig.now, "t", Start::Earliest, 9).unwrap();
    rig.drain();
    rig.expect_sent(&["history 5 t earliest"]);
}

#[test]
fn who_has_nothing_yet_drops_nothing() {
    let mut rig = Rig::online();
    rig.listening();
    rig.subscribe("t", Start::Last(9));
    rig.say(missing(20, 4));
    rig.expect_events(&["gap 1 1..20 compacted"]);
}

#[test]
fn who_stands_in_a_log_that_is_no_more_is_told_so_and_not_what_was_forgotten_in_the_next() {
    let mut rig = Rig::online();
    rig.listening_to_two();
    let epoch = Epoch(8);
    let gap = |reason, to| Gap { reason, from: Offset(1), to: Offset(to), epoch };
    rig.say(HubFrame::Subscribed(Subscribed {
        request: Request(2),
        tail: TailNumber(9),
        outcome: Outcome::Gap,
        positions: vec![Position { epoch, offset: Offset(3) }],
        gap: Some(gap(GapReason::EpochChanged, 3)),
        ..Subscribed::default()
    }));
    let gap = Some(gap(GapReason::Compacted, 20));
    rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap, after: Offset(4) }));
    rig.expect_events(&[]);
    rig.client.settled(rig.now, ListenerId(1), 2, 4);
    rig.drain();
    assert!(
        rig.sent.iter().any(|sent| sent.starts_with("history") && sent.ends_with("t after 7:5")),
        "{:?}",
        rig.sent
    );
}
