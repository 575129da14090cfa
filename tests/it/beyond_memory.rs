//! A durable topic keeps more than the hub has memory for: whoever asks for it gets all of it, before a restart and behind it.

use std::collections::VecDeque;

use tidewire_client::{Client, Event, Options, Start, SubscribeOptions, Subscription};
use tokio::time::timeout;

use crate::support::PATIENCE;
use crate::support::http::Http;
use crate::support::kept::Kept;

const MESSAGES: u64 = 4_000;
/// So that those of one topic are more than the node may hold.
const BYTES: usize = 11_000;
const CONFIG: &str = "
[[topics]]
pattern = \">\"
retention = { age_seconds = 3600 }

[limits]
node_bytes_max = 33554432
";

type Message = (u64, String);

async fn fill(client: &Client, topic: &str) {
    let (mut under_way, text) = (VecDeque::new(), "x".repeat(BYTES));
    for number in 0..MESSAGES {
        under_way.push_back(client.publish(topic, &(number, &text)));
        if under_way.len() > 64 {
            timeout(PATIENCE, under_way.pop_front().unwrap()).await.unwrap().unwrap();
        }
    }
    for publishing in under_way {
        timeout(PATIENCE, publishing).await.unwrap().unwrap();
    }
}

fn subscribe(client: &Client, name: &str) -> Subscription<Message> {
    client.subscribe(name, SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() })
}

/// All that is heard of a topic is there, in order, and no gap is told.
async fn check_heard(mut subscription: Subscription<Message>, times: u64) {
    let mut expected: Vec<u64> = vec![0; times as usize];
    for _ in 0..times * MESSAGES {
        let event = loop {
            match timeout(PATIENCE, subscription.next()).await.unwrap() {
                Some(Event::Ready { gap: None, .. }) => {}
                event => break event,
            }
        };
        let Some(Event::Message(message)) = event else { panic!("{event:?}") };
        let of = message.topic().ends_with('2');
        let expected = &mut expected[usize::from(of && times > 1)];
        assert_eq!(message.data.0, *expected);
        *expected += 1;
    }
}

/// Reads of the disk are more than at the last time, as what is asked for is not in memory.
fn check_read(kept: &mut Kept, reads: &mut u64) {
    let before = std::mem::replace(reads, kept.hub().metric("tidewire_reads_total"));
    assert!(*reads > before, "nothing was read from the disk: {reads} reads");
}

/// A page of the oldest, and one of the newest.
fn check_pages(kept: &mut Kept) {
    let mut http = Http::to(kept.hub().address);
    for (from, first) in [("earliest", 0), ("last:2", MESSAGES - 2)] {
        let page = http.get(&format!("/v1/topics/big.1/messages?limit=2&from={from}")).ok();
        assert_eq!(page["gap"], serde_json::Value::Null, "{from}");
        let numbers: Vec<_> =
            page["messages"].as_array().unwrap().iter().map(|it| it["data"][0].as_u64().unwrap()).collect();
        assert_eq!(numbers, [first, first + 1]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_does_not_fit_into_memory_is_read_from_the_disk() {
    let mut kept = Kept::start_with(CONFIG);
    let client = Client::connect(&kept.hub().url(), Options::default()).unwrap();
    fill(&client, "big.1").await;
    let mut reads = 0;
    assert_eq!(kept.hub().metric("tidewire_reads_total"), reads);
    check_pages(&mut kept);
    check_read(&mut kept, &mut reads);
    check_heard(subscribe(&client, "big.1"), 1).await;
    check_read(&mut kept, &mut reads);
    fill(&client, "big.2").await;
    check_heard(subscribe(&client, "big.*"), 2).await;
    check_read(&mut kept, &mut reads);
    kept.kill_and_restart();
    reads = 0;
    check_pages(&mut kept);
    check_read(&mut kept, &mut reads);
    check_heard(subscribe(&client, "big.1"), 1).await;
    check_read(&mut kept, &mut reads);
    check_heard(subscribe(&client, "big.*"), 2).await;
    check_read(&mut kept, &mut reads);
}
