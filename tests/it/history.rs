//! What is kept, printed up to now: `tidewire history`, and `sub --until-now`.

use std::process::Command;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::Value;

use crate::command_line::{check_exit, run, subscribed, succeed};
use crate::support::eventually;
use crate::support::hub::Hub;

#[track_caller]
fn check(hub: &Hub, arguments: &[&str], expected: &str) {
    let output = run(hub, arguments, "");
    assert_eq!(succeed(&output), expected, "{arguments:?}");
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "{arguments:?}");
}

#[test]
fn what_is_there_is_printed_and_then_it_ends() {
    let hub = Hub::dev();
    check(&hub, &["history", "t"], "");
    check(&hub, &["history", "*"], "");
    succeed(&run(&hub, &["pub", "t", "-"], "1\n2\n3\n4\n"));
    succeed(&run(&hub, &["pub", "u", "5"], ""));
    check(&hub, &["history", "t"], "1\n2\n3\n4\n");
    check(&hub, &["history", "t", "--limit", "2"], "1\n2\n");
    check(&hub, &["history", "t", "--from", "last:2"], "3\n4\n");
    check(&hub, &["history", "t", "--from", "last:9"], "1\n2\n3\n4\n");
    check(&hub, &["history", "t", "--from", "latest"], "");
    check(&hub, &["history", "*", "--from", "last:3"], "3\n4\n5\n");
    check(&hub, &["sub", "t", "--until-now"], "1\n2\n3\n4\n");
    check(&hub, &["sub", "t", "--until-now", "--from", "last:3", "--count", "2"], "2\n3\n");
    check(&hub, &["sub", "t", "--until-now", "--from", "last:3", "--count", "9"], "2\n3\n4\n");
    let json = succeed(&run(&hub, &["history", "t", "--json", "--limit", "1"], ""));
    let first: Value = serde_json::from_str(&json).unwrap();
    let place = format!("{}:{}", first["epoch"].as_str().unwrap(), first["offset"]);
    check(&hub, &["history", "t", "--from", &place], "2\n3\n4\n");
    check(&hub, &["history", "t", "--before", &place, "--limit", "3"], "");
    let json = succeed(&run(&hub, &["history", "t", "--json", "--from", "last:1"], ""));
    let last: Value = serde_json::from_str(&json).unwrap();
    let place = format!("{}:{}", last["epoch"].as_str().unwrap(), last["offset"]);
    for name in ["t", "*"] {
        check(&hub, &["history", name, "--before", &place, "--limit", "2"], "2\n3\n");
        check(&hub, &["history", name, "--before", &place, "--limit", "9"], "1\n2\n3\n");
    }
    // Nothing of a log that is gone is kept.
    let output = run(&hub, &["history", "t", "--before", "00000000000000ff:7", "--limit", "2"], "");
    assert_eq!(succeed(&output), "");
    assert!(String::from_utf8_lossy(&output.stderr).contains("epoch_changed"));
}

#[test]
fn more_than_a_page_comes_whole_and_in_order() {
    let hub = Hub::dev();
    let lines: String = (1..=50_000).map(|n| format!("{n}\n")).collect();
    succeed(&run(&hub, &["pub", "t", "-"], &lines));
    let all = succeed(&run(&hub, &["history", "t"], ""));
    assert!(all == lines, "{} of {} bytes came", all.len(), lines.len());
    let some: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    assert!(succeed(&run(&hub, &["history", ">", "--limit", "20000"], "")) == some);
    let json = succeed(&run(&hub, &["history", "t", "--json", "--from", "last:1"], ""));
    let last: Value = serde_json::from_str(&json).unwrap();
    let place = format!("{}:{}", last["epoch"].as_str().unwrap(), last["offset"]);
    let some: String = (30_000..50_000).map(|n| format!("{n}\n")).collect();
    for name in ["t", ">"] {
        assert!(succeed(&run(&hub, &["history", name, "--before", &place, "--limit", "20000"], "")) == some);
    }
}

#[test]
fn it_ends_though_others_go_on_publishing() {
    let hub = Hub::dev();
    let mut publisher = crate::command_line::start(&hub, &["pub", "t", "-"]);
    let mut input = publisher.stdin.take().unwrap();
    let writing = std::thread::spawn(move || {
        use std::io::Write as _;
        while input.write_all(b"line\n").is_ok() {}
    });
    eventually("something is there", || !run(&hub, &["history", "t", "--limit", "1"], "").stdout.is_empty());
    assert!(!succeed(&run(&hub, &["history", "t"], "")).is_empty());
    publisher.kill().unwrap();
    publisher.wait().unwrap();
    writing.join().unwrap();
}

#[test]
fn reading_starts_at_a_time() {
    let hub = Hub::dev();
    succeed(&run(&hub, &["pub", "t", "old"], ""));
    let json = succeed(&run(&hub, &["history", "t", "--json"], ""));
    let old: Value = serde_json::from_str(&json).unwrap();
    let time = old["published_at"].as_u64().unwrap() + 1;
    eventually("it is later", || {
        SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64 > time
    });
    succeed(&run(&hub, &["pub", "t", "new"], ""));
    let seconds = format!("@{}.{:03}", time / 1_000, time % 1_000);
    let date = Command::new("date").args(["-u", "-d", &seconds, "+%FT%T.%3NZ"]).output().unwrap();
    let date = String::from_utf8(date.stdout).unwrap();
    check(&hub, &["history", "t", "--from", date.trim()], "new\n");
    check(&hub, &["sub", "t", "--from", date.trim(), "--count", "1"], "new\n");
    check(&hub, &["history", "t", "--from", "since:1h"], "old\nnew\n");
    check(&hub, &["history", "t", "--from", "2020-02-29T23:59:59+01:00", "--limit", "1"], "old\n");
    let later = run(&hub, &["history", "t", "--from", "2999-01-01T00:00:00Z"], "");
    assert_eq!(later.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&later.stderr).contains("this time has not come yet"));
    let wrong = run(&hub, &["history", "t", "--from", "yesterday"], "");
    assert_eq!(wrong.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("since:10m"));
}

#[test]
fn a_lost_log_is_told_in_words_that_make_sense() {
    let hub = Hub::dev();
    succeed(&run(&hub, &["pub", "t", "1"], ""));
    let output = run(&hub, &["history", "t", "--from", "00000000000000ff:7"], "");
    assert_eq!(succeed(&output), "1\n");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(errors.contains("the hub's log is a new one") && !errors.contains("1 to 0"), "{errors}");
}

#[test]
fn a_refusal_ends_it() {
    let hub = Hub::start(&[], &[("TIDEWIRE_ALLOW_NO_ORIGIN", "true")]);
    check_exit(&run(&hub, &["history", "t"], ""), 4, "t: neither a rule nor a token allows this");
    check_exit(&run(&hub, &["history", "a b"], ""), 4, "topic name");
    subscribed(&hub, 0);
}
