//! Patterns: each question looks small, and touches every topic that it matches.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, EARLIEST, LATEST, SUBSCRIBED};
use crate::hostile::landscape;
use crate::hostile::stranger::{Target, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "pattern-history",
        does: "asks for the history of a pattern over 10,000 topics, 400 times a message",
        before: landscape::many_topics,
        threads: 1,
        worst: pattern_history,
    },
    Attack {
        name: "pattern-resume",
        does: "resumes a pattern over 10,000 topics, 300 times a message, with nothing missed",
        before: landscape::many_topics,
        threads: 1,
        worst: pattern_resume,
    },
    Attack {
        name: "pattern-churn",
        does: "subscribes to new patterns among 10,000 topics, 100 a connection, and leaves",
        before: landscape::many_topics,
        threads: 2,
        worst: pattern_churn,
    },
    Attack {
        name: "pattern-catch-up",
        does: "reads a pattern of 4,000 topics from the beginning, on eight connections",
        before: landscape::much_history,
        threads: 8,
        worst: pattern_catch_up,
    },
    Attack {
        name: "pattern-explosion",
        does: "1,000 patterns that match one topic, large publishes to it, and nobody reads",
        before: landscape::empty,
        threads: 1,
        worst: pattern_explosion,
    },
    Attack {
        name: "pattern-visits",
        does: "comes with 900 connections, reads 100 patterns over long messages on each, takes nothing, goes, comes again",
        before: landscape::long_messages,
        threads: 1,
        worst: pattern_visits,
    },
];

fn pattern_history(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    let starts = [LATEST.to_vec(), EARLIEST.to_vec(), frames::start(2, 10), frames::start(3, 1_000)];
    loop {
        for start in &starts {
            stranger.say(&frames::history(1, "load.*", start).repeat(400))?;
        }
    }
}

fn pattern_resume(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::subscribe(1, "load.*", LATEST, 0))?;
    let subscribed = stranger.hear_of(SUBSCRIBED)?;
    let here = subscribed.bytes(4).to_vec();
    let again = [
        frames::unsubscribe(2, subscribed.number(2)),
        frames::subscribe(3, "load.*", &[&[4], &here[..]].concat(), 0),
    ];
    stranger.drain()?;
    loop {
        stranger.say(&again.concat().repeat(300))?;
    }
}

fn pattern_churn(target: Target) -> io::Result<()> {
    loop {
        let mut stranger = target.binary()?;
        let one = |request| {
            let name = match request % 3 {
                0 => format!("*.t{:06}", unique() % 10_000),
                1 => format!("*.x{:x}", unique()),
                _ => format!("x{:x}.*", unique()),
            };
            frames::subscribe(request, &name, EARLIEST, 0)
        };
        stranger.say(&(1..=100).map(one).collect::<Vec<_>>().concat())?;
        stranger.message()?;
    }
}

fn pattern_catch_up(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::subscribe(1, "load.>", EARLIEST, 0))?;
    stranger.swallow(30 << 20)
}

fn pattern_explosion(target: Target) -> io::Result<()> {
    let name = |bits: u64| {
        let token = |place: u64| if bits >> place & 1 == 1 { "*".to_owned() } else { format!("t{place}") };
        (0..15).map(token).collect::<Vec<_>>().join(".")
    };
    let mut readers = Vec::new();
    for first in (1..1_000).step_by(100) {
        let mut reader = target.narrow().binary()?;
        let one = |request| frames::subscribe(request, &name(first + request), LATEST, 0);
        reader.say(&(0..100).map(one).collect::<Vec<_>>().concat())?;
        reader.message()?;
        readers.push(reader);
    }
    let mut writer = target.binary()?;
    writer.say(&frames::open(1, 0, &name(0), 1))?;
    let (large, began) = (vec![b'x'; 250_000], Instant::now());
    for seq in 1.. {
        writer.publish(&frames::publish(1, seq, &large), 1)?;
        // Then with readers anew, whether these were sent away or not.
        if began.elapsed() > Duration::from_secs(5) {
            break;
        }
    }
    Ok(())
}

/// Each of the patterns matches the three topics that there are.
fn pattern_visits(target: Target) -> io::Result<()> {
    let name = |bits: u64| {
        let token = |place: u64| if bits >> place & 1 == 1 { "*" } else { "long" };
        (0..7).map(token).collect::<Vec<_>>().join(".") + ".>"
    };
    let all: Vec<_> = (0..100).map(|bits| frames::subscribe(bits + 1, &name(bits), EARLIEST, 0)).collect();
    let mut visitors = (0..900).map(|_| target.narrow().binary()).collect::<io::Result<Vec<_>>>()?;
    for visitor in &mut visitors {
        visitor.say(&all.concat())?;
    }
    thread::sleep(Duration::from_millis(300));
    Ok(())
}
