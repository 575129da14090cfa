//! Before a connection speaks WebSocket: who is let in, and what silence, floods and nonsense cost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::support::eventually;
use crate::support::hub::Hub;
use crate::support::neighbour::Neighbour;
use crate::support::socket::{RawSocket, handshake};

#[track_caller]
fn check(hub: &Hub, request: &str, status: u16, says: &str) {
    let mut socket = RawSocket::connect(hub.address);
    let head = socket.ask(request);
    assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{head}");
    if status != 101 {
        let length = header(&head, "content-length").map_or(0, |length| length.parse().unwrap());
        let body = socket.body(length);
        assert!(body.contains(says), "{body:?} does not say {says:?}");
    }
}

#[test]
fn only_pages_of_this_machine_connect_to_a_dev_hub() {
    let hub = Hub::dev();
    for origin in ["http://localhost:5173", "http://127.0.0.1:7700", "http://[::1]:80", "https://localhost"] {
        check(&hub, &handshake(&format!("origin: {origin}\r\n")), 101, "");
    }
    for origin in
        ["https://evil.test", "null", "http://localhost.evil.test", "http://127.0.0.1.evil.test", ""]
    {
        check(&hub, &handshake(&format!("origin: {origin}\r\n")), 403, "origin");
    }
    check(&hub, &handshake("origin: http://localhost\r\norigin: https://evil.test\r\n"), 403, "origin");
    check(&hub, &handshake(""), 101, "");
}

#[test]
fn only_listed_pages_connect_elsewhere_and_programs_need_a_rule() {
    let hub = Hub::start(&[], &[("TIDEWIRE_ORIGINS", "https://app.example.com")]);
    check(&hub, &handshake("origin: https://app.example.com\r\n"), 101, "");
    for line in ["origin: https://app.example.com.evil.test\r\n", "origin: http://localhost\r\n", ""] {
        check(&hub, &handshake(line), 403, "origin");
    }
    let hub = Hub::start(&[], &[("TIDEWIRE_ALLOW_NO_ORIGIN", "true")]);
    check(&hub, &handshake(""), 101, "");
}

#[test]
fn a_handshake_that_lacks_something_is_told_what() {
    let hub = Hub::dev();
    let without = |line: &str| handshake("").replace(line, "");
    check(&hub, &without("upgrade: websocket\r\n"), 426, "Upgrade");
    check(&hub, &without("sec-websocket-version: 13\r\n"), 426, "13");
    check(&hub, &without("sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n"), 400, "Sec-WebSocket-Key");
    check(&hub, &without("sec-websocket-protocol: tidewire.v1.json\r\n"), 400, "tidewire.v1");
    check(&hub, &handshake("").replace("GET", "POST"), 405, "GET");
    check(&hub, &handshake("content-length: 5\r\n"), 400, "body");
    check(&hub, &handshake("transfer-encoding: chunked\r\n"), 400, "body");
}

#[test]
fn huge_many_and_malformed_headers_are_refused() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    let before = hub.memory();
    check(&hub, &handshake(&format!("x: {}\r\n", "y".repeat(1 << 20))), 431, "");
    check(&hub, &handshake(&"x: y\r\n".repeat(500)), 431, "");
    check(&hub, &format!("GET /{} HTTP/1.1\r\n\r\n", "y".repeat(1 << 20)), 431, "");
    for nonsense in
        ["\0\0\0\0\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET  /v1/ws\r\n\r\n", "G\u{e9}T / HTTP/1.1\r\n\r\n"]
    {
        check(&hub, nonsense, 400, "");
    }
    check(&hub, &handshake("no colon\r\n"), 400, "");
    assert!(hub.memory() < before + (16 << 20));
    neighbour.was_undisturbed();
}

#[test]
fn silence_before_the_handshake_is_ended() {
    let hub = Hub::dev_with(&[("handshake_ms", 300)]);
    let neighbour = Neighbour::of(&hub);
    let mut silent = RawSocket::connect(hub.address);
    let mut half = RawSocket::connect(hub.address);
    half.send(b"GET /v1/ws HTTP/1.1\r\nhost: hub\r\n");
    let began = Instant::now();
    silent.rest();
    half.rest();
    assert!(began.elapsed() < Duration::from_secs(5));
    neighbour.was_undisturbed();
}

#[test]
fn a_trickle_of_headers_does_not_keep_a_connection() {
    let hub = Hub::dev_with(&[("handshake_ms", 300)]);
    let mut slow = RawSocket::connect(hub.address);
    slow.send(b"GET /v1/ws HTTP/1.1\r\n");
    eventually("the trickling connection is closed", || slow.push(b"x: y\r\n").is_err());
}

#[test]
fn silence_after_the_handshake_is_ended() {
    let hub = Hub::dev_with(&[("sign_in_ms", 300)]);
    let mut silent = RawSocket::json(hub.address);
    assert_eq!(silent.close_code(), Some(4_003), "sign_in_timeout");
}

#[test]
fn one_address_cannot_take_all_connections() {
    let limits = [("TIDEWIRE_LIMITS_CONNECTIONS_PER_ADDRESS_MAX", "3"), ("TIDEWIRE_ALLOW_NO_ORIGIN", "true")];
    let hub = Hub::start(&[], &limits);
    let enter = |from: u8| {
        let from = IpAddr::V4(Ipv4Addr::new(127, 0, 0, from));
        let mut socket = RawSocket::connect_from(from, hub.address);
        let head = socket.ask(&handshake(""));
        (socket, head)
    };
    let mut inside: Vec<_> = (0..3).map(|_| enter(2)).collect();
    assert!(inside.iter().all(|(_, head)| head.starts_with("HTTP/1.1 101 ")));
    let (_, refused) = enter(2);
    assert!(refused.starts_with("HTTP/1.1 503 ") && header(&refused, "retry-after").is_some(), "{refused}");
    assert!(enter(3).1.starts_with("HTTP/1.1 101 "));
    inside.pop();
    eventually("the seat is free again", || enter(2).1.starts_with("HTTP/1.1 101 "));
}

#[test]
fn a_full_hub_says_when_to_come_back() {
    let hub = Hub::dev_with(&[("connections_max", 2)]);
    let _inside = [RawSocket::json(hub.address), RawSocket::json(hub.address)];
    let refused = RawSocket::connect(hub.address).ask(&handshake(""));
    assert!(refused.starts_with("HTTP/1.1 503 ") && header(&refused, "retry-after").is_some(), "{refused}");
}

#[test]
fn a_flood_of_half_open_handshakes_leaves_room_for_others() {
    let limits = [("TIDEWIRE_LIMITS_HANDSHAKES_PER_ADDRESS_MAX", "50"), ("TIDEWIRE_ALLOW_NO_ORIGIN", "true")];
    let hub = Hub::start(&[], &limits);
    let before = hub.memory();
    let attacker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let mut flood: Vec<_> = (0..300).map(|_| RawSocket::connect_from(attacker, hub.address)).collect();
    for socket in &mut flood {
        socket.send(b"GET /v1/ws HTTP/1.1\r\n");
    }
    let refused = RawSocket::connect_from(attacker, hub.address).ask("");
    assert!(refused.is_empty() || refused.starts_with("HTTP/1.1 503 "), "{refused}");
    assert!(RawSocket::connect(hub.address).ask(&handshake("")).starts_with("HTTP/1.1 101 "));
    assert!(hub.memory() < before + 300 * (16 << 10) + (4 << 20));
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    let line = head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
    line.map(str::trim)
}
