//! Keys, headers, times to live and conditions on the real process, by HTTP and as subscribers see them.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::http::{Answer, Http};
use crate::support::hub::Hub;
use crate::support::kept::Kept;
use crate::support::listener::Listener;
use crate::support::socket::RawSocket;

const MAPS: &str = "[[topics]]\npattern = \"map.>\"\nretention = \"latest_per_key\"\n";
const TRACE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

/// Publishes a text with these headers.
fn publish(http: &mut Http, topic: &str, headers: &[(&str, &str)], text: &str) -> Answer {
    let headers = [&[("content-type", "text/plain")], headers].concat();
    http.ask("POST", &format!("/v1/topics/{topic}/messages"), &headers, text.as_bytes())
}

/// Keys and texts of what is kept, removals as null.
fn kept(http: &mut Http, topic: &str) -> Vec<(String, Value)> {
    let page = http.get(&format!("/v1/topics/{topic}/messages?from=earliest&limit=1000")).ok();
    let messages = page["messages"].as_array().unwrap().clone();
    messages.iter().map(|one| (one["key"].as_str().unwrap().to_owned(), one["text"].clone())).collect()
}

fn place(answer: &Answer) -> String {
    let answer = answer.ok();
    format!("{}:{}", answer["epoch"].as_str().unwrap(), answer["offset"])
}

#[test]
fn what_a_request_says_of_its_message_is_told_to_whoever_hears_or_reads_it() {
    let hub = Hub::dev();
    let mut socket = RawSocket::json(hub.address);
    socket.say(json!([{"type": "hello"}, {"type": "subscribe", "request": 1, "name": "a.*"}]));
    socket.hear_of("subscribed");
    let mut listener = Listener::start(hub.address, "topic=a.b", "");
    listener.next_of("subscribed");
    let mut http = Http::to(hub.address);
    let headers = [
        ("tidewire-key", "grün 7"),
        ("tidewire-header-Content-Encoding", "gzip"),
        ("tidewire-ttl", "1h"),
        ("traceparent", TRACE),
    ];
    let answer = publish(&mut http, "a.b", &headers, "hello");
    assert_eq!(answer.header("etag"), Some(&*format!("\"{}\"", place(&answer))));
    let wanted = json!({"content-encoding": "gzip", "traceparent": TRACE});
    let is_as_said = |message: &Value| {
        assert_eq!((&message["key"], &message["headers"]), (&json!("grün 7"), &wanted));
        assert_eq!((&message["ttl_ms"], &message["text"]), (&json!(3_600_000), &json!("hello")));
    };
    is_as_said(&socket.hear_of("block")["messages"][0]);
    let event = listener.next().unwrap();
    is_as_said(&event.data);
    is_as_said(&http.get("/v1/topics/a.b/messages").ok()["messages"][0]);
    // Of several, each has its own.
    let several = json!({"messages": [
        {"topic": "a.b", "text": "one", "key": "k", "headers": {"n": "1"}, "ttl_ms": 5},
        {"topic": "a.c", "key": "k", "remove": true},
    ]});
    http.post("/v1/messages", "application/json", several.to_string().as_bytes()).ok();
    eventually("a message is told whose time to live is over", || {
        let page = http.get("/v1/topics/a.b/messages").ok();
        page["messages"].as_array().unwrap().len() == 1
    });
    let removal = http.get("/v1/topics/a.c/messages").ok()["messages"][0].clone();
    assert_eq!((&removal["key"], &removal["remove"]), (&json!("k"), &json!(true)));
    assert!(removal.get("base64").is_none() && removal.get("data").is_none());
}

#[test]
fn what_cannot_be_understood_is_named() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    for (name, value, says) in [
        ("tidewire-key", &*"k".repeat(256), "a key has at most 255 bytes"),
        ("tidewire-ttl", "soon", "`tidewire-ttl` is a span such as 10s"),
        ("tidewire-key", "", "`tidewire-key` has 1 to 255 bytes: leave it out"),
        ("tidewire-ttl", "0", "at least a millisecond: leave it out"),
        ("tidewire-ttl", "0ms", "at least a millisecond: leave it out"),
        ("tidewire-ttl", "365001d", "365000 days at most"),
        ("tidewire-ttl", "99999999999999999999", "365000 days at most"),
        (
            "tidewire-time-to-live",
            "1s",
            "`tidewire-time-to-live` is no header here; there are `tidewire-key`, `tidewire-ttl`",
        ),
        ("tidewire-header", "1", "`tidewire-header` is no header here"),
        ("tidewire-remove", "yes", "`tidewire-remove` is true or false"),
        ("tidewire-remove", "true", "names the key"),
        ("tidewire-durability", "replicated", "is memory or synced"),
        ("if-none-match", "\"a\"", "`if-none-match` is *"),
        ("if-match", "7", "`if-match` is EPOCH:OFFSET"),
        ("if-none-match", "*", "a condition is about a key"),
    ] {
        let (status, code, detail) = publish(&mut http, "a", &[(name, value)], "m").problem();
        assert!(status == 400 && code == "bad_request" && detail.contains(says), "{name}: {detail}");
    }
    let both = [("tidewire-key", "a"), ("if-none-match", "*"), ("if-match", "60a4a73ec3b65852:1")];
    let (status, code, detail) = publish(&mut http, "a", &both, "m").problem();
    assert!(status == 400 && code == "bad_request" && detail.contains("never both hold"), "{detail}");
    let twice = [("tidewire-key", "a"), ("tidewire-key", "b")];
    assert!(publish(&mut http, "a", &twice, "m").problem().2.contains("comes once"));
    let synced = publish(&mut http, "a", &[("tidewire-durability", "synced")], "m").problem();
    assert_eq!((synced.0, &*synced.1), (400, "not_supported"), "nothing is taken for less than was asked");
    assert!(synced.2.starts_with("the topic is in memory by the hub's rule for it"), "{}", synced.2);
    let condition = [("tidewire-key", "a"), ("if-none-match", "*")];
    let (_, code, detail) = publish(&mut http, "a", &condition, "m").problem();
    assert_eq!(code, "not_supported");
    assert!(detail.starts_with("the topic does not keep the latest message of each key"), "{detail}");
    let place = "60a4a73ec3b65852:1";
    for (field, value, says) in [
        ("headers", json!({"A": ""}), "a header's name"),
        ("key", json!(""), "`key` has 1 to 255 bytes: leave it out"),
        ("ttl_ms", json!(0), "`ttl_ms` is at least a millisecond: leave it out"),
        ("ttl_ms", json!(1_u64 << 60), "a time to live has at most"),
        ("if_version", json!(place), "never both hold"),
    ] {
        let mut bad =
            json!({"messages": [{"topic": "a", "text": "m"}, {"topic": "a", "text": "m", "key": "k"}]});
        bad["messages"][1][field] = value;
        bad["messages"][1]["if_absent"] = json!(field == "if_version");
        let answer = http.post("/v1/messages", "application/json", bad.to_string().as_bytes());
        let (status, code, detail) = answer.problem();
        assert!(status == 400 && code == "bad_request" && detail.contains(says), "{field}: {detail}");
        assert_eq!(answer.json()["index"], 1);
    }
    let several = json!({"messages": [{"topic": "a", "text": "m"}]}).to_string();
    for (name, value) in [("tidewire-key", "k"), ("if-none-match", "*")] {
        let headers = [("content-type", "application/json"), (name, value)];
        let (status, _, detail) = http.ask("POST", "/v1/messages", &headers, several.as_bytes()).problem();
        assert!(status == 400 && detail.contains(&format!("`{name}` is about one message")), "{detail}");
    }
    assert_eq!(http.get("/v1/topics/a/messages").ok()["messages"], json!([]));
}

#[test]
fn of_a_batch_that_a_condition_refuses_its_message_is_told() {
    let file = File::new(&format!("{OPEN}{MAPS}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut http = Http::to(hub.address);
    let first = place(&publish(&mut http, "map.x", &[("tidewire-key", "a")], "one"));
    let one = |key: &str, condition: bool| json!({"topic": "map.x", "text": "m", "key": key, "if_absent": condition});
    let batch = json!({"messages": [one("b", false), one("c", true), one("a", true), one("d", false)]});
    for idempotency in ["first", "first", "other"] {
        let headers = [("content-type", "application/json"), ("idempotency-key", idempotency)];
        let answer = http.ask("POST", "/v1/messages", &headers, batch.to_string().as_bytes());
        let told = answer.json();
        assert_eq!(
            (answer.status, &told["code"], &told["index"]),
            (412, &json!("condition_failed"), &json!(2))
        );
        assert_eq!(told["current"], json!(first));
    }
    assert_eq!(kept(&mut http, "map.x").len(), 1);
}

#[test]
fn a_trace_of_a_proxy_costs_nobody_a_message() {
    let hub = Hub::dev();
    let mut http = Http::to(hub.address);
    let long = "v".repeat(4_000);
    let traced = [("traceparent", TRACE), ("tracestate", "a=1"), ("tracestate", "b=2")];
    publish(&mut http, "a", &traced, "1").ok();
    publish(&mut http, "a", &[&traced[..], &[("traceparent", TRACE)]].concat(), "2").ok();
    publish(&mut http, "a", &[&traced[..], &[("tidewire-header-a", &*long)]].concat(), "3").ok();
    let page = http.get("/v1/topics/a/messages?from=earliest").ok();
    assert_eq!(page["messages"][0]["headers"], json!({"traceparent": TRACE, "tracestate": "a=1,b=2"}));
    assert!(page["messages"][1].get("headers").is_none(), "{page}");
    assert_eq!(
        page["messages"][2]["headers"],
        json!({"a": long, "traceparent": TRACE, "tracestate": "a=1,b=2"})
    );
}

#[test]
fn a_page_may_send_the_headers_of_messages() {
    let toml = OPEN.replace("allow_no_origin = true", "origins = [\"https://app.example.com\"]");
    let file = File::new(&toml);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut http = Http::to(hub.address);
    let asks = [
        ("origin", "https://app.example.com"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "if-match,tidewire-header-color,tidewire-key,x-other"),
    ];
    let preflight = http.ask("OPTIONS", "/v1/topics/a/messages", &asks, b"");
    let allowed: Vec<_> = preflight.header("access-control-allow-headers").unwrap().split(", ").collect();
    for name in ["if-match", "tidewire-key", "tidewire-header-color"] {
        assert!(allowed.contains(&name), "{allowed:?}");
    }
    assert!(!allowed.contains(&"x-other"));
}

#[test]
fn conditions_are_those_of_http_and_hold_over_a_restart() {
    let mut kept_hub = Kept::start_with(MAPS);
    let mut http = Http::to(kept_hub.hub().address);
    let anew = [("tidewire-key", "a"), ("if-none-match", "*")];
    let first = publish(&mut http, "map.x", &anew, "one");
    let first_place = place(&first);
    assert_eq!(first.ok()["durability"], "synced");
    let failed = publish(&mut http, "map.x", &anew, "two");
    assert_eq!((failed.status, &failed.json()["code"]), (412, &json!("condition_failed")));
    assert_eq!(failed.json()["current"], json!(first_place));
    let early = [("tidewire-key", "b"), ("tidewire-durability", "memory")];
    assert_eq!(
        publish(&mut http, "map.x", &early, "first").ok()["durability"],
        "synced",
        "its place is to be nobody else's"
    );
    assert_eq!(publish(&mut http, "map.x", &early, "early").ok()["durability"], "memory");
    let early = ("b".to_owned(), json!("early"));
    eventually("what was acknowledged early is seen", || kept(&mut http, "map.x").contains(&early));
    kept_hub.kill_and_restart();
    let mut http = Http::to(kept_hub.hub().address);
    assert_eq!(publish(&mut http, "map.x", &anew, "two").json()["current"], json!(first_place));
    let quoted = format!("\"{first_place}\"");
    let second = publish(&mut http, "map.x", &[("tidewire-key", "a"), ("if-match", &quoted)], "two");
    assert_eq!(
        publish(&mut http, "map.x", &[("tidewire-key", "a"), ("if-match", &first_place)], "no").status,
        412
    );
    let second = place(&second);
    let removal = [("tidewire-key", "a"), ("tidewire-remove", "true"), ("if-match", &second)];
    let answer = http.ask("POST", "/v1/topics/map.x/messages", &removal, b"");
    answer.ok();
    let gone = publish(&mut http, "map.x", &[("tidewire-key", "a"), ("if-match", &second)], "no").json();
    assert!(gone.get("current").is_none() && gone["code"] == "condition_failed", "{gone}");
    kept_hub.kill_and_restart();
    let mut http = Http::to(kept_hub.hub().address);
    // What was replaced may be among it.
    let kept = kept(&mut http, "map.x");
    assert_eq!(kept.last().unwrap(), &("a".to_owned(), Value::Null));
    assert!(kept.contains(&("b".to_owned(), json!("early"))), "{kept:?}");
    publish(&mut http, "map.x", &anew, "three").ok();
    assert_eq!(publish(&mut http, "map.x", &[], "no key").problem().1, "bad_message");
}

#[test]
fn the_latest_message_of_a_key_is_read_by_itself() {
    let mut kept_hub = Kept::start_with(MAPS);
    let mut http = Http::to(kept_hub.hub().address);
    let read = |http: &mut Http, key: &str| http.get(&format!("/v1/topics/map.x/messages?key={key}"));
    assert_eq!(read(&mut http, "a").problem().1, "unknown_key");
    for (key, text) in [("a", "one"), ("gr\u{fc}n", "other"), ("a", "two"), ("b", "last")] {
        publish(&mut http, "map.x", &[("tidewire-key", key)], text).ok();
    }
    for _ in 0..2 {
        let answer = read(&mut http, "a");
        let page = answer.ok();
        assert_eq!(
            (&page["messages"][0]["text"], page["messages"].as_array().unwrap().len()),
            (&json!("two"), 1)
        );
        let tag = answer.header("etag").unwrap().trim_matches('"').to_owned();
        assert_eq!((&page["next"], &page["more"]), (&json!(tag), &json!(false)));
        let next = http.get(&format!("/v1/topics/map.x/messages?from={tag}")).ok();
        assert_eq!(next["messages"][0]["text"], "last");
        assert_eq!(read(&mut http, "gr%C3%BCn").ok()["messages"][0]["text"], "other");
        kept_hub.kill_and_restart();
        http = Http::to(kept_hub.hub().address);
    }
    let tag = read(&mut http, "a").header("etag").unwrap().to_owned();
    publish(
        &mut http,
        "map.x",
        &[("tidewire-key", "a"), ("if-match", &tag), ("tidewire-ttl", "200ms")],
        "three",
    )
    .ok();
    assert_eq!(read(&mut http, "a").ok()["messages"][0]["text"], "three");
    eventually("a key is told whose time is over", || read(&mut http, "a").status == 404);
    let removal = [("tidewire-key", "b"), ("tidewire-remove", "true")];
    http.ask("POST", "/v1/topics/map.x/messages", &removal, b"").ok();
    let (status, code, detail) = read(&mut http, "b").problem();
    assert_eq!((status, &*code), (404, "unknown_key"), "{detail}");
    publish(&mut http, "t", &[("tidewire-key", "a")], "plain").ok();
    for (query, code, says) in [
        ("t/messages?key=a", "not_supported", "keeps the latest"),
        ("map.*/messages?key=a", "not_supported", "keeps the latest"),
        ("map.x/messages?key=a&limit=1", "bad_request", "`key` goes by itself"),
        ("map.x/messages?key=", "bad_request", "1 to 255 bytes"),
    ] {
        let (status, told, detail) = http.get(&format!("/v1/topics/{query}")).problem();
        assert!(status == 400 && told == code && detail.contains(says), "{query}: {told} {detail}");
    }
}

#[test]
fn a_value_that_expires_is_removed_for_all_to_hear() {
    let mut kept_hub = Kept::start_with(MAPS);
    let mut listener = Listener::start(kept_hub.hub().address, "topic=map.x", "");
    listener.next_of("subscribed");
    let mut http = Http::to(kept_hub.hub().address);
    publish(&mut http, "map.x", &[("tidewire-key", "a"), ("tidewire-ttl", "50ms")], "soon over").ok();
    let heard = |listener: &mut Listener| -> Value { listener.next().unwrap().data };
    assert_eq!(heard(&mut listener)["text"], "soon over");
    let removal = heard(&mut listener);
    assert_eq!((&removal["key"], &removal["remove"]), (&json!("a"), &json!(true)));
    let mut http = Http::to(kept_hub.hub().address);
    publish(&mut http, "map.x", &[("tidewire-key", "a"), ("if-none-match", "*")], "again").ok();
}
