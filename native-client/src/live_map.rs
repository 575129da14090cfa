//! What stands in a topic that keeps the latest message of each key, as this side knows it.

use std::collections::BTreeMap;
use std::collections::btree_map::{self, Entry};
use std::fmt;

use serde::Serialize;
use serde::de::DeserializeOwned;

use tidewire_client_core::fault::{ClientCode, Fault};
use tidewire_client_core::options::SubscribeOptions;
use tidewire_protocol::code::{GapReason, WhenSlow};
use tidewire_protocol::position::{Gap, Position, Start};

use crate::client::Client;
use crate::event::{BadMessage, Event, Message};
use crate::outgoing::Outgoing;
use crate::payload::Payload;
use crate::publishing::Publishing;
use crate::subscription::Subscription;

/// A mirror of such a topic: what it holds follows the hub as [`Self::next`] is called, and is whole once that has said so. It
/// outlives broken connections, and where it cannot know what changed meanwhile it is read anew.
#[must_use = "a map is no longer followed when it is dropped"]
pub struct LiveMap<T> {
    client: Client,
    topic: String,
    subscription: Subscription<T>,
    entries: BTreeMap<String, Message<T>>,
    /// Where the values are that are no `T`, by key.
    bad: BTreeMap<String, Position>,
    is_whole: bool,
}

/// What has become of a map.
#[derive(Debug)]
pub enum Change<T> {
    /// A key has a value, which is in the map.
    Set(String),
    /// A key has no value any more; that was its last, if it was known.
    Removed(String, Option<Message<T>>),
    /// The map holds all that stood when it was asked for; comes once, and again after each [`Change::Anew`].
    Whole,
    /// What changed meanwhile is not known: the map is empty, and filled anew.
    Anew(Gap),
    /// A key has a value that is no `T`; it is not in the map, and [`LiveMap::replace`] replaces it.
    Bad(BadMessage),
    /// It is over, for this reason: nothing changes any more. `not_supported` if the topic does not keep the latest of each key.
    Ended(Fault),
}

impl<T: DeserializeOwned> LiveMap<T> {
    /// Follows a topic that keeps the latest message of each key, whose values are `T` in JSON, or texts where `T` is one.
    pub fn open(client: &Client, topic: &str) -> Self {
        let (client, topic) = (client.clone(), topic.to_owned());
        let subscription = subscribed(&client, &topic);
        Self { client, topic, subscription, entries: BTreeMap::new(), bad: BTreeMap::new(), is_whole: false }
    }

    /// Takes the next change into the map and tells it; none after [`Change::Ended`]. Safe to drop and call again.
    pub async fn next(&mut self) -> Option<Change<T>> {
        loop {
            let change = match self.subscription.next().await? {
                Event::Ready { gap, .. } => {
                    self.subscription.catch_up();
                    gap.map(|gap| self.anew(gap))
                }
                Event::Message(message) => self.set(message),
                Event::Removed(message) => message.key().map(|key| {
                    self.bad.remove(key);
                    let last = self.entries.remove(key);
                    Change::Removed(key.to_owned(), last)
                }),
                Event::BadMessage(bad) => {
                    if let Some(key) = bad.message.key() {
                        self.entries.remove(key);
                        self.bad.insert(key.to_owned(), bad.message.position());
                    }
                    Some(Change::Bad(bad))
                }
                Event::Gap(gap) => {
                    // Where the hub does not begin anew by itself, it is asked to.
                    if !matches!(gap.reason, GapReason::Compacted | GapReason::EpochChanged) {
                        self.subscription = subscribed(&self.client, &self.topic);
                    } else if self.is_whole {
                        // Else the question that waits is asked again without a word.
                        self.subscription.catch_up();
                    }
                    Some(self.anew(gap))
                }
                Event::CaughtUp => {
                    self.is_whole = true;
                    Some(Change::Whole)
                }
                Event::Ended(fault) => Some(Change::Ended(fault)),
            };
            if change.is_some() {
                return change;
            }
        }
    }

    /// Takes in changes until the map is whole.
    ///
    /// # Errors
    /// Why it will not be.
    pub async fn whole(&mut self) -> Result<(), Fault> {
        while !self.is_whole {
            match self.next().await {
                Some(Change::Ended(fault)) => return Err(fault),
                None => return Err(Fault::Client(ClientCode::Closed)),
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn set(&mut self, message: Message<T>) -> Option<Change<T>> {
        let key = message.key()?.to_owned();
        self.bad.remove(&key);
        match self.entries.entry(key.clone()) {
            Entry::Occupied(mut known) => drop(known.insert(message)),
            Entry::Vacant(new) => drop(new.insert(message)),
        }
        Some(Change::Set(key))
    }

    fn anew(&mut self, gap: Gap) -> Change<T> {
        self.entries.clear();
        self.bad.clear();
        self.is_whole = false;
        Change::Anew(gap)
    }
}

impl<T> LiveMap<T> {
    /// Whether it holds all that stood when it was asked for, and each change since that [`Self::next`] has told.
    #[must_use]
    pub const fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// The value of a key, with what its message has besides: its place is the key's version.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Message<T>> {
        self.entries.get(key)
    }

    /// All keys and values, by key.
    pub fn iter(&self) -> btree_map::Iter<'_, String, Message<T>> {
        self.entries.iter()
    }

    /// How many keys have a value.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether none has.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Sets a key, whatever its value. The map has it once the hub has told it back.
    pub fn set_value<V: Serialize + ?Sized>(&self, key: &str, value: &V) -> Publishing {
        self.publish(value, |message| message.key(key))
    }

    /// Sets a key as [`Self::set_value`] does, if it still stands as this map knows it: absent, or at this version, also of a
    /// value that is no `T`. Else the outcome is [`crate::PublishError::ConditionFailed`].
    pub fn replace<V: Serialize + ?Sized>(&self, key: &str, value: &V) -> Publishing {
        let known = self.get(key).map(Message::position).or_else(|| self.bad.get(key).copied());
        self.publish(value, |message| match known {
            Some(version) => message.key(key).if_version(version),
            None => message.key(key).if_absent(),
        })
    }

    /// Takes a key away, whatever its value.
    pub fn remove(&self, key: &str) -> Publishing {
        self.client.publish_payload(&self.topic, Outgoing::removal(key))
    }

    fn publish<V: Serialize + ?Sized>(
        &self,
        value: &V,
        with: impl FnOnce(Outgoing) -> Outgoing,
    ) -> Publishing {
        match Payload::json(value) {
            Ok(payload) => self.client.publish_payload(&self.topic, with(Outgoing::new(payload))),
            Err(error) => Publishing::failed(error.into()),
        }
    }
}

impl<T> fmt::Debug for LiveMap<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LiveMap")
            .field("topic", &self.topic)
            .field("keys", &self.entries.len())
            .field("is_whole", &self.is_whole)
            .finish_non_exhaustive()
    }
}

/// From the oldest message on: what stands, and then each change. Of one who is slow only the latest matters.
fn subscribed<T: DeserializeOwned>(client: &Client, topic: &str) -> Subscription<T> {
    let options = SubscribeOptions {
        from: Start::Earliest,
        when_slow: WhenSlow::Latest,
        ..SubscribeOptions::default()
    };
    client.subscribe(topic, options)
}
