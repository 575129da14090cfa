//! Keys, headers, times to live, conditions and durability on the command line.

use serde_json::{Value, json};

use crate::command_line::{check_exit, check_fails, run, succeed};
use crate::support::file::{File, OPEN};
use crate::support::hub::Hub;

const MAPS: &str = "[[topics]]\npattern = \"map.>\"\nretention = \"latest_per_key\"\n";

fn with_maps() -> (Hub, File) {
    let file = File::new(&format!("{OPEN}{MAPS}"));
    (Hub::start(&["--config", file.path()], &[]), file)
}

/// What is kept, as `--json` prints it.
fn kept(hub: &Hub, topic: &str) -> Vec<Value> {
    let lines = succeed(&run(hub, &["history", topic, "--json"], ""));
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn place(message: &Value) -> String {
    format!("{}:{}", message["epoch"].as_str().unwrap(), message["offset"])
}

#[test]
fn a_key_and_headers_come_out_as_they_went_in() {
    let hub = Hub::dev();
    let besides = ["--key", "grün 7", "--header", "b=2 = two", "--header", "a=", "--ttl", "1h"];
    succeed(&run(&hub, &[&["pub", "t", "x\ty"][..], &besides].concat(), ""));
    succeed(&run(&hub, &["pub", "t", "plain"], ""));
    succeed(&run(&hub, &[&["pub", "t", "--no-ack"][..], &besides].concat(), "1\n2\n"));
    let wanted = "grün 7\tb=2 = two a=\tx\ty\n\t\tplain\ngrün 7\tb=2 = two a=\t1\ngrün 7\tb=2 = two a=\t2\n";
    assert_eq!(succeed(&run(&hub, &["history", "t", "--headers"], "")), wanted);
    let sub = ["sub", "t", "--from", "earliest", "--count", "4", "--headers"];
    assert_eq!(succeed(&run(&hub, &sub, "")), wanted);
    assert_eq!(succeed(&run(&hub, &["history", "t"], "")), "x\ty\nplain\n1\n2\n");
    let kept = kept(&hub, "t");
    for index in [0, 2, 3] {
        assert_eq!(
            (&kept[index]["key"], &kept[index]["headers"]),
            (&json!("grün 7"), &json!({"a": "", "b": "2 = two"}))
        );
        let ttl_ms = kept[index]["ttl_ms"].as_u64().unwrap();
        assert!((3_500_000..=3_600_000).contains(&ttl_ms), "what was left: {ttl_ms}");
    }
    let plain = kept[1].as_object().unwrap();
    assert!(
        !["key", "headers", "ttl_ms", "remove"].iter().any(|name| plain.contains_key(*name)),
        "{plain:?}"
    );
}

#[test]
fn a_value_is_set_and_removed_on_conditions() {
    let (hub, _file) = with_maps();
    let put = |value: &str, condition: &[&str]| {
        run(&hub, &[&["pub", "map.a", value, "--key", "k"], condition].concat(), "")
    };
    succeed(&put("1", &["--if-absent"]));
    let first = place(&kept(&hub, "map.a")[0]);
    check_exit(&put("2", &["--if-absent"]), 4, &format!("the latest message of this key is at {first}"));
    succeed(&put("2", &["--if-version", &first]));
    let second = place(kept(&hub, "map.a").last().unwrap());
    check_exit(&put("3", &["--if-version", &first]), 4, &format!("is at {second}"));
    succeed(&run(&hub, &["pub", "map.a", "--key", "k", "--remove"], ""));
    check_exit(&put("3", &["--if-version", &second]), 4, "this key has no value");
    let last = kept(&hub, "map.a").pop().unwrap();
    assert_eq!((&last["key"], &last["remove"]), (&json!("k"), &json!(true)));
    assert!(!["data", "text", "base64"].iter().any(|name| last.get(name).is_some()), "{last}");
    let printed = succeed(&run(&hub, &["history", "map.a", "--headers"], ""));
    assert!(printed.ends_with("k\t\t(removed)\n"), "{printed:?}");
    let lines = run(&hub, &["pub", "map.b", "-", "--batch", "--key", "same"], "1\n2\n");
    succeed(&lines);
    assert_eq!(kept(&hub, "map.b").last().unwrap()["text"], "2");
    check_exit(&run(&hub, &["pub", "map.a", "1"], ""), 4, "map.a: give a key of at most 255 bytes (removals");
    let no_latest = "t: the topic does not keep the latest message of each key";
    check_exit(&run(&hub, &["pub", "t", "1", "--key", "k", "--if-absent"], ""), 4, no_latest);
    let lines = run(&hub, &["pub", "t", "-", "--key", "k", "--if-absent"], "1\n");
    check_exit(&lines, 4, "line 1 was not published: the topic does not keep the latest");
}

#[test]
fn less_durability_is_answered_and_more_than_there_is_refused() {
    let hub = Hub::dev();
    succeed(&run(&hub, &["pub", "t", "1", "--durability", "memory"], ""));
    check_exit(
        &run(&hub, &["pub", "t", "2", "--durability", "synced"], ""),
        4,
        "t: the topic is in memory by the hub's rule for it",
    );
    assert_eq!(kept(&hub, "t").len(), 1);
}

#[test]
fn what_no_message_may_have_is_told_before_a_hub_is_asked() {
    let hub = Hub::dev();
    check_exit(&run(&hub, &["pub", "t", "1", "--header", "Bad=1"], ""), 2, "lower-case letters");
    check_exit(&run(&hub, &["pub", "t", "1", "--key", "a\nb"], ""), 2, "no control characters");
    check_exit(&run(&hub, &["pub", "t", "1", "--header", "a=1", "--header", "a=2"], ""), 2, "comes once");
    for (arguments, says) in [
        (&["--header", "bad"][..], "NAME=VALUE"),
        (&["--ttl", "0s"], "a span such as 10s"),
        (&["--ttl", "soon"], "a span such as 10s"),
        (&["--if-absent"], "--key"),
        (&["--remove", "--key", "k"], "cannot be used with"),
        (&["--key", "k", "--if-version", "7"], "EPOCH:OFFSET"),
        (&["--key", "k", "--if-absent", "--no-ack"], "cannot be used with"),
        (&["--key", "k", "--if-absent", "--if-version", "60a4a73ec3b65852:1"], "cannot be used with"),
        (&["--durability", "lasting"], "synced"),
    ] {
        let output = run(&hub, &[&["pub", "t", "1"], arguments].concat(), "");
        check_fails(&output, says);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    }
}
