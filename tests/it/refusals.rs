//! A hub that says no, and none that is there: what the command line tells of it, and how it ends.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::process::Output;
use std::thread;

use serde_json::Value;

use crate::command_line::{check_exit, check_fails, command, run, start, subscribed, succeed};
use crate::support::eventually;
use crate::support::hub::{Hub, tidewire};
use crate::support::port::Port;

/// What `pub` says of the address.
fn publish_to(url: &str) -> Output {
    tidewire("pub").args(["t", "x", "--wait", "1", "--url", url]).output().unwrap()
}

#[test]
fn the_hubs_own_words_are_told_once() {
    let hub = Hub::start(&[], &[]);
    for arguments in [&["pub", "t", "x"][..], &["sub", "t"], &["history", "t"]] {
        let output = run(&hub, arguments, "");
        check_exit(&output, 4, "origin");
        check_exit(&output, 4, "(HTTP 403)");
    }
    let hub = Hub::dev_with(&[("connections_max", 1)]);
    let mut seated = start(&hub, &["sub", "t"]);
    subscribed(&hub, 1);
    let output = run(&hub, &["pub", "t", "x", "--wait", "1"], "");
    check_exit(&output, 4, "the hub has no room");
    check_exit(&output, 4, "(HTTP 503); gave up after 1 s");
    seated.kill().unwrap();
    seated.wait().unwrap();
}

#[test]
fn who_is_no_hub_is_told_apart_from_silence() {
    let hub = Hub::dev();
    check_exit(&publish_to(&format!("{}/elsewhere", hub.url())), 3, "there is no hub at this path");
    let port = Port::keep();
    check_exit(&publish_to(&format!("http://{}", port.address())), 3, "nothing listens at");
    let forever = u64::MAX.to_string();
    let output = tidewire("pub").args(["t", "x", "--wait", &forever]).output().unwrap();
    check_fails(&output, "invalid value");
    check_exit(&publish_to("ftp://127.0.0.1"), 2, "http, https, ws and wss");
    check_exit(&publish_to("127.0.0.1:7700"), 2, "http://host:port");
    check_exit(&publish_to(&format!("http://{}", "x".repeat(64))), 3, "does not resolve");
}

/// A server that answers everybody with these bytes; its URL.
fn server(answer: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            let _ = stream.read(&mut [0; 1_024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    url
}

#[test]
fn whatever_is_no_hub_ends_with_the_same_code() {
    let page = "content-type: text/html\r\ncontent-length: 0\r\n\r\n";
    for (answer, says) in [
        ("HTTP/1.1 200 OK", "no hub (HTTP 200)"),
        ("HTTP/1.1 302 Found", "no hub (HTTP 302)"),
        ("HTTP/1.1 404 Not Found", "no hub at this path (HTTP 404)"),
        ("HTTP/1.0 404 Not Found", "no hub"),
        ("HTTP/1.1 405 Method Not Allowed", "no hub (HTTP 405)"),
        // What nginx says where TLS is wanted.
        ("HTTP/1.1 400 Bad Request", "wants TLS (HTTP 400)"),
        ("HTTP/1.1 501 Not Implemented", "no hub (HTTP 501)"),
    ] {
        check_exit(&publish_to(&server(format!("{answer}\r\n{page}").leak())), 3, says);
    }
    // What others say there: an alert of TLS, or nothing.
    check_exit(&publish_to(&server("\x15\x03\x01\0\x02\x02\x46")), 3, "is no hub");
    check_exit(&publish_to(&server("")), 3, "cannot be reached");
    check_exit(&publish_to(&server("SSH-2.0-OpenSSH_9.2\r\n")), 3, "is no hub");
    // Proxies that have no hub, and hubs that say no, are another matter.
    for status in ["403 Forbidden", "502 Bad Gateway", "503 Service Unavailable"] {
        check_exit(&publish_to(&server(format!("HTTP/1.1 {status}\r\n{page}").leak())), 4, "refuses");
    }
}

#[test]
fn a_hub_that_refuses_for_now_is_told_once_and_not_waited_for_too_long() {
    let hub = Hub::dev_with(&[("topics_max", 1)]);
    succeed(&run(&hub, &["pub", "t", "x"], ""));
    for (arguments, more) in [
        (&["pub", "u", "x"][..], "after 2 s\n"),
        (&["pub", "u", "-"], "after 2 s; published: no line\n"),
        (&["sub", "u"], "after 2 s\n"),
    ] {
        let output = run(&hub, &[arguments, &["--wait", "2"]].concat(), "1\n2\n");
        check_fails(&output, &format!("no room for this now (overloaded); gave up {more}"));
        assert_eq!(output.status.code(), Some(4));
        let errors = String::from_utf8(output.stderr).unwrap();
        // On a busy machine it may be late for saying that it still tries.
        assert!(errors.matches("no room for this now (overloaded); trying again").count() <= 1, "{errors}");
    }
    // It is told while the command still waits.
    let mut waiting = start(&hub, &["pub", "u", "x", "--wait", "0"]);
    let mut line = String::new();
    BufReader::new(waiting.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    waiting.kill().unwrap();
    waiting.wait().unwrap();
}

#[test]
fn a_hub_that_goes_leaves_a_publisher_knowing_what_is_published() {
    let hub = Hub::dev();
    let mut publisher = start(&hub, &["pub", "t", "-", "--wait", "1"]);
    let mut input = publisher.stdin.take().unwrap();
    input.write_all(b"1\n2\n").unwrap();
    eventually("both lines are there", || succeed(&run(&hub, &["history", "t"], "")) == "1\n2\n");
    drop(hub);
    let output = publisher.wait_with_output().unwrap();
    check_exit(&output, 3, "; published: ");
    drop(input);
}

#[test]
fn subscribers_wait_as_long_as_the_hub_told_them() {
    // The first are told to come back at once, and must find a hub within their patience on a busy machine too; the last
    // are told to come back when it would be over.
    let mut hub = Hub::start(&["--dev"], &[("TIDEWIRE_DRAIN_SECONDS", "12"), ("TIDEWIRE_SHARDS", "1")]);
    let subscribers: Vec<_> =
        (0..6).map(|_| start(&hub, &["sub", "t", "--wait", "6", "--count", "1"])).collect();
    subscribed(&hub, 6);
    hub.signal("TERM");
    assert!(hub.wait().success());
    let hub = Hub::start(&["--dev", "--listen", &hub.address.to_string()], &[]);
    subscribed(&hub, 6);
    succeed(&run(&hub, &["pub", "t", "back"], ""));
    let mut told = 0;
    for subscriber in subscribers {
        let output = subscriber.wait_with_output().unwrap();
        assert_eq!(succeed(&output), "back\n");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let count = errors.matches("the hub is stopping; coming back in").count();
        assert!(count <= 1, "{errors}");
        told += count;
    }
    // The first may be on its way back before it can say so.
    assert!(told >= 5, "{told} of 6 said it");
}

#[test]
fn messages_are_what_they_look_like_unless_told_otherwise() {
    let hub = Hub::dev();
    let lines = "{\"id\": 1}\n [2]\n3\n{four\n\n\"5\"\n";
    succeed(&run(&hub, &["pub", "t", "-"], lines));
    succeed(&run(&hub, &["pub", "t", "6", "--content", "json"], ""));
    succeed(&run(&hub, &["pub", "t", "[7]", "--content", "text"], ""));
    succeed(&run(&hub, &["pub", "t", "8", "--content", "cbor"], ""));
    let mut bytes = command(&hub, &["pub", "t"]).spawn().unwrap();
    bytes.stdin.take().unwrap().write_all(b"\xff9\n").unwrap();
    succeed(&bytes.wait_with_output().unwrap());
    let json = succeed(&run(&hub, &["history", "t", "--json"], ""));
    let told = json.lines().map(|line| {
        let line: Value = serde_json::from_str(line).unwrap();
        let kind = ["data", "text", "base64"].into_iter().find(|kind| !line[kind].is_null()).unwrap();
        format!("{kind} {}", line[kind])
    });
    let expected = [
        "data {\"id\":1}",
        "data [2]",
        "text \"3\"",
        "text \"{four\"",
        "text \"\"",
        "text \"\\\"5\\\"\"",
        "data 6",
        "text \"[7]\"",
        "base64 \"OA==\"",
        "base64 \"/zk=\"",
    ];
    assert_eq!(told.collect::<Vec<_>>(), expected);
    check_exit(&run(&hub, &["pub", "t", "{not json", "--content", "json"], ""), 2, "not JSON");
}

#[test]
fn the_help_names_the_exit_codes() {
    for name in ["pub", "sub", "history"] {
        let help = succeed(&tidewire(name).arg("--help").output().unwrap());
        assert!(help.contains("3    no hub: none answered in time"), "{help}");
    }
}
