//! What signals have a hub do: end, and read its access rules again.

use std::process::Command;

use serde_json::json;

use crate::support::file::{File, OPEN};
use crate::support::hub::{Hub, tidewire};
use crate::support::socket::RawSocket;

#[test]
fn each_signal_that_asks_to_end_lets_clients_leave() {
    for signal in ["TERM", "INT"] {
        let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "5")]);
        let mut client = RawSocket::signed_in(hub.address);
        hub.signal(signal);
        assert_eq!(client.hear()["code"], "draining", "{signal}");
        assert!(hub.wait().success(), "{signal}");
    }
}

#[test]
fn a_hangup_has_the_rules_of_the_file_read_again() {
    let file = File::new(OPEN);
    let hub = Hub::start(&["--config", file.path()], &[]);
    let mut client = RawSocket::json(hub.address);
    client.say(json!({ "type": "hello", "producer": "ab".repeat(16), "incarnation": 1 }));
    client.say(json!({ "type": "subscribe", "request": 1, "name": "a.b" }));
    let tail = client.hear_of("subscribed")["tail"].clone();
    client.say(json!({ "type": "open", "handle": 1, "topic": "a.b", "lowest": 1 }));
    client.hear_of("opened");
    // A handle by which something came stays, so that what comes later is answered.
    client.say(json!({ "type": "publish", "handle": 1, "seq": 1, "data": 1 }));
    client.hear_of("acked");
    std::fs::write(file.path(), "[[access]]\npattern = ?\n").unwrap();
    hub.signal("HUP");
    let kept = "access rules, keys, origins and limits stay as they are, for the configuration is wrong";
    hub.says(kept);
    let (before, rules) = OPEN.split_once("[[").unwrap();
    std::fs::write(file.path(), format!("{before}[[access]]\npattern = \"a.b\"\n[[{rules}")).unwrap();
    hub.signal("HUP");
    let ended = client.hear_of("unsubscribed");
    assert_eq!((&ended["code"], &ended["tail"]), (&json!("forbidden"), &tail));
    client.say(json!({ "type": "publish", "handle": 1, "seq": 2, "data": 1 }));
    let refused = client.hear_of("refused");
    assert_eq!((&refused["code"], &refused["consumed"]), (&json!("forbidden"), &json!(true)));
    let told = "2 access rules were read and hold from now on";
    hub.says(told);
}

#[test]
fn rules_stay_where_a_file_is_empty_gone_or_never_ends_and_signals_are_heard_meanwhile() {
    let file = File::new(OPEN);
    let mut hub = Hub::start(&["--config", file.path()], &[]);
    let mut client = RawSocket::json(hub.address);
    client.say(json!({ "type": "hello" }));
    client.say(json!({ "type": "subscribe", "request": 1, "name": "a.b" }));
    client.hear_of("subscribed");
    let told_after = |change: &dyn Fn(), words: &str| {
        change();
        hub.signal("HUP");
        hub.says(words);
    };
    told_after(&|| std::fs::write(file.path(), " \n").unwrap(), "is empty; to let nobody do anything");
    told_after(&|| std::fs::remove_file(file.path()).unwrap(), "cannot read the configuration");
    let fifo = || assert!(Command::new("mkfifo").arg(file.path()).status().unwrap().success());
    told_after(&fifo, "is no regular file, and is not read again");
    client.say(json!({ "type": "heartbeat", "request": 7 }));
    assert_eq!(client.hear_of("heartbeat")["request"], 7, "nobody was sent away");
    hub.signal("TERM");
    assert_eq!(client.hear_of("goodbye")["code"], "draining");
    // It stops already, and that is not another wish to end.
    hub.signal("HUP");
    assert!(hub.is_running());
    client.hang_up();
    assert!(hub.wait().success());
}

#[test]
fn without_a_file_a_hangup_lets_clients_leave() {
    let mut serve = tidewire("serve");
    serve.args(["--dev", "--listen", "127.0.0.1:0"]);
    let mut hub = Hub::run(serve);
    let mut client = RawSocket::signed_in(hub.address);
    hub.signal("HUP");
    assert_eq!(client.hear()["code"], "draining");
    assert!(hub.wait().success());
}

#[test]
fn under_nohup_a_hangup_is_ignored() {
    let mut nohup = Command::new("sh");
    nohup.args(["-c", "trap '' HUP; exec \"$@\"", "sh"]);
    let serve = tidewire("serve");
    nohup.arg(serve.get_program()).args(serve.get_args());
    let mut hub = Hub::start_by(nohup, &["--dev"], &[]);
    hub.signal("HUP");
    // Signals are taken in any order, so the hub is asked something before it is told to end.
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    hub.signal("TERM");
    assert!(hub.wait().success());
    hub.says("stopped");
    assert_eq!(hub.errors().matches("stopping").count(), 1, "{}", hub.errors());
}
