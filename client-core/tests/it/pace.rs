//! A hub that takes only so many a second: what is sent stays in proportion to what it takes.

use std::collections::{BTreeMap, BTreeSet};

use tidewire_client_core::input::{Input, Millis};
use tidewire_protocol::code::Code;
use tidewire_protocol::hub_frame::{HubFrame, Refused, Welcome};

use crate::rig::{Rig, acked, opened, refused};

const TOPICS: [usize; 3] = [1, 7, 60];
const MESSAGES: u64 = 600;
const FULL: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

/// A hub that takes so many a second, and as many at once at first.
struct Limited {
    per_second: u64,
    /// Thousandths of messages that it takes yet.
    tokens: u64,
    asked_at: Millis,
    /// The seq that comes next, by handle.
    next: BTreeMap<u64, u64>,
    sent: u64,
    taken: u64,
}

impl Limited {
    fn answer(&mut self, now: Millis, said: &str) -> Option<HubFrame<'static>> {
        let mut words = said.split(' ');
        let (verb, handle) = (words.next()?, words.next()?.parse().ok()?);
        match verb {
            "open" => Some(opened(handle, true, 1)),
            "publish" => {
                let seq: u64 = words.next()?.strip_prefix('#')?.parse().ok()?;
                self.sent += 1;
                let full = self.per_second * 1_000;
                self.tokens = full.min(self.tokens + (now - self.asked_at) * self.per_second);
                self.asked_at = now;
                let next = self.next.entry(handle).or_insert(1);
                if seq != *next {
                    return Some(refused(handle, seq, 1, Code::OutOfOrder, false));
                }
                if self.tokens < 1_000 {
                    let retry_after_ms = (1_000 - self.tokens).div_ceil(self.per_second);
                    let refused = refused(handle, seq, 1, Code::RateLimited, false);
                    let HubFrame::Refused(refused) = refused else { return None };
                    return Some(HubFrame::Refused(Refused { retry_after_ms, ..refused }));
                }
                self.tokens -= 1_000;
                *next += 1;
                self.taken += 1;
                Some(acked(handle, seq, 1, self.taken))
            }
            _ => None,
        }
    }
}

/// Publishes all to so many topics; gives what was sent, and how long it took.
fn publish_all(topics: usize, per_second: u64) -> (u64, Millis) {
    let welcome = Welcome { in_flight_max: 64, ..Welcome::default() };
    let mut rig = Rig::online_with(welcome);
    let began = rig.now;
    let mut hub = Limited {
        per_second,
        tokens: per_second * 1_000,
        asked_at: began,
        next: BTreeMap::new(),
        sent: 0,
        taken: 0,
    };
    for number in 0..MESSAGES as usize {
        rig.publish(&format!("t{}", number % topics));
    }
    rig.drain();
    while hub.taken < MESSAGES {
        let sent = std::mem::take(&mut rig.sent);
        let answers: Vec<_> = sent.iter().filter_map(|said| hub.answer(rig.now, said)).collect();
        if answers.is_empty() {
            rig.wait();
        } else {
            rig.say_all(&answers);
        }
    }
    assert!(rig.client.is_flushed());
    (hub.sent, rig.now - began)
}

#[test]
fn a_rate_limit_costs_no_flood_and_little_time_however_many_topics_there_are() {
    for topics in TOPICS {
        for per_second in [20, 50, 200] {
            let (sent, took) = publish_all(topics, per_second);
            let least = (MESSAGES - per_second) * 1_000 / per_second;
            assert!(sent <= 3 * MESSAGES, "{topics} topics at {per_second}: {sent} sent");
            assert!(took <= 2 * least + 1_000, "{topics} topics at {per_second}: {took} ms of {least}");
        }
    }
}

#[test]
fn the_full_flight_comes_back_with_the_answers() {
    let mut rig = Rig::online_with(Welcome { in_flight_max: 64, ..Welcome::default() });
    for _ in 0..300 {
        rig.publish("t");
    }
    rig.drain();
    rig.say(opened(1, true, 1));
    rig.sent.clear();
    rig.say(refused(1, 1, 64, Code::RateLimited, false));
    rig.wait();
    let mut seq = 1;
    for flight in [1, 1, 2, 3, 4, 6, 9, 14, 21, 31, 47, 64, 64] {
        assert_eq!(rig.sent.len() as u64, flight);
        rig.sent.clear();
        rig.say(acked(1, seq, flight, seq));
        seq += flight;
    }
}

/// What a hub answers that takes all of the first topic, and has no room for any other, ever.
fn answers_of_full_topics(sent: &[String]) -> Vec<HubFrame<'static>> {
    let mut full = BTreeSet::new();
    let mut answer = |said: &String| {
        let mut words = said.split(' ');
        let (verb, handle) = (words.next()?, words.next()?.parse().ok()?);
        let seq = words.next().and_then(|word| word.strip_prefix('#')?.parse().ok()).unwrap_or(0);
        match (verb, handle) {
            ("open", _) => Some(opened(handle, true, 1)),
            ("publish", 1) => Some(acked(handle, seq, 1, seq)),
            ("publish", _) if full.insert(handle) => Some(refused(handle, seq, 1, Code::Overloaded, false)),
            ("publish", _) => Some(refused(handle, seq, 1, Code::OutOfOrder, false)),
            _ => None,
        }
    };
    sent.iter().filter_map(&mut answer).collect()
}

/// Rounds until a hub has all of the one topic that it takes, beside eight that it refuses.
fn rounds_beside_full_topics(rig: &mut Rig) -> u64 {
    let (mut taken, mut rounds) = (0, 0);
    while taken < MESSAGES {
        let sent = std::mem::take(&mut rig.sent);
        taken += sent.iter().filter(|said| said.starts_with("publish 1 ")).count() as u64;
        rounds += 1;
        rig.now += 500;
        rig.say_all(&answers_of_full_topics(&sent));
        rig.input(Input::Timeout);
    }
    rounds
}

fn publishing_beside_full_topics() -> Rig {
    let mut rig = Rig::online_with(Welcome { in_flight_max: 64, ..Welcome::default() });
    for _ in 0..MESSAGES {
        rig.publish("t");
        FULL.iter().for_each(|topic| _ = rig.publish(topic));
    }
    rig.drain();
    rig
}

#[test]
fn topics_that_are_refused_for_ever_slow_no_other() {
    let mut rig = publishing_beside_full_topics();
    assert_eq!(rounds_beside_full_topics(&mut rig), MESSAGES.div_ceil(64));
}

#[test]
fn nor_do_they_hold_back_a_pace_that_a_rate_limit_had_bound() {
    let mut rig = publishing_beside_full_topics();
    rig.sent.clear();
    let handles = 1..=1 + FULL.len() as u64;
    rig.say_all(&handles.clone().map(|handle| opened(handle, true, 1)).collect::<Vec<_>>());
    let limited = handles.map(|handle| refused(handle, 1, 64, Code::RateLimited, false));
    rig.say_all(&limited.collect::<Vec<_>>());
    rig.wait();
    let rounds = rounds_beside_full_topics(&mut rig);
    assert!(rounds < 100, "{rounds}");
}
