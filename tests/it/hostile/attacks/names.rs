//! Names and producers without end: everything that a hub might remember of a stranger.

use std::io;

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, LATEST};
use crate::hostile::landscape;
use crate::hostile::stranger::{Target, fresh, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "subscriptions",
        does: "subscribes to the same thousand topics on each of 989 connections, and fills the node beside that",
        before: landscape::empty,
        threads: 1,
        worst: subscriptions,
    },
    Attack {
        name: "windows",
        does: "opens a window for a new producer, thousands of times a message",
        before: landscape::empty,
        threads: 1,
        worst: windows,
    },
    Attack {
        name: "names-subscribe",
        does: "subscribes to new names, a thousand a connection, and leaves",
        before: landscape::empty,
        threads: 2,
        worst: names_by_subscribe,
    },
    Attack {
        name: "names-history",
        does: "asks for the history of new names",
        before: landscape::empty,
        threads: 1,
        worst: names_by_history,
    },
    Attack {
        name: "names-open",
        does: "opens handles to new names and shuts them",
        before: landscape::empty,
        threads: 1,
        worst: names_by_open,
    },
    Attack {
        name: "names-publish",
        does: "publishes one message to each of ever new names",
        before: landscape::empty,
        threads: 1,
        worst: names_by_publish,
    },
];

fn windows(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    loop {
        let one =
            |_| [frames::attach(1, &fresh(), 1), frames::open(1, 1, "x", 1), frames::detach(1)].concat();
        stranger.say(&(0..2_000).map(one).collect::<Vec<_>>().concat())?;
    }
}

fn names_by_subscribe(target: Target) -> io::Result<()> {
    loop {
        let mut stranger = target.binary()?;
        let one = |request| frames::subscribe(request, &new_name(), LATEST, 0);
        stranger.say(&(1..=1_000).map(one).collect::<Vec<_>>().concat())?;
        stranger.message()?;
    }
}

fn names_by_history(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    loop {
        let one = |request| frames::history(request, &new_name(), LATEST);
        stranger.say(&(1..=2_000).map(one).collect::<Vec<_>>().concat())?;
    }
}

fn names_by_open(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    loop {
        let one = |_| [frames::open(1, 0, &new_name(), 1), frames::shut(1)].concat();
        stranger.say(&(0..2_000).map(one).collect::<Vec<_>>().concat())?;
    }
}

fn names_by_publish(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    loop {
        let one =
            |_| [frames::open(1, 0, &new_name(), 1), frames::publish(1, 1, b"x"), frames::shut(1)].concat();
        stranger.say(&(0..2_000).map(one).collect::<Vec<_>>().concat())?;
    }
}

fn new_name() -> String {
    format!("flood.{:016x}", unique())
}

fn subscriptions(target: Target) -> io::Result<()> {
    let one = |number| frames::subscribe(number, &format!("crowded.{number}"), LATEST, 0);
    let all = (1..=1_000).map(one).collect::<Vec<_>>().concat();
    let mut crowd = Vec::new();
    for _ in 0..989 {
        let mut stranger = target.binary()?;
        stranger.say(&all)?;
        stranger.drain()?;
        crowd.push(stranger);
    }
    let mut writer = target.binary()?;
    writer.say(&frames::open(1, 0, "crowded.0", 1))?;
    for seq in 1..=1_000 {
        writer.publish(&frames::publish(1, seq, &[b'x'; 250_000]), 1)?;
    }
    Ok(())
}
