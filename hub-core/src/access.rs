//! Who may do what: rules by pattern, first match wins. They may change while the hub runs.

use std::ops::Deref;
use std::sync::Arc;

use tidewire_protocol::code::Code;
use tidewire_protocol::name::{Pattern, Selector, TopicName};

use crate::sync::{AtomicU32, Mutex, Ordering, lock};

/// The access rules of a hub.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Access {
    /// In the order in which they are asked.
    pub rules: Vec<AccessRule>,
    edition: Edition,
}

/// Tells rules from those that held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edition(pub u32);

/// The rules that hold now.
#[derive(Debug)]
pub struct InForce {
    access: Mutex<Arc<Access>>,
    /// The edition of those in there, for all who only want to know whether others hold by now.
    edition: AtomicU32,
}

/// What may be done with the topics that a pattern matches. What a rule does not allow it denies, and a denial holds
/// for everybody, whoever the rule speaks of: whoever forgets to say it has not opened a door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessRule {
    /// Whom it allows something.
    pub who: Who,
    /// Which topics.
    pub pattern: Pattern,
    /// Whether they may be published to.
    pub publish: bool,
    /// Whether they may be read: live, by history, in any way.
    pub subscribe: bool,
}

/// Whom a rule speaks of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Who {
    /// All clients, those that have not signed in among them.
    Everybody,
    /// Clients that have signed in by a token. Nobody can yet.
    SignedIn,
}

/// A topic or selector that its holder may use. Only [`Access`] makes it, and topics take nothing else: who has one
/// was asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Granted<T> {
    to: T,
    grant: Grant,
}

/// What the rules of an edition said of something. It stays with what was granted, and is asked for anew when other rules
/// hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grant {
    /// Of which rules.
    pub edition: Edition,
    /// Whether they allow it.
    pub holds: bool,
}

impl<T> Granted<T> {
    /// What the rules said of it.
    #[must_use]
    pub fn grant(&self) -> Grant {
        self.grant
    }
}

impl<T> Deref for Granted<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.to
    }
}

impl AccessRule {
    /// Whether the rule decides, for an anonymous client, something that it allows or denies.
    fn decides(&self, allows: bool) -> bool {
        !allows || self.who == Who::Everybody
    }
}

impl Access {
    /// Everybody may do everything: `--dev`.
    #[must_use]
    pub fn open() -> Self {
        let everything = Pattern::parse(">").ok();
        let rule = |pattern| AccessRule { who: Who::Everybody, pattern, publish: true, subscribe: true };
        Self::of(everything.into_iter().map(rule).collect())
    }

    /// These rules, in the order in which they are asked.
    #[must_use]
    pub fn of(rules: Vec<AccessRule>) -> Self {
        Self { rules, edition: Edition::default() }
    }

    /// Which rules these are.
    #[must_use]
    pub fn edition(&self) -> Edition {
        self.edition
    }

    /// Grants to publish to a topic.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it.
    pub fn publish(&self, to: TopicName) -> Result<Granted<TopicName>, Code> {
        let grant = self.publish_grant(&to);
        grant.holds.then_some(Granted { to, grant }).ok_or(Code::Forbidden)
    }

    /// Grants to read a topic, or all that a pattern matches.
    ///
    /// # Errors
    /// [`Code::Forbidden`] if no rule allows it whole.
    pub fn subscribe(&self, to: Selector) -> Result<Granted<Selector>, Code> {
        let grant = Grant { edition: self.edition, holds: self.may_subscribe(&to) };
        grant.holds.then_some(Granted { to, grant }).ok_or(Code::Forbidden)
    }

    /// What the rules say of publishing to a topic.
    #[must_use]
    pub fn publish_grant(&self, topic: &TopicName) -> Grant {
        Grant { edition: self.edition, holds: self.may_publish(topic) }
    }

    /// Whether a topic may be published to. Reserved topics are the hub's own.
    #[must_use]
    pub fn may_publish(&self, topic: &TopicName) -> bool {
        let mut deciding = self.rules.iter().filter(|rule| rule.decides(rule.publish));
        let rule = deciding.find(|rule| rule.pattern.matches(topic));
        rule.is_some_and(|rule| rule.publish) && !topic.is_reserved()
    }

    /// Whether a topic, or a pattern as a whole, may be read. One rule must cover a pattern whole, and no
    /// earlier rule may take a part of it away.
    #[must_use]
    pub fn may_subscribe(&self, selector: &Selector) -> bool {
        let mut deciding = self.rules.iter().filter(|rule| rule.decides(rule.subscribe));
        let rule = deciding.find(|rule| match selector {
            Selector::Topic(topic) => rule.pattern.matches(topic),
            // The first rule that either grants all of it or takes a part of it away.
            Selector::Pattern(pattern) if rule.subscribe => rule.pattern.covers(pattern),
            Selector::Pattern(pattern) => rule.pattern.overlaps(pattern),
        });
        rule.is_some_and(|rule| rule.subscribe)
    }
}

impl InForce {
    /// The first.
    #[must_use]
    pub fn new(access: Access) -> Self {
        Self { edition: AtomicU32::new(access.edition.0), access: Mutex::new(Arc::new(access)) }
    }

    /// Which they are.
    #[must_use]
    pub fn now(&self) -> Arc<Access> {
        Arc::clone(&*lock(&self.access))
    }

    /// Tells them from those that held before.
    #[must_use]
    pub fn edition(&self) -> Edition {
        Edition(self.edition.load(Ordering::Acquire))
    }

    /// From now on others hold.
    pub fn change(&self, access: Access) {
        let mut now = lock(&self.access);
        let edition = Edition(now.edition.0.wrapping_add(1));
        *now = Arc::new(Access { edition, ..access });
        self.edition.store(edition.0, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn access(rules: &[(&str, bool)]) -> Access {
        let rule = |(pattern, subscribe): &(&str, bool)| AccessRule {
            who: Who::Everybody,
            pattern: Pattern::parse(pattern).unwrap(),
            publish: *subscribe,
            subscribe: *subscribe,
        };
        Access::of(rules.iter().map(rule).collect())
    }

    #[track_caller]
    fn check(rules: &[(&str, bool)], wanted: &str, expected: bool) {
        assert_eq!(access(rules).may_subscribe(&Selector::parse(wanted).unwrap()), expected, "{wanted}");
    }

    #[test]
    fn a_pattern_must_be_granted_whole() {
        check(&[("a.>", true)], "a.*", true);
        check(&[("a.*", true)], "a.>", false);
        check(&[("a.secret", false), ("a.>", true)], "a.*", false);
        check(&[("a.secret", false), ("a.>", true)], "a.b.*", true);
        check(&[("*.secret.>", false), ("a.>", true)], "a.>", false);
        check(&[("a.>", true)], "a.b", true);
        check(&[], "a", false);
        check(&[(">", true)], "$presence.a", false);
    }

    #[test]
    fn what_is_granted_tells_of_which_rules() {
        let rules = InForce::new(access(&[("a.>", true)]));
        let granted = rules.now().publish(TopicName::parse("a.b").unwrap()).unwrap();
        assert_eq!(granted.grant(), Grant { edition: rules.edition(), holds: true });
        rules.change(access(&[("a.b", false), ("a.>", true)]));
        assert_ne!(granted.grant().edition, rules.edition());
        assert_eq!(rules.now().publish_grant(&granted), Grant { edition: rules.edition(), holds: false });
        assert_eq!(rules.now().publish(TopicName::parse("a.b").unwrap()), Err(Code::Forbidden));
    }

    #[test]
    fn an_allowance_is_for_whom_it_speaks_of_and_a_denial_for_everybody() {
        let mut access = access(&[("a.secret.>", false), ("a.team.>", true), ("a.>", true)]);
        let may = |access: &Access, name: &str| {
            let subscribe = access.may_subscribe(&Selector::parse(name).unwrap());
            assert_eq!(subscribe, access.may_publish(&TopicName::parse(name).unwrap()), "{name}");
            subscribe
        };
        for rule in &mut access.rules[..2] {
            rule.who = Who::SignedIn;
        }
        assert!(!may(&access, "a.secret.b") && may(&access, "a.team.b") && may(&access, "a.b"));
        assert!(!access.may_subscribe(&Selector::parse("a.>").unwrap()));
        assert!(!access.may_subscribe(&Selector::parse("a.*.b").unwrap()));
        assert!(access.may_subscribe(&Selector::parse("a.team.*").unwrap()));
        access.rules.truncate(2);
        assert!(!may(&access, "a.team.b"), "only those who sign in");
    }

    #[test]
    fn reserved_topics_are_never_published_to() {
        let access = access(&[("$x.>", true), (">", true)]);
        assert!(!access.may_publish(&TopicName::parse("$x.a").unwrap()));
        assert!(access.may_publish(&TopicName::parse("x.a").unwrap()));
    }
}
