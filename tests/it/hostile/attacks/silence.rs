//! Connections that say nothing, or half of something, and stay.

use std::io::{self, Write as _};
use std::thread;
use std::time::Duration;

use crate::hostile::attacks::Attack;
use crate::hostile::landscape;
use crate::hostile::stranger::{Speech, Stranger, Target};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "silent-tcp",
        does: "opens sockets, as many as it gets, and says nothing",
        before: landscape::empty,
        threads: 1,
        worst: silent_tcp,
    },
    Attack {
        name: "half-handshakes",
        does: "sends half a handshake on as many sockets as it gets, then a byte now and then",
        before: landscape::empty,
        threads: 1,
        worst: half_handshakes,
    },
    Attack {
        name: "silent-websockets",
        does: "shakes hands 990 times and does not sign in",
        before: landscape::empty,
        threads: 1,
        worst: silent_websockets,
    },
    Attack {
        name: "half-messages",
        does: "sends 1.5 MB of a message on each of 990 connections, and not the rest",
        before: landscape::empty,
        threads: 1,
        worst: half_messages,
    },
];

fn silent_tcp(target: Target) -> io::Result<()> {
    let mut sockets = Vec::new();
    while sockets.len() < SOCKETS {
        sockets.push(target.tcp()?);
    }
    thread::sleep(HELD);
    Ok(())
}

fn half_handshakes(target: Target) -> io::Result<()> {
    let mut sockets = Vec::new();
    while sockets.len() < SOCKETS {
        let mut socket = target.tcp()?;
        socket.write_all(b"GET /v1/ws HTTP/1.1\r\nhost: hub\r\nx: ")?;
        sockets.push(socket);
    }
    for _ in 0..10 {
        for socket in &mut sockets {
            let _ = socket.write_all(b"y");
        }
        thread::sleep(HELD / 10);
    }
    Ok(())
}

fn silent_websockets(target: Target) -> io::Result<()> {
    let mut silent = Vec::new();
    while silent.len() < CONNECTIONS {
        silent.push(target.websocket(Speech::Json)?);
    }
    thread::sleep(HELD);
    Ok(())
}

fn half_messages(target: Target) -> io::Result<()> {
    let mut half = vec![0x82, 0xff];
    half.extend((1_550_000_u64).to_be_bytes());
    half.extend([0; 4]);
    half.extend(vec![b'x'; 1_500_000]);
    let mut halves: Vec<Stranger> = Vec::new();
    while halves.len() < CONNECTIONS {
        let mut stranger = target.binary()?;
        stranger.push(&half)?;
        halves.push(stranger);
    }
    thread::sleep(HELD);
    Ok(())
}

/// More than a hub lets one address have in a handshake.
const SOCKETS: usize = 1_500;
/// As many as one address may have, those aside that are still to be let go.
const CONNECTIONS: usize = 990;
/// Longer than a hub waits for a handshake or a sign-in.
const HELD: Duration = Duration::from_secs(7);
