//! Several who publish through one client.

use tidewire_client_core::options::{PartyId, SubscribeOptions};
use tidewire_client_core::output::PublishId;
use tidewire_protocol::code::{Code, Outcome};
use tidewire_protocol::hub_frame::{Attached, Detached, HubFrame};
use tidewire_protocol::number::{Incarnation, Participant, ProducerId, Tag};

use crate::rig::{OWN, OWN_TAG, Rig, acked, block, opened, records, refused, subscribed, text};

const TAB: PartyId = PartyId(1);
const HANDLE: u64 = (2 << 20) + 1;

/// Online, with one more party, for which nothing was sent yet.
fn with_tab() -> Rig {
    let mut rig = Rig::online();
    assert_eq!(rig.client.attach(rig.now, ProducerId([7; 16]), Incarnation(3)), TAB);
    rig
}

fn attached(tag: Tag) -> HubFrame<'static> {
    HubFrame::Attached(Attached { participant: Participant(1), tag })
}

fn detached(participant: u64, code: Code) -> HubFrame<'static> {
    HubFrame::Detached(Detached { participant: Participant(participant), code, ..Detached::default() })
}

#[test]
fn each_party_has_its_own_numbers_and_its_own_outcomes() {
    let mut rig = with_tab();
    rig.publish("t");
    rig.take_for(TAB, 1, "t");
    rig.take_for(TAB, 2, "u");
    rig.drain();
    let (second, third) =
        (format!("open {HANDLE} t lowest 1 for 1"), format!("open {} u lowest 1 for 1", HANDLE + 1));
    rig.expect_sent(&["attach 1 3", &second, &third, "open 1 t lowest 1", "publish 1 #1"]);
    // It has had incarnations before, so the hub says what comes next.
    rig.say_all(&[attached(Tag(6)), opened(1, true, 1), acked(1, 1, 1, 9), opened(HANDLE, false, 4)]);
    rig.expect_events(&["published 1 at 9"]);
    rig.expect_sent(&[&format!("publish {HANDLE} #4 lowest 4")]);
    rig.say_all(&[acked(HANDLE, 4, 1, 10), refused(HANDLE + 1, 0, 1, Code::Forbidden, false)]);
    rig.expect_events(&["published 1/1 at 10", "failed 1/2 forbidden"]);
    assert!(rig.client.is_flushed());
}

#[test]
fn parties_are_attached_again_on_each_link_before_what_they_publish() {
    let mut rig = with_tab();
    rig.take_for(TAB, 1, "t");
    rig.drain();
    rig.forget();
    rig.reconnect();
    rig.expect_sent(&["hello ", "attach 1 3", &format!("open {HANDLE} t lowest 1 for 1")]);
}

#[test]
fn a_party_that_goes_takes_only_its_own_messages_with_it() {
    let mut rig = with_tab();
    rig.publish("t");
    rig.take_for(TAB, 1, "t");
    rig.drain();
    rig.forget();
    rig.client.detach(rig.now, TAB);
    rig.drain();
    rig.expect_events(&["failed 1/1 closed"]);
    rig.expect_sent(&["detach 1"]);
    // Answers that were on their way are nobody's, and its number is not used again.
    rig.say_all(&[opened(HANDLE, true, 1), acked(HANDLE, 1, 1, 9), detached(1, Code::Unknown)]);
    rig.expect_events(&[]);
    assert!(rig.client.take(rig.now, TAB, PublishId(2), &text("t", 1)).is_err());
    assert_eq!(rig.client.attach(rig.now, ProducerId([8; 16]), Incarnation(1)), PartyId(2));
    rig.client.detach(rig.now, OWN);
    rig.say(acked(1, 1, 1, 10));
    rig.expect_events(&["published 1 at 10"]);
}

#[test]
fn a_party_that_the_hub_will_not_have_fails_alone() {
    let mut rig = with_tab();
    rig.publish("t");
    rig.take_for(TAB, 1, "t");
    rig.drain();
    rig.forget();
    rig.say_all(&[detached(1, Code::Fenced), refused(HANDLE, 0, 1, Code::UnknownNumber, false)]);
    rig.expect_events(&["failed 1/1 fenced", "detached 1 fenced"]);
    rig.say(detached(0, Code::Fenced));
    rig.expect_events(&["failed 1 fenced", "detached 0 fenced"]);
}

#[test]
fn a_party_that_the_hub_will_not_have_now_is_attached_later() {
    let mut rig = with_tab();
    rig.take_for(TAB, 1, "t");
    rig.drain();
    rig.forget();
    rig.say_all(&[detached(1, Code::Overloaded), refused(HANDLE, 0, 1, Code::UnknownNumber, false)]);
    rig.expect_events(&[]);
    assert_eq!(rig.wait(), 5_000);
    rig.expect_sent(&["heartbeat 1", "attach 1 3", &format!("open {HANDLE} t lowest 1 for 1")]);
}

#[test]
fn a_listener_is_spared_the_messages_of_its_own_party_only() {
    let mut rig = with_tab();
    rig.say(attached(Tag(6)));
    rig.subscribe_with("t", SubscribeOptions { echo: false, ..SubscribeOptions::default() });
    rig.subscribe_with("t", SubscribeOptions { echo: false, party: TAB, ..SubscribeOptions::default() });
    rig.say(subscribed(1, 9, Outcome::Live, 10));
    rig.events.clear();
    rig.say(block(9, 10, &records(10, &[11], OWN_TAG, None)));
    rig.say(block(9, 11, &records(11, &[12], Tag(6), None)));
    rig.expect_events(&["message 2 m11", "message 1 m12"]);
}
