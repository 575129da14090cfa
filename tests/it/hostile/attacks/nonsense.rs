//! Bytes that are nearly right: fragments, lengths, JSON, and the golden frames with something changed.

use std::io;

use serde_json::Value;

use crate::hostile::attacks::Attack;
use crate::hostile::landscape;
use crate::hostile::stranger::{Speech, Target, masked, unique};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "fragments",
        does: "messages in 65,000 empty fragments, and in many large ones",
        before: landscape::empty,
        threads: 2,
        worst: fragments,
    },
    Attack {
        name: "absurd-lengths",
        does: "announces frames and fields of lengths that never come",
        before: landscape::empty,
        threads: 2,
        worst: absurd_lengths,
    },
    Attack {
        name: "json-bombs",
        does: "JSON that is deep, wide, full of escapes, of huge numbers and of equal keys",
        before: landscape::empty,
        threads: 2,
        worst: json_bombs,
    },
    Attack {
        name: "golden-binary",
        does: "the golden frames in any order, with bytes changed",
        before: landscape::much_history,
        threads: 2,
        worst: golden_binary,
    },
    Attack {
        name: "golden-json",
        does: "the same in JSON, with values changed",
        before: landscape::much_history,
        threads: 2,
        worst: golden_json,
    },
];

fn fragments(target: Target) -> io::Result<()> {
    let tiny = [masked(0x02, b""), masked(0x00, b"").repeat(65_500)].concat();
    let large = [masked(0x02, b""), masked(0x00, &[0xff; 16_000]).repeat(100)].concat();
    for fragments in [&tiny, &large] {
        let mut stranger = target.binary()?;
        stranger.drain()?;
        while stranger.push(fragments).is_ok() && fragments.len() == tiny.len() {
            stranger.push(&masked(0x80, b""))?;
        }
    }
    Ok(())
}

fn absurd_lengths(target: Target) -> io::Result<()> {
    for length in [u64::MAX, 1 << 63, (1 << 63) - 1, 1 << 32, 2 << 20, 1_500_000] {
        let mut stranger = target.binary()?;
        let _ = stranger.push(&[&[0x82, 0xff], &length.to_be_bytes()[..], &[0; 4], b"x"].concat());
    }
    // A field, a name, a list of places that claim to be longer than all there is.
    for kind in 0..=255_u8 {
        let mut stranger = target.binary()?;
        let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
        let _ = stranger.say(&[&[kind], &huge[..], b"x"].concat());
        let _ = stranger.say(&[&[kind, 12, 3], &huge[..], b"x"].concat());
    }
    Ok(())
}

fn json_bombs(target: Target) -> io::Result<()> {
    let deep = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let keys: Vec<_> = (0..20_000).map(|_| r#""k":1"#).collect();
    let bombs = [
        deep(100_000),
        format!("{}1{}", r#"{"a":"#.repeat(30_000), "}".repeat(30_000)),
        format!("{}", "9".repeat(200_000)),
        format!("1e{}", "9".repeat(200_000)),
        format!("\"{}\"", r"\u0001".repeat(40_000)),
        format!("\"{}\"", r"\ud800".repeat(40_000)),
        format!("[{}]", "0,".repeat(100_000) + "0"),
        format!("{{{}}}", keys.join(",")),
    ];
    for bomb in &bombs {
        let mut stranger = target.json()?;
        stranger.drain()?;
        let topic = unique() % 4_096;
        stranger
            .say(format!(r#"{{"type":"open","handle":1,"topic":"bombs.{topic}","lowest":1}}"#).as_bytes())?;
        for seq in 1..20 {
            let publish =
                format!(r#"{{"type":"publish","handle":1,"seq":{seq},"lowest":{seq},"data":{bomb}}}"#);
            if stranger.say(publish.as_bytes()).is_err() {
                break;
            }
        }
        let _ = stranger.say(bomb.as_bytes());
    }
    // Publishing in the one encoding, reading in the other.
    let mut reader = target.json()?;
    reader.say(br#"{"type":"history","request":1,"name":"bombs.*","from":"earliest"}"#)?;
    reader.message()?;
    Ok(())
}

fn golden_binary(target: Target) -> io::Result<()> {
    let frames: Vec<Vec<u8>> = golden(|frame| {
        let digits = frame["binary"].as_str()?;
        (0..digits.len() / 2).map(|at| u8::from_str_radix(&digits[2 * at..2 * at + 2], 16).ok()).collect()
    });
    loop {
        let mut stranger = target.binary()?;
        stranger.drain()?;
        // Most changes end the connection, so most of the frames are left as they are.
        while stranger.say(&mixed(&frames, change_bytes)).is_ok() {}
    }
}

fn golden_json(target: Target) -> io::Result<()> {
    let frames: Vec<Value> = golden(|frame| frame["json"].is_object().then(|| frame["json"].clone()));
    loop {
        let mut stranger = target.signed_in(Speech::Json)?;
        stranger.drain()?;
        let some = |_| {
            let mut frame = frames[chance(frames.len())].clone();
            if chance(4) == 0 {
                change_value(&mut frame);
            }
            frame
        };
        while stranger.say(Value::from_iter((0..10).map(some)).to_string().as_bytes()).is_ok() {}
    }
}

/// What `read` makes of the client's golden frames, but for those that sign in.
fn golden<T>(read: impl FnMut(&Value) -> Option<T>) -> Vec<T> {
    let all: Vec<Value> = serde_json::from_str(include_str!("../../../golden/frames.json")).unwrap();
    let by_client = all.iter().filter(|frame| frame["side"] == "client" && frame["json"]["type"] != "hello");
    by_client.filter_map(read).collect()
}

/// Some frames, some of them changed.
fn mixed(frames: &[Vec<u8>], change: fn(&mut Vec<u8>)) -> Vec<u8> {
    let some = |_| {
        let mut frame = frames[chance(frames.len())].clone();
        if chance(8) == 0 {
            change(&mut frame);
        }
        frame
    };
    (0..10).map(some).collect::<Vec<_>>().concat()
}

fn change_bytes(frame: &mut Vec<u8>) {
    match chance(4) {
        0 => frame.truncate(chance(frame.len() + 1)),
        1 => frame.extend(unique().to_be_bytes()),
        _ => {
            // Behind the kind and the length, so that frames stay frames.
            let at = chance(frame.len());
            if at > 1 {
                frame[at] ^= 1 << chance(8);
            }
        }
    }
}

fn change_value(frame: &mut Value) {
    let Some(fields) = frame.as_object_mut() else { return };
    let fields = fields.values_mut().collect::<Vec<_>>();
    let place = chance(fields.len());
    if let Some(value) = fields.into_iter().nth(place) {
        *value = match chance(6) {
            0 => Value::from(0),
            1 => Value::from((1_u64 << 53) - 1),
            2 => Value::from(unique()),
            3 => Value::from("load.*"),
            4 => Value::Null,
            _ => Value::from("x".repeat(chance(300))),
        };
    }
}

fn chance(below: usize) -> usize {
    (unique() >> 16) as usize % below.max(1)
}
