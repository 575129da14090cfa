//! Small things, as often as a connection carries them.

use std::io::{self, Write as _};

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, LATEST, SUBSCRIBED};
use crate::hostile::landscape;
use crate::hostile::stranger::{Speech, Target, masked};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "connections",
        does: "connects, signs in and leaves, in order or with a reset",
        before: landscape::empty,
        threads: 4,
        worst: connections,
    },
    Attack {
        name: "subscribe-storm",
        does: "subscribes to 500 topics and unsubscribes, over and over",
        before: landscape::empty,
        threads: 2,
        worst: subscribe_storm,
    },
    Attack {
        name: "heartbeats",
        does: "asks for heartbeats, and pings, by the thousand, and reads the answers",
        before: landscape::empty,
        threads: 2,
        worst: heartbeats,
    },
    Attack {
        name: "http",
        does: "asks for /metrics, /healthz and what is not there, without end",
        before: landscape::empty,
        threads: 4,
        worst: http,
    },
];

fn connections(target: Target) -> io::Result<()> {
    loop {
        let _ = target.tcp()?;
        let mut stranger = target.binary()?;
        stranger.say(&frames::subscribe(1, "neighbour.*", LATEST, 0))?;
        stranger.reset()?;
        let mut stranger = target.websocket(Speech::Json)?;
        stranger.push(&masked(0x88, &1_000_u16.to_be_bytes()))?;
    }
}

fn subscribe_storm(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    let ask = |request| frames::subscribe(request, &format!("storm.{request}"), LATEST, 0);
    let ask: Vec<_> = (1..=500).map(ask).collect();
    loop {
        stranger.say(&ask.concat())?;
        let mut tails = Vec::new();
        while tails.len() < ask.len() {
            let heard = stranger.hear()?;
            tails.extend(heard.iter().filter(|frame| frame.kind == SUBSCRIBED).map(|frame| frame.number(2)));
        }
        let leave = tails.iter().map(|tail| frames::unsubscribe(1, *tail));
        stranger.say(&leave.collect::<Vec<_>>().concat())?;
    }
}

fn heartbeats(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    let (beats, pings) = (frames::heartbeat(1).repeat(5_000), masked(0x89, &[b'p'; 100]).repeat(500));
    loop {
        stranger.say(&beats)?;
        stranger.push(&pings)?;
    }
}

fn http(target: Target) -> io::Result<()> {
    let paths = ["/metrics", "/healthz", "/", "/v1/ws", "/nothing/../here?x=%00"];
    for path in paths.iter().cycle() {
        let mut socket = target.tcp()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: hub\r\n\r\n");
        // Several at once; the last answers are not waited for.
        socket.write_all(request.repeat(20).as_bytes())?;
        let _ = io::Read::read(&mut socket, &mut [0; 65_536])?;
    }
    Ok(())
}
