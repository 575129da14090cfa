//! What comes late finds whom it is for, or nobody: never whoever has the place or the number now.

use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Detach, Shut};
use tidewire_protocol::code::Code;
use tidewire_protocol::number::{Handle, Participant};

use crate::rig::{Heard, Hub, attach, bytes_of, open_as, publish_on};

/// A participant on handle 1, and another connection.
fn attached() -> (Hub, ConnectionId, ConnectionId) {
    let mut hub = Hub::new(Limits::default(), vec![]);
    let (late, other) = (hub.client(1), hub.client(2));
    hub.say(late, &[attach(1, 50, 1), open_as(1, 1, "t")]);
    hub.heard(late);
    (hub, late, other)
}

const DETACH: ClientFrame<'static> = ClientFrame::Detach(Detach { participant: Participant(1) });

#[test]
fn a_late_fenced_does_not_meet_the_next_participant_of_its_number() {
    for handle in [1, 2] {
        let (mut hub, id, other) = attached();
        // It is told only after these.
        hub.deliver(other, 2, &bytes_of(&[attach(1, 50, 2)]));
        hub.say(id, &[publish_on(1, 1, b"late"), DETACH, attach(1, 51, 1), open_as(handle, 1, "t")]);
        let before = hub.heard(id);
        hub.say(id, &[publish_on(handle, 1, b"from the new one")]);
        assert_eq!(hub.heard(id), [Heard::Acked(1, 1)], "handle {handle}, before: {before:?}");
    }
}

#[test]
fn a_fenced_participant_is_detached() {
    let (mut hub, id, other) = attached();
    hub.say(other, &[attach(1, 50, 2)]);
    assert_eq!(hub.heard(id), [Heard::Detached(1, Code::Fenced)]);
}

#[test]
fn a_handle_that_was_given_back_is_still_answered_unless_its_number_is_anothers() {
    for (again, expected) in [(false, vec![Heard::Acked(1, 1)]), (true, vec![Heard::Opened])] {
        let mut hub = Hub::new(Limits::default(), vec![]);
        let id = hub.client(1);
        hub.open(id, "t");
        let mut frames = vec![publish_on(1, 1, b"m"), ClientFrame::Shut(Shut { handle: Handle(1) })];
        frames.extend(again.then(|| open_as(1, 0, "other")));
        hub.say(id, &frames);
        assert_eq!(hub.heard(id), expected);
    }
}
