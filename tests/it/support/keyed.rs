//! A hub that takes tokens, and whoever signs and brings them.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use crate::support::file::File;
use crate::support::hub::Hub;
use crate::support::socket::{RawSocket, Received};

pub(crate) const SECRET: &str = "a secret of more than thirty-two bytes, for tests";
pub(crate) const KEYS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/it/keys");

/// A hub with these keys, where only tokens allow anything but what rules say; and the files that it was given.
pub(crate) struct Keyed {
    pub(crate) hub: Hub,
    _files: Vec<File>,
}

impl Keyed {
    pub(crate) fn start(more: &str) -> Self {
        Self::start_with(more, &[])
    }

    /// The same, with variables of its own.
    pub(crate) fn start_with(more: &str, env: &[(&str, &str)]) -> Self {
        let secret = File::new(SECRET);
        let mut toml = format!(
            "shards = 2\nadmin_listen = \"127.0.0.1:0\"\nallow_no_origin = true\n[[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\nkid = \"hs\"\n",
            secret.path()
        );
        for (kid, algorithm, file) in
            [("rs", "RS256", "rsa"), ("ps", "PS384", "rsa"), ("es", "ES256", "ec"), ("ed", "EdDSA", "ed")]
        {
            let _ = writeln!(
                toml,
                "[[auth.keys]]\nalgorithm = \"{algorithm}\"\nfile = \"{KEYS}/{file}.public.pem\"\nkid = \"{kid}\"\n\
                 issuer = \"https://issuer.example.com\"\naudience = \"tidewire\"\nleeway_seconds = 0"
            );
        }
        let file = File::new(&format!("{toml}{more}"));
        let hub = Hub::start(&["--config", file.path()], env);
        Self { hub, _files: vec![secret, file] }
    }
}

pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn private(file: &str) -> Vec<u8> {
    std::fs::read(format!("{KEYS}/{file}.private.pem")).unwrap()
}

pub(crate) fn by_secret(claims: &Value) -> String {
    by_secret_of(Some("hs"), claims)
}

pub(crate) fn by_secret_of(kid: Option<&str>, claims: &Value) -> String {
    sign(Algorithm::HS256, kid, &EncodingKey::from_secret(SECRET.as_bytes()), claims)
}

pub(crate) fn sign(algorithm: Algorithm, kid: Option<&str>, key: &EncodingKey, claims: &Value) -> String {
    let header = Header { kid: kid.map(str::to_owned), ..Header::new(algorithm) };
    encode(&header, claims, key).unwrap()
}

/// Claims that every key of the tests takes.
pub(crate) fn claims(subject: &str, allow: Value) -> Value {
    json!({
        "sub": subject, "exp": now() + 600, "iss": "https://issuer.example.com", "aud": "tidewire",
        "tidewire": { "allow": allow }
    })
}

pub(crate) fn hello(to: SocketAddr, producer: u64, token: &str) -> RawSocket {
    let mut socket = RawSocket::json(to);
    let producer = format!("{producer:032x}");
    socket.say(json!({"type": "hello", "producer": producer, "incarnation": 1, "token": token}));
    socket
}

#[track_caller]
pub(crate) fn bearer(to: SocketAddr, producer: u64, token: &str) -> RawSocket {
    let mut socket = hello(to, producer, token);
    let welcome = socket.hear();
    assert_eq!(welcome["type"], "welcome", "{welcome}");
    socket
}

/// What a hub says to a token that it does not take.
pub(crate) fn refusal(to: SocketAddr, token: &str) -> String {
    let mut socket = hello(to, 7, token);
    let goodbye = socket.hear();
    assert_eq!((&goodbye["type"], &goodbye["code"]), (&json!("goodbye"), &json!("bad_token")), "{goodbye}");
    assert_eq!(socket.receive(), Received::Close(4004));
    goodbye["message"].as_str().unwrap().to_owned()
}
