//! Rules that are read again while a hub runs, and those that hold whatever the file says.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::{Value, json};

use crate::command_line::{run, succeed};
use crate::support::eventually;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::port::Port;
use crate::support::socket::{RawSocket, handshake};

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
    eventually(says, || hub.errors().contains(says));
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
    assert_eq!(hub.errors().matches("the access rules stay as they are, for the").count(), 3);
    std::fs::remove_file(file.path()).unwrap();
    hang_up(&hub, &format!("stay as they are: cannot read the configuration {}: No such file", file.path()));
    assert_eq!(subscribe(&hub, "b"), "subscribed");
    std::fs::write(file.path(), "# Nobody.\n").unwrap();
    hang_up(&hub, "warning: no access rule lets anybody do anything");
    assert_eq!(subscribe(&hub, "b"), "failed");
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
    eventually("the hub says what it passes over", || hub.errors().contains("whatever is listed"));
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
            hang_up(&hub, "access rules were read and hold from now on");
        }
        eventually("the hub says what its charts lack", || {
            hub.errors().contains("the demo's charts stay empty: neither a rule nor a token allows this")
        });
    }
    let hub = Hub::start(&["--dev", "--demo"], &[]);
    let history = ["sub", "demo.host", "--from", "earliest", "--count", "1"];
    assert!(succeed(&run(&hub, &history, "")).starts_with('{'));
}
