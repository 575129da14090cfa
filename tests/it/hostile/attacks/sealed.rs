//! By TLS: hands that are shaken in vain, and what connections hold that do nothing.

use std::io::{self, Read as _, Write as _};
use std::thread;
use std::time::{Duration, Instant};

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, LATEST};
use crate::hostile::landscape;
use crate::hostile::stranger::{Sealed, Target, fresh, masked, sent};
use crate::support::socket::handshake_for;

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "tls-handshakes",
        does: "shakes hands by TLS, in full, and leaves, on sixteen threads",
        before: landscape::empty,
        threads: 16,
        worst: handshakes,
    },
    Attack {
        name: "tls-half-handshakes",
        does: "begins to shake hands by TLS on as many sockets as it gets, and says no more",
        before: landscape::empty,
        threads: 1,
        worst: half_handshakes,
    },
    Attack {
        name: "tls-idle",
        does: "signs in on 990 connections by TLS, and says nothing more",
        before: landscape::empty,
        threads: 1,
        worst: idle,
    },
    Attack {
        name: "tls-half-records",
        does: "sends all but the end of a record of 16 KB on each of 990 connections by TLS",
        before: landscape::empty,
        threads: 1,
        worst: half_records,
    },
    Attack {
        name: "tls-slow-readers",
        does: "900 connections by TLS subscribe to topics of large messages and read nothing",
        before: landscape::empty,
        threads: 1,
        worst: slow_readers,
    },
    Attack {
        name: "tls-key-updates",
        does: "asks for other keys in each record, on four connections by TLS",
        before: landscape::empty,
        threads: 4,
        worst: key_updates,
    },
];

fn handshakes(target: Target) -> io::Result<()> {
    loop {
        drop(target.sealed(HTTP1)?);
    }
}

fn half_handshakes(target: Target) -> io::Result<()> {
    let mut begun = Vec::new();
    while begun.len() < SOCKETS {
        let (mut socket, mut tls) = (target.tcp()?, target.tls(HTTP1)?);
        tls.write_tls(&mut socket)?;
        begun.push(socket);
    }
    thread::sleep(HELD);
    Ok(())
}

/// A WebSocket in binary that has signed in.
pub(super) fn signed_in(target: &Target) -> io::Result<Sealed> {
    let mut socket = target.sealed(HTTP1)?;
    socket.write_all(handshake_for("tidewire.v1", "").as_bytes())?;
    push(&mut socket, &masked(0x82, &frames::hello(&fresh(), 1)))?;
    let mut said: Vec<u8> = Vec::new();
    // The answer to the request, and a `welcome`.
    while !said.windows(5).any(|bytes| bytes[..4] == *b"\r\n\r\n") {
        let mut some = [0; 4_096];
        match socket.read(&mut some)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            count => said.extend(&some[..count]),
        }
    }
    Ok(socket)
}

pub(super) fn push(socket: &mut Sealed, bytes: &[u8]) -> io::Result<()> {
    sent(bytes);
    socket.write_all(bytes)?;
    socket.flush()
}

fn idle(target: Target) -> io::Result<()> {
    let idle: io::Result<Vec<_>> = (0..CONNECTIONS).map(|_| signed_in(&target)).collect();
    thread::sleep(HELD);
    drop(idle?);
    Ok(())
}

fn half_records(target: Target) -> io::Result<()> {
    let mut halves = Vec::new();
    while halves.len() < CONNECTIONS {
        let mut socket = signed_in(&target)?;
        let pings = masked(0x89, &[b'p'; 125]).repeat(120);
        socket.conn.writer().write_all(&pings)?;
        let mut record = Vec::new();
        socket.conn.write_tls(&mut record)?;
        record.pop();
        socket.sock.write_all(&record)?;
        sent(&record);
        halves.push(socket);
    }
    thread::sleep(HELD);
    Ok(())
}

fn slow_readers(target: Target) -> io::Result<()> {
    let mut writer = signed_in(&target)?;
    let name = |topic: u64| format!("slow.{topic}");
    let open: Vec<_> = (0..10).map(|topic| frames::open(topic + 1, 0, &name(topic), 1)).collect();
    push(&mut writer, &masked(0x82, &open.concat()))?;
    let hear: Vec<_> = (0..10).map(|topic| frames::subscribe(topic + 1, &name(topic), LATEST, 0)).collect();
    let hear = masked(0x82, &hear.concat());
    let (mut readers, large, began) = (Vec::new(), vec![b'x'; 200_000], Instant::now());
    for seq in 1.. {
        for _ in 0..10 {
            if readers.len() < CROWD {
                let mut reader = signed_in(&target.narrow())?;
                push(&mut reader, &hear)?;
                readers.push(reader);
            }
        }
        for handle in 1..=10 {
            push(&mut writer, &masked(0x82, &frames::publish(handle, seq, &large)))?;
        }
        let _ = writer.read(&mut [0; 1 << 16])?;
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    Ok(())
}

fn key_updates(target: Target) -> io::Result<()> {
    let mut socket = signed_in(&target)?;
    let ping = masked(0x89, b"p");
    for round in 0.. {
        socket.conn.refresh_traffic_keys().map_err(io::Error::other)?;
        push(&mut socket, &ping)?;
        if round % 100 == 99 {
            let _ = socket.read(&mut [0; 1 << 16])?;
        }
    }
    Ok(())
}

const HTTP1: &[u8] = b"http/1.1";
/// More than a hub lets one address have in a handshake.
const SOCKETS: usize = 1_500;
/// As many as one address may have, those aside that are still to be let go.
const CONNECTIONS: usize = 990;
/// Nearly as many.
const CROWD: usize = 900;
/// Longer than a hub waits for a handshake.
const HELD: Duration = Duration::from_secs(7);
