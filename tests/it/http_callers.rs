//! Who may ask what by HTTP, how fast, and how long: on the real process.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::http::Http;
use crate::support::hub::Hub;
use crate::support::keyed::{Keyed, bearer, by_secret, claims, now};
use crate::support::socket::RawSocket;

const JSON: &str = "application/json";
const A: &str = "/v1/topics/a.b/messages";

/// Claims for a key that is for everybody.
fn anywhere(subject: &str, allow: Value) -> Value {
    let mut claims = claims(subject, allow);
    claims.as_object_mut().unwrap().remove("aud");
    claims
}

#[test]
fn a_token_says_who_asks_and_what_is_allowed() {
    let keyed = Keyed::start("");
    let allow = json!([{"topics": ["a.>"], "to": ["publish"]}, {"topics": ["a.b", "c"], "to": ["history"]}]);
    let token = format!("Bearer {}", by_secret(&anywhere("ada", allow)));
    let mut http = Http::to(keyed.hub.address);
    let mut ask = |method: &str, path: &str, token: &str| {
        http.ask(method, path, &[("authorization", token), ("content-type", JSON)], b"1")
    };
    for _ in 0..3 {
        ask("POST", A, &token).ok();
    }
    let page = ask("GET", A, &token).ok();
    assert_eq!(page["messages"][2]["sender"], "ada");
    for (method, path) in [
        ("POST", "/v1/topics/c/messages"),
        ("GET", "/v1/topics/a.c/messages"),
        ("GET", "/v1/topics/a.%3E/messages"),
        ("GET", "/v1/topics/a.c/position"),
        ("GET", "/v1/topics/a.c"),
        ("GET", "/v1/topics?pattern=a.*"),
        ("GET", "/v1/topics"),
    ] {
        let answer = ask(method, path, &token);
        assert_eq!(answer.problem().1, "forbidden", "{method} {path}");
    }
    ask("GET", "/v1/topics?pattern=c", &token).ok();
    for (bad, says) in [
        ("Bearer x.y.z", "no signed JWT"),
        ("Bearer", "`Bearer`"),
        ("Basic YTpi", "`Bearer`"),
        (&format!("Bearer {}", "x".repeat(9_000)), "longer"),
        (&format!("{token}x"), "signature"),
    ] {
        let answer = ask("GET", A, bad);
        let (status, code, detail) = answer.problem();
        assert_eq!((status, &*code, answer.header("www-authenticate")), (401, "bad_token", Some("Bearer")));
        assert!(detail.contains(says), "{bad}: {detail}");
    }
    assert_eq!(ask("GET", A, &token).status, 200, "others' mistakes are not held against it");
    let mut stream = Http::to(keyed.hub.address);
    let forbidden = stream.ask("GET", "/v1/events?topic=a.c", &[("authorization", &token)], b"");
    assert_eq!(forbidden.problem().1, "forbidden");
    assert_eq!(keyed.hub.metric("tidewire_bad_tokens_total{check=\"signature\"}"), 1);
    assert_eq!(keyed.hub.metric("tidewire_refused_total{code=\"forbidden\"}"), 8);
}

#[test]
fn a_token_that_was_taken_once_ends_all_the_same() {
    let keyed = Keyed::start("");
    let mut brief = anywhere("ada", json!([{"topics": ["a.b"], "to": ["history"]}]));
    brief["exp"] = json!(now() + 5);
    let token = format!("Bearer {}", by_secret(&brief));
    let mut http = Http::to(keyed.hub.address);
    let mut ask = || http.ask("GET", A, &[("authorization", &token)], b"");
    assert_eq!(ask().status, 200);
    eventually("it has ended", || ask().status == 401);
}

#[test]
fn keys_of_one_subject_mean_nothing_for_another() {
    let keyed = Keyed::start("");
    let allow = json!([{"topics": ["a.b"], "to": ["publish"]}]);
    let mut http = Http::to(keyed.hub.address);
    let mut publish = |subject: &str| {
        let token = format!("Bearer {}", by_secret(&anywhere(subject, allow.clone())));
        let headers = [("authorization", &*token), ("idempotency-key", "1"), ("content-type", JSON)];
        http.ask("POST", A, &headers, b"1").ok()["duplicate"] == true
    };
    assert_eq!([publish("ada"), publish("bob"), publish("ada"), publish("bob")], [false, false, true, true]);
    let mut socket = bearer(keyed.hub.address, 7, &by_secret(&anywhere("ada", allow)));
    socket.say(json!({"type": "open", "handle": 1, "topic": "a.b", "lowest": 1}));
    assert_eq!(socket.hear_of("opened")["window_new"], true);
}

#[test]
fn rules_that_change_hold_for_the_next_request() {
    let file = File::new(OPEN);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut http = Http::to(hub.address);
    http.post(A, JSON, b"1").ok();
    std::fs::write(file.path(), OPEN.replace("publish = true", "publish = false")).unwrap();
    hub.signal("HUP");
    eventually("it is forbidden", || http.post(A, JSON, b"1").status == 403);
    assert_eq!(http.get(A).status, 200);
}

#[test]
fn pages_of_other_sites_may_not_ask() {
    let mut toml = OPEN.replace("allow_no_origin = true", "origins = [\"https://app.example.com\"]");
    toml.push('\n');
    let file = File::new(&toml);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut http = Http::to(hub.address);
    let ours = ("origin", "https://app.example.com");
    let answer = http.ask("POST", A, &[ours, ("content-type", JSON)], b"1");
    answer.ok();
    assert_eq!(answer.header("access-control-allow-origin"), Some("https://app.example.com"));
    assert_eq!(answer.header("vary"), Some("origin"));
    assert!(answer.header("access-control-expose-headers").unwrap().contains("tidewire-next"));
    let wish = ("access-control-request-method", "POST");
    let preflight = http.ask("OPTIONS", A, &[ours, wish], b"");
    assert_eq!(preflight.status, 204);
    assert!(preflight.header("access-control-allow-headers").unwrap().contains("idempotency-key"));
    for headers in [
        &[("origin", "https://evil.example.com")][..],
        &[("origin", "https://evil.example.com"), wish],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("sec-fetch-site", "same-origin")],
        &[],
    ] {
        // A program that asks what may be asked is no page.
        let methods = ["GET", "POST", "OPTIONS"].into_iter().take(if headers.is_empty() { 2 } else { 3 });
        for method in methods {
            let answer = http.ask(method, A, headers, b"");
            assert_eq!(answer.problem().1, "origin_refused", "{method} {headers:?}");
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    http.host = "app.example.com";
    http.ask("GET", A, &[("sec-fetch-site", "same-origin")], b"").ok();
    assert!(hub.metric("tidewire_handshakes_refused_total{reason=\"origin\"}") >= 9);
}

#[test]
fn a_name_that_was_made_to_lead_here_leads_to_nothing() {
    let open = File::new(&format!(
        "api_hosts = [\"hub.internal\"]\norigins = [\"https://app.example.com\"]\n{OPEN}"
    ));
    for (hub, known) in [
        (Hub::dev(), &["localhost", "127.0.0.1", "[::1]"][..]),
        (
            Hub::start(&["--config", open.path()], &[]),
            &["localhost", "10.1.2.3", "HUB.internal", "app.example.com"],
        ),
    ] {
        let mut http = Http::to(hub.address);
        for path in [A, "/v1/topics", "/v1/events?topic=a"] {
            http.host = "evil.example.com";
            assert_eq!(http.get(path).problem().1, "origin_refused", "{path}");
            // What is a token only where tokens are taken is none here.
            let answer = http.ask("GET", path, &[("authorization", "Bearer x")], b"");
            assert_eq!(answer.problem().1, "origin_refused", "{path}");
        }
        assert_eq!(http.get("/v1/events?topic=a&ticket=x").problem().1, "origin_refused");
        for host in known {
            http.host = host;
            http.get(A).ok();
        }
    }
    let keyed = Keyed::start("");
    let mut http = Http::to(keyed.hub.address);
    http.host = "any.example.com";
    let token =
        format!("Bearer {}", by_secret(&anywhere("ada", json!([{"topics": ["a.b"], "to": ["history"]}]))));
    http.ask("GET", A, &[("authorization", &token)], b"").ok();
    assert_eq!(http.get("/v1/events?topic=a&topic=ticket=x").problem().1, "origin_refused");
    assert_eq!(http.get("/v1/events?topic=a&ticket=x").problem().1, "bad_token");
}

#[test]
fn who_waits_is_not_told_what_comes_when_its_token_has_ended() {
    let keyed = Keyed::start("");
    let allow = json!([{"topics": ["a.b"], "to": ["subscribe", "publish"]}]);
    let lasting = format!("Bearer {}", by_secret(&anywhere("ada", allow.clone())));
    let mut brief = anywhere("ada", allow);
    brief["exp"] = json!(now() + 2);
    let brief = format!("Bearer {}", by_secret(&brief));
    let mut waiter = Http::to(keyed.hub.address);
    waiter.send("GET", &format!("{A}?from=latest&wait=50s"), &[("authorization", &brief)], b"");
    let mut http = Http::to(keyed.hub.address);
    let mut ask = |method: &str, token: &str| http.ask(method, A, &[("authorization", token)], b"").status;
    eventually("the token has ended", || ask("GET", &brief) == 401);
    assert_eq!(ask("POST", &lasting), 200);
    assert_eq!(waiter.answer().problem().1, "bad_token");
}

#[test]
fn to_wait_takes_nothing_from_the_time_of_the_answer() {
    let hub = Hub::dev_with(&[("http_ms", 500), ("handshake_ms", 500)]);
    let mut http = Http::to(hub.address);
    for _ in 0..3 {
        let page = http.get(&format!("{A}?from=latest&wait=700ms")).ok();
        assert_eq!(page["messages"], json!([]));
    }
}

#[test]
fn whoever_listens_on_a_connection_that_has_asked_before_has_one_seat() {
    let file = File::new(&format!("{OPEN}[limits]\nconnections_per_address_max = 1\n"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut http = Http::to(hub.address);
    http.post(A, JSON, b"1").ok();
    http.send("GET", "/v1/events?topic=a.b", &[], b"");
    assert_eq!(http.answer().status, 200);
    assert_eq!(hub.metric("tidewire_clients"), 1);
    assert_eq!(Http::to(hub.address).get(A).problem().1, "overloaded");
    drop(http);
    eventually("it has gone", || hub.metric("tidewire_clients") == 0);
}

#[test]
fn whoever_listens_through_a_proxy_is_counted_though_the_proxy_has_a_seat() {
    let file = File::new(&format!(
        "trusted_proxies = [\"127.0.0.1\"]\n{OPEN}[limits]\nconnections_per_address_max = 1\n"
    ));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let ada = [("x-forwarded-for", "203.0.113.1")];
    let mut first = Http::to(hub.address);
    first.ask("GET", A, &ada, b"").ok();
    first.send("GET", "/v1/events?topic=a.b", &ada, b"");
    assert_eq!(first.answer().status, 200);
    let mut second = Http::to(hub.address);
    second.ask("GET", A, &[("x-forwarded-for", "203.0.113.2")], b"").ok();
    let beyond = second.ask("GET", "/v1/events?topic=a.b", &ada, b"");
    assert_eq!(beyond.problem().1, "overloaded");
}

#[test]
fn a_hub_that_stops_answers_those_who_wait_and_keeps_nobody() {
    let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "20")]);
    let mut idle = Http::to(hub.address);
    idle.post(A, JSON, b"1").ok();
    let mut waiter = Http::to(hub.address);
    waiter.send("GET", &format!("{A}?from=latest&wait=50s"), &[], b"");
    eventually("both are in", || hub.metric("tidewire_clients") == 2);
    hub.signal("TERM");
    assert_eq!(waiter.answer().problem().1, "draining");
    assert!(idle.is_closed());
    assert!(hub.wait().success());
    hub.says("tidewire: stopped\n");
}

#[test]
fn a_fast_program_is_told_when_to_come_back() {
    let hub = Hub::dev_with(&[("publishes_per_second_max", 1)]);
    let mut http = Http::to(hub.address);
    let mut answer = http.post(A, JSON, b"1");
    // Ten seconds' worth at once, and then as time passes.
    eventually("it is too fast", || {
        if answer.status == 200 {
            answer = http.post(A, JSON, b"1");
        }
        answer.status != 200
    });
    let slowed = answer;
    assert_eq!((slowed.problem().0, slowed.problem().1.as_str()), (429, "rate_limited"));
    assert_eq!(slowed.header("retry-after"), Some("1"));
}

#[test]
fn a_connection_is_kept_for_many_requests_and_not_for_slow_ones() {
    let hub = Hub::dev_with(&[("http_ms", 1_000), ("handshake_ms", 1_000)]);
    let mut slow = Http::to(hub.address);
    let begun = format!("POST {A} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nx");
    std::io::Write::write_all(slow.socket.get_mut(), begun.as_bytes()).unwrap();
    let mut http = Http::to(hub.address);
    let mut ended = false;
    eventually("the slow one is let go", || {
        http.post(A, JSON, b"1").ok();
        slow.socket.get_ref().set_nonblocking(true).unwrap();
        ended |= matches!(std::io::Read::read(slow.socket.get_mut(), &mut [0]), Ok(0));
        ended
    });
    http.post(A, JSON, b"1").ok();
}

#[test]
fn a_hub_that_stops_sends_its_callers_away() {
    let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "20")]);
    let lingers = RawSocket::json(hub.address);
    hub.signal("TERM");
    eventually("it says so", || Http::to(hub.address).post(A, JSON, b"1").status == 503);
    let mut late = Http::to(hub.address);
    let answer = late.post(A, JSON, b"1");
    assert_eq!((answer.problem().1.as_str(), answer.header("retry-after")), ("draining", Some("1")));
    assert!(late.is_closed());
    drop(lingers);
    hub.wait();
}

#[test]
fn those_who_wait_take_no_room_from_those_who_come() {
    let limits =
        "[limits]\nhandshakes_max = 8\nhandshakes_per_address_max = 8\nconnections_per_address_max = 20\n";
    let file = File::new(&format!("{OPEN}{limits}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let wait = |topic: usize| {
        let mut http = Http::to(hub.address);
        http.send("GET", &format!("/v1/topics/t{topic}/messages?from=latest&wait=50s"), &[], b"");
        http
    };
    let waiting: Vec<Http> = (0..20).map(wait).collect();
    eventually("all wait", || hub.metric("tidewire_clients") == 20);
    let mut beyond = wait(20);
    assert_eq!(beyond.answer().problem().1, "overloaded");
    drop(beyond);
    eventually("nobody else stands at the door", || hub.metric("tidewire_http_connections") == 1);
    drop(waiting);
    eventually("all have gone", || hub.metric("tidewire_clients") == 0);
}

#[test]
fn answers_that_nobody_reads_are_bounded() {
    let hub = Hub::dev_with(&[("node_bytes_max", 64 << 20), ("connections_per_address_max", 400)]);
    let mut http = Http::to(hub.address);
    let message = vec![1; 200 << 10];
    http.post("/v1/topics/large/messages", "text/plain", &message).ok();
    let before = hub.memory();
    // More than the kernel takes for them. Control characters take six times their room in JSON.
    let ask = "GET /v1/topics/large/messages HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(12);
    let mut readers: Vec<Http> = (0..12).map(|_| Http::to(hub.address)).collect();
    for reader in &mut readers {
        std::io::Write::write_all(reader.socket.get_mut(), ask.as_bytes()).unwrap();
    }
    eventually("some are refused", || hub.metric("tidewire_refused_total{code=\"overloaded\"}") > 0);
    let grown = hub.memory().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes");
    for reader in &mut readers {
        let answer = reader.answer();
        if answer.status == 200 {
            assert_eq!(answer.json()["messages"][0]["text"].as_str().map(str::len), Some(200 << 10));
        } else {
            assert_eq!(answer.problem().1, "overloaded");
        }
    }
}
