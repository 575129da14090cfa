//! Publishers that go on whatever becomes of the hub and know what was acknowledged, and a listener that goes on too.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tidewire_client::{Client, Durability, Event, Options, Start, SubscribeOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// What two topics hold, so that what belongs together is in more than one.
pub(crate) const TOPICS: [&str; 2] = ["t.0", "t.1"];
pub(crate) const PUBLISHERS: usize = 4;
/// Of each publisher, before the first of them is acknowledged.
const UNDER_WAY: usize = 6;
/// Between two of each publisher: more would only make a run longer.
const PACE: Duration = Duration::from_millis(1);

/// The topic of a publisher.
pub(crate) const fn topic_of(publisher: usize) -> usize {
    publisher % TOPICS.len()
}

/// Clients under way.
pub(crate) struct Load {
    runtime: Runtime,
    /// Of each publisher the offsets of what was acknowledged, by its number.
    pub(crate) acknowledged: Arc<[Mutex<Vec<u64>>; PUBLISHERS]>,
    ends: Arc<AtomicBool>,
    wrong: Arc<Mutex<Vec<String>>>,
    publishers: Vec<JoinHandle<()>>,
    clients: Vec<Client>,
}

impl Load {
    /// Publishers and a listener that find the hub at this address, again and again.
    pub(crate) fn on(url: &str) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let (acknowledged, ends, wrong) = (Arc::default(), Arc::default(), Arc::default());
        let mut load =
            Self { runtime, acknowledged, ends, wrong, publishers: Vec::new(), clients: Vec::new() };
        let _entered = load.runtime.enter();
        for publisher in 0..PUBLISHERS {
            let client = Client::connect(url, Options::default()).unwrap();
            let (acknowledged, ends) = (Arc::clone(&load.acknowledged), Arc::clone(&load.ends));
            let wrong = Arc::clone(&load.wrong);
            load.clients.push(client.clone());
            load.publishers.push(tokio::spawn(publish(client, publisher, acknowledged, ends, wrong)));
        }
        let client = Client::connect(url, Options::default()).unwrap();
        for (topic, name) in TOPICS.into_iter().enumerate() {
            tokio::spawn(listen(client.clone(), topic, name, Arc::clone(&load.wrong)));
        }
        load.clients.push(client);
        load
    }

    /// Has clients that wait before they try again try now: moments are to be short.
    pub(crate) fn hurry(&self) {
        self.clients.iter().for_each(Client::retry_now);
    }

    /// How many were acknowledged so far.
    pub(crate) fn count(&self) -> usize {
        self.acknowledged.iter().map(|offsets| offsets.lock().unwrap().len()).sum()
    }

    /// Waits until each publisher has been acknowledged something more; whether that came about.
    pub(crate) fn goes_on(&self, patience: Duration) -> bool {
        let lengths = || self.acknowledged.each_ref().map(|offsets| offsets.lock().unwrap().len());
        let (before, until) = (lengths(), Instant::now() + patience);
        while lengths().iter().zip(before).any(|(now, before)| *now == before) {
            if Instant::now() > until {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        true
    }

    /// Publishes no more, and waits for what is under way; what clients saw that is not right.
    pub(crate) fn end(&mut self, patience: Duration) -> Vec<String> {
        self.ends.store(true, Ordering::Relaxed);
        for publisher in std::mem::take(&mut self.publishers) {
            let ended = self.runtime.block_on(async { tokio::time::timeout(patience, publisher).await });
            if !matches!(ended, Ok(Ok(()))) {
                self.wrong.lock().unwrap().push("a publisher waits for ever, or broke off".to_owned());
            }
        }
        std::mem::take(&mut *self.wrong.lock().unwrap())
    }
}

async fn publish(
    client: Client,
    publisher: usize,
    acknowledged: Arc<[Mutex<Vec<u64>>; PUBLISHERS]>,
    ends: Arc<AtomicBool>,
    wrong: Arc<Mutex<Vec<String>>>,
) {
    let mut under_way = VecDeque::new();
    for number in 0_u64.. {
        let is_over = ends.load(Ordering::Relaxed);
        if !is_over {
            let data = json!([publisher, number, check_of(publisher, number)]);
            under_way.push_back(client.publish(TOPICS[topic_of(publisher)], &data));
            tokio::time::sleep(PACE).await;
        }
        while under_way.len() >= UNDER_WAY || is_over && !under_way.is_empty() {
            let Some(publishing) = under_way.pop_front() else { break };
            match publishing.await {
                Ok(placed) if placed.durability == Durability::Synced && !placed.maybe_duplicate => {
                    acknowledged[publisher].lock().unwrap().push(placed.offset.0);
                }
                other => {
                    wrong.lock().unwrap().push(format!("publisher {publisher} is told {other:?}"));
                    return;
                }
            }
        }
        if is_over {
            return;
        }
    }
}

/// Hears a topic over everything, and notes what is missing, twice, or out of order.
async fn listen(client: Client, topic: usize, name: &str, wrong: Arc<Mutex<Vec<String>>>) {
    let from = SubscribeOptions { from: Start::Earliest, ..SubscribeOptions::default() };
    let mut subscription = client.subscribe::<Value>(name, from);
    let mut next = [0; PUBLISHERS];
    while let Some(event) = subscription.next().await {
        let told = match event {
            Event::Message(message) => take(&message.data, topic, &mut next).err(),
            Event::Ready { gap: None, .. } => None,
            other => Some(format!("a listener is told {other:?}")),
        };
        if let Some(told) = told {
            wrong.lock().unwrap().push(told);
            return;
        }
    }
}

/// Takes the next message of a topic, where each publisher's come in their order; whose it is.
pub(crate) fn take(data: &Value, topic: usize, next: &mut [u64; PUBLISHERS]) -> Result<usize, String> {
    let (publisher, number) =
        (data[0].as_u64().unwrap_or(u64::MAX) as usize, data[1].as_u64().unwrap_or(u64::MAX));
    if publisher >= PUBLISHERS || topic_of(publisher) != topic || data[2] != check_of(publisher, number) {
        return Err(format!("{data} was never published to topic {topic}"));
    }
    let due = next[publisher];
    if number != due {
        let what = if number < due { "comes again or too late" } else { "comes too early" };
        return Err(format!("number {number} of publisher {publisher} {what}: {due} is due"));
    }
    next[publisher] += 1;
    Ok(publisher)
}

/// What makes a message its own, and some of them long.
pub(crate) fn check_of(publisher: usize, number: u64) -> String {
    let word = (number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(publisher as u32);
    format!("{word:016x}").repeat(1 + (word >> 60) as usize)
}
