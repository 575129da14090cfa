//! Limits that tokens set their bearers, and what they say of these to operators, on the real process.

use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::http::Http;
use crate::support::keyed::{Keyed, bearer, by_secret, claims, hello, refusal};
use crate::support::listener::request;
use crate::support::socket::RawSocket;

/// A token of a subject that allows everything, and says this besides.
fn token(subject: &str, more: &Value) -> String {
    let mut claims = claims(subject, json!([{"topics": [">"], "to": ["publish", "subscribe"]}]));
    claims.as_object_mut().unwrap().remove("aud");
    for (name, value) in more.as_object().unwrap() {
        claims["tidewire"][name] = value.clone();
    }
    by_secret(&claims)
}

fn limited(subject: &str, limits: Value) -> String {
    token(subject, &json!({ "limits": limits }))
}

/// Says this, and gives the answer's type and code.
fn ask(socket: &mut RawSocket, frame: Value) -> (String, String) {
    socket.say(frame);
    let answer = loop {
        let answer = socket.hear();
        if answer["type"] != "heartbeat" && answer["type"] != "message" {
            break answer;
        }
    };
    let text = |name: &str| answer[name].as_str().unwrap_or_default().to_owned();
    (text("type"), text("code"))
}

fn subscribe(socket: &mut RawSocket, name: &str) -> (String, String) {
    ask(socket, json!({"type": "subscribe", "request": 1, "name": name}))
}

fn open(socket: &mut RawSocket, handle: u64, topic: &str) -> (String, String) {
    ask(socket, json!({"type": "open", "handle": handle, "topic": topic, "lowest": 1}))
}

fn publish(socket: &mut RawSocket, seq: u64, data: &str) -> (String, String) {
    ask(socket, json!({"type": "publish", "handle": 1, "seq": seq, "data": data}))
}

/// Publishes from a seq on until that is too fast, which it is after ten seconds' worth, and some more if this machine is slow;
/// gives the seq that was refused.
#[track_caller]
fn publish_until_refused(socket: &mut RawSocket, from: u64) -> u64 {
    for seq in from..from + 1_000 {
        let answer = publish(socket, seq, "1");
        if answer != said("acked", "") {
            assert_eq!(answer, said("refused", "rate_limited"), "{seq}");
            return seq;
        }
    }
    panic!("nothing was refused");
}

fn said(kind: &str, code: &str) -> (String, String) {
    (kind.into(), code.into())
}

#[test]
fn whoever_is_limited_by_its_token_is_held_to_that_and_its_neighbour_is_not() {
    let keyed = Keyed::start("");
    let limits = json!({
        "subscriptions_max": 3, "patterns_max": 1, "handles_max": 2, "participants_max": 2,
        "message_bytes_max": 10, "publishes_per_second_max": 1,
    });
    for (producer, token, is_limited) in
        [(1, limited("ada", limits), true), (2, token("bob", &json!({})), false)]
    {
        let or = |yes: &str, no: &str, code: &str| if is_limited { said(no, code) } else { said(yes, "") };
        let mut socket = bearer(keyed.hub.address, producer, &token);
        assert_eq!(subscribe(&mut socket, "p.*"), said("subscribed", ""));
        assert_eq!(subscribe(&mut socket, "q.*"), or("subscribed", "failed", "limit_reached"), "patterns");
        assert_eq!(subscribe(&mut socket, "a"), said("subscribed", ""));
        assert_eq!(subscribe(&mut socket, "b"), said("subscribed", ""));
        assert_eq!(subscribe(&mut socket, "c"), or("subscribed", "failed", "limit_reached"), "names");
        for (number, expected) in
            [(1, said("attached", "")), (2, or("attached", "detached", "limit_reached"))]
        {
            let producer = format!("{:032x}", producer * 100 + number);
            let attach =
                json!({"type": "attach", "participant": number, "producer": producer, "incarnation": 1});
            assert_eq!(ask(&mut socket, attach), expected);
        }
        assert_eq!(open(&mut socket, 1, "x"), said("opened", ""));
        assert_eq!(open(&mut socket, 2, "y"), said("opened", ""));
        assert_eq!(open(&mut socket, 3, "z"), or("opened", "refused", "limit_reached"), "handles");
        assert_eq!(publish(&mut socket, 1, "12345678"), said("acked", ""));
        assert_eq!(publish(&mut socket, 2, "123456789"), or("acked", "refused", "too_large"), "bytes");
        if is_limited {
            // What was too large was paid.
            assert!(publish_until_refused(&mut socket, 3) >= 11);
        } else {
            (3..50).for_each(|seq| assert_eq!(publish(&mut socket, seq, "1"), said("acked", ""), "{seq}"));
        }
    }
}

#[test]
fn a_token_raises_no_limit() {
    let keyed = Keyed::start(
        "[limits]\nsubscriptions_max = 1\nmessage_bytes_max = 1000\npublishes_per_second_max = 1\n",
    );
    let limits = json!({"subscriptions_max": u64::MAX, "message_bytes_max": 1_000_000, "publishes_per_second_max": 1_000});
    let mut socket = bearer(keyed.hub.address, 1, &limited("ada", limits));
    assert_eq!(subscribe(&mut socket, "a"), said("subscribed", ""));
    assert_eq!(subscribe(&mut socket, "b"), said("failed", "limit_reached"));
    assert_eq!(open(&mut socket, 1, "x"), said("opened", ""));
    assert_eq!(publish(&mut socket, 1, &"x".repeat(1_000)), said("refused", "too_large"));
    publish_until_refused(&mut socket, 2);
}

#[test]
fn a_client_is_told_how_long_its_messages_may_be() {
    let keyed = Keyed::start("");
    for (limits, told) in [
        (json!({"message_bytes_max": 77}), 77),
        (json!({"message_bytes_max": 1_000_000_000}), 262_144),
        (json!({}), 262_144),
    ] {
        let mut socket = hello(keyed.hub.address, 1, &limited("ada", limits));
        assert_eq!(socket.hear()["message_bytes_max"], told);
    }
}

#[test]
fn a_later_token_brings_its_own_limits_and_ends_nothing() {
    let keyed = Keyed::start("");
    let mut socket = bearer(keyed.hub.address, 1, &limited("ada", json!({"subscriptions_max": 1})));
    let renew = |socket: &mut RawSocket, limits: Value| {
        let again = json!({"type": "sign_in", "request": 2, "token": limited("ada", limits)});
        assert_eq!(ask(socket, again), said("signed_in", ""));
    };
    assert_eq!(subscribe(&mut socket, "a"), said("subscribed", ""));
    assert_eq!(subscribe(&mut socket, "b"), said("failed", "limit_reached"));
    renew(&mut socket, json!({"subscriptions_max": 2, "publishes_per_second_max": 1}));
    assert_eq!(subscribe(&mut socket, "b"), said("subscribed", ""));
    assert_eq!(subscribe(&mut socket, "c"), said("failed", "limit_reached"));
    assert_eq!(open(&mut socket, 1, "x"), said("opened", ""));
    let next = publish_until_refused(&mut socket, 1);
    // Another token of the same does not begin anew, and one that sets no limit ends them.
    renew(&mut socket, json!({"subscriptions_max": 1, "publishes_per_second_max": 1}));
    let next_then = publish_until_refused(&mut socket, next);
    assert!(next_then < next + 10, "{next_then} {next}");
    assert_eq!(subscribe(&mut socket, "c"), said("failed", "limit_reached"));
    renew(&mut socket, json!({}));
    for seq in next_then..next_then + 30 {
        assert_eq!(publish(&mut socket, seq, "1"), said("acked", ""), "{seq}");
    }
    for name in ["c", "d", "e"] {
        assert_eq!(subscribe(&mut socket, name), said("subscribed", ""));
    }
}

#[test]
fn requests_are_held_to_what_their_tokens_say_whichever_connection_they_take() {
    let keyed = Keyed::start("");
    let to = keyed.hub.address;
    let limits = json!({"message_bytes_max": 10, "publishes_per_second_max": 1, "subscriptions_max": 2, "patterns_max": 1});
    let (ada, bob) = (limited("ada", limits), token("bob", &json!({})));
    let publish = |http: &mut Http, token: &str, body: &str| {
        let bearer = format!("Bearer {token}");
        let headers = [("authorization", &*bearer), ("content-type", "application/json")];
        http.ask("POST", "/v1/topics/x/messages", &headers, body.as_bytes()).status
    };
    let mut http = Http::to(to);
    assert_eq!(publish(&mut http, &ada, "12345678901"), 413);
    assert_eq!(publish(&mut http, &bob, "12345678901"), 200);
    let taken = (0..1_000).take_while(|_| publish(&mut http, &ada, "1") == 200).count();
    assert!((9..1_000).contains(&taken), "{taken}");
    // By another connection it does not begin anew.
    let mut other = Http::to(to);
    let more = (0..1_000).take_while(|_| publish(&mut other, &ada, "1") == 200).count();
    assert!(more < 9, "{more}");
    for _ in 0..30 {
        assert_eq!([publish(&mut http, &bob, "1"), publish(&mut other, &bob, "1")], [200, 200]);
    }
    let listen = |token: &str, query: &str| {
        let bearer = format!("authorization: Bearer {token}\r\naccept:");
        RawSocket::connect(to).ask(&request(query, "").replace("accept:", &bearer))
    };
    for (query, status) in [
        ("topic=a&topic=b", "200"),
        ("topic=a&topic=b.*", "200"),
        ("topic=a&topic=b&topic=c", "400"),
        ("topic=a.*&topic=b.*", "400"),
    ] {
        let head = listen(&ada, query);
        assert_eq!(head.split(' ').nth(1), Some(status), "{query}: {head}");
        assert_eq!(listen(&bob, query).split(' ').nth(1), Some("200"), "{query}");
    }
}

#[test]
fn a_limit_that_is_none_is_refused_with_its_name() {
    let keyed = Keyed::start("");
    let wrong = |path: &str| format!("the token's `{path}` is missing or is not what it may be");
    for limits in [json!([]), json!(null), json!(5), json!("subscriptions_max")] {
        assert_eq!(refusal(keyed.hub.address, &limited("ada", limits)), wrong("tidewire.limits"));
    }
    let more = 1_u128 << 64;
    for value in
        [json!(0), json!(-1), json!(1.5), json!(5.0), json!(1e30), json!("5"), json!(null), json!([5])]
    {
        let told = refusal(keyed.hub.address, &limited("ada", json!({ "subscriptions_max": value })));
        assert_eq!(told, wrong("tidewire.limits.subscriptions_max"), "{value}");
    }
    let huge = serde_json::from_str(&format!("{{\"handles_max\": {more}}}")).unwrap();
    assert_eq!(refusal(keyed.hub.address, &limited("ada", huge)), wrong("tidewire.limits.handles_max"));
    for (name, told) in [
        ("subscriptions", "subscriptions"),
        ("node_bytes_max", "node_bytes_max"),
        ("Subscriptions_max", "Subscriptions_max"),
        ("a`b\n<c>", "a?b??c?"),
        ("", ""),
    ] {
        let says = format!("the token's `tidewire.limits.{told}` is a limit that the hub does not know");
        assert_eq!(refusal(keyed.hub.address, &limited("ada", json!({ name: 1 }))), says);
    }
    let long = refusal(keyed.hub.address, &limited("ada", json!({ "x".repeat(3_000): 1 })));
    assert!(long.len() < 150 && long.contains("xxx"), "{long}");
    assert_eq!(keyed.hub.metric("tidewire_bad_tokens_total{check=\"limits\"}"), 6);
}

#[test]
fn operators_see_what_a_token_says_of_its_bearer() {
    let keyed = Keyed::start("");
    let mut operator = Http::to(keyed.hub.admin());
    let mut info_of = |subject: &str| {
        let mut found = Value::Null;
        // A stream's head is answered before a shard has it.
        eventually("it is there", || {
            found = operator.get(&format!("/v1/connections?subject={subject}")).ok();
            found["connections"].as_array().unwrap().len() == 1
        });
        found["connections"][0].get("info").cloned()
    };
    let info = json!({"name": "Ada \"L\" \u{202e}<b>", "team": [1, {"x": null}], "n": 0.5});
    let mut ada = bearer(keyed.hub.address, 1, &token("ada", &json!({ "info": info })));
    let _bob = bearer(keyed.hub.address, 2, &token("bob", &json!({})));
    assert_eq!((info_of("ada"), info_of("bob")), (Some(info), None));
    let later = token("ada", &json!({"info": {"name": "Countess"}}));
    assert_eq!(
        ask(&mut ada, json!({"type": "sign_in", "request": 1, "token": later})),
        said("signed_in", "")
    );
    assert_eq!(info_of("ada"), Some(json!({"name": "Countess"})));
    let query = format!("authorization: Bearer {later}\r\naccept:");
    let mut stream = RawSocket::connect(keyed.hub.address);
    drop(ada);
    eventually("she is gone", || keyed.hub.metric("tidewire_connections") == 1);
    assert!(stream.ask(&request("topic=a", "").replace("accept:", &query)).contains(" 200 "));
    assert_eq!(info_of("ada"), Some(json!({"name": "Countess"})), "who only listens is known, too");
}

#[test]
fn what_a_token_says_of_its_bearer_is_short_and_flat() {
    let keyed = Keyed::start("");
    let nested = |depth: usize| (0..depth).fold(json!({}), |inner, _| json!({ "a": inner }));
    let of_bytes = |bytes: usize| json!({"a": "x".repeat(bytes - 8)});
    for info in [json!({}), nested(7), of_bytes(1_024)] {
        drop(bearer(keyed.hub.address, 1, &token("ada", &json!({ "info": info }))));
    }
    for info in [nested(8), nested(100), of_bytes(1_025), of_bytes(5_000)] {
        let told = refusal(keyed.hub.address, &token("ada", &json!({ "info": info })));
        assert_eq!(told, "the token's `tidewire.info` says more than the hub reads");
    }
    for info in [json!("Ada"), json!([]), json!(null), json!(5)] {
        let told = refusal(keyed.hub.address, &token("ada", &json!({ "info": info })));
        assert_eq!(told, "the token's `tidewire.info` is missing or is not what it may be");
    }
}
