//! The largest message and the largest frame that a hub announces are taken, and told to who asks, while nothing else happens, each way that they may
//! come, at the edges of what `check` accepts: whoever is told that there is no room now would come again for ever.

use std::net::SocketAddr;
use std::thread;

use serde_json::json;
use tidewire_protocol::code::Code;
use tidewire_protocol::position::Start;

use crate::support::file::{File, Folder, OPEN};
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::peer::{Dialect, Heard, Peer};

#[test]
fn an_idle_hub_takes_the_largest_by_each_way() {
    let least = |limits: &str, name: &str| format!("{limits}{name} = {}\n", edge(limits, name));
    let small_node = |limits: &str| least(&least(limits, "pinned_bytes_max"), "node_bytes_max");
    let configurations = [
        small_node(""),
        small_node("message_bytes_max = 262144\nframe_bytes_max = 4000000\n"),
        small_node("message_bytes_max = 1048576\n"),
        least(&small_node("message_bytes_max = 500000\n"), "half_received_bytes_max"),
        least("frame_bytes_max = 5000000\n", "half_received_bytes_max"),
        least("message_bytes_max = 1500000\n", "pending_bytes_max"),
        "node_bytes_max = 33554432\n".into(),
    ];
    for together in configurations.chunks(2) {
        thread::scope(|scope| {
            for limits in together {
                scope.spawn(move || takes_the_largest(limits));
            }
        });
    }
}

#[test]
fn what_no_commit_holds_is_too_large_by_each_way() {
    const COMMIT_BYTES: usize = 64 << 20;
    let data = Folder::new();
    let toml = format!("data_dir = \"{}\"\n{OPEN}[limits]\nmessage_bytes_max = 100000000\n", data.path());
    let file = File::new(&toml);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let bytes = vec![7; COMMIT_BYTES];
    let asked = Http::to(hub.address).post("/v1/topics/a/messages", "application/octet-stream", &bytes);
    let (status, code, detail) = asked.problem();
    assert_eq!((status, &*code), (413, "too_large"));
    assert!(detail.contains("a commit") && detail.contains("64 MiB"), "{detail}");
    let half = "x".repeat(COMMIT_BYTES / 2);
    let body = json!({"messages": [{"topic": "a", "text": "first"}, {"topic": "a", "text": half}, {"topic": "b", "text": half}]});
    let body = body.to_string();
    let asked = Http::to(hub.address).post("/v1/messages", "application/json", body.as_bytes());
    assert_eq!((asked.problem().1.as_str(), &asked.json()["index"]), ("too_large", &json!(2)));
    let mut peer = Peer::connect(hub.address, Dialect::Binary, 1);
    peer.open(1, "a");
    peer.publish_whole(1, 1, &[half.clone(), half]);
    assert_eq!(peer.hear(), Heard::Refused(Code::BatchRefused));
    assert_eq!(peer.hear(), Heard::Refused(Code::TooLarge));
    peer.publish(1, 3, &["x".repeat(COMMIT_BYTES)]);
    assert_eq!(peer.hear(), Heard::Refused(Code::TooLarge));
    peer.publish(1, 4, &["small".into()]);
    assert_eq!(peer.hear(), Heard::Acked(1));
    assert!(!hub.errors().contains("its publishes are refused"), "{}", hub.errors());
}

/// The least that a limit may be beside others, as `check` says that refuses less.
fn edge(limits: &str, name: &str) -> u64 {
    let check = |value: u64| {
        let file = File::new(&format!("{OPEN}[limits]\n{limits}{name} = {value}\n"));
        let check = tidewire("check").args(["--config", file.path()]).output().unwrap();
        (check.status.success(), String::from_utf8(check.stderr).unwrap())
    };
    let (_, said) = check(1 << 20);
    let asks = format!("raise `{name}` to at least ");
    let asked = said.split(&asks).skip(1);
    let least = asked.map(|rest| rest.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap());
    let least = least.max().unwrap_or(1 << 20);
    assert!(check(least).0, "{limits}{name} = {least}");
    assert!(least == 1 << 20 || !check(least - 1).0, "{limits}{name} = {least}");
    least
}

fn takes_the_largest(limits: &str) {
    let data = Folder::new();
    let file = File::new(&format!(
        "shards = 2\ndata_dir = \"{}\"\n{OPEN}\
         [[topics]]\npattern = \"memory.>\"\ndurability = \"memory\"\nretention = \"none\"\n\
         [[topics]]\npattern = \">\"\nretention = {{ count = 1 }}\n[limits]\n{limits}",
        data.path()
    ));
    let hub = Hub::start(&["--config", file.path()], &[]);
    for kind in ["memory", "kept"] {
        for dialect in [Dialect::Json, Dialect::Binary] {
            let topic = format!("{kind}.{dialect:?}");
            by_websocket(Peer::connect(hub.address, dialect, kind.len() as u8), dialect, &topic, limits);
        }
    }
    let Peer { message_bytes_max, frame_bytes_max, .. } = Peer::connect(hub.address, Dialect::Json, 1);
    for kind in ["memory", "kept"] {
        let path = format!("/v1/topics/{kind}.http/messages");
        by_http(hub.address, &path, "text/plain", &vec![1; message_bytes_max], limits);
        if kind == "kept" {
            let page = Http::to(hub.address).get(&path);
            assert_eq!(page.status, 200, "{}\n{limits}", page.text());
            assert!(page.body.len() > 6 * message_bytes_max);
        }
        let body = several(&format!("{kind}.http"), message_bytes_max, frame_bytes_max);
        by_http(hub.address, "/v1/messages", "application/json", &body, limits);
    }
}

fn by_websocket(mut peer: Peer, dialect: Dialect, topic: &str, limits: &str) {
    peer.open(1, topic);
    // Each byte becomes six in JSON.
    peer.publish(1, 1, &["\u{1}".repeat(peer.message_bytes_max)]);
    acked(&mut peer, 1, limits);
    if topic.starts_with("kept") {
        let (texts, _) = peer.page(topic, Start::Earliest);
        assert_eq!(texts.len(), 1, "{limits}");
    }
    let beside = if dialect == Dialect::Json { 80 } else { 40 };
    let texts = filling(peer.message_bytes_max, peer.frame_bytes_max, beside);
    peer.publish_whole(1, 2, &texts);
    acked(&mut peer, texts.len() as u64, limits);
}

#[track_caller]
fn acked(peer: &mut Peer, count: u64, limits: &str) {
    let mut acked = 0;
    while acked < count {
        match peer.hear() {
            Heard::Acked(more) => acked += more,
            other => panic!("{other:?}\n{limits}"),
        }
    }
}

/// Messages that fill a frame in which each takes so many bytes besides.
fn filling(message_bytes_max: usize, frame_bytes_max: usize, beside: usize) -> Vec<String> {
    let mut left = frame_bytes_max - beside;
    let mut texts = Vec::new();
    while left > beside {
        let bytes = message_bytes_max.min(left - beside);
        texts.push("x".repeat(bytes));
        left -= bytes + beside;
    }
    texts
}

/// A body with several messages that has as many bytes as it may.
fn several(topic: &str, message_bytes_max: usize, frame_bytes_max: usize) -> Vec<u8> {
    let texts = filling(message_bytes_max, frame_bytes_max, 80);
    let messages: Vec<_> = texts.iter().map(|text| json!({"topic": topic, "text": text})).collect();
    let mut body = json!({"messages": messages}).to_string().into_bytes();
    assert!(body.len() <= frame_bytes_max && body.len() > frame_bytes_max / 2);
    body.resize(frame_bytes_max, b' ');
    body
}

/// A body is taken whether it says how long it is or not, and with one byte more it is too large either way.
fn by_http(to: SocketAddr, path: &str, kind: &str, body: &[u8], limits: &str) {
    let mut http = Http::to(to);
    let asked = http.post(path, kind, body);
    assert_eq!(asked.status, 200, "by length: {}\n{limits}", asked.text());
    http.send_in_chunks(path, kind, body);
    let asked = http.answer();
    assert_eq!(asked.status, 200, "in chunks: {}\n{limits}", asked.text());
    http.send_in_chunks(path, kind, &[body, b" "].concat());
    assert_eq!(http.answer().problem().1, "too_large", "in chunks\n{limits}");
    let mut http = Http::to(to);
    let length = (body.len() + 1).to_string();
    http.send_head("POST", path, &[("content-type", kind), ("content-length", &length)]);
    assert_eq!(http.answer().problem().1, "too_large", "by length\n{limits}");
}
