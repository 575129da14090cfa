//! What the hub tells its operator: as text or JSON, as much as is wanted, and no secret in any of it.

use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::thread;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::File;
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{bearer, claims, hello, sign};
use crate::support::port::Port;
use crate::support::socket::{RawSocket, handshake};

fn lines(hub: &Hub) -> Vec<Value> {
    let errors = hub.errors();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("this is no JSON: {line}"));
    errors.lines().map(line).collect()
}

#[test]
fn each_line_is_an_object_where_that_is_wanted() {
    let mut hub = Hub::start(&[], &[("TIDEWIRE_LOG_FORMAT", "json")]);
    RawSocket::connect(hub.address).ask(&handshake("origin: https://evil.test\r\n"));
    hub.signal("TERM");
    hub.wait();
    hub.says("\"stopped\"");
    let lines = lines(&hub);
    let said = |part: &str, level: &str, message: &str| {
        lines.iter().any(|line| {
            line["message"].as_str().unwrap().starts_with(message)
                && (&line["target"], &line["level"]) == (&json!(part), &json!(level))
                && line["timestamp"].as_str().unwrap().ends_with('Z')
        })
    };
    assert!(said("server", "WARN", "nobody can connect: "), "{lines:?}");
    assert!(said("gate", "WARN", "refused (origin): 127.0.0.1: "), "{lines:?}");
    assert!(said("server", "INFO", "stopped"), "{lines:?}");
}

#[test]
fn each_part_tells_as_much_as_is_wanted() {
    let told = |levels: &str| {
        let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_LOG_LEVEL", levels)]);
        assert_eq!(Http::to(hub.address).get("/v1/topics/a.b/position?x=y").status, 400);
        drop(RawSocket::signed_in(hub.address));
        RawSocket::connect(hub.address).ask(&handshake("origin: https://evil.test\r\n"));
        hub.signal("TERM");
        hub.wait();
        eventually("all is read", || levels == "off" || hub.errors().contains("refused (origin)"));
        hub.errors()
    };
    assert_eq!(told("off"), "");
    let usual = told("info");
    assert!(usual.lines().all(|line| line.starts_with("tidewire: ")), "{usual}");
    assert!(usual.contains("\ntidewire: stopping: ") && !usual.contains(" asks "), "{usual}");
    let quiet = told("warn");
    assert!(!quiet.contains("stopping"), "{quiet}");
    let asked = " asks GET \"/v1/topics/a.b/position\" and is told 400\n";
    let http = told("warn,http=debug");
    assert!(http.contains(asked) && !http.contains("connects and speaks"), "{http}");
    let gate = told("error, gate = debug");
    assert!(gate.contains("tidewire: 127.0.0.1 connects and speaks tidewire.v1.json\n"), "{gate}");
    assert!(!gate.contains(asked), "{gate}");
}

/// A hub that ends with its test.
struct Started(Child);

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn whoever_does_not_read_the_log_stops_nobody() {
    let port = Port::keep();
    let mut command = tidewire("serve");
    command.args(["--dev", "--listen", &port.address().to_string()]).env("TIDEWIRE_LOG_LEVEL", "http=debug");
    let mut process = Started(command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap());
    let is_there = || std::net::TcpStream::connect(port.address()).is_ok();
    eventually("the hub listens", is_there);
    let mut http = Http::to(port.address());
    let path = format!("/v1/topics/{}/position", "a".repeat(100));
    // More than any pipe holds by default, and the hub beside it.
    for _ in 0..4_000 {
        assert!(http.get(&path).status < 500);
    }
    let mut socket = RawSocket::signed_in(port.address());
    socket.say(json!({"type": "heartbeat", "request": 1}));
    socket.hear_of("heartbeat");
    let mut pipe = BufReader::new(process.0.stderr.take().unwrap()).lines().map_while(Result::ok);
    let asked = |line: &str| line.contains(" asks GET ");
    assert!(pipe.by_ref().take(200).any(|line| asked(&line)));
    let missing = thread::spawn(move || {
        let counts = pipe.filter_map(|line| {
            let (count, _) =
                line.strip_prefix("tidewire: warning: ")?.split_once(" lines are missing here: ")?;
            count.parse::<u32>().ok()
        });
        let mut missing = 0;
        counts.into_iter().any(|count| {
            missing += count;
            missing >= 100
        });
        missing
    });
    eventually("it is told", || {
        assert!(http.get(&path).status < 500);
        missing.is_finished()
    });
    let missing = missing.join().unwrap();
    assert!((100..4_000).contains(&missing), "{missing}");
}

/// Gives tokens, of which the first is good, in every way that there is; what is told of it.
fn give(hub: &Hub, tokens: &[&str]) -> String {
    let mut told = String::new();
    for (at, token) in tokens.iter().enumerate() {
        let mut http = Http::to(hub.address);
        // In a header.
        for scheme in ["Bearer ", "Basic ", ""] {
            let headers = [("authorization", &*format!("{scheme}{token}")), ("content-type", "text/plain")];
            for (method, path) in [("GET", "/v1/topics/a/messages"), ("POST", "/v1/topics/a/messages")] {
                told.push_str(http.ask(method, path, &headers, b"x").text());
            }
        }
        // In an address, where it does not belong.
        for path in
            ["/v1/topics?access_token=", "/v1/ws?token=", "/healthz?", "/?token=", "/v1/topics?pattern=a&x="]
        {
            let token = token.replace(' ', "%20");
            told.push_str(Http::to(hub.address).get(&format!("{path}{token}")).text());
        }
        let asked = handshake("").replace("/v1/ws", &format!("/ws?token={}", token.replace(' ', "+")));
        told.push_str(&RawSocket::connect(hub.address).ask(&asked));
        // By a frame.
        told.push_str(&hello(hub.address, 10 + at as u64, token).hear().to_string());
        let mut socket = bearer(hub.address, 1, tokens[0]);
        socket.say(json!({"type": "sign_in", "request": 1, "token": token}));
        told.push_str(&socket.hear().to_string());
        // As what it is not.
        let mut socket = RawSocket::json(hub.address);
        socket.say(json!({"type": "hello", "agent": "x\ny", "token": token, "unheard": token}));
        told.push_str(&socket.hear().to_string());
        let mut socket = RawSocket::json(hub.address);
        socket.say(json!({"type": "subscribe", "token": token}));
        told.push_str(&socket.hear().to_string());
    }
    told
}

/// In every way that there is to give it, what is secret is told to nobody: not in a log of all that can be told, not in an
/// answer, and not in what is counted.
#[test]
fn no_secret_is_told_however_it_is_given() {
    let canary = "CANARY-in-a-secret-of-more-than-thirty-two-bytes";
    let secret = File::new(canary);
    let file = File::new(&format!(
        "allow_no_origin = true\nadmin_listen = \"127.0.0.1:0\"\nlog_level = \"trace\"\n\
         [[auth.keys]]\nalgorithm = \"HS256\"\nfile = \"{}\"\n",
        secret.path()
    ));
    let mut hub = Hub::start(&["--config", file.path()], &[("TIDEWIRE_TOKEN", "CANARY.in.environment")]);
    let key = EncodingKey::from_secret(canary.as_bytes());
    let mut claims = claims("ada", json!([{"topics": ["a"], "to": ["publish", "subscribe"]}]));
    claims.as_object_mut().unwrap().remove("aud");
    let good = sign(Algorithm::HS256, None, &key, &claims);
    claims["exp"] = json!(1);
    let expired = sign(Algorithm::HS256, None, &key, &claims);
    let tokens = [good.as_str(), &expired, "CANARY", "CANARY.CANARY.CANARY", "CANARY CANARY"];
    let (mut told, mut http) = (give(&hub, &tokens), Http::to(hub.address));
    // A ticket stands for a token, and is told to whoever asks for it.
    let headers = [("authorization", &*format!("Bearer {good}"))];
    let answer = http.ask("POST", "/v1/tickets", &headers, b"").ok();
    let ticket = answer["ticket"].as_str().unwrap();
    for path in ["/v1/topics?ticket=", "/v1/events?topic=a&ticket="] {
        told.push_str(http.get(&format!("{path}{ticket}")).text());
    }
    let _there = bearer(hub.address, 1, &good);
    let mut operator = Http::to(hub.admin());
    operator.host = "localhost";
    for path in ["/metrics", "/v1/stats", "/v1/connections", "/readyz", "/nothing"] {
        told.push_str(operator.get(path).text());
    }
    hub.signal("TERM");
    hub.wait();
    hub.says("tidewire: stopped");
    told.push_str(&hub.errors());
    for part in ["a token fails the check `exp`", " asks GET ", "connects and speaks", "\"subject\":\"ada\""]
    {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let parts = tokens.iter().flat_map(|token| token.split('.')).filter(|part| part.len() > 40);
    for secret in parts.chain([canary, "CANARY", ticket]) {
        assert!(!told.contains(secret), "{secret:?} is in {told}");
    }
    let output = tidewire("check").args(["--config", file.path()]).output().unwrap();
    assert!(output.status.success() && !format!("{output:?}").contains("CANARY"), "{output:?}");
}
