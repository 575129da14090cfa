//! A hub that speaks TLS: what clients and operators meet, and what else comes to its port.

use std::fs;
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::process::Command;

use rustls::version::{TLS12, TLS13};
use serde_json::json;

use crate::support::eventually;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::listener::{Listener, request};
use crate::support::neighbour::Neighbour;
use crate::support::page::{Folder, block_of};
use crate::support::secured::{Authority, Issued, Secured, VALID, trusting};
use crate::support::socket::{RawSocket, client_frame, handshake};

fn open(socket: &mut RawSocket, topic: &str) {
    socket.say(json!({"type": "open", "handle": 1, "topic": topic, "lowest": 1}));
    socket.hear_of("opened");
}

/// Publishes a text and waits until it is stored.
fn publish(socket: &mut RawSocket, seq: u64, text: &str) {
    socket.say(json!({"type": "publish", "handle": 1, "seq": seq, "lowest": seq, "text": text}));
    socket.hear_of("acked");
}

fn subscribe(socket: &mut RawSocket, topic: &str) {
    socket.say(json!({"type": "subscribe", "request": 1, "name": topic}));
    socket.hear_of("subscribed");
}

#[test]
fn messages_come_by_both_versions_of_tls_and_connections_end_in_order() {
    let secured = Secured::start();
    for (version, topic) in [(&TLS13, "three"), (&TLS12, "two")] {
        let config = secured.authority.trusting_by(&[version]);
        let connect = || RawSocket::secure(secured.address(), &config).unwrap();
        let mut subscriber = connect().upgraded().sign_in();
        assert_eq!(subscriber.tls().protocol_version(), Some(version.version));
        subscribe(&mut subscriber, topic);
        let mut publisher = connect().upgraded().sign_in();
        open(&mut publisher, topic);
        // From less than a record to many.
        for (seq, size) in (1..).zip([1, 100, 16 << 10, 200 << 10]) {
            let text = "x".repeat(size);
            publish(&mut publisher, seq, &text);
            assert_eq!(subscriber.hear_of("block")["messages"][0]["text"], text, "{size} bytes");
        }
        let mut http = connect();
        let post = format!("POST /v1/topics/{topic}/messages HTTP/1.1\r\nhost: localhost\r\n");
        let head = http.ask(&format!("{post}content-type: application/json\r\ncontent-length: 1\r\n\r\n1"));
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        assert_eq!(subscriber.hear_of("block")["messages"][0]["data"], 1);
        let mut wrong = connect().upgraded();
        wrong.say(json!([1]));
        assert!(wrong.close_code().is_some());
        // Without the last word of TLS this fails.
        assert!(wrong.rest().is_empty());
    }
}

#[test]
fn streams_of_events_leave_http_with_their_tls() {
    let secured = Secured::start();
    let config = secured.authority.trusting_by(&[&TLS13]);
    let connect = || RawSocket::secure(secured.address(), &config).unwrap();
    for query in ["topic=t", "topic=t&topic=u.*"] {
        // What is said behind the request is nobody's.
        let mut listener = Listener::on(connect(), &format!("{}more", request(query, "")));
        listener.next_of("subscribed");
        if query.contains("u.*") {
            listener.next_of("subscribed");
        }
        for size in [1, 100, 16 << 10, 200 << 10] {
            let text = "x".repeat(size);
            let post = format!(
                "POST /v1/topics/t/messages HTTP/1.1\r\nhost: localhost\r\ncontent-length: {size}\r\n"
            );
            let head = connect().ask(&format!("{post}content-type: text/plain\r\n\r\n{text}"));
            assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
            assert_eq!(listener.next_of("")["text"], text, "{size} bytes");
        }
    }
}

#[test]
fn what_comes_right_behind_a_handshake_is_read() {
    let secured = Secured::start();
    let hello = json!({"type": "hello", "producer": "f".repeat(32), "incarnation": 1}).to_string();
    let hello = client_frame(0x81, hello.as_bytes());
    let large = json!({"type": "later", "text": "x".repeat(12_000)}).to_string();
    let large = client_frame(0x81, large.as_bytes());
    let join = json!({"type": "subscribe", "request": 1, "name": "t"}).to_string();
    let join = client_frame(0x81, join.as_bytes());
    // In one record with it, or in others that come at once. Of a large record HTTP reads a part.
    for records in [
        vec![[handshake("").as_bytes(), &hello, &join].concat()],
        vec![handshake("").into_bytes(), hello.clone(), join.clone()],
        vec![[handshake("").as_bytes(), &hello, &large, &join].concat()],
        vec![[handshake("").as_bytes(), &hello, &large].concat(), large.clone(), large.clone(), join.clone()],
    ] {
        let mut socket = secured.connect();
        for record in &records {
            socket.send(record);
        }
        assert!(socket.ask("").starts_with("HTTP/1.1 101 "));
        socket.hear_of("subscribed");
    }
}

#[test]
fn readers_that_stop_cost_little_disturb_nobody_and_lose_nothing() {
    let secured = Secured::start_with("[[topics]]\npattern = \"big\"\nretention = { bytes = 67108864 }\n");
    let mut stalled: Vec<_> = (0..20).map(|_| secured.signed_in()).collect();
    for socket in &mut stalled {
        subscribe(socket, "big");
    }
    let neighbour = Neighbour::on(secured.signed_in());
    let mut publisher = secured.signed_in();
    open(&mut publisher, "big");
    let before = secured.hub.memory();
    let text = "x".repeat(100 << 10);
    for seq in 1..=MESSAGES {
        publish(&mut publisher, seq, &format!("{seq} {text}"));
    }
    // 20 MB, which the topic keeps in both encodings; a queue for each subscriber would hold 400 MB.
    let after = secured.hub.memory();
    assert!(after < before + (100 << 20), "{before} -> {after}");
    neighbour.went_on();
    for socket in &mut stalled[..3] {
        let mut seq = 0;
        while seq < MESSAGES {
            for message in socket.hear_of("block")["messages"].as_array().unwrap() {
                seq += 1;
                assert_eq!(message["text"], format!("{seq} {text}"));
            }
        }
    }
}

const MESSAGES: u64 = 200;

#[test]
fn a_client_that_asks_and_never_reads_is_let_go() {
    let secured = Secured::start_with("[limits]\noutbox_bytes_max = 65536\npage_bytes_max = 16384\n");
    let mut publisher = secured.signed_in();
    open(&mut publisher, "t");
    publish(&mut publisher, 1, &"x".repeat(16 << 10));
    let mut deaf = secured.signed_in();
    let ask = json!({"type": "history", "request": 2, "name": "t", "from": "earliest"}).to_string();
    let ask = client_frame(0x81, ask.as_bytes()).repeat(2_000);
    deaf.send(&ask);
    eventually("the hub has sent it away", || {
        secured.hub.metric_sum("tidewire_disconnected_total") == 1
            && secured.hub.metric("tidewire_connections") == 1
    });
    publish(&mut publisher, 2, "still here");
}

#[test]
fn who_speaks_no_tls_is_told_so_and_nonsense_is_let_go() {
    let secured = Secured::start_with("[limits]\nhandshake_ms = 400\n");
    let neighbour = Neighbour::on(secured.signed_in());
    for request in ["GET / HTTP/1.1\r\n\r\n", &handshake("")] {
        let mut socket = RawSocket::connect(secured.address());
        let head = socket.ask(request);
        assert!(head.starts_with("HTTP/1.1 400 ") && head.contains("connection: close"), "{head}");
        assert_eq!(socket.rest(), b"this port speaks TLS: connect by https or wss\n");
    }
    let half = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03half of a ClientHello";
    for nonsense in [&b""[..], b"\x16", half, b"\0\0\0\0", b"\x16\x03\x01\xff\xffxxxxx", &[0x80; 70_000]] {
        let mut socket = RawSocket::connect(secured.address());
        socket.send(nonsense);
        let answer = socket.rest();
        // An alert, or nothing.
        assert!(answer.is_empty() || answer[0] == 0x15, "{answer:?}");
    }
    let stranger = Authority::new();
    let error = RawSocket::secure(secured.address(), &stranger.trusting()).err().unwrap();
    assert!(error.to_string().contains("invalid peer certificate"), "{error}");
    let mut garbled = secured.signed_in();
    assert_eq!(secured.hub.metric("tidewire_clients"), 2);
    garbled.send_past_tls(&[b"\x17\x03\x03\x00\x40".as_slice(), &[7; 64]].concat());
    eventually("it is let go", || secured.hub.metric("tidewire_clients") == 1);
    eventually("operators are told", || {
        let counted = "tidewire_handshakes_refused_total{reason=\"tls\"}";
        let page = secured.hub.get("/metrics");
        let line = page.lines().find_map(|line| line.strip_prefix(counted)).unwrap();
        line.trim().parse::<u64>().unwrap() >= 5
    });
    secured.hub.says("refused (tls): 127.0.0.1: a request without TLS; this port");
    eventually("their places are free again", || secured.hub.metric("tidewire_http_connections") == 0);
    neighbour.went_on();
}

#[test]
fn a_flood_of_half_handshakes_leaves_room_for_others() {
    let secured = Secured::start_with("[limits]\nhandshakes_per_address_max = 50\n");
    let before = secured.hub.memory();
    let attacker = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 9));
    let mut flood: Vec<_> = (0..300).map(|_| RawSocket::connect_from(attacker, secured.address())).collect();
    for socket in &mut flood {
        socket.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    }
    let mut refused = RawSocket::connect_from(attacker, secured.address());
    assert!(refused.rest().is_empty(), "who speaks TLS would not understand an answer");
    subscribe(&mut secured.signed_in(), "t");
    assert!(secured.hub.memory() < before + 300 * (16 << 10) + (4 << 20));
}

/// What a handshake of now is shown.
fn shows(secured: &Secured, issued: &Issued) -> bool {
    issued.is_shown_on(&secured.connect())
}

#[test]
fn another_certificate_holds_for_new_connections_and_a_broken_one_for_none() {
    let secured = Secured::start();
    let mut early = secured.signed_in();
    open(&mut early, "t");
    let second = secured.authority.issue_local();
    secured.write(&second);
    eventually("the hub has noticed by itself", || shows(&secured, &second));
    assert!(!second.is_shown_on(&early));
    publish(&mut early, 1, "on the old one");

    let third = secured.authority.issue_local();
    let expired = secured.authority.issue("127.0.0.1", (2000, 2001));
    let half = |certificate: &str, key: &str| Issued { certificate: certificate.into(), key: key.into() };
    for (broken, says) in [
        (half(&third.certificate, &second.key), "is not the private key of the first certificate in"),
        (half("", &second.key), "there is none in it"),
        (half(&third.key, &third.certificate), "certificate first"),
        (half(&third.certificate, "-----BEGIN PRIVATE KEY-----\nAAAA"), "a line of it is wrong"),
    ] {
        secured.write(&broken);
        secured.hub.signal("HUP");
        secured.hub.says(says);
        assert!(shows(&secured, &second), "{says}");
    }
    fs::remove_file(secured.key.path()).unwrap();
    secured.hub.signal("HUP");
    secured.hub.says("cannot: No such file");
    assert!(shows(&secured, &second));
    secured.write(&third);
    secured.hub.signal("HUP");
    eventually("the hub is told", || shows(&secured, &third));
    secured.write(&expired);
    secured.hub.signal("HUP");
    let warned = "warning: the certificate expired ";
    secured.hub.says(warned);
    publish(&mut early, 2, "still on the old one");
    let stays = secured.hub.errors().matches("the certificate stays as it is: ").count();
    assert!(stays >= 5, "{}", secured.hub.errors());
}

/// Runs `check` with these files; its exit code and all that it says.
fn check(certificate: &str, key: &str, mode: u32) -> (Option<i32>, String) {
    use std::os::unix::fs::PermissionsExt as _;
    let (certificate, key) = (File::new(certificate), File::new(key));
    fs::set_permissions(key.path(), fs::Permissions::from_mode(mode)).unwrap();
    let folder = Path::new(certificate.path()).parent().unwrap();
    let name = |file: &File| Path::new(file.path()).file_name().unwrap().to_owned();
    let config = format!("[tls]\ncertificate = {:?}\nkey = {:?}\n", name(&certificate), name(&key));
    let config = File::new(&config);
    assert_eq!(Path::new(config.path()).parent().unwrap(), folder, "files are named from there on");
    checked(tidewire("check").args(["--config", config.path()]))
}

fn checked(check: &mut Command) -> (Option<i32>, String) {
    let output = check.output().unwrap();
    (output.status.code(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

#[test]
fn check_says_what_is_wrong_with_a_certificate_and_warns_of_what_clients_refuse() {
    let authority = Authority::new();
    let (good, other) = (authority.issue_local(), authority.issue("hub.example.com", VALID));
    let (code, said) = check(&good.certificate, &good.key, 0o600);
    assert!(code == Some(0) && said.contains(" by TLS, with the certificate in "), "{said}");
    assert!(!said.contains("`tls."), "{said}");
    for (years, says) in
        [((2000, 2001), "the certificate expired "), ((2090, 2100), "the certificate becomes valid in ")]
    {
        let issued = authority.issue("127.0.0.1", years);
        let (code, said) = check(&issued.certificate, &issued.key, 0o600);
        assert!(code == Some(0) && said.contains("warning: line 2: `tls.certificate`"), "{said}");
        assert!(said.contains(says), "{said}");
    }
    let (_, said) = check(&good.certificate, &good.key, 0o604);
    assert!(said.contains("everybody on this machine may read it (mode 0604), and who"), "{said}");
    for (certificate, key, says) in [
        (&*good.certificate, &*other.key, "; allowed: the private key of the first certificate"),
        ("", &good.key, "line 2: `tls.certificate`"),
        (&good.key, &good.key, "line 2: `tls.certificate`"),
        (&good.certificate, &good.certificate, "there is none in it"),
        (&good.certificate, "-----BEGIN PRIVATE KEY-----\nSECRET\n", "line 3: `tls.key`"),
        ("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", &good.key, "line 3: `tls.key`"),
    ] {
        let (code, said) = check(certificate, key, 0o600);
        assert!(code == Some(1) && said.contains(says) && !said.contains("SECRET"), "{says}: {said}");
    }
    let (code, said) = checked(
        tidewire("check").env("TIDEWIRE_TLS_CERTIFICATE", "/no/chain").env("TIDEWIRE_TLS_KEY", "/no/SECRET"),
    );
    assert!(code == Some(1) && said.contains("`TIDEWIRE_TLS_CERTIFICATE` is \"/no/chain\""), "{said}");
    assert!(said.contains("`TIDEWIRE_TLS_KEY`") && !said.contains("SECRET"), "both at once: {said}");
    let endless = ["CERTIFICATE", "KEY"].map(|name| (format!("TIDEWIRE_TLS_{name}"), "/dev/zero"));
    let (code, said) = checked(tidewire("check").envs(endless));
    assert!(code == Some(1) && said.matches("it has more than 262144 bytes").count() == 2, "{said}");
    let (code, said) = checked(tidewire("check").env("TIDEWIRE_TLS_KEY", "key.pem"));
    assert!(code == Some(1) && said.contains("`tls.certificate` is missing"), "{said}");
}

#[test]
fn with_dev_no_tls_is_spoken() {
    let issued = Authority::new().issue_local();
    let (certificate, key) = (File::new(&issued.certificate), File::new(&issued.key));
    let env = [("TIDEWIRE_TLS_CERTIFICATE", certificate.path()), ("TIDEWIRE_TLS_KEY", key.path())];
    let hub = Hub::start(&["--dev"], &env);
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    hub.says("with --dev no TLS is spoken");
}

#[test]
fn the_pages_way_from_nothing_leads_to_a_hub_that_speaks_tls() {
    if Command::new("openssl").arg("version").output().is_err() {
        eprintln!("openssl is not installed: the documented commands are not tried");
        return;
    }
    let folder = Folder::new();
    let page = include_str!("../../docs/CONFIGURATION.md");
    let (_, section) = page.split_once("## TLS\n").unwrap();
    folder.run("sh", &["-e", "-c", block_of(section, "sh")]);
    let config = folder.0.join("hub.toml");
    fs::write(&config, block_of(section, "toml")).unwrap();
    let open = [("TIDEWIRE_ALLOW_NO_ORIGIN", "true")];
    let hub = Hub::start(&["--config", config.to_str().unwrap()], &open);
    let trusting = trusting(&fs::read(folder.0.join("tls/ca.pem")).unwrap(), rustls::DEFAULT_VERSIONS);
    let mut socket = RawSocket::secure(hub.address, &trusting).unwrap();
    assert!(socket.ask(&handshake("")).starts_with("HTTP/1.1 101 "));
}
