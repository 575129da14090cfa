//! Subscribers that stop reading, come back, or live through the hub's end.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::hub::Hub;
use crate::support::neighbour::Neighbour;
use crate::support::socket::RawSocket;

/// Subscribes and returns the answer.
fn subscribe(socket: &mut RawSocket, name: &str, from: Value) -> Value {
    socket.say(json!({"type": "subscribe", "request": 1, "name": name, "from": from}));
    socket.hear_of("subscribed")
}

/// Publishes texts of `bytes` bytes each under handle 1, and waits for the last ack.
fn publish(socket: &mut RawSocket, topic: &str, count: u64, bytes: usize) {
    socket.say(json!({"type": "open", "handle": 1, "topic": topic, "lowest": 1}));
    let first = socket.hear_of("opened")["next"].as_u64().unwrap();
    let text = "x".repeat(bytes);
    for seq in first..first + count {
        socket.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "text": text}));
        socket.hear_of("acked");
    }
}

/// Reads blocks until so many messages have come; their offsets.
fn offsets(socket: &mut RawSocket, count: usize) -> Vec<u64> {
    let mut offsets = Vec::new();
    while offsets.len() < count {
        let block = socket.hear_of("block");
        let messages = block["messages"].as_array().unwrap();
        offsets.extend(messages.iter().map(|message| message["offset"].as_u64().unwrap()));
    }
    offsets
}

#[test]
fn one_that_stops_reading_disturbs_nobody_and_costs_little() {
    let hub = Hub::dev();
    let mut stalled: Vec<_> = (0..20).map(|_| RawSocket::signed_in(hub.address)).collect();
    for socket in &mut stalled {
        subscribe(socket, "big", json!("latest"));
    }
    let neighbour = Neighbour::of(&hub);
    let mut publisher = RawSocket::signed_in(hub.address);
    let before = hub.memory();
    // 48 MB, of which the topic keeps 16 MiB, in both encodings; a queue for each subscriber would hold 960 MB.
    publish(&mut publisher, "big", 400, 120 << 10);
    assert!(hub.memory() < before + (128 << 20), "{before} -> {}", hub.memory());
    neighbour.was_undisturbed();
    // They come back to it and are told what they missed.
    let socket = &mut stalled[0];
    let mut gap = false;
    eventually("the stalled subscriber hears of a gap", || {
        let frame = socket.hear();
        let frames = frame.as_array().cloned().unwrap_or_else(|| vec![frame]);
        gap |= frames.iter().any(|frame| frame["type"] == "missing");
        gap
    });
}

#[test]
fn a_resume_brings_everything_after_the_asked_place() {
    let hub = Hub::dev();
    let mut publisher = RawSocket::signed_in(hub.address);
    publish(&mut publisher, "t", 10, 5);
    let mut socket = RawSocket::signed_in(hub.address);
    let epoch = subscribe(&mut socket, "t", json!("latest"))["positions"][0]["epoch"].clone();
    let mut returned = RawSocket::signed_in(hub.address);
    let from = json!({"after": [{"epoch": epoch, "offset": 4}]});
    let answer = subscribe(&mut returned, "t", from);
    assert_eq!(answer["outcome"], "resumed", "{answer}");
    let came: Vec<_> = offsets(&mut returned, 6).into_iter().filter(|offset| *offset > 4).collect();
    assert_eq!(came, [5, 6, 7, 8, 9, 10]);
}

#[test]
fn a_hub_that_was_killed_comes_back_as_another_log() {
    let hub = Hub::dev();
    let mut publisher = RawSocket::signed_in(hub.address);
    publish(&mut publisher, "t", 3, 5);
    let mut socket = RawSocket::signed_in(hub.address);
    let before = subscribe(&mut socket, "t", json!("latest"));
    let hub = hub.kill_and_restart();
    assert_eq!(socket.close_code(), None);
    let mut returned = RawSocket::signed_in(hub.address);
    let answer = subscribe(&mut returned, "t", json!({"after": before["positions"]}));
    assert_eq!(answer["outcome"], "gap");
    assert_eq!(answer["gap"]["reason"], "epoch_changed");
    assert_ne!(answer["positions"][0]["epoch"], before["positions"][0]["epoch"]);
}

#[test]
fn a_hub_that_stops_tells_its_clients_when_to_return_and_leaves_in_order() {
    let mut hub = Hub::dev();
    let mut clients: Vec<_> = (0..10).map(|_| RawSocket::signed_in(hub.address)).collect();
    hub.signal("TERM");
    let mut delays: Vec<_> = clients
        .iter_mut()
        .map(|client| {
            let goodbye = client.hear_of("goodbye");
            assert_eq!(goodbye["code"], "draining");
            goodbye["reconnect_after_ms"].as_u64().unwrap()
        })
        .collect();
    delays.sort_unstable();
    assert!(delays[0] < delays[9] && delays[9] <= 10_000, "not spread: {delays:?}");
    assert!(delays[0] >= 1_000, "who comes at once meets the hub that stops: {delays:?}");
    for client in &mut clients {
        assert_eq!(client.close_code(), Some(4_015));
    }
    drop(clients);
    assert!(hub.wait().success());
    hub.says("stopped");
}

#[test]
fn health_tells_of_the_stop_while_clients_linger() {
    let mut hub = Hub::dev();
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    // It never reads and never closes, so the hub waits for it.
    let lingering = RawSocket::signed_in(hub.address);
    hub.signal("TERM");
    hub.says("stopping");
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 503 "));
    assert!(hub.get("/v1/ws").starts_with("HTTP/1.1 "));
    hub.signal("TERM");
    assert!(!hub.wait().success(), "a second signal does not wait");
    drop(lingering);
}
