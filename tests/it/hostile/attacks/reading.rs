//! Readers: those that ask and do not read, and those that ask for what costs most.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, EARLIEST, Frame, LATEST};
use crate::hostile::landscape;
use crate::hostile::stranger::{Stranger, Target, masked, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "json-pages",
        does: "publishes control characters and asks for pages of them in JSON",
        before: landscape::empty,
        threads: 1,
        worst: json_pages,
    },
    Attack {
        name: "tiny-blocks",
        does: "catches up through 40,000 blocks of one message, on eight connections",
        before: landscape::tiny_blocks,
        threads: 8,
        worst: tiny_blocks,
    },
    Attack {
        name: "unread-answers",
        does: "asks on 900 connections and reads nothing",
        before: landscape::much_history,
        threads: 1,
        worst: unread_answers,
    },
    Attack {
        name: "unread-pongs",
        does: "pings on 900 connections and reads no pong",
        before: landscape::empty,
        threads: 1,
        worst: unread_pongs,
    },
    Attack {
        name: "slow-readers",
        does: "900 connections subscribe to topics of large messages and read nothing",
        before: landscape::empty,
        threads: 1,
        worst: slow_readers,
    },
    Attack {
        name: "when-slow",
        does: "the same, asking to skip, to be disconnected, and for what is not known",
        before: landscape::empty,
        threads: 1,
        worst: when_slow,
    },
    Attack {
        name: "pinned-blocks",
        does: "900 connections, half in JSON, stop amid large texts that somebody else publishes, each amid another",
        before: landscape::empty,
        threads: 1,
        worst: pinned_blocks,
    },
    Attack {
        name: "stalled-audience",
        does: "900 connections subscribe to what the neighbour publishes and read nothing",
        before: landscape::empty,
        threads: 1,
        worst: stalled_audience,
    },
    Attack {
        name: "absurd-starts",
        does: "asks for the last 2^53, since 1970, after places that never were, from 10,000 places",
        before: landscape::much_history,
        threads: 1,
        worst: absurd_starts,
    },
];

fn json_pages(target: Target) -> io::Result<()> {
    let topic = format!("control.{:x}", unique());
    let mut writer = target.binary()?;
    writer.say(&frames::open(1, 0, &topic, 1))?;
    for seq in 1..=8 {
        // As text, which JSON has to write out: six bytes for one.
        let text = Frame::of(5).number(1, 1).number(2, seq).number(3, seq).number(4, 2);
        writer.publish(&text.bytes(7, &[1; 200_000]).done(), 1)?;
    }
    let ask = format!(r#"{{"type":"history","request":1,"name":"{topic}","from":"earliest"}}"#);
    let mut reader = target.json()?;
    reader.drain()?;
    loop {
        reader.say(format!("[{}]", [ask.as_str(); 50].join(",")).as_bytes())?;
    }
}

fn tiny_blocks(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::subscribe(1, "tiny", EARLIEST, 0))?;
    stranger.swallow(800_000)
}

/// Opens connections one after another, and keeps those that still hold.
fn crowd(target: Target, mut each: impl FnMut(&mut Stranger) -> io::Result<()>) -> io::Result<()> {
    let mut crowd = Vec::new();
    while crowd.len() < CROWD {
        let mut stranger = target.binary()?;
        each(&mut stranger)?;
        crowd.push(stranger);
    }
    loop {
        for stranger in &mut crowd {
            if each(stranger).is_err() {
                *stranger = target.binary()?;
            }
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn unread_answers(target: Target) -> io::Result<()> {
    let pages = frames::history(1, "load.t000001", EARLIEST).repeat(150);
    let beats = frames::heartbeat(1).repeat(20_000);
    crowd(target.narrow(), |stranger| {
        stranger.say(&pages)?;
        stranger.say(&beats)
    })
}

fn unread_pongs(target: Target) -> io::Result<()> {
    let pings = masked(0x89, &[b'p'; 125]).repeat(2_000);
    crowd(target.narrow(), |stranger| stranger.push(&pings))
}

fn slow_readers(target: Target) -> io::Result<()> {
    pin(target, &[0])
}

fn when_slow(target: Target) -> io::Result<()> {
    pin(target, &[1, 2, 3, 4, 9_999])
}

/// Publishes large messages before readers that do not read, who asked for these policies.
fn pin(target: Target, policies: &[u64]) -> io::Result<()> {
    let mut writer = target.binary()?;
    writer.say(
        &(0..10).map(|topic| frames::open(topic + 1, 0, &slow(topic), 1)).collect::<Vec<_>>().concat(),
    )?;
    let mut readers = Vec::new();
    let large = vec![b'x'; 200_000];
    let (mut seq, began) = (1, Instant::now());
    while began.elapsed() < Duration::from_secs(5) {
        for _ in 0..30 {
            if readers.len() < CROWD {
                let mut reader = target.narrow().binary()?;
                let policy = policies[readers.len() % policies.len()];
                let one = |topic| frames::subscribe(topic + 1, &slow(topic), LATEST, policy);
                reader.say(&(0..10).map(one).collect::<Vec<_>>().concat())?;
                readers.push(reader);
            }
        }
        for handle in 1..=10 {
            writer.publish(&frames::publish(handle, seq, &large), 1)?;
        }
        seq += 1;
    }
    Ok(())
}

fn pinned_blocks(target: Target) -> io::Result<()> {
    let topic = format!("innocent.{:x}", unique());
    let mut writer = Target::new(target.hub, INNOCENT).binary()?;
    writer.say(&frames::open(1, 0, &topic, 1))?;
    let mut readers = Vec::new();
    for seq in 1.. {
        // The oldest make room for others: what they stopped amid has long left its topic.
        readers.drain(..usize::from(readers.len() == CROWD));
        let narrow = target.narrow();
        let mut reader = if seq % 2 == 0 { narrow.binary()? } else { narrow.json()? };
        let ask = format!(r#"{{"type":"subscribe","request":1,"name":"{topic}"}}"#);
        let frame = frames::subscribe(1, &topic, LATEST, 0);
        reader.say(if seq % 2 == 0 { &frame } else { ask.as_bytes() })?;
        reader.message()?;
        readers.push(reader);
        let text = Frame::of(5).number(1, 1).number(2, seq).number(3, seq).number(4, 2);
        writer.publish(&text.bytes(7, &[1; 200_000]).done(), 1)?;
    }
    Ok(())
}

fn slow(topic: u64) -> String {
    format!("slow.{topic}")
}

fn stalled_audience(target: Target) -> io::Result<()> {
    let hear = [
        frames::subscribe(1, "neighbour.steady", LATEST, 0),
        frames::subscribe(2, "neighbour.*", EARLIEST, 0),
        frames::subscribe(3, "*.steady", EARLIEST, 1),
    ];
    let mut first = 0;
    crowd(target.narrow(), |stranger| {
        first += 1;
        if first <= CROWD { stranger.say(&hear.concat()) } else { Ok(()) }
    })
}

fn absurd_starts(target: Target) -> io::Result<()> {
    let most = (1 << 53) - 1;
    let nowhere = |epoch: u64, offset| frames::after(&epoch.to_le_bytes(), offset);
    let mut starts = vec![
        frames::start(2, most),
        frames::start(2, 0),
        frames::start(3, most),
        frames::start(3, u64::from(u32::MAX)),
        nowhere(0, 0),
        nowhere(u64::MAX, most),
    ];
    let places: Vec<_> = (0..10_000_u64).map(|n| nowhere(n, n)[1..].to_vec()).collect();
    starts.push([vec![4], places.concat()].concat());
    let mut stranger = target.binary()?;
    stranger.drain()?;
    loop {
        for name in ["load.t000001", "load.*", ">", "nobody.knows"] {
            for start in &starts {
                let ask = frames::history(1, name, start);
                stranger.say(&ask.repeat(if start.len() > 100 { 1 } else { 50 }))?;
                stranger.say(&frames::subscribe(1, name, start, 0))?;
            }
        }
    }
}

/// Where somebody comes from who means no harm.
const INNOCENT: [u8; 4] = [127, 0, 0, 3];
/// Nearly as many connections as one address may have.
const CROWD: usize = 900;
