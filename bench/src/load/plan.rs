//! Who takes part in a load.

/// Who takes part.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Plan {
    /// Connections that subscribe, one subscription each; spread evenly over the topics.
    pub subscribers: usize,
    /// Topics that are published to in turn.
    pub topics: usize,
    /// Connections that publish.
    pub publishers: usize,
    /// Bytes of a payload.
    pub payload_bytes: usize,
    /// What a subscriber asks for.
    pub asks: Asks,
    /// Every so many-th subscriber uses the JSON encoding; 0 for none.
    pub json_every: usize,
    /// Subscribers that read nothing once they have subscribed. Only with one topic, like the next.
    pub stalled: usize,
    /// Subscribers that read far less than is published.
    pub slow: usize,
    /// Seconds that the token lasts which each subscriber signs in with, a token of its own; 0 for none.
    pub token_seconds: u64,
    /// Connections that bring forged tokens, and come back at once when they are cut off.
    pub intruders: usize,
    /// Messages have one of so many keys, in turn, and only the latest of each is kept; 0 for none.
    pub keys: u32,
}

/// What each subscriber of a plan asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// One topic.
    OneTopic,
    /// All topics, by a pattern.
    EveryTopic,
    /// All topics, by a pattern, from the oldest message kept on.
    EverythingKept,
    /// One topic, from the oldest message kept on.
    AllOfTopic,
}

impl Asks {
    /// Whether a subscriber gets the messages of one topic.
    #[must_use]
    pub const fn is_of_one_topic(self) -> bool {
        matches!(self, Self::OneTopic | Self::AllOfTopic)
    }
}

impl Plan {
    /// One topic, one publisher, 128 bytes.
    #[must_use]
    pub const fn one_topic(subscribers: usize) -> Self {
        Self {
            subscribers,
            topics: 1,
            publishers: 1,
            payload_bytes: 128,
            asks: Asks::OneTopic,
            json_every: 0,
            stalled: 0,
            slow: 0,
            token_seconds: 0,
            intruders: 0,
            keys: 0,
        }
    }

    /// All connections, with that of a probe.
    #[must_use]
    pub const fn connections(&self) -> usize {
        self.subscribers + self.publishers + self.intruders + 1
    }

    /// Subscribers that read little or nothing.
    #[must_use]
    pub const fn held_back(&self) -> usize {
        self.stalled + self.slow
    }
}
