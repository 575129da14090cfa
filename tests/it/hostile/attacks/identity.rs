//! Producers, participants and numbers: taken over, brought back, twice at once, and never announced.

use std::io;

use crate::hostile::attacks::Attack;
use crate::hostile::frames;
use crate::hostile::landscape;
use crate::hostile::stranger::{Speech, Target, fresh};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "attach-storm",
        does: "attaches and detaches 63 participants",
        before: landscape::empty,
        threads: 2,
        worst: attach_storm,
    },
    Attack {
        name: "incarnations",
        does: "raises its own incarnation without end, on two connections that fence each other",
        before: landscape::empty,
        threads: 2,
        worst: incarnations,
    },
    Attack {
        name: "late-fenced",
        does: "gives a participant's number to another while the first one is being fenced",
        before: landscape::empty,
        threads: 2,
        worst: late_fenced,
    },
    Attack {
        name: "moves",
        does: "takes a producer from itself, from connection to connection and on one, faster than it is told",
        before: landscape::empty,
        threads: 2,
        worst: moves,
    },
    Attack {
        name: "old-incarnations",
        does: "signs in again and again as one who was fenced",
        before: landscape::empty,
        threads: 2,
        worst: old_incarnations,
    },
    Attack {
        name: "unknown-numbers",
        does: "handles, tails, participants and frames that were never announced",
        before: landscape::empty,
        threads: 2,
        worst: unknown_numbers,
    },
];

/// Known to all threads of the attack, and to nobody else.
const PRODUCER: [u8; 16] = *b"a hostile client";

fn attach_storm(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    let producers: Vec<_> = (0..63).map(|_| fresh()).collect();
    let attach = (1..).zip(&producers).map(|(place, producer)| frames::attach(place, producer, 1));
    let round =
        [attach.collect::<Vec<_>>().concat(), (1..=63).map(frames::detach).collect::<Vec<_>>().concat()];
    loop {
        stranger.say(&round.concat().repeat(30))?;
    }
}

fn incarnations(target: Target) -> io::Result<()> {
    let mut stranger = target.binary()?;
    stranger.drain()?;
    for first in (1..).step_by(300) {
        let one = |incarnation| {
            [
                frames::attach(1, &PRODUCER, incarnation),
                frames::open(1, 1, "fenced", 1),
                frames::publish(1, incarnation, b"x"),
                frames::detach(1),
            ]
            .concat()
        };
        stranger.say(&(first..first + 300).map(one).collect::<Vec<_>>().concat())?;
    }
    Ok(())
}

fn late_fenced(target: Target) -> io::Result<()> {
    let (mut one, mut other) = (target.binary()?, target.binary()?);
    one.drain()?;
    other.drain()?;
    for incarnation in (1..).step_by(2) {
        let producer = fresh();
        one.say(&[frames::attach(1, &producer, incarnation), frames::open(1, 1, "late", 1)].concat())?;
        other.say(&frames::attach(1, &producer, incarnation + 1))?;
        let next = [frames::publish(1, 1, b"x"), frames::detach(1), frames::attach(1, &fresh(), 1)];
        one.say(&next.concat())?;
        one.say(&[frames::open(1, 1, "late", 1), frames::publish(1, 1, b"x"), frames::detach(1)].concat())?;
        other.say(&frames::detach(1))?;
    }
    Ok(())
}

fn moves(target: Target) -> io::Result<()> {
    let mut early = target.binary()?;
    early.drain()?;
    let producer = fresh();
    for incarnation in (1..).step_by(2) {
        let mut late = target.binary()?;
        late.drain()?;
        // In one incarnation to the later connection, and within it from number to number; then back in the next.
        let places = (1..=60).map(|place| {
            let publish = frames::publish(place, incarnation, b"x");
            [frames::attach(place, &producer, incarnation), frames::open(place, place, "moves", 1), publish]
                .concat()
        });
        early.say(&frames::attach(1, &producer, incarnation))?;
        late.say(&places.collect::<Vec<_>>().concat())?;
        early.say(&frames::attach(2, &producer, incarnation))?;
        early.say(&[frames::attach(3, &producer, incarnation + 1), frames::detach(3)].concat())?;
        early.say(&[frames::detach(1), frames::detach(2)].concat())?;
    }
    Ok(())
}

fn old_incarnations(target: Target) -> io::Result<()> {
    let mut newest = target.signed_in_as(Speech::Binary, &PRODUCER, 1 << 40)?;
    newest.say(&frames::open(1, 0, "fenced", 1))?;
    for incarnation in 0..1_000 {
        // Sent away each time.
        let _ = target.signed_in_as(Speech::Binary, &PRODUCER, incarnation);
    }
    Ok(())
}

fn unknown_numbers(target: Target) -> io::Result<()> {
    let frames: [Vec<u8>; 10] = [
        frames::publish(77, 1, b"x"),
        frames::publish((1 << 53) - 1, 1, b"x"),
        frames::shut(77),
        frames::unsubscribe(1, 1),
        frames::unsubscribe(1, (1 << 53) - 1),
        frames::open(1, 9, "x", 1),
        frames::detach(9),
        frames::Frame::of(30).number(1, 1).done(),
        frames::Frame::of(200).bytes(9, b"what is this").done(),
        [frames::open(1, 0, "x", 1), frames::open(1, 0, "x", 1)].concat(),
    ];
    // Those that end a connection must not spare the hub the others.
    for frame in frames.iter().cycle() {
        let mut stranger = target.binary()?;
        stranger.drain()?;
        for _ in 0..5 {
            if stranger.say(&frame.repeat(2_000)).is_err() {
                break;
            }
        }
    }
    Ok(())
}
