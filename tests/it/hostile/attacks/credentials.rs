//! Tokens that are none, and too much of what a good one gives.

use std::io::{self, Read as _, Write as _};

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::json;

use crate::hostile::attacks::Attack;
use crate::hostile::landscape;
use crate::hostile::stranger::{Speech, Target, fresh, sent};
use crate::support::keyed::{claims, private, sign};

pub(crate) const ATTACKS: &[Attack] = &[
    Attack {
        name: "tokens-forged",
        does: "signs in by forged tokens, as fast as they are refused, by WebSocket and by HTTP",
        before: landscape::empty,
        threads: 4,
        worst: forged,
    },
    Attack {
        name: "tokens-long",
        does: "the same by tokens as long as they may be, with as many claims as fit",
        before: landscape::empty,
        threads: 4,
        worst: long,
    },
    Attack {
        name: "tokens-renewed",
        does: "brings sound tokens on a connection, a thousand after each other, and does not wait",
        before: landscape::empty,
        threads: 4,
        worst: renewed,
    },
    Attack {
        name: "tickets",
        does: "asks for tickets by a sound token, as fast as it gets them",
        before: landscape::empty,
        threads: 4,
        worst: tickets,
    },
];

/// A sound token, with these claims besides.
fn token(more: &serde_json::Value) -> String {
    let mut all = claims("mallory", json!([{"topics": ["mine.>"], "to": ["subscribe"]}]));
    all.as_object_mut().unwrap().remove("aud");
    all["more"] = more.clone();
    sign(Algorithm::ES256, None, &EncodingKey::from_ec_pem(&private("ec")).unwrap(), &all)
}

/// One whose signature is another's.
fn forge(sound: &str) -> String {
    let (said, signature) = sound.rsplit_once('.').unwrap();
    let turned: String = signature.chars().rev().collect();
    format!("{said}.{turned}")
}

fn forged(target: Target) -> io::Result<()> {
    bring(target, &forge(&token(&json!(1))))
}

fn long(target: Target) -> io::Result<()> {
    let many: Vec<_> = (0..1_400).map(|at| json!([at])).collect();
    bring(target, &forge(&token(&json!(many))))
}

fn bring(target: Target, token: &str) -> io::Result<()> {
    let ask = format!(
        "GET /v1/topics/a/messages HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\n\r\n",
        target.hub
    );
    loop {
        let mut stranger = target.websocket(Speech::Json)?;
        let digits: String = fresh().iter().map(|byte| format!("{byte:02x}")).collect();
        let hello = json!({"type": "hello", "producer": digits, "incarnation": 1, "token": token});
        stranger.say(hello.to_string().as_bytes())?;
        while stranger.message().is_ok() {}
        let mut caller = target.tcp()?;
        for _ in 0..20 {
            caller.write_all(ask.as_bytes())?;
            sent(ask.as_bytes());
            if caller.read(&mut [0; 4_096])? == 0 {
                break;
            }
        }
    }
}

fn renewed(target: Target) -> io::Result<()> {
    let mut stranger = target.websocket(Speech::Json)?;
    let digits: String = fresh().iter().map(|byte| format!("{byte:02x}")).collect();
    let token = token(&json!(1));
    let hello = json!({"type": "hello", "producer": digits, "incarnation": 1, "token": token});
    stranger.say(hello.to_string().as_bytes())?;
    stranger.message()?;
    stranger.drain()?;
    let renewals: Vec<_> = (0..100).map(|_| json!({"type": "sign_in", "token": token})).collect();
    let renewals = json!(renewals).to_string();
    loop {
        stranger.say(renewals.as_bytes())?;
    }
}

fn tickets(target: Target) -> io::Result<()> {
    let token = token(&json!(1));
    let ask = format!(
        "POST /v1/tickets HTTP/1.1\r\nhost: {}\r\nauthorization: Bearer {token}\r\ncontent-length: 0\r\n\r\n",
        target.hub
    );
    let mut caller = target.tcp()?;
    loop {
        caller.write_all(ask.repeat(10).as_bytes())?;
        sent(ask.repeat(10).as_bytes());
        if caller.read(&mut [0; 1 << 16])? == 0 {
            return Ok(());
        }
    }
}
