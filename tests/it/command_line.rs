//! The commands as a shell runs them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;

use serde_json::Value;

use crate::support::PATIENCE;
use crate::support::file::File;
use crate::support::hub::{Hub, tidewire};
use crate::support::port::Port;

pub(crate) fn run(hub: &Hub, arguments: &[&str], input: &str) -> Output {
    let mut child = start(hub, arguments);
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn start(hub: &Hub, arguments: &[&str]) -> Child {
    command(hub, arguments).spawn().unwrap()
}

pub(crate) fn command(hub: &Hub, arguments: &[&str]) -> Command {
    let mut command = tidewire(arguments[0]);
    command.args(&arguments[1..]).env("TIDEWIRE_URL", hub.url());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[track_caller]
pub(crate) fn succeed(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

#[track_caller]
pub(crate) fn check_fails(output: &Output, says: &str) {
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && errors.contains(says), "{says:?} is not in {errors:?}");
}

/// A failure is told once, on one line, with the exit code that the help names.
#[track_caller]
pub(crate) fn check_exit(output: &Output, code: i32, says: &str) {
    check_fails(output, says);
    assert_eq!(output.status.code(), Some(code));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(errors.lines().count(), 1, "{errors}");
}

/// Waits until the hub has so many subscriptions.
pub(crate) fn subscribed(hub: &Hub, count: u64) {
    crate::support::eventually("the subscription stands", || hub.metric("tidewire_subscriptions") == count);
}

#[test]
fn lines_come_out_as_they_went_in() {
    let hub = Hub::dev();
    let lines: String = (1..=100_000).map(|n| format!("{n}\n")).collect();
    let mut subscriber = start(&hub, &["sub", "t", "--count", "100000"]);
    let mut output = subscriber.stdout.take().unwrap();
    let heard = thread::spawn(move || {
        let mut heard = String::new();
        output.read_to_string(&mut heard).map(|_| heard)
    });
    subscribed(&hub, 1);
    succeed(&run(&hub, &["pub", "t", "-"], &lines));
    assert!(heard.join().unwrap().unwrap() == lines, "the lines differ");
    assert!(subscriber.wait().unwrap().success());
}

#[test]
fn a_line_is_printed_as_soon_as_it_comes() {
    let hub = Hub::dev();
    let mut subscriber = start(&hub, &["sub", "a.*"]);
    let (tell, told) = mpsc::channel();
    let output = BufReader::new(subscriber.stdout.take().unwrap());
    thread::spawn(move || output.lines().map_while(Result::ok).try_for_each(|line| tell.send(line)));
    subscribed(&hub, 1);
    for text in ["first", "second", ""] {
        succeed(&run(&hub, &["pub", "a.b", text], ""));
        assert_eq!(told.recv_timeout(PATIENCE).unwrap(), text);
    }
    subscriber.kill().unwrap();
    subscriber.wait().unwrap();
}

#[test]
fn history_is_read_from_any_place() {
    let hub = Hub::dev();
    succeed(&run(&hub, &["pub", "t", "-"], "1\n2\n3\n4\n"));
    assert_eq!(succeed(&run(&hub, &["sub", "t", "--from", "earliest", "--count", "4"], "")), "1\n2\n3\n4\n");
    assert_eq!(succeed(&run(&hub, &["sub", "t", "--from", "last:2", "--count", "2"], "")), "3\n4\n");
    let json = succeed(&run(&hub, &["sub", "t", "--from", "earliest", "--count", "1", "--json"], ""));
    let first: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&first["topic"], &first["text"]), (&"t".into(), &"1".into()));
    let place = format!("{}:{}", first["epoch"].as_str().unwrap(), first["offset"]);
    assert_eq!(succeed(&run(&hub, &["sub", "t", "--from", &place, "--count", "3"], "")), "2\n3\n4\n");
}

#[test]
fn a_change_of_epoch_is_told_as_a_gap() {
    let hub = Hub::dev();
    let from = ["sub", "t", "--from", "00000000000000ff:7", "--count", "1"];
    let subscriber = start(&hub, &from);
    subscribed(&hub, 1);
    succeed(&run(&hub, &["pub", "t", "new"], ""));
    let output = subscriber.wait_with_output().unwrap();
    assert_eq!(succeed(&output), "new\n");
    assert!(String::from_utf8_lossy(&output.stderr).contains("epoch_changed"));
}

#[test]
fn json_is_checked_and_kept_as_it_was_written() {
    let hub = Hub::dev();
    check_fails(&run(&hub, &["pub", "t", "{", "--content", "json"], ""), "not JSON");
    for (lines, says) in [
        ("1\n{\n", "published before it: 1 line"),
        ("2\n3\n4\n}\n5\n", "published before it: 3 lines"),
        ("\n", "line 1: "),
    ] {
        let output = run(&hub, &["pub", "u", "-", "--content", "json"], lines);
        check_exit(&output, 2, says);
        check_exit(
            &output,
            2,
            &format!("line {}: this is not JSON", lines.find(['{', '}']).unwrap_or(0) / 2 + 1),
        );
    }
    assert_eq!(succeed(&run(&hub, &["history", "u"], "")), "1\n2\n3\n4\n");
    succeed(&run(&hub, &["pub", "t", "{\"a\": 1.0}", "--content", "json"], ""));
    let json = succeed(&run(&hub, &["sub", "t", "--from", "last:1", "--count", "1", "--json"], ""));
    assert!(json.contains("\"data\":{\"a\": 1.0}"), "{json}");
}

#[test]
fn failures_are_told_and_change_the_exit_code() {
    let hub = Hub::dev();
    check_fails(&run(&hub, &["pub", "a b", "x"], ""), "topic name");
    check_fails(&run(&hub, &["sub", "a..b"], ""), "topic name");
    let large = format!("ok\n{}\n", "x".repeat(300 << 10));
    let output = run(&hub, &["pub", "t", "-"], &large);
    check_exit(&output, 4, "line 2 was not published");
    check_exit(&output, 4, "it has 307200 bytes, and the hub takes 262144");
    check_exit(&output, 4, "published before it: 1 line");
    let closed = Hub::start(&[], &[("TIDEWIRE_ALLOW_NO_ORIGIN", "true")]);
    check_fails(&run(&closed, &["pub", "t", "x"], ""), "no rule allows this");
    check_fails(&run(&closed, &["sub", "t"], ""), "no rule allows this");
}

#[test]
fn a_hub_that_is_not_there_is_not_waited_for_too_long() {
    let (port, mut publish) = (Port::keep(), tidewire("pub"));
    publish.args(["t", "x", "--wait", "1", "--url", &format!("http://{}", port.address())]);
    check_fails(&publish.output().unwrap(), "no hub answers");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let hub = Hub::dev();
    succeed(&run(&hub, &["pub", "t", "-"], &"line\n".repeat(50_000)));
    for arguments in [&["sub", "t", "--from", "earliest"][..], &["history", "t"]] {
        let mut reader = start(&hub, arguments);
        let mut output = BufReader::new(reader.stdout.take().unwrap());
        output.read_line(&mut String::new()).unwrap();
        drop(output);
        let output = reader.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    }
}

#[test]
fn check_names_what_is_wrong() {
    let check = |toml| {
        let file = File::new(toml);
        tidewire("check").args(["--config", file.path()]).output().unwrap()
    };
    let output = check("shards = 0\n[limits]\nmessage_byte_max = 1\n");
    check_fails(&output, "`shards` is 0; allowed: 1 to 1024");
    check_fails(&output, "`limits.message_byte_max`; did you mean `message_bytes_max`?");
    succeed(&check("[[access]]\npattern = \">\"\nsubscribe = true\nanonymous = true\n"));
}

#[test]
fn serve_refuses_to_start_wrong() {
    check_fails(&tidewire("serve").args(["--dev", "--listen", "0.0.0.0:0"]).output().unwrap(), "--dev");
    let hub = Hub::dev();
    let listen = hub.address.to_string();
    check_fails(
        &tidewire("serve").args(["--dev", "--listen", &listen]).output().unwrap(),
        "cannot listen on",
    );
}

#[test]
fn a_hub_without_rules_says_so() {
    let hub = Hub::start(&[], &[]);
    crate::support::eventually("the hub warns", || hub.errors().contains("no access rule"));
}
