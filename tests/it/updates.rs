//! `tidewire pub --no-ack`: updates that may be lost, as a shell sends them.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};

use crate::command_line::{check_exit, check_fails, run, start, succeed};
use crate::support::eventually;
use crate::support::hub::Hub;

/// How many the command says that it dropped.
fn dropped(errors: &str) -> usize {
    let told = errors.split_once(" of ").filter(|_| errors.contains("updates were dropped on this side"));
    told.map_or(0, |(head, _)| head.rsplit(' ').next().unwrap().parse().unwrap())
}

#[test]
fn lines_arrive_in_order_and_what_was_dropped_is_counted() {
    let hub = Hub::dev();
    let lines: String = (1..=20_000).map(|n| format!("{n}\n")).collect();
    let output = run(&hub, &["pub", "--no-ack", "t"], &lines);
    succeed(&output);
    let history = succeed(&run(&hub, &["history", "t"], ""));
    let numbers: Vec<usize> = history.lines().map(|line| line.parse().unwrap()).collect();
    assert!(numbers.is_sorted_by(|a, b| a < b));
    let dropped = dropped(&String::from_utf8(output.stderr).unwrap());
    assert_eq!(numbers.len() + dropped, 20_000);
}

#[test]
fn one_message_is_there_when_the_command_ends() {
    let hub = Hub::dev();
    for (message, content) in [("[1]", "auto"), ("2", "json"), ("[3]", "text")] {
        let output = run(&hub, &["pub", "--no-ack", "t", message, "--content", content], "");
        succeed(&output);
        assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    let history = succeed(&run(&hub, &["history", "t", "--json"], ""));
    let kinds = ["\"data\":[1]", "\"data\":2", "\"text\":\"[3]\""];
    assert!(history.lines().zip(kinds).all(|(line, kind)| line.contains(kind)), "{history}");
    assert_eq!(history.lines().count(), 3);
}

#[test]
fn what_the_hub_refuses_ends_it() {
    let hub = Hub::dev();
    let no_ack = |hub: &Hub, topic: &str, message: &str, input: &str| {
        run(hub, &["pub", "--no-ack", topic, message, "--wait", "1"], input)
    };
    check_exit(&no_ack(&hub, "a b", "x", ""), 4, "a b: this is no valid topic name");
    let large = "x".repeat(300 << 10);
    let output = no_ack(&hub, "t", "-", &format!("1\n2\n{large}\n4\n"));
    check_exit(&output, 4, "line 3 was not sent");
    check_exit(&output, 4, "it has 307200 bytes, and the hub takes 262144");
    check_exit(&output, 4, "sent before it: 2 lines");
    assert_eq!(succeed(&run(&hub, &["history", "t"], "")), "1\n2\n");
    let output = run(&hub, &["pub", "--no-ack", "t", "{", "--content", "json"], "");
    check_exit(&output, 2, "not JSON");
    let closed = Hub::start(&[], &[("TIDEWIRE_ALLOW_NO_ORIGIN", "true")]);
    check_exit(&no_ack(&closed, "t", "x", ""), 4, "t: neither a rule nor a token allows this");
    check_fails(&no_ack(&closed, "t", "-", "1\n2\n"), "t: neither a rule nor a token allows this");
}

#[test]
fn without_a_link_updates_are_dropped_and_told() {
    let mut hub = Hub::dev();
    let mut sender = start(&hub, &["pub", "--no-ack", "t", "--wait", "0"]);
    let mut input = sender.stdin.take().unwrap();
    let mut errors = BufReader::new(sender.stderr.take().unwrap());
    input.write_all(b"1\n").unwrap();
    eventually("the first update is there", || succeed(&run(&hub, &["history", "t"], "")) == "1\n");
    hub.signal("KILL");
    hub.wait();
    let mut line = String::new();
    errors.read_line(&mut line).unwrap();
    assert!(line.contains("trying again"), "{line}");
    input.write_all(b"2\n").unwrap();
    drop(input);
    let hub = hub.kill_and_restart();
    let mut rest = String::new();
    errors.read_to_string(&mut rest).unwrap();
    assert!(sender.wait().unwrap().success(), "{rest}");
    // It went out only if the hub was back before the line was read.
    let arrived = succeed(&run(&hub, &["history", "t"], "")).lines().count();
    assert_eq!(arrived + dropped(&rest), 1, "{rest}");
}
