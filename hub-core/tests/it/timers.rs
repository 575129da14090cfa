//! Deadlines of a connection hold whatever they are set to, and whichever is the shorter.

use tidewire_hub_core::clock::Millis;
use tidewire_hub_core::dialect::Dialect;
use tidewire_hub_core::limits::Limits;
use tidewire_hub_core::shard::wire::ConnectionId;
use tidewire_protocol::client_frame::{ClientFrame, Heartbeat};
use tidewire_protocol::code::{Code, WhenSlow};
use tidewire_protocol::position::Start;

use crate::rig::{Heard, Hub, hello, keep_all, limits};

const HEARTBEAT: Heard = Heard::Other(75);

fn set(heartbeat_ms: u64, sign_in_ms: u64) -> Limits {
    limits(|limits| {
        limits.heartbeat_ms = heartbeat_ms;
        limits.sign_in_ms = sign_in_ms;
    })
}

/// Time passes as it does for the shell: from one deadline of the shard to the next.
fn step(hub: &mut Hub) {
    hub.now = hub.shard.deadline();
    hub.work();
}

/// Signs in `late_ms` after the handshake.
fn listener(hub: &mut Hub, late_ms: u64) -> ConnectionId {
    let id = hub.connect(Dialect::Binary);
    let until = hub.now.plus(late_ms);
    while hub.shard.deadline() < until {
        step(hub);
    }
    hub.now = until;
    hub.say(id, &[hello(1, 1)]);
    assert_eq!(hub.heard(id), [Heard::Welcome]);
    id
}

/// What it hears and when, until it is sent away or 20 heartbeats have passed.
fn listen(hub: &mut Hub, id: ConnectionId, answers: bool) -> Vec<(Millis, Heard)> {
    let until = hub.now.plus(20 * hub.topics.limits().heartbeat_ms);
    let mut all = Vec::new();
    while hub.now < until {
        step(hub);
        for heard in hub.heard(id) {
            if heard == HEARTBEAT && answers {
                hub.say(id, &[ClientFrame::Heartbeat(Heartbeat::default())]);
            }
            all.push((hub.now, heard));
        }
    }
    all
}

const PAIRS: [(u64, u64); 10] = [
    (100, 100),
    (100, 5_000),
    (100, 30_000),
    (110, 60_000),
    (700, 5_000),
    (2_000, 5_000),
    (2_499, 5_000),
    (25_000, 5_000),
    (25_000, 300),
    (60_000, 120_000),
];

#[test]
fn who_answers_heartbeats_stays_and_hears_them_in_time() {
    for (heartbeat_ms, sign_in_ms) in PAIRS {
        for late_ms in [0, sign_in_ms / 2] {
            let mut hub = Hub::new(set(heartbeat_ms, sign_in_ms), vec![]);
            let id = listener(&mut hub, late_ms);
            let mut last = hub.now;
            let what =
                format!("heartbeats every {heartbeat_ms} ms, signed in {late_ms} of {sign_in_ms} ms late");
            let heard = listen(&mut hub, id, true);
            assert!(heard.len() >= 16, "{what}: {} heartbeats in the time of 20", heard.len());
            for (at, heard) in heard {
                assert_eq!(heard, HEARTBEAT, "{what}");
                assert!(at.since(last) * 4 <= heartbeat_ms * 5, "{what}: {} ms of silence", at.since(last));
                last = at;
            }
        }
    }
}

#[test]
fn who_does_not_answer_is_sent_away() {
    for (heartbeat_ms, sign_in_ms) in PAIRS {
        let mut hub = Hub::new(set(heartbeat_ms, sign_in_ms), vec![]);
        let id = listener(&mut hub, sign_in_ms / 2);
        let began = hub.now;
        let heard = listen(&mut hub, id, false);
        let (at, _) = heard.iter().find(|(_, heard)| *heard == Heard::Goodbye(Code::Silent)).unwrap();
        let after = at.since(began);
        assert!(after >= 2 * heartbeat_ms && after <= 3 * heartbeat_ms + 300, "{heartbeat_ms}: {after} ms");
    }
}

#[test]
fn a_stranger_has_its_time_and_no_more() {
    for (heartbeat_ms, sign_in_ms) in PAIRS {
        let mut hub = Hub::new(set(heartbeat_ms, sign_in_ms), vec![]);
        let (id, began) = (hub.connect(Dialect::Binary), hub.now);
        while hub.now.since(began) < 2 * sign_in_ms && hub.shard.connections() > 0 {
            step(&mut hub);
        }
        let heard = hub.heard(id);
        assert_eq!(heard[0], Heard::Goodbye(Code::SignInTimeout), "sign-in within {sign_in_ms} ms");
        let after = hub.now.since(began);
        assert!(after >= sign_in_ms && after <= sign_in_ms + 1 + sign_in_ms / 4, "{sign_in_ms}: {after} ms");
    }
}

/// Its link is full whenever a heartbeat is due, so that it is asked nothing, or has far to read before it is.
#[test]
fn who_reads_slowly_but_steadily_is_not_silent_until_it_stops() {
    let mut hub = Hub::new(set(25_000, 5_000), keep_all());
    let writer = hub.client(7);
    let id = listener(&mut hub, 0);
    hub.subscribe(id, "t", Start::Latest, WhenSlow::CatchUp);
    hub.heard(id);
    hub.open(writer, "t");
    hub.room(id, 0);
    let value = vec![b'v'; 10_000];
    let mut bytes = 0;
    for seq in 1..=60 {
        hub.publish(writer, seq, &value);
        hub.say(writer, &[ClientFrame::Heartbeat(Heartbeat::default())]);
        hub.wait(5_000);
        hub.room(id, 1_000);
        bytes += hub.sockets.written.remove(&id).map_or(0, |written| written.len());
    }
    assert_eq!((bytes, hub.sockets.closed.contains(&id)), (60_000, false), "it has read for five minutes");
    hub.wait(49_000);
    hub.room(id, usize::MAX);
    hub.say(writer, &[ClientFrame::Heartbeat(Heartbeat::default())]);
    assert!(!hub.sockets.closed.contains(&id));
    hub.wait(80_000);
    assert!(hub.sockets.closed.contains(&id), "it says nothing, and there was nothing to read");
}
