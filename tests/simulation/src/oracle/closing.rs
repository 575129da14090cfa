//! Topics that the rules closed, and what that excuses or forbids.

use crate::names::{SelectorIndex, TOPICS, TopicIndex, audience_of};

/// A topic that nobody may read, and perhaps nobody may publish to.
#[derive(Debug, Clone, Copy)]
pub struct Closed {
    /// Which.
    pub topic: TopicIndex,
    /// Whether nobody may publish to it either.
    pub publish: bool,
    /// Since when.
    pub since: u64,
}

/// The topic that is closed now, and those that once were.
#[derive(Debug, Default)]
pub struct Closing {
    now: Option<Closed>,
    to_readers: [bool; TOPICS],
    to_publishers: [bool; TOPICS],
    /// How often each was closed to publishers, or opened again.
    turns: [u32; TOPICS],
}

impl Closing {
    /// From now on this one is closed, and none else.
    pub fn close(&mut self, closed: Option<Closed>) {
        for Closed { topic, publish, .. } in [self.now, closed].into_iter().flatten() {
            self.turns[usize::from(topic)] += u32::from(publish);
        }
        self.now = closed;
        if let Some(Closed { topic, publish, .. }) = closed {
            self.to_readers[usize::from(topic)] = true;
            self.to_publishers[usize::from(topic)] |= publish;
        }
    }

    /// Whether one is closed now.
    #[must_use]
    pub fn is_any(&self) -> bool {
        self.now.is_some()
    }

    /// Whether a subscription may have been ended.
    #[must_use]
    pub fn may_end(&self, selector: SelectorIndex) -> bool {
        let part = |topic: usize| audience_of(topic as TopicIndex).contains(&selector);
        (0..TOPICS).any(|topic| self.to_readers[topic] && part(topic))
    }

    /// Whether a publish may have been refused.
    #[must_use]
    pub fn may_refuse(&self, topic: TopicIndex) -> bool {
        self.to_publishers.get(usize::from(topic)).is_some_and(|closed| *closed)
    }

    /// Since when nobody may read a topic, or a pattern that matches it; `None` if everybody may.
    #[must_use]
    pub fn to_readers_since(&self, selector: SelectorIndex) -> Option<u64> {
        let now = self.now.filter(|now| audience_of(now.topic).contains(&selector))?;
        Some(now.since)
    }

    /// Whether nobody may publish to a topic now.
    #[must_use]
    pub fn is_to_publishers(&self, topic: TopicIndex) -> bool {
        self.now.is_some_and(|now| now.topic == topic && now.publish)
    }

    /// How often it was closed to publishers, or opened again: closed if odd.
    #[must_use]
    pub fn turns(&self, topic: TopicIndex) -> u32 {
        self.turns.get(usize::from(topic)).copied().unwrap_or_default()
    }

    /// Whether nobody may be given a message that was taken then.
    #[must_use]
    pub fn hides(&self, topic: TopicIndex, taken_ms: u64) -> bool {
        self.now.is_some_and(|now| now.topic == topic && taken_ms > now.since + RULES_MS)
    }
}

/// Rules have been applied to every subscription after so many milliseconds.
pub const RULES_MS: u64 = 1_000;
