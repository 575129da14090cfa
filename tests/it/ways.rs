//! Every right on every way to a topic, and none on the ways that need none, on the real process. A way that comes later joins
//! the tables by being listed, and one of HTTP has to: what the hub describes and no table has fails a test.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use serde_json::{Value, json};

use crate::support::http::{Answer, Http};
use crate::support::keyed::{Keyed, bearer, by_secret, claims};
use crate::support::listener::request;
use crate::support::socket::RawSocket;

/// The ways of a WebSocket, and the right that each needs.
const FRAMES: [(&str, &str); 11] = [
    ("live", "subscribe"),
    ("live, from the earliest", "subscribe"),
    ("live, after a place", "subscribe"),
    ("live by a pattern", "subscribe"),
    ("page", "history"),
    ("page by a pattern", "history"),
    ("page before a place", "history"),
    ("page by a pattern, before a place", "history"),
    ("publish", "publish"),
    ("batch", "publish"),
    ("update", "publish"),
];

/// The ways of HTTP: the call as it is described, what is asked for (`NAME` stands for a topic's name without its last token),
/// and the right that it needs.
const CALLS: [(&str, &str, &str); 16] = [
    ("post /v1/topics/{topic}/messages", "/v1/topics/NAME.x/messages", "publish"),
    ("post /v1/messages", "/v1/messages", "publish"),
    ("get /v1/topics/{topic}/messages", "/v1/topics/NAME.x/messages", "history"),
    ("get /v1/topics/{topic}/messages", "/v1/topics/NAME.x/messages?from=last:1", "history"),
    ("get /v1/topics/{topic}/messages", "/v1/topics/NAME.x/messages?from=latest&wait=1ms", "subscribe"),
    ("get /v1/topics/{topic}/messages", "/v1/topics/NAME.*/messages", "history"),
    ("get /v1/topics/{topic}/position", "/v1/topics/NAME.x/position", "history"),
    ("get /v1/topics/{topic}/position", "/v1/topics/NAME.*/position", "history"),
    ("get /v1/topics/{topic}", "/v1/topics/NAME.x", "history"),
    ("get /v1/topics", "/v1/topics?pattern=NAME.x", "history"),
    ("get /v1/topics", "/v1/topics?pattern=NAME.*", "history"),
    ("get /v1/events", "/v1/events?topic=NAME.x", "subscribe"),
    ("get /v1/events", "/v1/events?topic=NAME.*&from=earliest", "subscribe"),
    ("get /v1/events", "/v1/events?topic=denied.no&topic=NAME.x", "none"),
    ("post /v1/tickets", "/v1/events?topic=NAME.x", "subscribe"),
    ("post /v1/tickets", "/v1/events?topic=NAME.*", "subscribe"),
];

/// What leads to no topic: where it is asked for, how, and what whoever asks is answered where clients connect, and at the
/// operators' address.
const OTHERS: [(&str, &str, u16, u16); 11] = [
    ("get /healthz", "/healthz", 200, 200),
    ("get /readyz", "/readyz", 200, 200),
    ("get /metrics", "/metrics", 404, 200),
    ("get /v1/stats", "/v1/stats", 404, 200),
    ("get /v1/connections", "/v1/connections", 404, 200),
    ("get /v1/connections", "/v1/connections?subject=ada", 404, 200),
    // Nobody has this connection, and that is said by `unknown_connection`.
    ("delete /v1/connections/{id}", "/v1/connections/0-9-9", 404, 404),
    ("post /v1/revocations", "/v1/revocations", 404, 200),
    ("get /v1/revocations", "/v1/revocations", 404, 200),
    ("delete /v1/revocations", "/v1/revocations?jti=of+nobody", 404, 204),
    ("get /v1/openapi.json", "/v1/openapi.json", 200, 200),
];

/// Those that the hub has, those that it keeps for later, one that is none, and no right at all.
const RIGHTS: [&str; 10] = [
    "publish",
    "subscribe",
    "history",
    "presence",
    "consume",
    "request",
    "respond",
    "manage",
    "later",
    "nothing",
];

const RULES: &str = r#"
[[access]]
pattern = "denied.>"
publish = false
subscribe = false
[[access]]
pattern = "read.>"
subscribe = true
anonymous = true
[[access]]
pattern = "members.>"
publish = true
subscribe = true
[[access]]
pattern = "named.>"
subject = "ad*"
publish = true
subscribe = true
[[access]]
pattern = "bobs.>"
subject = "bob"
publish = true
subscribe = true
[[access]]
pattern = "role.>"
claim = { team.roles = "admin" }
publish = true
subscribe = true
[[access]]
pattern = "boss.>"
claim = { team.roles = "boss" }
publish = true
subscribe = true
[[access]]
pattern = "own.{sub}.>"
publish = true
subscribe = true
[[access]]
pattern = "barred.>"
claim = { level = 3 }
[[access]]
pattern = "barred.>"
publish = true
subscribe = true
anonymous = true
"#;

const PREFIXES: [&str; 12] = [
    "mine", "others", "denied", "read", "members", "named", "bobs", "role", "boss", "own.ada", "own.bob",
    "barred",
];

/// Whether somebody may who has signed in, if so by a token that allows this with some of the topics.
fn may(right: Option<&str>, needs: &str, prefix: &str) -> bool {
    // To subscribe is to read in any way.
    let has = right.is_some_and(|right| right == needs || right == "subscribe" && needs == "history");
    match prefix {
        _ if needs == "none" => false,
        "mine" => has,
        "read" => has || needs != "publish",
        "members" | "named" | "role" | "own.ada" => right.is_some(),
        "barred" => right.is_none(),
        _ => false,
    }
}

/// A token of Ada that allows this with some of the topics.
fn token_of(right: &str) -> String {
    let topics = ["mine.>", "denied.>", "read.>", "barred.>"];
    let mut claims = claims("ada", json!([{ "topics": topics, "to": [right] }]));
    claims.as_object_mut().unwrap().remove("aud");
    (claims["team"], claims["level"]) = (json!({"roles": ["user", "admin"]}), json!(3));
    by_secret(&claims)
}

/// Whoever asks, and what allows it anything: each right by a token, and nobody in particular.
fn askers() -> impl Iterator<Item = (Option<&'static str>, String)> {
    let bearers = RIGHTS.into_iter().map(|right| (Some(right), token_of(right)));
    bearers.chain([(None, String::new())])
}

#[test]
fn every_right_holds_on_every_way_of_a_websocket_it_names_and_on_no_other() {
    let keyed = Keyed::start(RULES);
    let to = keyed.hub.address;
    let mut producer = 100;
    for (right, token) in askers() {
        for (way, needs) in FRAMES {
            for prefix in PREFIXES {
                producer += 1;
                let allowed = try_frames(&mut bearer(to, producer, &token), way, prefix);
                assert_eq!(allowed, may(right, needs, prefix), "{right:?} {way} {prefix}");
            }
        }
    }
}

#[test]
fn every_right_holds_on_every_way_of_http_it_names_and_on_no_other() {
    let keyed = Keyed::start(RULES);
    let to = keyed.hub.address;
    let mut http = Http::to(to);
    for (right, token) in askers() {
        for (call, path, needs) in CALLS {
            for prefix in PREFIXES {
                let path = path.replace("NAME", prefix);
                let allowed = match call {
                    "post /v1/tickets" => try_ticket(&mut http, to, &path, &token),
                    "get /v1/events" => try_events(to, &path, &token),
                    _ => try_call(&mut http, call, &path, prefix, &token),
                };
                // A ticket stands for a token, which is what nobody in particular lacks.
                let needs_token = call == "post /v1/tickets" && token.is_empty();
                let expected = may(right, needs, prefix) && !needs_token;
                assert_eq!(allowed, expected, "{right:?} {call} {path}");
            }
        }
    }
}

#[test]
fn no_right_leads_to_what_is_for_operators_nor_from_there_to_topics() {
    let keyed = Keyed::start_with(RULES, &[("TIDEWIRE_PUBLIC_METRICS", "false")]);
    let (mut public, mut operator) = (Http::to(keyed.hub.address), Http::to(keyed.hub.admin()));
    for (right, token) in askers() {
        for (call, path, for_all, for_operators) in OTHERS {
            let nobody = br#"{"jti": "of nobody"}"#;
            for (http, expected) in [(&mut public, for_all), (&mut operator, for_operators)] {
                let answer = ask(http, call, path, &token, nobody);
                assert_eq!(answer.status, expected, "{right:?} {call}: {}", answer.text());
            }
            let nowhere = ask(&mut public, call, path, &token, nobody);
            assert_eq!(
                nowhere.text().contains("not_found"),
                for_all == 404 && path.starts_with("/v1/"),
                "{call}"
            );
        }
        for (call, path, _) in CALLS {
            let answer = ask(&mut operator, call, &path.replace("NAME", "mine"), &token, b"1");
            assert_eq!(answer.status, 404, "{right:?} {call}");
        }
    }
    // What operators see besides is told to nobody else.
    assert_eq!(public.get("/readyz").body, b"");
    assert!(!operator.get("/readyz").body.is_empty());
}

#[test]
fn all_ways_that_are_described_are_in_the_tables() {
    let keyed = Keyed::start_with("", &[("TIDEWIRE_PUBLIC_METRICS", "false")]);
    let mut described = BTreeSet::new();
    for address in [keyed.hub.address, keyed.hub.admin()] {
        let api = Http::to(address).get("/v1/openapi.json").ok();
        for (path, methods) in api["paths"].as_object().unwrap() {
            let methods = methods.as_object().unwrap();
            described.extend(
                methods
                    .iter()
                    .filter(|(_, it)| it["responses"].is_object())
                    .map(|(it, _)| format!("{it} {path}")),
            );
        }
    }
    assert!(described.len() > 10, "{described:?}");
    // The description does not describe itself.
    described.insert("get /v1/openapi.json".into());
    let listed = CALLS.iter().map(|(call, ..)| *call).chain(OTHERS.iter().map(|(call, ..)| *call));
    assert_eq!(described, listed.map(str::to_owned).collect());
}

/// Tries a way of frames to a topic `PREFIX.x`; whether that was allowed.
fn try_frames(socket: &mut RawSocket, way: &str, prefix: &str) -> bool {
    let (topic, pattern) = (format!("{prefix}.x"), format!("{prefix}.*"));
    let subscribe =
        |name: &str, from: Value| json!({"type": "subscribe", "request": 1, "name": name, "from": from});
    let history =
        |name: &str, from: Value| json!({"type": "history", "request": 1, "name": name, "from": from});
    let before = json!({"before": {"last": 1, "positions": []}});
    let (frame, yes, no) = match way {
        "live" => (subscribe(&topic, json!("latest")), "subscribed", "failed"),
        "live, from the earliest" => (subscribe(&topic, json!("earliest")), "subscribed", "failed"),
        "live, after a place" => (subscribe(&topic, json!({"after": []})), "subscribed", "failed"),
        "live by a pattern" => (subscribe(&pattern, json!("earliest")), "subscribed", "failed"),
        "page" => (history(&topic, json!("earliest")), "page", "failed"),
        "page by a pattern" => (history(&pattern, json!("earliest")), "page", "failed"),
        "page before a place" => (history(&topic, before), "page", "failed"),
        "page by a pattern, before a place" => (history(&pattern, before), "page", "failed"),
        "publish" => (json!({"type": "open", "handle": 1, "topic": topic, "lowest": 1}), "opened", "refused"),
        "batch" => {
            socket.say(json!({"type": "open", "handle": 3, "topic": topic, "lowest": 1}));
            let publish = json!({"type": "publish", "handle": 3, "seq": 1, "data": 1});
            (json!([{"type": "batch", "count": 1}, publish]), "acked", "refused")
        }
        "update" => {
            socket.say(json!({"type": "open", "handle": 2, "topic": topic, "unacknowledged": true}));
            (json!({"type": "heartbeat", "request": 9}), "heartbeat", "refused")
        }
        other => panic!("{other} is no way"),
    };
    socket.say(frame);
    let answer = loop {
        let mut answer = socket.hear();
        let is_beat = answer["type"] == json!("heartbeat") && answer["request"].is_null();
        if is_beat || way == "batch" && answer["type"] == json!("opened") {
            continue;
        }
        // Of several frames the first says it.
        break if answer.is_array() { answer[0].take() } else { answer };
    };
    assert!(answer["type"] == yes || answer["type"] == no, "{way}: {answer}");
    if answer["type"] == no {
        assert_eq!(answer["code"], "forbidden", "{way}: {answer}");
    }
    answer["type"] == yes
}

/// Asks by a call as it is described.
fn ask(http: &mut Http, call: &str, path: &str, token: &str, body: &[u8]) -> Answer {
    let method = call.split(' ').next().unwrap().to_uppercase();
    let bearer = format!("Bearer {token}");
    let mut headers = vec![("content-type", "application/json")];
    headers.extend((!token.is_empty()).then_some(("authorization", &*bearer)));
    http.ask(&method, path, &headers, if method == "POST" { body } else { b"" })
}

/// The same to a topic below a prefix; whether that was allowed.
fn try_call(http: &mut Http, call: &str, path: &str, prefix: &str, token: &str) -> bool {
    let one = json!({"messages": [{"topic": format!("{prefix}.x"), "data": 1}]}).to_string();
    let body = if call == "post /v1/messages" { one.as_bytes() } else { b"1" };
    let answer = ask(http, call, path, token, body);
    match answer.status {
        200 => true,
        // Only who may read it is told that there is nothing yet.
        404 if answer.text().contains("unknown_topic") => true,
        403 if answer.text().contains("\"forbidden\"") => false,
        status => panic!("{call} {path}: {status} {}", answer.text()),
    }
}

/// The same of events, which go on.
fn try_events(to: SocketAddr, path: &str, token: &str) -> bool {
    let query = path.split_once('?').unwrap().1;
    let bearer = match token {
        "" => "accept:".to_owned(),
        token => format!("authorization: Bearer {token}\r\naccept:"),
    };
    let head = RawSocket::connect(to).ask(&request(query, "").replace("accept:", &bearer));
    let status = head.split(' ').nth(1);
    assert!(status == Some("200") || status == Some("403"), "{path}: {head}");
    status == Some("200")
}

/// The same by a ticket, if there is one for this token.
fn try_ticket(http: &mut Http, to: SocketAddr, path: &str, token: &str) -> bool {
    let answer = ask(http, "post /v1/tickets", "/v1/tickets", token, b"");
    if answer.status == 401 {
        return false;
    }
    let ticket = answer.ok()["ticket"].as_str().unwrap().to_owned();
    try_events(to, &format!("{path}&ticket={ticket}"), "")
}
