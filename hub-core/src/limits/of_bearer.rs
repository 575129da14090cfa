//! Limits that a token sets its bearer: each narrows one of the hub's, and none widens it.

/// A limit that a token may narrow: those of one connection that its bearer comes up against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// Of `message_bytes_max`.
    MessageBytes,
    /// Of `subscriptions_max`.
    Subscriptions,
    /// Of `patterns_max`.
    Patterns,
    /// Of `participants_max`.
    Participants,
    /// Of `handles_max`.
    Handles,
    /// Of `publishes_per_second_max`.
    PublishesPerSecond,
}

/// What a token narrows; as small as it can be where it narrows nothing, which most do.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Bounds(Box<[(Bound, u64)]>);

impl Bound {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::MessageBytes,
        Self::Subscriptions,
        Self::Patterns,
        Self::Participants,
        Self::Handles,
        Self::PublishesPerSecond,
    ];

    /// The one of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|bound| bound.name() == name)
    }

    /// Its name, which is that of the limit.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::MessageBytes => "message_bytes_max",
            Self::Subscriptions => "subscriptions_max",
            Self::Patterns => "patterns_max",
            Self::Participants => "participants_max",
            Self::Handles => "handles_max",
            Self::PublishesPerSecond => "publishes_per_second_max",
        }
    }
}

impl FromIterator<(Bound, u64)> for Bounds {
    fn from_iter<T: IntoIterator<Item = (Bound, u64)>>(bounds: T) -> Self {
        Self(bounds.into_iter().collect())
    }
}

impl Bounds {
    /// What is set for one, if it is.
    #[must_use]
    pub fn get(&self, bound: Bound) -> Option<u64> {
        self.0.iter().find(|(known, _)| *known == bound).map(|(_, most)| *most)
    }

    /// Bytes that they take.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of_val(&*self.0)
    }
}
