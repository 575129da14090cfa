//! Who asks: what a token said, as far as it decides what its bearer may do. Knows neither rules nor how tokens are checked.

use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Pattern, Selector};

use crate::clock::{Millis, NEVER};
use crate::ledger::{Account, Charge, Kind};
use crate::limits::of_bearer::{Bound, Bounds};
use crate::pace::{Exhausted, Pace};

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
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Pass {
    /// Whom it speaks of; never empty.
    pub subject: Arc<str>,
    /// What it allows, beside the hub's rules.
    pub allow: Vec<Allowance>,
    /// When it expires, by the steady clock.
    pub expires_at: Millis,
    /// From when on it is not taken any more: somewhat later, since clocks differ.
    pub ends_at: Millis,
    /// By what it was found sound.
    pub origin: Origin,
    /// What else it says, for rules to ask.
    pub claims: Claims,
    /// Which limits it narrows.
    pub limits: Bounds,
    /// What its bearer is to be known by, a JSON object. It means nothing to the hub.
    pub info: Option<Arc<str>>,
}

/// Claims, each by its path and its value as JSON; a list has an entry for each of its values.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Claims(pub Vec<(Arc<str>, Box<str>)>);

/// What tells a token from others of its bearer.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Origin {
    /// The key that it was signed with.
    pub key: KeyNumber,
    /// What it calls itself (`jti`).
    pub id: Option<Box<str>>,
    /// When it says it was issued (`iat`), in seconds since 1970.
    pub issued_at: Option<u64>,
}

/// Tells a key from all others that the hub has, or ever had.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KeyNumber(pub u64);

/// Who asks: anonymous, or the bearer of a pass. Each connection has one, so it is no larger than it has to be.
#[derive(Debug, Default)]
pub struct Caller(Option<Box<Bearer>>);

#[derive(Debug)]
struct Bearer {
    pass: Pass,
    /// Which of its passes that is.
    edition: PassEdition,
    /// How fast it publishes, where its pass says how fast it may.
    pace: Pace,
    /// What it takes.
    charge: Charge,
}

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
    /// What of it allows something with a topic, or with all that a pattern matches: one allowance must cover it whole.
    fn allowance(&self, right: Right, what: &Selector) -> Option<usize> {
        self.allow.iter().position(|allowance| allowance.to.hold(right) && covers(&allowance.pattern, what))
    }
}

impl Bearer {
    /// Publishes a second that its pass lets it make; 0 for no limit.
    fn per_second(&self) -> u64 {
        self.pass.limits.get(Bound::PublishesPerSecond).unwrap_or(0)
    }

    /// Bytes that it takes with a pass.
    fn bytes(pass: &Pass) -> usize {
        let names: usize = pass.allow.iter().map(|allowance| allowance.pattern.as_str().len()).sum();
        let each = size_of::<Allowance>() + SHARED_BYTES;
        let id = pass.origin.id.as_ref().map_or(0, |id| id.len());
        size_of::<Self>()
            + SHARED_BYTES
            + pass.subject.len()
            + id
            + pass.claims.bytes()
            + pass.limits.bytes()
            + pass.info.as_ref().map_or(0, |info| SHARED_BYTES + info.len())
            + pass.allow.capacity() * each
            + names
    }
}

impl Caller {
    /// The bearer of a pass, which an account answers for.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if as much is known of that account as may be.
    pub fn new(pass: Pass, account: &Arc<Account>) -> Result<Self, Code> {
        let mut charge = Charge::new(account, Kind::Tokens);
        let pass = Self::hold(pass, &mut charge)?;
        let (edition, pace) = (PassEdition::default(), Pace::default());
        Ok(Self(Some(Box::new(Bearer { pass, edition, pace, charge }))))
    }

    /// The same, for one more connection, whose account answers for it.
    ///
    /// # Errors
    /// [`Code::Overloaded`] if as much is known of that account as may be.
    pub fn again(&self, account: &Arc<Account>) -> Result<Self, Code> {
        self.pass().map_or(Ok(Self::default()), |pass| Self::new(pass.clone(), account))
    }

    /// Charges what a pass takes, instead of what was charged before, and makes it as small as it can be.
    fn hold(mut pass: Pass, charge: &mut Charge) -> Result<Pass, Code> {
        pass.allow.shrink_to_fit();
        pass.claims.0.shrink_to_fit();
        let bytes = Bearer::bytes(&pass);
        if !charge.account().may_be_known(bytes.saturating_sub(charge.bytes())) {
            return Err(Code::Overloaded);
        }
        charge.set(bytes);
        Ok(pass)
    }

    /// What its token said; `None` for anonymous.
    #[must_use]
    pub fn pass(&self) -> Option<&Pass> {
        self.0.as_ref().map(|bearer| &bearer.pass)
    }

    /// Whether it has signed in by a token.
    #[must_use]
    pub fn has_signed_in(&self) -> bool {
        self.0.is_some()
    }

    /// Who it is; `None` for anonymous.
    #[must_use]
    pub fn subject(&self) -> Option<&Arc<str>> {
        self.pass().map(|pass| &pass.subject)
    }

    /// Which of its passes.
    #[must_use]
    pub fn edition(&self) -> PassEdition {
        self.0.as_ref().map_or(PassEdition::default(), |bearer| bearer.edition)
    }

    /// From when on its pass is not taken any more.
    #[must_use]
    pub fn ends_at(&self) -> Millis {
        self.pass().map_or(NEVER, |pass| pass.ends_at)
    }

    /// After how long its pass expires; 0 for never.
    #[must_use]
    pub fn expires_ms(&self, now: Millis) -> u64 {
        self.pass().map_or(0, |pass| pass.expires_at.since(now).max(1))
    }

    /// A limit of the hub as it is for this one, whose pass may narrow it.
    #[must_use]
    pub fn at_most(&self, bound: Bound, limit: usize) -> usize {
        let most = self.pass().and_then(|pass| pass.limits.get(bound));
        most.and_then(|most| usize::try_from(most).ok()).map_or(limit, |most| most.min(limit))
    }

    /// Asks for one publish at the rate that its pass sets, if it does, and takes none.
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn ask_rate(&self, now: Millis) -> Result<(), Exhausted> {
        self.0.as_ref().map_or(Ok(()), |bearer| bearer.pace.ask(now, bearer.per_second()))
    }

    /// Takes so many; see [`Pace::take`].
    ///
    /// # Errors
    /// [`Exhausted`] if it is too early for one more.
    pub fn take_rate(&self, now: Millis, count: u64) -> Result<(), Exhausted> {
        self.0.as_ref().map_or(Ok(()), |bearer| bearer.pace.take(now, bearer.per_second(), count))
    }

    /// Which allowance of its pass allows something.
    #[must_use]
    pub fn allowance(&self, right: Right, what: &Selector) -> Option<usize> {
        self.pass()?.allowance(right, what)
    }

    /// Goes on with a later pass of the same subject; gives whether that allows something else than the one before.
    ///
    /// # Errors
    /// Why it goes on with the one that it has: [`Code::IdentityMismatch`] if the other speaks of another subject,
    /// [`Code::LimitReached`] if what is allowed has changed very often, [`Code::Overloaded`] as in [`Self::new`].
    pub fn renew(&mut self, pass: Pass) -> Result<bool, Code> {
        let bearer = self.0.as_mut().filter(|bearer| bearer.pass.subject == pass.subject);
        let bearer = bearer.ok_or(Code::IdentityMismatch)?;
        let differs = bearer.pass.allow != pass.allow || bearer.pass.claims != pass.claims;
        let edition = bearer.edition.0.checked_add(u16::from(differs)).ok_or(Code::LimitReached)?;
        bearer.pass = Self::hold(pass, &mut bearer.charge)?;
        bearer.edition = PassEdition(edition);
        Ok(differs)
    }
}

/// What a shared text takes besides itself.
const SHARED_BYTES: usize = 16;

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
