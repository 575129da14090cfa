//! Server-Sent Events on the real process: what comes, who may ask, and going on over cuts.

use std::thread;

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::support::eventually;
use crate::support::file::{File, OPEN};
use crate::support::hub::Hub;
use crate::support::keyed::{Keyed, claims, now, private, sign};
use crate::support::listener::{Event, Listener, request};
use crate::support::neighbour::Neighbour;
use crate::support::socket::RawSocket;

/// One who publishes to topics, and is answered.
struct Writer(RawSocket, u64);

impl Writer {
    fn of(hub: &Hub, topics: &[&str]) -> Self {
        let mut socket = RawSocket::signed_in(hub.address);
        for (handle, topic) in (1..).zip(topics) {
            socket.say(json!({"type": "open", "handle": handle, "topic": topic, "lowest": 1}));
            socket.hear_of("opened");
        }
        Self(socket, 0)
    }

    /// Publishes numbers to the first topic.
    fn count(&mut self, numbers: std::ops::Range<u64>) {
        for number in numbers {
            self.say(1, number);
        }
    }

    /// Publishes once, with a seq that is nobody else's.
    fn say(&mut self, handle: u64, data: impl Into<Value>) {
        self.1 += 1;
        let data: Value = data.into();
        let frame =
            json!({"type": "publish", "handle": handle, "seq": self.1, "lowest": self.1, "data": data});
        self.0.say(frame);
        self.0.hear_of("acked");
    }
}

#[test]
fn messages_come_as_events_with_a_head_that_nobody_keeps() {
    let hub = Hub::dev();
    let mut listener = Listener::start(hub.address, "topic=a%2Eb", "");
    let head = listener.head.to_lowercase();
    for line in [
        "content-type: text/event-stream\r\n",
        "cache-control: no-store\r\n",
        "x-accel-buffering: no\r\n",
        "transfer-encoding: chunked\r\n",
    ] {
        assert!(head.contains(line), "{line:?} is not in {head}");
    }
    let begun = listener.next_of("subscribed");
    assert_eq!(
        (&begun["topic"], &begun["outcome"], &begun["offset"]),
        (&json!("a.b"), &json!("live"), &json!(0))
    );
    assert!(listener.retry >= 1_000);
    let mut writer = Writer::of(&hub, &["a.b"]);
    writer.say(1, json!({"n": [1, "é\n"]}));
    let message = listener.next_of("");
    assert_eq!(message["data"], json!({"n": [1, "é\n"]}));
    assert_eq!((&message["topic"], &message["offset"]), (&json!("a.b"), &json!(1)));
    assert!(message["published_at"].as_u64().unwrap() > 1_600_000_000_000);
    assert_eq!(listener.id, format!("{}:1", begun["epoch"].as_str().unwrap()));
}

#[test]
fn whoever_is_cut_off_again_and_again_misses_nothing_and_hears_nothing_twice() {
    const COUNT: u64 = 2_000;
    let hub = Hub::dev();
    let mut listener = Listener::start(hub.address, "topic=t", "");
    listener.next_of("subscribed");
    let mut writer = Writer::of(&hub, &["t"]);
    let publishing = thread::spawn(move || writer.count(0..COUNT));
    let mut expected = 0;
    for round in 1.. {
        for _ in 0..round {
            if expected < COUNT {
                assert_eq!(listener.next_of("")["data"], expected);
                expected += 1;
            }
        }
        if expected == COUNT {
            break;
        }
        let id = listener.id.clone();
        listener.hang_up();
        // What `from` says holds for the first time only.
        listener = Listener::start(hub.address, "topic=t&from=latest", &id);
        assert_eq!(listener.next_of("subscribed")["outcome"], "resumed");
    }
    publishing.join().unwrap();
}

#[test]
fn several_topics_resume_by_the_places_of_all() {
    let hub = Hub::dev();
    let query = "topic=a&topic=b.*&from=earliest";
    let mut writer = Writer::of(&hub, &["a", "b.x"]);
    writer.say(1, 1);
    let mut listener = Listener::start(hub.address, query, "");
    listener.next_of("");
    for n in 2..6 {
        writer.say(1 + n % 2, n);
        assert_eq!(listener.next_of("")["data"], n);
    }
    // An id stands behind what it holds for: the next event shows that it came.
    writer.say(1, 6);
    assert_eq!(listener.next_of("")["data"], 6);
    let places: Vec<&str> = listener.id.split(',').map(|place| place.split(':').nth(1).unwrap()).collect();
    assert_eq!(places, ["4", "5"]);
    let id = listener.id.clone();
    listener.hang_up();
    writer.say(2, 7);
    let mut again = Listener::start(hub.address, query, &id);
    let mut heard = vec![again.next_of("")["data"].as_u64(), again.next_of("")["data"].as_u64()];
    heard.sort_unstable();
    assert_eq!(heard, [Some(6), Some(7)], "what no id held for comes again");
    let by_address = Listener::start(hub.address, &format!("topic=a&topic=b.*&from={id}"), "");
    assert!(by_address.head.starts_with("HTTP/1.1 200 "));
}

#[test]
fn a_start_is_what_the_address_says() {
    let hub = Hub::dev();
    Writer::of(&hub, &["t"]).count(0..10);
    let mut probe = Listener::start(hub.address, "topic=t", "");
    let epoch = probe.next_of("subscribed")["epoch"].as_str().unwrap().to_owned();
    for (from, first) in [
        ("earliest".to_owned(), 0),
        ("last:3".to_owned(), 7),
        ("since:10m".to_owned(), 0),
        (format!("{epoch}:4"), 4),
        (format!("{epoch}%3A9"), 9),
    ] {
        let mut listener = Listener::start(hub.address, &format!("topic=t&from={from}"), "");
        assert_eq!(listener.next_of("")["data"], first, "{from}");
    }
    let mut other = Listener::start(hub.address, "topic=t", "00000000000000ff:3");
    assert_eq!(other.next_of("subscribed")["outcome"], "gap");
    let gap = other.next().unwrap();
    assert_eq!(
        (&*gap.name, &gap.data["reason"], &gap.data["topic"]),
        ("gap", &json!("epoch_changed"), &json!("t"))
    );
}

#[track_caller]
fn check_refused(hub: &Hub, request: &str, status: u16, says: &str) {
    let mut socket = RawSocket::connect(hub.address);
    let head = socket.ask(request).to_lowercase();
    assert_eq!(head.split(' ').nth(1), Some(&*status.to_string()), "{request}: {head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let body = socket.body(length.parse().unwrap());
    assert!(body.contains(says), "{request}: {body:?} does not say {says:?}");
}

#[test]
fn whatever_is_wrong_is_named() {
    let hub = Hub::dev_with(&[("patterns_max", 1)]);
    let many: String = (0..65).map(|n| format!("topic=t{n}&")).collect();
    for (query, says) in [
        ("", "`topic` is missing"),
        ("topic=", "`topic` is ``"),
        ("topic=a..b", "`topic` is `a..b`"),
        ("topic=%FF%00", "`topic` is"),
        ("topic=a&topic=a", "`topic` is `a` twice"),
        ("topic=a.*&topic=b.*", "more than 1 patterns"),
        (&*many, "`topic` comes more than 64 times"),
        ("topic=a&form=latest", "`form` is no parameter"),
        ("topic=a&from=soon", "`from` is earliest"),
        ("topic=a&from=", "`from` is earliest"),
        ("topic=a&from=last:-1", "`from` is earliest"),
        ("topic=a&from=earliest&from=latest", "`from` comes twice"),
        ("topic=a&from=00000000000000ff:1,00000000000000ff:1", "`from` is not of these topics"),
        ("topic=a&from=00000000000000ff:1,x", "`from` is earliest"),
    ] {
        check_refused(&hub, &request(query, ""), 400, says);
    }
    for (query, id, says) in [
        ("topic=a", "7", "`Last-Event-ID` is no id"),
        ("topic=a", "00000000000000ff:1,00000000000000ff:2", "it has 2 places, and what is asked for has 1"),
        ("topic=a&topic=b", "00000000000000ff:1", "it has 1 places, and what is asked for has 2"),
    ] {
        check_refused(&hub, &request(query, id), 400, says);
    }
    let with = |from, to| request("topic=a", "").replace(from, to);
    check_refused(&hub, &with("GET", "POST"), 405, "method");
    check_refused(&hub, &with("HTTP/1.1", "HTTP/1.0"), 505, "HTTP/1.1");
    check_refused(&hub, &with("accept:", "content-length: 3\r\naccept:"), 400, "body");
    check_refused(&hub, &with("accept:", "origin: https://evil.test\r\naccept:"), 403, "origins");
    assert_eq!(hub.metric("tidewire_connections"), 0);
}

#[test]
fn pages_that_may_are_told_so_and_full_hubs_say_when_to_come_back() {
    let hub = Hub::dev_with(&[("connections_max", 1)]);
    let page = request("topic=a", "").replace("accept:", "origin: http://localhost:5173\r\naccept:");
    let mut listener = Listener::on(RawSocket::connect(hub.address), &page);
    let head = listener.head.to_lowercase();
    assert!(head.contains("access-control-allow-origin: http://localhost:5173\r\n"), "{head}");
    assert!(head.contains("vary: origin\r\n"), "{head}");
    listener.next_of("subscribed");
    check_refused(&hub, &request("topic=a", ""), 503, "no room for another connection");
    listener.hang_up();
    eventually("the seat is free", || hub.metric("tidewire_connections") == 0);
    Listener::start(hub.address, "topic=a", "").next_of("subscribed");
}

#[test]
fn what_is_asked_before_and_behind_does_no_harm() {
    let hub = Hub::dev();
    let mut socket = RawSocket::connect(hub.address);
    let events = request("topic=t", "");
    let metrics = "GET /metrics HTTP/1.1\r\nhost: localhost\r\n\r\n";
    // All in one: hyper has read the rest when it comes to the second.
    let head = socket.ask(&format!("{metrics}{events}{metrics}\0\r\n\r\n"));
    let head = head.to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert!(socket.body(length.parse().unwrap()).ends_with('\n'), "the first answer is whole");
    let mut listener = Listener::on(socket, "and more");
    assert!(
        listener.head.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/event-stream"),
        "{}",
        listener.head
    );
    listener.next_of("subscribed");
    Writer::of(&hub, &["t"]).count(0..3);
    let heard: Vec<_> = (0..3).map(|_| listener.next_of("")["data"].as_u64().unwrap()).collect();
    assert_eq!(heard, [0, 1, 2]);
}

#[test]
fn those_who_go_at_once_leave_nothing_behind() {
    let hub = Hub::dev();
    let neighbour = Neighbour::of(&hub);
    let connections = hub.metric("tidewire_connections");
    for n in 0..200 {
        let mut socket = RawSocket::connect(hub.address);
        socket.send(request("topic=t&topic=u.*&from=earliest", "").as_bytes());
        if n % 2 == 0 {
            socket.hang_up();
        }
    }
    eventually("all are gone", || hub.metric("tidewire_connections") == connections);
    eventually("so are their subscriptions", || hub.metric("tidewire_subscriptions") == 1);
    neighbour.was_undisturbed();
}

#[test]
fn who_reads_slowly_holds_nobody_up_and_loses_nothing() {
    const COUNT: u64 = 200;
    let hub = Hub::dev();
    let mut slow = Listener::start(hub.address, "topic=t", "");
    let mut two = Listener::start(hub.address, "topic=t&topic=u", "");
    let mut quick = Listener::start(hub.address, "topic=t", "");
    slow.next_of("subscribed");
    two.next_of("subscribed");
    quick.next_of("subscribed");
    let mut writer = Writer::of(&hub, &["t"]);
    let before = hub.memory();
    let text = "x".repeat(100_000);
    for n in 0..COUNT {
        writer.say(1, json!([n, text]));
        assert_eq!(quick.next_of("")["data"][0], n);
    }
    assert!(hub.memory() < before + (100 << 20), "the messages, and their events once");
    for listener in [&mut slow, &mut two] {
        for n in 0..COUNT {
            assert_eq!(listener.next_of("")["data"][0], n);
        }
    }
}

#[test]
fn a_stream_ends_with_what_allowed_it_and_says_so() {
    let file = File::new(OPEN);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut listener = Listener::start(hub.address, "topic=a.b", "");
    listener.next_of("subscribed");
    let (before, rules) = OPEN.split_once("[[").unwrap();
    std::fs::write(file.path(), format!("{before}[[access]]\npattern = \"a.b\"\n[[{rules}")).unwrap();
    hub.signal("HUP");
    let told: Vec<Event> = std::iter::from_fn(|| listener.next()).collect();
    let names: Vec<&str> = told.iter().map(|event| &*event.name).collect();
    assert_eq!(names, ["unsubscribed", "closed"]);
    assert!(told.iter().all(|event| event.data["code"] == "forbidden"), "{told:?}");
    check_refused(&hub, &request("topic=a.b", ""), 403, "`a.b`");
}

/// A request for events with a header more.
fn request_with(query: &str, header: &str) -> String {
    request(query, "").replace("accept:", &format!("{header}\r\naccept:"))
}

#[test]
fn tokens_and_what_stands_for_them_allow_what_they_say_until_they_end() {
    let keyed = Keyed::start("");
    let hub = &keyed.hub;
    let mut claims = claims("ada", json!([{"topics": ["a.{sub}"], "to": ["publish", "subscribe"]}]));
    claims["exp"] = json!(now() + 4);
    let ec = EncodingKey::from_ec_pem(&private("ec")).unwrap();
    let token = sign(Algorithm::ES256, Some("es"), &ec, &claims);
    let bearer = format!("authorization: Bearer {token}");
    check_refused(hub, &request("topic=a.ada", ""), 403, "`a.ada`");
    check_refused(hub, &request_with("topic=a.bob", &bearer), 403, "`a.bob`");
    check_refused(hub, &request_with("topic=a.ada", "authorization: Bearer x.y.z"), 401, "token");
    check_refused(hub, &request("topic=a.ada&ticket=x", ""), 401, "ticket");
    let mut socket = RawSocket::connect(hub.address);
    let ask =
        format!("POST /v1/tickets HTTP/1.1\r\nhost: localhost\r\ncontent-length: 0\r\n{bearer}\r\n\r\n");
    let head = socket.ask(&ask).to_lowercase();
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    let ticket: Value = serde_json::from_str(&socket.body(length.parse().unwrap())).unwrap();
    let by_ticket = format!("topic=a.ada&ticket={}", ticket["ticket"].as_str().unwrap());
    check_refused(hub, &request(&by_ticket.replace("a.ada", "a.bob"), ""), 403, "`a.bob`");
    let mut streams = [
        Listener::on(RawSocket::connect(hub.address), &request_with("topic=a.ada", &bearer)),
        Listener::start(hub.address, &by_ticket, ""),
    ];
    for stream in &mut streams {
        stream.next_of("subscribed");
        let closed = stream.next().unwrap();
        assert_eq!((&*closed.name, &closed.data["code"]), ("closed", &json!("bad_token")));
        assert!(stream.next().is_none());
    }
    check_refused(hub, &request(&by_ticket, ""), 401, "ticket");
}

#[test]
fn a_hub_that_stops_sends_them_away_and_waits_for_them() {
    let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "5")]);
    let mut listener = Listener::start(hub.address, "topic=a", "");
    listener.next_of("subscribed");
    hub.signal("TERM");
    let closed = listener.next().unwrap();
    assert_eq!((&*closed.name, &closed.data["code"]), ("closed", &json!("draining")));
    assert!(listener.next().is_none() && listener.retry >= 1_000);
    assert!(hub.wait().success());
}
