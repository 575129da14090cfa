//! Listeners of one name of which some want only the latest of each key: one subscription serves all, and passes over
//! nothing that some of them want.

use tidewire_client_core::options::SubscribeOptions;
use tidewire_client_core::output::ListenerId;
use tidewire_protocol::code::{Code, GapReason, Outcome, WhenSlow};
use tidewire_protocol::hub_frame::{HubFrame, Missing, Subscribed};
use tidewire_protocol::number::{Offset, Request, Tag, TailNumber};
use tidewire_protocol::position::{Gap, Start};

use crate::rig::{EPOCH, Rig, at, block, failed, progress, records, subscribed};

impl Rig {
    fn mirror(&mut self) -> ListenerId {
        let when_slow = WhenSlow::Latest;
        self.subscribe_with("t", SubscribeOptions { from: Start::Earliest, when_slow, ..Default::default() })
    }

    /// A mirror alone, at offset 10 of tail 9.
    fn mirroring() -> Self {
        let mut rig = Self::online();
        rig.mirror();
        rig.expect_sent(&["subscribe 1 t earliest the latest"]);
        rig.say(subscribed(1, 9, Outcome::Resumed, 10));
        rig.expect_events(&["ready 1 resumed 7:10"]);
        rig
    }

    /// A listener that wants all, at offset 10 of tail 9.
    fn listening_to_all() -> Self {
        let mut rig = Self::online();
        rig.subscribe("t", Start::Earliest);
        rig.expect_sent(&["subscribe 1 t earliest"]);
        rig.say(subscribed(1, 9, Outcome::Resumed, 10));
        rig.expect_events(&["ready 1 resumed 7:10"]);
        rig
    }
}

#[test]
fn those_who_want_the_same_share_it_as_it_is() {
    let mut rig = Rig::mirroring();
    rig.mirror();
    rig.expect_sent(&["history 2 t earliest"]);
}

#[test]
fn for_one_who_wants_all_nothing_is_passed_over_any_more() {
    let mut rig = Rig::mirroring();
    rig.subscribe("t", Start::Earliest);
    rig.expect_sent(&["unsubscribe 2 tail 9", "subscribe 3 t after 7:10"]);
    // On its way from before: something may have been passed over.
    rig.block(9, 10, &[13]);
    rig.say(progress(9, 14));
    let gap = Gap { reason: GapReason::Compacted, from: Offset(1), to: Offset(8), epoch: EPOCH };
    rig.say(HubFrame::Missing(Missing { tail: TailNumber(9), gap: Some(gap), after: Offset(0) }));
    rig.expect_events(&[]);
    rig.say(subscribed(3, 9, Outcome::Resumed, 10));
    rig.expect_sent(&["history 4 t earliest"]);
    rig.page(4, 0, &[5], 10, false, None);
    rig.block(9, 10, &[12, 13]);
    rig.expect_events(&[
        "ready 2 resumed 7:0",
        "message 2 m5",
        "message 1 m12",
        "message 2 m12",
        "message 1 m13",
        "message 2 m13",
    ]);
    // Whoever comes next finds it as it is wanted.
    rig.mirror();
    rig.expect_sent(&["history 5 t earliest"]);
}

#[test]
fn a_mirror_of_what_is_none_is_refused_and_others_go_on() {
    let mut rig = Rig::listening_to_all();
    rig.block(9, 10, &[11]);
    rig.mirror();
    rig.expect_sent(&["unsubscribe 2 tail 9", "subscribe 3 t after 7:11 the latest"]);
    rig.events.clear();
    rig.say(failed(3, Code::NotSupported, false));
    rig.expect_events(&["refused 2 not_supported"]);
    rig.expect_sent(&["subscribe 4 t after 7:11"]);
    rig.say(subscribed(4, 9, Outcome::Resumed, 11));
    rig.block(9, 11, &[12]);
    rig.expect_events(&["message 1 m12"]);
}

#[test]
fn a_mirror_joins_one_who_wants_all_once_the_hub_has_said_that_it_can() {
    let mut rig = Rig::listening_to_all();
    rig.mirror();
    rig.expect_sent(&["unsubscribe 2 tail 9", "subscribe 3 t after 7:10 the latest"]);
    let passed_over = records(10, &[13], Tag(0), None);
    rig.say_all(&[subscribed(3, 9, Outcome::Resumed, 10), block(9, 10, &passed_over)]);
    rig.expect_events(&[]);
    rig.expect_sent(&["unsubscribe 4 tail 9", "subscribe 5 t after 7:10"]);
    rig.say(subscribed(5, 9, Outcome::Resumed, 10));
    rig.block(9, 10, &[12, 13]);
    rig.expect_events(&["message 1 m12", "message 1 m13"]);
    rig.expect_sent(&["history 6 t earliest"]);
}

#[test]
fn on_each_link_the_hub_is_asked_anew_what_it_keeps() {
    let mut rig = Rig::online();
    rig.subscribe("t", Start::Earliest);
    rig.mirror();
    rig.expect_sent(&["subscribe 1 t earliest"]);
    rig.say(subscribed(1, 9, Outcome::Resumed, 0));
    rig.expect_events(&["ready 1 resumed 7:0", "ready 2 resumed 7:0"]);
    rig.expect_sent(&["unsubscribe 2 tail 9", "subscribe 3 t after 7:0 the latest"]);
    rig.say(subscribed(3, 9, Outcome::Resumed, 0));
    rig.expect_sent(&["unsubscribe 4 tail 9", "subscribe 5 t after 7:0"]);
    rig.say(subscribed(5, 9, Outcome::Resumed, 0));
    rig.reconnect();
    rig.expect_sent(&["hello ", "subscribe 6 t after 7:0 the latest"]);
    let gap = Gap { reason: GapReason::Compacted, from: Offset(1), to: Offset(6), epoch: EPOCH };
    rig.events.clear();
    rig.say(HubFrame::Subscribed(Subscribed {
        request: Request(6),
        tail: TailNumber(9),
        outcome: Outcome::Gap,
        positions: at(2),
        gap: Some(gap),
        ..Subscribed::default()
    }));
    rig.expect_events(&["gap 1 1..6 compacted", "gap 2 1..6 compacted"]);
    rig.expect_sent(&["unsubscribe 7 tail 9", "subscribe 8 t after 7:2"]);
}

#[test]
fn what_is_refused_for_another_reason_is_refused_to_all() {
    let mut rig = Rig::mirroring();
    rig.subscribe("t", Start::Earliest);
    rig.reconnect();
    rig.forget();
    rig.say(failed(4, Code::Forbidden, false));
    rig.expect_events(&["refused 1 forbidden", "refused 2 forbidden"]);
    rig.expect_sent(&[]);
}
