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
    // As README has it, for who comes when they are there already.
    let late = run(&hub, &["sub", "t", "--from", "earliest", "--count", "100000"], "");
    assert!(succeed(&late) == lines, "the lines differ");
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
    check_fails(&run(&closed, &["pub", "t", "x"], ""), "neither a rule nor a token allows this");
    check_fails(&run(&closed, &["sub", "t"], ""), "neither a rule nor a token allows this");
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
    hub.says("no access rule");
}

#[test]
fn a_message_is_one_line_whatever_it_holds() {
    let hub = Hub::dev();
    for message in ["a\nb\r\u{1b}[1mc\td\\", "{\n\"a\":\r\n1}"] {
        succeed(&run(&hub, &["pub", "t", message], ""));
    }
    let expected = "a\\nb\\r\\x1b[1mc\td\\\n{ \"a\":  1}\n";
    assert_eq!(succeed(&run(&hub, &["history", "t"], "")), expected);
    assert_eq!(succeed(&run(&hub, &["sub", "t", "--from", "earliest", "--count", "2"], "")), expected);
}

#[test]
fn nothing_to_publish_still_needs_a_hub_and_a_topic() {
    let (port, hub) = (Port::keep(), Hub::dev());
    for flag in ["--content=text", "--no-ack"] {
        let mut publish = tidewire("pub");
        publish.args(["t", "-", "--wait", "1", flag, "--url", &format!("http://{}", port.address())]);
        check_exit(&publish.stdin(Stdio::null()).output().unwrap(), 3, "no hub answers");
        check_exit(&run(&hub, &["pub", "a b", "-", flag], ""), 4, "a b: this is no valid topic name");
        succeed(&run(&hub, &["pub", "t", "-", flag], ""));
    }
}

#[test]
fn a_name_that_is_none_is_told_which_rule_it_breaks() {
    let hub = Hub::dev();
    let (long, deep) = ("x".repeat(256), "a.".repeat(16) + "a");
    for (name, rule) in [
        ("a..b", "tokens must not be empty"),
        ("a b", "no control characters, spaces"),
        (&long, "it has 256 bytes, and a name has at most 255"),
        (&deep, "it has 17 tokens between dots, and the hub takes fewer (its `limits.topic_depth_max`)"),
    ] {
        for arguments in
            [&["pub", name, "x"][..], &["pub", name, "x", "--no-ack"], &["sub", name], &["history", name]]
        {
            let output = run(&hub, arguments, "");
            check_exit(&output, 4, &format!("{name}: this is no valid topic name or pattern here: "));
            check_exit(&output, 4, rule);
        }
    }
    for arguments in [&["pub", "a.*", "x"][..], &["pub", "a.>", "x", "--no-ack"]] {
        check_exit(
            &run(&hub, arguments, ""),
            4,
            "a message goes to one topic, and `*` and `>` stand for many",
        );
    }
}

#[test]
fn a_url_with_more_than_an_address_is_refused_and_no_password_shown() {
    for (url, names) in [
        ("http://me:secret@127.0.0.1:7700", "before an `@`"),
        ("http://me:se/secret@127.0.0.1", "before an `@`"),
        ("me:secret@hub", "before an `@`"),
        ("http://127.0.0.1:7700/?token=secret", "a query"),
        ("http://127.0.0.1:7700#secret", "a fragment"),
    ] {
        for name in ["pub", "sub", "history"] {
            let output =
                tidewire(name).arg("t").env("TIDEWIRE_URL", url).stdin(Stdio::null()).output().unwrap();
            check_exit(&output, 2, names);
            let help = tidewire(name).arg("--help").env("TIDEWIRE_URL", url).output().unwrap();
            let said = [output.stdout, output.stderr, help.stdout, help.stderr].concat();
            assert!(!String::from_utf8(said).unwrap().contains("secret"), "{url}");
        }
    }
}

#[test]
fn a_place_out_of_range_is_told_the_range() {
    for (place, range) in [
        ("last:9007199254740992", "0 to 9007199254740991"),
        ("0000000000000001:99999999999999999", "0 to 9007199254740991"),
        ("since:9999999d", "365000 days at most"),
    ] {
        let output = tidewire("history").args(["t", "--from", place]).output().unwrap();
        check_fails(&output, range);
        assert_eq!(output.status.code(), Some(2));
    }
}

#[test]
fn a_line_that_is_larger_than_all_that_may_wait_is_refused_for_its_size() {
    let hub = Hub::dev();
    let lines = format!("1\n{}\n", "x".repeat((64 << 20) + 1));
    for flag in ["--content=text", "--no-ack"] {
        let output = run(&hub, &["pub", "t", "-", flag], &lines);
        check_exit(&output, 4, "line 2 was not ");
        check_exit(&output, 4, "it has 67108865 bytes, and the hub takes 262144");
    }
    assert_eq!(succeed(&run(&hub, &["history", "t"], "")), "1\n1\n");
}

#[test]
fn check_may_be_read_in_part() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = tidewire("check").stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap()), (Some(0), String::new()));
}

#[test]
fn the_help_says_what_updates_may_come_to() {
    let help = succeed(&tidewire("pub").arg("--help").output().unwrap());
    assert!(help.contains("without a word") && help.contains("tidewire_updates_dropped_total"), "{help}");
}

#[test]
fn the_help_of_each_command_has_its_exit_codes() {
    let commands = "serve|check|pub|sub|history|token create|token inspect|token verify|context add|context use|\
                    context list|context remove|access explain";
    for command in commands.split('|').map(|words| words.split(' ').collect::<Vec<_>>()) {
        let help = succeed(&tidewire(command[0]).args(&command[1..]).arg("--help").output().unwrap());
        assert!(help.contains("\nExit codes:\n  0 "), "{command:?}: {help}");
    }
}

#[test]
fn who_publishes_to_a_reserved_topic_is_told_that_it_is_one() {
    let hub = Hub::dev();
    for more in [&[][..], &["--no-ack"]] {
        let arguments = [&["pub", "$x", "1"], more].concat();
        check_exit(&run(&hub, &arguments, ""), 4, "$x: topics whose names begin with `$` are reserved");
    }
}

#[test]
fn lines_of_a_batch_are_published_together_or_not_at_all() {
    let hub = Hub::dev();
    let kept = || succeed(&run(&hub, &["history", "t"], ""));
    succeed(&run(&hub, &["pub", "t", "--batch"], "1\n2\n3\n"));
    assert_eq!(kept(), "1\n2\n3\n");
    let bad = run(&hub, &["pub", "t", "--batch", "--content", "json"], "4\nno\n");
    check_exit(&bad, 2, "line 2");
    check_fails(&bad, "nothing was published");
    check_exit(&run(&hub, &["pub", "t", "--batch"], &"x\n".repeat(1_001)), 2, "at most 1000 lines");
    let large = run(&hub, &["pub", "t", "--batch"], &format!("a\n{}\n", "x".repeat(300_000)));
    check_exit(&large, 4, "line 2: the message is larger than the hub takes");
    let many = run(&hub, &["pub", "t", "--batch"], &format!("{}\n", "x".repeat(200_000)).repeat(9));
    check_exit(&many, 4, "9 lines with 1800000 bytes are more than the hub takes at once (`frame_bytes_max`");
    succeed(&run(&hub, &["pub", "t", "--batch"], ""));
    succeed(&run(&hub, &["pub", "t", "4", "--batch"], ""));
    assert_eq!(kept(), "1\n2\n3\n4\n");
    check_fails(&run(&hub, &["pub", "t", "--batch", "--no-ack"], ""), "cannot be used with");
}
