//! Publishes at full rate, and publishes that break the rules of seqs.

use std::io;

use crate::hostile::attacks::Attack;
use crate::hostile::frames::{self, Frame};
use crate::hostile::landscape;
use crate::hostile::stranger::{Target, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "publish-small",
        does: "publishes one byte at a time, as fast as it is answered, on four connections",
        before: landscape::empty,
        threads: 4,
        worst: publish_small,
    },
    Attack {
        name: "publish-large",
        does: "publishes 250 KB at a time, as fast as it is answered, on four connections",
        before: landscape::empty,
        threads: 4,
        worst: publish_large,
    },
    Attack {
        name: "publish-many-topics",
        does: "publishes to 1,000 topics a connection, as fast as it is answered, on four",
        before: landscape::empty,
        threads: 4,
        worst: publish_many_topics,
    },
    Attack {
        name: "publish-batches",
        does: "publishes 1,000 messages all or none, one to each of 1,000 topics, as fast as they are answered, on four connections",
        before: landscape::empty,
        threads: 4,
        worst: publish_batches,
    },
    Attack {
        name: "batches-refused",
        does: "batches of 1,000 of which the last is out of order or too large, and 1,000 tiny ones in each message",
        before: landscape::empty,
        threads: 2,
        worst: batches_refused,
    },
    Attack {
        name: "batches-broken",
        does: "breaks off batches of 1,000, reads nothing and comes again",
        before: landscape::empty,
        threads: 2,
        worst: batches_broken,
    },
    Attack {
        name: "publish-and-go",
        does: "publishes a megabyte, reads nothing, and comes again",
        before: landscape::empty,
        threads: 2,
        worst: publish_and_go,
    },
    Attack {
        name: "publish-heard",
        does: "publishes to a topic that 200 connections of its own hear, and read",
        before: landscape::empty,
        threads: 1,
        worst: publish_heard,
    },
    Attack {
        name: "publish-unasked",
        does: "publishes without waiting for answers, beyond all that may be in flight",
        before: landscape::empty,
        threads: 2,
        worst: publish_unasked,
    },
    Attack {
        name: "seqs",
        does: "seqs twice, backwards, far ahead, void, unknown contents, nothing in them",
        before: landscape::empty,
        threads: 1,
        worst: seqs,
    },
    Attack {
        name: "void-runs",
        does: "runs of voids for all seqs there are, again and again over what is known of them, and beyond",
        before: landscape::empty,
        threads: 2,
        worst: void_runs,
    },
];

fn publish_small(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
    for first in (1..).step_by(500) {
        let batch: Vec<_> = (first..first + 500).map(|seq| frames::publish(1, seq, b"1")).collect();
        stranger.publish(&batch.concat(), 500)?;
    }
    Ok(())
}

fn publish_large(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
    let large = vec![b'x'; 250_000];
    for seq in 1.. {
        stranger.publish(&frames::publish(1, seq, &large), 1)?;
    }
    Ok(())
}

fn publish_many_topics(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    let open = |handle| frames::open(handle, 0, &new_topic(), 1);
    stranger.say(&(1..=1_000).map(open).collect::<Vec<_>>().concat())?;
    for seq in 1.. {
        let batch: Vec<_> = (1..=1_000).map(|handle| frames::publish(handle, seq, b"some bytes")).collect();
        stranger.publish(&batch.concat(), 1_000)?;
    }
    Ok(())
}

fn publish_batches(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    let open = |handle| frames::open(handle, 0, &format!("full.{handle}"), 1);
    stranger.say(&(1..=1_000).map(open).collect::<Vec<_>>().concat())?;
    for seq in 1.. {
        let members: Vec<_> = (1..=1_000).map(|handle| frames::publish(handle, seq, b"some bytes")).collect();
        stranger.publish(&[frames::batch(1_000), members.concat()].concat(), 1_000)?;
    }
    Ok(())
}

fn batches_refused(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    let open = |handle| frames::open(handle, 0, &format!("full.{handle}"), 1);
    stranger.say(&(1..=1_000).map(open).collect::<Vec<_>>().concat())?;
    stranger.drain()?;
    let members = |last: Vec<u8>| {
        let first = (1..1_000).map(|handle| frames::publish(handle, 1, b"1")).collect::<Vec<_>>().concat();
        [frames::batch(1_000), first, last].concat()
    };
    let out_of_order = members(frames::publish(1_000, 1 << 40, b"1"));
    let too_large = members(frames::publish(1_000, 1, &vec![b'x'; 1_100_000]));
    let pair = [frames::batch(2), frames::publish(1, 1, b"1"), frames::publish(2, 1 << 40, b"1")].concat();
    loop {
        stranger.say(&out_of_order)?;
        stranger.say(&pair.repeat(1_000))?;
        stranger.say(&too_large)?;
    }
}

fn batches_broken(target: Target) -> io::Result<()> {
    loop {
        let mut stranger = target.binary()?;
        stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
        let members: Vec<_> = (1..1_000).map(|seq| frames::publish(1, seq, &[b'x'; 1_000])).collect();
        stranger.say(&[frames::batch(1_000), members.concat()].concat())?;
    }
}

fn publish_and_go(target: Target) -> io::Result<()> {
    loop {
        let mut stranger = target.binary()?;
        stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
        let members: Vec<_> = (1..1_000).map(|seq| frames::publish(1, seq, &[b'x'; 1_000])).collect();
        stranger.say(&members.concat())?;
    }
}

fn publish_heard(target: Target) -> io::Result<()> {
    let topic = new_topic();
    let mut audience = Vec::new();
    for _ in 0..200 {
        let mut listener = target.binary()?;
        listener.say(&frames::subscribe(1, &topic, frames::LATEST, 0))?;
        listener.drain()?;
        audience.push(listener);
    }
    let mut stranger = target.binary()?;
    stranger.say(&frames::open(1, 0, &topic, 1))?;
    for first in (1..).step_by(50) {
        let batch: Vec<_> = (first..first + 50).map(|seq| frames::publish(1, seq, &[b'x'; 100])).collect();
        stranger.publish(&batch.concat(), 50)?;
    }
    Ok(())
}

fn publish_unasked(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
    stranger.drain()?;
    for first in (1..).step_by(2_000) {
        // `lowest` stays where it was, so that nothing may be forgotten.
        let one = |seq| {
            let frame = Frame::of(5).number(1, 1).number(2, seq).number(4, frames::BINARY);
            frame.bytes(7, b"1").done()
        };
        stranger.say(&(first..first + 2_000).map(one).collect::<Vec<_>>().concat())?;
    }
    Ok(())
}

fn seqs(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.say(&frames::open(1, 0, &new_topic(), 1))?;
    stranger.drain()?;
    loop {
        let mut batch = Vec::new();
        for _ in 0..1_000 {
            let chance = unique();
            let seq = match chance >> 8 & 3 {
                0 => chance >> 16 & 0xf,
                1 => chance >> 16 & 0xffff,
                2 => (1 << 53) - 1,
                _ => 1,
            };
            let lowest = [0, 1, seq, seq + 5, (1 << 53) - 1][(chance >> 40) as usize % 5];
            let frame = Frame::of(5).number(1, 1).number(2, seq).number(3, lowest.min((1 << 53) - 1));
            let frame = frame.number(4, chance >> 48 & 7).number(5, chance >> 52 & 1);
            batch.extend(
                frame
                    .number(6, chance >> 53 & 1)
                    .bytes(7, &b"{\"a\":["[..(chance >> 56) as usize % 7])
                    .done(),
            );
        }
        stranger.say(&batch)?;
    }
}

fn void_runs(target: Target) -> io::Result<()> {
    const ALL: u64 = (1 << 53) - 1;
    let mut stranger = target.binary()?;
    let (one, other) = (new_topic(), new_topic());
    stranger.say(&[frames::open(1, 0, &one, 1), frames::open(2, 0, &other, 1)].concat())?;
    // Each has an answer of its own, and none is ever said to be heard.
    let message =
        |handle, seq| Frame::of(5).number(1, handle).number(2, seq).number(4, frames::BINARY).done();
    let past = (1..=40).flat_map(|seq| [message(1, seq), message(2, seq)]);
    stranger.say(&past.collect::<Vec<_>>().concat())?;
    stranger.drain()?;
    let run = |seq, count| Frame::of(5).number(1, 1).number(2, seq).number(6, 1).number(17, count).done();
    let runs = [run(1, ALL), run(1, 0), run(30, 40), run(41, ALL - 40), run(5_000, 1_000), run(ALL, 1)];
    let batch = runs.concat().repeat(1_000);
    loop {
        stranger.say(&batch)?;
    }
}

/// One of a few hundred, so that what is measured is not how many names there are.
fn new_topic() -> String {
    format!("full.{:x}", unique() % 4_096)
}
