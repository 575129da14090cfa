//! A topic: a name, where its messages are, and which patterns' tails get them too.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tidewire_protocol::name::TopicName;

use crate::ledger::{Account, Kind};
use crate::sync::{Mutex, lock};
use crate::tail::Tail;

/// A topic.
#[derive(Debug)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// The log that numbers its messages.
    pub log: u8,
    /// Its messages.
    pub tail: Arc<Tail>,
    /// What it is called where it is stored.
    pub stored: Stored,
    fed: Mutex<Fed>,
    /// Who had the hub remember it.
    account: Arc<Account>,
}

/// What a topic is called in a durable log. Changed under the log's lock only.
#[derive(Debug, Default)]
pub struct Stored {
    number: AtomicU64,
}

impl Stored {
    /// Its number there, if it has one.
    #[must_use]
    pub fn number(&self) -> Option<u64> {
        Some(self.number.load(Ordering::Relaxed)).filter(|number| *number > 0)
    }

    /// It gets a number.
    pub fn set_number(&self, number: u64) {
        self.number.store(number, Ordering::Relaxed);
    }
}

/// Tails of the patterns that match a topic, as of a generation of its log's patterns.
#[derive(Debug, Default)]
struct Fed {
    generation: u64,
    tails: Box<[Arc<Tail>]>,
}

impl Topic {
    /// A topic that `account` had the hub remember.
    #[must_use]
    pub fn new(name: TopicName, log: u8, tail: Arc<Tail>, account: &Arc<Account>) -> Self {
        account.charge(Kind::Names, name_bytes(&name));
        let (stored, fed) = (Stored::default(), Mutex::default());
        Self { name, log, tail, stored, fed, account: Arc::clone(account) }
    }

    /// Calls `each` with the tail of every pattern that matches. `find` is asked for them if patterns have come or gone
    /// since.
    pub fn feed(
        &self,
        generation: u64,
        find: impl FnOnce(&str) -> Vec<Arc<Tail>>,
        each: impl FnOnce(&[Arc<Tail>]),
    ) {
        let mut fed = lock(&self.fed);
        if fed.generation != generation {
            *fed = Fed { generation, tails: find(self.name.as_str()).into() };
        }
        each(&fed.tails);
    }

    /// Lets go of tails that it knew in another generation.
    pub fn forget_fed(&self, generation: u64) {
        let mut fed = lock(&self.fed);
        if fed.generation != generation && !fed.tails.is_empty() {
            *fed = Fed::default();
        }
    }
}

impl Drop for Topic {
    fn drop(&mut self) {
        self.account.release(Kind::Names, name_bytes(&self.name));
    }
}

/// What a name takes in the hub, about: the topic, its tail, its place in the tree of names.
pub const NAME_BYTES: usize = 768;
/// What each further token takes, if no other name shares it.
const TOKEN_BYTES: usize = 512;

/// What a name takes in the hub, about.
#[must_use]
pub fn name_bytes(name: &TopicName) -> usize {
    NAME_BYTES + further_tokens_bytes(name)
}

/// What the tokens of a name after its first take, about.
#[must_use]
pub fn further_tokens_bytes(name: &TopicName) -> usize {
    name.as_str().bytes().filter(|byte| *byte == b'.').count() * TOKEN_BYTES
}
