//! Who asks: what a token said, as far as it decides what its bearer may do. Knows neither rules nor how tokens are checked.

use std::sync::Arc;

use tidewire_protocol::name::{Pattern, Selector};

use crate::clock::{Millis, NEVER};

/// Something that may be allowed or not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    /// To publish, with acks or without.
    Publish,
    /// To read: live, by history, in any way.
    Subscribe,
    /// To read pages of what is kept, and nothing live.
    History,
}

/// Several rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Rights(u8);

/// What a token allows with the topics that a pattern matches.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowance {
    /// Which topics.
    pub pattern: Pattern,
    /// What may be done with them.
    pub to: Rights,
}

/// What a token that was found sound says of its bearer.
#[derive(Debug, PartialEq, Eq)]
pub struct Pass {
    /// Whom it speaks of; never empty.
    pub subject: Arc<str>,
    /// What it allows, beside the hub's rules.
    pub allow: Vec<Allowance>,
    /// When it expires, by the steady clock.
    pub expires_at: Millis,
    /// From when on it is not taken any more: somewhat later, since clocks differ.
    pub ends_at: Millis,
    /// Which of its bearer's it is; the first unless [`Caller::renew`] says otherwise.
    pub edition: PassEdition,
}

/// Who asks: anonymous, or the bearer of a pass. Each connection has one, so it is no larger than it has to be.
#[derive(Debug, Clone, Default)]
pub struct Caller(Option<Arc<Pass>>);

/// Tells what a connection's pass allows from what those before it did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct PassEdition(u16);

impl Rights {
    /// None.
    pub const NONE: Self = Self(0);

    /// These and one more.
    #[must_use]
    pub const fn with(self, right: Right) -> Self {
        Self(self.0 | 1 << right as u8)
    }

    /// Whether a right is among them. To subscribe is to read in any way.
    #[must_use]
    pub const fn hold(self, right: Right) -> bool {
        let by_itself = self.0 & 1 << right as u8 > 0;
        by_itself || matches!(right, Right::History) && self.hold(Right::Subscribe)
    }
}

impl Pass {
    /// Whether it allows something with a topic, or with all that a pattern matches: one allowance must cover it whole.
    fn allows(&self, right: Right, what: &Selector) -> bool {
        self.allow.iter().any(|allowance| allowance.to.hold(right) && covers(&allowance.pattern, what))
    }
}

impl Caller {
    /// The bearer of a pass.
    #[must_use]
    pub fn new(pass: Pass) -> Self {
        Self(Some(Arc::new(pass)))
    }

    /// Whether it has signed in by a token.
    #[must_use]
    pub fn has_signed_in(&self) -> bool {
        self.0.is_some()
    }

    /// Who it is; `None` for anonymous.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.0.as_ref().map(|pass| &pass.subject)
    }

    /// Which of its passes.
    #[must_use]
    pub fn edition(&self) -> PassEdition {
        self.0.as_ref().map_or(PassEdition::default(), |pass| pass.edition)
    }

    /// From when on its pass is not taken any more.
    #[must_use]
    pub fn ends_at(&self) -> Millis {
        self.0.as_ref().map_or(NEVER, |pass| pass.ends_at)
    }

    /// After how long its pass expires; 0 for never.
    #[must_use]
    pub fn expires_ms(&self, now: Millis) -> u64 {
        self.0.as_ref().map_or(0, |pass| pass.expires_at.since(now).max(1))
    }

    /// Whether its pass allows something.
    #[must_use]
    pub fn is_allowed(&self, right: Right, what: &Selector) -> bool {
        self.0.as_ref().is_some_and(|pass| pass.allows(right, what))
    }

    /// Goes on with a later pass of the same subject; gives whether that allows something else than the one before.
    ///
    /// # Errors
    /// [`Unrenewed`] says why it goes on with the one that it has.
    pub fn renew(&mut self, mut pass: Pass) -> Result<bool, Unrenewed> {
        let Some(before) = &self.0 else { return Err(Unrenewed::SomebodyElse) };
        if before.subject != pass.subject {
            return Err(Unrenewed::SomebodyElse);
        }
        let differs = before.allow != pass.allow;
        pass.edition =
            PassEdition(before.edition.0.checked_add(u16::from(differs)).ok_or(Unrenewed::TooOften)?);
        self.0 = Some(Arc::new(pass));
        Ok(differs)
    }
}

/// Why a connection does not go on with another pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unrenewed {
    /// It speaks of another subject.
    SomebodyElse,
    /// What is allowed has changed very often.
    TooOften,
}

/// Whether a pattern matches a topic, or all that another pattern does.
pub(super) fn covers(pattern: &Pattern, what: &Selector) -> bool {
    match what {
        Selector::Topic(topic) => pattern.matches(topic),
        Selector::Pattern(other) => pattern.covers(other),
    }
}

/// Whether a pattern matches a topic, or something that another pattern does.
pub(super) fn meets(pattern: &Pattern, what: &Selector) -> bool {
    match what {
        Selector::Topic(topic) => pattern.matches(topic),
        Selector::Pattern(other) => pattern.overlaps(other),
    }
}
