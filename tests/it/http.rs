//! The HTTP API on the real process: the same messages, rights and limits as over a WebSocket.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::Http;
use crate::support::hub::Hub;
use crate::support::listener::{Listener, request};
use crate::support::socket::RawSocket;

const JSON: &str = "application/json";
const A: &str = "/v1/topics/a.b/messages";

fn offsets(page: &Value) -> Vec<u64> {
    page["messages"].as_array().unwrap().iter().map(|message| message["offset"].as_u64().unwrap()).collect()
}

#[test]
fn what_is_published_by_one_way_is_read_by_the_other() {
    let hub = Hub::dev();
    let mut socket = RawSocket::json(hub.address);
    socket.say(json!([
        {"type": "hello", "producer": "0".repeat(31) + "7", "incarnation": 1},
        {"type": "subscribe", "request": 1, "name": "a.*"},
        {"type": "open", "handle": 1, "topic": "a.b", "lowest": 1}
    ]));
    socket.hear_of("opened");
    let mut http = Http::to(hub.address);
    let published = http.post(A, JSON, b"{\"n\": 1}").ok();
    assert_eq!((&published["topic"], &published["offset"]), (&json!("a.b"), &json!(1)));
    assert_eq!((&published["durability"], &published["duplicate"]), (&json!("memory"), &json!(false)));
    let block = socket.hear_of("block");
    assert_eq!(block["messages"][0]["data"], json!({"n": 1}));
    socket.say(json!({"type": "publish", "handle": 1, "seq": 1, "text": "two"}));
    socket.hear_of("acked");
    let page = http.get(A).ok();
    assert_eq!(offsets(&page), [1, 2]);
    assert_eq!((&page["messages"][1]["text"], &page["more"]), (&json!("two"), &json!(false)));
    let epoch = published["epoch"].as_str().unwrap();
    assert_eq!(page["next"], format!("{epoch}:2"));
    let position = http.get("/v1/topics/a.b/position").ok();
    assert_eq!(position, json!({"topic": "a.b", "position": format!("{epoch}:2")}));
}

#[test]
fn each_type_of_body_is_told_as_what_it_is() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    for (kind, body) in [
        (JSON, &b"[1]"[..]),
        ("application/cloudevents+json; charset=utf-8", b"{}"),
        ("text/plain", "gr\u{fc}n".as_bytes()),
        ("application/cbor", b"\x01"),
        ("image/png", b"\x00\xff"),
    ] {
        http.post(A, kind, body).ok();
    }
    http.ask("POST", A, &[], b"\x01\x02").ok();
    let page = http.get(A).ok();
    let told: Vec<Value> = page["messages"].as_array().unwrap().clone();
    assert_eq!(told[0]["data"], json!([1]));
    assert_eq!(told[1]["data"], json!({}));
    assert_eq!(told[2]["text"], "gr\u{fc}n");
    assert_eq!((&told[3]["content"], &told[3]["base64"]), (&json!("cbor"), &json!("AQ==")));
    assert_eq!((&told[4]["content"], &told[4]["base64"]), (&json!("binary"), &json!("AP8=")));
    assert_eq!(told[5]["content"], "binary");
    for (kind, body, status) in [
        (JSON, &b"{"[..], 400),
        (JSON, b"", 400),
        ("text/plain", b"\xff", 400),
        ("application/x-www-form-urlencoded", b"a=b", 415),
        ("multipart/form-data; boundary=x", b"", 415),
    ] {
        assert_eq!(http.post(A, kind, body).problem().0, status, "{kind} {body:?}");
    }
    assert_eq!(offsets(&http.get(A).ok()).len(), 6);
}

#[test]
fn a_retry_with_its_key_lands_once() {
    let hub = Hub::dev();
    let key = [("content-type", JSON), ("idempotency-key", "order 7")];
    // A client that is cut off before it has read the answer cannot know.
    let mut first = Http::to(hub.address);
    first.send("POST", A, &key, b"1");
    let mut http = Http::to(hub.address);
    eventually("it has landed", || !offsets(&http.get(A).ok()).is_empty());
    drop(first);
    let again = http.ask("POST", A, &key, b"1").ok();
    assert_eq!((&again["offset"], &again["duplicate"]), (&json!(1), &json!(true)));
    let other = http.ask("POST", A, &[("content-type", JSON), ("idempotency-key", "order 8")], b"1").ok();
    assert_eq!((&other["offset"], &other["duplicate"]), (&json!(2), &json!(false)));
    let elsewhere = http.ask("POST", "/v1/topics/c/messages", &key, b"1").ok();
    assert_eq!(elsewhere["duplicate"], false, "a key is one topic's");
    for bad in ["", &"x".repeat(257)] {
        let answer = http.ask("POST", A, &[("content-type", JSON), ("idempotency-key", bad)], b"1");
        assert!(answer.problem().2.contains("idempotency-key"));
    }
}

#[test]
fn several_are_published_together_or_not_at_all() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    let several = json!({"messages": [
        {"topic": "a.b", "data": {"n": 1}}, {"topic": "c", "text": "two"},
        {"topic": "a.b", "base64": "AAE=", "content": "cbor"}
    ]});
    let published = http.post("/v1/messages", JSON, several.to_string().as_bytes()).ok();
    assert_eq!(offsets(&published), [1, 2, 3]);
    assert_eq!(offsets(&http.get(A).ok()), [1, 3]);
    for (messages, index, says) in [
        (json!([{"topic": "a.b", "data": 1}, {"topic": "$a", "data": 1}]), json!(1), "neither a rule"),
        (json!([{"topic": "a.b", "data": 1}, {"topic": "a", "text": "", "data": 1}]), json!(1), "one of"),
        (json!([{"topic": "a.b"}]), json!(0), "one of"),
        (json!([{"topic": "a.b", "text": "x", "content": "json"}]), json!(0), "something else"),
        (json!([{"topic": "a.b", "base64": "?"}]), json!(0), "base64"),
        (json!([{"topic": "a.b", "data": 1, "keys": "x"}]), Value::Null, "unknown field"),
        (json!([]), Value::Null, "1 to 1000"),
        (json!(vec![json!({"topic": "a.b", "data": 1}); 1_001]), Value::Null, "1 to 1000"),
    ] {
        let body = json!({ "messages": messages }).to_string();
        let answer = http.post("/v1/messages", JSON, body.as_bytes());
        let (_, _, detail) = answer.problem();
        assert!(detail.contains(says) && answer.json()["index"] == index, "{}", answer.text());
    }
    assert_eq!(http.post("/v1/messages", "text/plain", b"{}").problem().0, 415);
    assert_eq!(offsets(&http.get(A).ok()), [1, 3]);
}

#[test]
fn pages_go_on_where_the_last_one_ended_both_ways() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    for n in 0..25 {
        http.post(A, JSON, n.to_string().as_bytes()).ok();
        http.post("/v1/topics/a.c/messages", JSON, b"0").ok();
    }
    let (mut read, mut from) = (Vec::new(), "earliest".to_owned());
    loop {
        let page = http.get(&format!("{A}?limit=10&from={from}")).ok();
        read.extend(offsets(&page));
        from = page["next"].as_str().unwrap().to_owned();
        if page["more"] == false {
            break;
        }
    }
    let expected: Vec<u64> = (0..25).map(|n| n * 2 + 1).collect();
    assert_eq!(read, expected);
    assert_eq!(offsets(&http.get(&format!("{A}?from={from}")).ok()), [0; 0]);
    let mut page = http.get(&format!("{A}?from=last:10")).ok();
    let mut back = offsets(&page);
    while back.len() < expected.len() {
        let before = page["previous"].as_str().unwrap();
        page = http.get(&format!("{A}?limit=10&before={before}")).ok();
        back = [offsets(&page), back].concat();
    }
    assert_eq!(page["more"], false);
    assert_eq!(back, expected);
    let all = http.get("/v1/topics/a.*/messages?limit=1000&from=last:30").ok();
    assert_eq!((offsets(&all).len(), &all["messages"][0]["topic"]), (30, &json!("a.b")), "{all}");
    let lines = http.ask("GET", &format!("{A}?from=last:2"), &[("accept", "application/x-ndjson")], b"");
    assert_eq!(lines.text().lines().count(), 2);
    assert_eq!(lines.header("tidewire-more"), Some("false"));
    assert!(lines.header("tidewire-next").unwrap().ends_with(":49"));
    let gone = http.get(&format!("{A}?from=0000000000000001:7")).ok();
    assert_eq!(gone["gap"]["reason"], "epoch_changed", "{gone}");
}

#[test]
fn who_waits_is_answered_when_something_comes() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    http.post(A, JSON, b"1").ok();
    let next = http.get(A).ok()["next"].as_str().unwrap().to_owned();
    let waiting = |path: &str| {
        let mut waiting = Http::to(hub.address);
        waiting.send("GET", path, &[], b"");
        waiting
    };
    let path = format!("{A}?from={next}&wait=50s");
    let mut both = [waiting(&path), waiting(&path)];
    let mut other = waiting("/v1/topics/nobody/messages?from=latest&wait=50");
    eventually("they wait", || hub.metric("tidewire_clients") >= 4);
    http.post(A, JSON, b"2").ok();
    for waiting in &mut both {
        assert_eq!(offsets(&waiting.answer().ok()), [2]);
    }
    let at_once = http.get(&format!("{A}?from=earliest&wait=50")).ok();
    assert_eq!(offsets(&at_once), [1, 2]);
    http.post("/v1/topics/nobody/messages", JSON, b"3").ok();
    assert_eq!(offsets(&other.answer().ok()), [3]);
    let in_vain = http.get("/v1/topics/nobody/messages?from=latest&wait=100ms").ok();
    assert_eq!(offsets(&in_vain), [0; 0]);
}

#[test]
fn topics_are_listed_some_at_a_time() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    for n in 0..30 {
        http.post(&format!("/v1/topics/a.n{n:02}/messages"), JSON, b"1").ok();
    }
    http.post("/v1/topics/b/messages", JSON, b"1").ok();
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let page = http.get(&format!("/v1/topics?pattern=a.*&limit=7{after}")).ok();
        for topic in page["topics"].as_array().unwrap() {
            found.push(topic["topic"].as_str().unwrap().to_owned());
            assert_eq!(topic["messages"], 1);
        }
        let Some(next) = page["next"].as_str() else { break };
        after = format!("&after={next}");
    }
    assert_eq!(found, (0..30).map(|n| format!("a.n{n:02}")).collect::<Vec<_>>());
    let one = http.get("/v1/topics/b").ok();
    assert_eq!((&one["topic"], &one["messages"]), (&json!("b"), &json!(1)));
    assert_eq!(http.get("/v1/topics/nobody").problem().1, "unknown_topic");
    let mut listener = Listener::start(hub.address, "topic=nobody", "");
    listener.next_of("subscribed");
    assert_eq!(http.get("/v1/topics/nobody").problem().1, "unknown_topic", "to listen is not to publish");
    assert_eq!(http.get("/v1/topics/a.*").problem().1, "bad_request");
}

#[test]
fn whatever_is_wrong_is_a_problem_with_a_name() {
    let many = format!("/v1/topics/a/messages?from={}", vec!["0000000000000001:1"; 65].join(","));
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    for (method, path, status, says) in [
        ("GET", "/v1/topics/a..b/messages", 400, "no valid topic"),
        ("GET", "/v1/topics/a%00b/messages", 400, "no valid topic"),
        ("GET", "/v1/topics/a/messages?form=earliest", 400, "`form`"),
        ("GET", "/v1/topics/a/messages?from=now", 400, "`from`"),
        ("GET", "/v1/topics/a/messages?from=a&from=b", 400, "twice"),
        ("GET", "/v1/topics/a/messages?limit=0", 400, "`limit`"),
        ("GET", "/v1/topics/a/messages?limit=1001", 400, "`limit`"),
        ("GET", "/v1/topics/a/messages?wait=51", 400, "`wait`"),
        ("GET", "/v1/topics/a/messages?wait=1&before=0000000000000001:1", 400, "`wait`"),
        ("GET", "/v1/topics/a.*/messages?wait=1", 400, "one topic"),
        ("GET", "/v1/topics/a/messages?from=latest&before=0000000000000001:1", 400, "say one"),
        ("GET", "/v1/topics/a/position?x", 400, "`x`"),
        ("GET", &many, 400, "`from`"),
        ("PUT", "/v1/topics/a/messages", 405, "method"),
        ("DELETE", "/v1/messages", 405, "method"),
        ("GET", "/v1/nothing", 404, "nothing here"),
        ("POST", "/v1/tickets", 401, "token"),
    ] {
        let answer = http.ask(method, path, &[], b"");
        let (told, _, detail) = answer.problem();
        assert!(told == status && detail.contains(says), "{method} {path}: {}", answer.text());
    }
    assert_eq!(http.ask("POST", A, &[("content-encoding", "gzip")], b"x").problem().0, 415);
}

#[test]
fn a_body_has_bounds_however_it_comes() {
    let hub = Hub::dev();
    let largest = vec![b'x'; 256 << 10];
    let mut http = Http::to(hub.address);
    http.post(A, "text/plain", &largest).ok();
    // What announces too much is refused before it comes.
    http.send("POST", A, &[("content-type", "text/plain"), ("x", "y")], b"");
    http.answer();
    let mut http = Http::to(hub.address);
    let announced = format!("POST {A} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 99999999\r\n\r\n");
    std::io::Write::write_all(http.socket.get_mut(), announced.as_bytes()).unwrap();
    assert_eq!(http.answer().problem().1, "too_large");
    let mut http = Http::to(hub.address);
    let chunked =
        format!("POST {A} HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n40001\r\n");
    let body = [chunked.as_bytes(), &largest, b"x\r\n0\r\n\r\n"].concat();
    std::io::Write::write_all(http.socket.get_mut(), &body).unwrap();
    assert_eq!(http.answer().problem().1, "too_large");
}

#[test]
fn answers_come_smaller_to_whoever_takes_that_and_are_the_same() {
    use std::io::Read as _;

    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    let text = "the same again and again, ".repeat(40);
    for _ in 0..20 {
        http.post(A, "text/plain", text.as_bytes()).ok();
    }
    for (path, accept) in
        [(A, JSON), (A, "application/x-ndjson"), ("/v1/topics?pattern=%3E", JSON), ("/v1/openapi.json", JSON)]
    {
        let plain = http.ask("GET", path, &[("accept", accept)], b"");
        assert_eq!(plain.header("content-encoding"), None, "{path}");
        let asked = [("accept", accept), ("accept-encoding", "br, gzip;q=0.8")];
        let smaller = http.ask("GET", path, &asked, b"");
        // A short one is not worth it.
        if plain.body.len() < 1_024 {
            assert_eq!((smaller.header("content-encoding"), &smaller.body), (None, &plain.body), "{path}");
            continue;
        }
        assert_eq!(smaller.header("content-encoding"), Some("gzip"), "{path}");
        assert_eq!(smaller.header("vary"), Some("accept-encoding"), "{path}");
        assert!(smaller.body.len() < plain.body.len() / 2, "{path}: {}", smaller.body.len());
        let mut found = Vec::new();
        flate2::read::GzDecoder::new(&smaller.body[..]).read_to_end(&mut found).unwrap();
        assert_eq!(found, plain.body, "{path}");
        assert_eq!(smaller.header("tidewire-next"), plain.header("tidewire-next"), "{path}");
    }
    // What comes as it is published is not gathered for that.
    let request =
        request("topic=a.b&from=earliest", "").replace("accept:", "accept-encoding: gzip\r\naccept:");
    let mut listener = Listener::on(RawSocket::connect(hub.address), &request);
    listener.next_of("subscribed");
    assert_eq!(listener.next_of("")["text"], text);
}
