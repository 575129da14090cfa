//! A hub that is stuck: what the command line says meanwhile, and that it does not wait for ever.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::process::Output;

use crate::command_line::{check_fails, run, start, subscribed, succeed};
use crate::support::eventually;
use crate::support::hub::{Hub, tidewire};

/// No hub answered in time.
#[track_caller]
fn check_unanswered(output: &Output, says: &str) {
    check_fails(output, says);
    assert_eq!(output.status.code(), Some(3), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn messages_that_nobody_answers_are_not_waited_for_too_long() {
    let hub = Hub::dev();
    let mut publisher = start(&hub, &["pub", "t", "-", "--wait", "3"]);
    let mut sender = start(&hub, &["pub", "t", "-", "--no-ack", "--wait", "3"]);
    for child in [&mut publisher, &mut sender] {
        child.stdin.as_mut().unwrap().write_all(b"1\n").unwrap();
    }
    eventually("both are there", || succeed(&run(&hub, &["history", "t"], "")) == "1\n1\n");
    hub.stop_all();
    for child in [&mut publisher, &mut sender] {
        child.stdin.take().unwrap().write_all(b"2\n").unwrap();
    }
    let output = publisher.wait_with_output().unwrap();
    check_unanswered(&output, "the hub does not answer; gave up after 3 s; published: 1 line\n");
    check_fails(&output, ": waiting for the hub to answer\n");
    check_unanswered(&sender.wait_with_output().unwrap(), "the hub does not answer; gave up after 3 s\n");
}

#[test]
fn what_is_waited_for_is_told_while_it_is_waited_for_and_may_come_yet() {
    let hub = Hub::dev();
    let mut publisher = start(&hub, &["pub", "t", "-", "--wait", "0"]);
    let mut input = publisher.stdin.take().unwrap();
    input.write_all(b"1\n").unwrap();
    eventually("it is there", || succeed(&run(&hub, &["history", "t"], "")) == "1\n");
    hub.stop_all();
    input.write_all(b"2\n").unwrap();
    let mut line = String::new();
    BufReader::new(publisher.stderr.take().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains(": waiting for the hub to answer"), "{line}");
    hub.signal("CONT");
    drop(input);
    assert!(publisher.wait().unwrap().success());
    assert_eq!(succeed(&run(&hub, &["history", "t"], "")), "1\n2\n");
}

#[test]
fn who_has_asked_nothing_waits_for_nothing() {
    let hub = Hub::dev();
    let subscriber = start(&hub, &["sub", "t", "--wait", "1", "--count", "1"]);
    subscribed(&hub, 1);
    hub.stop_all();
    let output = run(&hub, &["history", "t", "--wait", "3"], "");
    check_unanswered(&output, "it accepts connections and does not answer; gave up after 3 s");
    hub.signal("CONT");
    succeed(&run(&hub, &["pub", "t", "x"], ""));
    assert_eq!(succeed(&subscriber.wait_with_output().unwrap()), "x\n");
}

#[test]
fn a_server_that_accepts_and_does_not_answer_is_told_as_one() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    for arguments in
        [&["pub", "t", "x"][..], &["pub", "t", "x", "--no-ack"], &["sub", "t"], &["history", "t"]]
    {
        let mut command = tidewire(arguments[0]);
        let output = command.args(&arguments[1..]).args(["--wait", "2", "--url", &url]).output().unwrap();
        let says =
            format!("no hub answers at {url}: it accepts connections and does not answer; gave up after 2 s");
        check_unanswered(&output, &says);
    }
}
