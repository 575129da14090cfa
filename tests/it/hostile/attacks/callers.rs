//! What is asked by HTTP, and events.

use std::io::{self, Read as _, Write as _};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use crate::hostile::attacks::Attack;
use crate::hostile::frames;
use crate::hostile::landscape;
use crate::hostile::stranger::{Target, sent, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "http-slow-bodies",
        does: "begins to publish 200 KB by HTTP on as many sockets as it gets, and sends a byte now and then",
        before: landscape::empty,
        threads: 1,
        worst: slow_bodies,
    },
    Attack {
        name: "http-publish",
        does: "publishes by HTTP with ever new keys for retries, as fast as it is answered, on four connections",
        before: landscape::empty,
        threads: 4,
        worst: publish,
    },
    Attack {
        name: "http-unread-pages",
        does: "asks for pages of long messages by HTTP on as many sockets as it gets, and reads nothing",
        before: landscape::long_messages,
        threads: 1,
        worst: unread_pages,
    },
    Attack {
        name: "http-waits",
        does: "waits for news of new topics on as many sockets as it gets, and goes and comes again",
        before: landscape::empty,
        threads: 1,
        worst: waits,
    },
    Attack {
        name: "events-unread",
        does: "listens to events of large messages on 900 connections and reads nothing",
        before: landscape::empty,
        threads: 1,
        worst: events_unread,
    },
    Attack {
        name: "events-churn",
        does: "listens to events of 64 new topics, and goes, again and again",
        before: landscape::empty,
        threads: 2,
        worst: events_churn,
    },
];

/// Writes that to a new connection; what is not taken at once is an error.
fn begin(target: &Target, request: &[u8]) -> io::Result<TcpStream> {
    let mut socket = target.tcp()?;
    socket.write_all(request)?;
    sent(request);
    Ok(socket)
}

/// Has as many of these as it gets, for a while; where it is turned away it has what it has.
fn hold(target: Target, count: usize, request: impl Fn(usize) -> String) -> Vec<TcpStream> {
    let sockets = (0..count).map(|at| begin(&target, request(at).as_bytes()));
    sockets.map_while(Result::ok).collect()
}

fn slow_bodies(target: Target) -> io::Result<()> {
    let head = |at: usize| {
        format!(
            "POST /v1/topics/slow.{at}/messages HTTP/1.1\r\nhost: {}\r\n\
             content-type: application/octet-stream\r\ncontent-length: 200000\r\n\r\n{}",
            target.hub,
            "x".repeat(100_000)
        )
    };
    let mut sockets = hold(target, SOCKETS, head);
    for _ in 0..100 {
        for socket in &mut sockets {
            let _ = socket.write_all(b"x");
        }
        thread::sleep(HELD / 100);
    }
    Ok(())
}

fn publish(target: Target) -> io::Result<()> {
    let mut socket = target.tcp()?;
    let mut answers = vec![0; 1 << 16];
    loop {
        let one = |_| {
            format!(
                "POST /v1/topics/called/messages HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
                 idempotency-key: {:x}\r\ncontent-length: 1\r\n\r\n1",
                target.hub,
                unique()
            )
        };
        let requests: String = (0..20).map(one).collect();
        socket.write_all(requests.as_bytes())?;
        sent(requests.as_bytes());
        if socket.read(&mut answers)? == 0 {
            return Ok(());
        }
    }
}

fn unread_pages(target: Target) -> io::Result<()> {
    let ask = |at: usize| {
        let topic = format!("{}.{}", ["long"; 7].join("."), 1 + at % 3);
        let one =
            format!("GET /v1/topics/{topic}/messages?limit=1000 HTTP/1.1\r\nhost: {}\r\n\r\n", target.hub);
        one.repeat(3)
    };
    let sockets = hold(target.narrow(), SOCKETS, ask);
    thread::sleep(HELD);
    drop(sockets);
    Ok(())
}

fn waits(target: Target) -> io::Result<()> {
    let ask = |_| {
        format!(
            "GET /v1/topics/news.{:x}/messages?from=latest&wait=50s HTTP/1.1\r\nhost: {}\r\n\r\n",
            unique(),
            target.hub
        )
    };
    let sockets = hold(target, SOCKETS, ask);
    thread::sleep(Duration::from_millis(500));
    drop(sockets);
    Ok(())
}

fn listen(target: &Target, topics: impl Iterator<Item = String>) -> String {
    let topics: String = topics.map(|topic| format!("&topic={topic}")).collect();
    format!(
        "GET /v1/events?from=earliest{topics} HTTP/1.1\r\nhost: {}\r\naccept: text/event-stream\r\n\r\n",
        target.hub
    )
}

fn events_unread(target: Target) -> io::Result<()> {
    let mut writer = target.binary()?;
    let name = |topic: u64| format!("loud.{topic}");
    writer.say(
        &(0..10).map(|topic| frames::open(topic + 1, 0, &name(topic), 1)).collect::<Vec<_>>().concat(),
    )?;
    let listen = listen(&target, (0..10).map(name));
    let (mut listeners, large, began) = (Vec::new(), vec![b'x'; 200_000], Instant::now());
    for seq in 1.. {
        for _ in 0..30 {
            if listeners.len() < CROWD {
                listeners.push(begin(&target.narrow(), listen.as_bytes())?);
            }
        }
        for handle in 1..=10 {
            writer.publish(&frames::publish(handle, seq, &large), 1)?;
        }
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    Ok(())
}

fn events_churn(target: Target) -> io::Result<()> {
    loop {
        let first = unique();
        let listen = listen(&target, (0..64).map(|at| format!("churn.{first:x}.{at}")));
        let mut socket = begin(&target, listen.as_bytes())?;
        let _ = socket.read(&mut [0; 4_096])?;
    }
}

/// More than a hub lets one address have.
const SOCKETS: usize = 1_500;
/// Nearly as many as it lets it have.
const CROWD: usize = 900;
/// Longer than tests go on.
const HELD: Duration = Duration::from_secs(12);
