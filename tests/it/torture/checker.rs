//! Reads what a hub has, and compares it with what was acknowledged.

use std::net::SocketAddr;
use std::sync::Mutex;

use serde_json::Value;

use crate::support::http::Http;
use crate::torture::load::{PUBLISHERS, TOPICS, take};

/// What was read so far.
pub(crate) struct Checker {
    places: [String; TOPICS.len()],
    next: [u64; PUBLISHERS],
    /// The number of each publisher's first message here: what came before may be kept no more.
    first: [Option<u64>; PUBLISHERS],
    /// Of each publisher the offsets at which its messages were found, from the first on.
    found: [Vec<u64>; PUBLISHERS],
    compared: [usize; PUBLISHERS],
}

impl Default for Checker {
    fn default() -> Self {
        Self {
            places: TOPICS.map(|_| "earliest".to_owned()),
            next: [0; PUBLISHERS],
            first: [Some(0); PUBLISHERS],
            found: Default::default(),
            compared: [0; PUBLISHERS],
        }
    }
}

impl Checker {
    /// Reads what came since the last look; what is wrong with it.
    pub(crate) fn look(
        &mut self,
        hub: SocketAddr,
        acknowledged: &[Mutex<Vec<u64>>; PUBLISHERS],
    ) -> Vec<String> {
        // What is acknowledged from here on may be there or not.
        let due = acknowledged.each_ref().map(|offsets| offsets.lock().unwrap().len());
        let mut wrong = Vec::new();
        for topic in 0..TOPICS.len() {
            wrong.extend(self.read(hub, topic).err());
        }
        for publisher in 0..PUBLISHERS {
            let offsets = acknowledged[publisher].lock().unwrap();
            let first = self.first[publisher].map_or(due[publisher], |first| first as usize);
            for number in self.compared[publisher].max(first)..due[publisher] {
                match self.found[publisher].get(number - first) {
                    Some(found) if *found == offsets[number] => {}
                    Some(found) => wrong.push(format!(
                        "number {number} of publisher {publisher} was acknowledged at {} and is at {found}",
                        offsets[number]
                    )),
                    None => wrong.push(format!("number {number} of publisher {publisher} is lost")),
                }
            }
            self.compared[publisher] = due[publisher];
        }
        wrong
    }

    /// Reads again all that is kept.
    pub(crate) fn look_at_all(hub: SocketAddr, acknowledged: &[Mutex<Vec<u64>>; PUBLISHERS]) -> Vec<String> {
        let mut checker = Self { first: [None; PUBLISHERS], ..Self::default() };
        let mut wrong = checker.look(hub, acknowledged);
        if checker.first.contains(&None) {
            wrong.push("of a publisher nothing is kept".to_owned());
        }
        wrong
    }

    fn read(&mut self, hub: SocketAddr, topic: usize) -> Result<(), String> {
        for page in pages(hub, TOPICS[topic], &mut self.places[topic]) {
            if !page["gap"].is_null() {
                return Err(format!("{} has a gap: {}", TOPICS[topic], page["gap"]));
            }
            for message in page["messages"].as_array().into_iter().flatten() {
                let data = &message["data"];
                let whose =
                    data[0].as_u64().map(|publisher| publisher as usize).filter(|it| *it < PUBLISHERS);
                if let Some((whose, number)) =
                    whose.filter(|it| self.first[*it].is_none()).zip(data[1].as_u64())
                {
                    (self.first[whose], self.next[whose]) = (Some(number), number);
                }
                let publisher = take(data, topic, &mut self.next)?;
                self.found[publisher].push(message["offset"].as_u64().unwrap());
            }
        }
        Ok(())
    }
}

/// The pages of a topic from a place on, which is moved to their end.
pub(crate) fn pages(hub: SocketAddr, topic: &str, from: &mut String) -> Vec<Value> {
    let mut pages = Vec::new();
    let mut http = Http::to(hub);
    loop {
        let answer = http.get(&format!("/v1/topics/{topic}/messages?limit=1000&from={from}"));
        let page = answer.ok();
        page["next"].as_str().unwrap().clone_into(from);
        let is_last = page["more"] != true;
        pages.push(page);
        if is_last {
            return pages;
        }
    }
}
