//! What bytes on an open WebSocket can do: each class of malice gets its documented close code, costs bounded
//! memory, and disturbs nobody else.

use serde_json::json;

use crate::support::eventually;
use crate::support::hub::Hub;
use crate::support::neighbour::Neighbour;
use crate::support::socket::{RawSocket, Received, client_frame};

const PROTOCOL_ERROR: u16 = 1002;
const BAD_UTF8: u16 = 1007;
const TOO_BIG: u16 = 1009;
const BAD_FRAME: u16 = 4001;
const NOT_SIGNED_IN: u16 = 4002;
const TOO_SLOW: u16 = 4016;

/// What an attack may cost on top of a hub's usual memory.
const MEMORY_MAX: u64 = 16 << 20;

#[track_caller]
fn check_closed(hub: &Hub, bytes: &[u8], code: u16) {
    let mut socket = RawSocket::signed_in(hub.address);
    socket.send(bytes);
    assert_eq!(socket.close_code(), Some(code));
}

/// A header that announces so many bytes, and none of them.
fn announced(first: u8, length: u64) -> Vec<u8> {
    let mut header = vec![first, 0xff];
    header.extend(length.to_be_bytes());
    header.extend([1, 2, 3, 4]);
    header
}

#[test]
fn frames_that_break_websocket_are_told_how() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    check_closed(&hub, &[0x81, 0x02, b'{', b'}'], PROTOCOL_ERROR); // not masked
    check_closed(&hub, &client_frame(0xc1, b"{}"), PROTOCOL_ERROR); // a reserved bit
    check_closed(&hub, &client_frame(0x83, b"{}"), PROTOCOL_ERROR); // a reserved opcode
    check_closed(&hub, &client_frame(0x80, b"{}"), PROTOCOL_ERROR); // continues nothing
    check_closed(&hub, &[client_frame(0x01, b"{"), client_frame(0x81, b"{}")].concat(), PROTOCOL_ERROR);
    check_closed(&hub, &client_frame(0x89, &[0; 126]), PROTOCOL_ERROR); // a ping of more than 125 bytes
    check_closed(&hub, &client_frame(0x09, b""), PROTOCOL_ERROR); // a fragmented ping
    check_closed(&hub, &client_frame(0x88, &[1]), PROTOCOL_ERROR); // half a close code
    check_closed(&hub, &client_frame(0x81, &[b'"', 0xff, b'"']), BAD_UTF8);
    neighbour.was_undisturbed();
}

#[test]
fn lengths_beyond_reason_are_refused_by_their_header() {
    let hub = Hub::dev();
    check_closed(&hub, &announced(0x82, u64::MAX), PROTOCOL_ERROR);
    check_closed(&hub, &announced(0x82, 1 << 63), PROTOCOL_ERROR);
    check_closed(&hub, &announced(0x82, (1 << 63) - 1), TOO_BIG);
    check_closed(&hub, &announced(0x82, 1 << 32), TOO_BIG);
    check_closed(&hub, &announced(0x82, 2 << 20), TOO_BIG);
}

#[test]
fn memory_follows_what_came_and_not_what_was_announced() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    let mut sockets: Vec<_> = (0..100).map(|_| RawSocket::signed_in(hub.address)).collect();
    let before = hub.memory();
    for socket in &mut sockets {
        socket.send(&announced(0x81, 250 << 10));
        socket.send(b"x");
    }
    // By the end of the neighbour's rounds the hub has long read it.
    neighbour.was_undisturbed();
    // All of what was announced would be 25 MB.
    assert!(hub.memory() < before + (4 << 20), "{} -> {}", before, hub.memory());
}

#[test]
fn a_message_in_too_many_or_too_large_fragments_is_refused() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    let before = hub.memory();
    let mut tiny = client_frame(0x01, b"");
    for _ in 0..65_536 {
        tiny.extend(client_frame(0x00, b""));
    }
    check_closed(&hub, &tiny, TOO_BIG);
    let mut large = client_frame(0x01, b"x");
    for _ in 0..100 {
        large.extend(client_frame(0x00, &[b'x'; 16 << 10]));
    }
    check_closed(&hub, &large, TOO_BIG);
    assert!(hub.memory() < before + (8 << 20));
    neighbour.was_undisturbed();
}

#[test]
fn pings_whose_pongs_are_not_read_end_the_connection() {
    let hub = Hub::dev_with(&[
        ("outbox_bytes_max", 64 << 10),
        ("message_bytes_max", 4 << 10),
        ("page_bytes_max", 32 << 10),
        ("close_ms", 200),
    ]);
    let neighbour = Neighbour::of(&hub);
    let before = hub.memory();
    let flood = client_frame(0x89, &[b'p'; 125]).repeat(10_000);
    let mut sockets: Vec<_> = (0..20).map(|_| RawSocket::signed_in(hub.address)).collect();
    for socket in &mut sockets {
        eventually("the flood is cut off", || socket.push(&flood).is_err());
    }
    // Unbounded, it would be what the sockets were sent: 26 MB at least.
    assert!(hub.memory() < before + MEMORY_MAX, "{before} -> {}", hub.memory());
    neighbour.was_undisturbed();
    // What a socket had taken before is still there to be read; the reason comes last, or is lost in a reset.
    assert!(sockets.iter_mut().all(|socket| matches!(socket.close_code(), Some(TOO_SLOW) | None)));
}

#[test]
fn pings_and_pongs_that_are_read_are_answered() {
    let hub = Hub::dev();
    let mut socket = RawSocket::signed_in(hub.address);
    socket.send(&client_frame(0x8a, b"nobody asked").repeat(10_000));
    socket.send(&client_frame(0x89, b"here?"));
    assert_eq!(socket.receive(), Received::Pong(b"here?".to_vec()));
}

#[test]
fn nothing_counts_after_a_close() {
    let hub = Hub::dev();
    let mut socket = RawSocket::signed_in(hub.address);
    let close = client_frame(0x88, &1000_u16.to_be_bytes());
    socket.send(&[close.repeat(1_000), client_frame(0x81, b"{\"type\":\"heartbeat\"}")].concat());
    assert_eq!(socket.receive(), Received::Close(1000));
    assert_eq!(socket.receive(), Received::End);
}

#[test]
fn nonsense_in_sound_frames_is_a_bad_frame() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    let text = |text: &str| client_frame(0x81, text.as_bytes());
    check_closed(&hub, &text("{"), BAD_FRAME);
    check_closed(&hub, &text("[[[[]]]]"), BAD_FRAME);
    check_closed(&hub, &text(&"[".repeat(100_000)), BAD_FRAME);
    check_closed(&hub, &text(&format!("[{}{{}}]", "0,".repeat(100_000))), BAD_FRAME);
    check_closed(&hub, &text("{\"type\":\"subscribe\",\"request\":-1,\"name\":\"a\"}"), BAD_FRAME);
    check_closed(&hub, &text("{\"type\":\"subscribe\",\"request\":1e300,\"name\":\"a\"}"), BAD_FRAME);
    check_closed(&hub, &client_frame(0x82, b"binary to a hub that was told JSON"), BAD_FRAME);
    neighbour.was_undisturbed();
}

#[test]
fn deep_json_is_carried_and_not_followed() {
    let hub = Hub::dev();
    let mut socket = RawSocket::signed_in(hub.address);
    socket.say(json!({"type": "open", "handle": 1, "topic": "deep", "lowest": 1}));
    socket.hear_of("opened");
    let deep = format!("{}{}", "[".repeat(50_000), "]".repeat(50_000));
    let publish = format!("{{\"type\":\"publish\",\"handle\":1,\"seq\":1,\"data\":{deep}}}");
    socket.send(&client_frame(0x81, publish.as_bytes()));
    // Either is sound: to store what is not looked into, or to refuse it.
    assert!(matches!(socket.receive(), Received::Text(_) | Received::Close(BAD_FRAME)));
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
}

#[test]
fn nothing_is_said_before_sign_in() {
    let hub = Hub::dev();
    let mut socket = RawSocket::json(hub.address);
    socket.say(json!({"type": "subscribe", "request": 1, "name": "a"}));
    assert_eq!(socket.close_code(), Some(NOT_SIGNED_IN));
}

#[test]
fn a_stranger_holds_little_memory() {
    let hub = Hub::dev();
    let mut sockets: Vec<_> = (0..100).map(|_| RawSocket::json(hub.address)).collect();
    let before = hub.memory();
    let mut half = announced(0x81, 250 << 10);
    half.extend(vec![b' '; 200 << 10]);
    for socket in &mut sockets {
        socket.send(&half);
    }
    let mut closed = 0;
    for socket in &mut sockets {
        closed += usize::from(socket.close_code() == Some(TOO_BIG));
    }
    assert_eq!(closed, 100, "a first message of more than 16 KB is refused");
    assert!(hub.memory() < before + 100 * (16 << 10) + (4 << 20));
}

#[test]
fn names_that_are_no_names_are_refused_and_nothing_else_happens() {
    let hub = Hub::dev();
    let mut socket = RawSocket::signed_in(hub.address);
    let names =
        ["", ".", "a..b", "a b", "a\r\nb", "a\0b", "a\u{2028}b", "a>", "*a", ">.a", "a.>.b", "\u{7f}"];
    for (request, name) in (1..).zip(names) {
        socket.say(json!({"type": "subscribe", "request": request, "name": name}));
        let answer = socket.hear();
        assert_eq!(
            (&answer["type"], &answer["code"]),
            (&json!("failed"), &json!("bad_name")),
            "{name:?}: {answer}"
        );
    }
    for (handle, name) in (1..).zip(["a.*", ">", "", "a b", "$hub.x"]) {
        socket.say(json!({"type": "open", "handle": handle, "topic": name, "lowest": 1}));
        assert_eq!(socket.hear()["type"], "refused", "{name:?}");
    }
    let deep = vec!["a"; 100].join(".");
    socket.say(json!({"type": "subscribe", "request": 99, "name": deep}));
    assert_eq!(socket.hear()["code"], "bad_name");
    assert_eq!(hub.metric("tidewire_topics"), 0);
}

#[test]
fn subscriptions_and_patterns_are_counted() {
    let hub = Hub::dev_with(&[("subscriptions_max", 20), ("patterns_max", 5)]);
    let mut socket = RawSocket::signed_in(hub.address);
    let mut ask = |request: u64, name: String| {
        socket.say(json!({"type": "subscribe", "request": request, "name": name}));
        socket.hear()["type"].as_str().unwrap().to_owned()
    };
    for n in 1..=5 {
        assert_eq!(ask(n, format!("a.*.{n}")), "subscribed");
    }
    assert_eq!(ask(6, "a.*.6".into()), "failed");
    for n in 6..=20 {
        assert_eq!(ask(n, format!("a.{n}")), "subscribed");
    }
    assert_eq!(ask(21, "a.21".into()), "failed");
}
