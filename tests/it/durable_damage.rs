//! What a disk does to a durable log on a real process: bytes that change, and writes that fail.

use std::process::Command;

use tidewire_client::{Client, Event, Options, Start, SubscribeOptions};
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::http::Http;
use crate::support::hub::{Hub, tidewire};
use crate::support::kept::Kept;

const SEGMENT: &str = "segments/00000000000000000001.seg";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_byte_that_changed_costs_its_commit_is_told_and_gives_the_log_another_identity() {
    let mut kept = Kept::start();
    let client = Client::connect(&kept.hub().url(), Options::default()).unwrap();
    let from = SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe::<String>("t", from);
    let mut epoch = None;
    for number in 0..10 {
        client.publish("other", &format!("other {number}")).await.unwrap();
        // One commit each, since the next is published once this one is stored.
        epoch = Some(client.publish("t", &format!("message {number}")).await.unwrap().epoch);
    }
    for _ in 0..=10 {
        timeout(PATIENCE, subscription.next()).await.unwrap().unwrap();
    }
    kept.stop();
    kept.change(SEGMENT, |bytes| {
        let at = bytes.windows(9).position(|part| part == b"message 5").unwrap();
        bytes[at] ^= 1;
    });
    kept.start_again();
    let told = kept.hub().errors();
    for part in [
        "Segment 1 is damaged from byte ",
        "Lost with it: commit ",
        "has another identity from now on",
        "t is served from offset ",
        "the log has 2 topics, 14 messages and ",
    ] {
        assert!(told.contains(part), "{part:?} is not in {told}");
    }
    let gap = timeout(PATIENCE, subscription.next()).await.unwrap();
    assert!(matches!(gap, Some(Event::Gap(_))), "{gap:?}");
    let texts = |page: &tidewire_client::Page<String>| -> Vec<String> {
        page.messages.iter().flatten().map(|message| message.data.clone()).collect()
    };
    let others = client.history::<String>("other", Start::Earliest, 100).await.unwrap();
    assert_eq!(texts(&others), (0..10).map(|n| format!("other {n}")).collect::<Vec<_>>());
    // A topic has no hole inside: it begins behind what is lost.
    let expected: Vec<_> = (6..10).map(|n| format!("message {n}")).collect();
    let page = client.history::<String>("t", Start::Earliest, 100).await.unwrap();
    assert_eq!(texts(&page), expected);
    let other = page.positions[0].epoch;
    assert_ne!(Some(other), epoch);
    // What is lost once is told each time, and costs the log its identity once.
    kept.kill_and_restart();
    kept.hub().says("Segment 1 is damaged from byte ");
    assert!(!kept.hub().errors().contains("another identity"), "{}", kept.hub().errors());
    let placed = client.publish("t", "message 10").await.unwrap();
    assert_eq!(placed.epoch, other);
    let page = client.history::<String>("t", Start::Earliest, 100).await.unwrap();
    assert_eq!(texts(&page), [&expected[..], &["message 10".to_owned()]].concat());
}

/// A hub whose files cannot get longer than some megabytes, so that a write fails.
fn limited() -> Kept {
    let mut shell = Command::new("sh");
    // The signal that comes with it would end the process. Some shells count 512 bytes and some 1,024.
    shell.args(["-c", "trap '' XFSZ; ulimit -f 12288; exec \"$@\"", "sh"]);
    let serve = tidewire("serve");
    shell.arg(serve.get_program()).args(serve.get_args());
    for (name, _) in serve.get_envs() {
        shell.env_remove(name);
    }
    Kept::start_by(shell, "[[topics]]\npattern = \"m\"\ndurability = \"memory\"\n")
}

fn post(hub: &Hub, topic: &str, body: &str) -> (u16, serde_json::Value) {
    let answer =
        Http::to(hub.address).post(&format!("/v1/topics/{topic}/messages"), "text/plain", body.as_bytes());
    (answer.status, answer.json())
}

/// The numbers with which the messages of `t` begin.
fn numbers(hub: &Hub) -> Vec<usize> {
    let (mut numbers, mut from) = (Vec::new(), "earliest".to_owned());
    loop {
        let page = Http::to(hub.address).get(&format!("/v1/topics/t/messages?from={from}")).ok();
        let texts = page["messages"].as_array().unwrap().iter().map(|message| message["text"].as_str());
        numbers.extend(texts.map(|text| text.unwrap().split(' ').next().unwrap().parse::<usize>().unwrap()));
        page["next"].as_str().unwrap().clone_into(&mut from);
        if page["more"] != true {
            return numbers;
        }
    }
}

#[test]
fn after_a_write_that_failed_nothing_is_acknowledged_and_operators_are_told_to_restart() {
    let mut kept = limited();
    let hub = kept.hub();
    let body = |number: usize| format!("{number} {}", "x".repeat(60_000));
    let mut acknowledged = 0;
    let (status, failed) = loop {
        let (status, answer) = post(hub, "t", &body(acknowledged));
        if status != 200 {
            break (status, answer);
        }
        assert_eq!(answer["durability"], "synced");
        acknowledged += 1;
        assert!(acknowledged < 1_000, "no write fails");
    };
    assert!(acknowledged > 10);
    // Whether the disk has it is known at the next start.
    assert_eq!((status, failed["code"].as_str()), (503, Some("outcome_unknown")), "{failed}");
    let (status, refused) = post(hub, "t", "more");
    assert_eq!((status, refused["code"].as_str()), (503, Some("not_stored")), "{refused}");
    let health = hub.get("/healthz");
    assert!(
        health.starts_with("HTTP/1.1 503 ") && health.ends_with("\r\n\r\nstorage stopped: restart the hub\n")
    );
    assert!(hub.get("/readyz").starts_with("HTTP/1.1 503 "));
    assert_eq!(hub.metric("tidewire_storing_stopped{why=\"failed\"}"), 1);
    assert_eq!(hub.metric("tidewire_storing_stopped{why=\"full\"}"), 0);
    assert!(hub.metric("tidewire_commits_total") >= acknowledged as u64);
    hub.says("Nothing more is stored");
    // Reads and what is in memory go on.
    assert_eq!(post(hub, "m", "x").1["durability"], "memory");
    let before = numbers(hub);
    assert!(before.iter().copied().eq(0..acknowledged), "{before:?}");
    // It ends in good order all the same, and without the limit all is well.
    kept.stop();
    kept.start_again();
    let hub = kept.hub();
    assert!(hub.get("/healthz").starts_with("HTTP/1.1 200 "));
    assert!(hub.get("/readyz").starts_with("HTTP/1.1 200 "));
    assert!(numbers(hub).starts_with(&before));
    assert_eq!(post(hub, "t", "0 more").0, 200);
}

#[test]
fn what_the_disk_takes_is_measured() {
    let mut kept = Kept::start();
    let hub = kept.hub();
    post(hub, "t", "first");
    let [commits, bytes] =
        ["tidewire_commits_total", "tidewire_commit_bytes_total"].map(|name| hub.metric(name));
    for number in 0..3 {
        post(hub, "t", &number.to_string());
    }
    assert_eq!(hub.metric("tidewire_commits_total"), commits + 3);
    let bytes = hub.metric("tidewire_commit_bytes_total") - bytes;
    assert!((3..4_096).contains(&bytes), "{bytes}");
    assert!(hub.metric("tidewire_commit_microseconds_total") > 0);
    assert!(hub.metric("tidewire_disk_bytes") >= bytes && hub.metric("tidewire_disk_free_bytes") > 0);
    assert_eq!(hub.metric_sum("tidewire_storing_stopped"), 0);
    assert!(!Hub::dev().get("/metrics").contains("tidewire_disk_bytes"));
}
