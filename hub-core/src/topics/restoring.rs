//! A hub begins with what its durable log held: topics, windows and names that were found are put back.

use tidewire_protocol::name::TopicName;
use tidewire_protocol::number::{Offset, ProducerId};

use crate::clock::Millis;
use crate::ledger::AccountKey;
use crate::log::engine::Engine;
use crate::log::windows::lasting::Outlived;
use crate::sync::lock;
use crate::topics::Topics;
use crate::topics::found::Found;
use crate::topics::found::outlived::Held;
use crate::topics::found::trace::Trace;

/// What was put back.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Restored {
    /// Topics.
    pub topics: u64,
    /// Messages that are served.
    pub messages: u64,
    /// Topics that begin behind a message that is lost, though some before it are there: from where on each is served. The first
    /// few of them.
    pub shortened: Vec<(TopicName, Offset)>,
    /// How many there are beside those.
    pub shortened_more: u64,
    /// Windows of producers.
    pub windows: u64,
    /// Topics that are another log's now, and what this one had of them is left.
    pub left: u64,
}

impl Topics {
    /// Begins with what a durable log held: to be called before anybody else has these topics. What was put back may be used
    /// from then on.
    pub fn restore(&self, log: u8, now: Millis, mut found: Found) -> Restored {
        let mut restored = Restored::default();
        found.forget();
        for trace in std::mem::take(&mut found.traces).into_iter().flatten() {
            self.put_back(log, now, &mut found, trace, &mut restored);
            // The node may have less room than it had.
            self.relieve(now);
        }
        // Where the clock was ahead in an earlier life, time goes on slowly from there, as after any correction.
        self.calendar.begin_ahead(now, found.end.given);
        {
            let mut names = lock(&self.names);
            names.restore_floor(log, found.floor);
            for (name, (last, _)) in &found.gone {
                if let Ok(name) = TopicName::parse(name) {
                    names.restore_gone(&name, log, *last);
                }
            }
        }
        for (id, topic, held) in found.windows.into_all() {
            restored.windows += u64::from(self.put_back_window(log, now, id, &topic, held));
        }
        let mut log = self.log(log).lock();
        log.restore_end(found.end.last, found.end.given);
        if let Engine::Disk(disk) = &mut log.engine {
            disk.last_topic = found.last_topic;
        }
        restored
    }

    fn put_back(&self, log: u8, now: Millis, found: &mut Found, trace: Trace, restored: &mut Restored) {
        let shortened = trace.shortened(&found.missing);
        let Trace { number, name, held, .. } = trace;
        let account = self.ledger.account(AccountKey::of_stored(name.as_str()));
        let topic = lock(&self.names).restore(&name, &account);
        if topic.log != log {
            // Whoever comes back once it is this log's again is told that something is gone.
            found.floor = found.floor.max(held.last());
            restored.left += 1;
            return;
        }
        // The name may have come again under another number.
        restored.topics += u64::from(topic.stored.number().is_none());
        topic.stored.set_number(number);
        match shortened {
            Some(from) if restored.shortened.len() < NAMED_MAX => restored.shortened.push((name, from)),
            Some(_) => restored.shortened_more += 1,
            None => {}
        }
        let served = || {
            let (gone, last) = topic.tail.bounds(now);
            topic.tail.held_between(now, gone, last).count
        };
        let before = served();
        let is_heavy = topic.tail.restore(now, held, &account);
        restored.messages = (restored.messages + served()).saturating_sub(before);
        if is_heavy {
            self.heavy.add(&topic.tail);
        }
    }

    /// A window of a topic in this log is there again; `false` if there is none.
    fn put_back_window(&self, index: u8, now: Millis, id: ProducerId, topic: &str, held: Held) -> bool {
        let Held { window, incarnation, subject, .. } = held;
        let Ok(name) = TopicName::parse(topic) else { return false };
        if lock(&self.names).log_of(&name) != index {
            return false;
        }
        let account = self.ledger.account(AccountKey::of_stored(topic));
        let restored = lock(&self.producers).restore(&account, (id, incarnation), subject.as_deref());
        let Some(producer) = restored else { return false };
        let number = producer.number();
        let outlived = Outlived { producer, incarnation, topic: &name, window };
        let mut log = self.log(index).lock();
        let is_new = log.windows.restore(now, &account, outlived);
        if is_new {
            self.settle(now, log);
        } else {
            drop(log);
            lock(&self.producers).release(now, number);
        }
        is_new
    }
}

/// So many topics that were shortened are named.
const NAMED_MAX: usize = 20;
