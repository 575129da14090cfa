//! Rules that are read again while a hub runs, and those that hold whatever the file says.

use std::net::{Ipv4Addr, SocketAddr};

use jsonwebtoken::{Algorithm, EncodingKey};
use serde_json::{Value, json};

use crate::command_line::{run, succeed};
use crate::support::eventually;
use crate::support::file::File;
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::keyed::{KEYS, SECRET, bearer, by_secret_of, claims, hello, private, refusal, sign};
use crate::support::port::Port;
use crate::support::socket::{RawSocket, Received, handshake};

const PROGRAMS: &str = "allow_no_origin = true\n";
const OPEN: &str = "[[access]]\npattern = \"a\"\nsubscribe = true\nanonymous = true\n";

/// What a hub answers who subscribes.
fn subscribe(hub: &Hub, name: &str) -> Value {
    let mut socket = RawSocket::signed_in(hub.address);
    socket.say(json!({"type": "subscribe", "request": 1, "name": name}));
    socket.hear()["type"].clone()
}

fn hang_up(hub: &Hub, says: &str) {
    hub.signal("HUP");
    hub.says(says);
}

#[test]
fn rules_are_read_again_whatever_the_rest_of_the_file_would_mean() {
    let file = File::new(&format!("{PROGRAMS}{OPEN}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    assert_eq!(subscribe(&hub, "b"), "failed");
    let elsewhere = "listen = \"no.such.host.invalid:7700\"\nshards = 0\n";
    let both = format!("{elsewhere}{PROGRAMS}{OPEN}{}", OPEN.replace("\"a\"", "\"b\""));
    std::fs::write(file.path(), both).unwrap();
    hang_up(&hub, "2 access rules were read and hold from now on");
    assert_eq!(subscribe(&hub, "b"), "subscribed");
    for (wrong, says) in [
        ("listne = \"a\"\n", "did you mean `listen`?"),
        ("shards = = 1\n", "this is no TOML"),
        ("[[access]]\npattern = \"a..b\"\n", "`access[0].pattern`"),
    ] {
        std::fs::write(file.path(), wrong).unwrap();
        hang_up(&hub, says);
    }
    assert_eq!(
        hub.errors().matches("access rules, keys, origins and limits stay as they are, for the").count(),
        3
    );
    std::fs::remove_file(file.path()).unwrap();
    hang_up(&hub, &format!("stay as they are: cannot read the configuration {}: No such file", file.path()));
    assert_eq!(subscribe(&hub, "b"), "subscribed");
    std::fs::write(file.path(), PROGRAMS).unwrap();
    hang_up(&hub, "warning: no access rule lets anybody do anything");
    // The warning is said just before.
    eventually("the new rules hold", || subscribe(&hub, "b") == "failed");
}

#[test]
fn origins_and_limits_are_read_again_together_with_the_rest_or_not_at_all() {
    let file = File::new(&format!("{PROGRAMS}{OPEN}"));
    let hub = Hub::start(&["--config", file.path()], &[("TIDEWIRE_LIMITS_HEADERS_MAX", "30")]);
    let enter = |origin: &str| {
        let mut socket = RawSocket::connect(hub.address);
        let head = socket.ask(&handshake(&format!("origin: {origin}\r\n")));
        (head.split(' ').nth(1).unwrap().to_owned(), socket)
    };
    let (a, b) = ("https://a.example.com", "https://b.example.com");
    assert_eq!((&*enter(a).0, &*enter(b).0), ("403", "403"));
    let reread = |keys: &str, limits: &str, says: &str| {
        std::fs::write(file.path(), format!("{keys}{PROGRAMS}{OPEN}[limits]\n{limits}")).unwrap();
        hang_up(&hub, says);
    };
    reread(
        &format!("origins = [\"{a}\"]\n"),
        "",
        "are the same; other pages or programs may come; what else",
    );
    let (told, mut inside) = enter(a);
    assert_eq!((&*told, &*enter(b).0), ("101", "403"));
    // Whoever is in stays, also where there is no room for another.
    let both =
        "connections_per_address_max = 1\nheaders_max = 25\nmessage_bytes_max = 1000\nhandshakes_max = 100\n";
    reread(
        &format!("origins = [\"{b}\"]\n"),
        both,
        "; `connections_per_address_max` is 1 instead of 1000; `handshakes_max`, `message_bytes_max` in its new value waits",
    );
    // What the environment says goes before the file, now as then.
    assert!(!hub.errors().contains("headers_max"));
    inside.say(json!({"type": "hello", "producer": "0".repeat(32), "incarnation": 1}));
    inside.hear_of("welcome");
    assert_eq!((&*enter(a).0, &*enter(b).0), ("403", "503"));
    drop(inside);
    eventually("there is room again", || enter(b).0 == "101");
    // One mistake, and all stays as it is.
    for (keys, limits, says) in [
        (
            format!("origins = [\"{a}\", \"nonsense\"]\n"),
            "connections_per_address_max = 5\n",
            "`origins` is \"nonsense\"",
        ),
        (
            format!("origins = [\"{a}\"]\n"),
            "connections_per_address_max = 0\n",
            "`limits.connections_per_address_max` is 0",
        ),
    ] {
        reread(&keys, limits, says);
        let (told, _inside) = enter(b);
        assert_eq!((&*told, &*enter(a).0, &*enter(b).0), ("101", "403", "503"));
    }
    reread("", "", "`connections_per_address_max` is 1000 instead of 1");
    assert_eq!(enter(b).0, "403");
}

#[test]
fn rates_hold_for_who_is_in_too() {
    let rule = format!("{PROGRAMS}{OPEN}publish = true\n");
    let file = File::new(&rule);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut publisher = RawSocket::json(hub.address);
    publisher.say(json!([
        {"type": "hello", "producer": "0".repeat(31) + "9", "incarnation": 1},
        {"type": "open", "handle": 1, "topic": "a", "lowest": 1}
    ]));
    publisher.hear_of("opened");
    let mut publish = |seq: u64| {
        publisher.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "data": 1}));
        publisher.hear()["code"].clone()
    };
    assert!((1..=30).all(|seq| publish(seq) == Value::Null));
    std::fs::write(file.path(), format!("{rule}[limits]\npublishes_per_second_max = 1\n")).unwrap();
    hang_up(&hub, "; `publishes_per_second_max` is 1 instead of no limit; what else");
    assert!((31..=60).any(|seq| publish(seq) == "rate_limited"));
    let mut http = Http::to(hub.address);
    let mut ask = || http.post("/v1/topics/a/messages", "text/plain", b"x").status;
    assert!((1..=30).any(|_| ask() == 429));
    std::fs::write(file.path(), format!("{rule}[limits]\npublishes_per_second_per_address_max = 1\n"))
        .unwrap();
    hang_up(&hub, "`publishes_per_second_per_address_max` is 1 instead of");
    let mut another = Http::to(hub.address);
    let mut ask_another = || another.post("/v1/topics/a/messages", "text/plain", b"x").status;
    assert!((1..=30).any(|_| ask_another() == 429));
    std::fs::write(file.path(), &rule).unwrap();
    hang_up(&hub, "`publishes_per_second_per_address_max` is");
    eventually("nothing bounds it any more", || (1..=30).all(|_| ask() == 200));
}

#[test]
fn heads_and_silence_are_bounded_by_what_holds_now_where_operators_come_too() {
    let file = File::new(&format!("admin_listen = \"127.0.0.1:0\"\n{PROGRAMS}{OPEN}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let ask = |address: SocketAddr| {
        let mut socket = RawSocket::connect(address);
        let headers: String = (0..40).map(|at| format!("x-{at}: x\r\n")).collect();
        let head = socket.ask(&format!("GET /healthz HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n"));
        head.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!((&*ask(hub.address), &*ask(hub.admin())), ("200", "200"));
    let limits = "[limits]\nheaders_max = 30\nhandshake_ms = 300\n";
    std::fs::write(file.path(), format!("admin_listen = \"127.0.0.1:0\"\n{PROGRAMS}{OPEN}{limits}")).unwrap();
    hang_up(&hub, "; `handshake_ms` is 300 instead of 5000; `headers_max` is 30 instead of 64; ");
    assert_eq!((&*ask(hub.address), &*ask(hub.admin())), ("431", "431"));
    // It ends: by what held before, it would as well, but not before the test is over.
    assert!(RawSocket::connect(hub.address).rest().is_empty());
}

#[test]
fn with_dev_everybody_of_this_machine_does_everything_whatever_the_file_says() {
    let file = File::new("origins = [\"https://a.example.com\"]\nallow_no_origin = false\n");
    let hub =
        Hub::start(&["--dev", "--config", file.path()], &[("TIDEWIRE_ORIGINS", "https://b.example.com")]);
    assert_eq!(subscribe(&hub, "b"), "subscribed");
    for (origin, status) in
        [("http://localhost:1", 101), ("https://a.example.com", 403), ("https://b.example.com", 403)]
    {
        let head = RawSocket::connect(hub.address).ask(&handshake(&format!("origin: {origin}\r\n")));
        assert!(head.starts_with(&format!("HTTP/1.1 {status} ")), "{origin}: {head}");
    }
    hub.says("whatever is listed");
    hang_up(&hub, "--dev lets everybody do everything, whatever the file says");
    assert!(!hub.errors().contains("hold from now on"));
    assert_eq!(subscribe(&hub, "b"), "subscribed");
    for name in ["TIDEWIRE_LISTEN", "TIDEWIRE_ADMIN_LISTEN"] {
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, Port::keep().address().port()));
        let mut serve = tidewire("serve");
        let output = serve.arg("--dev").env(name, everywhere.to_string()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(!output.status.success() && said.contains(name) && said.contains("with --dev"), "{said}");
    }
}

#[test]
fn the_demos_topics_can_be_read_unless_the_file_denies_it() {
    for (rules, right) in [("", "subscribed"), ("[[access]]\npattern = \"demo.host\"\n", "failed")] {
        let file = File::new(&format!("{PROGRAMS}{rules}"));
        let hub = Hub::start(&["--demo", "--config", file.path()], &[]);
        for _ in 0..2 {
            assert_eq!(subscribe(&hub, "demo.host"), right);
            assert_eq!(subscribe(&hub, "demo.ping.x"), "subscribed");
            assert_eq!(subscribe(&hub, "demos"), "failed");
            hang_up(&hub, " from now on; ");
        }
        hub.says("the demo's charts stay empty: neither a rule nor a token allows this");
    }
    let hub = Hub::start(&["--dev", "--demo"], &[]);
    let history = ["sub", "demo.host", "--from", "earliest", "--count", "1"];
    assert!(succeed(&run(&hub, &history, "")).starts_with('{'));
}

fn key(kid: &str, algorithm: &str, file: &str) -> String {
    format!(
        "[[auth.keys]]\nkid = \"{kid}\"\nalgorithm = \"{algorithm}\"\nfile = \"{file}\"\naudience = \"tidewire\"\n"
    )
}

#[track_caller]
fn is_there(socket: &mut RawSocket) {
    socket.say(json!({"type": "heartbeat", "request": 1}));
    socket.hear_of("heartbeat");
}

#[test]
fn keys_are_read_again_and_whoever_signed_in_by_one_that_is_gone_is_sent_away() {
    let secret = File::new(SECRET);
    let (old, new) =
        (key("old", "HS256", secret.path()), key("new", "ES256", &format!("{KEYS}/ec.public.pem")));
    let file = File::new(&format!("{PROGRAMS}{old}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let claims = claims("ada", json!([{"topics": ["a"], "to": ["subscribe"]}]));
    let by_old = by_secret_of(Some("old"), &claims);
    let by_new =
        sign(Algorithm::ES256, Some("new"), &EncodingKey::from_ec_pem(&private("ec")).unwrap(), &claims);
    let mut first = bearer(hub.address, 1_000_001, &by_old);
    assert!(refusal(hub.address, &by_new).contains("`kid`"));
    std::fs::write(file.path(), format!("{PROGRAMS}{OPEN}{old}{new}")).unwrap();
    hang_up(
        &hub,
        "1 access rule was read and holds from now on; new keys for tokens: `new` (ES256); what else",
    );
    let mut second = bearer(hub.address, 1_000_002, &by_new);
    let mut nobody = RawSocket::signed_in(hub.address);
    let mut http = Http::to(hub.address);
    let mut ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        http.ask("GET", "/v1/topics/a/messages", &[("authorization", &bearer)], b"").status
    };
    assert_eq!([ask(&by_old), ask(&by_new)], [200, 200]);
    is_there(&mut first);
    // All or nothing.
    for (wrong, says) in [
        (key("x", "HS256", "/no/such/file.pem"), "a file that can be read"),
        (key("x", "HS256", "/dev/zero"), "a regular file, which can be read again"),
        (key("x", "ES256", secret.path()), "a public key of the curve P-256"),
    ] {
        std::fs::write(file.path(), format!("{PROGRAMS}{new}{wrong}")).unwrap();
        hang_up(&hub, says);
        is_there(&mut first);
        assert_eq!(subscribe(&hub, "a"), "subscribed");
    }
    std::fs::write(file.path(), format!("{PROGRAMS}{OPEN}{new}")).unwrap();
    hang_up(&hub, "keys that are gone, with whoever signed in by them: `old` (HS256);");
    let goodbye = first.hear_of("goodbye");
    let says = "the hub has no longer the key that the token is signed with";
    assert_eq!((&goodbye["code"], &goodbye["message"]), (&json!("bad_token"), &json!(says)));
    assert_eq!(first.receive(), Received::Close(4004));
    assert_eq!([ask(&by_old), ask(&by_new)], [401, 200], "of what is known to be sound, too");
    is_there(&mut second);
    is_there(&mut nobody);
    assert!(refusal(hub.address, &by_old).contains("`kid`"));
    assert_eq!(hub.metric("tidewire_bad_tokens_total{check=\"key\"}"), 1);
    hang_up(&hub, "the keys for tokens are the same");
    // The same name, and another key.
    std::fs::write(
        file.path(),
        format!("{PROGRAMS}{}", key("new", "EdDSA", &format!("{KEYS}/ed.public.pem"))),
    )
    .unwrap();
    hang_up(&hub, "new keys for tokens: `new` (EdDSA); gone, with whoever signed in by them: `new` (ES256)");
    assert_eq!(second.hear_of("goodbye")["message"], says);
    is_there(&mut nobody);
    // Without any, whoever brings a token is not taken for anonymous.
    std::fs::write(file.path(), format!("{PROGRAMS}{OPEN}")).unwrap();
    hang_up(&hub, "signed in by them: `new` (EdDSA)");
    assert!(refusal(hub.address, &by_new).contains("`kid`"));
}

#[test]
fn a_hub_that_gets_its_first_key_while_it_runs_takes_tokens_from_then_on() {
    let secret = File::new(SECRET);
    let file = File::new(&format!("{PROGRAMS}{OPEN}"));
    let hub = Hub::start(&["--config", file.path()], &[]);
    let token = by_secret_of(Some("k"), &claims("ada", json!([])));
    let subject = |producer: u64| hello(hub.address, 1_000_000 + producer, &token).hear()["subject"].clone();
    assert_eq!(subject(1), Value::Null);
    std::fs::write(file.path(), format!("{PROGRAMS}{OPEN}{}", key("k", "HS256", secret.path()))).unwrap();
    hang_up(&hub, "new keys for tokens: `k` (HS256)");
    assert_eq!(subject(2), "ada");
}
