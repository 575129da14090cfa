//! `tidewire log`: what the files of a data directory hold.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use serde_json::{Value, json};

use crate::command_line::{check_exit, check_fails, run, succeed};
use crate::support::file::Folder;
use crate::support::hub::{Hub, tidewire};

fn log(folder: &Folder, arguments: &[&str]) -> Output {
    let mut command: Command = tidewire("log");
    command.args(&arguments[..1]).args(["--data-dir", folder.path()]).args(&arguments[1..]);
    command.output().unwrap()
}

/// A directory that a hub has written, with seven messages in it.
fn written() -> Folder {
    let folder = Folder::new();
    let mut hub = Hub::start(&["--dev", "--data-dir", folder.path()], &[]);
    succeed(&run(&hub, &["pub", "a.long", "-"], "one\ntwo\nthree\nfour\nfive\n"));
    succeed(&run(&hub, &["pub", "a.json", "{\"k\": 1}", "--content", "json"], ""));
    succeed(&run(&hub, &["pub", "b.x", "-", "--content", "binary"], "\u{1}x\n"));
    check_exit(&log(&folder, &["verify"]), 2, "is in use by another hub");
    assert!(succeed(&log(&folder, &["stats"])).contains("messages that are kept: 7, with "));
    assert_eq!(succeed(&log(&folder, &["dump"])).lines().count(), 7);
    hub.signal("TERM");
    assert!(hub.wait().success());
    folder
}

fn segment(folder: &Folder) -> PathBuf {
    PathBuf::from(folder.path()).join("segments/00000000000000000001.seg")
}

#[test]
fn what_was_stored_is_verified_counted_and_printed() {
    let folder = written();
    let before = fs::read(segment(&folder)).unwrap();
    let told = succeed(&log(&folder, &["verify"]));
    assert!(told.contains(" in 1 segments of ") && told.lines().count() == 1, "{told}");
    let told = succeed(&log(&folder, &["stats", "--top", "2"]));
    for says in ["topics: 3\n", "messages that are kept: 7, with ", "  a.long: 5 messages, 19 bytes\n"] {
        assert!(told.contains(says), "{says}: {told}");
    }
    assert!(!told.contains("b.x"), "{told}");
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let told = succeed(&log(&folder, arguments));
        told.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let all = lines(&["dump"]);
    let texts: Vec<_> =
        all.iter().filter(|line| line["topic"] == "a.long").map(|line| &line["text"]).collect();
    assert_eq!(texts, ["one", "two", "three", "four", "five"]);
    assert_eq!(all.len(), 7);
    let named = lines(&["dump", "--topic", "*.json"]);
    assert_eq!((named.len(), &named[0]["data"]), (1, &json!({"k": 1})));
    assert_eq!(lines(&["dump", "--topic", "b.>"])[0]["base64"], "AXg=");
    let commit = all[6]["commit"].as_u64().unwrap();
    assert_eq!(lines(&["dump", "--from-commit", &commit.to_string()]).last(), all.last());
    assert!(lines(&["dump", "--from-commit", &(commit + 1).to_string()]).is_empty());
    assert_eq!(fs::read(segment(&folder)).unwrap(), before);
}

#[test]
fn what_is_damaged_is_told_and_costs_the_exit_code() {
    let folder = written();
    let mut bytes = fs::read(segment(&folder)).unwrap();
    bytes[100] ^= 1;
    fs::write(segment(&folder), bytes).unwrap();
    let verified = log(&folder, &["verify"]);
    let told = String::from_utf8(verified.stdout).unwrap();
    assert!(told.contains("Segment 1 is damaged from byte 64 to "), "{told}");
    assert_eq!(verified.status.code(), Some(1));
    let dumped = log(&folder, &["dump"]);
    assert!(dumped.status.success());
    let told = String::from_utf8(dumped.stderr).unwrap();
    assert!(told.contains("Segment 1 is damaged"), "{told}");
}

#[test]
fn what_is_no_log_is_refused() {
    let folder = Folder::new();
    for command in ["verify", "stats", "dump"] {
        check_exit(&log(&folder, &[command]), 2, "is not the directory of a log");
    }
    assert!(!PathBuf::from(folder.path()).exists());
    let folder = written();
    check_exit(&log(&folder, &["dump", "--topic", "a..b"]), 2, "`a..b` is no topic or pattern");
    check_fails(&log(&folder, &["stats", "--top", "0"]), "allowed: a whole number, 1 to ");
}

/// A hub stores what a commit holds, and export gives it.
#[test]
fn a_message_is_imported_that_fills_a_commit_and_none_that_is_more_than_that() {
    let folder = Folder::new();
    let line = |bytes: usize| format!("{{\"topic\":\"t\",\"text\":\"{}\"}}\n", "x".repeat(bytes));
    let (small, most) = (line(1), (64 << 20) - 200);
    let import = |large: usize| {
        let lines = [&*small, &line(large), &small].concat();
        crate::log_copies::log(
            folder.path(),
            &["import", "--message-bytes-max", "100000000"],
            lines.as_bytes(),
        )
    };
    succeed(&import(most));
    let output = import(most + 200);
    check_fails(&output, "line 2: its message takes 6710");
    check_fails(&output, " bytes of a commit, which holds 67108864: no log takes it; stored: 1 line; go on");
    assert_eq!(output.status.code(), Some(2));
    let exported = succeed(&log(&folder, &["export"]));
    let large: Vec<_> = exported.lines().map(|line| line.len() > most).collect();
    assert_eq!(large, [false, true, false, false]);
}
