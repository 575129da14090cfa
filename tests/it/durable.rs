//! What was acknowledged as durable is there, whatever became of the hub's process: kept once, in order, and each reader
//! goes on where it was.

use std::collections::VecDeque;
use std::io::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use serde_json::json;
use tidewire_client::{Client, Durability, Event, Options, Published, Start, SubscribeOptions, Subscription};
use tokio::time::timeout;

use crate::command_line::{start, succeed};
use crate::support::http::Http;
use crate::support::kept::Kept;
use crate::support::listener::Listener;
use crate::support::{PATIENCE, eventually};

/// One who publishes numbers to `t` until told to end, some of them at a time, and keeps where each is.
pub(crate) struct Load {
    places: tokio::task::JoinHandle<Vec<Published>>,
    pub(crate) acknowledged: Arc<AtomicU64>,
    ends: Arc<AtomicBool>,
}

impl Load {
    pub(crate) fn on(client: &Client) -> Self {
        let (acknowledged, ends) = (Arc::<AtomicU64>::default(), Arc::<AtomicBool>::default());
        let (client, counted, ended) = (client.clone(), Arc::clone(&acknowledged), Arc::clone(&ends));
        let places = tokio::spawn(async move {
            let (mut places, mut under_way) = (Vec::new(), VecDeque::new());
            let mut number = 0_u64;
            while !ended.load(Ordering::Relaxed) || !under_way.is_empty() {
                if !ended.load(Ordering::Relaxed) {
                    under_way.push_back(client.publish("t", &number));
                    number += 1;
                }
                if under_way.len() > UNDER_WAY || ended.load(Ordering::Relaxed) {
                    let Some(publishing) = under_way.pop_front() else { break };
                    places.push(publishing.await.unwrap());
                    counted.fetch_add(1, Ordering::Relaxed);
                }
            }
            places
        });
        Self { places, acknowledged, ends }
    }

    /// Waits until so many more have been acknowledged.
    pub(crate) fn go_on(&self, count: u64) {
        let from = self.acknowledged.load(Ordering::Relaxed);
        eventually("publishes are acknowledged", || {
            self.acknowledged.load(Ordering::Relaxed) >= from + count
        });
    }

    /// Publishes no more; where everything is.
    pub(crate) async fn end(self) -> Vec<Published> {
        self.ends.store(true, Ordering::Relaxed);
        timeout(PATIENCE, self.places).await.unwrap().unwrap()
    }
}

/// The numbers that are kept of a topic, with their offsets.
pub(crate) async fn kept_of(client: &Client, topic: &str) -> Vec<(u64, u64)> {
    let (mut found, mut from) = (Vec::new(), Start::Earliest);
    loop {
        let page = timeout(PATIENCE, client.history::<u64>(topic, from, 1_000)).await.unwrap().unwrap();
        assert_eq!(page.gap, None);
        found.extend(page.messages.iter().flatten().map(|message| (message.data, message.offset.0)));
        from = page.next();
        if !page.more {
            return found;
        }
    }
}

/// So many messages, and nothing between them that tells of a loss.
pub(crate) async fn heard_of(subscription: &mut Subscription<u64>, count: usize) -> Vec<(u64, u64)> {
    let mut heard = Vec::new();
    while heard.len() < count {
        match timeout(PATIENCE, subscription.next()).await.unwrap() {
            Some(Event::Message(message)) => heard.push((message.data, message.offset.0)),
            Some(Event::Ready { gap: None, .. }) => {}
            other => panic!("{other:?}"),
        }
    }
    heard
}

pub(crate) fn client_of(kept: &mut Kept) -> Client {
    Client::connect(&kept.hub().url(), Options::default()).unwrap()
}

pub(crate) fn from_earliest() -> SubscribeOptions {
    SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_the_moment_at_which_a_hub_is_killed_what_it_acknowledged_is_there_once_and_in_order() {
    let mut kept = Kept::start();
    let client = client_of(&mut kept);
    let mut subscription = client.subscribe::<u64>("t", from_earliest());
    let load = Load::on(&client);
    for count in [1, 40, 200, 500] {
        load.go_on(count);
        kept.kill_and_restart();
    }
    load.go_on(1);
    let places = load.end().await;
    let expected: Vec<_> = (0..).zip(places.iter().map(|place| place.offset.0)).collect();
    assert!(places.windows(2).all(|pair| pair[0].offset < pair[1].offset && pair[0].epoch == pair[1].epoch));
    let synced = |place: &Published| place.durability == Durability::Synced && !place.maybe_duplicate;
    assert!(places.iter().all(synced), "{places:?}");
    assert_eq!(heard_of(&mut subscription, expected.len()).await, expected);
    assert_eq!(kept_of(&client, "t").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hub_that_stands_still_for_a_while_loses_nothing() {
    let mut kept = Kept::start();
    let client = client_of(&mut kept);
    let mut subscription = client.subscribe::<u64>("t", from_earliest());
    let load = Load::on(&client);
    for _ in 0..3 {
        load.go_on(50);
        kept.hub().stop_all();
        kept.hub().signal("CONT");
    }
    load.go_on(50);
    kept.hub().stop_all();
    // In this state it is killed, too.
    kept.kill_and_restart();
    load.go_on(1);
    let places = load.end().await;
    let expected: Vec<_> = (0..).zip(places.iter().map(|place| place.offset.0)).collect();
    assert_eq!(heard_of(&mut subscription, expected.len()).await, expected);
    assert_eq!(kept_of(&client, "t").await, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_stop_in_good_order_the_hub_has_all_of_it_and_warns_of_nothing() {
    let mut kept = Kept::start();
    let client = client_of(&mut kept);
    for number in 0..100_u64 {
        client.publish("t", &number).await.unwrap();
    }
    client.close().await;
    kept.stop();
    kept.start_again();
    let told = kept.hub().errors();
    assert!(
        told.contains("tidewire: the log has 1 topics, 100 messages and 1 windows of producers\n"),
        "{told}"
    );
    assert!(!told.contains("segment") && !told.contains("lost"), "{told}");
    let found = kept_of(&client_of(&mut kept), "t").await;
    assert!(found.iter().map(|(number, _)| *number).eq(0..100), "{found:?}");
}

#[test]
fn a_key_that_comes_again_after_the_hub_was_killed_is_told_the_same_place() {
    let mut kept = Kept::start();
    let post = |kept: &mut Kept| {
        let headers = [("idempotency-key", "order 7"), ("content-type", "application/json")];
        Http::to(kept.hub().address).ask("POST", "/v1/topics/t/messages", &headers, b"{\"n\":1}").ok()
    };
    let mut expected = post(&mut kept);
    assert_eq!((&expected["durability"], &expected["duplicate"]), (&json!("synced"), &json!(false)));
    expected["duplicate"] = json!(true);
    for _ in 0..2 {
        kept.kill_and_restart();
        assert_eq!(post(&mut kept), expected);
    }
    let page = Http::to(kept.hub().address).get("/v1/topics/t/messages").ok();
    assert_eq!(page["messages"].as_array().unwrap().len(), 1, "{page}");
}

#[test]
fn an_event_stream_goes_on_behind_its_last_id_after_the_hub_was_killed() {
    let mut kept = Kept::start();
    let publish = |kept: &mut Kept, numbers: std::ops::Range<u64>| {
        let mut http = Http::to(kept.hub().address);
        for number in numbers {
            let text = number.to_string();
            http.post("/v1/topics/t/messages", "application/json", text.as_bytes()).ok();
        }
    };
    let mut listener = Listener::start(kept.hub().address, "topic=t", "");
    listener.next_of("subscribed");
    publish(&mut kept, 0..10);
    for number in 0..5 {
        assert_eq!(listener.next_of("")["data"], number);
    }
    kept.kill_and_restart();
    let mut listener = Listener::start(kept.hub().address, "topic=t", &listener.id);
    // As it does at each event that tells of a loss, the listener fails at a gap.
    listener.next_of("subscribed");
    publish(&mut kept, 10..20);
    for number in 5..20 {
        assert_eq!(listener.next_of("")["data"], number);
    }
}

#[test]
fn lines_that_are_published_while_the_hub_is_killed_land_once() {
    let mut kept = Kept::start();
    let mut publishing = start(kept.hub(), &["pub", "t", "-", "--wait", "0"]);
    let mut input = publishing.stdin.take().unwrap();
    let mut write = |numbers: std::ops::Range<u64>| {
        numbers.for_each(|number| writeln!(input, "{number}").unwrap());
    };
    write(0..500);
    let hub = kept.hub();
    eventually("lines are published", || hub.metric("tidewire_published_total") > 0);
    kept.kill_and_restart();
    write(500..1_000);
    drop(input);
    succeed(&publishing.wait_with_output().unwrap());
    let printed =
        succeed(&start(kept.hub(), &["history", "t", "--from", "earliest"]).wait_with_output().unwrap());
    let expected: String = (0..1_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(printed, expected);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn topics_in_memory_go_with_the_hub_and_those_beside_them_stay() {
    let mut kept = Kept::start_with("[[topics]]\npattern = \"m\"\ndurability = \"memory\"\n");
    let client = client_of(&mut kept);
    let mut in_memory = client.subscribe::<u64>("m", from_earliest());
    let mut on_disk = client.subscribe::<u64>("t", from_earliest());
    for number in 0..10_u64 {
        assert_eq!(client.publish("m", &number).await.unwrap().durability, Durability::Memory);
        assert_eq!(client.publish("t", &number).await.unwrap().durability, Durability::Synced);
    }
    heard_of(&mut in_memory, 10).await;
    let first = heard_of(&mut on_disk, 10).await;
    kept.kill_and_restart();
    client.publish("m", &10_u64).await.unwrap();
    client.publish("t", &10_u64).await.unwrap();
    let told = timeout(PATIENCE, in_memory.next()).await.unwrap();
    assert!(matches!(told, Some(Event::Gap(_))), "{told:?}");
    assert_eq!(heard_of(&mut in_memory, 1).await[0].0, 10);
    let then = heard_of(&mut on_disk, 1).await;
    assert_eq!(kept_of(&client, "t").await, [first, then].concat());
    assert_eq!(kept_of(&client, "m").await.len(), 1);
}

/// So many are published before the first of them is waited for.
const UNDER_WAY: usize = 8;
